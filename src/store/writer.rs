//! The one writer: it takes whatever waits, makes one transaction of it, and answers when the commit is on disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, Connection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::audit::{Actor, Event, Head, NodeId, link};
use crate::clock::{Clock, Timestamp};
use crate::mail::JobId;
use crate::store::apply::{Applied, apply, apply_ahead, give_back, renew, write_again};
use crate::store::dialect::{Dialect, Truncated};
use crate::store::insert::{Holder, Inserts};
use crate::store::jobs::{JobRow, claim};
use crate::store::{Change, Commit, Fence, StoreError, failed, read};

/// Changes that may wait for the writer; beyond it callers are told that the store is busy.
const MAX_WAITING: usize = 2_048;
/// Changes in one transaction.
const MAX_BATCH: usize = 256;
/// How long attempts that are to be settled wait for a message that comes in, whose flush they can share. Nobody is
/// answered later for it; a power cut in this time delivers once more what was delivered in it.
const COMPANY_WITHIN: Duration = Duration::from_millis(4);
/// So many attempts are company enough.
const COMPANY: usize = 16;
/// How long a connection that is given up may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A change that is on disk with its event. Made by the writer only.
#[derive(Debug)]
pub struct Committed {
    seq: i64,
}

impl Committed {
    /// The number of the event in this node's chain.
    pub fn seq(&self) -> i64 {
        self.seq
    }
}

/// Whether a lease could be lengthened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    Held,
    /// The job is somebody else's: what is not on the wire yet must not be sent.
    Lost,
}

/// Whether the last thing that was to be written was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    Works,
    /// Nothing that happens now could be kept.
    Fails,
}

/// A claim of due jobs: not a change of state, so without an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) now: Timestamp,
    pub(super) until: Timestamp,
    pub(super) limit: i64,
}

enum Work {
    Commit {
        change: Change,
        actor: Actor,
        event: Event,
    },
    Claim(Claim),
    GiveBack(Vec<(JobId, Fence)>),
    Renew {
        job: JobId,
        fence: Fence,
        until: Timestamp,
    },
    /// Writes what is there already, to see whether it can be done.
    Try,
    TruncateLog,
    Stop,
}

enum Answer {
    Committed { seq: i64 },
    Lost,
    Claimed(Vec<JobRow>),
    Done,
    Truncated(Truncated),
}

impl Answer {
    /// Whether it shows that something went to the disk: a change that finds nothing succeeds on a full one too.
    fn was_written(&self) -> bool {
        match self {
            Answer::Committed { .. } | Answer::Done => true,
            Answer::Claimed(jobs) => !jobs.is_empty(),
            Answer::Lost | Answer::Truncated(_) => false,
        }
    }
}

struct Submission {
    work: Work,
    answer: oneshot::Sender<Result<Answer, StoreError>>,
}

impl Submission {
    fn change(&self) -> Option<&Change> {
        match &self.work {
            Work::Commit { change, .. } => Some(change),
            Work::Claim(_) | Work::GiveBack(_) | Work::Renew { .. } => None,
            Work::Try | Work::TruncateLog | Work::Stop => None,
        }
    }

    /// Whether it may wait for others.
    fn has_time(&self) -> bool {
        matches!(self.change(), Some(Change::Settle(_)))
    }
}

/// Gives work to the writer.
pub(super) struct Handle {
    waiting: mpsc::Sender<Submission>,
    writing: watch::Receiver<Writing>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer is given to start with.
pub(super) struct Start {
    pub(super) options: AnyConnectOptions,
    pub(super) dialect: Dialect,
    pub(super) node: NodeId,
    pub(super) boot: i64,
    pub(super) clock: Arc<dyn Clock>,
}

impl Handle {
    pub(super) fn start(start: Start) -> Handle {
        let (waiting, work) = mpsc::channel(MAX_WAITING);
        let head = Head::empty(start.node.clone());
        let (told, writing) = watch::channel(Writing::Works);
        let writer = Writer { start, work, connection: None, head, flush: Flush::Trusted, writing: told };
        Handle { waiting, writing, task: Mutex::new(Some(tokio::spawn(writer.run()))) }
    }

