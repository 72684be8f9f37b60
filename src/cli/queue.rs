//! `sealpost queue`: what waits, why, and what an operator does about it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::output::{ANSWER_IS_NO, Failed, Format, print_json, print_line};
use crate::cli::reach;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::control::{Move, Request};
use crate::mail::{ClientName, MessageId};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what waits: held messages first, then queued ones
    List {
        /// Only what this client submitted
        #[arg(long, value_name = "NAME")]
        client: Option<String>,
        /// How many rows at most
        #[arg(long, default_value_t = 1000, value_name = "N")]
        limit: u32,
    },
    /// Show every recipient of one message, by domain; `explain ID` tells more
    Show {
        /// The message, by the id that its 250 named
        #[arg(value_name = "ID")]
        message: MessageId,
    },
    /// Try what is queued again now, without waiting for the time of its next attempt
    Retry(Which),
    /// Keep queued messages from being delivered until released; somebody is told
    Hold(Which),
    /// Let held messages go, by what was decided for them and by nothing less
    Release(Which),
    /// Take what is queued or held out of the queue for good; the sender is not told
    Cancel(Which),
    /// Count what was accepted, waits, and has ended; exit code 1 when they do not add up
    Count,
}

/// Which messages are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Which {
    /// One message, by the id that its 250 named
    #[arg(value_name = "ID", conflicts_with_all = ["client", "since"])]
    message: Option<MessageId>,
    /// All that this client submitted
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only what was accepted since: a time (2026-11-24T04:00:00Z) or a length of time ago (2h)
    #[arg(long, value_name = "WHEN", requires = "client", value_parser = moment)]
    since: Option<Timestamp>,
}

pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let ago: Option<Duration> = humantime::parse_duration(text).ok();
    ago.map(|ago| SystemClock.now().minus(ago))
        .or_else(|| Timestamp::parse_rfc3339(text))
        .ok_or_else(|| "write a time as 2026-11-24T04:00:00Z, or how long ago as 2h or 3d".to_owned())
}

pub(super) fn run(path: &Path, command: Command, format: Format) -> Result<ExitCode, Failed> {
    match command {
        Command::List { client, limit } => {
            show(path, &Request::QueueList { client: client.map(ClientName), limit }, format)
        }
        Command::Show { message } => show(path, &Request::QueueShow { message }, format),
        Command::Retry(which) => step(path, (Move::Retry, which), format),
        Command::Hold(which) => step(path, (Move::Hold, which), format),
        Command::Release(which) => step(path, (Move::Release, which), format),
        Command::Cancel(which) => step(path, (Move::Cancel, which), format),
        Command::Count => count(path, format),
    }
}

fn show(path: &Path, request: &Request, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(path)?;
    let mut rows = 0;
    reach::ask(&config, request, &mut |row| {
        if rows == 0 && format == Format::Text {
            print_line(format!("{:26}  {:20}  {:24}  {:12}  WHY OR WHEN", "MESSAGE", "ACCEPTED", "TO DOMAIN", "STATE"));
        }
        rows += 1;
        match format {
            Format::Json => print_json(&row),
            Format::Text => print_line(line(&row)),
        }
    })?;
    if rows == 0 && format == Format::Text {
        print_line("Nothing waits.");
    }
    Ok(ExitCode::SUCCESS)
}

fn line(row: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let seconds = |value: &Value| Timestamp::parse_rfc3339(&text(value)).map(second).unwrap_or_default();
    let standing = &row["standing"];
    let state = text(&standing["state"]);
    let attempts = row["attempts"].as_i64().unwrap_or(0);
    let why = match state.as_str() {
        "held" => format!("{}; until {}", cause(&text(&standing["cause"])), seconds(&row["expires"])),
        "queued" if row["in_delivery"] == Value::Bool(true) => "being delivered".to_owned(),
        "queued" => {
            let due = standing["due"].as_i64().map(Timestamp::from_millis);
            let accepted = Timestamp::parse_rfc3339(&text(&row["accepted"]));
            // What is not tried at once waits for its delay.
            let waits = attempts == 0 && due.zip(accepted).is_some_and(|(due, accepted)| due > accepted);
            let (due, method) = (due.map(second).unwrap_or_default(), text(&standing["method"]));
            let times = if attempts == 1 { "attempt" } else { "attempts" };
            if waits {
                format!("can be taken back until {due}, then {method}")
            } else {
                format!("{method} at {due}, after {attempts} {times}")
            }
        }
        _ => text(&standing["end"]),
    };
    format!(
        "{:26}  {:20}  {:24}  {:12}  {why}",
        text(&row["message"]),
        seconds(&row["accepted"]),
        text(&row["domain"]),
        state
    )
}

/// Whole seconds are enough for people.
fn second(moment: Timestamp) -> String {
    let text = moment.rfc3339();
    text.split('.').next().map(|whole| format!("{whole}Z")).unwrap_or(text)
}

fn cause(cause: &str) -> &str {
    match cause {
        "policy" => "a rule holds it",
        "accept_and_hold" => "policy refuses it, and its client must not be refused",
        "methods_exhausted" => "no allowed way of delivery worked",
        "operator" => "held by an operator",
        other => other,
    }
}

fn step(path: &Path, (step, which): (Move, Which), format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(path)?;
    let Which { message, client, since } = which;
    let mut moved = 0;
    reach::ask(&config, &Request::QueueMove { step, message, client: client.map(ClientName), since }, &mut |row| {
        moved = row["moved"].as_u64().unwrap_or(0);
        match format {
            Format::Json => print_json(&row),
            Format::Text => print_line(told(step, &row)),
        }
    })?;
    Ok(if moved > 0 { ExitCode::SUCCESS } else { ExitCode::from(ANSWER_IS_NO) })
}

fn told(step: Move, row: &Value) -> String {
    let count = |name: &str| row[name].as_u64().unwrap_or(0);
    let done = match step {
        Move::Hold => "held",
        Move::Release => "released",
        Move::Cancel => "cancelled",
        Move::Retry => "tried again now",
    };
    let mut text = match count("moved") {
        0 => format!("Nothing was {done}: no recipient was in a state that allows it."),
        1 => format!("1 recipient was {done}."),
        moved => format!("{moved} recipients were {done}."),
    };
    match count("in_delivery") {
        0 => {}
        busy => text.push_str(&format!(" {busy} are being delivered at this moment; try again in a minute.")),
    }
    match count("no_method") {
        0 => {}
        none => text.push_str(&format!(
            " {none} stay held: their rule or their sender allows only ways that this version does not have. Cancel them, \
             and have them sent again once the rules allow another."
        )),
    }
    text
}

fn count(path: &Path, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(path)?;
    let mut balanced = false;
    reach::ask(&config, &Request::Status, &mut |row| {
        balanced = row["balanced"] == Value::Bool(true);
        match format {
            Format::Json => print_json(&row),
            Format::Text => {
                let ended = row["ended"].as_object().map(|ended| {
                    ended.iter().map(|(end, jobs)| format!("{jobs} {end}")).collect::<Vec<_>>().join(", ")
                });
                print_line(format!(
                    "{} recipients accepted: {} queued, {} held, ended: {}.",
                    row["accepted"],
                    row["queued"],
                    row["held"],
                    ended.filter(|ended| !ended.is_empty()).unwrap_or_else(|| "none".to_owned())
                ));
            }
        }
    })?;
    Ok(if balanced { ExitCode::SUCCESS } else { ExitCode::from(ANSWER_IS_NO) })
}
