//! The words of health, care and payment, and the ones that speak against a patient being meant. One automaton, one pass.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::classify::{Detector, Hit, Hits, Sense, before, stands_alone};
use crate::phi::Kind;

/// How strongly a term speaks when its line does not say.
const USUAL: f32 = 0.8;

pub(super) struct Lexicon;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    Health {
        kind: Kind,
        weight: f32,
    },
    Addressed {
        weight: f32,
    },
    /// Speaks against a patient; the topic keeps several words of one kind from counting twice.
    Lower {
        topic: &'static str,
    },
}

struct Terms {
    automaton: Option<AhoCorasick>,
    meanings: Vec<Meaning>,
}

static TERMS: LazyLock<Terms> = LazyLock::new(|| {
    let mut terms = Vec::new();
    for (kind, text) in [
        (Kind::Drug, include_str!("lexicon/drug.txt")),
        (Kind::Diagnosis, include_str!("lexicon/diagnosis.txt")),
        (Kind::Procedure, include_str!("lexicon/procedure.txt")),
        (Kind::Lab, include_str!("lexicon/lab.txt")),
        (Kind::Care, include_str!("lexicon/care.txt")),
        (Kind::Billing, include_str!("lexicon/billing.txt")),
    ] {
        terms.extend(lines(text).map(|line| {
            let (term, weight) = weighted(line);
            (term, Meaning::Health { kind, weight })
        }));
    }
    terms.extend(lines(include_str!("lexicon/second_person.txt")).map(|line| {
        let (term, weight) = weighted(line);
        (term, Meaning::Addressed { weight })
    }));
    let lower = lines(include_str!("lexicon/lower.txt")).filter_map(|line| line.split_once(' '));
    terms.extend(lower.map(|(topic, term)| (term, Meaning::Lower { topic })));
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .build(terms.iter().map(|(term, _)| term));
    // The lexicons are part of the program, and a test builds them; a failure would find nothing, not stop the mail.
    Terms { automaton: automaton.ok(), meanings: terms.into_iter().map(|(_, meaning)| meaning).collect() }
});

static GIVEN_NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(include_str!("lexicon/given_name.txt")));
static STREETS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words(include_str!("lexicon/street.txt")));

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn words(text: &'static str) -> HashSet<&'static str> {
    lines(text).flat_map(str::split_whitespace).collect()
}

fn weighted(line: &'static str) -> (&'static str, f32) {
    let split = line.split_once('=').and_then(|(term, weight)| Some((term, weight.parse().ok()?)));
    split.unwrap_or((line, USUAL))
}

/// Whether a word, in lower case, is a common given name.
pub(super) fn is_given_name(word: &str) -> bool {
    GIVEN_NAMES.contains(word) || (!word.is_ascii() && GIVEN_NAMES.contains(unaccented(word).as_str()))
}

fn unaccented(word: &str) -> String {
    let plain = |letter| match letter {
        'á' | 'à' | 'â' | 'ã' | 'ä' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        other => other,
    };
    word.chars().map(plain).collect()
}

/// Whether a word, in lower case, ends a street's name.
pub(super) fn is_street(word: &str) -> bool {
    STREETS.contains(word)
}

fn matches(text: &str) -> impl Iterator<Item = (Range<usize>, Meaning)> {
    let terms = &*TERMS;
    let found = terms.automaton.iter().flat_map(move |automaton| automaton.find_iter(text));
    let found = found.filter(|found| stands_alone(text, &found.range()) || ends_itself(text, found.end()));
    found.filter_map(|found| Some((found.range(), *terms.meanings.get(found.pattern().as_usize())?)))
}

/// A term such as `hpi:` that ends in a mark needs nothing behind it.
fn ends_itself(text: &str, end: usize) -> bool {
    text[..end].ends_with(':')
}

/// How many topics speak against a patient being meant.
pub(super) fn lowering(text: &str) -> HashSet<&'static str> {
    let topic = |(_, meaning)| match meaning {
        Meaning::Lower { topic } => Some(topic),
        Meaning::Health { .. } | Meaning::Addressed { .. } => None,
    };
    matches(text).filter_map(topic).collect()
}

/// Whether the word belongs to the reader: "your telehealth visit", "your next infusion". A disease is left out, because
/// advice to everybody speaks of "your diabetes".
fn is_addressed(text: &str, span: &Range<usize>, kind: Kind) -> bool {
    let lead = before(text, span.start, 24);
    let near = lead.rfind("your ").map(|at| &lead[at..]);
    kind != Kind::Diagnosis && near.is_some_and(|words| !words.contains(['.', ',', ';', '\n', ':']))
}

