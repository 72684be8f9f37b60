//! Ages of persons, and what looks like one: the time that a contract runs, the length of a cable, the age of a thing.

use crate::classify::Hit;
use crate::classify::labels::Label;
use crate::classify::lexicon::{self, flag};
use crate::classify::tokens::{Gap, Token, Tokens};
use crate::classify::topics::OF_AGE;
use crate::phi::Kind;

/// How an age is written, which says how likely it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// `8 y/o`, `8yof`, `8 years of age`, `age 8`: of nothing but a person, or hardly.
    Surely,
    /// `8-year-old`: of a thing, too.
    Old,
    /// `8 yr`: a duration, too.
    Unit,
    /// `8F`: a size, too.
    Sex,
}

/// An age at hand.
struct Age<'a, 'b> {
    tokens: &'b Tokens<'a>,
    at: usize,
    end: usize,
    written: Written,
    years: u32,
}

/// `92-year-old`, `92 y/o`, `92F`, `age 92`, `6-month-old`: an age, told surely from 90 years on, as 45 CFR
/// 164.514(b)(2)(i)(C) asks.
pub(super) fn age(tokens: &Tokens<'_>, at: usize, label: Option<Label>) -> Option<(Hit, usize)> {
    const OLDEST: u32 = 125;
    let token = tokens.list.get(at)?;
    let word = tokens.word(token);
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let number: u32 = word.get(..digits).filter(|digits| digits.len() <= 3)?.parse().ok()?;
    let unit = word[digits..].to_ascii_lowercase();
    let infant = if unit.is_empty() { infant(tokens, at) } else { None };
    let years = if infant.is_some() { 0 } else { number };
    let labelled = || (label == Some(Label::Age) && unit.is_empty()).then(|| (Written::Surely, years_end(tokens, at)));
    let (written, end) = infant.or_else(|| written(tokens, at, &unit)).or_else(labelled)?;
    let age = Age { tokens, at, end, written, years };
    if number > OLDEST || number == 0 || !age.is_persons() {
        return None;
    }
    let confidence = if years > 89 { 0.9 } else { 0.3 };
    Some((Hit::new(Kind::Age, tokens.span(at..end), confidence), end))
}

/// How the years are written, and where they end.
fn written(tokens: &Tokens<'_>, at: usize, unit: &str) -> Option<(Written, usize)> {
    match unit {
        "yo" | "yof" | "yom" | "yf" | "ym" => return Some((Written::Surely, at + 1)),
        "f" | "m" => return Some((Written::Sex, at + 1)),
        "y" | "yr" | "yrs" => {
            let old = word(tokens, at + 1).is_some_and(|word| word.eq_ignore_ascii_case("old"));
            return Some(if old { (Written::Old, at + 2) } else { (Written::Unit, at + 1) });
        }
        "" => {}
        _ => return None,
    }
    let years = tokens.list.get(at + 1).filter(|next| next.gap <= Gap::Space);
    let years = years.filter(|next| lexicon::lexicon().is(next, flag::YEARS))?;
    let end = years_end(tokens, at);
    match word(tokens, at + 2) {
        Some("old" | "Old") => Some((Written::Old, end)),
        _ if end > at + 2 => Some((Written::Surely, end)),
        _ => (years.length() <= 3).then_some((Written::Unit, end)),
    }
}

/// `6-month-old`, `3 wk old`, `6 mo boy`.
fn infant(tokens: &Tokens<'_>, at: usize) -> Option<(Written, usize)> {
    let found = match word(tokens, at + 2)? {
        "old" | "Old" => (Written::Old, at + 3),
        "boy" | "girl" | "male" | "female" | "infant" | "baby" => (Written::Surely, at + 2),
        _ => return None,
    };
    let unit = word(tokens, at + 1)?.to_ascii_lowercase();
    let known =
        matches!(unit.as_str(), "month" | "months" | "mo" | "mos" | "week" | "weeks" | "wk" | "wks" | "day" | "days");
    known.then_some(found)
}

fn word<'a>(tokens: &Tokens<'a>, at: usize) -> Option<&'a str> {
    tokens.list.get(at).filter(|token| token.gap <= Gap::Space).map(|token| tokens.word(token))
}

