//! `sealpost policy replay`: what another config would have decided for past mail, by rule and recipient domain.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::output::{Failed, Format, print_json, print_line, print_text};
use crate::cli::queue::moment;
use crate::cli::reach;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::Last;
use crate::control::Request;
use crate::evidence::record::Record;
use crate::intake::again::{Again, Renewed};
use crate::mail::{ClientName, MessageId};
use crate::policy::{self, Action};

/// What is typed behind `policy replay`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The config to be tried; default: the one of --config
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,
    /// Mail since then: a time (2026-11-24T04:00:00Z) or a length of time ago (30d)
    #[arg(long, value_name = "WHEN", value_parser = moment, default_value = "30d")]
    since: Timestamp,
    /// Only what this client submitted
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
}

/// Lines of the table; what changes in more ways than that is counted under the last one.
const MOST_GROUPS: usize = 2000;
/// Messages that a line names.
const NAMED: usize = 5;
/// How often progress is told.
const EVERY: u64 = 1000;

/// What happens to mail for one recipient, in words that can be compared and counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Way {
    action: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    methods: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<&'static str>,
    rule: String,
}

/// Changes of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    domain: String,
    before: Way,
    after: Way,
}

#[derive(Debug)]
struct Group {
    count: u64,
    protects: &'static str,
    messages: Vec<MessageId>,
}

/// Everything that is counted.
#[derive(Debug, Default)]
struct Tally {
    messages: u64,
    recipients: u64,
    changed: u64,
    /// The same is done, by another rule.
    renamed: u64,
    too_old: u64,
    unreadable: u64,
    refused: BTreeMap<&'static str, (u64, Vec<MessageId>)>,
    groups: BTreeMap<Key, Group>,
    beyond: u64,
}

