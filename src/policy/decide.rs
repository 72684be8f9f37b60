//! The rules of one config, and the decision that they come to for each recipient.

use std::collections::HashMap;
use std::time::Duration;

use crate::audit::HoldCause;
use crate::classify::{self, Verdict};
use crate::config::names::{ASKED, DEFAULT, OPTED_OUT, REFUSED, SUBJECT};
use crate::config::{self, Compat, Last, Level, OperatingPoint, Permission, PhiSubject, Rule};
use crate::mail::{Address, Method};
use crate::policy::adds::{Additions, SubjectFate};
use crate::policy::conditions::{Case, any};
use crate::policy::marks::{Marks, Means, OptingOut, Tag, tags};
use crate::policy::protection::{Plan, raise};
use crate::policy::seen::Ends;
use crate::policy::{Action, Decision, Facts, RecipientFacts, RuleResult, Submission, Tried, require_tls, subject};

/// The rules of one config, compiled.
#[derive(Debug)]
pub struct Rules {
    pub(super) rules: Vec<Rule>,
    default: Vec<Method>,
    default_may_relax: bool,
    opted_out: Vec<Method>,
    pub(super) secure: Vec<Method>,
    pub(super) tags: Vec<(Tag, Means)>,
    pub(super) compat: Compat,
    pub(super) point: OperatingPoint,
    phi_subject: PhiSubject,
    pub(super) subject: String,
    groups: HashMap<String, Vec<String>>,
    /// Who may opt out through any client.
    may_opt_out: Vec<String>,
}

impl Rules {
    pub fn compile(policy: &config::Policy) -> Rules {
        let may = policy.groups.iter().filter(|group| group.may_opt_out);
        Rules {
            rules: policy.rules.clone(),
            default: policy.default.clone(),
            default_may_relax: policy.may_relax,
            opted_out: policy.opted_out.clone(),
            secure: policy.secure.clone(),
            tags: tags(policy),
            compat: policy.compat.clone(),
            point: policy.point,
            phi_subject: policy.phi_subject,
            subject: policy.subject.clone(),
            groups: policy.groups.iter().map(|group| (group.name.clone(), group.members.clone())).collect(),
            may_opt_out: may.flat_map(|group| group.members.clone()).collect(),
        }
    }

    /// The header fields that rules ask about.
    pub(super) fn headers(&self) -> impl Iterator<Item = &String> {
        let whens = self.rules.iter().flat_map(|rule| rule.when.all());
        whens.flat_map(|when| &when.headers).map(|header| &header.name)
    }

    pub(super) fn is_member(&self, groups: &[String], address: &Address) -> bool {
        groups.iter().filter_map(|group| self.groups.get(group)).any(|members| any(members, address))
    }
}

/// One decision per recipient, in the order of the envelope.
///
/// Every rule whose conditions hold competes, and so does what the sender asked for. The default competes when no rule
/// for everybody matched: an operator's rule replaces it, a sender's wish can only add to it. The most protective wins (see
/// `protection`), of equals the first in the config. A rule, or the default, that may be relaxed stands back where one of
/// a narrower scope matches. The sender's wish and the subject only add protection. What wins is held to REQUIRETLS. See docs/decisions/0028-rules-in-scopes.md.
///
/// `marks` are what `marks` read of the same submission.
pub fn decide(
    rules: &Rules,
    (submission, marks): (&Submission<'_>, &Marks),
    verdict: &Verdict,
    facts: &Facts,
) -> Vec<Decision> {
    let decide_one = |(at, recipient): (usize, &Address)| {
        let case = Case { rules, submission, verdict, marks, recipient };
        let mut decision = case.decide();
        decision.remarks.extend(marks.remarks.iter().cloned());
        decision.remarks.extend(known(recipient, facts.of(at)));
        decision
    };
    let mut decisions: Vec<_> = submission.envelope.recipients().iter().enumerate().map(decide_one).collect();
    require_tls::obey(&mut decisions, submission.envelope, submission.tree);
    decisions
}

/// A rule that was looked at: what it would do, or why it does not apply.
struct Candidate<'a> {
    name: &'a str,
    level: Level,
    may_relax: bool,
    fate: Fate,
    adds: Vec<String>,
}

