//! What a rule does: one way, and what it adds to whatever way the message goes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use crate::config::policy::methods;
use crate::config::reader::{Absent, Given, Table};
use crate::config::value;
use crate::mail::{Address, Method};

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

/// How somebody who picks a message up shows who they are, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// Whoever reads the mailbox.
    Mailbox,
    /// Who knows a code that the sender told them.
    Code,
    Totp,
    Passkey,
}

impl Verification {
    pub const ALL: [Verification; 4] =
        [Verification::Mailbox, Verification::Code, Verification::Totp, Verification::Passkey];

    pub const fn name(self) -> &'static str {
        match self {
            Verification::Mailbox => "mailbox",
            Verification::Code => "code",
            Verification::Totp => "totp",
            Verification::Passkey => "passkey",
        }
    }
}

/// What a rule adds. What several rules add comes together.
#[derive(Clone, Debug, Default)]
pub struct Adds {
    /// Fields of the header, and their values.
    pub headers: Vec<(String, String)>,
    pub footer: Option<String>,
    /// Who gets a copy, under the same protection.
    pub archive: Option<Address>,
    /// Who is told that the rule matched.
    pub notify: Vec<Address>,
    pub move_subject: bool,
    /// The notice of 42 CFR 2.32.
    pub part2_notice: bool,
    /// How long it can be picked up.
    pub expire: Option<Duration>,
    pub verify: Option<Verification>,
}

const KEYS: [&str; 8] =
    ["add_headers", "footer", "archive", "notify", "move_subject", "part2_notice", "expire", "verify"];

const FOR_THE_PORTAL: [&str; 2] = ["expire", "verify"];

/// A footer is read at the end of every message; a longer one is a document.
const LONGEST_FOOTER: usize = 2000;

/// RFC 5322 §2.1.1: a line must not be longer than 998 characters.
const LONGEST_LINE: usize = 900;

impl Then {
    /// Nothing, when the rule only adds; `adds` are the keys by which it does.
    pub(super) fn read(table: &mut Table<'_, '_>, adds: &[(usize, &'static str)]) -> Option<Then> {
        let adds_a_time = table.has("delay") || table.has("receipt");
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
            [] if adds.is_empty() && !adds_a_time => {
                table.mistake(line, "deliver", "is missing: write one of deliver, hold and reject, or what is added");
            }
            [] | [_] => {}
            [first, ..] => {
                let text = format!("leave one of {}: a rule does one thing", written.join(" and "));
                table.mistake(line, first, text);
            }
        }
        let deliver = has_deliver.then_some(Then::Deliver(deliver, last));
        deliver.or(hold.map(Then::Hold)).or(reject.map(Then::Reject))
    }
}

/// What no message would carry is a mistake, not a promise.
pub(super) fn check(table: &mut Table<'_, '_>, written: &[(usize, &'static str)], then: Option<&Then>) {
    for (line, key) in written.iter().copied() {
        match then {
            Some(Then::Reject(_)) if key == "notify" => {
                let text =
                    "stands beside reject, and of what is refused nothing is kept to tell of: take it out, or hold";
                table.mistake(line, key, text);
            }
            Some(Then::Reject(_)) => {
                table.mistake(line, key, "stands beside reject, and what is refused carries nothing: take it out");
            }
            Some(Then::Deliver(methods, _)) if FOR_THE_PORTAL.contains(&key) && !methods.contains(&Method::Portal) => {
                table.mistake(
                    line,
                    key,
                    "is for the portal, which deliver does not name: take it out, or write \"portal\"",
                );
            }
            Some(Then::Deliver(..) | Then::Hold(_)) | None => {}
        }
    }
}

impl Adds {
    /// Which of its keys are written, and where.
    pub(super) fn written(table: &Table<'_, '_>) -> Vec<(usize, &'static str)> {
        KEYS.into_iter().filter(|key| table.has(key)).map(|key| (table.line_of(key), key)).collect()
    }

    pub(super) fn read(table: &mut Table<'_, '_>) -> Adds {
        let verifications = Verification::ALL.map(|verification| (verification.name(), verification));
        Adds {
            headers: headers(table),
            footer: table.optional("footer", footer),
            archive: table.optional("archive", value::address),
            notify: table
                .filled("notify", Absent::Nothing, value::address)
                .into_iter()
                .map(|each| each.value)
                .collect(),
            move_subject: table.setting("move_subject", value::flag),
            part2_notice: table.setting("part2_notice", value::flag),
            expire: table.optional("expire", value::duration),
            verify: table.optional("verify", |written| value::one_of(written, verifications)),
        }
    }
}

/// `{ "X-Clinic-Class" = "phi" }`
fn headers(table: &mut Table<'_, '_>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, Given { line, value }) in table.pairs("add_headers") {
        match super::field_name(&name).and_then(|()| value::text(&value)).and_then(short) {
            Ok(_) if !may_be_added(&name) => {
                let text = format!("{name}: write a name that begins with X-, and not with X-Sealpost-");
                table.mistake(line, "add_headers", text);
            }
            Ok(value) => headers.push((name, value)),
            Err(text) => table.mistake(line, "add_headers", format!("{name}: {text}")),
        }
    }
    headers
}

/// Fields that mean something to mail programs are not for a rule to write.
fn may_be_added(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-") && !name.starts_with("x-sealpost-")
}

fn short(value: String) -> Result<String, String> {
    if value.len() <= LONGEST_LINE && value.is_ascii() {
        Ok(value)
    } else {
        Err(format!("write at most {LONGEST_LINE} plain ASCII characters"))
    }
}

/// Several lines, between three quotes.
fn footer(written: &DeValue<'_>) -> Result<String, String> {
    let text = written.as_str().unwrap_or_default().trim();
    let plain = text.chars().all(|c| c == '\n' || !c.is_control());
    let lines = text.lines().all(|line| line.len() <= LONGEST_LINE);
    if text.is_empty() || !plain || !lines || text.len() > LONGEST_FOOTER {
        return Err(format!("write a text of at most {LONGEST_FOOTER} characters, lines between three quotes"));
    }
    Ok(text.to_owned())
}
