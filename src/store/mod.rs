//! The only SQL: one group-committing writer, the reads, the bodies, and the keys that seal them.

mod apply;
mod body;
mod change;
mod dialect;
mod history;
mod insert;
mod jobs;
mod lock;
mod open;
mod read;
#[cfg(test)]
pub(crate) mod stand_in;
mod sweep;
mod vault;
mod writer;
#[cfg(test)]
mod writer_faults;

use std::sync::Arc;

use sqlx::AnyPool;

use crate::audit::{Actor, Event, NodeId};
use crate::clock::Clock;

pub use body::BodyKey;
pub use change::{
    About, Body, Change, ConfigText, Delay, Destination, DestinationSeen, Fence, Lower, Move, NewEpoch, NewJob,
    NewMessage, Newcomers, OwedId, Owes, Purpose, Rewrap, Rewrapped, SealedAttempt, SealedEvidence, Settlement,
    Standing, Tell,
};
pub use dialect::Truncated;
pub use history::Written;
pub use jobs::{Debt, JobFilter, JobRow, StateCount, StateName, Tally};
pub use read::{AttemptRow, ConfigRow, EvidenceRow};
pub(crate) use vault::envelope_place;
pub use vault::{Broken, Vault};
pub use writer::{Committed, Renewed, Writing};

/// The database, the bodies and the keys. A cheap clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: writer::Handle,
    /// Reads go their own way, so that they never wait for the writer.
    readers: AnyPool,
    dialect: dialect::Dialect,
    bodies: body::Bodies,
    vault: Vault,
    clock: Arc<dyn Clock>,
    node: NodeId,
    boot: i64,
    _lock: lock::DataDirLock,
}

/// What became of a change.
#[derive(Debug)]
pub enum Commit {
    Committed(Committed),
    /// What the change expected is no longer so. Nothing was written.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database or the disk cannot take or give anything now. The words are ours.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    #[error("the disk is full: {0}")]
    Full(&'static str),
    /// More changes wait than memory is set aside for.
    #[error("the store is busy")]
    Busy,
    #[error("another sealpost holds this data directory: wait until it has ended, or stop it")]
    InUse,
    #[error(
        "the database was written by a newer sealpost (its schema has version {found}, this binary knows {known}): start that one"
    )]
    NewerSchema { found: i64, known: i64 },
    #[error(
        "the database's schema is not the one that sealpost makes (at version {0}): put back a copy that nobody altered"
    )]
    StrangeSchema(i64),
    #[error(
        "this master key does not open the keys in the database: give the one that they were made under, \
         or `sealpost keys recover` it from its recovery code"
    )]
    WrongMasterKey,
    #[error("{0}")]
    Setting(&'static str),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("the database holds a row that sealpost did not write: {0}")]
    StrangeRow(&'static str),
}

impl Store {
    /// Makes a change and its event durable together. This is the only way to change anything that has a history.
    pub async fn commit(&self, change: Change, actor: Actor, event: Event) -> Result<Commit, StoreError> {
        self.inner.writer.commit(change, actor, event).await
    }

    /// Whether the last thing that was to be written was.
    pub fn writing(&self) -> Writing {
        self.inner.writer.writing()
    }

    /// Writes what is there already: the store writes again when this does.
    pub async fn try_to_write(&self) -> Result<(), StoreError> {
        self.inner.writer.try_to_write().await
    }

    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    pub fn node(&self) -> &NodeId {
        &self.inner.node
    }

    pub fn boot(&self) -> i64 {
        self.inner.boot
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Whether other nodes may work on the same queue.
    pub fn is_shared(&self) -> bool {
        self.inner.dialect.is_shared()
    }

    /// Writes what waits, and closes every connection. Whoever still holds a clone is told that the store is gone.
    pub async fn close(self) {
        self.inner.writer.stop().await;
        self.inner.readers.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({} boot {})", self.inner.node, self.inner.boot)
    }
}

/// Turns a database error into our own words: its text may quote values.
fn failed(doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match cause(&error) {
        DISK_FULL => StoreError::Full(doing),
        cause => StoreError::Unavailable(format!("{doing}: {cause}")),
    }
}

const DISK_FULL: &str = "the disk is full";

fn cause(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Database(database) => match database.code().as_deref() {
            // SQLite's extended result codes carry the cause in their low byte (https://sqlite.org/rescode.html).
            Some(code) => match code.parse::<u32>().map(|code| code & 0xff) {
                Ok(5 | 6) if code.len() < 5 => "another process holds the database",
                Ok(8) if code.len() < 5 => "the database is read-only",
                Ok(10) if code.len() < 5 => "the disk failed",
                Ok(11 | 26) if code.len() < 5 => "the database file is damaged",
                Ok(13) if code.len() < 5 => DISK_FULL,
                Ok(14) if code.len() < 5 => "the database file cannot be opened",
                Ok(19) if code.len() < 5 => "a constraint does not hold",
                // PostgreSQL's five-letter SQLSTATE classes (its Appendix A).
                Ok(_) | Err(_) => match code.get(..2).filter(|_| code.len() == 5) {
                    Some("53") => "the server is out of disk, memory or connections",
                    Some("58") => "the server's disk failed",
                    Some("57") => "the server is shutting down",
                    Some("23") => "a constraint does not hold",
                    Some("25") => "the server is read-only",
                    Some("28") => "the server refused our login",
                    Some(_) | None => "the database refused the statement",
                },
            },
            None => "the database refused the statement",
        },
        sqlx::Error::Io(_) => "the connection failed",
        sqlx::Error::Tls(_) => "the server's TLS could not be verified",
        sqlx::Error::PoolTimedOut => "no connection became free in time",
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => "the store is closed",
        sqlx::Error::Configuration(_) => "the settings cannot be used",
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            "a row could not be read"
        }
        // The enum is the library's, and open.
        _ => "the database failed",
    }
}
