//! `[policy]`: the default, and the rules.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use crate::config::client::Clients;
use crate::config::guard::Guard;
use crate::config::reader::{Absent, Given, Seen, Table};
use crate::config::trial::Trial;
use crate::config::value::{self, nearest};
use crate::mail::{ClientName, Method};
use crate::phi::Kind;

/// A sender who may take a message back has thought of it by then; a recipient still gets it on the day.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `[policy]`
#[derive(Clone, Debug)]
pub struct Policy {
    pub default: Vec<Method>,
    pub rules: Vec<Rule>,
    /// Subject tags that ask for protection, without the brackets' case mattering: `[secure]`, `[encrypt]`.
    pub tags: Vec<String>,
    /// The methods that a tag or `X-Sealpost-Secure: yes` asks for.
    pub secure: Vec<Method>,
    pub trial: Trial,
    pub guard: Guard,
}

/// `[[policy.rule]]`
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub when: When,
    pub then: Then,
    /// How long what the rule lets go waits first, so that it can be taken back.
    pub delay: Duration,
    /// Whether the sender gets a receipt at acceptance.
    pub receipt: bool,
}

/// All conditions given must hold; a list holds when one of its entries does. `Debug` shows none: a pattern may name a person.
#[derive(Clone, Default)]
pub struct When {
    pub client: Vec<ClientName>,
    /// Address patterns, as in `Client::senders`.
    pub sender: Vec<String>,
    pub recipient: Vec<String>,
    pub recipient_domain: Vec<String>,
    pub phi: Option<bool>,
    pub kinds: Vec<Kind>,
    /// Whether the sender asked for protection by a tag, a control header or a sensitivity.
    pub marked: Option<bool>,
}

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

impl Policy {
    pub(super) fn read(table: &mut Table<'_, '_>, clients: &Clients) -> Policy {
        let default = methods(table, "default", Absent::Default);
        let secure = methods(table, "secure", Absent::Default);
        let tags = table.list("tags", Absent::Default, tag);
        let trial = Trial::read(table, clients);
        let mut names = Seen::default();
        let rules = table.tables("rule", |table| {
            let line = table.line_of("name");
            let name = table.required("name", value::text);
            if let Some(first) = name.as_ref().and_then(|name| names.earlier(name, line)) {
                table.mistake(line, "name", format!("the rule on line {first} has this name already: choose another"));
            }
            let when = table.table("when", |table| When::read(table, clients));
            let then = Then::read(table);
            let delay = delay(table, then.as_ref());
            let receipt = table.setting("receipt", value::flag);
            Some(Rule { name: name?, when, then: then?, delay, receipt })
        });
        let guard = table.table("guard", Guard::read);
        Policy { default, rules, tags, secure, trial, guard }
    }
}

impl When {
    fn read(table: &mut Table<'_, '_>, clients: &Clients) -> When {
        let client = table.filled("client", Absent::Nothing, value::text);
        for Given { line, value: name } in &client {
            if clients.names.contains(name) {
                continue;
            }
            let text = match nearest(name, clients.names.iter().map(String::as_str)) {
                Some(near) => format!("no [[client]] has this name; did you mean \"{near}\"?"),
                None => "no [[client]] has this name: add the client, or take the name out".to_owned(),
            };
            table.mistake(*line, "client", text);
        }
        When {
            client: client.into_iter().map(|given| ClientName(given.value)).collect(),
            sender: condition(table, "sender", value::address_pattern),
            recipient: condition(table, "recipient", value::address_pattern),
            recipient_domain: condition(table, "recipient_domain", value::domain_pattern),
            phi: table.optional("phi", value::flag),
            kinds: condition(table, "kinds", value::kind),
            marked: table.optional("marked", value::flag),
        }
    }
}

/// One list of `when`. An empty one could never hold, and reads as if it always did, so it is a mistake.
fn condition<T>(
    table: &mut Table<'_, '_>,
    key: &'static str,
    convert: impl Fn(&DeValue<'_>) -> Result<T, String>,
) -> Vec<T> {
    table.filled(key, Absent::Nothing, convert).into_iter().map(|given| given.value).collect()
}

impl Then {
    fn read(table: &mut Table<'_, '_>) -> Option<Then> {
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

/// Only what goes can wait: what is held waits for a person, and what is refused is gone.
fn delay(table: &mut Table<'_, '_>, then: Option<&Then>) -> Duration {
    let line = table.line_of("delay");
    let written = table.optional("delay", value::duration);
    let delay = written.unwrap_or_default();
    match then {
        Some(Then::Hold(_) | Then::Reject(_)) if written.is_some() => {
            table.mistake(line, "delay", "stands with deliver only: take it out");
        }
        Some(_) if delay > LONGEST_DELAY => {
            table.mistake(line, "delay", "write at most 1d: a message that waits longer is better held");
        }
        Some(_) | None => {}
    }
    delay
}

/// A list of methods: at least one, each once.
fn methods(table: &mut Table<'_, '_>, key: &'static str, absent: Absent) -> Vec<Method> {
    let given = table.filled(key, absent, value::method);
    let mut methods = Vec::new();
    for Given { line, value: method } in given {
        if methods.contains(&method) {
            table.mistake(line, key, format!("{method} stands here twice: leave the first"));
        }
        methods.push(method);
    }
    methods
}

fn tag(written: &DeValue<'_>) -> Result<String, String> {
    let tag = value::text(written)?;
    let word = tag.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let plain = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if word.is_some_and(plain) { Ok(tag) } else { Err("write a word in brackets, as in \"[secure]\"".into()) }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("When")
    }
}
