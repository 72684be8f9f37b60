//! Ages of persons.

use crate::classify::Hit;
use crate::classify::labels::Label;
use crate::classify::lexicon::{self, flag};
use crate::classify::tokens::{Gap, Token, Tokens};
use crate::phi::Kind;

/// `92-year-old`, `92 y/o`, `92F`, `age 92`: an age, told surely from 90 on, as 45 CFR 164.514(b)(2)(i)(C) asks.
pub(super) fn age(tokens: &Tokens<'_>, at: usize, label: Option<Label>) -> Option<(Hit, usize)> {
    const OLDEST: u32 = 125;
    let token = tokens.list.get(at)?;
    let word = tokens.word(token);
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let number: u32 = word.get(..digits).filter(|digits| digits.len() <= 3)?.parse().ok()?;
    let unit = word[digits..].to_ascii_lowercase();
    let sex = matches!(unit.as_str(), "f" | "m" | "yo" | "y" | "yof" | "yom" | "yf" | "ym" | "yr" | "yrs");
    let next = tokens.list.get(at + 1).filter(|next| next.gap <= Gap::Space && digits == word.len());
    let years = next.is_some_and(|next| lexicon::lexicon().is(next, flag::YEARS));
    let end = if years { years_end(tokens, at + 1) } else { at + 1 };
    let old = end > at + 2 || next.is_some_and(|next| next.length() <= 3 && years);
    let told = sex || old || label == Some(Label::Age) && digits == word.len();
    if !told || number > OLDEST || number == 0 {
        return None;
    }
    let confidence = if number > 89 { 0.9 } else { 0.3 };
    Some((Hit::new(Kind::Age, tokens.span(at..end), confidence), end))
}

/// Behind `year-old`, `y/o`, `years of age`, `años de edad`.
fn years_end(tokens: &Tokens<'_>, unit: usize) -> usize {
    let near = |at: usize| {
        tokens.list.get(at).filter(|token: &&Token| token.gap <= Gap::Space).map(|token| tokens.word(token))
    };
    match (near(unit + 1), near(unit + 2)) {
        (Some("old" | "o" | "O" | "Old"), _) => unit + 2,
        (Some("of"), Some("age")) | (Some("de"), Some("edad")) => unit + 3,
        _ => unit + 1,
    }
}
