//! From what was found to a verdict: whose health it is, what kind of mail it is, and how likely it is that it holds PHI.
//!
//! `bind` ties persons to words of health, `cues` tells who is meant and what kind of mail it is, `features` makes numbers
//! of both, and `model` weighs them with the choice of words. A record of a patient decides by itself.

mod bind;
mod cues;
pub(super) mod features;
pub(super) mod model;
mod rule;
mod words;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::classify::evidence::Evidence;
use crate::classify::{Hit, Sense};
use crate::mime::{Origin, Part, Tree};
use crate::phi::Kind;

pub use bind::Who;
pub use features::Feature;
pub use model::{FORM as MODEL_FORM, Model, Unfit};
pub use words::BINS;
pub(super) use words::{Grams, Said};

use bind::{Bound, Cast, Subject};
use features::Tally;

/// The score of a message with a part that cannot be read.
pub(super) const UNREADABLE: f32 = 0.9;
const RECORD: f32 = 0.99;
/// Bound pairs and reasons that are kept of one message.
const MOST_PAIRS: usize = 20;
const MOST_REASONS: usize = 8;
/// A feature that adds less is no reason.
const LEAST: f32 = 0.1;

/// A part and what was found in it.
pub(super) struct Read<'a> {
    pub(super) part: &'a Part,
    pub(super) text: &'a str,
    /// In the order of the text.
    pub(super) hits: Vec<Hit>,
    pub(super) said: Said,
    /// The topics of it that speak against a patient being meant.
    pub(super) lowering: BTreeSet<&'static str>,
}

impl Read<'_> {
    fn is_subject(&self) -> bool {
        self.part.origin() == Origin::Subject
    }
}

/// A person and a word of health that belong together: what they are and in which part, never what they say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub part: String,
    pub who: Who,
    pub health: Kind,
    pub strength: f32,
}

/// Something that spoke for PHI, or against it where `weight` is below 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub words: String,
    pub weight: f32,
}

/// Whether a message holds PHI at each of the two operating points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Points {
    pub strict: bool,
    pub balanced: bool,
}

/// Why a verdict is what it is. No text of the message is in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grounds {
    /// The strongest first.
    pub pairs: Vec<Pair>,
    /// The weightiest first.
    pub reasons: Vec<Reason>,
}

/// What was weighed.
pub(super) struct Weighed {
    pub(super) evidence: Evidence,
    pairs: Vec<Pair>,
    record: bool,
}

pub(super) fn weigh(tree: &Tree, read: &[Read<'_>], grams: Grams) -> Weighed {
    let with_health = |cast: Cast| {
        let health = cast.health();
        (cast, health)
    };
    let casts: Vec<(Cast, (f32, f32))> = read.iter().map(bind::cast).map(with_health).collect();
    let mut subject = Subject::default();
    for (_, (cast, health)) in read.iter().zip(&casts).filter(|(part, _)| part.is_subject()) {
        subject.identified = subject.identified.max(cast.identified());
        subject.health = subject.health.max(health.0);
    }
    let listed = is_listed(tree);
    let mut tally = Tally::of(listed, grams.words);
    tally.ruled = rule::rule(read, listed);
    tally.attached = read.iter().filter(|part| part.part.origin() == Origin::FileName).count();
    let mut bound = Bound::default();
    let mut pairs = Vec::new();
    tally.against = tally.ruled.topics;
    for (part, (cast, health)) in read.iter().zip(&casts) {
        part.hits.iter().for_each(|hit| tally.hit(hit));
        part.said.cues.iter().for_each(|cue| tally.topic(cue.topic));
        tally.large += part.said.large;
        let (health, strong) = *health;
        tally.health = tally.health.max(health);
        tally.strong = tally.strong.max(strong);
        tally.identified = tally.identified.max(cast.identified());
        let mut found = cast.bind(if part.is_subject() { &Subject::NONE } else { &subject }, health);
        pairs.extend(strongest(std::mem::take(&mut found.pairs), &part.part.path));
        bound.join(&found);
    }
    pairs.sort_by(|one, other| other.strength.total_cmp(&one.strength));
    pairs.truncate(MOST_PAIRS);
    let surely = casts.iter().map(|(cast, _)| bind::surely(cast)).fold(0.0, f32::max);
    Weighed {
        evidence: Evidence {
            dense: tally.features(&bound),
            bins: grams.bins,
            somebody: tally.somebody(&bound),
            surely,
        },
        pairs,
        record: read.iter().flat_map(|part| &part.hits).any(|hit| hit.sense == Sense::Record),
    }
}

/// The strongest pair of each kind in a part.
fn strongest(mut found: Vec<bind::Pair>, part: &str) -> Vec<Pair> {
    found.sort_by(|one, other| other.strength.total_cmp(&one.strength).then(one.start.cmp(&other.start)));
    let mut kept: Vec<Pair> = Vec::new();
    for pair in found {
        if kept.len() >= MOST_PAIRS {
            break;
        }
        if !kept.iter().any(|other| other.who == pair.who && other.health == pair.kind) {
            kept.push(Pair { part: part.to_owned(), who: pair.who, health: pair.kind, strength: pair.strength });
        }
    }
    kept
}

fn is_listed(tree: &Tree) -> bool {
    let bulk = |value: &str| ["bulk", "list", "junk"].iter().any(|word| value.trim().eq_ignore_ascii_case(word));
    tree.control.iter().any(|(name, value)| match name.as_str() {
        "list-id" | "list-unsubscribe" => true,
        // The value is one of three words, and nothing of it is kept.
        "precedence" => bulk(value.expose()),
        _ => false,
    })
}

impl Weighed {
    /// How likely it is, and why.
    pub(super) fn judge(self, unreadable: bool) -> (f32, Points, Grounds) {
        let Ok(model) = Model::shipped() else {
            return (1.0, Points { strict: true, balanced: true }, Grounds::default());
        };
        let likely = model.probability(model.sum(&self.evidence));
        let mut reasons = reasons(model, &self.evidence);
        let mut raise = |score: f32, least: f32, words: &str| {
            if score < least {
                reasons.insert(0, Reason { words: words.to_owned(), weight: least - score });
            }
            score.max(least)
        };
        let mut score = likely;
        if self.evidence.counts() {
            score = raise(score, model.balanced, "surely a patient, beside words of health");
        }
        if self.record {
            score = raise(score, RECORD.max(model.balanced), "a patient's record in a format of health care");
        }
        if unreadable {
            // What cannot be read is treated as PHI: nobody can say that it is none.
            score = raise(score, UNREADABLE.max(model.balanced), "a part that cannot be read");
        }
        let points = Points { strict: score >= model.strict, balanced: score >= model.balanced };
        (score, points, Grounds { pairs: self.pairs, reasons })
    }
}

/// What spoke for PHI and against it, the weightiest first.
fn reasons(model: &Model, evidence: &Evidence) -> Vec<Reason> {
    let words = std::iter::once(("the choice of words", model.words(evidence)));
    let parts = model.parts(evidence).map(|(feature, weight)| (feature.words(), weight));
    let all = words.chain(parts).filter(|(_, weight)| weight.abs() >= LEAST);
    let mut reasons: Vec<Reason> = all.map(|(words, weight)| Reason { words: words.to_owned(), weight }).collect();
    reasons.sort_by(|one, other| other.weight.abs().total_cmp(&one.weight.abs()));
    reasons.truncate(MOST_REASONS);
    reasons
}
