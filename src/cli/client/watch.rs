//! `sealpost client watch`: what a client does, as it does it, in words that tell what to mend.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::output::{ANSWER_IS_NO, Failed, Format, print_json, print_text};
use crate::cli::reach;
use crate::control::Request;
use crate::mail::ClientName;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// As `client list` shows it; or give --all
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// All clients, and all strangers
    #[arg(long)]
    all: bool,
    /// End after this time, as in 10m; exit code 1 when nothing happened until then
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    within: Option<Duration>,
    /// End after so many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(super) fn run(path: &Path, arguments: Arguments, format: Format) -> Result<ExitCode, Failed> {
    let Arguments { name, all: _, within, count } = arguments;
    let config = reach::read_config(path)?;
    if let Some(name) = &name
        && !config.clients.iter().any(|client| client.name.0 == *name)
    {
        return Err(Failed::NotFound(format!("there is no client {name}: `sealpost client list` shows them")));
    }
    let watched = name.clone().unwrap_or_else(|| "everybody".to_owned());
    let seconds = within.map(|within| within.as_secs().max(1));
    let request = Request::Watch { client: name.map(ClientName), seconds, count };
    let mut shown = 0_u64;
    reach::ask_daemon(&config, &request, &mut |row| {
        if row.get("watching").is_some() {
            return eprintln!("Watching {watched}. Ctrl-C ends it.");
        }
        shown += 1;
        match format {
            Format::Json => print_json(&row),
            Format::Text => print_text(&tell(&row)),
        }
    })?;
    Ok(if shown > 0 { ExitCode::SUCCESS } else { ExitCode::from(ANSWER_IS_NO) })
}

/// One row for people: when, who, what; and below it, what to do.
fn tell(row: &Value) -> String {
    if let Some(missed) = row["missed"].as_u64() {
        return format!("… {missed} more happened than could be shown here");
    }
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    // Of 2026-11-24T08:00:00.000Z, the time of day.
    let time = text("time").get(11..19).unwrap_or_default();
    let who = match (row["client"].as_str(), row["known_by"].as_str()) {
        (Some(client), Some("likely_networks")) => format!("{client}, perhaps,"),
        (Some(client), _) => client.to_owned(),
        (None, _) => "unknown".to_owned(),
    };
    let sign = if row["well"] == true { '+' } else { '!' };
    let line = format!("{time}Z {sign} {who} from {} [{}] {}", text("peer"), row["connection"], text("text"));
    match row["advice"].as_str() {
        Some(advice) => format!("{line}\n            {advice}"),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_told_with_what_to_do() {
        let mut row = json!({
            "time": "2026-11-24T08:00:07.123Z", "connection": 12, "peer": "10.0.0.7", "client": "openemr",
            "known_by": "login", "well": true, "text": "logged in as openemr", "advice": null,
        });
        assert_eq!(tell(&row), "08:00:07Z + openemr from 10.0.0.7 [12] logged in as openemr");
        row["known_by"] = json!("likely_networks");
        row["well"] = json!(false);
        row["advice"] = json!("set STARTTLS");
        assert_eq!(
            tell(&row),
            "08:00:07Z ! openemr, perhaps, from 10.0.0.7 [12] logged in as openemr\n            set STARTTLS"
        );
        row["client"] = Value::Null;
        assert!(tell(&row).starts_with("08:00:07Z ! unknown from 10.0.0.7 [12] "));
        assert_eq!(tell(&json!({ "missed": 3 })), "… 3 more happened than could be shown here");
    }
}
