//! Taking a message: sealed, committed with its event, and only then a receipt.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audit::{Actor, Event, HoldCause, JobState};
use crate::clock::Timestamp;
use crate::config::Last;
use crate::crypto::{Key, random_u128};
use crate::mail::{
    Address, Asked, BodyType, ClientName, Content, Envelope, EnvelopeId, JobId, Message, MessageId, Method, Notify,
    OriginalRecipient, RequireTls, Returned, ReversePath, Role, Utf8, Wishes,
};
use crate::policy::Action;
use crate::queue::memory::Share;
use crate::queue::schedule::Case;
use crate::queue::{Job, Kept, Queue, QueueError, Wrapped, schedule};
use crate::store::{
    About, Body, Change, Commit, Fence, JobRow, NewJob, NewMessage, OwedId, Owes, SealedEvidence, Standing, Store,
    StoreError, Tell, envelope_place,
};

/// A message that is to be kept.
#[derive(Debug)]
pub struct Accept {
    pub id: MessageId,
    pub envelope: Envelope,
    /// As it will be sent.
    pub message: Message,
    pub client: Option<ClientName>,
    /// Set when it came in without TLS: through which kind of listener.
    pub in_clear: Option<Role>,
    pub content: Content,
    pub ways: Vec<Way>,
    pub evidence: SealedEvidence,
    /// Who gets word of it at once.
    pub tell: Tell,
    /// The notice that this message is: told in the same commit.
    pub settles: Option<OwedId>,
}

/// What is to be done for one recipient.
#[derive(Clone, Debug)]
pub struct Way {
    pub recipient: Address,
    pub action: Action,
    /// Why it is held, where the action does not say it.
    pub cause: Option<HoldCause>,
    /// By what it goes once it is released, where the action is to hold it.
    pub released: Vec<Method>,
    /// Until then it waits in the store, and is not tried. What lies in the past is no reason to wait.
    pub not_before: Option<Timestamp>,
}

/// Proves that a message is on disk. The 250 is built from one.
#[derive(Debug)]
pub struct Receipt {
    id: MessageId,
    decided: Decided,
}

/// For how many recipients what was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    pub deliver: usize,
    pub hold: usize,
    pub reject: usize,
    /// All of the above, where nothing is done about it.
    pub observed: usize,
}

impl Receipt {
    pub fn id(&self) -> MessageId {
        self.id
    }

    pub fn decided(&self) -> Decided {
        self.decided
    }
}

impl Decided {
    fn of(accept: &Accept) -> Decided {
        let mut decided = Decided::default();
        if accept.content == Content::Observed {
            decided.observed = accept.ways.len();
        }
        for way in &accept.ways {
            match way.action {
                Action::Deliver { .. } => decided.deliver += 1,
                Action::Hold { .. } => decided.hold += 1,
                Action::Reject { .. } => decided.reject += 1,
            }
        }
        decided
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decided { deliver, hold, reject, observed } = *self;
        let parts = [(deliver, "to be delivered"), (hold, "held"), (reject, "rejected")];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let noun = if deliver + hold + reject == 1 { "recipient" } else { "recipients" };
        let observed = if observed > 0 { ", if it were not only observed" } else { "" };
        write!(f, "{} {noun}: {}{observed}", deliver + hold + reject, parts.collect::<Vec<_>>().join(", "))
    }
}

/// What all jobs of a message have in common.
struct Common<'a> {
    accept: &'a Accept,
    key: &'a Key,
    epoch: i64,
    now: Timestamp,
}

impl Queue {
    /// Makes a message durable, with the decision for every recipient, its evidence and its event.
    pub async fn accept(&self, accept: Accept, actor: Actor) -> Result<Receipt, QueueError> {
        let queue = self.clone();
        // A task of its own: a client that hangs up must not leave a committed message that nobody delivers.
        let kept = tokio::spawn(async move { queue.keep(accept, actor).await }).await;
        kept.unwrap_or_else(|_| {
            Err(QueueError::Unavailable(StoreError::Unavailable("accepting was cut short".to_owned())))
        })
    }

