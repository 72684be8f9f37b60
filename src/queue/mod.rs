//! The queue: accept -> Receipt, claim -> Jobs under leases, settle; and what an operator may do in between.
//!
//! Accepted = queued + held + ended, always: `counts` says so, and each step is one commit with its event.

mod accept;
mod alarm;
#[cfg(test)]
mod interleaved;
mod memory;
mod operate;
mod owed;
mod ticket;
pub mod schedule;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::audit::{Actor, Event, JobState};
use crate::clock::Timestamp;
use crate::config;
use crate::crypto::{NoEntropy, random, random_u128};
use crate::mail::{
    Address, Asked, BodyType, ClientName, Content, End, JobId, Message, MessageId, Method, ReversePath, Utf8,
    WireLimits, Wishes,
};
use crate::store::{
    Change, Commit, DestinationSeen, Fence, JobRow, OwedId, Owes, Renewed, SealedAttempt, Settlement, Standing, Store,
    StoreError, Writing, Written,
};

pub use accept::{Accept, Decided, Receipt, Way};
pub use operate::{Counts, Listed, Moved, Selection};
pub use owed::Owed;
pub use schedule::Progress;
pub use ticket::Ticket;

/// Jobs just accepted that may wait in memory for delivery; more are claimed from the store.
const FRESH_JOBS: usize = 1_000;
/// How long the queue leaves a store alone that just failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How often the outcome of an attempt is offered to a store that fails, so for a day: what was delivered must not be sent
/// again, and a full disk waits for somebody.
const SETTLE_TRIES: u32 = 24 * 60 * 60;
/// Jobs that are expired in one go.
const EXPIRE_BATCH: usize = 200;
/// Jobs that are claimed from the store at most in one go.
const MAX_CLAIM: usize = 500;

/// The queue. A cheap clone.
#[derive(Clone, Debug)]
pub struct Queue {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    config: config::Queue,
    fresh: Mutex<Fresh>,
    memory: memory::Memory,
    alarm: alarm::Alarm,
    owed_alarm: alarm::Alarm,
    /// Owed notices that somebody is composing, and when they are given to somebody else.
    handed: Mutex<HashMap<OwedId, Timestamp>>,
}

/// Jobs that go to delivery from memory, already leased.
#[derive(Default)]
struct Fresh {
    jobs: VecDeque<Job>,
    /// Room taken, by what lies in `jobs` and by what is being committed.
    count: usize,
}

/// One message's way to one recipient, leased to this node. Used up by `settle`.
#[derive(Debug)]
pub struct Job {
    pub id: JobId,
    pub message: MessageId,
    pub content: Content,
    pub client: Option<ClientName>,
    pub sender: ReversePath,
    pub recipient: Address,
    pub body: BodyType,
    pub utf8: Utf8,
    /// What the sender asked for the whole message, and for this recipient.
    pub asked: Asked,
    pub wishes: Wishes,
    /// How it is to travel on this attempt.
    pub method: Method,
    pub accepted: Timestamp,
    /// The number of the attempt that is to be made, from 1.
    pub number: u32,
    standing: Standing,
    owes: Owes,
    fence: Fence,
    leased_until: Timestamp,
    key: Wrapped,
    kept: Option<Kept>,
}

/// The message of a job that was just accepted, with the room that it takes.
#[derive(Debug)]
struct Kept {
    message: Message,
    _room: Arc<memory::Share>,
}

#[derive(Debug)]
struct Wrapped {
    epoch: i64,
    key: Vec<u8>,
}

/// What an attempt came to, with what is kept of it.
#[derive(Debug)]
pub struct Outcome {
    pub progress: Progress,
    pub evidence: Option<SealedAttempt>,
    pub seen: Option<DestinationSeen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// This is where the job stands now.
    Stands(JobState),
    /// The lease ran out, and the job is somebody else's.
    Lost,
}

/// Why the queue cannot take or give something now. All of them are our own fault: 4xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    #[error("the queue is busy")]
    Busy,
    #[error("the disk is full")]
    Full,
    #[error(transparent)]
    Unavailable(StoreError),
    /// The notice that a message was to settle has been sent already, or is owed no more.
    #[error("this notice is not owed any more")]
    AlreadyTold,
}

impl From<StoreError> for QueueError {
    fn from(error: StoreError) -> QueueError {
        match error {
            StoreError::Busy => QueueError::Busy,
            StoreError::Full(_) => QueueError::Full,
            StoreError::Unavailable(_)
            | StoreError::InUse
            | StoreError::NewerSchema { .. }
            | StoreError::StrangeSchema(_)
            | StoreError::WrongMasterKey
            | StoreError::Setting(_)
            | StoreError::Broken(_)
            | StoreError::StrangeRow(_) => QueueError::Unavailable(error),
        }
    }
}

impl From<NoEntropy> for QueueError {
    fn from(error: NoEntropy) -> QueueError {
        QueueError::Unavailable(StoreError::Unavailable(error.to_string()))
    }
}

