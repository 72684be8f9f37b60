//! The rules of one config, and the decision that they come to for each recipient.

use std::time::Duration;

use crate::audit::HoldCause;
use crate::classify::Verdict;
use crate::config::{self, Last, Rule, When};
use crate::mail::{Address, Method};
use crate::policy::marks::{Marks, Tag, marks, tags};
use crate::policy::protection::Plan;
use crate::policy::{Action, Decision, Facts, RecipientFacts, RuleResult, Submission, Tried, require_tls};

/// The name under which a sender's own wish competes.
const ASKED: &str = "sender asked for protection";
/// The name under which `[policy] default` competes.
const DEFAULT: &str = "default";

/// The rules of one config, compiled.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    default: Vec<Method>,
    pub(super) secure: Vec<Method>,
    pub(super) tags: Vec<Tag>,
}

impl Rules {
    pub fn compile(policy: &config::Policy) -> Rules {
        Rules {
            rules: policy.rules.clone(),
            default: policy.default.clone(),
            secure: policy.secure.clone(),
            tags: tags(policy),
        }
    }
}

/// One decision per recipient, in the order of the envelope.
///
/// Every rule whose conditions hold competes, and so does what the sender asked for. The default competes when no rule
/// of the config matched: an operator's rule replaces it, a sender's wish can only add to it. The most protective wins
/// (see `protection`); of equals the first in the config, then the sender's wish, then the default. What wins is held to
/// REQUIRETLS.
pub fn decide(rules: &Rules, submission: &Submission<'_>, verdict: &Verdict, facts: &Facts) -> Vec<Decision> {
    let marks = marks(rules, submission.tree, submission.marks);
    let decide_one = |(at, recipient): (usize, &Address)| {
        let case = Case { submission, verdict, marks: &marks, recipient };
        let mut decision = case.decide(rules);
        decision.remarks.extend(marks.remarks.iter().cloned());
        decision.remarks.extend(known(recipient, facts.of(at)));
        decision
    };
    let mut decisions: Vec<_> = submission.envelope.recipients().iter().enumerate().map(decide_one).collect();
    require_tls::obey(&mut decisions, submission.envelope, submission.tree);
    decisions
}

/// One recipient of one message, as the rules see it.
struct Case<'a> {
    submission: &'a Submission<'a>,
    verdict: &'a Verdict,
    marks: &'a Marks,
    recipient: &'a Address,
}

/// A rule that was looked at: what it would do, or why it does not apply.
struct Candidate<'a> {
    name: &'a str,
    plan: Result<Plan, String>,
}

