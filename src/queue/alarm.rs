//! Waiting for the next moment at which something is due, without asking the store again and again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Timestamp};

/// A clock may be set while we sleep; nothing is late by more than this because of it.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

pub(super) struct Alarm {
    clock: Arc<dyn Clock>,
    /// The earliest moment that anybody asked for, when somebody did.
    next: Mutex<Option<Timestamp>>,
    rung: Arc<Notify>,
}

impl Alarm {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Alarm {
        let rung = Arc::new(Notify::new());
        let jumped = rung.clone();
        clock.on_jump(Box::new(move || jumped.notify_one()));
        // Nothing is known yet, so the first look at the store is due at once.
        let next = Mutex::new(Some(clock.now()));
        Alarm { clock, next, rung }
    }

    /// Asks to be woken at `at` at the latest.
    pub(super) fn set(&self, at: Timestamp) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none_or(|next| at < next) {
            *next = Some(at);
            self.rung.notify_one();
        }
    }

    /// Wakes whoever waits, now.
    pub(super) fn ring(&self) {
        self.rung.notify_one();
    }

    /// Whether the moment has come. It is forgotten then: who takes it looks, and sets the next one.
    pub(super) fn take_due(&self) -> bool {
        let now = self.clock.now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_some_and(|at| at <= now) {
            *next = None;
            return true;
        }
        false
    }

    /// Sleeps until the alarm rings, is set earlier, or the moment comes.
    pub(super) async fn wait(&self) {
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = next.map_or(LONGEST_SLEEP, |at| at.since(self.clock.now()).min(LONGEST_SLEEP));
        // A timeout is the moment having come; both mean the same to the caller.
        let _ = tokio::time::timeout(pause, self.rung.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn a_moved_clock_ends_the_wait() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let alarm = Alarm::new(clock.clone());
        assert!(alarm.take_due());
        alarm.set(Timestamp::from_millis(60_000));
        assert!(!alarm.take_due());
        alarm.wait().await;
        let moved = async {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(60));
        };
        tokio::join!(alarm.wait(), moved);
        assert!(alarm.take_due());
    }

    #[test]
    fn the_earliest_wish_counts() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let alarm = Alarm::new(clock.clone());
        assert!(alarm.take_due());
        alarm.set(Timestamp::from_millis(2_000));
        alarm.set(Timestamp::from_millis(1_000));
        alarm.set(Timestamp::from_millis(3_000));
        clock.advance(Duration::from_millis(1_000));
        assert!(alarm.take_due());
        assert!(!alarm.take_due());
    }
}
