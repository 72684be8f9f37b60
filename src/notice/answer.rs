//! From an owed notice to what it says, and to whom.

use crate::audit::JobState;
use crate::evidence::record::Recipient;
use crate::evidence::{Journey, Story};
use crate::mail::{Address, Code, Enhanced};
use crate::notice::{Fate, LastAttempt, Original, Voice, What};
use crate::policy::Action;
use crate::queue::Owed;
use crate::store::About;

/// Who is told. Nothing goes to a null reverse-path (RFC 5321 §4.5.5): then it is the postmaster. The postmaster also
/// hears of what waits for somebody, and of what ran out of time while somebody could have looked.
pub(super) fn told(voice: &Voice, owed: &Owed) -> Vec<Address> {
    let postmaster = &voice.postmaster;
    let Some(sender) = owed.to.mailbox() else { return vec![postmaster.clone()] };
    match owed.about {
        // To the sender the message is late, as others are.
        About::Unanswered => vec![postmaster.clone()],
        About::Held | About::Expired if sender != postmaster => vec![sender.clone(), postmaster.clone()],
        About::Held
        | About::Expired
        | About::Failed
        | About::Delayed
        | About::Relayed
        | About::Rejected
        | About::Undeliverable
        | About::Taken => vec![sender.clone()],
        About::Matched => vec![postmaster.clone()],
    }
}

/// What a notice may know of it: of the sealed story the times, the codes, and the words of the rule only.
pub(super) fn fate(owed: &Owed, story: &Story) -> Fate {
    let record = &story.record;
    // A notice may name the original by its id, once it looks like one.
    let message_id = record.message_id.as_ref().map(|id| id.expose().as_str());
    Fate {
        reference: owed.message,
        recipient: owed.recipient.clone(),
        arrived: owed.accepted,
        last: story.journeys.iter().find(|journey| journey.job == owed.job).and_then(last_attempt),
        original: Original::new(record.date, message_id),
        asked: owed.asked.clone(),
        wishes: owed.wishes.clone(),
        what: what(owed, record.recipients.iter().find(|recipient| recipient.address == owed.recipient)),
    }
}

fn last_attempt(journey: &Journey) -> Option<LastAttempt> {
    let made = journey.attempts.iter().max_by_key(|made| made.number)?;
    let answer = made.attempt.answer.as_ref();
    let enhanced = match (answer, &made.attempt.failure) {
        (Some(answer), _) => answer.enhanced.as_deref(),
        // No server was there to say why: then the code is ours.
        (None, Some(failure)) => failure.code.as_deref(),
        (None, None) => None,
    };
    Some(LastAttempt {
        at: made.at,
        code: answer.map(|answer| Code::new(answer.code)),
        enhanced: enhanced.and_then(Enhanced::parse),
    })
}

fn what(owed: &Owed, decided: Option<&Recipient>) -> What {
    let until = owed.expires;
    match owed.about {
        About::Failed => What::Refused,
        About::Expired => What::Expired,
        // These have forms of their own; told in this one, the message is under way.
        About::Delayed | About::Taken | About::Matched => What::Delayed { until },
        About::Unanswered => What::Unanswered { until },
        About::Relayed => What::Relayed,
        About::Undeliverable => What::Undeliverable,
        About::Rejected => What::Rejected { text: decided.and_then(rule_words).unwrap_or_default() },
        About::Held => {
            let cause = match owed.state {
                JobState::Held { cause } => Some(cause),
                JobState::Queued { .. } | JobState::Ended { .. } => None,
            };
            What::Held { cause, reason: decided.and_then(rule_words), until }
        }
    }
}

/// The words of the rule that held or refused it. They are the operator's, and go to the operator's own people.
fn rule_words(recipient: &Recipient) -> Option<String> {
    match &recipient.action {
        Action::Hold { reason } => Some(reason.clone()),
        Action::Reject { text } => Some(text.clone()),
        Action::Deliver { .. } => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
