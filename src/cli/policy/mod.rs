//! `sealpost policy`: trying the rules on paper, on cases and on past mail, before they decide; and going back.

mod replay;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::output::{Failed, Format};

/// What is typed behind `policy`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a file of messages with what is to be decided for them; exit code 1 when something else is decided
    ///
    /// The same file is run before each reload, and while one of its cases fails the old config stays in force.
    Test {
        /// The cases; default: the file that `[policy] tests` names
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Say what another config would have decided for past mail; nothing is sent
    ///
    /// It goes by what the evidence keeps of each message, as the classifier of its day saw it. With --config NEW alone, the
    /// new config has to name the data directory that the running one has.
    Replay(replay::Arguments),
}

pub(super) fn run(path: &Path, command: Command, format: Format) -> Result<ExitCode, Failed> {
    match command {
        Command::Test { file } => test::run(path, file, format),
        Command::Replay(arguments) => replay::run(path, &arguments, format),
    }
}
