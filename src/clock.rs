//! What time it is, told by a value that is handed in: no room asks the machine itself.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The moment `by` later; stays at the last representable one instead of wrapping.
    pub fn plus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(millis(by)))
    }

    pub fn minus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(millis(by)))
    }

    /// How long ago `earlier` was; zero when it is not in the past.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As in `2026-11-24T04:07:00.000Z` (RFC 3339).
    pub fn rfc3339(self) -> String {
        format!("{:.3}", self.civil())
    }

    /// As in `Tue, 24 Nov 2026 04:07:00 +0000` (RFC 5322 §3.3).
    pub fn rfc5322(self) -> String {
        self.civil().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }

    /// The day alone, as in `2026-11-24`, in UTC.
    pub fn date(self) -> String {
        self.civil().strftime("%Y-%m-%d").to_string()
    }

    /// Reads a day, as in `2026-11-24`: the moment when it begins, in UTC.
    pub fn parse_date(text: &str) -> Option<Timestamp> {
        let day: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
        let begins = jiff::tz::TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
        Some(Timestamp(begins.as_millisecond()))
    }

    /// Reads an RFC 3339 time.
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        Some(Timestamp(parsed.as_millisecond()))
    }

    /// Reads the time of a Date: field (RFC 5322 §3.3); a wrong weekday is overlooked.
    pub fn parse_rfc5322(text: &str) -> Option<Timestamp> {
        let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
        Some(Timestamp(parser.parse_timestamp(text.trim()).ok()?.as_millisecond()))
    }

    fn civil(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Where a room gets the time from.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Timestamp;

    /// Has `wake` called whenever this clock moves in a way that real waiting would not show.
    fn on_jump(&self, wake: Box<dyn Fn() + Send + Sync>);
}

/// The machine's own clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may ask the machine")]
    fn now(&self) -> Timestamp {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(millis(elapsed))
    }

    /// The machine's clock flows, so waiting real time is enough.
    fn on_jump(&self, _wake: Box<dyn Fn() + Send + Sync>) {}
}

/// A clock that stands still until it is moved.
#[derive(Default)]
pub struct ManualClock {
    now: Mutex<i64>,
    wakers: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl ManualClock {
    pub fn at(now: Timestamp) -> ManualClock {
        ManualClock { now: Mutex::new(now.0), wakers: Mutex::default() }
    }

    pub fn advance(&self, by: Duration) {
        {
            let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *now = now.saturating_add(millis(by));
        }
        let wakers = self.wakers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for wake in wakers.iter() {
            wake();
        }
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(*self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn on_jump(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.wakers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_as_mail_and_as_logs_write_it() {
        let moment = Timestamp::from_millis(1_795_493_220_007);
        assert_eq!(moment.rfc3339(), "2026-11-24T04:07:00.007Z");
        assert_eq!(moment.rfc5322(), "Tue, 24 Nov 2026 04:07:00 +0000");
        assert_eq!(Timestamp::parse_rfc3339("2026-11-24T04:07:00.007Z"), Some(moment));
        let second = Timestamp::from_millis(1_795_493_220_000);
        assert_eq!(Timestamp::parse_rfc5322(" Tue, 24 Nov 2026 05:07:00 +0100 "), Some(second));
        assert_eq!(Timestamp::parse_rfc5322("yesterday"), None);
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let day = Timestamp::parse_date("2026-11-24").unwrap();
        assert_eq!(day.rfc3339(), "2026-11-24T00:00:00.000Z");
        assert_eq!(day.plus(Duration::from_hours(23)).date(), "2026-11-24");
        for text in ["2026-02-30", "26-11-24", "tomorrow", "2026-11-24T10:00:00", ""] {
            assert_eq!(Timestamp::parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_moved_clock_wakes_those_who_asked() {
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let woken = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let seen = woken.clone();
        clock.on_jump(Box::new(move || {
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), Timestamp::from_millis(2_000));
        assert_eq!(woken.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn time_that_lies_ahead_was_no_time_ago() {
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }
}
