//! What an operator types: one file per subcommand. What they print is for people, or with `--json` for programs.

mod audit;
mod explain;
mod keys;
mod output;
mod queue;
mod reach;
mod serve;
mod trace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use output::{Failed, Format, Printer};

/// SMTP relay for senders bound by HIPAA.
///
/// Takes mail from an EHR, CRM or billing system, decides for each recipient how it must be protected, delivers it under
/// verified TLS or holds it, and keeps a log that proves what happened.
#[derive(Debug, Parser)]
#[command(name = "sealpost", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// The config file.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/sealpost/sealpost.toml", env_help = "")]
    config: PathBuf,
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 done, and the answer is no (a check failed, a chain is broken, nothing matched);
2 wrong usage; 65 unusable input; 66 no such file or message; 69 the daemon or the store cannot be reached;
74 an I/O error; 77 not permitted; 78 a mistake in the config.";
