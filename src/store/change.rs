//! What can be changed: plain data, made by the state rooms, with the state that each change expects to find.

use serde::{Deserialize, Serialize};

use crate::audit::{AcceptedJob, HoldCause, JobState};
use crate::clock::Timestamp;
use crate::config::Last;
use crate::crypto::Digest;
use crate::mail::{Assurance, ClientName, Content, Domain, End, JobId, MessageId, Method, Notify};
use crate::store::{JobRow, Written};

/// One change. Where what it expects is no longer so, it is `Lost`: nothing changes, and no event is made.
#[derive(Clone, Debug)]
pub enum Change {
    /// Nothing but the event.
    Note,
    Accept(Box<NewMessage>),
    /// What an attempt came to. Expects the job queued under the fence.
    Settle(Box<Settlement>),
    /// An operator, or a limit of time, moves a job. Expects the fence.
    Move(Box<Move>),
    /// Keeps the text of a config.
    ConfigLoaded(ConfigText),
    /// Deletes body and body keys. Expects every job ended, and nobody left to be told.
    Erase {
        message: MessageId,
        at: Timestamp,
    },
    /// Deletes whatever is left of a message. Expects its body erased.
    EraseEvidence {
        message: MessageId,
    },
    StartEpoch(NewEpoch),
    /// Deletes an epoch's key. Expects it to seal nothing but the survivors that come along wrapped anew.
    DestroyEpoch {
        epoch: i64,
        survivors: Vec<Rewrapped>,
    },
    /// Wraps everything that the master key wraps under another one. Expects that to be all there is.
    RotateMaster {
        epochs: Vec<Rewrap>,
        nodes: Vec<Rewrap>,
    },
}

#[derive(Clone, Debug)]
pub struct NewMessage {
    pub id: MessageId,
    pub accepted: Timestamp,
    pub bytes: u64,
    pub content: Content,
    pub client: Option<ClientName>,
    pub body: Body,
    pub jobs: Vec<NewJob>,
    pub evidence: SealedEvidence,
    /// Who is owed word that it was accepted; the first job carries the debts.
    pub tell: Tell,
    /// The notice that this message is. Expects it to be still owed.
    pub settles: Option<OwedId>,
}

/// Where a sealed body lies.
#[derive(Clone, Debug)]
pub enum Body {
    Row(Vec<u8>),
    /// In its own file, which was flushed before this was made.
    File,
}

#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub domain: Domain,
    pub epoch: i64,
    /// Sender, recipient and declared body, sealed under the body epoch.
    pub envelope: Vec<u8>,
    pub wrapped_key: Vec<u8>,
    pub owes: Owes,
    pub standing: Standing,
    /// Until when the job is this node's, when it goes to delivery from memory.
    pub leased: Option<Timestamp>,
}

/// Where a job stands, and what is still open to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub state: JobState,
    /// The methods left; the first is the current one.
    pub methods: Vec<Method>,
    pub last: Last,
    pub attempts: u32,
    pub expires: Timestamp,
    /// Since when the current method's floor has not been met.
    pub floor_since: Option<Timestamp>,
    pub delay: Delay,
    /// How often the whole message was given and no answer came: the recipient may have as many copies.
    pub unanswered: u32,
    pub owed: Option<About>,
}

/// Whether the sender has been told that the message is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    Untold,
    Told,
}

/// Whom a job's fate is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owes {
    /// The sender, as far as NOTIFY asks for it, else the postmaster; holds and expiries to the postmaster in any case.
    Sender(Notify),
    /// Nobody sends to a null reverse-path (RFC 5321 §4.5.5); the postmaster is told instead, delays excepted.
    Postmaster,
    /// A notice about a notice: telling of it would never end.
    Nobody,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum About {
    /// Refused for good.
    Failed,
    Expired,
    Delayed,
    /// Handed to a server that reports nothing itself, for a sender who asked to hear of success.
    Relayed,
    Held,
    /// A next hop takes it and does not say so; it is tried on, and the recipient may have copies.
    Unanswered,
    /// Refused by policy, for this recipient of several.
    Rejected,
    /// No allowed method was left, and the policy wants no hold.
    Undeliverable,
    /// It was accepted: a receipt. A job may owe it beside another.
    Taken,
    /// A rule matched it that names whom to tell. A job may owe it beside another.
    Matched,
}

/// Who is owed word of a message as soon as it is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tell {
    #[default]
    Nobody,
    /// A receipt.
    Sender,
    /// Those whom a rule names.
    Named,
    SenderAndNamed,
}

