//! What the demo prints: a hundred columns, no colour unless a terminal reads it.

use std::io::IsTerminal;

use crate::outcome::Told;

pub const WIDTH: usize = 100;
/// Message, recipient, health data, method, TLS, certificate, outcome.
const COLUMNS: [usize; 7] = [16, 28, 6, 17, 3, 13, 9];
/// Where the second column starts.
const INDENT: usize = 17;

#[derive(Clone, Copy, Debug)]
pub enum Tone {
    Good,
    Kept,
    Bad,
    Quiet,
    Title,
}

/// The text in a colour, when a terminal reads it.
pub fn toned(text: &str, tone: Tone) -> String {
    if !std::io::stdout().is_terminal() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Kept => "33",
        Tone::Bad => "31",
        Tone::Quiet => "2",
        Tone::Title => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

pub fn title(text: &str) {
    println!("\n{}", toned(text, Tone::Title));
}

/// A cell of just this width; what is cut off ends with a mark.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

pub fn line(cells: [&str; 7]) -> String {
    let fitted: Vec<String> = cells.iter().zip(COLUMNS).map(|(cell, width)| fit(cell, width)).collect();
    fitted.join(" ").trim_end().to_owned()
}

pub fn head() {
    let names = ["MESSAGE", "RECIPIENT", "HEALTH", "METHOD", "TLS", "CERTIFICATE", "OUTCOME"];
    println!("{}\n{}", toned(&line(names), Tone::Title), "─".repeat(WIDTH));
}

/// One recipient: a line of facts, and under it what was found, once for each message, and why it went so.
pub fn row(title: Option<&str>, told: &Told, tone: Tone) {
    let Told { recipient, health, method, tls, certificate, state, .. } = told;
    println!("{}", toned(&line([title.unwrap_or_default(), recipient, health, method, tls, certificate, state]), tone));
    if title.is_some() && !told.found.is_empty() {
        paragraph(&format!("found: {}", told.found), INDENT);
    }
    paragraph(&told.why, INDENT);
}

pub fn paragraph(text: &str, indent: usize) {
    for part in wrap(text, WIDTH - indent) {
        println!("{:indent$}{}", "", toned(&part, Tone::Quiet));
    }
}

/// Words of somebody else, marked as such.
pub fn quote(text: &str) {
    let bar = toned("│", Tone::Quiet);
    for line in text.lines() {
        if line.chars().count() + 4 <= WIDTH {
            println!("  {bar} {line}");
        } else {
            wrap(line, WIDTH - 4).iter().for_each(|line| println!("  {bar} {line}"));
        }
    }
}

/// Lines of whole words, none longer than the width unless a word is.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}