enum Fate {
    Competes(Plan),
    /// It matched, and only adds.
    Adds,
    /// The condition that does not hold.
    Unmet(String),
}

impl<'a> Candidate<'a> {
    /// What is no rule of the config, and adds nothing.
    fn of_ours(name: &'a str, plan: Result<Plan, String>) -> Candidate<'a> {
        let fate = plan.map_or_else(Fate::Unmet, Fate::Competes);
        Candidate { name, level: Level::Everybody, may_relax: false, fate, adds: Vec::new() }
    }

    fn plan(&self) -> Option<&Plan> {
        match &self.fate {
            Fate::Competes(plan) => Some(plan),
            Fate::Adds | Fate::Unmet(_) => None,
        }
    }

    fn matched(&self) -> bool {
        !matches!(self.fate, Fate::Unmet(_))
    }
}

impl Case<'_> {
    fn decide(&self) -> Decision {
        let rules = self.rules;
        let mut adds = Additions::default();
        let mut candidates: Vec<Candidate<'_>> =
            rules.rules.iter().enumerate().map(|rule| self.candidate(rule, &mut adds)).collect();
        let default = Plan::deliver(&rules.default, Last::Hold);
        let of_everybody =
            |candidate: &Candidate<'_>| candidate.level == Level::Everybody && candidate.plan().is_some();
        let ruled = candidates.iter().any(of_everybody);
        let written = candidates.len();
        candidates.extend(self.wishes(&mut adds));
        let stands = if ruled { Err("no rule for everybody matched".to_owned()) } else { Ok(default.clone()) };
        candidates.push(Candidate { may_relax: rules.default_may_relax, ..Candidate::of_ours(DEFAULT, stands) });

        let winner = winner(&candidates, written);
        let plan = candidates[winner].plan().unwrap_or(&default);
        let matched = || rules.rules.iter().zip(&candidates).filter(|(_, candidate)| candidate.matched());
        let slowest = matched().map(|(rule, _)| rule).rev().max_by_key(|rule| rule.delay);
        let goes = matches!(plan.action, Action::Deliver { .. });
        let slowest = slowest.filter(|rule| goes && !rule.delay.is_zero());
        let mut decision = Decision {
            recipient: self.recipient.clone(),
            action: plan.action.clone(),
            cause: plan.cause,
            released: released(&candidates, written, (plan, &default)),
            rule: candidates[winner].name.to_owned(),
            tried: tried(&candidates, winner),
            remarks: plan.remarks.iter().cloned().chain(slowest.map(waits)).collect(),
            delay: slowest.map_or(Duration::ZERO, |rule| rule.delay),
            receipt: matched().any(|(rule, _)| rule.receipt),
            concerns: Vec::new(),
            adds,
            copy: false,
        };
        self.finish(&mut decision);
        decision
    }

