//! Everything that Sealpost writes itself: reports on delivery, hold notices, the daily report.
//!
//! A notice is composed from typed facts: ids, codes, times, domains, words of the config, and one recipient's address for
//! the field that must name it. No template takes the content of a message, so no notice can carry it.

mod answer;
mod compose;
mod day;
mod dsn;
mod facts;
mod keep;
mod matched;
mod receipt;
mod run;
mod text;

use std::net::SocketAddr;
use std::sync::Arc;

pub use compose::NoticeError;
pub use day::{Counts, Day, FailedCheck, Waiting};
pub use facts::{Fate, LastAttempt, Original, What};
pub use matched::{Match, Matched};
pub use receipt::{Line, Slip, Standing, TakeBack};
pub use run::{Notices, Rooms};

use crate::clock::Timestamp;
use crate::config::{Config, Legacy};
use crate::mail::{Address, Domain, Envelope, Message, MessageId};

/// A message of ours. Made by the templates of this room only.
#[derive(Clone, Debug)]
pub struct Notice {
    id: MessageId,
    envelope: Envelope,
    message: Message,
}

/// In whose name notices are written, and who hears of everything.
#[derive(Clone, Debug)]
pub struct Voice {
    pub hostname: Domain,
    pub from: Address,
    pub postmaster: Address,
    /// The hour, in UTC, of the daily report.
    pub digest_hour: u8,
    /// The listeners that stand open without TLS.
    pub legacy: Vec<(SocketAddr, Legacy)>,
    /// What a link begins with, when there are links.
    pub public_url: Option<String>,
}

/// The name and the moment of one notice.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub id: MessageId,
    pub at: Timestamp,
}

impl Voice {
    pub fn of(config: &Config) -> Arc<Voice> {
        Arc::new(Voice {
            hostname: config.server.hostname.clone(),
            from: config.notify.from.clone(),
            postmaster: config.notify.postmaster.clone(),
            digest_hour: config.notify.digest_hour,
            legacy: config.listeners.iter().filter_map(|door| Some((door.bind, door.legacy()?.clone()))).collect(),
            public_url: config.server.public_url.clone(),
        })
    }
}

impl Notice {
    /// What became of a message on its way to one recipient, told to everybody in `to`.
    pub fn of_fate(voice: &Voice, fate: &Fate, to: Vec<Address>, stamp: Stamp) -> Result<Notice, NoticeError> {
        compose::fate(voice, fate, to, stamp)
    }

    /// That a message was accepted, what happens with it, and until when it can be taken back: for whoever sent it.
    pub fn of_receipt(voice: &Voice, slip: &Slip, to: Address, stamp: Stamp) -> Result<Notice, NoticeError> {
        compose::receipt(voice, slip, to, stamp)
    }

    /// That rules matched a message: for those whom they name.
    pub fn of_match(voice: &Voice, found: &Match, to: Vec<Address>, stamp: Stamp) -> Result<Notice, NoticeError> {
        compose::matched(voice, found, to, stamp)
    }

    /// The daily report to the postmaster.
    pub fn of_day(voice: &Voice, day: &Day, stamp: Stamp) -> Result<Notice, NoticeError> {
        compose::day(voice, day, stamp)
    }

    pub fn id(&self) -> MessageId {
        self.id
    }

    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub fn message(&self) -> &Message {
        &self.message
    }
}
