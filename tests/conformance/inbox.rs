//! What the server has delivered, and whether it is what the cases say. Looked at once, when all of them are played.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use memchr::memmem;

use crate::conformance::case::{Case, Start};
use crate::conformance::play::{Finals, Played, play};
use crate::conformance::step::{Final, Presence, read_line};
use crate::conformance::target::Target;
use crate::conformance::words::Words;
use crate::conformance::{Outcome, Verdict};
use crate::world::{Result, until};

/// How long a delivery may take once everything was said.
const DELIVERY: Duration = Duration::from_secs(30);

/// One message as the next hop got it.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// The MAIL and RCPT lines as they came.
    pub mail: String,
    pub recipients: Vec<String>,
    pub content: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct Inbox(Arc<Mutex<Vec<Delivery>>>);

impl Inbox {
    pub fn take(&self, delivery: Delivery) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
    }

    /// Whatever carries the id in its content or envelope.
    pub fn of(&self, id: &str) -> Vec<Delivery> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|delivery| carries(delivery, id)).cloned().collect()
    }
}

fn carries(delivery: &Delivery, id: &str) -> bool {
    delivery.mail.contains(id)
        || delivery.recipients.iter().any(|recipient| recipient.contains(id))
        || memmem::find(&delivery.content, id.as_bytes()).is_some()
}

/// Judges every case by what arrived. A last message is sent behind all others: when it is there, so is what came before.
pub async fn settle(played: Vec<Played>, target: &Target) -> Result<Vec<Verdict>> {
    if let Some(inbox) = &target.inbox {
        let due = played.iter().any(|played| played.finals == Finals::Due && !played.case.finals.is_empty());
        if due {
            arrived(&played, inbox).await;
            last_message(target, inbox).await;
        }
    }
    Ok(played.into_iter().map(|played| judged(played, target)).collect())
}

/// Waits until every case that awaits a message has it, or the time is up.
async fn arrived(played: &[Played], inbox: &Inbox) {
    let awaits = |played: &&Played| {
        played.finals == Finals::Due && played.case.finals.iter().any(|last| matches!(last, Final::Delivered(_)))
    };
    let missing = || {
        let mut missing = played.iter().filter(awaits).filter(|played| {
            let deliveries = inbox.of(&played.words.id);
            played
                .case
                .finals
                .iter()
                .any(|last| matches!(last, Final::Delivered(_)) && fault(last, &deliveries).is_some())
        });
        missing.next().is_none().then_some(())
    };
    // What is still missing then is told case by case.
    until("deliveries", DELIVERY, missing).await.ok();
}

async fn last_message(target: &Target, inbox: &Inbox) {
    let cites = crate::conformance::case::Citation {
        document: String::new(),
        section: String::new(),
        strength: crate::conformance::case::Strength::Must,
    };
    let mut case = Case {
        file: String::new(),
        line: 0,
        title: "the last message".into(),
        cites,
        start: Start::Data,
        needs: Vec::new(),
        steps: Vec::new(),
        finals: Vec::new(),
    };
    for line in ["C: {header}", "C:", "C: the last one", "C: .", "S: 250"] {
        read_line(line, 0, &mut case).ok();
    }
    let last = play(Arc::new(case), target).await;
    if last.outcome == Outcome::Passed {
        until("the last message", DELIVERY, || (!inbox.of(&last.words.id).is_empty()).then_some(())).await.ok();
    }
}

/// What the next hop got wrong by what it got; `None` when there is nothing to say.
pub fn faults(played: &Played, target: &Target) -> Option<String> {
    let deliveries = target.inbox.as_ref()?.of(&played.words.id);
    let words = &played.words;
    played.case.finals.iter().find_map(|last| fault(&put_in(last, words), &deliveries))
}

fn judged(played: Played, target: &Target) -> Verdict {
    let fault = if played.finals == Finals::Due { faults(&played, target) } else { None };
    let Played { case, words, mut outcome, mut dialog, .. } = played;
    if let Some(fault) = fault {
        let deliveries = target.inbox.as_ref().map(|inbox| inbox.of(&words.id)).unwrap_or_default();
        dialog.extend(deliveries.iter().flat_map(shown));
        outcome = Outcome::Failed(format!("behind the dialog: {fault}"));
    }
    Verdict { case, outcome, dialog }
}

fn put_in(last: &Final, words: &Words) -> Final {
    let put = |octets: &[u8]| match std::str::from_utf8(octets).map(|text| words.put_in(text, 0)) {
        Ok(Ok(text)) => text.into_bytes(),
        Ok(Err(_)) | Err(_) => octets.to_vec(),
    };
    match last {
        Final::Has(lines) => Final::Has(put(lines)),
        Final::HasNot(text) => Final::HasNot(put(text)),
        Final::Body(lines) => Final::Body(put(lines)),
        Final::NextHop { verb, word, presence } => {
            let word = words.put_in(word, 0).unwrap_or_else(|_| word.clone());
            Final::NextHop { verb: verb.clone(), word, presence: *presence }
        }
        Final::Verbatim(word) => Final::Verbatim(words.put_in(word, 0).unwrap_or_else(|_| word.clone())),
        Final::Trace(text) => Final::Trace(words.put_in(text, 0).unwrap_or_else(|_| text.clone())),
        Final::FirstLine(_) | Final::TraceFits(_) | Final::HeaderFits(_) => last.clone(),
        Final::Delivered(_) | Final::NotDelivered | Final::AtMostOne | Final::CleanLines => last.clone(),
    }
}

