//! `sealpost audit`: read, export and verify the log, and ask whether a file passed here.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use crate::audit::{Broken, MAX_LINE_BYTES, Proof, SignedHead, Verifier};
use crate::cli::output::{ANSWER_IS_NO, Failed, Format, print_json, print_line};
use crate::cli::reach;
use crate::clock::Timestamp;
use crate::control::Request;
use crate::crypto::sha256;
use crate::mail::{MessageId, wire_lines};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the newest rows, or all rows of one message
    List {
        /// Only the rows of this message
        #[arg(long, value_name = "ID")]
        message: Option<MessageId>,
        /// How many rows, from the newest
        #[arg(long, default_value_t = 50, value_name = "N")]
        last: u32,
    },
    /// Write the log as lines that a stranger can verify
    ///
    /// The format is documented in docs/reference/audit-format.md.
    Export {
        /// Show the rows of this message whole, and of all others only their hashes
        #[arg(long, value_name = "ID")]
        message: Option<MessageId>,
        /// Where to write; default: standard output
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check the chain of this machine, or of an export, offline
    Verify {
        /// An export; default: the log of this machine
        export: Option<PathBuf>,
        /// A head that left the machine earlier, such as from a daily report: a file that holds its JSON line
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
    /// List the configs that were in force, or print the text of one
    Config {
        /// The digest of a config, or the start of it, as `explain` shows it
        #[arg(value_parser = start_of_digest)]
        digest: Option<String>,
    },
    /// Say whether this very file passed here
    Match {
        /// A message as it was handed to Sealpost
        file: PathBuf,
    },
}

pub(super) fn run(config: &Path, command: Command, format: Format) -> Result<ExitCode, Failed> {
    match command {
        Command::List { message, last } => list(config, message, last, format),
        Command::Export { message, output } => export(config, message, output.as_deref()),
        Command::Verify { export, head } => verify(config, export.as_deref(), head.as_deref(), format),
        Command::Config { digest } => kept_configs(config, digest, format),
        Command::Match { file } => match_file(config, &file, format),
    }
}

fn list(config: &Path, message: Option<MessageId>, last: u32, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(config)?;
    reach::ask(&config, &Request::AuditList { message, last }, &mut |row| match format {
        Format::Json => print_json(&row),
        Format::Text => print_line(format!(
            "{:>8}  {}  {:24}  {}",
            row["seq"].to_string(),
            text(&row["time"]),
            actor(&row["actor"]),
            event(&row["event"]),
        )),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn actor(actor: &Value) -> String {
    match (actor.as_str(), actor.get("client"), actor.get("operator")) {
        (Some(name), _, _) => name.to_owned(),
        (None, Some(client), _) => format!("client {}", text(client)),
        (None, None, Some(operator)) => text(&operator["user"]).to_owned(),
        (None, None, None) => actor.to_string(),
    }
}

/// `settled message=… job=… state=ended end=delivered`
fn event(event: &Value) -> String {
    let Some(fields) = event.as_object() else { return event.to_string() };
    let mut line = text(&event["event"]).to_owned();
    for (name, value) in fields.iter().filter(|(name, value)| *name != "event" && !value.is_null()) {
        match (name.as_str(), value.as_str(), value.as_i64()) {
            ("due", _, Some(millis)) => line.push_str(&format!(" due={}", Timestamp::from_millis(millis).rfc3339())),
            (_, Some(word), _) => line.push_str(&format!(" {name}={word}")),
            (_, None, _) => line.push_str(&format!(" {name}={value}")),
        }
    }
    line
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn export(config: &Path, message: Option<MessageId>, output: Option<&Path>) -> Result<ExitCode, Failed> {
    let config = reach::read_config(config)?;
    let mut out: Box<dyn Write + Send> = match output {
        Some(path) => Box::new(BufWriter::new(File::create(path).map_err(|error| Failed::file(path, &error))?)),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let mut written: std::io::Result<u64> = Ok(0);
    reach::ask(&config, &Request::AuditExport { message }, &mut |row| {
        if let Ok(lines) = written {
            written = writeln!(out, "{}", text(&row)).map(|()| lines + 1);
        }
    })?;
    let lines = written.and_then(|lines| out.flush().map(|()| lines))?;
    if let Some(path) = output {
        eprintln!("{lines} lines in {}; `sealpost audit verify {}` checks them", path.display(), path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(config: &Path, export: Option<&Path>, head: Option<&Path>, format: Format) -> Result<ExitCode, Failed> {
    let head = head.map(read_head).transpose()?;
    let verifier = match Verifier::new(head) {
        Ok(verifier) => verifier,
        Err(broken) => return Ok(verdict(Err(broken), format)),
    };
    let result = match export {
        Some(path) => verify_file(path, verifier)?,
        None => verify_here(config, verifier)?,
    };
    Ok(verdict(result, format))
}

/// Reads a signed head: alone in its file, or where it stands in a daily report that was saved as a whole.
fn read_head(path: &Path) -> Result<SignedHead, Failed> {
    let text = std::fs::read_to_string(path).map_err(|error| Failed::file(path, &error))?;
    serde_json::from_str(braced(&text)).map_err(|error| {
        Failed::Data(format!("{}: not a signed head, as a daily report holds it: {error}", path.display()))
    })
}

/// From the first line that opens a brace to the line that closes it.
fn braced(text: &str) -> &str {
    let from = if text.starts_with('{') { Some(0) } else { text.find("\n{").map(|at| at + 1) };
    let inner = from.map_or(text, |from| &text[from..]);
    let to = inner.find("\n}").map(|at| at + 2);
    to.map_or(inner, |to| &inner[..to]).trim()
}

fn verify_file(path: &Path, mut verifier: Verifier) -> Result<Result<Proof, Broken>, Failed> {
    let file = File::open(path).map_err(|error| Failed::file(path, &error))?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        // One octet more than a line may have shows that it is too long, without reading all of it.
        let read = reader.by_ref().take(MAX_LINE_BYTES as u64 + 2).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(verifier.finish());
        }
        if let Err(broken) = verifier.line(line.strip_suffix(b"\n").unwrap_or(&line)) {
            return Ok(Err(broken));
        }
    }
}

fn verify_here(config: &Path, verifier: Verifier) -> Result<Result<Proof, Broken>, Failed> {
    let config = reach::read_config(config)?;
    let mut verifier = Ok(verifier);
    reach::ask(&config, &Request::AuditExport { message: None }, &mut |row| {
        if let Ok(going) = &mut verifier
            && let Err(broken) = going.line(text(&row).as_bytes())
        {
            verifier = Err(broken);
        }
    })?;
    Ok(verifier.and_then(Verifier::finish))
}

fn verdict(result: Result<Proof, Broken>, format: Format) -> ExitCode {
    match (result, format) {
        (Ok(proof), Format::Json) => {
            print_json(&serde_json::json!({ "verified": true, "proof": proof }));
            ExitCode::SUCCESS
        }
        (Ok(proof), Format::Text) => {
            print_line(format!("The log is whole: {proof}"));
            ExitCode::SUCCESS
        }
        (Err(broken), Format::Json) => {
            print_json(&serde_json::json!({ "verified": false, "broken": broken.to_string() }));
            ExitCode::from(ANSWER_IS_NO)
        }
        (Err(broken), Format::Text) => {
            print_line(format!("The log is NOT whole: {broken}."));
            ExitCode::from(ANSWER_IS_NO)
        }
    }
}

fn start_of_digest(text: &str) -> Result<String, String> {
    let hex = !text.is_empty() && text.len() <= 64 && text.chars().all(|letter| letter.is_ascii_hexdigit());
    hex.then(|| text.to_owned()).ok_or_else(|| "up to 64 hexadecimal digits are expected".to_owned())
}

fn kept_configs(config: &Path, digest: Option<String>, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(config)?;
    reach::ask(&config, &Request::Configs { digest }, &mut |row| match (format, row["text"].as_str()) {
        (Format::Json, _) => print_json(&row),
        (Format::Text, Some(kept)) => print_line(kept.strip_suffix('\n').unwrap_or(kept)),
        (Format::Text, None) => {
            let now = if row["in_force"] == true { "  in force" } else { "" };
            print_line(format!("{}  {}{now}", text(&row["loaded"]), text(&row["config"])));
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn match_file(config: &Path, file: &Path, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(config)?;
    let bytes = std::fs::read(file).map_err(|error| Failed::file(file, &error))?;
    // On the wire every line ends in CRLF; most systems save the same message with line feeds.
    let on_the_wire = wire_lines(&bytes);
    let mut found = 0;
    let contents = vec![sha256(&bytes), sha256(&on_the_wire)];
    reach::ask(&config, &Request::AuditMatch { contents }, &mut |row| {
        found += 1;
        match format {
            Format::Json => print_json(&row),
            Format::Text => print_line(format!(
                "This file was accepted as {} at {}.",
                text(&row["message"]),
                text(&row["accepted"])
            )),
        }
    })?;
    if found > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    if format == Format::Text {
        print_line("No message with exactly these octets was accepted here.");
    }
    Ok(ExitCode::from(ANSWER_IS_NO))
}