    async fn keep(&self, accept: Accept, actor: Actor) -> Result<Receipt, QueueError> {
        let now = self.now();
        let store = &self.inner.store;
        let key = Key::generate()?;
        let mut new = self.new_message(&accept, &key, now)?;
        let (bytes, in_clear) = (accept.message.len(), accept.in_clear);
        let lease = now.plus(self.inner.config.lease);
        let ready = new.jobs.iter().filter(|job| is_due(job, now)).count();
        let room = if ready > 0 { self.inner.memory.share(bytes) } else { None };
        let room = room.filter(|_| self.fresh().reserve(ready));
        if room.is_some() {
            for job in new.jobs.iter_mut().filter(|job| is_due(job, now)) {
                job.leased = Some(lease);
            }
        }
        let kept = match accept.content {
            Content::Mail | Content::Notice => store.keep_body(accept.id, &key, accept.message.bytes().clone()).await,
            // Nobody will ask for it.
            Content::Observed => Ok(Body::Row(Vec::new())),
        };
        let committed = match kept {
            Ok(body) => {
                new.body = body;
                let event = Event::Accepted {
                    message: new.id,
                    evidence: new.evidence.commitment,
                    bytes: new.bytes,
                    jobs: new.accepted_jobs(),
                    in_clear,
                };
                store.commit(Change::Accept(Box::new(new.clone())), actor, event).await
            }
            Err(error) => Err(error),
        };
        let refused = match committed {
            Ok(Commit::Committed(_)) => None,
            Ok(Commit::Lost) => Some(QueueError::AlreadyTold),
            Err(error) => Some(error.into()),
        };
        if let Some(error) = refused {
            if room.is_some() {
                self.fresh().release(ready);
            }
            self.refused(&new, &error);
            // Should the commit be on disk although it failed, its jobs fall due when the lease that it wrote ends.
            self.inner.alarm.set(lease);
            return Err(error);
        }
        self.accepted(&accept, new, room.as_ref());
        Ok(Receipt { id: accept.id, decided: Decided::of(&accept) })
    }

    fn refused(&self, new: &NewMessage, error: &QueueError) {
        match (&new.body, error) {
            // The commit may be on disk although we were told that it failed: then its file has to be there too.
            // If it is not, the next sweep after a restart finds a file that nothing refers to.
            (Body::File, QueueError::Unavailable(_) | QueueError::Full) => self.inner.store.body_arrived(new.id),
            (Body::File, QueueError::Busy | QueueError::AlreadyTold) => self.inner.store.body_refused(new.id),
            (Body::Row(_), _) => {}
        }
    }

    fn accepted(&self, accept: &Accept, new: NewMessage, room: Option<&Arc<Share>>) {
        if let Body::File = new.body {
            self.inner.store.body_arrived(new.id);
        }
        if let Some(owed) = accept.settles {
            self.told(owed);
        }
        if new.tell != Tell::Nobody {
            self.inner.owed_alarm.set(self.now());
        }
        let mut all = Vec::with_capacity(new.jobs.len());
        for (job, way) in new.jobs.into_iter().zip(&accept.ways) {
            let (JobState::Queued { method, due: _ }, Some(leased_until), Some(room)) =
                (&job.standing.state, job.leased, room)
            else {
                self.stands(&job.standing);
                continue;
            };
            let method = *method;
            // It goes from memory: the store has to be asked only if the lease runs out first.
            self.inner.alarm.set(leased_until);
            let fresh = Job {
                id: job.id,
                message: accept.id,
                content: accept.content,
                client: accept.client.clone(),
                sender: accept.envelope.sender().clone(),
                recipient: way.recipient.clone(),
                body: accept.envelope.body,
                utf8: accept.envelope.utf8,
                asked: accept.envelope.asked.clone(),
                wishes: accept.envelope.wishes(&way.recipient),
                method,
                accepted: new.accepted,
                number: 1,
                standing: job.standing,
                owes: job.owes,
                fence: Fence::FIRST,
                leased_until,
                key: Wrapped { epoch: job.epoch, key: job.wrapped_key },
                kept: Some(Kept { message: accept.message.clone(), _room: room.clone() }),
            };
            all.push(fresh);
        }
        // All at once, or a claim in between would tear apart what can travel in one transaction.
        self.fresh().jobs.extend(all);
        self.inner.alarm.ring();
    }

