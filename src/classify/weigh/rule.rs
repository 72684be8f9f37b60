//! One number by rule: something that points at a person, bound to health, care, or payment for care. The model weighs it
//! among the rest.
//!
//! A person `p` in a part is bound to the health words within [`NEAR`] octets, and to those of the subject, as strongly as `bind`
//! adds up words: `p * (1 - product of (1 - share * weight))` over the different ones. In a part that is dense with health words, a
//! chart note, nearness is the whole part. A message's number is its strongest binding; half of the second one's strength
//! is added to what is left to 1. Health words put to the reader ("your lab results") bind the addressed recipient; weaker
//! ones ("your visit") as far as other health words stand beside them. Topics that speak of no patient, and a mailing list,
//! lower it.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::classify::weigh::Read;
use crate::classify::weigh::bind::{hash, together, weight};
use crate::classify::{Hit, Sense};
use crate::phi::{Axis, Kind};

const ADDRESSED: f32 = 0.75;
/// A phrase of this weight ties the reader to health by itself.
const SURE: f32 = 0.7;
const NEAR: usize = 300;
/// So many different health words make a chart note of a part.
const DENSE: usize = 8;
/// What is left of a score for each topic that speaks against a patient, and for a mailing list.
const LOWERED: f32 = 0.72;
const LISTED: f32 = 0.5;
/// Words that are looked at around one person, and persons in one part: a bound on the work.
const MOST_WORDS: usize = 40;
const MOST_PERSONS: usize = 2000;

/// What the rule makes of a message, from 0 to 1: how strongly a person is bound to health, and what topics that speak of
/// no patient leave of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ruled {
    pub(super) joined: f32,
    pub(super) lowered: f32,
    /// How many topics speak of no patient.
    pub(super) topics: usize,
}

pub(super) fn rule(read: &[Read<'_>], listed: bool) -> Ruled {
    let subject = Subject::of(read);
    let bound = read.iter().map(|part| strongest_of(part, &subject)).fold((0.0, 0.0), strongest);
    let health = together(health_anywhere(read));
    let addressed = read.iter().map(|part| addressed(part, health)).fold(0.0, f32::max);
    let (best, second) = strongest(bound, (addressed, 0.0));
    let joined = 1.0 - (1.0 - best) * (1.0 - 0.5 * second);
    let topics: BTreeSet<&str> = read.iter().flat_map(|part| part.lowering.iter().copied()).collect();
    let topics = topics.len();
    let listed = if listed { LISTED } else { 1.0 };
    // Not `powi`: its last digits are another machine's own.
    let lowered = std::iter::repeat_n(LOWERED, topics).product::<f32>();
    Ruled { joined, lowered: joined * lowered * listed, topics }
}

/// How strongly a part ties the reader to health: surely by its own words, or by weaker ones with others anywhere.
fn addressed(part: &Read<'_>, others: f32) -> f32 {
    let strength = part.hits.iter().filter(|hit| hit.sense == Sense::Addressed).map(|hit| hit.confidence);
    let strength = strength.fold(0.0, f32::max);
    if strength <= 0.0 || strength >= SURE {
        return strength.min(ADDRESSED);
    }
    strength + 0.5 * others * (1.0 - strength)
}

/// Health words that are put to nobody, in all parts. Looked for once: part by part, many parts would cost their square.
fn health_anywhere(read: &[Read<'_>]) -> impl Iterator<Item = (u32, f32)> {
    let all = read.iter().flat_map(|part| part.hits.iter().map(move |hit| (part, hit)));
    let health = all.filter(|(_, hit)| hit.sense == Sense::Plain && hit.kind.axis() == Axis::Health);
    health.map(|(part, hit)| (word(part, hit), hit.confidence)).take(MOST_WORDS)
}

fn strongest(one: (f32, f32), other: (f32, f32)) -> (f32, f32) {
    let mut all = [one.0, one.1, other.0, other.1];
    all.sort_by(|a, b| b.total_cmp(a));
    (all[0], all[1])
}

/// What the subject, and those of messages inside, bring to every part.
struct Subject<'a> {
    words: Vec<(u32, f32)>,
    people: Vec<&'a Hit>,
}

impl<'a> Subject<'a> {
    fn of(read: &'a [Read<'_>]) -> Subject<'a> {
        let hits = || {
            read.iter().filter(|part| part.is_subject()).flat_map(|part| part.hits.iter().map(move |hit| (part, hit)))
        };
        let health = hits().filter(|(_, hit)| tells_of_health(hit)).take(MOST_WORDS);
        Subject {
            words: health.map(|(part, hit)| (word(part, hit), weight(hit))).collect(),
            people: hits().map(|(_, hit)| hit).filter(|hit| points_at(hit) > 0.0).take(MOST_PERSONS).collect(),
        }
    }
}

