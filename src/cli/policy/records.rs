//! The records of past mail, as several subcommands read them.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::cli::output::Failed;
use crate::cli::queue::moment;
use crate::cli::reach;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::control::{Purpose, Request};
use crate::evidence::record::Record;
use crate::mail::{ClientName, MessageId};

/// Which mail is meant.
#[derive(Debug, Args)]
pub(super) struct Past {
    /// Mail since then: a time (2026-11-24T04:00:00Z) or a length of time ago (30m, 12h, 7d)
    #[arg(long, value_name = "WHEN", value_parser = moment, default_value = "30d")]
    pub(super) since: Timestamp,
    /// Only what this client submitted
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Row {
    /// How many messages there may be; the first row.
    Count(u64),
    Record(MessageId, Box<Record>),
    /// A message whose record this version cannot read.
    Unreadable,
}

impl Past {
    /// Reads them all, from the oldest on. For what, stands in the audit log.
    pub(super) fn read(
        &self,
        running: &Config,
        purpose: Purpose,
        each: &mut (dyn FnMut(Row) + Send),
    ) -> Result<(), Failed> {
        let request = Request::Records { client: self.client.clone().map(ClientName), since: self.since, purpose };
        reach::ask(running, &request, &mut |row| each(Row::of(row)))
    }
}

impl Row {
    fn of(mut row: Value) -> Row {
        if let Some(count) = row["messages"].as_u64() {
            return Row::Count(count);
        }
        let message = row["message"].as_str().and_then(|message| message.parse().ok());
        let record = row.get_mut("record").and_then(|record| serde_json::from_value(record.take()).ok());
        match (message, record) {
            (Some(message), Some(record)) => Row::Record(message, Box::new(record)),
            _ => Row::Unreadable,
        }
    }
}

/// Messages of which the first few are named. They come one after another, each perhaps several times.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Named {
    first: Vec<MessageId>,
    #[serde(skip)]
    last: Option<MessageId>,
    #[serde(skip)]
    count: usize,
}

/// How many are.
const NAMED: usize = 5;

impl Named {
    pub(super) fn add(&mut self, message: MessageId) {
        if self.last == Some(message) {
            return;
        }
        self.last = Some(message);
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(message);
        }
    }

    /// How many messages these are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    pub(super) fn tell(&self) -> String {
        let names: Vec<String> = self.first.iter().map(ToString::to_string).collect();
        let more = self.count - self.first.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_many_messages_the_first_are_named_and_each_is_counted_once() {
        let mut named = Named::default();
        let all: Vec<MessageId> = (0..8).map(|at| MessageId::from_parts(Timestamp::from_millis(1), at)).collect();
        assert_eq!(named.tell(), "");
        for message in &all {
            named.add(*message);
            named.add(*message);
        }
        assert_eq!(named.count(), 8);
        let first: Vec<String> = all[..5].iter().map(ToString::to_string).collect();
        assert_eq!(named.tell(), format!("{} and 3 more", first.join(" ")));
        assert_eq!(json!(named), json!(first));
    }

    #[test]
    fn a_row_that_cannot_be_read_is_told_apart_from_the_count() {
        let id = MessageId::from_parts(Timestamp::from_millis(1), 7);
        assert!(matches!(Row::of(json!({ "messages": 3 })), Row::Count(3)));
        for row in [json!({ "message": id, "record": null }), json!({ "message": "x", "record": { "a": 1 } }), json!(7)]
        {
            assert!(matches!(Row::of(row.clone()), Row::Unreadable), "{row}");
        }
    }
}
