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
    if run.led || !is_zip(&run.text) {
        return None;
    }
    let hit = |confidence| Some((Hit::new(Kind::Zip, tokens.span(run.first..run.end), confidence), run.end));
    if label == Some(Label::Zip) {
        return hit(0.95);
    }
    let state = run.first.checked_sub(1).filter(|at| is_state(tokens, *at))?;
    let near = tokens.list.get(run.first).is_some_and(|token| token.gap <= Gap::Mark);
    // "OK 84764 rows": a town stands in front of a state, or the two stand by themselves.
    let begins = tokens.list.get(state).is_some_and(|token| token.gap >= Gap::Cell);
    let ends = tokens.list.get(run.end).is_none_or(|token| token.gap >= Gap::Mark);
    let town = state.checked_sub(1).and_then(|town| tokens.list.get(town)).filter(|_| !begins);
    let town = town.map_or(ends, |town| town.class.begins_large());
    if near && town { hit(0.85) } else { None }
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

/// A house number and a street's name; a name that could be something else needs its town and ZIP code.
pub(super) fn street(tokens: &Tokens<'_>, at: usize) -> Option<(Hit, usize)> {
    let number = tokens.list.get(at).filter(|number| number.length() <= 6)?;
    if number.gap == Gap::Joined && matches!(number.mark, b'.' | b'/' | b'-' | b':') {
        return None;
    }
    let name = Name::of(tokens, at)?;
    let end = quarter(tokens, name.end);
    let unit = unit(tokens, end);
    let address = |end, confidence| Some((Hit::new(Kind::Address, tokens.span(name.start..end), confidence), end));
    match town(tokens, unit) {
        Some(town) => address(town, 0.95),
        None if name.is_sure(tokens, at, unit) => address(unit, 0.75),
        None => None,
    }
}

/// Where a street's name is, its house number included.
struct Name {
    start: usize,
    end: usize,
    /// A word that only streets have is in it.
    told: bool,
    /// Its words, the house number left out.
    words: usize,
}

impl Name {
    fn of(tokens: &Tokens<'_>, at: usize) -> Option<Name> {
        let is = |at: usize, flag| tokens.list.get(at).is_some_and(|token| lexicon::lexicon().is(token, flag));
        // "123 1/2 Main Street"
        let half = tokens.list.get(at + 2).is_some_and(|token| token.gap == Gap::Joined && token.mark == b'/');
        let first = if half && tokens.list.get(at + 1).is_some_and(|one| one.length() == 1) { at + 3 } else { at + 1 };
        let name = |end, told| Some(Name { start: at, end, told, words: end - first });
        let inside = |end: &usize| tokens.list.get(*end).is_some_and(|word| in_street(word, *end == first));
        let last = (first..first + STREET).take_while(inside).last()?;
        // "18340 Hwy 99"
        let road = (first..=last).find(|at| is(*at, flag::HIGHWAY));
        let numbered = |road: &usize| {
            let number = tokens.list.get(road + 1);
            number
                .is_some_and(|number| number.class == Class::Number && number.gap == Gap::Space && number.length() < 5)
        };
        if let Some(road) = road.filter(numbered) {
            return name(road + 2, tokens.list.get(at).is_some_and(|number| number.length() > 2));
        }
        let ends =
            |at: &usize| is(*at, flag::STREET) && tokens.list.get(*at).is_some_and(|end| end.class != Class::Initial);
        if let Some(end) = (first + 1..=last).rev().find(ends) {
            return name(end + 1, is(end, flag::SURE_STREET));
        }
        // "2714 Camino del Rio", "812 Broadway": their town must tell.
        let large =
            |at: &usize| tokens.list.get(*at).is_some_and(|word| word.class.begins_large() || is(*at, flag::PARTICLE));
        let words = (first..=last).take_while(large).count();
        if words == 0 { None } else { name(first + words, false) }
    }

    /// Whether it is one without its town.
    fn is_sure(&self, tokens: &Tokens<'_>, at: usize, end: usize) -> bool {
        let class = |at: usize| tokens.list.get(at).map(|token| token.class);
        let led = at.checked_sub(1).and_then(|before| tokens.list.get(before));
        let led = led.is_some_and(|before| lexicon::lexicon().is(before, flag::DWELLS));
        let small = class(self.end - 1) == Some(Class::Lower);
        // "5 Star Court rulings"
        let goes_on = tokens.list.get(end).is_some_and(|next| next.gap == Gap::Space && next.class == Class::Lower);
        let short = tokens.list.get(at).is_some_and(|number| number.length() == 1);
        self.told && if small { led && self.words < 4 } else { led || !(short && goes_on) }
    }
}

/// A house number behind its street, as in Spanish: "Calle 12 Norte 345", "Avenida Juárez 120".
pub(super) fn street_in_front(tokens: &Tokens<'_>, at: usize) -> Option<(Hit, usize)> {
    let lexicon = lexicon::lexicon();
    let is_first = |at: &usize| tokens.list.get(*at).is_some_and(|token| lexicon.is(token, flag::STREET_FIRST));
    let start = (at.saturating_sub(STREET)..at).rev().find(is_first)?;
    let joined = |token: &Token| token.gap == Gap::Space || token.gap == Gap::Mark && token.mark == b'#';
    let word = |at: &usize| {
        let token = tokens.list.get(*at);
        token.is_some_and(|token| joined(token) && (token.class != Class::Lower || lexicon.is(token, flag::PARTICLE)))
    };
    let end = (start + 1..start + STREET).take_while(word).last()? + 1;
    let number = tokens.list.get(end - 1).is_some_and(|last| last.class == Class::Number);
    if end <= at || !number {
        return None;
    }
    let town = town(tokens, end);
    let confidence = if town.is_some() { 0.95 } else { 0.6 };
    Some((Hit::new(Kind::Address, tokens.span(start..town.unwrap_or(end)), confidence), town.unwrap_or(end)))
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
        // A rural route: "RR 2 Box 118".
        (Some("RR" | "HC" | "Route" | "RURAL"), Some(_)) => at - 3,
        _ => return None,
    };
    let end = town(tokens, at + 1).unwrap_or(at + 1);
    boxed.then(|| (Hit::new(Kind::Address, tokens.span(start..end), 0.8), end))
}