/// The two strongest bindings of persons in a part, or in the subject, to health in the part.
fn strongest_of(part: &Read<'_>, subject: &Subject<'_>) -> (f32, f32) {
    let health: Vec<Word> =
        part.hits.iter().filter(|hit| tells_of_health(hit)).map(|hit| Word::of(part, hit)).collect();
    let shared: &[(u32, f32)] = if part.is_subject() { &[] } else { &subject.words };
    let mut best = (0.0, 0.0);
    let all = together(health.iter().map(Word::told));
    // What is near a person in a chart note is the same for each: the whole.
    let whole = is_dense(&health)
        .then(|| together(health.iter().take(MOST_WORDS).map(Word::told).chain(shared.iter().copied())));
    for person in part.hits.iter().filter(|hit| points_at(hit) > 0.0).take(MOST_PERSONS) {
        let strength = whole.filter(|_| !tells_of_health(person)).unwrap_or_else(|| {
            let near = if whole.is_some() { health.as_slice() } else { within(&health, person) };
            let near = near.iter().filter(|word| word.span != person.span).take(MOST_WORDS);
            together(near.map(Word::told).chain(shared.iter().copied()))
        });
        best = strongest(best, (points_at(person) * strength, 0.0));
    }
    if part.is_subject() {
        return best;
    }
    let named = subject.people.iter().map(|person| points_at(person)).fold(0.0, f32::max);
    strongest(best, (named * all, 0.0))
}

/// A health hit, and which word it is.
struct Word {
    span: Range<usize>,
    word: u32,
    weight: f32,
}

impl Word {
    fn of(part: &Read<'_>, hit: &Hit) -> Word {
        Word { span: hit.span.clone(), word: word(part, hit), weight: weight(hit) }
    }

    const fn told(&self) -> (u32, f32) {
        (self.word, self.weight)
    }
}

fn word(part: &Read<'_>, hit: &Hit) -> u32 {
    hash(part.text.get(hit.span.clone()).unwrap_or_default())
}

fn is_dense(health: &[Word]) -> bool {
    let mut different: Vec<u32> = Vec::with_capacity(DENSE);
    health.iter().any(|word| {
        if !different.contains(&word.word) {
            different.push(word.word);
        }
        different.len() >= DENSE
    })
}

/// The health words within reach of a person; both are in the order of the text.
fn within<'a>(health: &'a [Word], person: &Hit) -> &'a [Word] {
    let from = health.partition_point(|word| word.span.end + NEAR < person.span.start);
    let to = health.partition_point(|word| word.span.start < person.span.end + NEAR);
    health.get(from..to).unwrap_or(&[])
}

fn tells_of_health(hit: &Hit) -> bool {
    weight(hit) > 0.0
}

/// How surely a hit points at one person who is not there as a health worker.
fn points_at(hit: &Hit) -> f32 {
    if hit.sense == Sense::Professional {
        return 0.0;
    }
    let kind = match hit.kind {
        Kind::Ssn | Kind::Mrn | Kind::Mbi | Kind::DateOfBirth | Kind::Name => 1.0,
        Kind::MemberId | Kind::Address => 0.9,
        Kind::Account | Kind::Phone | Kind::Vehicle | Kind::Device => 0.6,
        Kind::License | Kind::Fax | Kind::Email => 0.4,
        Kind::Zip | Kind::Ip | Kind::Date => 0.25,
        Kind::UniqueId => 0.5,
        // An age is one person's only where few reach it: 45 CFR 164.514(b)(2)(i)(C).
        Kind::Age if hit.confidence > 0.5 => 0.4,
        Kind::Npi | Kind::Dea | Kind::Url | Kind::Age | Kind::Biometric | Kind::Photo => 0.0,
        Kind::Diagnosis | Kind::Icd10 | Kind::Drug | Kind::Ndc | Kind::Procedure | Kind::Cpt | Kind::Hcpcs => 0.0,
        Kind::Dose | Kind::Symptom | Kind::Vital => 0.0,
        Kind::Loinc | Kind::Lab | Kind::Care | Kind::Billing | Kind::Record | Kind::Unreadable => 0.0,
    };
    kind * hit.confidence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(kind: Kind, start: usize, confidence: f32) -> Hit {
        Hit::new(kind, start..start + 4, confidence)
    }

    #[test]
    fn only_what_is_near_is_bound() {
        let drug = |start: usize| Word { span: start..start + 4, word: 1, weight: 0.8 };
        let health = [drug(100), drug(2000)];
        assert_eq!(within(&health, &hit(Kind::Name, 0, 0.9)).len(), 1);
        assert!(within(&health, &hit(Kind::Name, 1000, 0.9)).is_empty());
    }

    #[test]
    fn a_health_worker_points_at_no_patient() {
        let doctor = Hit { sense: Sense::Professional, ..hit(Kind::Name, 0, 0.9) };
        assert!(points_at(&doctor) <= 0.0);
        assert!(points_at(&hit(Kind::Npi, 0, 0.9)) <= 0.0);
        assert!(points_at(&hit(Kind::Ssn, 0, 0.9)) > 0.8);
    }
}