impl Queue {
    pub fn new(store: Store, config: config::Queue) -> Queue {
        let (alarm, owed_alarm) = (alarm::Alarm::new(store.clock().clone()), alarm::Alarm::new(store.clock().clone()));
        let (fresh, memory, handed) = (Mutex::default(), memory::Memory::default(), Mutex::default());
        Queue { inner: Arc::new(Inner { store, config, fresh, memory, alarm, owed_alarm, handed }) }
    }

    pub fn new_id(&self) -> Result<MessageId, QueueError> {
        Ok(MessageId::from_parts(self.now(), random_u128()?))
    }

    /// Waits until at least one job is due, and leases up to `limit` of them to the caller.
    pub async fn claim(&self, limit: usize) -> Vec<Job> {
        loop {
            if self.inner.alarm.take_due() {
                let queue = self.clone();
                // A task of its own: who stops waiting here must not take leased jobs with him.
                if let Err(error) = tokio::spawn(async move { queue.load_due(limit).await }).await {
                    tracing::error!(claim.panicked = error.is_panic(), "a claim ended badly");
                }
            }
            let jobs = self.take_fresh(limit);
            if !jobs.is_empty() {
                if !self.fresh().jobs.is_empty() {
                    // There is more, for whoever else waits.
                    self.inner.alarm.ring();
                }
                return jobs;
            }
            self.inner.alarm.wait().await;
        }
    }

    /// Claims what is due in the store, and lays it beside what was just accepted.
    async fn load_due(&self, limit: usize) {
        match self.claim_due(limit).await {
            Ok(due) => {
                let mut fresh = self.fresh();
                fresh.count += due.len();
                fresh.jobs.extend(due);
            }
            Err(error) => {
                tracing::error!(store.error = %error, "cannot claim jobs");
                tokio::time::sleep(STORE_PAUSE).await;
                self.inner.alarm.set(self.now());
            }
        }
    }

    /// The message of a job, as it is to be sent.
    pub async fn content(&self, job: &Job) -> Result<Message, QueueError> {
        if let Some(kept) = &job.kept {
            return Ok(kept.message.clone());
        }
        let store = &self.inner.store;
        let key = store.vault().unwrap_body_key(job.key.epoch, job.id, &job.key.key)?;
        let bytes = store.body(job.message, &key).await?;
        // The limits were kept when it came in, and may have been lowered since.
        let limits = WireLimits { message_bytes: usize::MAX, header_bytes: usize::MAX, line_bytes: usize::MAX };
        Message::parse(bytes, &limits).map_err(|_| QueueError::Unavailable(StoreError::StrangeRow("body")))
    }

