//! `[queue]`: when to try again, and when to stop.

use std::time::Duration;

use crate::config::reader::{Absent, Table};
use crate::config::value::duration;

/// `[queue]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Waits between attempts; the last repeats.
    pub retry: Vec<Duration>,
    pub expire: Duration,
    /// When a sender is told that a message is late.
    pub delay_notice: Duration,
    /// How long a floor may stay unmet before the next method is tried.
    pub floor_patience: Duration,
    /// How long a held message is kept before it expires.
    pub hold_expire: Duration,
    pub lease: Duration,
}

impl Queue {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Queue {
        let line = table.line_of("expire");
        let before = table.mistakes();
        let retry = table.filled("retry", Absent::Default, duration);
        let queue = Queue {
            retry: retry.into_iter().map(|wait| wait.value).collect(),
            expire: table.setting("expire", duration),
            delay_notice: table.setting("delay_notice", duration),
            floor_patience: table.setting("floor_patience", duration),
            hold_expire: table.setting("hold_expire", duration),
            lease: table.setting("lease", duration),
        };
        let too_short = queue.retry.first().is_some_and(|first| queue.expire <= *first);
        if too_short && table.mistakes() == before {
            table.mistake(line, "expire", "write more than the first wait of retry: nothing would be tried twice");
        }
        queue
    }
}
