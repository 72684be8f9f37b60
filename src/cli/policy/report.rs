//! `sealpost policy report`: what would have become of mail that was only observed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::cli::output::{Failed, Format, print_json, print_text};
use crate::cli::policy::records::{Named, Past, Row};
use crate::cli::reach;
use crate::clock::Timestamp;
use crate::control::Purpose;
use crate::evidence::record::{Origin, Recipient, Record};
use crate::mail::MessageId;
use crate::phi::Kind;
use crate::policy::Action;

/// What is typed behind `policy report`.
#[derive(Debug, Args)]
#[command(mut_args(|arg| if arg.get_id() == "since" { arg.default_value("1d") } else { arg }))]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    past: Past,
}

/// Domains that a line names.
const NAMED: usize = 5;

/// What would have been done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Would {
    Sent { methods: Vec<&'static str> },
    Held { reason: String },
    Refused { text: String },
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    phi: u64,
    domains: BTreeMap<String, u64>,
    messages: Named,
}

#[derive(Debug, Default)]
struct Tally {
    messages: u64,
    recipients: u64,
    phi: u64,
    /// Messages with a part that nobody could read.
    unreadable: u64,
    /// For so many recipients it looked like a mistake.
    concerns: u64,
    clients: BTreeMap<String, u64>,
    groups: BTreeMap<(Would, String), Group>,
    strange: u64,
}

pub(super) fn run(path: &Path, arguments: &Arguments, format: Format) -> Result<ExitCode, Failed> {
    let running = reach::read_config(path)?;
    let mut tally = Tally::default();
    arguments.past.read(&running, Purpose::Report, &mut |row| match row {
        Row::Record(message, record) if record.observed => tally.add(message, &record),
        Row::Record(..) | Row::Count(_) => {}
        Row::Unreadable => tally.strange += 1,
    })?;
    match format {
        Format::Json => tally.print_json(arguments.past.since),
        Format::Text => print_text(&tally.tell(arguments.past.since)),
    }
    Ok(ExitCode::SUCCESS)
}

impl Tally {
    fn add(&mut self, message: MessageId, record: &Record) {
        self.messages += 1;
        self.phi += u64::from(record.classified.phi);
        self.unreadable += u64::from(record.classified.found.iter().any(|found| found.kind == Kind::Unreadable));
        let client = match &record.origin {
            Origin::Submitted { client: Some(client), .. } => client.0.clone(),
            Origin::Submitted { client: None, .. } | Origin::OwnNotice => String::new(),
        };
        *self.clients.entry(client).or_default() += 1;
        for recipient in &record.recipients {
            self.recipients += 1;
            self.concerns += u64::from(!recipient.concerns.is_empty());
            let key = (Would::of(recipient), recipient.rule.clone());
            let group = self.groups.entry(key).or_default();
            group.count += 1;
            group.phi += u64::from(record.classified.phi);
            *group.domains.entry(recipient.address.domain().to_string()).or_default() += 1;
            group.messages.add(message);
        }
    }

    fn groups(&self) -> Vec<(&(Would, String), &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        // What would not have gone as it does now is read first.
        groups.sort_by_key(|((would, _), group)| std::cmp::Reverse((would.stops(), group.count)));
        groups
    }

    fn print_json(&self, since: Timestamp) {
        for ((would, rule), group) in self.groups() {
            print_json(&json!({ "would_be": would, "rule": rule, "recipients": group.count, "phi": group.phi,
                "domains": group.domains, "messages": group.messages }));
        }
        print_json(&json!({ "since": since.rfc3339(), "messages": self.messages, "recipients": self.recipients,
            "phi": self.phi, "unreadable": self.unreadable, "concerns": self.concerns, "clients": self.clients,
            "left_out": self.strange }));
    }

    fn tell(&self, since: Timestamp) -> String {
        let Tally { messages, recipients, phi, unreadable, concerns, clients, strange, .. } = self;
        let since = since.rfc3339();
        if *messages == 0 {
            return format!("No message was observed since {since}. `[policy] observer` names the clients that are.");
        }
        let from: Vec<String> = clients.iter().map(|(client, count)| format!("{client} {count}")).collect();
        let mut text = format!(
            "{messages} messages for {recipients} recipients were observed since {since} ({}). Nothing was sent, held or \
             changed. With health information: {phi}.",
            from.join(", ")
        );
        for (count, what) in [
            (unreadable, "With a part that could not be read"),
            (concerns, "Recipients that look like a mistake"),
            (strange, "Left out, since this version cannot read what was kept"),
        ] {
            if *count > 0 {
                text.push_str(&format!(" {what}: {count}."));
            }
        }
        for ((would, rule), group) in self.groups() {
            text.push_str(&format!(
                "\n\n{:>6}  would {}, by \"{rule}\" ({} with health information)\n        to {}\n        {}",
                group.count,
                would.tell(),
                group.phi,
                most(&group.domains),
                group.messages.tell(),
            ));
        }
        text + "\n"
    }
}

impl Would {
    fn of(recipient: &Recipient) -> Would {
        match &recipient.action {
            Action::Deliver { methods, last: _ } => {
                Would::Sent { methods: methods.iter().map(|method| method.name()).collect() }
            }
            Action::Hold { reason } => Would::Held { reason: reason.clone() },
            Action::Reject { text } => Would::Refused { text: text.clone() },
        }
    }

    /// How much it keeps from going its way.
    const fn stops(&self) -> u8 {
        match self {
            Would::Sent { .. } => 0,
            Would::Held { .. } => 1,
            Would::Refused { .. } => 2,
        }
    }

    fn tell(&self) -> String {
        match self {
            Would::Sent { methods } => format!("be sent by {}", methods.join(", else ")),
            Would::Held { reason } => format!("be held: {reason}"),
            Would::Refused { text } => format!("be refused: {text}"),
        }
    }
}

/// The domains with most, and how many others there are.
fn most(domains: &BTreeMap<String, u64>) -> String {
    let mut all: Vec<(&String, &u64)> = domains.iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let told: Vec<String> = all.iter().take(NAMED).map(|(domain, count)| format!("{domain} {count}")).collect();
    let more = all.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more domains") } else { String::new() };
    format!("{}{more}", told.join(", "))
}