    pub(super) fn writing(&self) -> Writing {
        *self.writing.borrow()
    }

    pub(super) async fn try_to_write(&self) -> Result<(), StoreError> {
        self.submit(Work::Try).await.map(|_| ())
    }

    pub(super) async fn commit(&self, change: Change, actor: Actor, event: Event) -> Result<Commit, StoreError> {
        match self.submit(Work::Commit { change, actor, event }).await? {
            Answer::Committed { seq } => Ok(Commit::Committed(Committed { seq })),
            Answer::Lost | Answer::Claimed(_) | Answer::Done | Answer::Truncated(_) => Ok(Commit::Lost),
        }
    }

    pub(super) async fn claim(&self, claim: Claim) -> Result<Vec<JobRow>, StoreError> {
        match self.submit(Work::Claim(claim)).await? {
            Answer::Claimed(jobs) => Ok(jobs),
            Answer::Committed { .. } | Answer::Lost | Answer::Done | Answer::Truncated(_) => Ok(Vec::new()),
        }
    }

    pub(super) async fn give_back(&self, jobs: Vec<(JobId, Fence)>) -> Result<(), StoreError> {
        self.submit(Work::GiveBack(jobs)).await.map(|_| ())
    }

    pub(super) async fn renew(&self, job: JobId, fence: Fence, until: Timestamp) -> Result<Renewed, StoreError> {
        match self.submit(Work::Renew { job, fence, until }).await? {
            Answer::Done => Ok(Renewed::Held),
            Answer::Committed { .. } | Answer::Lost | Answer::Claimed(_) | Answer::Truncated(_) => Ok(Renewed::Lost),
        }
    }

    pub(super) async fn truncate_log(&self) -> Result<Truncated, StoreError> {
        match self.submit(Work::TruncateLog).await? {
            Answer::Truncated(truncated) => Ok(truncated),
            Answer::Committed { .. } | Answer::Lost | Answer::Claimed(_) | Answer::Done => {
                Ok(Truncated::ReadersInTheWay)
            }
        }
    }

    pub(super) async fn stop(&self) {
        let (answer, stopped) = oneshot::channel();
        if self.waiting.send(Submission { work: Work::Stop, answer }).await.is_ok() {
            let _ = stopped.await;
        }
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(writer.panicked = error.is_panic(), "the store's writer ended badly");
        }
    }

    async fn submit(&self, work: Work) -> Result<Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Submission { work, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        answered.await.map_err(|_| closed())?
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// Whether what was committed last can be relied on to be on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    Trusted,
    /// A COMMIT failed. The kernel may have dropped the pages that it could not write, and will report the next flush
    /// of the same file as good: whatever that log holds is moved out and the log cut before anything is added to it.
    Doubtful,
}

/// Where a transaction failed.
enum Trouble {
    Statement(sqlx::Error),
    Chain,
    Commit(sqlx::Error),
}

struct Writer {
    start: Start,
    work: mpsc::Receiver<Submission>,
    connection: Option<AnyConnection>,
    head: Head,
    flush: Flush,
    writing: watch::Sender<Writing>,
}

impl Writer {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while self.work.recv_many(&mut batch, MAX_BATCH).await > 0 {
            self.wait_for_company(&mut batch).await;
            let stop = batch.iter().position(|submission| matches!(submission.work, Work::Stop));
            let behind = stop.map(|at| batch.split_off(at)).unwrap_or_default();
            self.write(std::mem::take(&mut batch)).await;
            if !behind.is_empty() {
                self.give_up_connection().await;
                // Those that wait behind the stop are answered by the closing of their channel.
                return;
            }
        }
        self.give_up_connection().await;
    }

    async fn wait_for_company(&mut self, batch: &mut Vec<Submission>) {
        let company = async {
            while batch.len() < COMPANY && batch.iter().all(Submission::has_time) {
                if self.work.recv_many(batch, MAX_BATCH).await == 0 {
                    return;
                }
            }
        };
        // When the time is over they go by themselves.
        let _ = tokio::time::timeout(COMPANY_WITHIN, company).await;
    }

