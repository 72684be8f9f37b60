//! `[policy]`: the default, and the rules.

mod group;
mod then;
mod when;

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeValue;

pub use group::Group;
pub use then::{Last, Then};
pub use when::{Cannot, Counted, HeaderIs, OperatingPoint, When};

use crate::config::client::Clients;
use crate::config::reader::{Absent, Given, Seen, Table};
use crate::config::trial::Trial;
use crate::config::value::{self, nearest};
use crate::mail::Method;
use when::Depth;

/// A sender who may take a message back has thought of it by then; a recipient still gets it on the day.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `[policy]`
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub default: Vec<Method>,
    pub rules: Vec<Rule>,
    pub groups: Vec<Group>,
    /// Subject tags that ask for protection, without the brackets' case mattering: `[secure]`, `[encrypt]`.
    pub tags: Vec<String>,
    /// The methods that a tag or `X-Sealpost-Secure: yes` asks for.
    pub secure: Vec<Method>,
    pub trial: Trial,
    pub point: OperatingPoint,
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

/// What a rule may refer to.
pub(super) struct Known<'a> {
    clients: &'a Clients,
    groups: BTreeSet<String>,
}

impl Known<'_> {
    fn check_client(&self, table: &mut Table<'_, '_>, (line, key): (usize, &str), name: &str) {
        if self.clients.names.contains(name) {
            return;
        }
        let text = match nearest(name, self.clients.names.iter().map(String::as_str)) {
            Some(near) => format!("no [[client]] has this name; did you mean \"{near}\"?"),
            None => "no [[client]] has this name: add the client, or take the name out".to_owned(),
        };
        table.mistake(line, key, text);
    }
}

impl Policy {
    pub(super) fn read(table: &mut Table<'_, '_>, clients: &Clients) -> Policy {
        let groups = group::read_all(table);
        let known = Known { clients, groups: groups.iter().map(|group| group.name.clone()).collect() };
        Policy {
            default: methods(table, "default", Absent::Default),
            secure: methods(table, "secure", Absent::Default),
            tags: table.list("tags", Absent::Default, tag),
            point: table.setting("operating_point", when::operating_point),
            trial: Trial::read(table, clients),
            rules: rules(table, &known),
            groups,
        }
    }
}

fn rules(table: &mut Table<'_, '_>, known: &Known<'_>) -> Vec<Rule> {
    let mut names = Seen::default();
    table.tables("rule", |table| {
        let line = table.line_of("name");
        let name = table.required("name", value::text);
        if let Some(first) = name.as_ref().and_then(|name| names.earlier(name, line)) {
            table.mistake(line, "name", format!("the rule on line {first} has this name already: choose another"));
        }
        let when = table.table("when", |table| When::read(table, known, Depth::Top));
        let then = Then::read(table);
        let delay = delay(table, then.as_ref());
        let receipt = table.setting("receipt", value::flag);
        Some(Rule { name: name?, when, then: then?, delay, receipt })
    })
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

/// RFC 5322 §3.6.8.
fn field_name(name: &str) -> Result<(), String> {
    let plain = !name.is_empty() && name.len() <= 76 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain { Ok(()) } else { Err("write the name of a header field, of letters, digits and dashes".into()) }
}
