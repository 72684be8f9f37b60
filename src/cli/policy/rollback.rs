//! `sealpost policy rollback`: back to a config that was in force, as a whole, comments and all.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::client::replace_file;
use crate::cli::output::{Failed, Format, print_json, print_line};
use crate::cli::policy::kept;
use crate::cli::reach;
use crate::config;
use crate::control::Request;
use crate::crypto::{Digest, sha256};

pub(super) fn run(path: &Path, start: &str, format: Format) -> Result<ExitCode, Failed> {
    let before = std::fs::read_to_string(path).map_err(|error| Failed::file(path, &error))?;
    // The file may be what is wrong: the data directory is then the one of the config that is sought, which nobody can read
    // yet. A config with mistakes has to be mended, or replaced by hand, before.
    let running = reach::read_config(path)?;
    let (digest, text) = kept::read(&running, start)?;
    if let Err(mistakes) = config::parse(&text) {
        let lines: Vec<String> = mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect();
        return Err(Failed::Config(format!(
            "this version does not take config {}:{}",
            kept::short(&digest),
            lines.concat()
        )));
    }
    let (all, _) = kept::list(&running)?;
    let own: Digest = sha256(before.as_bytes());
    let saved = path.with_added_extension("replaced");
    let unknown = before != text && !all.contains(&own.to_string());
    if unknown {
        replace_file(&saved, &before).map_err(|error| Failed::file(&saved, &error))?;
    }
    replace_file(path, &text).map_err(|error| Failed::file(path, &error))?;
    let config = sha256(text.as_bytes());
    if let Err(failed) = reach::ask(&running, &Request::RolledBack { config }, &mut |_| {}) {
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