impl Tell {
    pub fn of(sender: bool, named: bool) -> Tell {
        match (sender, named) {
            (false, false) => Tell::Nobody,
            (true, false) => Tell::Sender,
            (false, true) => Tell::Named,
            (true, true) => Tell::SenderAndNamed,
        }
    }

    pub fn sender(self) -> bool {
        matches!(self, Tell::Sender | Tell::SenderAndNamed)
    }

    pub fn named(self) -> bool {
        matches!(self, Tell::Named | Tell::SenderAndNamed)
    }
}

/// Names one owed notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwedId {
    pub(crate) job: JobId,
    pub(crate) about: About,
    /// What the job carries that it is about: nobody is told of the fate of a notice about a notice.
    pub(crate) of: Content,
}

/// One claim of a job. Each claim and each operator's move raises the fence, so that whoever held it before is `Lost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence(pub(crate) i64);

#[derive(Clone, Debug)]
pub struct Settlement {
    pub message: MessageId,
    pub job: JobId,
    pub fence: Fence,
    pub at: Timestamp,
    pub next: Standing,
    pub attempt: Option<SealedAttempt>,
    pub seen: Option<DestinationSeen>,
    /// Whom it reached, when it did.
    pub written: Option<Written>,
}

#[derive(Clone, Debug)]
pub struct Move {
    pub job: JobId,
    pub fence: Fence,
    pub at: Timestamp,
    pub next: Standing,
}

/// What is known of a destination after an attempt. Remembered without an event of its own, with the attempt's settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationSeen {
    pub domain: Domain,
    pub now: Destination,
}

/// What is remembered of a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The MX hosts that are known for it.
    pub mx: Vec<String>,
    /// The best TLS seen on it.
    pub best: Option<Assurance>,
    /// When the best was last seen.
    pub seen: Timestamp,
    /// A set of MX hosts that shares nothing with the known ones, and since when it stands.
    pub newcomers: Option<Newcomers>,
    /// A level below the best, and since when it stands.
    pub lower: Option<Lower>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomers {
    pub mx: Vec<String>,
    pub since: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lower {
    pub level: Assurance,
    pub since: Timestamp,
}

/// Sealed evidence of one message, as it is kept. Made by `evidence`.
#[derive(Clone, Debug)]
pub struct SealedEvidence {
    pub message: MessageId,
    /// The evidence epoch whose key seals it.
    pub epoch: i64,
    pub sealed: Vec<u8>,
    /// Salted commitment to the record; stands in `Event::Accepted`.
    pub commitment: Digest,
    /// Keyed hashes of the folded addresses of everybody named in the envelope.
    pub people: Vec<Digest>,
    /// Keyed hash of the Message-ID field's value.
    pub message_id: Option<Digest>,
    /// Keyed digest of the content as it was received.
    pub content: Digest,
    /// Keyed digest of what it says and to whom, by which a copy of it is known.
    pub likeness: Option<Digest>,
}

/// Sealed evidence of one attempt.
#[derive(Clone, Debug)]
pub struct SealedAttempt {
    pub epoch: i64,
    pub sealed: Vec<u8>,
    pub commitment: Digest,
}

#[derive(Clone, Debug)]
pub struct ConfigText {
    pub digest: Digest,
    pub epoch: i64,
    pub sealed: Vec<u8>,
    pub at: Timestamp,
}

/// What an epoch's key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Bodies' keys and envelopes; a new one each day.
    Body,
    /// Evidence, attempts, config texts; a new one each year.
    Evidence,
    /// The key of every keyed hash; kept for good.
    Index,
}

#[derive(Clone, Debug)]
pub struct NewEpoch {
    pub id: i64,
    pub purpose: Purpose,
    pub wrapped: Vec<u8>,
    pub started: Timestamp,
}

/// One job's seals, moved to another epoch.
#[derive(Clone, Debug)]
pub struct Rewrapped {
    pub job: JobId,
    pub epoch: i64,
    pub envelope: Vec<u8>,
    pub wrapped_key: Vec<u8>,
}

/// One key wrapped anew: the name of its row, what is expected there, and what comes instead.
#[derive(Clone, Debug)]
pub struct Rewrap {
    pub row: String,
    pub old: Vec<u8>,
    pub new: Vec<u8>,
}

impl NewMessage {
    pub fn accepted_jobs(&self) -> Vec<AcceptedJob> {
        self.jobs.iter().map(|job| AcceptedJob { job: job.id, state: job.standing.state.clone() }).collect()
    }
}

impl Fence {
    /// The fence of a job that was accepted under a lease.
    pub(crate) const FIRST: Fence = Fence(0);
}

