//! What is kept of a message for six years: who, what was found, why, how it went. Sealed, found by keyed hashes,
//! and bound to the audit log by salted commitments.

pub mod features;
#[cfg(test)]
mod invented;
pub mod record;
mod sealed;
mod story;
mod tell;
mod words;

use crate::clock::Timestamp;
use crate::crypto::{Digest, NoEntropy, sha256};
use crate::mail::{Address, JobId, Message, MessageId};
use crate::store::{ConfigText, SealedAttempt, SealedEvidence, Store, StoreError};

pub use story::{Journey, MadeAttempt, Proof, RecipientState, Step, Story, Summary};
pub use tell::decision;

use record::{Attempt, Record};

/// Seals what is to be kept, finds it, and tells it. A cheap clone.
#[derive(Clone, Debug)]
pub struct Evidence {
    store: Store,
}

#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("no message {0} is known here")]
    Unknown(MessageId),
    #[error("the evidence of message {0} had lived its time and was erased; the audit log still tells what happened")]
    Erased(MessageId),
    /// It opened, and is not what this version can read.
    #[error("the evidence of message {0} was written in a form that this version cannot read")]
    Unreadable(MessageId),
    #[error("what is kept as config {0} is not the config of that digest")]
    OtherConfig(Digest),
    #[error("the evidence cannot be written as JSON: {0}")]
    Unwritable(serde_json::Error),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Evidence {
    pub fn new(store: Store) -> Evidence {
        Evidence { store }
    }

    /// Seals the record of a message. `content` is the message as it was received.
    pub fn seal(&self, id: MessageId, record: &Record, content: &Message) -> Result<SealedEvidence, EvidenceError> {
        let vault = self.store.vault();
        let epoch = vault.evidence_epoch();
        let salted = sealed::salt(record)?;
        let mut people: Vec<Digest> = record.recipients.iter().map(|to| self.recipient_hash(&to.address)).collect();
        people.extend(record.sender.mailbox().map(|from| self.sender_hash(from)));
        people.sort_unstable();
        people.dedup();
        Ok(SealedEvidence {
            message: id,
            epoch,
            sealed: vault.seal_record(epoch, &record_place(id), &salted.bytes)?,
            commitment: salted.commitment,
            people,
            // The hash of it, for look-ups; the value itself stays inside the seal.
            message_id: record.message_id.as_ref().and_then(|value| self.message_id_hash(value.expose())),
            content: self.content_hash(sha256(content.bytes())),
            likeness: None,
        })
    }

    /// Seals the record of the `number`th attempt at a job.
    pub fn seal_attempt(&self, job: JobId, number: u32, attempt: &Attempt) -> Result<SealedAttempt, EvidenceError> {
        let vault = self.store.vault();
        let epoch = vault.evidence_epoch();
        let salted = sealed::salt(attempt)?;
        let sealed = vault.seal_record(epoch, &attempt_place(job, number), &salted.bytes)?;
        Ok(SealedAttempt { epoch, sealed, commitment: salted.commitment })
    }

    /// The messages to somebody, the newest first.
    pub async fn find_to(&self, recipient: &Address) -> Result<Vec<MessageId>, EvidenceError> {
        Ok(newest_first(self.store.evidence_by_person(self.recipient_hash(recipient)).await?))
    }

    /// The messages from somebody, the newest first.
    pub async fn find_from(&self, sender: &Address) -> Result<Vec<MessageId>, EvidenceError> {
        Ok(newest_first(self.store.evidence_by_person(self.sender_hash(sender)).await?))
    }

    /// The messages with this Message-ID, with or without its angle brackets. Senders do repeat them.
    pub async fn find_message_id(&self, value: &str) -> Result<Vec<MessageId>, EvidenceError> {
        match self.message_id_hash(value) {
            Some(hash) => Ok(newest_first(self.store.evidence_by_message_id(hash).await?)),
            None => Ok(Vec::new()),
        }
    }

    /// The last of them.
    pub async fn newest_with_message_id(&self, value: &str) -> Result<Option<MessageId>, EvidenceError> {
        match self.message_id_hash(value) {
            Some(hash) => Ok(self.store.newest_evidence_by_message_id(hash).await?),
            None => Ok(None),
        }
    }

    /// The messages that were received with the octets of this SHA-256.
    pub async fn matching(&self, content: Digest) -> Result<Vec<MessageId>, EvidenceError> {
        Ok(newest_first(self.store.evidence_by_content(self.content_hash(content)).await?))
    }

    /// All that is known of a message.
    pub async fn story(&self, id: MessageId) -> Result<Story, EvidenceError> {
        let events = self.store.events_of(id).await?;
        let Some(row) = self.store.evidence(id).await? else {
            return Err(if events.is_empty() { EvidenceError::Unknown(id) } else { EvidenceError::Erased(id) });
        };
        let vault = self.store.vault();
        let record = vault.open_record(row.epoch, &record_place(id), &row.sealed)?;
        let mut attempts = Vec::new();
        for row in self.store.attempts(id).await? {
            let place = attempt_place(row.job, row.number);
            let opened = vault.open_record(row.attempt.epoch, &place, &row.attempt.sealed)?;
            attempts.push(story::OpenedAttempt { job: row.job, number: row.number, at: row.at, opened });
        }
        Story::assemble(id, &record, (&attempts, &events)).ok_or(EvidenceError::Unreadable(id))
    }

    /// A few lines of a message, for lists.
    pub async fn summary(&self, id: MessageId) -> Result<Summary, EvidenceError> {
        Ok(self.story(id).await?.summary())
    }

    /// The records of up to `limit` messages behind `after`, in the order in which they came; none for one that this
    /// version cannot read.
    pub async fn records(
        &self,
        after: MessageId,
        limit: usize,
    ) -> Result<Vec<(MessageId, Option<Record>)>, EvidenceError> {
        let vault = self.store.vault();
        let mut records = Vec::new();
        for row in self.store.evidence_behind(after, limit).await? {
            let opened = vault.open_record(row.epoch, &record_place(row.message), &row.sealed)?;
            records.push((row.message, sealed::read(&opened)));
        }
        Ok(records)
    }

    /// Seals the text of a config, which is kept as long as the evidence that names it.
    pub fn seal_config(&self, text: &str, at: Timestamp) -> Result<ConfigText, EvidenceError> {
        let digest = sha256(text.as_bytes());
        let vault = self.store.vault();
        let epoch = vault.evidence_epoch();
        let sealed = vault.seal_record(epoch, &config_place(digest), text.as_bytes())?;
        Ok(ConfigText { digest, epoch, sealed, at })
    }

    /// The text of a config that was in force once, as it was read then.
    pub async fn config(&self, digest: Digest) -> Result<Option<String>, EvidenceError> {
        let Some(row) = self.store.config_text(digest).await? else { return Ok(None) };
        let text = self.store.vault().open_record(row.epoch, &config_place(digest), &row.sealed)?;
        if sha256(&text) != digest {
            return Err(EvidenceError::OtherConfig(digest));
        }
        String::from_utf8(text).map(Some).map_err(|_| EvidenceError::OtherConfig(digest))
    }

    /// By what a message is found that went to somebody, and one that came from them.
    pub fn names_of(&self, person: &Address) -> [Digest; 2] {
        [self.recipient_hash(person), self.sender_hash(person)]
    }

    /// What a message is found by that says the same to the same people.
    pub fn likeness(&self, digest: Digest) -> Digest {
        self.store.vault().keyed_hash("evidence likeness", digest.as_bytes())
    }

    fn recipient_hash(&self, address: &Address) -> Digest {
        // Only the keyed hash of it leaves this function.
        self.store.vault().keyed_hash("evidence recipient", address.expose_folded().as_bytes())
    }

    fn sender_hash(&self, address: &Address) -> Digest {
        // As above; apart from the recipients', so that who wrote and who was written to are found apart.
        self.store.vault().keyed_hash("evidence sender", address.expose_folded().as_bytes())
    }

    fn message_id_hash(&self, value: &str) -> Option<Digest> {
        let value = value.trim();
        let inner = value.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(value).trim();
        (!inner.is_empty()).then(|| self.store.vault().keyed_hash("evidence message-id", inner.as_bytes()))
    }

    fn content_hash(&self, content: Digest) -> Digest {
        // Keyed, so that the log of digests does not confirm a guess at a short message.
        self.store.vault().keyed_hash("evidence content", content.as_bytes())
    }
}

