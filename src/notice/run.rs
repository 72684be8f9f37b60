//! Pays what is owed: notices to senders and the postmaster, and once a day the report.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::audit::{Actor, Event, JobState, SignedHead};
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::evidence::{Evidence, EvidenceError};
use crate::mail::MessageId;
use crate::notice::day::LISTED;
use crate::notice::keep::{NotKept, keep};
use crate::notice::{
    Counts, Day, FailedCheck, Notice, NoticeError, Stamp, TakeBack, Voice, Waiting, answer, matched, receipt,
};
use crate::queue::{Listed, Owed, Queue, QueueError};
use crate::store::{About, Change, JobFilter, JobRow, StateName, Store, StoreError};

/// How many owed notices are taken at once.
const BATCH: usize = 32;
/// How many rows of the audit log are read at once.
const PAGE: i64 = 500;
/// The longest sleep before the clock is looked at again: it may have been set meanwhile.
const GLANCE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The rooms that notices are made from.
#[derive(Clone, Debug)]
pub struct Rooms {
    pub queue: Queue,
    pub evidence: Evidence,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

/// Writes notices until it is drained.
#[derive(Debug)]
pub struct Notices {
    rooms: Rooms,
    voice: RwLock<Arc<Voice>>,
    checks: watch::Receiver<Vec<FailedCheck>>,
}

/// Why a notice was not written. It stays owed.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    #[error(transparent)]
    Composing(#[from] NoticeError),
    #[error(transparent)]
    Keeping(#[from] NotKept),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the audit log has no entry yet")]
    NoHead,
}

impl Notices {
    /// `checks` holds the self-checks that fail at present.
    pub fn new(rooms: Rooms, config: &Config, checks: watch::Receiver<Vec<FailedCheck>>) -> Notices {
        Notices { rooms, voice: RwLock::new(Voice::of(config)), checks }
    }

    pub fn reload(&self, config: &Config) {
        *self.voice.write().unwrap_or_else(PoisonError::into_inner) = Voice::of(config);
    }

    pub async fn run(&self, drain: CancellationToken) {
        tokio::join!(self.answer_all(&drain), self.report_daily(&drain));
    }

    async fn answer_all(&self, drain: &CancellationToken) {
        loop {
            let owed = tokio::select! {
                () = drain.cancelled() => return,
                owed = self.rooms.queue.owed(BATCH) => owed,
            };
            for owed in owed {
                if let Err(error) = self.answer(&owed).await {
                    let (message, job) = (owed.message, owed.job);
                    // The queue gives it out again after a while.
                    error!(message.id = %message, job.id = %job, "could not write a notice, and will try again: {error}");
                }
            }
        }
    }

    async fn answer(&self, owed: &Owed) -> Result<(), NotWritten> {
        let Rooms { queue, evidence, .. } = &self.rooms;
        let voice = self.voice();
        let (message, job) = (owed.message, owed.job);
        let story = evidence.story(message).await?;
        let stamp = self.stamp()?;
        let notice = match (owed.about, owed.to.mailbox()) {
            (About::Taken, Some(sender)) => {
                let slip = receipt::slip(owed, &story, self.take_back(&voice, message).await?);
                Notice::of_receipt(&voice, &slip, sender.clone(), stamp)?
            }
            (About::Matched, _) => {
                let (found, to) = matched::found(&voice, owed, &story);
                Notice::of_match(&voice, &found, to, stamp)?
            }
            _ => Notice::of_fate(&voice, &answer::fate(owed, &story), answer::told(&voice, owed), stamp)?,
        };
        let receipt = match keep((queue, evidence), &voice, (notice, stamp), Some(owed.id)).await {
            // Somebody else was quicker, or the debt has gone.
            Err(NotKept::Queue(QueueError::AlreadyTold)) => return Ok(()),
            kept => kept?,
        };
        metrics::counter!("sealpost_notices_total").increment(1);
        info!(message.id = %message, job.id = %job, notice.id = %receipt.id(), "wrote a notice: {:?}", owed.about);
        Ok(())
    }

    /// The link with which the sender takes the message back, as long as any part of it may still be here.
    async fn take_back(&self, voice: &Voice, message: MessageId) -> Result<Option<TakeBack>, NotWritten> {
        let Some(start) = &voice.public_url else { return Ok(None) };
        let jobs = self.rooms.queue.show(message).await?;
        let waits = |job: &&Listed| !matches!(job.state, JobState::Ended { .. });
        let Some(until) = jobs.iter().filter(waits).map(|job| job.expires).max() else { return Ok(None) };
        Ok(Some(TakeBack { link: format!("{start}/back/{}", self.rooms.queue.ticket(message, until)) }))
    }

    async fn report_daily(&self, drain: &CancellationToken) {
        let moved = Arc::new(Notify::new());
        let wake = moved.clone();
        self.rooms.clock.on_jump(Box::new(move || wake.notify_one()));
        let mut after = match reported(&self.rooms.store).await {
            Ok(last) => last.unwrap_or_else(|| self.rooms.clock.now()),
            Err(error) => {
                error!("could not find out when the last daily report was: {error}");
                self.rooms.clock.now()
            }
        };
        while !drain.is_cancelled() {
            let now = self.rooms.clock.now();
            let due = next_report(after, self.voice().digest_hour);
            if now < due {
                tokio::select! {
                    () = drain.cancelled() => return,
                    () = moved.notified() => {}
                    () = tokio::time::sleep(due.since(now).min(GLANCE)) => {}
                }
                continue;
            }
            match self.report().await {
                Ok(()) => after = now,
                Err(error) => {
                    error!("could not write the daily report, and will try again: {error}");
                    pause(GLANCE, drain).await;
                }
            }
        }
    }

    /// Sends the head of the audit chain out of the house, with what a postmaster wants to know beside it.
    async fn report(&self) -> Result<(), NotWritten> {
        let Rooms { queue, evidence, store, .. } = &self.rooms;
        let voice = self.voice();
        let stamp = self.stamp()?;
        let (counts, since) = counted(store).await?;
        let heads = store.heads().await?;
        let head = heads.iter().find(|head| head.node == *store.node()).ok_or(NotWritten::NoHead)?;
        let signed = SignedHead::sign(head, stamp.at, &store.vault().signing_key());
        let held = JobFilter { state: Some(StateName::Held), ..JobFilter::default() };
        let tally = store.tally().await?;
        let count =
            |state| tally.states.iter().filter(|each| each.state == state).map(|each| each.jobs.unsigned_abs()).sum();
        let day = Day {
            since,
            counts,
            queued: count(StateName::Queued),
            held: count(StateName::Held),
            waiting: store.list_jobs(&held, LISTED).await?.iter().filter_map(waiting).collect(),
            failed: self.checks.borrow().clone(),
            head: signed,
        };
        let notice = Notice::of_day(&voice, &day, stamp)?;
        keep((queue, evidence), &voice, (notice, stamp), None).await?;
        let SignedHead { seq, hash, .. } = day.head;
        // Whole, so that the line alone is a head to verify against.
        let head = serde_json::to_string(&day.head).map_err(|_| NoticeError::Malformed)?;
        store.commit(Change::Note, Actor::System, Event::HeadPublished { seq, hash }).await?;
        info!(audit.head = head, "published the head of the audit log");
        Ok(())
    }

    fn stamp(&self) -> Result<Stamp, QueueError> {
        Ok(Stamp { id: self.rooms.queue.new_id()?, at: self.rooms.clock.now() })
    }

    fn voice(&self) -> Arc<Voice> {
        self.voice.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// When the last report was made; before the first one, when the log began. A machine that is switched off at that hour
/// every day sends its report when it is switched on.
async fn reported(store: &Store) -> Result<Option<Timestamp>, StoreError> {
    if let (_, Some(last)) = counted(store).await? {
        return Ok(Some(last));
    }
    let first = store.events(store.node(), 0, 1).await?;
    Ok(first.first().and_then(|entry| Timestamp::parse_rfc3339(&entry.row.time)))
}

/// What the audit log counts since the last report, and when that was; read backwards from the end.
async fn counted(store: &Store) -> Result<(Counts, Option<Timestamp>), StoreError> {
    let heads = store.heads().await?;
    let mut end = heads.iter().find(|head| head.node == *store.node()).map_or(0, |head| head.seq);
    let mut counts = Counts::default();
    while end > 0 {
        let start = (end - PAGE).max(0);
        let page = store.events(store.node(), start, usize::try_from(end - start).unwrap_or(0)).await?;
        for entry in page.iter().rev() {
            match serde_json::from_str(&entry.row.event) {
                Ok(Event::HeadPublished { .. }) => return Ok((counts, Timestamp::parse_rfc3339(&entry.row.time))),
                Ok(event) => counts.add(&event),
                // An event of a newer version: it has its place in the chain, and none in these counts.
                Err(_) => {}
            }
        }
        end = start;
    }
    Ok((counts, None))
}

fn waiting(row: &JobRow) -> Option<Waiting> {
    match row.standing.state {
        JobState::Held { cause } => {
            Some(Waiting { reference: row.message, domain: row.domain.clone(), since: row.accepted, cause })
        }
        JobState::Queued { .. } | JobState::Ended { .. } => None,
    }
}

/// The first time behind `after` at which the clock shows `hour` in UTC.
fn next_report(after: Timestamp, hour: u8) -> Timestamp {
    let day = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
    let midnight = Timestamp::from_millis(after.millis() - after.millis().rem_euclid(day));
    let today = midnight.plus(HOUR * u32::from(hour));
    if today > after { today } else { today.plus(DAY) }
}

async fn pause(length: Duration, drain: &CancellationToken) {
    tokio::select! {
        () = drain.cancelled() => {}
        () = tokio::time::sleep(length) => {}
    }
}

#[cfg(test)]
mod tests;