    fn new_message(&self, accept: &Accept, key: &Key, now: Timestamp) -> Result<NewMessage, QueueError> {
        let epoch = self.inner.store.vault().body_epoch();
        let common = Common { accept, key, epoch, now };
        let mut jobs = Vec::with_capacity(accept.ways.len());
        for way in &accept.ways {
            jobs.push(self.new_job(way, &common)?);
        }
        Ok(NewMessage {
            id: accept.id,
            accepted: now,
            bytes: accept.message.len() as u64,
            content: accept.content,
            client: accept.client.clone(),
            body: Body::Row(Vec::new()),
            jobs,
            evidence: accept.evidence.clone(),
            tell: tell(accept),
            settles: accept.settles,
        })
    }

    fn new_job(&self, way: &Way, common: &Common<'_>) -> Result<NewJob, QueueError> {
        let Common { accept, key, epoch, now } = *common;
        let case = Case { now, owes: owes(accept, &way.recipient) };
        let id = JobId::from_parts(case.now, random_u128()?);
        let store = &self.inner.store;
        Ok(NewJob {
            id,
            domain: way.recipient.domain().clone(),
            epoch,
            envelope: seal_envelope(store, (epoch, id), &accept.envelope, &way.recipient)?,
            wrapped_key: store.vault().wrap_body_key(epoch, id, key)?,
            owes: case.owes,
            standing: match accept.content {
                Content::Mail | Content::Notice => self.first_standing(way, accept.envelope.asked.require_tls, case),
                Content::Observed => self.observed(case),
            },
            leased: None,
        })
    }

    fn observed(&self, case: Case) -> Standing {
        let mut standing = schedule::first(Vec::new(), Last::Hold, case, &self.inner.config);
        schedule::observe(&mut standing);
        standing
    }

    fn first_standing(&self, way: &Way, require_tls: RequireTls, case: Case) -> Standing {
        let config = &self.inner.config;
        // RFC 8689 §4.2.1: what no server promises TLS for goes back, and is not held a second time.
        let after_release = match require_tls {
            RequireTls::Yes => Last::Undeliverable,
            RequireTls::No | RequireTls::IfOffered => Last::Hold,
        };
        match &way.action {
            Action::Deliver { methods, last } => {
                let mut standing = schedule::first(methods.clone(), *last, case, config);
                schedule::not_before(&mut standing, way.not_before.unwrap_or(case.now), config);
                standing
            }
            Action::Hold { reason: _ } => {
                let mut standing = schedule::first(way.released.clone(), after_release, case, config);
                schedule::hold(&mut standing, way.cause.unwrap_or(HoldCause::Policy), case, config);
                standing
            }
            Action::Reject { text: _ } => {
                let mut standing = schedule::first(Vec::new(), Last::Hold, case, config);
                schedule::reject(&mut standing, case.owes);
                standing
            }
        }
    }
}

/// A receipt that nobody is there to read is not owed (RFC 5321 §4.5.5), nor one to whom reports are unwelcome.
fn tell(accept: &Accept) -> Tell {
    let hears = accept.ways.first().is_some_and(|way| match owes(accept, &way.recipient) {
        Owes::Sender(notify) => schedule::hears(notify, About::Taken),
        Owes::Postmaster | Owes::Nobody => false,
    });
    // Whom a rule names is no business of the sender's; of what is only observed nobody is told.
    Tell::of(hears && accept.tell.sender(), accept.content == Content::Mail && accept.tell.named())
}

/// Whether it may go to delivery from memory. What has to wait is claimed from the store when its time comes.
fn is_due(job: &NewJob, now: Timestamp) -> bool {
    matches!(job.standing.state, JobState::Queued { method: _, due } if due <= now)
}

fn owes(accept: &Accept, recipient: &Address) -> Owes {
    match (accept.content, accept.envelope.sender(), &accept.settles) {
        (Content::Observed, _, _) => Owes::Nobody,
        (Content::Notice, _, Some(owed)) if owed.is_about_a_notice() => Owes::Nobody,
        (Content::Notice, _, _) | (Content::Mail, ReversePath::Null, _) => Owes::Postmaster,
        (Content::Mail, ReversePath::Mailbox(_), _) => Owes::Sender(accept.envelope.wishes(recipient).notify),
    }
}

