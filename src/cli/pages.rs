//! What the pages tell people to type is what the program takes: every command line, and every piece of config.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

use crate::cli::Cli;
use crate::config;

/// What stands around a piece of config on a page.
const AROUND: &str = "[server]\nhostname = \"relay.clinic.example\"\n[notify]\npostmaster = \"it@clinic.example\"\n\
                      [[tls.certificate]]\nchain = \"chain.pem\"\nkey = \"key.pem\"\n";
const DOOR: &str = "[[listener]]\nrole = \"submission\"\nbind = \"0.0.0.0:587\"\n";
/// Stands for an id where a page shows one cut short.
const ID: &str = "01KATZ0000000000000000000A";

/// A block between fences, and what the opening fence calls it.
struct Block {
    kind: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some(Block { kind: kind.trim().to_owned(), text: String::new() }),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is never closed");
    blocks
}

/// What stands between single backticks outside of blocks.
fn spans(page: &str) -> Vec<String> {
    let mut outside = String::new();
    let mut within = false;
    for line in page.lines() {
        if line.starts_with("```") {
            within = !within;
        } else if !within {
            outside.push_str(line);
            outside.push(' ');
        }
    }
    outside.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words of a line as a shell cuts them, up to where another command or a redirection begins.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '|' | '>' | '<' | ';' | '&' | '#') => break,
            (None, ' ') => words.push(String::new()),
            (Some(_) | None, _) => words.last_mut().expect("begins with one").push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    words
        .into_iter()
        .map(|word| if word.starts_with("01KA") && word.ends_with('…') { ID.into() } else { word })
        .collect()
}

/// The words behind `sealpost` where a line runs it.
fn command(line: &str) -> Option<Vec<String>> {
    let words = words(line.trim_start_matches("$ "));
    let words = if words.first().is_some_and(|first| first == "sudo") { words[1..].to_vec() } else { words };
    words.first().is_some_and(|first| first == "sealpost").then_some(words)
}

/// The pages about clients tell of `client watch`, which may come behind them. From then on it is held to them like the rest.
fn is_to_come(words: &[String]) -> bool {
    let cli = Cli::command();
    let client = cli.find_subcommand("client").expect("there are clients");
    words.get(1..3).is_some_and(|named| named == ["client", "watch"]) && client.find_subcommand("watch").is_none()
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_command_line_on_a_page_is_one() {
    let mut all = pages(&root().join("docs"));
    all.push(root().join("README.md"));
    let (mut tried, mut faults) = (0, Vec::new());
    for page in all {
        let text = fs::read_to_string(&page).unwrap();
        let mut lines = Vec::new();
        for block in blocks(&text).iter().filter(|block| block.kind == "sh") {
            lines.extend(block.text.replace("\\\n", " ").lines().map(str::to_owned));
        }
        if page.starts_with(root().join("docs/connect")) {
            lines.extend(spans(&text));
        }
        for words in lines.iter().filter_map(|line| command(line)).filter(|words| !is_to_come(words)) {
            tried += 1;
            if let Err(error) = Cli::try_parse_from(&words) {
                faults.push(format!("{}: {}: {error}", page.display(), words.join(" ")));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(tried >= 45, "only {tried} command lines were found");
}

#[test]
fn every_piece_of_config_on_a_page_about_clients_is_a_config() {
    let (mut tried, mut faults) = (0, Vec::new());
    for page in pages(&root().join("docs/connect")) {
        let text = fs::read_to_string(&page).unwrap();
        for block in blocks(&text).iter().filter(|block| block.kind == "toml") {
            tried += 1;
            let door = if block.text.contains("[[listener]]") { "" } else { DOOR };
            if let Err(mistakes) = config::parse(&format!("{AROUND}{door}{}", block.text)) {
                faults.push(format!("{}: {mistakes:?}\n{}", page.display(), block.text));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(tried >= 5, "only {tried} pieces of config were found");
}

#[test]
fn a_wrong_line_on_a_page_is_noticed() {
    let page = "```sh\nsudo sealpost client ad x --sender '*@a b' \\\n    --profile none | cat   # said\n```\n`sealpost queue`\n";
    let lines = blocks(page)[0].text.replace("\\\n", " ");
    let words = command(lines.lines().next().unwrap()).unwrap();
    assert_eq!(words, ["sealpost", "client", "ad", "x", "--sender", "*@a b", "--profile", "none"]);
    assert!(Cli::try_parse_from(&words).is_err());
    assert_eq!(spans(page), ["sealpost queue"]);
    assert_eq!(command("cat sealpost"), None);
}