    async fn write(&mut self, batch: Vec<Submission>) {
        let (upkeep, batch): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|submission| matches!(submission.work, Work::TruncateLog));
        if !batch.is_empty() {
            self.write_together(batch).await;
        }
        for submission in upkeep {
            let truncated = self.truncate_log().await.map(Answer::Truncated);
            let _ = submission.answer.send(truncated);
        }
    }

    async fn write_together(&mut self, batch: Vec<Submission>) {
        match self.transact(&batch).await {
            Ok(answers) => {
                for (submission, answer) in batch.into_iter().zip(answers) {
                    // Who no longer waits has lost only the answer.
                    let _ = submission.answer.send(Ok(answer));
                }
            }
            Err(Refused::Unavailable(error)) => answer_all(batch, &error),
            Err(Refused::Statement(_)) if batch.len() > 1 => {
                for submission in batch {
                    self.write_alone(submission).await;
                }
            }
            Err(Refused::Statement(error)) => answer_all(batch, &error),
            Err(Refused::Lost) if batch.len() > 1 => {
                for submission in batch {
                    self.write_alone(submission).await;
                }
            }
            Err(Refused::Lost) => {
                for submission in batch {
                    let _ = submission.answer.send(Ok(Answer::Lost));
                }
            }
        }
    }

    /// Replays one of a batch that failed, so that only the guilty one fails.
    async fn write_alone(&mut self, submission: Submission) {
        let alone = [submission];
        let answer = match self.transact(&alone).await {
            Ok(answers) => answers.into_iter().next().ok_or_else(closed),
            Err(Refused::Unavailable(error) | Refused::Statement(error)) => Err(error),
            Err(Refused::Lost) => Ok(Answer::Lost),
        };
        let [submission] = alone;
        let _ = submission.answer.send(answer);
    }

    async fn transact(&mut self, batch: &[Submission]) -> Result<Vec<Answer>, Refused> {
        let written = self.transact_once(batch).await;
        match &written {
            Ok(answers) if answers.iter().any(Answer::was_written) => {
                if self.tell(Writing::Works) {
                    tracing::info!("the store writes again");
                }
            }
            Err(Refused::Unavailable(error) | Refused::Statement(error)) => {
                if self.tell(Writing::Fails) {
                    tracing::error!(store.error = %error, "the store cannot write: nothing is delivered until it can");
                }
            }
            Ok(_) | Err(Refused::Lost) => {}
        }
        written
    }

    /// Whether it was otherwise before.
    fn tell(&self, now: Writing) -> bool {
        self.writing.send_if_modified(|before| std::mem::replace(before, now) != now)
    }

    async fn transact_once(&mut self, batch: &[Submission]) -> Result<Vec<Answer>, Refused> {
        self.ready().await.map_err(Refused::Unavailable)?;
        let Some(mut connection) = self.connection.take() else { return Err(Refused::Unavailable(closed())) };
        let outcome = try_batch(&self.start, &self.head, &mut connection, batch).await;
        match outcome {
            Ok((answers, head)) => {
                self.connection = Some(connection);
                self.head = head;
                Ok(answers)
            }
            Err(Trouble::Commit(error)) => {
                // What is on disk is unknown now: head and boot are read again before the next batch.
                self.flush = Flush::Doubtful;
                close(connection).await;
                Err(Refused::Unavailable(failed("flushing a commit")(error)))
            }
            Err(Trouble::Chain) => {
                self.roll_back(connection).await;
                Err(Refused::Statement(StoreError::StrangeRow("an event that cannot be written")))
            }
            Err(Trouble::Statement(sqlx::Error::RowNotFound)) => {
                self.roll_back(connection).await;
                Err(Refused::Lost)
            }
            Err(Trouble::Statement(error)) => {
                self.roll_back(connection).await;
                Err(Refused::Statement(failed("writing")(error)))
            }
        }
    }

    async fn roll_back(&mut self, mut connection: AnyConnection) {
        match sqlx::query("rollback").execute(&mut connection).await {
            Ok(_) => self.connection = Some(connection),
            // SQLite rolls back by itself when the disk is full; a fresh connection is in a known state either way.
            Err(_) => close(connection).await,
        }
    }

    /// Has a connection whose state is known, with the head and the boot read over it.
    async fn ready(&mut self) -> Result<(), StoreError> {
        if self.connection.is_some() {
            return Ok(());
        }
        let mut connection =
            AnyConnection::connect_with(&self.start.options).await.map_err(failed("connecting to the database"))?;
        self.start.dialect.prepare(&mut connection).await?;
        if self.flush == Flush::Doubtful {
            if self.start.dialect.truncate_log(&mut connection).await? != Truncated::Done {
                return Err(StoreError::Unavailable("the write-ahead log is doubtful and still read".to_owned()));
            }
            self.flush = Flush::Trusted;
        }
        let boot = read::boot(&mut connection, &self.start.node).await?;
        if boot != Some(self.start.boot) {
            return Err(StoreError::Unavailable("another process has started as this node".to_owned()));
        }
        self.head = read::head(&mut connection, &self.start.node).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn truncate_log(&mut self) -> Result<Truncated, StoreError> {
        self.ready().await?;
        match &mut self.connection {
            Some(connection) => self.start.dialect.truncate_log(connection).await,
            None => Err(closed()),
        }
    }

    async fn give_up_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            close(connection).await;
        }
    }
}

