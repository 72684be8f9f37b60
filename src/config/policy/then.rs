//! What a rule does with a message.

use serde::{Deserialize, Serialize};

use crate::config::policy::methods;
use crate::config::reader::{Absent, Table};
use crate::config::value;
use crate::mail::Method;

#[derive(Clone, Debug)]
pub enum Then {
    /// `deliver = [...]`, with `last = "hold"` or `"undeliverable"`.
    Deliver(Vec<Method>, Last),
    /// `hold = "why"`
    Hold(String),
    /// `reject = "text"`
    Reject(String),
}

/// What becomes of a message when its list of methods runs out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Last {
    #[default]
    Hold,
    Undeliverable,
}

impl Then {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Then> {
        let line = table.line;
        let last_line = table.line_of("last");
        let has_last = table.has("last");
        let has_deliver = table.has("deliver");
        let written: Vec<&str> = ["deliver", "hold", "reject"].into_iter().filter(|key| table.has(key)).collect();
        let lasts = [("hold", Last::Hold), ("undeliverable", Last::Undeliverable)];
        let last = table.setting("last", |written| value::one_of(written, lasts));
        let deliver = methods(table, "deliver", Absent::Nothing);
        let hold = table.optional("hold", value::text);
        let reject = table.optional("reject", value::text);
        if has_last && !has_deliver {
            table.mistake(last_line, "last", "goes with deliver only: take it out, or write deliver");
        }
        match written.as_slice() {
            [] => table.mistake(line, "deliver", "is missing: write one of deliver, hold and reject"),
            [_] => {}
            [first, ..] => {
                let text = format!("leave one of {}: a rule does one thing", written.join(" and "));
                table.mistake(line, first, text);
            }
        }
        let deliver = has_deliver.then_some(Then::Deliver(deliver, last));
        deliver.or(hold.map(Then::Hold)).or(reject.map(Then::Reject))
    }
}
