//! `sealpost policy`: trying the rules on paper, on cases and on past mail, before they decide; and going back.

mod check;
mod compat;
mod diff;
mod kept;
mod records;
mod replay;
mod report;
mod rollback;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::output::{Failed, Format};

/// What is typed behind `policy`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Find rules that never decide: dead, shadowed by others, or out of every client's reach; exit code 1 when there are any
    Check {
        /// The config to look at; default: the one of --config
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Run a file of messages with what is to be decided for them; exit code 1 when something else is decided
    ///
    /// The same file is run before each reload, and while one of its cases fails the old config stays in force.
    Test {
        /// The cases; default: the file that `[policy] tests` names
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Say in words what differs between two configs, and what it means for mail
    ///
    /// Each is a file, or a config that was in force, by the first characters of its digest: `sealpost audit config` lists them.
    /// Without any: from the one in force to the file, as a reload would take it. With a file alone: from the one in force to
    /// it. With a digest alone: from that one to the one in force. What a group's file lists is compared as well.
    Diff {
        /// What it was
        #[arg(value_name = "FROM")]
        first: Option<String>,
        /// What it is to be
        #[arg(value_name = "TO", requires = "first")]
        second: Option<String>,
    },
    /// Go back to a config that was in force: writes it into the config file, and has the daemon take it
    ///
    /// It is checked and tested like every config, and the file stays as it is when it cannot be taken. The audit log says who
    /// went back to what. A file that never was in force is kept beside it, with .replaced behind its name.
    ///
    /// When a group's file has changed since, it is another config, and nothing is done: write back first what `sealpost audit
    /// config DIGEST` prints behind the text. While the config file has mistakes, the running daemon shows the way; without one,
    /// mend them first.
    Rollback {
        /// The first characters of its digest, as `sealpost audit config` lists it
        #[arg(value_name = "DIGEST", value_parser = kept::digest)]
        digest: String,
    },
    /// Say what would have become of mail that was only observed
    ///
    /// Clients that `[policy] observer` names send a copy of mail that goes another way. Nothing of it is sent or held.
    Report(report::Arguments),
    /// Say what another config would have decided for past mail; nothing is sent
    ///
    /// It goes by what the evidence keeps of each message, as the classifier of its day saw it. With --config NEW alone, the
    /// new config has to name the data directory that the running one has.
    Replay(replay::Arguments),
    /// Count who used tags and headers of other products: by product, mark and client
    ///
    /// What nobody uses any more can be switched off in `[policy.compat]`.
    Compat(compat::Arguments),
}

pub(super) fn run(path: &Path, command: Command, format: Format) -> Result<ExitCode, Failed> {
    match command {
        Command::Check { file } => check::run(path, file.as_deref(), format),
        Command::Test { file } => test::run(path, file, format),
        Command::Diff { first, second } => diff::run(path, (first, second), format),
        Command::Rollback { digest } => rollback::run(path, &digest, format),
        Command::Report(arguments) => report::run(path, &arguments, format),
        Command::Replay(arguments) => replay::run(path, &arguments, format),
        Command::Compat(arguments) => compat::run(path, &arguments, format),
    }
}
