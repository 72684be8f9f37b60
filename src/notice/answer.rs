//! From an owed notice to what it says, and to whom.

use crate::evidence::Story;
use crate::evidence::record::Record;
use crate::mail::{Address, Code, Enhanced};
use crate::notice::{Fate, LastAttempt, Original, Voice, What};
use crate::policy::Action;
use crate::queue::Owed;
use crate::store::About;

/// Who is told. Nobody answers a null reverse-path (RFC 5321 §4.5.5); the postmaster also hears of what waits for
/// somebody, and of what ran out of time while somebody could have looked.
pub(super) fn told(voice: &Voice, owed: &Owed) -> Vec<Address> {
    let mut to: Vec<Address> = owed.to.mailbox().cloned().into_iter().collect();
    let postmaster = match owed.about {
        About::Held | About::Expired => Some(&voice.postmaster),
        About::Failed | About::Delayed | About::Rejected | About::Undeliverable => None,
    };
    to.extend(postmaster.filter(|postmaster| !to.contains(postmaster)).cloned());
    to
}

/// What a notice may know of it: of the sealed story the times and codes only.
pub(super) fn fate(owed: &Owed, story: &Story) -> Fate {
    let record = &story.record;
    let attempts = story.attempts.iter().filter(|told| told.job == owed.job);
    let last = attempts.max_by_key(|told| told.number).map(|told| {
        let answer = told.attempt.answer.as_ref();
        LastAttempt {
            at: told.at,
            code: answer.map(|answer| Code::new(answer.code)),
            enhanced: answer.and_then(|answer| Enhanced::parse(answer.enhanced.as_deref()?)),
        }
    });
    // A notice may name the original by its id, once it looks like one.
    let message_id = record.message_id.as_ref().map(|id| id.expose().as_str());
    Fate {
        reference: owed.message,
        recipient: owed.recipient.clone(),
        arrived: owed.accepted,
        last,
        original: Original::new(record.date, message_id),
        what: what(owed, record),
    }
}

fn what(owed: &Owed, record: &Record) -> What {
    match owed.about {
        About::Failed => What::Refused,
        About::Expired => What::Expired,
        About::Delayed => What::Delayed { until: owed.expires },
        About::Undeliverable => What::Undeliverable,
        About::Rejected => What::Rejected { text: rule_words(owed, record).unwrap_or_default() },
        About::Held => What::Held { cause: owed.cause, reason: rule_words(owed, record), until: owed.expires },
    }
}

/// The words of the rule that held or refused it. They are the operator's, and go to the operator's own people.
fn rule_words(owed: &Owed, record: &Record) -> Option<String> {
    let decided = record.recipients.iter().find(|recipient| recipient.address == owed.recipient)?;
    match &decided.action {
        Action::Hold { reason } => Some(reason.clone()),
        Action::Reject { text } => Some(text.clone()),
        Action::Deliver { .. } => None,
    }
}

#[cfg(test)]
mod tests;
