//! How well letters are judged by what was learned from other voices: the only figure that says something of other mail.

use std::collections::{BTreeMap, BTreeSet};

use sealpost::classify::Feature;

use crate::Lessons;
use crate::learn::{self, Example, Penalty, Weights};
use crate::numbers::logistic;

/// The folds like a weaker hold on the evidence, since half of the families are look-alikes; long charts and everyday mail like
/// this one.
const PENALTY: Penalty = Penalty { dense: 3.0, sparse: 0.02 };
const FOLDS: usize = 10;
/// What is added to the weight of the rule's number. Half of the families were written to look like what they are not, and
/// teach less trust in plain cases than everyday mail would.
const TRUST: f64 = 3.0;
/// How much harmless mail of unseen voices each operating point may take for PHI. Half of these letters were written to look
/// like PHI, so that the share of everyday mail is far lower.
const STRICT: f64 = 0.15;
const BALANCED: f64 = 0.08;

/// One letter's sum, learned without its voice.
pub struct Judged {
    pub letter: usize,
    pub sum: f64,
}

/// Calibration and operating points, in probabilities.
pub struct Points {
    pub slope: f64,
    pub offset: f64,
    pub strict: f64,
    pub balanced: f64,
}

/// The weights that letters teach, for a number of words and pairs of words.
pub fn weights(examples: &[&Example], bins: usize) -> Weights {
    learn::learn(examples, bins, PENALTY).trust(Feature::Lowered as usize, TRUST)
}

/// Voices are dealt into folds in the order of their names.
pub fn judge(lessons: &Lessons) -> Vec<Judged> {
    let voices: BTreeSet<&str> = lessons.families.iter().map(|family| family.voice.as_str()).collect();
    let fold: BTreeMap<&str, usize> = voices.into_iter().enumerate().map(|(at, voice)| (voice, at % FOLDS)).collect();
    let fold_of = |letter: usize| fold[lessons.families[lessons.letters[letter].family].voice.as_str()];
    let mut judged = Vec::with_capacity(lessons.letters.len());
    for held in 0..FOLDS {
        let (out, kept): (Vec<usize>, Vec<usize>) =
            (0..lessons.letters.len()).partition(|letter| fold_of(*letter) == held);
        let examples: Vec<&Example> = kept.iter().map(|letter| &lessons.letters[*letter].example).collect();
        let weights = weights(&examples, lessons.bins.len());
        let sum = |letter: usize| weights.sum(&lessons.letters[letter].example);
        judged.extend(out.into_iter().map(|letter| Judged { letter, sum: sum(letter) }));
    }
    judged.sort_by_key(|judged| judged.letter);
    judged
}

pub fn points(lessons: &Lessons, judged: &[Judged]) -> Points {
    let example = |judged: &Judged| &lessons.letters[judged.letter].example;
    let sums: Vec<(f64, bool, f64)> =
        judged.iter().map(|judged| (judged.sum, example(judged).phi, example(judged).weight)).collect();
    let (slope, offset) = learn::calibrate(&sums);
    let mut harmless: Vec<(f64, f64)> =
        sums.iter().filter(|(_, phi, _)| !phi).map(|(sum, _, weight)| (*sum, *weight)).collect();
    harmless.sort_by(|one, other| other.0.total_cmp(&one.0));
    let probability = |sum: f64| logistic(slope * sum + offset);
    let strict = probability(least(&harmless, STRICT));
    Points { slope, offset, strict, balanced: probability(least(&harmless, BALANCED)) }
}

/// The least sum at which no more than a share of the harmless letters is taken for PHI; the largest sums come first.
fn least(harmless: &[(f64, f64)], share: f64) -> f64 {
    let all: f64 = harmless.iter().map(|(_, weight)| weight).sum();
    let mut taken = 0.0;
    let mut least = harmless.first().map_or(0.0, |(sum, _)| *sum) + 1e-6;
    for (sum, weight) in harmless {
        taken += weight;
        if taken > share * all {
            break;
        }
        least = *sum;
    }
    least
}

#[derive(Default)]
struct Row {
    phi: usize,
    none: usize,
    missed: [usize; 2],
    alarms: [usize; 2],
}

/// Tables by form and by voice, of letters whose voice was not learned from.
pub fn show(lessons: &Lessons, judged: &[Judged], points: &Points, say: &mut dyn FnMut(&str)) {
    for (title, by_form) in [("form", true), ("voice", false)] {
        let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
        let mut all = Row::default();
        for one in judged {
            let letter = &lessons.letters[one.letter];
            let family = &lessons.families[letter.family];
            let likely = logistic(points.slope * one.sum + points.offset) as f32;
            // As mail is judged: what counts whatever the model says counts here.
            let (strict, balanced) = (points.strict as f32, points.balanced as f32);
            let score = if letter.counts { likely.max(balanced) } else { likely };
            let key = if by_form { family.form.as_str() } else { family.voice.as_str() };
            for row in [rows.entry(key).or_default(), &mut all] {
                row.count(letter.example.phi, [score >= strict, score >= balanced]);
            }
        }
        say(&format!("\n{title:28}   phi  missed strict  balanced    none  alarms strict  balanced"));
        for (name, row) in &rows {
            row.show(name, say);
        }
        all.show("all", say);
    }
    say(&format!(
        "\nslope {:.4} offset {:.4} strict {:.4} balanced {:.4}",
        points.slope, points.offset, points.strict, points.balanced
    ));
}

impl Row {
    fn count(&mut self, phi: bool, found: [bool; 2]) {
        if phi {
            self.phi += 1;
        } else {
            self.none += 1;
        }
        for (at, found) in found.into_iter().enumerate() {
            self.missed[at] += usize::from(phi && !found);
            self.alarms[at] += usize::from(!phi && found);
        }
    }

    fn show(&self, name: &str, say: &mut dyn FnMut(&str)) {
        let share = |part: usize, all: usize| if all == 0 { 0.0 } else { 100.0 * part as f64 / all as f64 };
        say(&format!(
            "{name:28} {:5} {:13.1}% {:8.1}% {:7} {:13.1}% {:8.1}%",
            self.phi,
            share(self.missed[0], self.phi),
            share(self.missed[1], self.phi),
            self.none,
            share(self.alarms[0], self.none),
            share(self.alarms[1], self.none)
        ));
    }
}

/// The evidence and what it weighs.
pub fn show_weights(weights: &Weights, say: &mut dyn FnMut(&str)) {
    say(&format!("\nbias {:.3}", weights.bias()));
    for (feature, weight) in Feature::ALL.iter().zip(weights.dense()) {
        say(&format!("{weight:8.3}  {}", feature.words()));
    }
}
