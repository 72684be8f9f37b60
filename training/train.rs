//! `make train`: learns the classifier's weights from training/families, shows how well letters of unseen voices are
//! judged, and writes src/classify/model.bin. The same families give the same octets.

#![allow(unreachable_pub, reason = "a program exports nothing")]
#![allow(clippy::cast_precision_loss, reason = "counts of letters are small")]

mod dress;
mod family;
mod fill;
mod folds;
mod learn;
mod numbers;
mod people;
mod random;
mod write;

use std::path::Path;
use std::process::ExitCode;

use sealpost::classify::evidence::evidence;
use sealpost::mail::{Message, WireLimits};
use sealpost::mime::{self, Budget};

use family::{Family, Label};
use learn::Example;
use random::Random;

/// Letters that are made of each template.
const VARIANTS: usize = 4;
/// A word or pair that fewer families have is no vocabulary, and is not learned.
const FEWEST: usize = 3;
const LIMITS: WireLimits = WireLimits { message_bytes: 1 << 24, header_bytes: 1 << 18, line_bytes: 1 << 20 };
const BUDGET: Budget = Budget { depth: 12, parts: 100, ratio: 20, bytes: 1 << 24 };

/// A letter with the family it came from.
#[derive(Debug)]
pub struct Letter {
    pub family: usize,
    pub example: Example,
    /// Whether it counts whatever the model makes of it.
    pub counts: bool,
}

/// All letters, and which bins of words are learned.
#[derive(Debug)]
pub struct Lessons {
    pub families: Vec<Family>,
    pub letters: Vec<Letter>,
    /// The bins, in order; a letter's sparse places count in this list.
    pub bins: Vec<u32>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "training/families".into());
    let out = arguments.next().unwrap_or_else(|| "src/classify/model.bin".into());
    match run(Path::new(&folder), Path::new(&out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("train: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path, out: &Path) -> Result<(), String> {
    let file = train(family::read(folder)?, &family::digest(folder)?, &mut |line| println!("{line}"))?;
    std::fs::write(out, file).map_err(|error| format!("{}: {error}", out.display()))
}

/// The octets of the model's file.
fn train(families: Vec<Family>, digest: &str, say: &mut dyn FnMut(&str)) -> Result<Vec<u8>, String> {
    let lessons = Lessons::of(families)?;
    say(&format!(
        "{} families, {} letters, {} words and pairs",
        lessons.families.len(),
        lessons.letters.len(),
        lessons.bins.len()
    ));
    let judged = folds::judge(&lessons);
    let points = folds::points(&lessons, &judged);
    folds::show(&lessons, &judged, &points, say);
    let all: Vec<&Example> = lessons.letters.iter().map(|letter| &letter.example).collect();
    let weights = folds::weights(&all, lessons.bins.len());
    folds::show_weights(&weights, say);
    Ok(write::file(&lessons, digest, (&weights, &points)))
}

impl Lessons {
    fn of(families: Vec<Family>) -> Result<Lessons, String> {
        let mut letters = Vec::new();
        let mut holders: std::collections::BTreeMap<u32, (usize, usize)> = std::collections::BTreeMap::new();
        let mut found = Vec::new();
        for (at, family) in families.iter().enumerate() {
            // A family of many wordings has more to say than one of few, but not as much as it has more letters.
            let weight = (family.templates.len() as f64).sqrt() / (family.templates.len() * VARIANTS) as f64;
            for (number, template) in family.templates.iter().enumerate() {
                for variant in 0..VARIANTS {
                    let mut random = Random::named(&format!("{} {number} {variant}", family.name));
                    let other = dress::others(&families, &mut random);
                    let template = dress::lengthened(&families, family, template, &mut random);
                    let octets = dress::message(family, &template, other.as_deref(), &mut random);
                    let message =
                        Message::parse(octets, &LIMITS).map_err(|error| format!("{}: {error}", family.name))?;
                    let evidence = evidence(&mime::parse(&message, &BUDGET));
                    for bin in &evidence.bins {
                        let (last, count) = holders.entry(*bin).or_insert((usize::MAX, 0));
                        *count += usize::from(*last != at);
                        *last = at;
                    }
                    let dense = evidence.dense.iter().map(|value| f64::from(*value)).collect();
                    let share = f64::from(evidence.share());
                    let phi = family.label == Label::Phi;
                    let counts = evidence.counts();
                    found.push(evidence.bins);
                    letters.push(Letter {
                        family: at,
                        example: Example { dense, sparse: Vec::new(), share, phi, weight },
                        counts,
                    });
                }
            }
        }
        let bins: Vec<u32> =
            holders.into_iter().filter(|(_, (_, count))| *count >= FEWEST).map(|(bin, _)| bin).collect();
        for (letter, found) in letters.iter_mut().zip(found) {
            let place = |bin: &u32| bins.binary_search(bin).ok().map(|at| at as u32);
            letter.example.sparse = found.iter().filter_map(place).collect();
        }
        balance(&mut letters);
        Ok(Lessons { families, letters, bins })
    }
}

/// Both labels weigh the same.
fn balance(letters: &mut [Letter]) {
    let total = |phi: bool, letters: &[Letter]| -> f64 {
        letters.iter().filter(|letter| letter.example.phi == phi).map(|letter| letter.example.weight).sum()
    };
    let (phi, none) = (total(true, letters), total(false, letters));
    let both = f64::midpoint(phi, none);
    for letter in letters {
        letter.example.weight *= both / if letter.example.phi { phi } else { none }.max(1e-9);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What learns is the same to the byte on every machine, so the weights show whether anything that goes into them has
    /// changed: a family, a lexicon, what is made evidence of, or how it is learned.
    #[test]
    fn the_shipped_weights_are_what_these_families_teach() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("training/families");
        let digest = family::digest(&folder).unwrap();
        let learned = train(family::read(&folder).unwrap(), &digest, &mut |_| {}).unwrap();
        let shipped = std::fs::read(root.join("src/classify/model.bin")).unwrap();
        assert!(learned == shipped, "run `make train`, and commit what it writes");
    }
}