/// Behind `year-old`, `y/o`, `years of age`, `años de edad`, or the number alone.
fn years_end(tokens: &Tokens<'_>, at: usize) -> usize {
    let unit = tokens.list.get(at + 1).filter(|next| next.gap <= Gap::Space);
    if !unit.is_some_and(|unit| lexicon::lexicon().is(unit, flag::YEARS)) {
        return at + 1;
    }
    match (word(tokens, at + 2), word(tokens, at + 3)) {
        (Some("old" | "o" | "O" | "Old"), _) => at + 3,
        (Some("of"), Some("age")) | (Some("de"), Some("edad")) => at + 4,
        _ => at + 2,
    }
}

/// What may go on behind the age of a person, besides what the lexicon has.
const GOES_ON: &str = "boy girl male female man woman lady gentleman kid kids infant toddler newborn neonate teen teenager twin twins \
     sibling adolescent youth grandson granddaughter m f with w who whose whom presents presenting here s c p on in \
     at hispanic caucasian african asian latino latina previously otherwise healthy asthmatic diabetic autistic \
     epileptic nonverbal transgender comes can could does did gets got feels felt woke keeps says said complaining \
     brought evaluated con";
/// What stands in front of a duration.
const DURATION: &str =
    "for past last next in over every within after of than about under until per least each another up por hace";

impl Age<'_, '_> {
    /// An adult's age says little. A child's puts the message under a topic: it must not be a duration or a thing's.
    fn is_persons(&self) -> bool {
        if self.years >= OF_AGE || self.written == Written::Surely {
            return true;
        }
        let token = self.tokens.list.get(self.at);
        if token.is_some_and(|token| self.tokens.text[..token.start as usize].ends_with(['$', '€', '£'])) {
            return false;
        }
        if let Some(next) = self.tokens.list.get(self.end).filter(|next| next.gap <= Gap::Space) {
            return self.goes_on(next);
        }
        match self.written {
            Written::Surely => true,
            Written::Old => self.is_of_person(),
            Written::Unit => !self.is_duration() && self.is_of_person(),
            Written::Sex => self.is_named(),
        }
    }

    fn goes_on(&self, next: &Token) -> bool {
        let word = self.tokens.word(next).to_ascii_lowercase();
        let known = flag::NAME_LABEL | flag::ACTS | flag::THEN;
        let lexicon = lexicon::lexicon();
        let name = next.class.begins_large() && lexicon.is(next, flag::GIVEN | flag::SURNAME);
        name || lexicon.is(next, known) || GOES_ON.split(' ').any(|other| other == word)
    }

    fn before(&self, back: usize) -> Option<&Token> {
        self.at.checked_sub(back).and_then(|at| self.tokens.list.get(at))
    }

    fn is_duration(&self) -> bool {
        let before = self.before(1).map(|before| self.tokens.word(before).to_ascii_lowercase());
        before.is_some_and(|before| DURATION.split(' ').any(|other| other == before))
    }

    /// "the server is 8 years old", but "she is 8 years old".
    fn is_of_person(&self) -> bool {
        let says =
            |token: &&Token| matches!(self.tokens.word(token), "is" | "was" | "turns" | "turned" | "are" | "were");
        if self.before(1).filter(says).is_none() {
            return true;
        }
        self.before(2).is_some_and(|subject| {
            let word = self.tokens.word(subject).to_ascii_lowercase();
            let pronoun = matches!(word.as_str(), "he" | "she" | "who" | "they" | "i" | "boy" | "girl" | "kid");
            pronoun || lexicon::lexicon().is(subject, flag::NAME_LABEL | flag::GIVEN | flag::SURNAME)
        })
    }

    /// "Quist, 8F", but "a cable of 2m".
    fn is_named(&self) -> bool {
        let number = self.tokens.list.get(self.at);
        let apart = number.is_none_or(|number| number.gap > Gap::Space);
        apart
            || self
                .before(1)
                .is_some_and(|before| before.class.begins_large() || lexicon::lexicon().is(before, flag::NAME_LABEL))
    }
}
