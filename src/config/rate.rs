//! How much of something may come in a length of time: `"600/1h"`.

use std::fmt;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::reader::Table;

/// So much in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

/// What one client may send, where that is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub messages: Option<Rate>,
    pub recipients: Option<Rate>,
}

impl Rates {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Rates {
        Rates { messages: table.optional("rate", rate), recipients: table.optional("recipient_rate", rate) }
    }
}

/// As in `600 in 1h`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.count, humantime::format_duration(self.per))
    }
}

const DAY: Duration = Duration::from_hours(24);

fn rate(written: &DeValue<'_>) -> Result<Rate, String> {
    let rate = || {
        let (count, per) = written.as_str()?.split_once('/')?;
        let count = count.trim().parse().ok().filter(|count| *count > 0)?;
        let per = humantime::parse_duration(per.trim()).ok()?;
        (per >= Duration::from_secs(1) && per <= DAY).then_some(Rate { count, per })
    };
    rate().ok_or_else(|| "write how many in what time, as in \"600/1h\"; the time is from \"1s\" to \"1d\"".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_time() {
        let read = |text: &str| rate(&DeValue::String(text.into()));
        assert_eq!(read("600/1h").map(|rate| rate.to_string()), Ok("600 in 1h".into()));
        assert_eq!(read("5 / 90s").map(|rate| rate.to_string()), Ok("5 in 1m 30s".into()));
        for wrong in ["600", "0/1h", "-1/1h", "600/h", "600/0s", "600/2d", "600/1h/2", "99999999999/1h", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
