//! How long the classifier takes for a text on one core. The goal is 1 ms for 50 KiB.
//!
//! The texts are the letters of the training families, with and without patients, and one that is made to cost much.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sealpost::classify::classify;
use sealpost::mime::{Content, Part, Tree};
use sealpost::phi::Phi;

const SIZE: usize = 50 << 10;
const GOAL: Duration = Duration::from_millis(1);
const REPEAT: usize = 200;
/// Families from one letter to the next: each voice has several.
const STEP: usize = 4;
/// Numbers make the classifier look about most often.
const COSTLY: &str = "1 2 3 4 5 6 7 8 9 0 1-2-3 4.5.6.7 8/9/10 (11) 12-13 14 15 16 17 18 19\n";

fn main() -> ExitCode {
    let letters = match letters(Path::new("training/families")) {
        Ok(letters) if letters.len() >= SIZE => letters,
        Ok(letters) => {
            eprintln!("classify: training/families: {} octets are too few", letters.len());
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("classify: training/families: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut met = true;
    for (name, text, goal) in
        [("letters", letters, GOAL), ("numbers", COSTLY.repeat(SIZE / COSTLY.len() + 1), 4 * GOAL)]
    {
        let took = best(&text[..text.ceil_char_boundary(SIZE)]);
        println!("{name}: {:.3} ms for 50 KiB", took.as_secs_f64() * 1000.0);
        met &= took <= goal;
    }
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// As many letters as it takes, with something of each slot's kind in its place, to and fro between the families.
fn letters(folder: &Path) -> std::io::Result<String> {
    let mut files = Vec::new();
    for voice in std::fs::read_dir(folder)? {
        let voice = voice?.path();
        if voice.is_dir() {
            files.extend(std::fs::read_dir(voice)?.filter_map(|file| Some(file.ok()?.path())));
        }
    }
    files.sort();
    let mut text = String::new();
    let mut rounds = (0..STEP).flat_map(|first| files.iter().skip(first).step_by(STEP));
    while text.len() < SIZE
        && let Some(file) = rounds.next()
    {
        text.push_str(&filled(&std::fs::read_to_string(file)?));
    }
    Ok(text)
}

fn filled(template: &str) -> String {
    let mut parts = template.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (slot, rest) = part.split_once('}').unwrap_or(("", part));
        text.push_str(match slot.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "name" => "Maribel Quist",
            "first" | "relative" => "Maribel",
            "last" => "Quist",
            "provider" => "Dr. Teal",
            "phone" | "fax" => "(602) 555-0143",
            "dob" | "date" => "04/02/1961",
            "mrn" | "member" | "claim" | "account" => "00482913",
            "drug" => "metformin",
            "dx" => "type 2 diabetes",
            "icd" => "E11.9",
            _ => "Mesa",
        });
        text.push_str(rest);
    }
    text
}

fn best(text: &str) -> Duration {
    let part = Part {
        path: "1".to_owned(),
        media_type: "text/plain".to_owned(),
        name: None,
        content: Content::Text(Phi::new(text.to_owned())),
    };
    let tree =
        Tree { subject: Phi::default(), from: Vec::new(), message_id: None, parts: vec![part], control: Vec::new() };
    let once = || {
        let began = Instant::now();
        std::hint::black_box(classify(std::hint::black_box(&tree)));
        began.elapsed()
    };
    (0..REPEAT).map(|_| once()).min().unwrap_or_default()
}
