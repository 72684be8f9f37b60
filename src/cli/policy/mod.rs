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
    ///
    /// Dead: its conditions contradict each other. Shadowed: other rules cover all that it covers, and protect as much or more.
    /// Unreachable: no client of the config can send what it asks for. Nothing is sent or changed; run it before a reload.
    Check {
        /// The config to look at; default: the one of --config
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Run a file of messages with what is to be decided for them; exit code 1 when something else is decided
    ///
    /// Of a case that fails, lines with - say what it expects, and lines with + what is decided. The file that `[policy] tests`
    /// names is run before each reload too, and while one of its cases fails the old config stays in force. A file that cannot
    /// be used ends with 65, none at all with 66. docs/operate/trying.md says how to write cases.
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
    ///
    /// What is new has a +, what is gone a -, what is changed a ~ before it. The exit code is 0, whether or not they differ.
    /// `sealpost policy replay` says what the change would have meant for past mail.
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
    /// config DIGEST` prints behind the text. A config file with mistakes, even one that is no TOML, is left behind all the same
    /// while the daemon runs, as long as `data_dir` under `[server]` can be read. Without a daemon, mend the mistakes first.
    /// What cannot be taken ends with 78.
    Rollback {
        /// The first characters of its digest, as `sealpost audit config` lists it
        #[arg(value_name = "DIGEST", value_parser = kept::digest)]
        digest: String,
    },
    /// Say what would have become of mail that was only observed
    ///
    /// Clients that `[policy] observer` names send a copy of mail that goes another way. Nothing of it is sent or held. Counted
    /// are recipients, by what would become of the message and by which rule; `sealpost explain ID` tells why.
    Report(report::Arguments),
    /// Say what another config would have decided for past mail; nothing is sent
    ///
    /// It goes by what the evidence keeps of each message, as the classifier of its day saw it. Counted are recipients, by their
    /// domain and what changes; look first at those "protected less". The exit code is 0, whatever changes. With --config NEW
    /// alone, the new config has to name the data directory that the running one has.
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
