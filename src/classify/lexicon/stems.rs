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

const LETTERS: usize = 26;

/// The stems by their last two letters, by which most words are passed over.
static BY_TAIL: LazyLock<Vec<Vec<(&str, Kind)>>> = LazyLock::new(|| {
    let mut tails = vec![Vec::new(); LETTERS * LETTERS];
    for (stem, kind) in STEMS {
        if let Some(stems) = tail(stem.as_bytes()).and_then(|at| tails.get_mut(at)) {
            stems.push((stem, kind));
        }
    }
    tails
});

/// The place of the last two letters among all such pairs.
fn tail(word: &[u8]) -> Option<usize> {
    let letter = |octet: u8| octet.to_ascii_lowercase().checked_sub(b'a').map(usize::from).filter(|at| *at < LETTERS);
    let [.., before, last] = word else { return None };
    Some(letter(*before)? * LETTERS + letter(*last)?)
}

/// An unlisted word that its ending makes a medicine, an operation or a disease.
pub(super) fn stem(tokens: &Tokens<'_>, token: &Token) -> Option<Hit> {
    if token.length() < SHORTEST || !matches!(token.class, Class::Lower | Class::Capital | Class::Upper) {
        return None;
    }
    let word = tokens.word(token).as_bytes();
    let stems = BY_TAIL.get(tail(word)?)?;
    let ends =
        |stem: &str| word.len() > stem.len() && word[word.len() - stem.len()..].eq_ignore_ascii_case(stem.as_bytes());
    let (_, kind) = stems.iter().find(|(stem, _)| ends(stem))?;
    let ordinary = NOT_STEMS.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()));
    (!ordinary).then(|| Hit::new(*kind, token.span(), 0.7))
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
