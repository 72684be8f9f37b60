//! The rules of one config, and the decision that they come to for each recipient.

use std::collections::HashMap;
use std::time::Duration;

use crate::audit::HoldCause;
use crate::classify::Verdict;
use crate::config::{self, Last, OperatingPoint, Rule};
use crate::mail::{Address, Method};
use crate::policy::conditions::{Case, any};
use crate::policy::marks::{Means, Tag, marks, tags};
use crate::policy::protection::Plan;
use crate::policy::{Action, Decision, Facts, RecipientFacts, RuleResult, Submission, Tried, require_tls};

/// The name under which a sender's own wish competes.
const ASKED: &str = "sender asked for protection";
/// The name under which `[policy] default` competes.
const DEFAULT: &str = "default";

/// The rules of one config, compiled.
#[derive(Debug)]
pub struct Rules {
    pub(super) rules: Vec<Rule>,
    default: Vec<Method>,
    pub(super) secure: Vec<Method>,
    pub(super) tags: Vec<(Tag, Means)>,
    pub(super) point: OperatingPoint,
    groups: HashMap<String, Vec<String>>,
}

impl Rules {
    pub fn compile(policy: &config::Policy) -> Rules {
        Rules {
            rules: policy.rules.clone(),
            default: policy.default.clone(),
            secure: policy.secure.clone(),
            tags: tags(policy),
            point: policy.point,
            groups: policy.groups.iter().map(|group| (group.name.clone(), group.members.clone())).collect(),
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
/// of the config matched: an operator's rule replaces it, a sender's wish can only add to it. The most protective wins
/// (see `protection`); of equals the first in the config, then the sender's wish, then the default. What wins is held to
/// REQUIRETLS.
pub fn decide(rules: &Rules, submission: &Submission<'_>, verdict: &Verdict, facts: &Facts) -> Vec<Decision> {
    let marks = marks(rules, submission);
    let decide_one = |(at, recipient): (usize, &Address)| {
        let case = Case { rules, submission, verdict, marks: &marks, recipient };
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
    plan: Result<Plan, String>,
}

impl Case<'_> {
    fn decide(&self) -> Decision {
        let rules = self.rules;
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
        let plan = match self.unmet(rule) {
            Some(condition) => Err(condition),
            None => Ok(Plan::of(&rule.then)),
        };
        Candidate { name: &rule.name, plan }
    }

    /// The most protective of the sender's wishes.
    fn asked(&self) -> Result<Plan, String> {
        let mut plans = self.marks.asks.iter().map(|ask| Plan::deliver(&ask.methods, ask.last));
        let first = plans.next().ok_or("the message carries a tag or a header that asks for protection")?;
        Ok(plans.fold(first, |best, next| if next.protection > best.protection { next } else { best }))
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
