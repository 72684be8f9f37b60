//! The configs that were in force, as the store keeps them.

use serde_json::Value;

use crate::cli::output::Failed;
use crate::cli::reach;
use crate::config::Config;
use crate::control::Request;

/// A config, and what to call it.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) text: String,
}

/// The beginning of a digest.
pub(super) fn digest(text: &str) -> Result<String, String> {
    let hex = (6..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { Ok(text.to_ascii_lowercase()) } else { Err("write at least 6 characters of a digest".to_owned()) }
}

/// The one config whose digest begins so: its digest and its text.
pub(super) fn read(running: &Config, start: &str) -> Result<(String, String), Failed> {
    let mut found = None;
    reach::ask(running, &Request::Configs { digest: Some(start.to_owned()) }, &mut |row| {
        let word = |key: &str| row[key].as_str().map(str::to_owned);
        found = word("config").zip(word("text"));
    })?;
    found.ok_or_else(|| Failed::NotFound(format!("no config {start} was in force here")))
}

/// The digests of all, and which of them is in force while a daemon runs.
pub(super) fn list(running: &Config) -> Result<(Vec<String>, Option<String>), Failed> {
    let (mut all, mut in_force) = (Vec::new(), None);
    reach::ask(running, &Request::Configs { digest: None }, &mut |row| {
        let Some(digest) = row["config"].as_str() else { return };
        all.push(digest.to_owned());
        if row["in_force"] == Value::Bool(true) {
            in_force = Some(digest.to_owned());
        }
    })?;
    Ok((all, in_force))
}

/// A digest as far as people read it.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