impl Case<'_> {
    fn decide(&self, rules: &Rules) -> Decision {
        let mut candidates: Vec<Candidate<'_>> = rules.rules.iter().map(|rule| self.candidate(rule)).collect();
        let ruled = candidates.iter().any(|candidate| candidate.plan.is_ok());
        candidates.push(Candidate { name: ASKED, plan: self.asked() });
        let default = Plan::deliver(&rules.default, Last::Hold);
        let stands = if ruled { Err("no rule of the config matched".to_owned()) } else { Ok(default.clone()) };
        candidates.push(Candidate { name: DEFAULT, plan: stands });

        let mut best: Option<(usize, &Plan)> = None;
        for (at, candidate) in candidates.iter().enumerate() {
            let Ok(plan) = &candidate.plan else { continue };
            if best.is_none_or(|(_, so_far)| plan.protection > so_far.protection) {
                best = Some((at, plan));
            }
        }
        let (winner, plan) = best.unwrap_or((candidates.len() - 1, &default));
        let matched = || rules.rules.iter().zip(&candidates).filter(|(_, candidate)| candidate.plan.is_ok());
        let slowest = matched().map(|(rule, _)| rule).rev().max_by_key(|rule| rule.delay);
        let goes = matches!(plan.action, Action::Deliver { .. });
        let slowest = slowest.filter(|rule| goes && !rule.delay.is_zero());
        Decision {
            recipient: self.recipient.clone(),
            action: plan.action.clone(),
            cause: plan.cause,
            released: released(&candidates, plan, &default),
            rule: candidates[winner].name.to_owned(),
            tried: tried(&candidates, winner),
            remarks: plan.remarks.iter().cloned().chain(slowest.map(waits)).collect(),
            delay: slowest.map_or(Duration::ZERO, |rule| rule.delay),
            receipt: matched().any(|(rule, _)| rule.receipt),
            concerns: Vec::new(),
        }
    }

    fn candidate<'r>(&self, rule: &'r Rule) -> Candidate<'r> {
        let plan = match self.unmet(&rule.when) {
            Some(condition) => Err(condition.to_owned()),
            None => Ok(Plan::of(&rule.then)),
        };
        Candidate { name: &rule.name, plan }
    }

    /// The most protective of the sender's wishes.
    fn asked(&self) -> Result<Plan, String> {
        let mut plans = self.marks.asks.iter().map(|ask| Plan::deliver(&ask.methods, Last::Hold));
        let first = plans.next().ok_or("the message carries a tag or a header that asks for protection")?;
        Ok(plans.fold(first, |best, next| if next.protection > best.protection { next } else { best }))
    }

    /// The first condition that does not hold, in words. Never the value it was compared with, which may be a person.
    fn unmet(&self, when: &When) -> Option<&'static str> {
        let submission = self.submission;
        let names = |clients: &[_]| submission.client.is_some_and(|client| clients.contains(client));
        if !when.client.is_empty() && !names(&when.client) {
            return Some("the client is one of those named");
        }
        // People know a sender by From:. MAIL may name whom a CRM counts bounces by, or whomever the client likes.
        let mut senders = submission.tree.from.iter().chain(submission.envelope.sender().mailbox());
        if !when.sender.is_empty() && !senders.any(|sender| any(&when.sender, sender)) {
            return Some("the sender fits one of the patterns");
        }
        if !when.recipient.is_empty() && !any(&when.recipient, self.recipient) {
            return Some("the recipient fits one of the patterns");
        }
        let domain = self.recipient.domain();
        if !when.recipient_domain.is_empty() && !when.recipient_domain.iter().any(|pattern| domain.matches(pattern)) {
            return Some("the recipient's domain fits one of the patterns");
        }
        if when.phi.is_some_and(|expected| expected != self.verdict.phi) {
            return Some(if self.verdict.phi {
                "no health information was found"
            } else {
                "health information was found"
            });
        }
        if !when.kinds.is_empty() && !self.verdict.findings.iter().any(|finding| when.kinds.contains(&finding.kind)) {
            return Some("one of the kinds was found");
        }
        let marked = !self.marks.asks.is_empty();
        if when.marked.is_some_and(|expected| expected != marked) {
            return Some(if marked { "the sender asked for no protection" } else { "the sender asked for protection" });
        }
        None
    }
}

fn waits(rule: &Rule) -> String {
    let delay = humantime::format_duration(rule.delay);
    format!("the rule \"{}\" has it wait {delay} before it is first tried: until then it can be taken back", rule.name)
}

/// The methods of the most protective list that matched, for a message that a rule holds or refuses. Where the list that
/// won has no method that exists, there is none: another rule's would protect less.
fn released(candidates: &[Candidate<'_>], winner: &Plan, default: &Plan) -> Vec<Method> {
    if winner.cause == Some(HoldCause::MethodsExhausted) {
        return Vec::new();
    }
    // The first of equals, as everywhere: `max_by` takes the last.
    let matched = candidates.iter().rev().filter_map(|candidate| candidate.plan.as_ref().ok());
    let lists = matched.filter(|plan| plan.is_a_list()).max_by(|one, other| one.protection.cmp(&other.protection));
    match &lists.unwrap_or(default).action {
        Action::Deliver { methods, last: _ } => methods.clone(),
        Action::Hold { .. } | Action::Reject { .. } => Vec::new(),
    }
}

fn any(patterns: &[String], address: &Address) -> bool {
    patterns.iter().any(|pattern| address.matches(pattern))
}

fn tried(candidates: &[Candidate<'_>], winner: usize) -> Vec<Tried> {
    let by = candidates[winner].name;
    let result = |(at, candidate): (usize, &Candidate<'_>)| {
        let result = match &candidate.plan {
            Ok(_) if at == winner => RuleResult::Won,
            Ok(_) => RuleResult::Outdone { by: by.to_owned() },
            Err(condition) => RuleResult::NotMatched { condition: condition.clone() },
        };
        Tried { rule: candidate.name.to_owned(), result }
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
