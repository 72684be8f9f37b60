//! `sealpost trace`: which messages went to somebody, or had a Message-ID, and how each ended.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::cli::output::{ANSWER_IS_NO, Failed, Format, print_json, print_line};
use crate::cli::reach;
use crate::control::{Find, Request};
use crate::mail::{Address, BadAddress};

/// What is typed behind `trace`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Arguments {
    /// A recipient's address
    #[arg(long, value_name = "ADDRESS", value_parser = an_address)]
    to: Option<String>,
    /// The value of a Message-ID field, with or without its angle brackets
    #[arg(long = "id", value_name = "MESSAGE-ID")]
    message_id: Option<String>,
}

/// Only looked at: the daemon reads it again on its side of the socket.
fn an_address(text: &str) -> Result<String, BadAddress> {
    Address::parse(text).map(|_| text.to_owned())
}

pub(super) fn run(path: &Path, arguments: Arguments, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(path)?;
    let find = match (arguments.to, arguments.message_id) {
        (Some(address), _) => Find::To(address),
        (None, message_id) => Find::MessageId(message_id.unwrap_or_default()),
    };
    let mut found = 0;
    reach::ask(&config, &Request::Trace { find }, &mut |mut row| {
        found += 1;
        let text = row.as_object_mut().and_then(|fields| fields.remove("text"));
        match format {
            Format::Json => print_json(&row),
            Format::Text => print_line(text.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default()),
        }
    })?;
    if found > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    if format == Format::Text {
        print_line("No such message was accepted here.");
    }
    Ok(ExitCode::from(ANSWER_IS_NO))
}
