//! Endings of words, which tell what a word is that no list has.

use std::sync::LazyLock;

use crate::classify::Hit;
use crate::classify::tokens::{Class, Token, Tokens};
use crate::phi::Kind;

/// Endings that the naming of medicines keeps for them (USAN stems), and the endings of diseases and operations.
const STEMS: [(&str, Kind); 56] = [
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
    ("azole", Kind::Drug),
    ("triptan", Kind::Drug),
    ("setron", Kind::Drug),
    ("tinib", Kind::Drug),
    ("ciclib", Kind::Drug),
    ("parib", Kind::Drug),
    ("umab", Kind::Drug),
    ("imab", Kind::Drug),
    ("semide", Kind::Drug),
    ("dipine", Kind::Drug),
    ("caine", Kind::Drug),
    ("olol", Kind::Drug),
    ("pril", Kind::Drug),
    ("afil", Kind::Drug),
    ("oxetine", Kind::Drug),
    ("triptyline", Kind::Drug),
    ("dronate", Kind::Drug),
    ("profen", Kind::Drug),
    ("thiazide", Kind::Drug),
    ("cycline", Kind::Drug),
    ("glitazone", Kind::Drug),
    ("lukast", Kind::Drug),
    ("parin", Kind::Drug),
    ("barbital", Kind::Drug),
    ("clovir", Kind::Drug),
    ("navir", Kind::Drug),
    ("buvir", Kind::Drug),
    ("tegravir", Kind::Drug),
    ("tidine", Kind::Drug),
    ("lamide", Kind::Drug),
    ("ectomy", Kind::Procedure),
    ("otomy", Kind::Procedure),
    ("ostomy", Kind::Procedure),
    ("oscopy", Kind::Procedure),
    ("plasty", Kind::Procedure),
    ("centesis", Kind::Procedure),
    ("itis", Kind::Diagnosis),
    ("emia", Kind::Diagnosis),
    ("pathy", Kind::Diagnosis),
    ("osis", Kind::Diagnosis),
    ("algia", Kind::Diagnosis),
    ("megaly", Kind::Diagnosis),
    ("plegia", Kind::Diagnosis),
    ("rrhea", Kind::Diagnosis),
    ("penia", Kind::Diagnosis),
    ("uria", Kind::Diagnosis),
];
/// Ordinary words with such an ending.
const NOT_STEMS: &[&str] = &[
    "academia",
    "bohemia",
    "dichotomy",
    "cocaine",
    "empathy",
    "sympathy",
    "telepathy",
    "apathy",
    "antipathy",
    "diagnosis",
    "prognosis",
    "hypnosis",
    "symbiosis",
    "osmosis",
    "metamorphosis",
    "mitosis",
    "meiosis",
    "apotheosis",
    "nostalgia",
    "manchuria",
    "asturias",
    "etruria",
    "kombucha",
    "liguria",
    "penuria",
];
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

/// An unlisted word that its ending makes a medicine, an operation or a disease.
pub(super) fn stem(tokens: &Tokens<'_>, token: &Token) -> Option<Hit> {
    if token.length() < SHORTEST || !matches!(token.class, Class::Lower | Class::Capital | Class::Upper) {
        return None;
    }
    let word = tokens.word(token).as_bytes();
    if !has_tail(word) {
        return None;
    }
    let ends =
        |stem: &str| word.len() > stem.len() && word[word.len() - stem.len()..].eq_ignore_ascii_case(stem.as_bytes());
    let ordinary = NOT_STEMS.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()));
    let (_, kind) = STEMS.iter().find(|(stem, _)| ends(stem)).filter(|_| !ordinary)?;
    Some(Hit::new(*kind, token.span(), 0.7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_words_are_known_by_their_ending() {
        let kind = |text: &str| {
            let tokens = Tokens::of(text);
            stem(&tokens, &tokens.list[0]).map(|hit| hit.kind)
        };
        assert_eq!(kind("fimasartan"), Some(Kind::Drug));
        assert_eq!(kind("Vonoprazole"), Some(Kind::Drug));
        assert_eq!(kind("SIALADENITIS"), Some(Kind::Diagnosis));
        assert_eq!(kind("pyloroplasty"), Some(Kind::Procedure));
        for text in ["academia", "nostalgia", "diagnosis", "april", "caine"] {
            assert_eq!(kind(text), None, "{text}");
        }
    }
}