/// What is sealed of a job's envelope. What was not asked for is left out, and envelopes from before it could be asked for
/// have none of it.
#[derive(Serialize, Deserialize)]
struct SealedEnvelope {
    sender: Option<String>,
    recipient: String,
    eight_bit: bool,
    utf8: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    returned: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope_id: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    require_tls: bool,
}

// Serde hands the field over as a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this form")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A job's envelope, opened.
pub(super) struct JobEnvelope {
    pub(super) sender: ReversePath,
    pub(super) recipient: Address,
    pub(super) body: BodyType,
    pub(super) utf8: Utf8,
    pub(super) asked: Asked,
    pub(super) wishes: Wishes,
}

fn seal_envelope(
    store: &Store,
    (epoch, job): (i64, JobId),
    envelope: &Envelope,
    recipient: &Address,
) -> Result<Vec<u8>, StoreError> {
    let (asked, wishes) = (&envelope.asked, envelope.wishes(recipient));
    let text = SealedEnvelope {
        // Exposed to be sealed, as is all that follows.
        sender: envelope.sender().mailbox().map(|sender| sender.expose().to_owned()),
        recipient: recipient.expose().to_owned(),
        eight_bit: envelope.body == BodyType::EightBitMime,
        utf8: envelope.utf8 == Utf8::Declared,
        notify: Some(wishes.notify.name().to_owned()).filter(|name| !name.is_empty()),
        original: wishes.original.as_ref().map(OriginalRecipient::expose_encoded),
        returned: asked.returned.map(|returned| returned.name().to_owned()),
        envelope_id: asked.envelope_id.as_ref().map(|id| id.expose_encoded().to_owned()),
        require_tls: asked.require_tls == RequireTls::Yes,
    };
    let plain = serde_json::to_vec(&text).map_err(|_| StoreError::StrangeRow("envelope"))?;
    store.vault().seal_record(epoch, &envelope_place(job), &plain)
}

pub(super) fn open_envelope(store: &Store, row: &JobRow) -> Result<JobEnvelope, StoreError> {
    let strange = || StoreError::StrangeRow("envelope");
    let sealed = row.envelope.as_ref().ok_or_else(strange)?;
    let plain = store.vault().open_record(row.epoch, &envelope_place(row.id), sealed)?;
    let text: SealedEnvelope = serde_json::from_slice(&plain).map_err(|_| strange())?;
    read_envelope(&text).ok_or_else(strange)
}

fn read_envelope(text: &SealedEnvelope) -> Option<JobEnvelope> {
    let sender = match &text.sender {
        None => ReversePath::Null,
        Some(sender) => ReversePath::Mailbox(Address::parse(sender).ok()?),
    };
    Some(JobEnvelope {
        sender,
        recipient: Address::parse(&text.recipient).ok()?,
        body: if text.eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit },
        utf8: if text.utf8 { Utf8::Declared } else { Utf8::NotDeclared },
        asked: Asked {
            returned: read(text.returned.as_deref(), Returned::parse)?,
            envelope_id: read(text.envelope_id.as_deref(), EnvelopeId::parse)?,
            require_tls: if text.require_tls { RequireTls::Yes } else { RequireTls::No },
        },
        wishes: Wishes {
            notify: read(text.notify.as_deref(), Notify::parse)?.unwrap_or_default(),
            original: read(text.original.as_deref(), OriginalRecipient::parse)?,
        },
    })
}

/// What is there has to be what it was when it was sealed.
fn read<T>(text: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        None => Some(None),
        Some(text) => parse(text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_sealed_before_wishes_were_known_has_none() {
        let old = r#"{"sender":"ann@clinic.example","recipient":"bo@lab.example","eight_bit":true,"utf8":false}"#;
        let opened = read_envelope(&serde_json::from_str(old).unwrap()).unwrap();
        assert_eq!((opened.asked, opened.wishes), (Asked::default(), Wishes::default()));
        assert_eq!(opened.body, BodyType::EightBitMime);
    }
}
