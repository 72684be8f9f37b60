//! How a command ends, and how it prints.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::control::Failure;

/// For people, or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

/// Done, and the answer is no.
pub(super) const ANSWER_IS_NO: u8 = 1;

/// Why a command was not done. Each has an exit code from sysexits(3), which mail programs share.
#[derive(Debug)]
pub(super) enum Failed {
    /// The input cannot be used.
    Data(String),
    /// No such file, message or row.
    NotFound(String),
    /// The daemon or the store cannot be reached.
    Unavailable(String),
    Io(String),
    NotPermitted(String),
    Config(String),
}

impl Failed {
    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failed::Data(_) => 65,
            Failed::NotFound(_) => 66,
            Failed::Unavailable(_) => 69,
            Failed::Io(_) => 74,
            Failed::NotPermitted(_) => 77,
            Failed::Config(_) => 78,
        })
    }

    /// An error about a file, with the file's name and what the system said of it.
    pub(super) fn file(path: &std::path::Path, error: &io::Error) -> Failed {
        let text = format!("{}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::NotFound => Failed::NotFound(text),
            io::ErrorKind::PermissionDenied => Failed::NotPermitted(text),
            _ => Failed::Io(text),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Data(text)
            | Failed::NotFound(text)
            | Failed::Unavailable(text)
            | Failed::Io(text)
            | Failed::NotPermitted(text)
            | Failed::Config(text) => f.write_str(text),
        }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Failed {
        match failure {
            Failure::NotFound(text) => Failed::NotFound(text),
            Failure::Refused(text) => Failed::Data(text),
            Failure::Unavailable(text) => Failed::Unavailable(text),
            Failure::Config(text) => Failed::Config(text),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Io(error.to_string())
    }
}

/// Prints one row. A reader that has gone away (`| head`) ends the command quietly.
pub(super) fn print_line(line: impl fmt::Display) {
    if writeln!(io::stdout().lock(), "{}", harmless(&line.to_string())).is_err() {
        std::process::exit(0);
    }
}

/// Text in which nothing speaks to the terminal. A Message-ID and a mail server's reply are written by strangers, and
/// could move the cursor over what we print, or turn the direction of a line.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if (character.is_control() && character != '\n' && character != '\t') || turns_text(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The marks that turn the direction of text (UAX #9), and those that end a line for some terminals.
fn turns_text(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Lines longer than this are hard to read, and break in the middle of words.
const WIDTH: usize = 100;

/// Prints a text for people: long lines are broken between words, and go on further to the right.
pub(super) fn print_text(text: &str) {
    text.trim_end().lines().for_each(|line| print_line(broken(line)));
}

fn broken(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let (mut broken, mut column) = (" ".repeat(indent), indent);
    for (at, word) in line.split_whitespace().enumerate() {
        let length = word.chars().count();
        if at > 0 && column + 1 + length > WIDTH {
            broken.push('\n');
            broken.push_str(&" ".repeat(indent + 2));
            column = indent + 2;
        } else if at > 0 {
            broken.push(' ');
            column += 1;
        }
        broken.push_str(word);
        column += length;
    }
    broken
}

pub(super) fn print_json(row: &impl Serialize) {
    match serde_json::to_string(row) {
        Ok(text) => print_line(text),
        Err(error) => eprintln!("sealpost: a row could not be written as JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_broken_between_words_and_goes_on_further_to_the_right() {
        let broken = broken(&format!("  {}", "seven77 ".repeat(20)));
        let lines: Vec<&str> = broken.lines().collect();
        assert_eq!(lines, [&format!("  {}", ["seven77"; 12].join(" ")), &format!("    {}", ["seven77"; 8].join(" "))]);
    }

    #[test]
    fn a_short_line_and_a_long_word_stay_as_they_are() {
        for line in ["", "  To ann@lab.example", &"x".repeat(150)] {
            assert_eq!(broken(line), line);
        }
    }

    #[test]
    fn what_a_stranger_wrote_does_not_speak_to_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\rc\u{9b}d"), "a\\u{1b}[2Jb\\u{d}c\\u{9b}d");
        assert_eq!(harmless("<\u{202e}moc@x>"), "<\\u{202e}moc@x>");
        assert_eq!(harmless("one\n\ttwo é"), "one\n\ttwo é");
    }
}
