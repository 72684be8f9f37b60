//! The one writer: it takes whatever waits, makes one transaction of it, and answers when the commit is on disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, Connection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::audit::{Actor, Event, Head, NodeId, link};
use crate::clock::{Clock, Timestamp};
use crate::mail::JobId;
use crate::store::apply::{Applied, apply, give_back};
use crate::store::dialect::{Dialect, Truncated};
use crate::store::insert::{Holder, Inserts};
use crate::store::jobs::{JobRow, claim};
use crate::store::{Change, Commit, Fence, StoreError, failed, read};

/// Changes that may wait for the writer; beyond it callers are told that the store is busy.
const MAX_WAITING: usize = 2_048;
/// Changes in one transaction.
const MAX_BATCH: usize = 256;
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

/// A claim of due jobs: not a change of state, so without an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) now: Timestamp,
    pub(super) until: Timestamp,
    pub(super) limit: i64,
}

enum Work {
    Commit { change: Change, actor: Actor, event: Event },
    Claim(Claim),
    GiveBack(Vec<(JobId, Fence)>),
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

struct Submission {
    work: Work,
    answer: oneshot::Sender<Result<Answer, StoreError>>,
}

/// Gives work to the writer.
pub(super) struct Handle {
    waiting: mpsc::Sender<Submission>,
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
        let writer = Writer { start, work, connection: None, head, flush: Flush::Trusted };
        Handle { waiting, task: Mutex::new(Some(tokio::spawn(writer.run()))) }
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
}

impl Writer {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while self.work.recv_many(&mut batch, MAX_BATCH).await > 0 {
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
    for submission in batch {
        answers.push(match &submission.work {
            Work::Commit { change, actor, event } => {
                let applied = apply(connection, change, &mut inserts).await.map_err(Trouble::Statement)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::config;
    use crate::crypto::{Digest, Key, sha256};
    use crate::mail::{ClientName, Content, MessageId};
    use crate::store::{Body, ConfigText, NewMessage, SealedEvidence, Store};

    async fn open(folder: &std::path::Path, master: &Key) -> Result<Store, StoreError> {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_000)));
        let database = config::Database { url: "sqlite".into(), body_file_bytes: 1 << 16 };
        Store::open(&database, folder, master.clone(), clock).await
    }

    fn message(random: u128) -> (Change, Event) {
        let id = MessageId::from_parts(Timestamp::from_millis(1), random);
        let evidence = SealedEvidence {
            message: id,
            epoch: 1,
            sealed: Vec::new(),
            commitment: Digest::ZERO,
            people: Vec::new(),
            message_id: None,
            content: sha256(b"x"),
        };
        let message = NewMessage {
            id,
            accepted: Timestamp::from_millis(1),
            bytes: 1,
            content: Content::Mail,
            client: Some(ClientName("openemr".into())),
            body: Body::Row(vec![1]),
            jobs: Vec::new(),
            evidence,
            settles: None,
        };
        let event = Event::Accepted { message: id, evidence: Digest::ZERO, bytes: 1, jobs: Vec::new() };
        (Change::Accept(Box::new(message)), event)
    }

    #[tokio::test]
    async fn only_the_guilty_one_of_a_batch_fails_and_the_chain_has_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), &Key::generate().unwrap()).await.unwrap();
        // The second of two with the same id breaks its statement; a change that finds nothing is lost beside them.
        let commits = [1, 2, 1, 3].map(message).into_iter().map(|(change, event)| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(change, Actor::System, event).await })
        });
        let nothing = MessageId::from_parts(Timestamp::from_millis(1), 99);
        let lost = Change::EraseEvidence { message: nothing };
        let lost = store.commit(lost, Actor::System, Event::EvidenceErased { message: nothing });
        let commits: Vec<_> = commits.collect();
        assert!(matches!(lost.await, Ok(Commit::Lost)));
        let mut failed = 0;
        for commit in commits {
            match commit.await.unwrap() {
                Ok(Commit::Committed(_)) => {}
                Ok(Commit::Lost) => panic!("nothing was expected of it"),
                Err(error) => {
                    failed += 1;
                    let words = "the store is unavailable: writing: a constraint does not hold";
                    assert_eq!(error.to_string(), words);
                }
            }
        }
        assert_eq!(failed, 1);
        let events = store.events(store.node(), 0, 100).await.unwrap();
        // Three epochs, three messages.
        assert_eq!(events.iter().map(|entry| entry.row.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        store.close().await;
    }

    #[tokio::test]
    async fn after_a_commit_that_failed_the_head_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), &Key::generate().unwrap()).await.unwrap();
        let (_, options) = Dialect::read("sqlite", folder.path()).unwrap();
        let mut connection = AnyConnection::connect_with(&options).await.unwrap();
        // A reference that is checked at the end only: every statement succeeds, and COMMIT does not.
        sqlx::raw_sql(
            "create table doomed (node text references node (id) deferrable initially deferred); \
             create trigger doom after insert on config_text begin insert into doomed values ('nobody'); end;",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
        let text = ConfigText { digest: sha256(b"config"), epoch: 1, sealed: vec![1], at: Timestamp::from_millis(1) };
        let doomed = Change::ConfigLoaded(text);
        let event = Event::ConfigLoaded { config: sha256(b"config") };
        let beside = tokio::spawn({
            let (store, (change, event)) = (store.clone(), message(7));
            async move { store.commit(change, Actor::System, event).await }
        });
        let refused = store.commit(doomed, Actor::System, event).await.unwrap_err();
        assert!(refused.to_string().starts_with("the store is unavailable: flushing a commit"), "{refused}");
        // Whoever shared that commit is told the same; nobody is told that it was kept when it may not be.
        let shared = beside.await.unwrap();
        let (change, event) = message(8);
        assert!(matches!(store.commit(change, Actor::System, event).await, Ok(Commit::Committed(_))));
        let events = store.events(store.node(), 0, 100).await.unwrap();
        let expected = if shared.is_ok() { 5 } else { 4 };
        assert_eq!(events.last().map(|entry| entry.row.seq), Some(expected));
        assert_eq!(events.len(), usize::try_from(expected).unwrap());
        assert_eq!(store.config_text(sha256(b"config")).await.unwrap().map(|row| row.epoch), None);
        store.close().await;
    }

    #[tokio::test]
    async fn a_database_of_a_newer_sealpost_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let master = Key::generate().unwrap();
        let store = open(folder.path(), &master).await.unwrap();
        store.close().await;
        let (_, options) = Dialect::read("sqlite", folder.path()).unwrap();
        let mut connection = AnyConnection::connect_with(&options).await.unwrap();
        sqlx::query(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
             values (99, 'later', true, x'00', 0)",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
        let refused = open(folder.path(), &master).await.unwrap_err();
        assert_eq!(refused, StoreError::NewerSchema { found: 99, known: 1 });
    }

    #[tokio::test]
    async fn a_node_whose_boot_was_taken_over_writes_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), &Key::generate().unwrap()).await.unwrap();
        let start = Start {
            options: Dialect::read("sqlite", folder.path()).unwrap().1,
            dialect: Dialect::Sqlite,
            node: store.node().clone(),
            boot: store.boot() + 1,
            clock: store.clock().clone(),
        };
        let other = Handle::start(start);
        let refused = other.commit(Change::Note, Actor::System, Event::MasterKeyRotated).await.unwrap_err();
        assert_eq!(refused.to_string(), "the store is unavailable: another process has started as this node");
        other.stop().await;
        store.close().await;
    }
}
