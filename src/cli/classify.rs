//! `sealpost classify PATH…`: what the classifier finds in message files, one line each.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use data_encoding::BASE64;
use serde::Serialize;

use crate::classify::{Finding, Grounds, Points, Verdict, classify};
use crate::cli::output::{Failed, Format};
use crate::extract::{self, Allowance, Readers};
use crate::mail::{Malformed, Message, WireLimits, wire_lines};
use crate::mime::{self, Budget};

/// What is typed behind `classify`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Message files, documents as they would be attached, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn command(arguments: &Arguments, format: Format) -> Result<ExitCode, Failed> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let counts = run(&arguments.paths, &mut out, format)?;
    out.flush()?;
    if counts.unreadable > 0 {
        let noun = if counts.unreadable == 1 { "file" } else { "files" };
        let text = format!("{} {noun} could not be read", counts.unreadable);
        let absent = arguments.paths.iter().any(|path| !path.exists());
        return Err(if absent { Failed::NotFound(text) } else { Failed::Data(text) });
    }
    Ok(ExitCode::SUCCESS)
}

/// How many files went which way; the caller makes the exit code of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub phi: usize,
    pub clear: usize,
    pub unreadable: usize,
}

/// One file's line of JSON. The file's name is the operator's own word, and no text of the message is in it.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    phi: bool,
    score: f32,
    points: Points,
    grounds: &'a Grounds,
    findings: &'a [Finding],
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("cannot be read: {0}")]
    File(#[from] io::Error),
    #[error("is no message: {0}")]
    Message(#[from] Malformed),
}

/// Reasons that people are shown; `--json` has them all.
const SHOWN: usize = 3;

/// A file is not bound by what a connection may send; the work on it is.
const LIMITS: WireLimits = WireLimits { message_bytes: usize::MAX, header_bytes: usize::MAX, line_bytes: usize::MAX };
const BUDGET: Budget = Budget { depth: 32, parts: 2000, ratio: 20, bytes: 256 << 20 };
const LARGEST_FILE: u64 = 512 << 20;
const ALLOWANCE: Allowance = Allowance {
    budget: extract::Budget { depth: 8, parts: 2000, ratio: 1000, bytes: 256 << 20 },
    time: Duration::from_secs(60),
    memory_bytes: 2 << 30,
};

/// Classifies every file, and every file below a folder, in the order of their names. A file that cannot be read is told
/// on stderr and counted; an error is only that `out` cannot be written.
pub(super) fn run(paths: &[PathBuf], out: &mut dyn Write, format: Format) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let readers = Readers::default();
    // The last one is taken first: what a folder holds goes on top, the first name uppermost.
    let mut waiting: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            match entries(&path) {
                Ok(inside) => waiting.extend(inside.into_iter().rev()),
                Err(why) => complain(&path, &why.into(), &mut counts),
            }
            continue;
        }
        match judge(&path, &readers) {
            Ok(verdict) => {
                if verdict.phi {
                    counts.phi += 1;
                } else {
                    counts.clear += 1;
                }
                print(&path, &verdict, out, format)?;
            }
            Err(why) => complain(&path, &why, &mut counts),
        }
    }
    Ok(counts)
}

fn complain(path: &Path, why: &Unreadable, counts: &mut Counts) {
    counts.unreadable += 1;
    eprintln!("{}: {why}", path.display());
}

/// What a folder holds, sorted; links to folders are left out, so that no walk goes in a circle.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut inside = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() || kind.is_file() || (kind.is_symlink() && entry.path().is_file()) {
            inside.push(entry.path());
        }
    }
    inside.sort();
    Ok(inside)
}

fn judge(path: &Path, readers: &Readers) -> Result<Verdict, Unreadable> {
    if fs::metadata(path)?.len() > LARGEST_FILE {
        return Err(Malformed::TooLarge.into());
    }
    let message = Message::parse(as_message(path, &fs::read(path)?), &LIMITS)?;
    let (mut tree, files) = mime::read(&message, &BUDGET);
    readers.fill(&mut tree, files, &ALLOWANCE);
    Ok(classify(&tree))
}

/// Octets of a file that are looked at to see whether it is a message.
const LOOKED_AT: usize = 64 << 10;