impl From<sealed::NotSalted> for EvidenceError {
    fn from(error: sealed::NotSalted) -> EvidenceError {
        match error {
            sealed::NotSalted::NoEntropy(error) => EvidenceError::NoEntropy(error),
            sealed::NotSalted::Json(error) => EvidenceError::Unwritable(error),
        }
    }
}

/// Ids sort by the time of their making.
fn newest_first(mut found: Vec<MessageId>) -> Vec<MessageId> {
    found.sort_unstable_by(|one, other| other.cmp(one));
    found
}

fn config_place(digest: Digest) -> String {
    format!("config {digest}")
}

fn record_place(id: MessageId) -> String {
    format!("evidence of {id}")
}

fn attempt_place(job: JobId, number: u32) -> String {
    format!("attempt {number} of {job}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::audit::{AcceptedJob, Actor, Event, JobState};
    use crate::clock::{ManualClock, Timestamp};
    use crate::config::{self, Last};
    use crate::crypto::Key;
    use crate::mail::{Assurance, Content, Domain, End, Method, Notify, WireLimits};
    use crate::store::{Body, Change, Commit, Delay, Fence, Move, NewJob, NewMessage, Owes, Settlement, Standing};
    use invented::{id, job};

    fn message(text: &str) -> Message {
        let limits = WireLimits { message_bytes: 1_000, header_bytes: 1_000, line_bytes: 1_000 };
        Message::parse(text.as_bytes().to_vec(), &limits).unwrap()
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    struct Kept {
        evidence: Evidence,
        _folder: tempfile::TempDir,
    }

    async fn nothing_kept() -> Kept {
        let folder = tempfile::tempdir().unwrap();
        let database = config::Database { url: "sqlite".into(), body_file_bytes: 65_536 };
        let clock = Arc::new(ManualClock::at(invented::record().accepted));
        let store = Store::open(&database, folder.path(), Key::generate().unwrap(), clock).await.unwrap();
        Kept { evidence: Evidence::new(store), _folder: folder }
    }

    /// The invented message, committed step by step as the queue commits it.
    async fn kept() -> Kept {
        let kept = nothing_kept().await;
        let evidence = &kept.evidence;
        let content = message("Subject: x\r\n\r\nbody\r\n");
        let sealed = evidence.seal(id(), &invented::record(), &content).unwrap();
        let attempts = invented::attempts()
            .into_iter()
            .map(|(job, number, _, attempt)| (job, number, evidence.seal_attempt(job, number, &attempt).unwrap()));
        let attempts: Vec<(JobId, u32, SealedAttempt)> = attempts.collect();
        let commitments: Vec<Digest> = attempts.iter().map(|(_, _, attempt)| attempt.commitment).collect();
        for (at, actor, event) in invented::happened(sealed.commitment, &commitments) {
            let change = match &event {
                Event::Accepted { jobs, .. } => accept(jobs, sealed.clone()),
                Event::Settled { job, attempt, state, .. } => {
                    let made = attempts.iter().find(|made| made.0 == *job && made.1 == *attempt).unwrap();
                    settle((*job, *attempt), (at, state.clone()), made.2.clone())
                }
                _ => Change::Note,
            };
            let commit = evidence.store.commit(change, actor, event).await.unwrap();
            assert!(matches!(commit, Commit::Committed(_)));
        }
        kept
    }

    fn standing(state: &JobState, attempts: u32) -> Standing {
        Standing {
            state: state.clone(),
            methods: vec![Method::Tls(Assurance::Valid)],
            last: Last::Hold,
            attempts,
            expires: Timestamp::from_millis(i64::MAX),
            floor_since: None,
            unanswered: 0,
            delay: Delay::Untold,
            owed: None,
        }
    }

    fn accept(jobs: &[AcceptedJob], evidence: SealedEvidence) -> Change {
        let job = |accepted: &AcceptedJob| NewJob {
            id: accepted.job,
            domain: Domain::parse("lab.example").unwrap(),
            epoch: 1,
            envelope: Vec::new(),
            wrapped_key: Vec::new(),
            owes: Owes::Sender(Notify::Unsaid),
            standing: standing(&accepted.state, 0),
            leased: None,
        };
        Change::Accept(Box::new(NewMessage {
            id: id(),
            accepted: invented::record().accepted,
            bytes: 48_213,
            content: Content::Mail,
            client: None,
            body: Body::Row(Vec::new()),
            jobs: jobs.iter().map(job).collect(),
            evidence,
            tell: crate::store::Tell::Nobody,
            settles: None,
        }))
    }

    fn settle((job, number): (JobId, u32), (at, state): (Timestamp, JobState), attempt: SealedAttempt) -> Change {
        Change::Settle(Box::new(Settlement {
            message: id(),
            job,
            // Each settlement raises it by one.
            fence: Fence(i64::from(number) - 1),
            at,
            next: standing(&state, number),
            attempt: Some(attempt),
            seen: None,
            written: None,
        }))
    }

    #[tokio::test]
    async fn a_message_is_found_by_its_recipients_in_any_case_and_by_its_sender() {
        let kept = kept().await;
        let evidence = &kept.evidence;
        for recipient in ["ann.sorrel@lab.example", "ANN.SORREL@LAB.EXAMPLE", "ben@practice.example"] {
            assert_eq!(evidence.find_to(&address(recipient)).await.unwrap(), [id()], "{recipient}");
            assert!(evidence.find_from(&address(recipient)).await.unwrap().is_empty());
        }
        assert_eq!(evidence.find_from(&address("nurse@clinic.example")).await.unwrap(), [id()]);
        assert!(evidence.find_to(&address("nurse@clinic.example")).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_message_is_found_by_its_message_id_with_and_without_brackets() {
        let kept = kept().await;
        let evidence = &kept.evidence;
        for value in ["<20261124.7@clinic.example>", "20261124.7@clinic.example", "  <20261124.7@clinic.example>\t"] {
            assert_eq!(evidence.find_message_id(value).await.unwrap(), [id()], "{value}");
        }
        for value in ["", "<>", "<20261124.8@clinic.example>", "20261124.7@CLINIC.example"] {
            assert!(evidence.find_message_id(value).await.unwrap().is_empty(), "{value}");
        }
    }

    #[tokio::test]
    async fn only_the_very_octets_that_came_match() {
        let kept = kept().await;
        let evidence = &kept.evidence;
        assert_eq!(evidence.matching(sha256(b"Subject: x\r\n\r\nbody\r\n")).await.unwrap(), [id()]);
        assert!(evidence.matching(sha256(b"Subject: x\r\n\r\nbody \r\n")).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_was_sealed_is_told_again_and_agrees_with_the_log() {
        let kept = kept().await;
        let evidence = &kept.evidence;
        let story = evidence.story(id()).await.unwrap();
        assert_eq!(story.record, invented::record());
        assert_eq!(story.journeys[0].attempts[1].attempt, invented::attempts()[1].3);
        assert!(matches!(story.proof, Proof::Agrees { .. }));
        assert_eq!(evidence.summary(id()).await.unwrap().recipients.len(), 2);
    }

    #[tokio::test]
    async fn what_was_never_here_and_what_was_erased_are_told_apart() {
        let kept = kept().await;
        let evidence = &kept.evidence;
        let stranger = MessageId::from_parts(Timestamp::from_millis(7), 7);
        assert!(matches!(evidence.story(stranger).await, Err(EvidenceError::Unknown(_))));
        let at = evidence.store.clock().now();
        let ended = JobState::Ended { end: End::Cancelled };
        let cancel = Move { job: job(2), fence: Fence(1), at, next: standing(&ended, 1) };
        for (change, event) in [
            (Change::Move(Box::new(cancel)), Event::Moved { message: id(), job: job(2), state: ended }),
            (Change::Erase { message: id(), at }, Event::Erased { message: id() }),
            (Change::EraseEvidence { message: id() }, Event::EvidenceErased { message: id() }),
        ] {
            let commit = evidence.store.commit(change, Actor::System, event).await.unwrap();
            assert!(matches!(commit, Commit::Committed(_)));
        }
        assert!(matches!(evidence.story(id()).await, Err(EvidenceError::Erased(_))));
    }

    #[tokio::test]
    async fn nothing_of_a_person_can_be_read_in_what_is_kept() {
        let kept = nothing_kept().await;
        let evidence = &kept.evidence;
        let sealed = evidence.seal(id(), &invented::record(), &message("")).unwrap();
        let attempt = evidence.seal_attempt(job(1), 2, &invented::attempts()[1].3).unwrap();
        for bytes in [&sealed.sealed, &attempt.sealed] {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains("lab.example") && !text.contains("4B7"));
        }
    }

    #[tokio::test]
    async fn an_attempt_does_not_open_in_the_place_of_another() {
        let kept = nothing_kept().await;
        let evidence = &kept.evidence;
        let sealed = evidence.seal_attempt(job(1), 2, &invented::attempts()[1].3).unwrap();
        let open =
            |number| evidence.store.vault().open_record(sealed.epoch, &attempt_place(job(1), number), &sealed.sealed);
        assert!(open(2).is_ok());
        assert!(open(1).is_err());
    }
}
