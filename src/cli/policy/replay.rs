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
use crate::cli::policy::records::{Named, Past, Row};
use crate::cli::reach;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::Last;
use crate::control::Purpose;
use crate::evidence::record::Record;
use crate::intake::again::{Again, Renewed};
use crate::mail::MessageId;
use crate::policy::{self, Action};

/// What is typed behind `policy replay`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The config to be tried; default: the one of --config
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,
    #[command(flatten)]
    past: Past,
}

/// Lines of the table; what changes in more ways than that is counted under the last one.
const MOST_GROUPS: usize = 2000;
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
    messages: Named,
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
    refused: BTreeMap<&'static str, Named>,
    groups: BTreeMap<Key, Group>,
    beyond: u64,
}

pub(super) fn run(path: &Path, arguments: &Arguments, format: Format) -> Result<ExitCode, Failed> {
    let running = reach::read_config(path)?;
    let new = match &arguments.new {
        Some(new) => &reach::read_config(new)?,
        None => &running,
    };
    let (again, mut tally, mut progress) = (Again::new(new), Tally::default(), Progress::default());
    arguments.past.read(&running, Purpose::Replay, &mut |row| {
        match row {
            Row::Count(all) => {
                progress.all = all;
                return;
            }
            Row::Record(message, record) => tally.add((&again, message), &record, format),
            Row::Unreadable => tally.unreadable += 1,
        }
        progress.step();
    })?;
    progress.end();
    match format {
        Format::Json => print_json(&tally.summary(arguments.past.since)),
        Format::Text => tally.print(arguments.past.since),
    }
    Ok(ExitCode::SUCCESS)
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
    fn add(&mut self, (again, message): (&Again, MessageId), record: &Record, format: Format) {
        let decisions = match again.decide(record) {
            Renewed::OurOwn => return,
            Renewed::TooOld => {
                self.too_old += 1;
                return;
            }
            Renewed::Refused(why) => {
                self.messages += 1;
                self.recipients += record.recipients.len() as u64;
                self.refused.entry(why).or_default().add(message);
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
        let group = self.groups.entry(key).or_insert(Group { count: 0, protects, messages: Named::default() });
        group.count += 1;
        group.messages.add(message);
    }

    fn summary(&self, since: Timestamp) -> Value {
        let refused: BTreeMap<_, _> = self.refused.iter().map(|(why, named)| (*why, named.count())).collect();
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
        for (why, named) in &self.refused {
            let count = named.count();
            print_line(format!("\n{count:>7}  messages would be refused: {why}\n         {}", named.tell()));
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
                group.messages.tell()
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