/// A file as it would be sent: a message with the line ends of the wire, anything else as the one attachment of a message
/// without a text.
pub(super) fn as_message(path: &Path, file: &[u8]) -> Vec<u8> {
    let start = String::from_utf8_lossy(&file[..file.len().min(LOOKED_AT)]);
    let is_called_one = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("eml"));
    if mime::is_message(&start) || (is_called_one && begins_with_a_field(&start)) {
        return wire_lines(file);
    }
    // What the operator calls it stays with the operator: nothing of this message is kept.
    let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes).unwrap_or_default();
    let head = mime::file_header(name) + "Content-Transfer-Encoding: base64\r\n\r\n";
    let mut message = head.into_bytes();
    for line in file.chunks(57) {
        message.extend_from_slice(BASE64.encode(line).as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// RFC 5322 §2.2: a name of printable characters, and a colon; or the line that a mailbox puts in front.
fn begins_with_a_field(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    line.starts_with("From ") || line.split_once(':').is_some_and(|(name, _)| is_name(name.trim_end()))
}

fn print(path: &Path, verdict: &Verdict, out: &mut dyn Write, format: Format) -> io::Result<()> {
    let file = path.display().to_string();
    match format {
        Format::Json => {
            let Verdict { phi, score, points, grounds, findings, .. } = verdict;
            let line = Line { file, phi: *phi, score: *score, points: *points, grounds, findings };
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)
        }
        Format::Text => {
            let word = match verdict.points {
                Points { balanced: true, .. } => "PHI",
                Points { strict: true, .. } => "PHI at the operating point strict only",
                Points { .. } => "no PHI",
            };
            writeln!(out, "{file}: {word}, score {:.2}{}", verdict.score, kinds(&verdict.findings))?;
            for reason in verdict.grounds.reasons.iter().take(SHOWN) {
                let side = if reason.weight > 0.0 { "for" } else { "against" };
                writeln!(out, "  {side}: {} ({:+.1})", reason.words, reason.weight)?;
            }
            Ok(())
        }
    }
}

/// The kinds found, each with its number: `; DRUG 2, NAME 1`.
fn kinds(findings: &[Finding]) -> String {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.kind.name()).or_insert(0_usize) += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    if counts.is_empty() { String::new() } else { format!("; {}", counts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(paths: &[PathBuf], format: Format) -> (Counts, String) {
        let mut out = Vec::new();
        let counts = run(paths, &mut out, format).unwrap();
        (counts, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_folder_is_walked_in_order_and_a_missing_file_does_not_stop_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("b/2.eml"), "Subject: lunch\n\nAt noon?\n").unwrap();
        fs::write(folder.path().join("a.eml"), "Subject: x\n\nPatient: Maria Quist, MRN 00482913, has asthma").unwrap();
        let paths = [folder.path().join("missing.eml"), folder.path().to_path_buf()];
        let (counts, out) = output(&paths, Format::Json);
        assert_eq!(counts, Counts { phi: 1, clear: 1, unreadable: 1 });
        let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines[0]["file"].as_str().unwrap().ends_with("a.eml"));
        assert_eq!(lines[0]["phi"], true);
        assert_eq!(lines[1]["phi"], false);
        let mrn = lines[0]["findings"].as_array().unwrap().iter().find(|f| f["kind"] == "MRN").unwrap();
        assert_eq!((&mrn["part"], &mrn["start"], &mrn["end"]), (&"1".into(), &26.into(), &34.into()));
        assert!(!out.contains("Quist"));
    }

    #[test]
    fn the_text_form_groups_the_kinds() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.eml"), "Subject: x\n\nTakes metformin and lisinopril\n").unwrap();
        let (_, out) = output(&[folder.path().to_path_buf()], Format::Text);
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].ends_with("; DRUG 2"), "{out}");
        assert!(
            lines.len() > 1
                && lines[1..].iter().all(|line| line.starts_with("  for: ") || line.starts_with("  against: "))
        );
    }

    #[test]
    fn a_file_is_a_message_only_if_it_begins_as_one() {
        let is_message = |name: &str, file: &[u8]| as_message(Path::new(name), file) == wire_lines(file);
        assert!(is_message("1234.host", b"From: ann@clinic.example\nSubject: x\n\nwords\n"));
        assert!(is_message("a.eml", b"X-Spam: no\nSubject: x\n\nwords\n"));
        for (name, file) in [
            ("deck.ppt", &b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..]),
            ("scan.png", b"\x89PNG\r\n"),
            ("scan.eml", b"\x89PNG\r\n"),
            ("list", b"Patient: Maria Quist, MRN 00482913\n"),
        ] {
            assert!(!is_message(name, file), "{name}");
        }
    }
}