    fn candidate<'r>(&self, (at, rule): (usize, &'r Rule), adds: &mut Additions) -> Candidate<'r> {
        let (fate, added) = match (self.unmet(rule), &rule.then) {
            (Some(condition), _) => (Fate::Unmet(condition), Vec::new()),
            (None, Some(then)) => (Fate::Competes(Plan::of(then)), adds.add((at, rule))),
            (None, None) => (Fate::Adds, adds.add((at, rule))),
        };
        Candidate { name: &rule.name, level: rule.scope.level(), may_relax: rule.may_relax, fate, adds: added }
    }

    /// What competes beside the rules: what the sender asks for, and what the subject calls for. Behind these, always,
    /// stands the default.
    fn wishes(&self, adds: &mut Additions) -> Vec<Candidate<'static>> {
        let mut wishes = Vec::new();
        if self.marks.opting_out == OptingOut::Asked {
            wishes.push(Candidate::of_ours(OPTED_OUT, self.opted_out()));
        }
        if let Some(plan) = self.subject(adds) {
            wishes.push(Candidate::of_ours(SUBJECT, Ok(plan)));
        }
        if let Some(text) = self.marks.refused {
            wishes.push(Candidate::of_ours(REFUSED, Ok(Plan::reject(text))));
        }
        wishes.push(Candidate::of_ours(ASKED, self.asked()));
        wishes
    }

    /// The most protective of the sender's wishes.
    fn asked(&self) -> Result<Plan, String> {
        let mut plans = self.marks.asks.iter().map(|ask| Plan::deliver(&ask.methods, ask.last));
        let first = plans.next().ok_or("the message carries a tag or a header that asks for protection")?;
        Ok(plans.fold(first, |best, next| if next.protection > best.protection { next } else { best }))
    }

    /// Opting out needs a right and a reason, and helps no health information.
    fn opted_out(&self) -> Result<Plan, String> {
        let senders = self.submission.tree.from.iter().chain(self.submission.envelope.sender().mailbox());
        let granted = match self.submission.permission {
            Permission::Granted => true,
            Permission::NotGranted => {
                let mut senders = senders.peekable();
                senders.peek().is_some() && senders.all(|sender| any(&self.rules.may_opt_out, sender))
            }
        };
        if !granted {
            return Err("the sender may opt out of protection".into());
        }
        // Only asked whether there is one.
        if self.marks.reason.as_ref().is_none_or(|reason| reason.expose().trim().is_empty()) {
            return Err("a reason is given in X-Sealpost-Reason".into());
        }
        if classify::is_phi(self.verdict, self.rules.point) {
            return Err("no health information was found".into());
        }
        Ok(Plan::deliver(&self.rules.opted_out, Last::Hold))
    }

    /// What a subject with health information calls for: to be moved, or the plan to hold the message.
    fn subject(&self, adds: &mut Additions) -> Option<Plan> {
        let holds = classify::is_phi(self.verdict, self.rules.point) && subject::holds_phi(self.verdict);
        if holds && self.rules.phi_subject == PhiSubject::Hold {
            return Some(Plan::hold("the subject holds health information"));
        }
        if holds && self.rules.phi_subject == PhiSubject::Move {
            adds.subject = SubjectFate::Moves;
        }
        // Rules have added theirs.
        let moves = adds.subject == SubjectFate::Moves;
        let stays = self.submission.seen.ends == Ends::Sealed || subject::further(self.submission.tree).is_none();
        (moves && stays).then(|| Plan::hold("the subject is to move inside, and the message must not be edited"))
    }

    /// What holds whichever rule won.
    fn finish(&self, decision: &mut Decision) {
        if let Some(least) = self.marks.least_tls {
            raise(&mut decision.released, least);
            if let Action::Deliver { methods, last: _ } = &mut decision.action {
                raise(methods, least);
                decision.remarks.push(format!("X-Sealpost-Min-Tls asks for tls:{least} at least"));
            }
        }
        let wished = self.marks.expire.map(|expire| decision.adds.add_expiry(expire));
        decision.remarks.extend(wished.map(|told| format!("the sender {told}")));
        let wished = self.marks.verify.map(|verify| decision.adds.add_verification(verify));
        decision.remarks.extend(wished.map(|told| format!("the sender {told}")));
        let sealed = self.submission.seen.ends == Ends::Sealed;
        if decision.adds.subject == SubjectFate::Moves && !sealed {
            decision.remarks.push("the subject is moved inside".into());
        }
        let edits = !decision.adds.footers.is_empty() || decision.adds.part2_notice;
        if sealed && edits {
            decision.remarks.push("no footer: a message that is signed or sealed end to end is not edited".into());
        }
    }
}

fn waits(rule: &Rule) -> String {
    let delay = humantime::format_duration(rule.delay);
    format!("the rule \"{}\" has it wait {delay} before it is first tried: until then it can be taken back", rule.name)
}

/// Whether one protects more than the other; what does not compete protects nothing.
fn more(one: &Candidate<'_>, than: &Candidate<'_>) -> bool {
    match (one.plan(), than.plan()) {
        (Some(one), Some(than)) => one.protection > than.protection,
        (one, _) => one.is_some(),
    }
}

