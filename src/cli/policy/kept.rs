//! The configs that were in force, as the store keeps them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::output::Failed;
use crate::cli::reach::{self, Running};
use crate::config::{self, Config};
use crate::control::Request;

/// A config, and what to call it.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    /// What stands in the file.
    pub(super) text: String,
    /// The lines of its groups' files; nothing where they cannot be known.
    pub(super) members: Option<Vec<(String, Vec<String>)>>,
}

impl Named {
    /// Of a text as it is kept.
    pub(super) fn kept(name: String, text: &str) -> Named {
        let apart = config::apart(text);
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let members = apart.members.iter().map(|(group, members)| (group.clone(), lines(members))).collect();
        Named { name, text: apart.own.to_owned(), members: Some(members) }
    }
}

/// Who knows the configs that were in force.
#[derive(Debug)]
pub(super) enum Keeper {
    /// The daemon, or the store without one.
    Any(Box<Config>),
    /// The config file has mistakes, so that only a daemon that runs can be asked. The path is where it keeps its data.
    Daemon(PathBuf, String),
}

impl Keeper {
    /// The one that a config names, as long as it says where the data lies.
    pub(super) fn named_by(path: &Path) -> Result<Keeper, Failed> {
        let mistakes = match reach::read_config(path) {
            Ok(config) => return Ok(Keeper::Any(Box::new(config))),
            Err(Failed::Config(mistakes)) => mistakes,
            Err(failed) => return Err(failed),
        };
        let text = std::fs::read_to_string(path).map_err(|error| Failed::file(path, &error))?;
        let folder = std::path::absolute(path)?.parent().map(Path::to_owned).unwrap_or_default();
        match config::data_dir(&text, &folder) {
            Some(data_dir) => Ok(Keeper::Daemon(data_dir, mistakes)),
            None => Err(Failed::Config(mistakes)),
        }
    }

    pub(super) fn ask(&self, request: &Request, each: &mut (dyn FnMut(Value) + Send)) -> Result<(), Failed> {
        match self {
            Keeper::Any(config) => reach::ask(config, request, each),
            Keeper::Daemon(data_dir, mistakes) => match reach::ask_running_at(data_dir, request, each)? {
                Running::Yes => Ok(()),
                Running::No => Err(Failed::Config(format!(
                    "{mistakes}\nNo daemon runs that could be asked all the same: mend the file first, or start the daemon"
                ))),
            },
        }
    }

    /// The one config whose digest begins so: its digest and its text, as it is kept.
    pub(super) fn read(&self, start: &str) -> Result<(String, String), Failed> {
        let mut found = None;
        self.ask(&Request::Configs { digest: Some(start.to_owned()) }, &mut |row| {
            let word = |key: &str| row[key].as_str().map(str::to_owned);
            found = word("config").zip(word("text"));
        })?;
        found.ok_or_else(|| Failed::NotFound(format!("no config {start} was in force here")))
    }

    /// The digests of all, and which of them is in force while a daemon runs.
    pub(super) fn list(&self) -> Result<(Vec<String>, Option<String>), Failed> {
        let (mut all, mut in_force) = (Vec::new(), None);
        self.ask(&Request::Configs { digest: None }, &mut |row| {
            let Some(digest) = row["config"].as_str() else { return };
            all.push(digest.to_owned());
            if row["in_force"] == Value::Bool(true) {
                in_force = Some(digest.to_owned());
            }
        })?;
        Ok((all, in_force))
    }
}

/// The beginning of a digest.
pub(super) fn digest(text: &str) -> Result<String, String> {
    let hex = (6..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { Ok(text.to_ascii_lowercase()) } else { Err("write at least 6 characters of a digest".to_owned()) }
}

/// A digest as far as people read it.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
