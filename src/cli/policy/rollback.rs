//! `sealpost policy rollback`: back to a config that was in force, as a whole, comments and all.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::client::replace_file;
use crate::cli::output::{Failed, Format, print_json, print_line};
use crate::cli::policy::kept::{self, Keeper};
use crate::cli::reach;
use crate::config::{self, Apart};
use crate::control::Request;
use crate::crypto::sha256;
use crate::daemon;

pub(super) fn run(path: &Path, start: &str, format: Format) -> Result<ExitCode, Failed> {
    let before = std::fs::read_to_string(path).map_err(|error| Failed::file(path, &error))?;
    let keeper = Keeper::named_by(path)?;
    let (digest, text) = keeper.read(start)?;
    let sought = config::apart(&text);
    if let Err(mistakes) = config::parse(sought.own) {
        let lines: Vec<String> = mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect();
        return Err(Failed::Config(format!(
            "this version does not take config {}:{}",
            kept::short(&digest),
            lines.concat()
        )));
    }
    let (all, _) = keeper.list()?;
    let was_in_force = daemon::read_config(path).is_ok_and(|loaded| all.contains(&loaded.digest.to_string()));
    let saved = path.with_added_extension("replaced");
    let unknown = before != sought.own && !was_in_force;
    if unknown {
        replace_file(&saved, &before).map_err(|error| Failed::file(&saved, &error))?;
    }
    replace_file(path, sought.own).map_err(|error| Failed::file(path, &error))?;
    let config = sha256(text.as_bytes());
    let taken =
        is_the_one(path, &digest, &sought).and_then(|()| keeper.ask(&Request::RolledBack { config }, &mut |_| {}));
    if let Err(failed) = taken {
        replace_file(path, &before).map_err(|error| Failed::file(path, &error))?;
        return Err(Failed::Config(format!("{failed}\n{} is as it was", path.display())));
    }
    match format {
        Format::Json => print_json(&json!({ "config": digest, "saved": unknown.then(|| saved.display().to_string()) })),
        Format::Text => {
            print_line(format!("Config {} is back in {}.", kept::short(&digest), path.display()));
            if unknown {
                print_line(format!("What stood there was never in force; it is kept as {}.", saved.display()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether what the file now loads as is the config that is sought. The files of its groups may say something else by now.
fn is_the_one(path: &Path, digest: &str, sought: &Apart<'_>) -> Result<(), Failed> {
    let loaded = reach::load_config(path)?;
    if loaded.digest.to_string() == digest {
        return Ok(());
    }
    let now = config::apart(&loaded.text).members;
    let other = sought.members.iter().filter(|then| !now.contains(then));
    let names: Vec<String> = other.map(|(group, _)| format!("\"{group}\"")).collect();
    let short = kept::short(digest);
    Err(Failed::Config(format!(
        "a group's file has changed since config {short} was in force: {}. What it held then stands below the text that \
         `sealpost audit config {short}` prints; write it back first",
        names.join(", ")
    )))
}
