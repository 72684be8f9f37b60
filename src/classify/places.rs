//! Where people live: streets with house numbers, boxes, towns with their state, ZIP codes.

use crate::classify::Hit;
use crate::classify::labels::Label;
use crate::classify::lexicon::{self, flag};
use crate::classify::numbers::Run;
use crate::classify::tokens::{Class, Gap, Token, Tokens};
use crate::phi::Kind;

/// Words of a street's name, its ending included, and of a town's.
const STREET: usize = 6;
const TOWN: usize = 4;

pub(super) fn is_zip(value: &str) -> bool {
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    match value.split_once('-') {
        Some((zip, extension)) => digits(zip, 5) && digits(extension, 4),
        None => digits(value, 5),
    }
}

/// A ZIP code behind its state, or by its label.
pub(super) fn zip(tokens: &Tokens<'_>, run: &Run<'_>, label: Option<Label>) -> Option<(Hit, usize)> {
    if run.led || !is_zip(run.text) {
        return None;
    }
    let hit = |confidence| Some((Hit::new(Kind::Zip, tokens.span(run.first..run.end), confidence), run.end));
    if label == Some(Label::Zip) {
        return hit(0.95);
    }
    let before = run.first.checked_sub(1).filter(|at| is_state(tokens, *at))?;
    let near = tokens.list.get(before + 1).is_some_and(|token| token.gap <= Gap::Mark);
    if near { hit(0.85) } else { None }
}

/// A state that is written as one: `AZ`, `Arizona`.
fn is_state(tokens: &Tokens<'_>, at: usize) -> bool {
    let lexicon = lexicon::lexicon();
    tokens.list.get(at).is_some_and(|token| match token.class {
        Class::Upper => lexicon.is(token, flag::STATE) || token.length() == 2,
        Class::Capital => token.length() > 3 && lexicon.is(token, flag::STATE),
        Class::Lower | Class::Initial | Class::Number | Class::Mixed => false,
    })
}

/// A house number and a street's name; a street ending that is also a plain word needs its town and ZIP.
pub(super) fn street(tokens: &Tokens<'_>, at: usize) -> Option<(Hit, usize)> {
    let number = tokens.list.get(at).filter(|number| number.length() <= 6)?;
    if number.gap == Gap::Joined && matches!(number.mark, b'.' | b'/' | b'-' | b':') {
        return None;
    }
    let lexicon = lexicon::lexicon();
    let mut best = None;
    for end in at + 1..=at + STREET {
        let Some(word) = tokens.list.get(end).filter(|word| in_street(word, end == at + 1)) else { break };
        if end > at + 1 && lexicon.is(word, flag::STREET) && word.class != Class::Initial {
            best = Some((end + 1, lexicon.is(word, flag::SURE_STREET)));
        }
    }
    let (end, sure) = best?;
    let all_small = tokens.list.get(at + 1..end)?.iter().all(|word| word.class == Class::Lower);
    let end = quarter(tokens, end);
    let unit = unit(tokens, end);
    match (town(tokens, unit), sure) {
        (Some(town), _) => Some((Hit::new(Kind::Address, tokens.span(at..town), 0.95), town)),
        (None, true) if !all_small => Some((Hit::new(Kind::Address, tokens.span(at..unit), 0.75), unit)),
        (None, true | false) => None,
    }
}

/// Whether a word can be part of a street's name.
fn in_street(word: &Token, first: bool) -> bool {
    let near = word.gap == Gap::Space
        || word.gap == Gap::Sentence && word.mark == b'.' && !first
        || word.gap == Gap::Joined && matches!(word.mark, b'-' | b'\'' | 0x80);
    near && !matches!(word.class, Class::Number)
}

/// Over `NW` behind a street.
fn quarter(tokens: &Tokens<'_>, end: usize) -> usize {
    let word = tokens.list.get(end).filter(|word| word.gap <= Gap::Space).map(|word| tokens.word(word));
    if word.is_some_and(|word| matches!(word, "N" | "S" | "E" | "W" | "NE" | "NW" | "SE" | "SW")) {
        end + 1
    } else {
        end
    }
}

/// Over `Apt. 531`, `Suite 391`, `#4`.
fn unit(tokens: &Tokens<'_>, end: usize) -> usize {
    let Some(word) = tokens.list.get(end).filter(|word| word.gap <= Gap::Mark || word.gap == Gap::Line) else {
        return end;
    };
    if word.mark == b'#' {
        return end + 1;
    }
    let named = matches!(
        tokens.word(word).to_ascii_lowercase().as_str(),
        "apt" | "apartment" | "suite" | "ste" | "unit" | "room" | "rm" | "floor" | "fl" | "bldg" | "lot" | "apto"
    );
    let number = tokens.list.get(end + 1).filter(|number| number.gap <= Gap::Sentence);
    if named && number.is_some_and(|number| number.length() <= 6) { end + 2 } else { end }
}

/// Behind a town, its state and its ZIP code that begin at a token.
fn town(tokens: &Tokens<'_>, at: usize) -> Option<usize> {
    let parted = |token: &Token| matches!(token.gap, Gap::Mark | Gap::Line | Gap::Cell | Gap::Space | Gap::Sentence);
    tokens.list.get(at).filter(|first| parted(first) && first.class.begins_large())?;
    let state = (at + 1..=at + TOWN).find(|state| {
        let is_near = tokens.list.get(*state).is_some_and(|token| token.gap <= Gap::Mark);
        is_near && is_state(tokens, *state)
    })?;
    let zip = tokens.list.get(state + 1).filter(|zip| zip.gap <= Gap::Mark)?;
    let code = zip.class == Class::Number && zip.length() == 5;
    let more = tokens
        .list
        .get(state + 2)
        .is_some_and(|more| more.gap == Gap::Joined && more.mark == b'-' && more.length() == 4);
    code.then_some(state + 2 + usize::from(more))
}

/// The town behind "lives in", which is all that is told of a place.
pub(super) fn home(tokens: &Tokens<'_>, at: usize) -> Option<Hit> {
    tokens.list.get(at).filter(|first| first.gap == Gap::Space)?;
    let large =
        |at: &usize| tokens.list.get(*at).is_some_and(|word| word.class == Class::Capital && word.gap == Gap::Space);
    let words = (at..at + TOWN).take_while(large).count();
    (words > 0).then(|| Hit::new(Kind::Address, tokens.span(at..at + words), 0.5))
}

/// `P.O. Box 123` with its town.
pub(super) fn post_box(tokens: &Tokens<'_>, at: usize) -> Option<(Hit, usize)> {
    let word = at.checked_sub(1).and_then(|before| tokens.list.get(before))?;
    let boxed = matches!(tokens.word(word), "Box" | "BOX" | "box" | "Apartado");
    let back = |back: usize| at.checked_sub(back).and_then(|at| tokens.list.get(at)).map(|token| tokens.word(token));
    let start = match (back(3), back(2)) {
        (Some("P" | "p"), Some("O" | "o")) => at - 3,
        (_, Some("PO" | "po" | "Po")) => at - 2,
        _ => return None,
    };
    let end = town(tokens, at + 1).unwrap_or(at + 1);
    boxed.then(|| (Hit::new(Kind::Address, tokens.span(start..end), 0.8), end))
}
