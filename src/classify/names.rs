//! Names of people, by a title, a label, what stands beside them, or a common given name.

use std::sync::LazyLock;

use regex::Regex;

use crate::classify::{Detector, Hit, Hits, Sense, lexicon};
use crate::phi::Kind;

pub(super) struct Names;

/// No name is longer.
const WINDOW: usize = 80;
/// Octets of one word behind its capital.
const LONGEST: usize = 30;

/// What only a patient's name has beside it.
static BESIDE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[ \t,;|]{0,12}\(?(?:(?i:dob|d\.o\.b|mrn|ssn|aged?|member id|date of birth)\b|\d{1,2}[/-]\d{1,2}[/-]\d{2,4}|(?:19|20)\d\d-\d\d-\d\d|\d{1,3}[ -]?(?i:y/?o|yrs?\b|year[- ]old)|(?i:id)\b ?[#:]? ?[A-Z]?\d|\d{1,3}[fFmM]\b)").ok()
});
static CREDENTIAL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^,? (?:MD|M\.D\.|DO|D\.O\.|RN|NP|PA-?C?|DDS|DMD|PharmD|PhD|Ph\.D|LCSW|DPM|OD|APRN|FNP|CPA|Esq)\b").ok()
});

/// Age and sex as charts write them, behind a surname too: "Quist 62f", "Quist, 45 yo".
static AGED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^,? \(?\d{1,3}(?:[fFmM]| ?y/?o ?[fFmM]?)\b").ok());
/// What a sentence about a person goes on with.
static ACTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let verbs = "underwent|presents|presented|returns|returned|reports|reported|denies|complains|complained|states|\
        was seen|was admitted|was discharged|was diagnosed|was referred|has been|is an? \\d|tolerated|called";
    Regex::new(&format!(r"^(?: also| then|,? who)? (?:{verbs})\b")).ok()
});

const TITLES: [&str; 10] = ["mr", "mrs", "ms", "miss", "mx", "sra", "sr", "señora", "señor", "master"];
const PROFESSIONAL: [&str; 6] = ["dr", "doctor", "prof", "professor", "nurse", "dra"];
/// Words that often stand before a name, and before little else that has two capitals.
const LEADS: [&str; 14] = [
    "for",
    "about",
    "regarding",
    "saw",
    "seen",
    "met",
    "hi",
    "hello",
    "dear",
    "with",
    "re",
    "examined",
    "treated",
    "is",
];
const LABELS: [&str; 25] = [
    "patient",
    "pt",
    "member",
    "subscriber",
    "insured",
    "beneficiary",
    "claimant",
    "resident",
    "client",
    "worker",
    "paciente",
    "nombre",
    "name",
    "child",
    "son",
    "daughter",
    "husband",
    "wife",
    "mother",
    "father",
    "mom",
    "dad",
    "brother",
    "sister",
    "dependent",
];
/// Capitalised words that begin no name and end none.
const NOT_NAMES: [&str; 68] = [
    "the",
    "this",
    "that",
    "please",
    "dear",
    "thank",
    "thanks",
    "hello",
    "hi",
    "re",
    "fwd",
    "from",
    "to",
    "date",
    "subject",
    "hospital",
    "clinic",
    "health",
    "healthcare",
    "medical",
    "center",
    "centre",
    "insurance",
    "medicare",
    "medicaid",
    "department",
    "university",
    "college",
    "school",
    "inc",
    "llc",
    "ltd",
    "corp",
    "company",
    "group",
    "services",
    "service",
    "street",
    "avenue",
    "road",
    "drive",
    "lane",
    "suite",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "january",
    "february",
    "march",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "patient",
    "name",
    "dob",
    "mrn",
    "privacy",
    "officer",
    "county",
    "city",
];

impl Detector for Names {
    fn detect(&self, text: &str, hits: &mut Hits) {
        let mut at = 0;
        let mut word = "";
        while at < text.len() {
            let rest = &text[at..];
            let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
            if length == 0 {
                at += rest.chars().next().map_or(1, char::len_utf8);
                continue;
            }
            let hit = rest.starts_with(char::is_uppercase).then(|| name(text, at, word)).flatten();
            word = &rest[..length];
            at = hit.as_ref().map_or(at + length, |hit| hit.span.end.max(at + length));
            hits.extend(hit);
        }
    }
}

/// The name that begins at `at`, if there is one; `word` is the word before.
fn name(text: &str, at: usize, word: &str) -> Option<Hit> {
    let words = words(&text[at..text.floor_char_boundary(at + WINDOW)])?;
    let end = at + words.length;
    let between = gap(text, at, word);
    let behind = &text[end..text.floor_char_boundary(end + WINDOW)];
    let word = word.to_lowercase();
    let (confidence, sense) = judge(&Candidate { words, word: &word, between, behind })?;
    Some(Hit { kind: Kind::Name, span: at..end, confidence, sense })
}

struct Candidate<'a> {
    words: Words,
    /// The word before, in lower case, and what stands between.
    word: &'a str,
    between: &'a str,
    behind: &'a str,
}

/// One to three capitalised words with an initial or a comma between them: "Quist, Maribel A", "Ana B. Ruiz".
struct Words {
    /// In lower case.
    first: String,
    second: Option<String>,
    /// "Last, First".
    turned: bool,
    /// In capitals throughout, as headings are.
    shouted: bool,
    length: usize,
}

