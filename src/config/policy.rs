//! `[policy]`: the default, and the rules.

mod compat;
mod group;
mod then;
mod when;

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeValue;

pub use compat::{Compat, Product};
pub use group::Group;
pub use then::{Adds, Last, Then, Verification};
pub use when::{Cannot, Counted, HeaderIs, OperatingPoint, When};

use crate::config::client::Clients;
use crate::config::guard::Guard;
use crate::config::names;
use crate::config::reader::{Absent, Given, Seen, Table};
use crate::config::trial::Trial;
use crate::config::value;
use crate::mail::{ClientName, Method};
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
    /// The methods for a message whose sender opted out, and may.
    pub opted_out: Vec<Method>,
    pub point: OperatingPoint,
    pub phi_subject: PhiSubject,
    /// What stands in for a subject that was moved inside; `{reference}` becomes the message's id.
    pub subject: String,
    /// Whether rules of a narrower scope may protect less than the default does.
    pub may_relax: bool,
    pub compat: Compat,
    pub guard: Guard,
}

/// `[[policy.rule]]`
#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub name: String,
    pub scope: Scope,
    pub when: When,
    /// Nothing, when the rule only adds.
    pub then: Option<Then>,
    pub adds: Adds,
    /// How long what the rule lets go waits first, so that it can be taken back.
    pub delay: Duration,
    /// Whether the sender gets a receipt at acceptance.
    pub receipt: bool,
    /// Whether rules of a narrower scope may protect less than this one.
    pub may_relax: bool,
}

/// Whose mail a rule is about, from wide to narrow.
#[derive(Clone, Default)]
pub enum Scope {
    #[default]
    Everybody,
    /// Senders in these domains.
    Domain(Vec<String>),
    Client(Vec<ClientName>),
    /// Senders who fit these address patterns.
    User(Vec<String>),
}

/// How narrow a scope is: a narrower one may add protection to what a wider one decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Everybody,
    Domain,
    Client,
    User,
}

/// What becomes of a subject that holds health information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhiSubject {
    #[default]
    Move,
    Hold,
    Leave,
}

/// What a rule may refer to.
pub(super) struct Known<'a> {
    clients: &'a Clients,
    groups: BTreeSet<String>,
}

impl Policy {
    pub(super) fn read(table: &mut Table<'_, '_>, clients: &Clients) -> Policy {
        let groups = group::read_all(table);
        let known = Known { clients, groups: groups.iter().map(|group| group.name.clone()).collect() };
        Policy {
            default: methods(table, "default", Absent::Default),
            secure: methods(table, "secure", Absent::Default),
            tags: table.list("tags", Absent::Default, tag),
            opted_out: methods(table, "opted_out", Absent::Default),
            point: table.setting("operating_point", when::operating_point),
            phi_subject: table.setting("phi_subject", phi_subject),
            subject: table.setting("subject", subject),
            may_relax: table.setting("may_relax", value::flag),
            compat: table.table("compat", Compat::read),
            trial: Trial::read(table, clients),
            guard: table.table("guard", Guard::read),
            rules: rules(table, &known),
            groups,
        }
    }
}

fn rules(table: &mut Table<'_, '_>, known: &Known<'_>) -> Vec<Rule> {
    let mut earlier = Seen::default();
    table.tables("rule", |table| {
        let line = table.line_of("name");
        let name = table.required("name", value::text);
        if let Some(first) = name.as_ref().and_then(|name| earlier.earlier(name, line)) {
            table.mistake(line, "name", format!("the rule on line {first} has this name already: choose another"));
        }
        if name.as_deref().is_some_and(names::is_taken) {
            table.mistake(line, "name", "decisions that no rule makes are called so: choose another");
        }
        let scope = table.table("scope", |table| Scope::read(table, known));
        let when = table.table("when", |table| When::read(table, known, Depth::Top));
        let written = Adds::written(table);
        let adds = Adds::read(table);
        let before = table.mistakes();
        let then = Then::read(table, &written);
        then::check(table, &written, then.as_ref());
        let delay = delay(table, then.as_ref());
        let receipt = table.setting("receipt", value::flag);
        let may_relax = table.setting("may_relax", value::flag);
        if table.mistakes() > before {
            return None;
        }
        Some(Rule { name: name?, scope, when, then, adds, delay, receipt, may_relax })
    })
}

impl Scope {
    fn read(table: &mut Table<'_, '_>, known: &Known<'_>) -> Scope {
        let written: Vec<&str> = ["domain", "client", "user"].into_iter().filter(|key| table.has(key)).collect();
        if let [first, _, ..] = written.as_slice() {
            let text = format!("leave one of {}: a rule has one scope", written.join(" and "));
            table.mistake(table.line_of(first), first, text);
        }
        let values = |given: Vec<Given<String>>| given.into_iter().map(|given| given.value).collect::<Vec<_>>();
        let domains = values(table.filled("domain", Absent::Nothing, value::domain_pattern));
        let clients = table.filled("client", Absent::Nothing, value::text);
        for Given { line, value: name } in &clients {
            known.clients.check(table, (*line, "client"), name);
        }
        let users = values(table.filled("user", Absent::Nothing, value::address_pattern));
        match written.first().copied() {
            Some("domain") => Scope::Domain(domains),
            Some("client") => Scope::Client(values(clients).into_iter().map(ClientName).collect()),
            Some(_) => Scope::User(users),
            None => Scope::Everybody,
        }
    }

    pub const fn level(&self) -> Level {
        match self {
            Scope::Everybody => Level::Everybody,
            Scope::Domain(_) => Level::Domain,
            Scope::Client(_) => Level::Client,
            Scope::User(_) => Level::User,
        }
    }
}

impl Level {}

/// `Debug` shows no pattern: it may name a person.
impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.level().fmt(f)
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
        Some(_) | None if delay > LONGEST_DELAY => {
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

fn phi_subject(written: &DeValue<'_>) -> Result<PhiSubject, String> {
    let words = [("move", PhiSubject::Move), ("hold", PhiSubject::Hold), ("leave", PhiSubject::Leave)];
    value::one_of(written, words)
}

fn subject(written: &DeValue<'_>) -> Result<String, String> {
    let text = value::text(written)?;
    let known = text.replace("{reference}", "");
    if known.contains(['{', '}']) || text.len() > 200 {
        return Err("write at most 200 characters; the only word in braces is {reference}".into());
    }
    Ok(text)
}