    /// Waits until the outcome of an attempt could be settled, as far as can be known before: while the store cannot write,
    /// what is delivered would be delivered again.
    pub async fn ready_to_settle(&self) {
        while self.inner.store.writing() == Writing::Fails {
            // Why it fails is told by the store when it begins to.
            if self.inner.store.try_to_write().await.is_err() {
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }

    /// Makes the outcome of an attempt durable, and says where the job stands.
    pub async fn settle(&self, job: Job, outcome: Outcome) -> Result<Settled, QueueError> {
        let now = self.now();
        let moment = schedule::Moment { now, jitter: u64::from_le_bytes(random()?) };
        let facts = (&job.standing, job.accepted, job.owes);
        let next = schedule::next(facts, outcome.progress, moment, &self.inner.config);
        let event = Event::Settled {
            message: job.message,
            job: job.id,
            attempt: next.attempts,
            state: next.state.clone(),
            evidence: outcome.evidence.as_ref().map(|attempt| attempt.commitment),
        };
        let written = self.written(&job, &next);
        let change = Change::Settle(Box::new(Settlement {
            message: job.message,
            job: job.id,
            fence: job.fence,
            at: now,
            next: next.clone(),
            attempt: outcome.evidence,
            seen: outcome.seen,
            written,
        }));
        match self.commit_patiently(&change, &event).await? {
            Commit::Committed(_) => {
                self.stands(&next);
                Ok(Settled::Stands(next.state))
            }
            Commit::Lost => Ok(Settled::Lost),
        }
    }

    /// Whom a client's mail reached with this attempt.
    fn written(&self, job: &Job, next: &Standing) -> Option<Written> {
        let client = job.client.clone().filter(|_| job.content == Content::Mail)?;
        let reached = matches!(next.state, JobState::Ended { end: End::Delivered });
        let store = &self.inner.store;
        reached.then(|| Written {
            client,
            person: store.correspondent(&job.recipient),
            domain: job.recipient.domain().clone(),
        })
    }

    /// Holds a job for another lease from now, for an attempt that takes long.
    pub async fn renew(&self, job: &Job) -> Result<Renewed, QueueError> {
        let until = self.now().plus(self.inner.config.lease);
        Ok(self.inner.store.renew(job.id, job.fence, until).await?)
    }

    /// Takes jobs back that were claimed and not tried: no attempt is counted, and they are as due as they were.
    pub async fn give_back(&self, jobs: Vec<Job>) -> Result<(), QueueError> {
        let given = jobs.iter().map(|job| (job.id, job.fence)).collect();
        self.inner.store.give_back(given).await?;
        self.inner.alarm.set(self.now());
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.inner.store.clock().now()
    }

    /// A commit that failed may still have reached the disk; then the second try is `Lost`, and nothing happens twice.
    async fn commit_patiently(&self, change: &Change, event: &Event) -> Result<Commit, QueueError> {
        let mut tries = 1;
        loop {
            match self.inner.store.commit(change.clone(), Actor::System, event.clone()).await {
                Ok(commit) => return Ok(commit),
                Err(error) if tries >= SETTLE_TRIES => return Err(error.into()),
                Err(_) => tokio::time::sleep(STORE_PAUSE).await,
            }
            tries += 1;
        }
    }

    /// Sets the alarms for where a job stands now.
    fn stands(&self, standing: &Standing) {
        match standing.state {
            JobState::Queued { method: _, due } => self.inner.alarm.set(due.min(standing.expires)),
            JobState::Held { .. } => self.inner.alarm.set(standing.expires),
            JobState::Ended { .. } => {}
        }
        if standing.owed.is_some() {
            self.inner.owed_alarm.set(self.now());
        }
    }

    fn take_fresh(&self, limit: usize) -> Vec<Job> {
        let now = self.now();
        let mut fresh = self.fresh();
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(job) = fresh.jobs.pop_front() else { break };
            fresh.release(1);
            // One that waited too long would lose its lease under way: it comes again through the store.
            if job.leased_until > now.plus(self.inner.config.lease / 2) {
                taken.push(job);
            }
        }
        taken
    }

    async fn claim_due(&self, limit: usize) -> Result<Vec<Job>, StoreError> {
        let store = &self.inner.store;
        self.expire_overdue().await?;
        let now = self.now();
        let until = now.plus(self.inner.config.lease);
        let limit = limit.min(MAX_CLAIM);
        let rows = store.claim(limit, now, until).await?;
        if rows.len() == limit {
            // There may be more.
            self.inner.alarm.set(now);
        } else if let Some(next) = store.next_wake().await? {
            self.inner.alarm.set(next);
        }
        if store.is_shared() {
            // Another node's jobs become ours when it is gone, and no alarm of ours says so.
            self.inner.alarm.set(until);
        }
        let mut jobs = Vec::with_capacity(rows.len());
        for row in rows {
            let id = row.id;
            match self.job_of(row, until) {
                Ok(job) => jobs.push(job),
                // It stays where it is until its time runs out; the others go their way.
                Err(error) => tracing::error!(job.id = %id, store.error = %error, "cannot open a job"),
            }
        }
        Ok(jobs)
    }

    fn job_of(&self, row: JobRow, leased_until: Timestamp) -> Result<Job, StoreError> {
        let envelope = accept::open_envelope(&self.inner.store, &row)?;
        let JobState::Queued { method, due: _ } = row.standing.state else {
            return Err(StoreError::StrangeRow("state"));
        };
        Ok(Job {
            id: row.id,
            message: row.message,
            content: row.content,
            client: row.client,
            sender: envelope.sender,
            recipient: envelope.recipient,
            body: envelope.body,
            utf8: envelope.utf8,
            asked: envelope.asked,
            wishes: envelope.wishes,
            method,
            accepted: row.accepted,
            number: row.standing.attempts.saturating_add(1),
            standing: row.standing,
            owes: row.owes,
            fence: row.fence,
            leased_until,
            key: Wrapped { epoch: row.epoch, key: row.wrapped_key.ok_or(StoreError::StrangeRow("wrapped_key"))? },
            kept: None,
        })
    }

    /// Ends what has lived its time: queued or held, whoever waits for it.
    async fn expire_overdue(&self) -> Result<(), StoreError> {
        loop {
            let overdue = self.inner.store.overdue_jobs(self.now(), EXPIRE_BATCH).await?;
            let (found, mut moved) = (overdue.len(), 0);
            let mut waiting = tokio::task::JoinSet::new();
            for row in overdue {
                let queue = self.clone();
                // All at once, so that they share a commit.
                waiting.spawn(async move {
                    let next = schedule::expire(&row.standing, row.owes);
                    queue.move_job(&row, next, Actor::System).await
                });
            }
            for done in waiting.join_all().await {
                moved += usize::from(done?);
            }
            if found < EXPIRE_BATCH || moved == 0 {
                return Ok(());
            }
        }
    }

    fn fresh(&self) -> std::sync::MutexGuard<'_, Fresh> {
        self.inner.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fresh {
    /// Takes room for jobs of a message, when there is some.
    fn reserve(&mut self, jobs: usize) -> bool {
        let fits = self.count + jobs <= FRESH_JOBS;
        if fits {
            self.count += jobs;
        }
        fits
    }

    fn release(&mut self, jobs: usize) {
        self.count = self.count.saturating_sub(jobs);
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inner({:?})", self.store)
    }
}