fn words(window: &str) -> Option<Words> {
    let first = capitalised(window)?;
    let shouted = first.chars().nth(1).is_some_and(char::is_uppercase);
    let mut words = Words { first: first.to_lowercase(), second: None, turned: false, shouted, length: first.len() };
    if is_no_name(&words.first) {
        return None;
    }
    let rest = &window[words.length..];
    let turned = rest.starts_with(',');
    let Some((skipped, second)) = following(&rest[usize::from(turned)..]) else { return Some(words) };
    words.second = Some(second.to_lowercase()).filter(|second| !is_no_name(second));
    if words.second.is_none() {
        return Some(words);
    }
    words.turned = turned;
    words.length += usize::from(turned) + skipped + second.len();
    let third = window[words.length..].strip_prefix(' ').and_then(capitalised);
    if let Some(third) = third.filter(|third| !is_no_name(&third.to_lowercase())) {
        words.length += 1 + third.len();
    }
    Some(words)
}

/// The capitalised word behind a space, and behind an initial if there is one, with the octets before it.
fn following(text: &str) -> Option<(usize, &str)> {
    let rest = text.strip_prefix(' ')?;
    if let Some(word) = capitalised(rest) {
        return Some((1, word));
    }
    let initial = rest.strip_prefix(char::is_uppercase)?;
    let behind = initial.strip_prefix('.').unwrap_or(initial).strip_prefix(' ')?;
    Some((text.len() - behind.len(), capitalised(behind)?))
}

/// The word at the start, if it has a capital and at least one more letter.
fn capitalised(text: &str) -> Option<&str> {
    let behind = text.strip_prefix(char::is_uppercase)?;
    let tail = behind.find(|c: char| !(c.is_alphabetic() || matches!(c, '\'' | '’' | '-'))).unwrap_or(behind.len());
    (tail > 0 && tail <= LONGEST).then(|| &text[..text.len() - behind.len() + tail])
}

fn judge(candidate: &Candidate<'_>) -> Option<(f32, Sense)> {
    let Candidate { words: Words { first, second, turned, shouted, .. }, word, between, behind } = candidate;
    let word = *word;
    let near = between.len() <= 3;
    if near && PROFESSIONAL.contains(&word) {
        return Some((0.7, Sense::Professional));
    }
    if near && TITLES.contains(&word) && !between.contains(':') {
        return Some((0.9, Sense::Plain));
    }
    let number = behind.bytes().take(4).any(|byte| byte.is_ascii_digit());
    if number && !shouted && AGED.as_ref()?.is_match(behind) {
        return Some((0.7, Sense::Plain));
    }
    let second = second.as_deref()?;
    if CREDENTIAL.as_ref()?.is_match(behind) {
        return Some((0.7, Sense::Professional));
    }
    if BESIDE.as_ref()?.is_match(behind) {
        return Some((0.9, Sense::Plain));
    }
    let labelled = LABELS.contains(&word) && between.len() <= 4;
    let known = if *turned { lexicon::is_given_name(second) } else { lexicon::is_given_name(first) };
    let led = LEADS.contains(&word) && between.len() <= 2;
    let acts = ACTS.as_ref()?.is_match(behind);
    match (labelled, known) {
        (true, true) => Some((0.95, Sense::Plain)),
        (true, false) if !shouted || between.contains(':') => Some((0.8, Sense::Plain)),
        (false, true) if acts || led => Some((0.8, Sense::Plain)),
        (false, true) => Some((0.6, Sense::Plain)),
        (false, false) if !turned && !shouted && (led || acts) => Some((0.6, Sense::Plain)),
        (true | false, false) => None,
    }
}

fn is_no_name(word: &str) -> bool {
    NOT_NAMES.contains(&word) || PROFESSIONAL.contains(&word) || TITLES.contains(&word) || LABELS.contains(&word)
}

/// What stands between the word before and `at`; nothing of another line but its end.
fn gap<'a>(text: &'a str, at: usize, word: &str) -> &'a str {
    let lead = &text[text.floor_char_boundary(at.saturating_sub(word.len() + 8))..at];
    lead.rfind(word).map_or(lead, |found| &lead[found + word.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, Sense)]) {
        let mut hits = Hits::within(100);
        Names.detect(text, &mut hits);
        let got: Vec<_> = hits.kept.iter().map(|hit| (&text[hit.span.clone()], hit.sense)).collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn a_title_a_label_or_a_given_name_makes_a_name() {
        check("Mrs. Quist called", &[("Quist", Sense::Plain)]);
        check("Patient: Ottoline Grebe came", &[("Ottoline Grebe", Sense::Plain)]);
        check("we saw Maria B. Ruiz today", &[("Maria B. Ruiz", Sense::Plain)]);
        check("QUIST, MARIA was", &[("QUIST, MARIA", Sense::Plain)]);
        check("row 4 Ottoline Grebe 07/21/1963", &[("Ottoline Grebe", Sense::Plain)]);
        check("la paciente José Núñez", &[("José Núñez", Sense::Plain)]);
    }

    #[test]
    fn an_uncommon_name_is_known_by_what_is_said_of_it() {
        check("a bed was found for Ottoline Grebe", &[("Ottoline Grebe", Sense::Plain)]);
        check("Ottoline Grebe denies pain", &[("Ottoline Grebe", Sense::Plain)]);
        check("bed 3 Grebe 48m", &[("Grebe", Sense::Plain)]);
        check("PHYSICAL EXAM presents", &[]);
    }

    #[test]
    fn every_expression_builds() {
        assert!([&BESIDE, &CREDENTIAL, &ACTS, &AGED].iter().all(|shape| shape.is_some()));
    }

    #[test]
    fn a_health_worker_is_a_professional() {
        check("Dr. Teal said", &[("Teal", Sense::Professional)]);
        check("Anna Teal, MD", &[("Anna Teal", Sense::Professional)]);
    }

    #[test]
    fn capitals_alone_make_no_name() {
        for text in ["Thank You", "Project Orion starts", "Mesa Clinic", "March Madness", "A B C", "Ted hose"] {
            check(text, &[]);
        }
    }
}
