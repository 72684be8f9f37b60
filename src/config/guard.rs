//! `[policy.guard]`: what is done about a message that looks like a mistake.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::policy::LONGEST_DELAY;
use crate::config::profile::Profile;
use crate::config::reader::Table;
use crate::config::value;

/// Digests of mail are forgotten behind it.
const LONGEST_WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is done when something looks like a mistake. A later one does what those before it do, and more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Response {
    #[default]
    Off,
    /// The sender gets a receipt that says so.
    Warn,
    /// The message waits first, so that it can be taken back.
    Delay,
    /// A person has to release it.
    Hold,
}

/// `[policy.guard]`. The default is a guard that does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    pub look_alike: Response,
    pub consumer: Response,
    pub first_time: Response,
    pub greeting: Response,
    pub many: Response,
    /// More recipients in To and Cc than this are many.
    pub many_over: usize,
    pub reply_all: Response,
    /// An answer to more recipients in To and Cc than this goes to all.
    pub reply_all_over: usize,
    pub whole_record: Response,
    pub patients: Response,
    /// More people than this in one message are many.
    pub patients_over: usize,
    pub quoted: Response,
    /// How long `delay` waits.
    pub delay: Duration,
}

/// What is looked for in one client's messages, for mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Care {
    /// Whether `[policy.guard]` counts.
    pub guarded: bool,
    /// What is done about a message that the client sent before.
    pub duplicates: Response,
    /// How long one is remembered for that.
    pub duplicate_window: Duration,
    /// What is done about a recipient to whom the client sends one message after another.
    pub bursts: Response,
    /// More messages than this to one recipient within `burst_window` are a burst.
    pub burst_over: u64,
    pub burst_window: Duration,
}

const RESPONSES: [(&str, Response); 4] =
    [("off", Response::Off), ("warn", Response::Warn), ("delay", Response::Delay), ("hold", Response::Hold)];

impl Guard {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Guard {
        let mut response = |key| table.setting(key, |written| value::one_of(written, RESPONSES));
        let mut guard = Guard {
            look_alike: response("look_alike"),
            consumer: response("consumer"),
            first_time: response("first_time"),
            greeting: response("greeting"),
            many: response("many"),
            reply_all: response("reply_all"),
            whole_record: response("whole_record"),
            patients: response("patients"),
            quoted: response("quoted"),
            ..Guard::default()
        };
        guard.many_over = table.setting("many_over", value::count);
        guard.reply_all_over = table.setting("reply_all_over", value::count);
        guard.patients_over = table.setting("patients_over", value::count);
        let line = table.line_of("delay");
        guard.delay = table.setting("delay", value::duration);
        if guard.delay > LONGEST_DELAY {
            table.mistake(line, "delay", "write at most 1d: a message that waits longer is better held");
        }
        guard
    }
}

impl Care {
    pub(super) fn read(table: &mut Table<'_, '_>, profile: Profile) -> Care {
        // To wait changes nothing about one message too many.
        let response = |written: &DeValue<'_>| {
            value::one_of(written, RESPONSES.into_iter().filter(|(_, response)| *response != Response::Delay))
        };
        let duplicates = table.optional("duplicates", response);
        let mut care = Care {
            guarded: table.setting("guarded", value::flag),
            duplicates: duplicates.unwrap_or(profile.duplicates()),
            duplicate_window: Duration::ZERO,
            bursts: table.setting("bursts", response),
            burst_over: table.setting("burst_over", value::count) as u64,
            burst_window: Duration::ZERO,
        };
        care.duplicate_window = window(table, "duplicate_window");
        care.burst_window = window(table, "burst_window");
        care
    }

    /// Whether what the client sent just before makes a difference.
    pub fn asks_for_repeats(&self) -> bool {
        self.duplicates > Response::Off || self.bursts > Response::Off
    }
}

impl Default for Care {
    fn default() -> Care {
        Care {
            guarded: true,
            duplicates: Response::Off,
            duplicate_window: Duration::ZERO,
            bursts: Response::Off,
            burst_over: 0,
            burst_window: Duration::ZERO,
        }
    }
}

fn window(table: &mut Table<'_, '_>, key: &'static str) -> Duration {
    let line = table.line_of(key);
    let window = table.setting(key, value::duration);
    if window > LONGEST_WINDOW {
        table.mistake(line, key, "write at most 7d: whoever sends the same a week later means it");
    }
    window
}
