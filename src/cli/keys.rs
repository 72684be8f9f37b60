//! `sealpost keys`: replace the master key, or get it back from its recovery code.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::output::{Failed, Format, print_json, print_line};
use crate::cli::reach;
use crate::control::Request;
use crate::keyring::{master, recovery};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new master key, and wrap every other key under it
    ///
    /// What was sealed stays as it is; a stolen copy of the old master key opens no backup made from now on. A new
    /// recovery code is printed once.
    RotateMaster,
    /// Write the master key anew from its recovery code (read from standard input)
    Recover {
        /// The file that `init` wrote beside the config
        #[arg(long, value_name = "FILE")]
        wrap: Option<PathBuf>,
    },
}

pub(super) fn run(config: &Path, command: Command, format: Format) -> Result<ExitCode, Failed> {
    match command {
        Command::RotateMaster => rotate(config, format),
        Command::Recover { wrap } => recover(config, wrap),
    }
}

fn rotate(path: &Path, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(path)?;
    reach::ask(&config, &Request::RotateMaster, &mut |row| match format {
        Format::Json => print_json(&row),
        Format::Text => {
            print_line("The master key was replaced. The recovery code below replaces the old one and is shown once:");
            print_line(format!("\n    {}\n", row["recovery_code"].as_str().unwrap_or_default()));
            if let Some(file) = row["next_key_file"].as_str() {
                print_line(format!(
                    "The new key lies in {file}. Put it where the old one came from (the credential or the environment), \
                     restart, and remove that file; until then Sealpost starts with it."
                ));
            }
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn recover(path: &Path, wrap: Option<PathBuf>) -> Result<ExitCode, Failed> {
    let config = reach::read_config(path)?;
    let wrap = wrap.unwrap_or_else(|| config.server.master_key.with_file_name(recovery::FILE));
    let sealed = std::fs::read_to_string(&wrap).map_err(|error| Failed::file(&wrap, &error))?;
    eprint!("Recovery code: ");
    std::io::stderr().flush()?;
    let mut code = String::new();
    std::io::stdin().read_line(&mut code)?;
    let key = recovery::recover(&sealed, code.trim()).map_err(|error| Failed::Data(error.to_string()))?;
    master::replace(&config.server.master_key, &key).map_err(|error| Failed::Io(error.to_string()))?;
    print_line(format!("The master key stands again in {}.", config.server.master_key.display()));
    Ok(ExitCode::SUCCESS)
}