impl Detector for Lexicon {
    fn detect(&self, text: &str, hits: &mut Hits) {
        for (span, meaning) in matches(text) {
            match meaning {
                Meaning::Health { kind, weight } => {
                    let sense = if is_addressed(text, &span, kind) { Sense::Addressed } else { Sense::Plain };
                    hits.push(Hit { kind, span, confidence: weight, sense });
                }
                Meaning::Addressed { weight } => {
                    hits.push(Hit { kind: Kind::Care, span, confidence: weight, sense: Sense::Addressed });
                }
                Meaning::Lower { .. } => {}
            }
        }
        stems(text, hits);
    }
}

/// Endings that the naming of medicines keeps for them (USAN stems), and the endings of diseases and operations.
const STEMS: [(&str, Kind); 27] = [
    ("statin", Kind::Drug),
    ("sartan", Kind::Drug),
    ("azepam", Kind::Drug),
    ("azolam", Kind::Drug),
    ("oxacin", Kind::Drug),
    ("mycin", Kind::Drug),
    ("cillin", Kind::Drug),
    ("gliptin", Kind::Drug),
    ("gliflozin", Kind::Drug),
    ("glutide", Kind::Drug),
    ("prazole", Kind::Drug),
    ("conazole", Kind::Drug),
    ("triptan", Kind::Drug),
    ("setron", Kind::Drug),
    ("tinib", Kind::Drug),
    ("zumab", Kind::Drug),
    ("ximab", Kind::Drug),
    ("semide", Kind::Drug),
    ("dipine", Kind::Drug),
    ("caine", Kind::Drug),
    ("ectomy", Kind::Procedure),
    ("otomy", Kind::Procedure),
    ("oscopy", Kind::Procedure),
    ("oplasty", Kind::Procedure),
    ("itis", Kind::Diagnosis),
    ("emia", Kind::Diagnosis),
    ("opathy", Kind::Diagnosis),
];
/// Ordinary words with such an ending.
const NOT_STEMS: [&str; 7] = ["academia", "bohemia", "anatomy", "dichotomy", "cocaine", "empathy", "sympathy"];
/// The shortest word whose ending says anything.
const SHORTEST: usize = 7;

/// The last four octets of a stem, by which most words are passed over.
const TAIL: usize = 4;

static TAILS: LazyLock<Vec<[u8; TAIL]>> =
    LazyLock::new(|| STEMS.iter().filter_map(|(stem, _)| stem.as_bytes().last_chunk().copied()).collect());

fn has_tail(word: &[u8]) -> bool {
    let tail = word.last_chunk::<TAIL>().map(|tail| tail.map(|byte| byte.to_ascii_lowercase()));
    // Few endings, and short: comparing them all is quicker than hashing.
    tail.is_some_and(|tail| TAILS.contains(&tail))
}

fn stems(text: &str, hits: &mut Hits) {
    let mut at = 0;
    for word in text.as_bytes().split(|byte| !byte.is_ascii_alphabetic()) {
        let span = at..at + word.len();
        at = span.end + 1;
        if word.len() < SHORTEST || !has_tail(word) {
            continue;
        }
        let ends = |stem: &str| {
            word.len() > stem.len() && word[word.len() - stem.len()..].eq_ignore_ascii_case(stem.as_bytes())
        };
        let ordinary = NOT_STEMS.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()));
        let found = STEMS.iter().find(|(stem, _)| ends(stem));
        if let Some((_, kind)) = found.filter(|_| !ordinary) {
            hits.push(Hit::new(*kind, span, 0.7));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let mut hits = Hits::within(100);
        Lexicon.detect(text, &mut hits);
        hits.kept.iter().map(|hit| hit.kind).collect()
    }

    #[test]
    fn the_lexicons_build_and_hold_no_empty_term() {
        assert!(TERMS.automaton.is_some());
        for meaning in &TERMS.meanings {
            if let Meaning::Health { weight, .. } = meaning {
                assert!(*weight > 0.0 && *weight < 1.0);
            }
        }
        assert!(is_given_name("maria") && is_given_name("andrés") && is_street("avenue") && !is_street("cfr"));
    }

    #[test]
    fn terms_are_found_as_whole_words_in_any_case() {
        assert_eq!(kinds("Type 2 Diabetes"), [Kind::Diagnosis]);
        assert_eq!(kinds("LISINOPRIL"), [Kind::Drug]);
        assert_eq!(kinds("colonoscopy").first(), Some(&Kind::Procedure));
        assert_eq!(kinds("the copay"), [Kind::Billing]);
        assert!(kinds("shiver chive").is_empty());
        assert!(kinds("the spanner in the works").is_empty());
    }

    #[test]
    fn unlisted_words_are_known_by_their_ending() {
        assert_eq!(kinds("took fimasartan"), [Kind::Drug]);
        assert_eq!(kinds("“sialadenitis”"), [Kind::Diagnosis]);
        assert!(kinds("in academia").is_empty());
    }

    #[test]
    fn each_topic_lowers_once() {
        assert_eq!(lowering("Unsubscribe from this newsletter about our canine friends").len(), 2);
        assert!(lowering("see you on Tuesday").is_empty());
    }
}
