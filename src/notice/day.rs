//! The daily report: what happened since the last one, what waits, and the head of the audit chain.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::audit::{Event, HoldCause, JobState, SignedHead};
use crate::clock::Timestamp;
use crate::config::Legacy;
use crate::mail::{Domain, End, MessageId, Quarantine};
use crate::notice::text::Text;
use crate::notice::{NoticeError, Voice};

/// More than that is no reading matter; `sealpost queue list` has them all.
pub(super) const LISTED: usize = 50;

/// What the daily report tells.
#[derive(Clone, Debug)]
pub struct Day {
    /// When the last report was made, if there was one.
    pub since: Option<Timestamp>,
    pub counts: Counts,
    pub queued: u64,
    pub held: u64,
    pub waiting: Vec<Waiting>,
    pub failed: Vec<FailedCheck>,
    pub head: SignedHead,
}

/// What happened since the last report, by the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub messages: u64,
    pub recipients: u64,
    pub held: u64,
    /// Of the messages, those that came in without TLS.
    pub in_clear: u64,
    pub logins_refused: u64,
    pub ended: BTreeMap<&'static str, u64>,
}

/// One message that waits for somebody.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub reference: MessageId,
    pub domain: Domain,
    pub since: Timestamp,
    pub cause: HoldCause,
}

/// A check of ourselves that failed. Both texts are our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCheck {
    pub name: String,
    pub advice: String,
}

impl Counts {
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::Accepted { jobs, in_clear, .. } => {
                self.messages += 1;
                self.in_clear += u64::from(in_clear.is_some());
                self.recipients += jobs.len() as u64;
                jobs.iter().for_each(|job| self.add_state(&job.state));
            }
            Event::Settled { state, .. } | Event::Moved { state, .. } => self.add_state(state),
            Event::LoginsRefused { count, .. } => self.logins_refused = self.logins_refused.saturating_add(*count),
            Event::Started { .. }
            | Event::Stopped { .. }
            | Event::ConfigLoaded { .. }
            | Event::ConfigRolledBack { .. }
            | Event::Erased { .. }
            | Event::EvidenceErased { .. }
            | Event::ClientSuspended { .. }
            | Event::ClientResumed { .. }
            | Event::LoginsUnlocked { .. }
            | Event::MasterKeyRotated
            | Event::EpochStarted { .. }
            | Event::EpochDestroyed { .. }
            | Event::EvidenceRead { .. }
            | Event::Exported { .. }
            | Event::HeadPublished { .. } => {}
        }
    }

    fn add_state(&mut self, state: &JobState) {
        match state {
            JobState::Queued { .. } => {}
            JobState::Held { .. } => self.held += 1,
            JobState::Ended { end } => *self.ended.entry(end.name()).or_default() += 1,
        }
    }
}

pub(super) fn text(voice: &Voice, day: &Day, at: Timestamp) -> Result<Text, NoticeError> {
    let date = at.rfc3339();
    let date = date.split('T').next().unwrap_or_default();
    let mut body = counted(day);
    body.push_str(&waiting(day));
    body.push_str(&legacy(voice));
    body.push_str(&failed(&day.failed));
    body.push_str(&head(&day.head)?);
    Ok(Text { subject: format!("Sealpost daily report for {}, {date}", voice.hostname), body })
}

fn counted(day: &Day) -> String {
    let since = day.since.map_or("the start".to_owned(), Timestamp::rfc5322);
    let Counts { messages, recipients, held, in_clear, logins_refused, ended } = &day.counts;
    let mut text = format!(
        "Since {since}, our own notices included:\n  messages accepted: {messages}, for {recipients} recipients\n"
    );
    if *logins_refused > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  logins refused: {logins_refused}; `sealpost audit list` shows from where");
    }
    if *in_clear > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  of these came in without TLS: {in_clear}");
    }
    for end in End::ALL {
        if let Some(count) = ended.get(end.name()) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {}: {count}", end.name());
        }
    }
    if ended.contains_key(End::Observed.name()) {
        let _ = writeln!(text, "  what would have become of the observed ones: sealpost policy report --since 1d");
    }
    let _ = writeln!(text, "  held: {held}");
    let _ = writeln!(text, "\nNow:\n  on their way: {}\n  held: {}", day.queued, day.held);
    text
}

fn waiting(day: &Day) -> String {
    if day.waiting.is_empty() {
        return "\nNothing waits for you.\n".into();
    }
    let mut text = String::from("\nWaiting for somebody to look at them:\n");
    for Waiting { reference, domain, since, cause } in day.waiting.iter().take(LISTED) {
        let why = match cause {
            HoldCause::Policy => "a rule says so",
            HoldCause::AcceptAndHold => "a rule refuses it",
            HoldCause::MethodsExhausted => "no protected way",
            HoldCause::Operator => "an administrator stopped it",
        };
        let _ = writeln!(text, "  {reference}  to {domain}, since {}: {why}", since.rfc5322());
    }
    if day.held > LISTED as u64 {
        let _ = writeln!(text, "  and more: sealpost queue list");
    }
    text.push_str("  sealpost explain REFERENCE shows why, sealpost queue release REFERENCE lets one go.\n");
    text
}

fn failed(checks: &[FailedCheck]) -> String {
    if checks.is_empty() {
        return "\nAll self-checks passed.\n".into();
    }
    let mut text = String::from("\nSelf-checks that failed:\n");
    for FailedCheck { name, advice } in checks {
        let _ = writeln!(text, "  {name}: {advice}");
    }
    text
}

/// Each way in without TLS, every day until it is shut.
fn legacy(voice: &Voice) -> String {
    let mut text = String::new();
    for (bind, Legacy { reason, quarantine, .. }) in &voice.legacy {
        if text.is_empty() {
            text.push_str("\nOpen without TLS:\n");
        }
        let Quarantine { owner, until } = quarantine;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {bind}, until {}, owner {owner}: {reason}", until.date());
    }
    text
}

fn head(head: &SignedHead) -> Result<String, NoticeError> {
    let json = serde_json::to_string_pretty(head).map_err(|_| NoticeError::Malformed)?;
    Ok(format!(
        "\nPlease keep this mail. With it, anybody can check later that no entry of the audit log up to number {}\n\
         was altered or taken out: save the lines below as head.json, then\n  \
         sealpost audit verify --head head.json EXPORT\n\n{json}\n",
        head.seq
    ))
}