/// One transaction: every change, then the rows that they add, then one flush.
async fn try_batch(
    start: &Start,
    head: &Head,
    connection: &mut AnyConnection,
    batch: &[Submission],
) -> Result<(Vec<Answer>, Head), Trouble> {
    let now = start.clock.now();
    let holder = Holder { node: &start.node.0, boot: start.boot };
    let mut head = head.clone();
    let mut inserts = Inserts::default();
    let mut answers = Vec::with_capacity(batch.len());
    sqlx::query(start.dialect.begin()).execute(&mut *connection).await.map_err(Trouble::Statement)?;
    let changes = batch.iter().filter_map(Submission::change);
    let mut ahead = apply_ahead(connection, changes).await.map_err(Trouble::Statement)?;
    for submission in batch {
        answers.push(match &submission.work {
            Work::Commit { change, actor, event } => {
                let applied = apply(connection, change, (&mut ahead, &mut inserts)).await;
                let applied = applied.map_err(Trouble::Statement)?;
                match applied {
                    Applied::Lost => Answer::Lost,
                    Applied::Done => {
                        let (entry, next) = link(&head, now, actor, event).map_err(|_| Trouble::Chain)?;
                        inserts.event(entry, event.message());
                        head = next;
                        Answer::Committed { seq: head.seq }
                    }
                }
            }
            Work::Claim(wanted) => {
                let claimed = claim(connection, start.dialect, (holder, *wanted)).await;
                Answer::Claimed(claimed.map_err(Trouble::Statement)?)
            }
            Work::GiveBack(jobs) => {
                for (job, fence) in jobs {
                    give_back(connection, *job, *fence).await.map_err(Trouble::Statement)?;
                }
                // Whether any of them was ours still, nobody asks.
                Answer::Lost
            }
            Work::Renew { job, fence, until } => {
                match renew(connection, (*job, *fence), *until).await.map_err(Trouble::Statement)? {
                    Applied::Done => Answer::Done,
                    Applied::Lost => Answer::Lost,
                }
            }
            Work::Try => {
                write_again(connection, holder).await.map_err(Trouble::Statement)?;
                Answer::Done
            }
            Work::TruncateLog | Work::Stop => Answer::Done,
        });
    }
    inserts.write(connection, holder).await.map_err(Trouble::Statement)?;
    sqlx::query("commit").execute(&mut *connection).await.map_err(Trouble::Commit)?;
    Ok((answers, head))
}

/// Why a batch was not written.
enum Refused {
    /// Nobody in the batch is to blame.
    Unavailable(StoreError),
    /// One statement failed, and everything was rolled back.
    Statement(StoreError),
    /// One change found half of what it expected, and everything was rolled back.
    Lost,
}

async fn close(connection: AnyConnection) {
    // A connection that does not close in time is dropped; nothing is written over it any more.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.close()).await;
}

fn answer_all(batch: Vec<Submission>, error: &StoreError) {
    for submission in batch {
        let _ = submission.answer.send(Err(error.clone()));
    }
}