/// Which candidate decides: of the first `written`, which are the config's rules, and the last, which is the default, the
/// most protective that is in force; then the wishes.
fn winner(candidates: &[Candidate<'_>], written: usize) -> usize {
    let rules = &candidates[..written];
    let default = candidates.len() - 1;
    let narrowest = rules.iter().filter(|rule| rule.plan().is_some()).map(|rule| rule.level).max();
    // A wider scope gives way to a narrower one only where it says so.
    let in_force = |candidate: &Candidate<'_>| !candidate.may_relax || narrowest.is_none_or(|n| n <= candidate.level);
    let wished = || (written..default).filter(|at| candidates[*at].plan().is_some());
    // Who may opt out does so of the default, and competes in its place; a rule was written for a reason.
    let opted_out = wished().find(|at| candidates[*at].name == OPTED_OUT);
    let stands = candidates[default].plan().is_some() && in_force(&candidates[default]);
    let fallback = opted_out.filter(|_| stands).unwrap_or(default);
    let standing = (0..written).chain([fallback]).filter(|at| in_force(&candidates[*at]));
    let stronger = |one: usize, two: usize| if more(&candidates[two], &candidates[one]) { two } else { one };
    let mut current = standing.reduce(stronger).unwrap_or(default);
    for at in wished().filter(|at| Some(*at) != opted_out) {
        let ties = current == fallback && !more(&candidates[fallback], &candidates[at]);
        if ties || more(&candidates[at], &candidates[current]) {
            current = at;
        }
    }
    current
}

/// The methods of the most protective list that matched, for a message that is held or refused. Where the list that won
/// has no method that exists, there is none: another rule's would protect less. What holds all mail names no way for it, so
/// the default competes unless a rule for everybody does.
fn released(candidates: &[Candidate<'_>], written: usize, (winner, default): (&Plan, &Plan)) -> Vec<Method> {
    if winner.cause == Some(HoldCause::MethodsExhausted) {
        return Vec::new();
    }
    let for_everybody = |candidate: &Candidate<'_>| {
        candidate.level == Level::Everybody && candidate.plan().is_some_and(Plan::is_a_list)
    };
    let listed = candidates[..written].iter().any(for_everybody);
    let opts_out = |at: usize| at >= written && candidates[at].name == OPTED_OUT;
    // The first of equals, as everywhere: `max_by` takes the last.
    let matched = candidates.iter().enumerate().rev().filter(|(at, _)| !opts_out(*at));
    let matched = (!listed).then_some(default).into_iter().chain(matched.filter_map(|(_, found)| found.plan()));
    let lists = matched.filter(|plan| plan.is_a_list()).max_by(|one, other| one.protection.cmp(&other.protection));
    match &lists.unwrap_or(default).action {
        Action::Deliver { methods, last: _ } => methods.clone(),
        Action::Hold { .. } | Action::Reject { .. } => Vec::new(),
    }
}

fn tried(candidates: &[Candidate<'_>], winner: usize) -> Vec<Tried> {
    let by = candidates[winner].name;
    let won = candidates[winner].plan().map(|plan| &plan.protection);
    let result = |(at, candidate): (usize, &Candidate<'_>)| {
        let result = match &candidate.fate {
            Fate::Competes(_) if at == winner => RuleResult::Won,
            Fate::Competes(plan) if Some(&plan.protection) > won => RuleResult::Relaxed { by: by.to_owned() },
            Fate::Competes(_) => RuleResult::Outdone { by: by.to_owned() },
            Fate::Adds => RuleResult::Added,
            Fate::Unmet(condition) => RuleResult::NotMatched { condition: condition.clone() },
        };
        Tried { rule: candidate.name.to_owned(), result, adds: candidate.adds.clone() }
    };
    candidates.iter().enumerate().map(result).collect()
}

/// What was known of a recipient's domain, in words.
fn known(recipient: &Address, facts: Option<&RecipientFacts>) -> Vec<String> {
    let domain = recipient.domain();
    let Some(facts) = facts else { return vec![format!("{domain}: nothing could be found out in time")] };
    let mut words = Vec::new();
    if facts.routed {
        words.push(format!("{domain}: a route covers it; its floor counts where it is higher"));
    }
    words.push(match &facts.tls_seen {
        Some((assurance, when)) => format!("{domain}: best TLS so far is {assurance}, on {when}"),
        None => format!("{domain}: no earlier delivery is remembered"),
    });
    if !facts.mx_seen.is_empty() {
        words.push(format!("{domain}: mail servers remembered: {}", facts.mx_seen.join(", ")));
    }
    words
}

#[cfg(test)]
mod tests;