fn shown(delivery: &Delivery) -> Vec<String> {
    let mut lines = vec![format!("-- delivered by {} {}", delivery.mail, delivery.recipients.join(" "))];
    let text = String::from_utf8_lossy(&delivery.content);
    lines.extend(text.split('\n').take(30).map(|line| format!("   {}", line.escape_debug())));
    lines
}

/// What is wrong with what arrived.
pub fn fault(last: &Final, deliveries: &[Delivery]) -> Option<String> {
    let recipients: usize = deliveries.iter().map(|delivery| delivery.recipients.len()).sum();
    match last {
        Final::Delivered(None) => deliveries.is_empty().then(|| "nothing was delivered".to_owned()),
        Final::Delivered(Some(count)) => {
            (recipients != *count).then(|| format!("delivered to {recipients} recipients, not to {count}"))
        }
        Final::NotDelivered => (!deliveries.is_empty()).then(|| "it was delivered".to_owned()),
        Final::AtMostOne => (deliveries.len() > 1).then(|| format!("{} messages were delivered", deliveries.len())),
        Final::CleanLines => {
            deliveries.iter().any(|d| !is_clean(&d.content)).then(|| "bare CR, LF or NUL left".to_owned())
        }
        Final::Has(lines) => {
            let missing = deliveries.iter().any(|d| memmem::find(&d.content, lines).is_none());
            (deliveries.is_empty() || missing).then(|| format!("it does not have {}", lines.escape_ascii()))
        }
        Final::HasNot(text) => {
            let has = deliveries.iter().any(|d| memmem::find(&d.content, text).is_some());
            has.then(|| format!("it has {}", text.escape_ascii()))
        }
        Final::Body(lines) => {
            let other = deliveries.iter().any(|d| body(&d.content) != lines.as_slice());
            (deliveries.is_empty() || other).then(|| "the body is another".to_owned())
        }
        Final::FirstLine(start) => {
            let other = deliveries.iter().find(|d| !d.content.starts_with(start.as_bytes()));
            other.map(|_| format!("the first line is no {start}"))
        }
        Final::Trace(text) => {
            let other =
                deliveries.iter().map(|d| first_header(&d.content)).find(|header| !header.contains(text.as_str()));
            other.map(|header| format!("the first header has no {text:?}: {header}"))
        }
        Final::TraceFits(pattern) => {
            let pattern = regex::Regex::new(pattern).ok()?;
            let other = deliveries.iter().map(|d| first_header(&d.content)).find(|header| !pattern.is_match(header));
            other.map(|header| format!("the first header does not fit {pattern}: {header}"))
        }
        Final::HeaderFits(pattern) => {
            let pattern = regex::Regex::new(pattern).ok()?;
            let other = deliveries.iter().any(|d| !pattern.is_match(&String::from_utf8_lossy(header(&d.content))));
            other.then(|| format!("the header does not fit {pattern}"))
        }
        Final::Verbatim(word) => {
            let has = |d: &Delivery| d.mail.contains(word) || d.recipients.iter().any(|r| r.contains(word));
            (deliveries.is_empty() || !deliveries.iter().all(has))
                .then(|| format!("not verbatim to the next hop: {word}"))
        }
        Final::NextHop { verb, word, presence } => {
            let wrong = deliveries.iter().any(|d| is_wrong(d, verb, (word, *presence)));
            let missing = deliveries.is_empty() && *presence == Presence::There;
            (wrong || missing).then(|| format!("{verb} to the next hop: {word}"))
        }
    }
}

fn is_wrong(delivery: &Delivery, verb: &str, (word, presence): (&str, Presence)) -> bool {
    let lines = if verb == "MAIL" { std::slice::from_ref(&delivery.mail) } else { delivery.recipients.as_slice() };
    let has = lines.iter().any(|line| line.to_ascii_uppercase().contains(&word.to_ascii_uppercase()));
    match presence {
        Presence::There => !has,
        Presence::Absent => has,
    }
}

/// The first header field on one line.
fn first_header(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let mut lines = text.split("\r\n");
    let mut header = lines.next().unwrap_or_default().to_owned();
    for line in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        header.push(' ');
        header.push_str(line.trim_start());
    }
    header
}

fn header(content: &[u8]) -> &[u8] {
    memmem::find(content, b"\r\n\r\n").map_or(content, |at| &content[..at])
}

fn body(content: &[u8]) -> &[u8] {
    memmem::find(content, b"\r\n\r\n").map_or(&[], |at| &content[at + 4..])
}

fn is_clean(content: &[u8]) -> bool {
    let mut before = 0;
    for (at, octet) in content.iter().enumerate() {
        let after = content.get(at + 1).copied().unwrap_or(b'\n');
        if *octet == 0 || (*octet == b'\n' && before != b'\r') || (*octet == b'\r' && after != b'\n') {
            return false;
        }
        before = *octet;
    }
    true
}
