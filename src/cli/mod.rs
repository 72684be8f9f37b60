//! What an operator types: one file per subcommand. What they print is for people, or with `--json` for programs.

mod audit;
mod check;
mod classify;
mod client;
mod explain;
mod extract;
mod init;
mod keys;
mod output;
#[cfg(test)]
mod pages;
mod policy;
mod queue;
mod reach;
#[cfg(test)]
mod reference;
mod serve;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use nix::sys::stat::Mode;

use output::{Failed, Format, print_line};

/// SMTP relay for senders bound by HIPAA.
///
/// Takes mail from an EHR, CRM or billing system, decides for each recipient how it must be protected, delivers it under
/// verified TLS or holds it, and keeps a log that proves what happened.
#[derive(Debug, Parser)]
#[command(name = "sealpost", version, max_term_width = 100, after_help = exit_codes())]
pub struct Cli {
    /// The config file
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/sealpost/sealpost.toml")]
    config: PathBuf,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// Those above 63 are from sysexits(3), which mail programs share.
const EXIT_CODES: &[(u8, &str)] = &[
    (0, "done"),
    (1, "done, and the answer is no: a check failed, a chain is broken, nothing matched, nothing was moved"),
    (2, "wrong usage"),
    (65, "unusable input"),
    (66, "no such file, message or client"),
    (69, "the daemon or the store cannot be reached, or cannot do it now"),
    (74, "an input or output error"),
    (77, "not permitted"),
    (78, "a mistake in the config, or in what it names"),
];

fn exit_codes() -> String {
    let lines = EXIT_CODES.iter().map(|(code, meaning)| format!("\n  {code:<3} {meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new set-up: config, master key, certificate. Nothing that is there is overwritten
    Init(init::Arguments),
    /// Run the daemon: take mail, decide, deliver
    ///
    /// SIGTERM ends it once what is under way is done; SIGHUP has it read the config again. The log goes to standard error.
    Serve,
    /// Look at config and surroundings, and say what to do; exit code 1 when something is to be mended
    Check(check::Arguments),
    /// Tell why: for a file before sending, or for a message afterwards
    ///
    /// A file is decided as if it were submitted now, and nothing is sent; where something was found is shown with words that may
    /// name somebody masked. The score goes from 0 to 1: how sure it is that this is health information. The exit code is 0
    /// whatever is decided, 65 when the file would be refused as no message, 66 when there is no such file or message.
    Explain(explain::Arguments),
    /// Say whether messages hold PHI, and what was found where
    ///
    /// No config and no daemon is needed, and nothing is kept. The score goes from 0 to 1: how sure it is that this is health
    /// information. The exit code is 0 whatever is found, 65 when a file could not be read, 66 when one is not there.
    /// docs/hipaa/phi.md says what is found, and how well.
    Classify(classify::Arguments),
    /// Read attachments, cut off from everything: started by Sealpost itself
    #[command(hide = true)]
    Extract(extract::Arguments),
    /// Find messages by recipient or Message-ID, long after their bodies are gone
    Trace(trace::Arguments),
    /// Try the policy before it counts, and go back when it does not do what it should
    #[command(subcommand)]
    Policy(policy::Command),
    /// See and move what waits
    #[command(subcommand)]
    Queue(queue::Command),
    /// Say who may send: add, suspend and remove programs and people
    #[command(subcommand)]
    Client(client::Command),
    /// Read, export and verify the audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// Replace or recover the master key, which seals what is kept
    #[command(subcommand)]
    Keys(keys::Command),
    /// Print a completion script for a shell
    ///
    /// For bash: sealpost completions bash > /etc/bash_completion.d/sealpost
    Completions {
        /// The shell that is to complete
        shell: clap_complete::Shell,
    },
}

/// Runs what was typed, and gives the exit code.
pub fn main() -> ExitCode {
    // What is made from here on is for our own user only, whatever the shell or the service manager says; SQLite asks for no
    // mode of its own. What is for others, such as a certificate, says so.
    nix::sys::stat::umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(failed) => {
            eprintln!("sealpost: {}", output::harmless(&failed.to_string()));
            failed.code()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failed> {
    let format = if cli.json { Format::Json } else { Format::Text };
    let config = cli.config.as_path();
    match cli.command {
        Command::Init(arguments) => init::command(arguments, format),
        Command::Serve => serve::run(config),
        Command::Check(arguments) => check::command(config, &arguments, format),
        Command::Explain(arguments) => explain::run(config, &arguments, format),
        Command::Classify(arguments) => classify::command(&arguments, format),
        Command::Extract(arguments) => extract::command(&arguments),
        Command::Trace(arguments) => trace::run(config, arguments, format),
        Command::Policy(command) => policy::run(config, command, format),
        Command::Queue(command) => queue::run(config, command, format),
        Command::Client(command) => client::command(config, command, format),
        Command::Audit(command) => audit::run(config, command, format),
        Command::Keys(command) => keys::run(config, command, format),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sealpost", &mut script);
            print_line(String::from_utf8_lossy(&script).trim_end());
            Ok(ExitCode::SUCCESS)
        }
    }
}
