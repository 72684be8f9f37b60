//! `[policy.guard]`: what is done about a message that looks like a mistake.

use std::time::Duration;

use crate::config::policy::LONGEST_DELAY;
use crate::config::reader::Table;
use crate::config::value;

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
    pub(super) fn read(table: &mut Table<'_, '_>) -> Care {
        Care { guarded: table.setting("guarded", value::flag) }
    }
}

impl Default for Care {
    fn default() -> Care {
        Care { guarded: true }
    }
}