impl OwedId {
    pub(crate) fn of(row: &JobRow, about: About) -> OwedId {
        OwedId { job: row.id, about, of: row.content }
    }

    pub(crate) fn is_about_a_notice(&self) -> bool {
        self.of == Content::Notice
    }

    pub fn about(&self) -> About {
        self.about
    }

    pub fn job(&self) -> JobId {
        self.job
    }
}

/// A word of ours in a column, and back.
pub(crate) trait Word: Copy + 'static {
    const ALL: &'static [Self];
    fn word(self) -> &'static str;

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|each| each.word() == word)
    }
}

impl Word for About {
    const ALL: &'static [About] = &[
        About::Failed,
        About::Expired,
        About::Delayed,
        About::Relayed,
        About::Held,
        About::Unanswered,
        About::Rejected,
        About::Undeliverable,
        About::Taken,
        About::Matched,
    ];

    fn word(self) -> &'static str {
        match self {
            About::Failed => "failed",
            About::Expired => "expired",
            About::Delayed => "delayed",
            About::Relayed => "relayed",
            About::Held => "held",
            About::Unanswered => "unanswered",
            About::Rejected => "rejected",
            About::Undeliverable => "undeliverable",
            About::Taken => "taken",
            About::Matched => "matched",
        }
    }
}

impl Word for Owes {
    const ALL: &'static [Owes] = &[
        Owes::Sender(Notify::ALL[0]),
        Owes::Sender(Notify::ALL[1]),
        Owes::Sender(Notify::ALL[2]),
        Owes::Sender(Notify::ALL[3]),
        Owes::Sender(Notify::ALL[4]),
        Owes::Sender(Notify::ALL[5]),
        Owes::Sender(Notify::ALL[6]),
        Owes::Sender(Notify::ALL[7]),
        Owes::Sender(Notify::ALL[8]),
        Owes::Postmaster,
        Owes::Nobody,
    ];

    /// NOTIFY stands in it as it was asked; where nothing was, the word is the one from before it could be.
    fn word(self) -> &'static str {
        match self {
            Owes::Sender(Notify::Unsaid) => "sender",
            Owes::Sender(notify) => notify.name(),
            Owes::Postmaster => "postmaster",
            Owes::Nobody => "nobody",
        }
    }
}

impl Word for Content {
    const ALL: &'static [Content] = &[Content::Mail, Content::Notice, Content::Observed];

    fn word(self) -> &'static str {
        match self {
            Content::Mail => "mail",
            Content::Notice => "notice",
            Content::Observed => "observed",
        }
    }
}

impl Word for Last {
    const ALL: &'static [Last] = &[Last::Hold, Last::Undeliverable];

    fn word(self) -> &'static str {
        match self {
            Last::Hold => "hold",
            Last::Undeliverable => "undeliverable",
        }
    }
}

impl Word for Purpose {
    const ALL: &'static [Purpose] = &[Purpose::Body, Purpose::Evidence, Purpose::Index];

    fn word(self) -> &'static str {
        match self {
            Purpose::Body => "body",
            Purpose::Evidence => "evidence",
            Purpose::Index => "index",
        }
    }
}

impl Word for HoldCause {
    const ALL: &'static [HoldCause] =
        &[HoldCause::Policy, HoldCause::AcceptAndHold, HoldCause::MethodsExhausted, HoldCause::Operator];

    fn word(self) -> &'static str {
        match self {
            HoldCause::Policy => "policy",
            HoldCause::AcceptAndHold => "accept_and_hold",
            HoldCause::MethodsExhausted => "methods_exhausted",
            HoldCause::Operator => "operator",
        }
    }
}

impl Word for End {
    const ALL: &'static [End] = &End::ALL;

    fn word(self) -> &'static str {
        self.name()
    }
}

/// A job's state in its columns: `state`, `cause`, `ended_as`, `due`.
pub(crate) fn state_columns(state: &JobState) -> (&'static str, &'static str, &'static str, i64) {
    match state {
        JobState::Queued { method: _, due } => ("queued", "", "", due.millis()),
        JobState::Held { cause } => ("held", cause.word(), "", 0),
        JobState::Ended { end } => ("ended", "", end.word(), 0),
    }
}

pub(crate) fn methods_column(methods: &[Method]) -> String {
    methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_stands_for_one_thing() {
        for owes in Owes::ALL {
            assert_eq!(Owes::from_word(owes.word()), Some(*owes));
        }
        assert_eq!(Owes::from_word("sender"), Some(Owes::Sender(Notify::Unsaid)), "as before it could be asked");
    }
}