pub(super) fn run(path: &Path, arguments: &Arguments, format: Format) -> Result<ExitCode, Failed> {
    let running = reach::read_config(path)?;
    let new = match &arguments.new {
        Some(new) => &reach::read_config(new)?,
        None => &running,
    };
    let client = arguments.client.clone().map(ClientName);
    let (again, mut tally, mut progress) = (Again::new(new), Tally::default(), Progress::default());
    let mut strange = 0;
    let request = Request::Records { client, since: arguments.since };
    reach::ask(&running, &request, &mut |row| {
        if let Some(all) = row["messages"].as_u64() {
            progress.all = all;
            return;
        }
        progress.step();
        match read(row) {
            Some((message, record)) => tally.add((&again, message), record.as_ref(), format),
            None => strange += 1,
        }
    })?;
    progress.end();
    tally.unreadable += strange;
    match format {
        Format::Json => print_json(&tally.summary(arguments.since)),
        Format::Text => tally.print(arguments.since),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn read(mut row: Value) -> Option<(MessageId, Option<Record>)> {
    let message = row["message"].as_str()?.parse().ok()?;
    Some((message, serde_json::from_value(row["record"].take()).ok()))
}

/// Told on standard error, where it disturbs no program.
#[derive(Debug, Default)]
struct Progress {
    all: u64,
    done: u64,
}

impl Progress {
    fn step(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(EVERY) {
            self.tell(if std::io::stderr().is_terminal() { '\r' } else { '\n' });
        }
    }

    fn end(&self) {
        if self.done >= EVERY && std::io::stderr().is_terminal() {
            self.tell('\n');
        }
    }

    fn tell(&self, end: char) {
        // Nobody needs it; a closed standard error ends nothing.
        let _ = write!(std::io::stderr(), "sealpost: {} of {} messages{end}", self.done, self.all);
    }
}

impl Tally {
    fn add(&mut self, (again, message): (&Again, MessageId), record: Option<&Record>, format: Format) {
        let Some(record) = record else {
            self.unreadable += 1;
            return;
        };
        let decisions = match again.decide(record) {
            Renewed::OurOwn => return,
            Renewed::TooOld => {
                self.too_old += 1;
                return;
            }
            Renewed::Refused(why) => {
                self.messages += 1;
                self.recipients += record.recipients.len() as u64;
                let (count, named) = self.refused.entry(why).or_default();
                *count += 1;
                name(named, message);
                if format == Format::Json {
                    print_json(&json!({ "message": message, "refused": why }));
                }
                return;
            }
            Renewed::Decided(decisions) => decisions,
        };
        self.messages += 1;
        for (old, new) in record.recipients.iter().filter(|recipient| !recipient.copy).zip(&decisions) {
            self.recipients += 1;
            let (before, after) = (Way::of(&old.action, &old.rule), Way::of(&new.action, &new.rule));
            if before == after {
                continue;
            }
            if before.does_as(&after) {
                self.renamed += 1;
            } else {
                self.changed += 1;
            }
            let protects = word(policy::compare(&new.action, &old.action));
            let domain = old.address.domain().to_string();
            if format == Format::Json {
                let row = json!({ "message": message, "domain": domain, "before": before, "after": after,
                    "protects": protects });
                print_json(&row);
            }
            self.count(Key { domain, before, after }, (message, protects));
        }
    }

    fn count(&mut self, key: Key, (message, protects): (MessageId, &'static str)) {
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let group = self.groups.entry(key).or_insert(Group { count: 0, protects, messages: Vec::new() });
        group.count += 1;
        name(&mut group.messages, message);
    }

    fn summary(&self, since: Timestamp) -> Value {
        let refused: BTreeMap<_, _> = self.refused.iter().map(|(why, (count, _))| (*why, *count)).collect();
        json!({
            "since": since.rfc3339(),
            "until": SystemClock.now().rfc3339(),
            "messages": self.messages,
            "recipients": self.recipients,
            "changed": self.changed,
            "by_another_rule": self.renamed,
            "refused": refused,
            "too_old": self.too_old,
            "unreadable": self.unreadable,
        })
    }

    fn print(&self, since: Timestamp) {
        let Tally { messages, recipients, changed, renamed, .. } = self;
        print_text(&format!(
            "{messages} messages since {} for {recipients} recipients: {changed} would go another way, {renamed} the same \
             way by another rule.",
            since.rfc3339(),
        ));
        for (count, what) in [
            (self.too_old, "are from before what a decision goes by was kept, and are left out"),
            (self.unreadable, "cannot be read by this version, and are left out"),
            (self.beyond, "recipients change in still other ways, which are not listed; --json names them"),
        ] {
            if count > 0 {
                print_text(&format!("{count} {what}."));
            }
        }
        for (why, (count, named)) in &self.refused {
            print_line(format!("\n{count:>7}  messages would be refused: {why}\n         {}", names(*count, named)));
        }
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
        for (Key { domain, before, after }, group) in groups {
            print_line(format!(
                "\n{:>7}  to {domain}, protected {}\n         was      {}\n         would be {}\n         {}",
                group.count,
                group.protects,
                before.tell(),
                after.tell(),
                names(group.count, &group.messages)
            ));
        }
    }
}

impl Way {
    fn of(action: &Action, rule: &str) -> Way {
        let (action, methods, last) = match action {
            Action::Deliver { methods, last } => {
                let last = match last {
                    Last::Hold => "hold",
                    Last::Undeliverable => "undeliverable",
                };
                ("deliver", methods.iter().map(|method| method.name()).collect(), Some(last))
            }
            Action::Hold { .. } => ("hold", Vec::new(), None),
            Action::Reject { .. } => ("reject", Vec::new(), None),
        };
        Way { action, methods, last, rule: rule.to_owned() }
    }

    fn does_as(&self, other: &Way) -> bool {
        (self.action, &self.methods, self.last) == (other.action, &other.methods, other.last)
    }

    fn tell(&self) -> String {
        let Way { action, methods, last, rule } = self;
        let last = if *last == Some("undeliverable") { ", then back" } else { "" };
        let space = if methods.is_empty() { "" } else { " " };
        format!("{action}{space}{}{last}, by \"{rule}\"", methods.join(" "))
    }
}

fn word(order: Ordering) -> &'static str {
    match order {
        Ordering::Less => "less",
        Ordering::Equal => "alike",
        Ordering::Greater => "more",
    }
}

fn name(named: &mut Vec<MessageId>, message: MessageId) {
    if named.len() < NAMED && named.last() != Some(&message) {
        named.push(message);
    }
}

fn names(count: u64, named: &[MessageId]) -> String {
    let names: Vec<String> = named.iter().map(ToString::to_string).collect();
    let more = count.saturating_sub(named.len() as u64);
    let more = if more > 0 && named.len() == NAMED { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(" "))
}
