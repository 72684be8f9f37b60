//! Whether a message looks like a mistake of its sender's, and what is done then.
//!
//! Nothing here makes a decision weaker: a message that goes may be told of, may wait, or is held for a person; what a rule
//! holds or refuses stays held or refused. The words name domains and numbers, never a person and nothing of the content.

mod amount;
mod greeting;
mod letter;
mod names;
mod quoted;
mod signs;

use std::time::Duration;

use crate::audit::HoldCause;
use crate::classify::Verdict;
use crate::config::{Care, Guard, Response};
use crate::mail::{Address, Envelope};
use crate::mime::{Content, Tree};
use crate::policy::{Action, Decision, Facts, RuleResult, Tried};
use names::Known;

pub use amount::WholeRecord;
pub use letter::Letter;
pub use signs::{Sign, Signs};

/// So much of a client's mail must be remembered before its habits count.
const HABIT: u64 = 20;

/// A message, as the guard sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    pub envelope: &'a Envelope,
    pub letter: &'a Letter,
    pub tree: &'a Tree,
    pub verdict: &'a Verdict,
    pub facts: &'a Facts,
}

/// Everything about a message that may be a mistake.
pub fn signs(seen: Sight<'_>) -> Signs {
    let past = &seen.facts.past;
    let recipients = || seen.envelope.recipients().iter().enumerate();
    let burst = |at| past.lately.get(at).filter(|before| **before > 0).map(|before| Sign::Burst(*before));
    let mut signs = Signs {
        of_message: past.alike.iter().cloned().map(Sign::Repeats).collect(),
        of_recipients: recipients().map(|(at, _)| burst(at).into_iter().collect()).collect(),
    };
    if !seen.verdict.phi {
        return signs;
    }
    let known = Known::of(&seen.facts.past.domains);
    signs.of_message.extend(of_the_message(&seen));
    for (found, recipient) in signs.of_recipients.iter_mut().zip(recipients()) {
        found.extend(of_a_recipient(&seen, &known, recipient));
    }
    signs
}

fn of_the_message(seen: &Sight<'_>) -> Vec<Sign> {
    let mut signs = Vec::new();
    let together = seen.letter.to.len();
    if together > 1 {
        signs.push(Sign::Together(together));
        if !seen.letter.answers.is_empty() {
            signs.push(Sign::AnswersTo(together));
        }
    }
    signs.extend(amount::whole_record(seen.tree, seen.verdict).map(Sign::Carries));
    if seen.verdict.persons > 1 {
        signs.push(Sign::About(seen.verdict.persons));
    }
    if quoted::quotes(seen.letter, seen.envelope, seen.tree) {
        signs.push(Sign::Quotes);
    }
    signs
}

fn of_a_recipient(seen: &Sight<'_>, known: &Known, (at, recipient): (usize, &Address)) -> Vec<Sign> {
    let past = &seen.facts.past;
    let domain = recipient.domain();
    let written = past.written.get(at).copied();
    let reached = past.times(domain) > 0 || written.is_some_and(|times| times > 0);
    let routed = seen.facts.of(at).is_some_and(|facts| facts.routed);
    let mut signs = Vec::new();
    if !reached && !routed && !names::is_consumer(domain) {
        signs.extend(known.like(domain).map(Sign::LooksLike));
    }
    let all: u64 = past.domains.iter().map(|(_, times)| times).sum();
    if names::is_consumer(domain) && all >= HABIT && !past.domains.iter().any(|(domain, _)| names::is_consumer(domain))
    {
        signs.push(Sign::Private);
    }
    if written == Some(0) {
        signs.push(Sign::First);
    }
    if is_greeted_wrongly(seen, recipient) {
        signs.push(Sign::GreetsAnother);
    }
    if past.took_part.get(at) == Some(&false) {
        signs.push(Sign::NoPart);
    }
    signs
}

/// Only where there is one recipient: of several, each may be greeted.
fn is_greeted_wrongly(seen: &Sight<'_>, recipient: &Address) -> bool {
    let [to] = seen.letter.to.as_slice() else { return false };
    if seen.envelope.recipients().len() != 1 || to.address != *recipient {
        return false;
    }
    let mut texts = seen.tree.parts.iter().filter(|part| part.name.is_none() && part.media_type.starts_with("text/"));
    let body = texts.find(|part| part.path.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.'));
    let Some(Content::Text(text)) = body.map(|part| &part.content) else { return false };
    // Read for the name in its first lines, which is compared and dropped.
    greeting::is_somebody_else(&greeting::greeted(text.expose()), to)
}

/// Adds to each decision what the config asks for where there are signs.
pub fn guard((guard, care): (&Guard, &Care), signs: &Signs, decisions: &mut [Decision]) {
    for (at, decision) in decisions.iter_mut().enumerate() {
        let signs = signs.of_message.iter().chain(signs.of_recipients.get(at).into_iter().flatten());
        let concerns =
            signs.map(|sign| (sign, sign.response(guard, care))).filter(|(_, response)| *response > Response::Off);
        let concerns: Vec<(&Sign, Response)> = concerns.collect();
        if !concerns.is_empty() {
            obey(guard.delay, &concerns, decision);
        }
    }
}

fn obey(delay: Duration, concerns: &[(&Sign, Response)], decision: &mut Decision) {
    let Action::Deliver { methods, last: _ } = &decision.action else { return };
    let domain = decision.recipient.domain().clone();
    let strongest = concerns.iter().map(|(_, response)| *response).max().unwrap_or_default();
    decision.receipt |= concerns.iter().any(|(sign, response)| *response < Response::Hold || !sign.is_of_programs());
    decision.concerns.extend(concerns.iter().map(|(sign, _)| sign.words(&domain)));
    if strongest == Response::Delay && decision.delay < delay {
        decision.delay = delay;
        let delay = humantime::format_duration(delay);
        decision
            .remarks
            .push(format!("the guard has it wait {delay} before it is first tried: until then it can be taken back"));
    }
    if strongest == Response::Hold {
        let holding = || concerns.iter().filter(|(_, response)| *response == Response::Hold).map(|(sign, _)| sign);
        let reason = holding().map(|sign| sign.words(&domain)).collect::<Vec<_>>().join("; ");
        let name = holding().next().map_or("guard", |sign| sign.name()).to_owned();
        decision.released = methods.clone();
        decision.action = Action::Hold { reason };
        decision.cause = Some(HoldCause::Policy);
        decision.delay = Duration::ZERO;
        for tried in decision.tried.iter_mut().filter(|tried| tried.result == RuleResult::Won) {
            tried.result = RuleResult::Outdone { by: name.clone() };
        }
        decision.tried.push(Tried { rule: name.clone(), result: RuleResult::Won, adds: Vec::new() });
        decision.rule = name;
    }
}

#[cfg(test)]
mod tests;
