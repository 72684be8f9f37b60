//! Dates in figures and in words.

use std::ops::Range;

use crate::classify::Hit;
use crate::classify::labels::{Label, Labels};
use crate::classify::lexicon::{self, flag};
use crate::classify::numbers::Run;
use crate::classify::tokens::{Class, Gap, Tokens};
use crate::phi::Kind;

/// The surety of a date with its year, of one that an event of care is told for, and of one without a year.
const FULL: f32 = 0.8;
const TOLD: f32 = 0.95;
const PART: f32 = 0.4;

/// A date that begins with a run of numbers, and the token behind it.
pub(super) fn date(tokens: &Tokens<'_>, labels: &Labels, run: &Run<'_>) -> Option<(Hit, usize)> {
    let (place, sure) =
        figures(tokens, run).or_else(|| words(tokens, run.first)).or_else(|| in_one_word(tokens, run.first))?;
    let label = labels.of_date(tokens, place.start, place.end);
    let (kind, confidence) = match label {
        Some(Label::Birth) => (Kind::DateOfBirth, TOLD.min(sure + 0.15)),
        Some(Label::Event) => (Kind::Date, TOLD.min(sure + 0.15)),
        Some(_) | None => (Kind::Date, sure),
    };
    Some((Hit::new(kind, tokens.span(place.clone()), confidence), place.end))
}

/// `04/22/1940`, `1940-04-22`, `22.04.1940`, and with a label in front `4/22`.
fn figures(tokens: &Tokens<'_>, run: &Run<'_>) -> Option<(Range<usize>, f32)> {
    if !run.numeric || run.led {
        return None;
    }
    if !matches!(run.parts(), [1 | 2 | 4, 1 | 2, 1 | 2 | 4] | [8]) {
        return None;
    }
    let numbers: Vec<u32> = run.text.split(['/', '-', '.']).map(|part| part.parse().unwrap_or(u32::MAX)).collect();
    let one_mark = run.marks().all(|mark| mark == run.mark(0));
    let marked = one_mark && matches!(run.mark(0), b'/' | b'-' | b'.');
    let place = run.first..run.end;
    match (run.parts(), numbers.as_slice()) {
        ([4, 1 | 2, 1 | 2], [year, month, day]) if marked && is_day(*month, *day) && is_year(*year) => {
            Some((place, FULL))
        }
        ([1 | 2, 1 | 2, 2], [one, other, _]) if marked && run.mark(0) != b'.' && is_day_somehow(*one, *other) => {
            Some((place, FULL))
        }
        ([1 | 2, 1 | 2, 4], [one, other, year]) if marked && is_day_somehow(*one, *other) && is_year(*year) => {
            Some((place, FULL))
        }
        ([8], [all]) if is_year(all / 10000) && is_day(all / 100 % 100, all % 100) && follows_birth(tokens, run) => {
            Some((place, FULL))
        }
        _ => None,
    }
}

/// `19400422` is a date only where one is asked for.
fn follows_birth(tokens: &Tokens<'_>, run: &Run<'_>) -> bool {
    let before = run.first.checked_sub(1).and_then(|at| tokens.list.get(at));
    before.is_some_and(|before| matches!(tokens.word(before).to_ascii_lowercase().as_str(), "dob" | "birth" | "born"))
}

const fn is_day(month: u32, day: u32) -> bool {
    month >= 1 && month <= 12 && day >= 1 && day <= 31
}

const fn is_day_somehow(one: u32, other: u32) -> bool {
    is_day(one, other) || is_day(other, one)
}

const fn is_year(year: u32) -> bool {
    year >= 1880 && year <= 2100
}

/// `22 April 1940`, `22-Apr-40`, `April 22nd, 1940`, `22 de abril de 1940`; without the year surely enough to be told.
fn words(tokens: &Tokens<'_>, at: usize) -> Option<(Range<usize>, f32)> {
    let number = tokens.list.get(at)?;
    let before = at.checked_sub(1).filter(|before| is_month(tokens, *before) && number.gap <= Gap::Sentence);
    if let Some(month) = before {
        if day(tokens, at).is_some() {
            let year = year(tokens, at + 1);
            let spoken = year.is_some() || tokens.list.get(month).is_some_and(|month| month.class.begins_large());
            return spoken.then(|| (month..year.unwrap_or(at + 1), if year.is_some() { FULL } else { PART }));
        }
        let is_year = number.length() == 4 && tokens.word(number).parse().is_ok_and(is_year);
        return is_year.then_some((month..at + 1, PART));
    }
    day(tokens, at)?;
    let month = after_of(tokens, at + 1);
    let joined = tokens.list.get(month).is_some_and(|token| token.gap <= Gap::Space);
    if !joined || !is_month(tokens, month) {
        return None;
    }
    let year = year(tokens, after_of(tokens, month + 1));
    Some((at..year.unwrap_or(month + 1), if year.is_some() { FULL } else { PART }))
}

/// `24FEB1995`
fn in_one_word(tokens: &Tokens<'_>, at: usize) -> Option<(Range<usize>, f32)> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let word = tokens.list.get(at).filter(|token| token.class == Class::Mixed).map(|token| tokens.word(token))?;
    let day = word.bytes().take_while(u8::is_ascii_digit).count();
    let (day, month, year) = (word.get(..day)?, word.get(day..day + 3)?, word.get(day + 3..)?);
    let known = MONTHS.iter().any(|other| month.eq_ignore_ascii_case(other));
    let is_day = day.parse().is_ok_and(|day| (1..=31).contains(&day));
    let digits = year.bytes().all(|byte| byte.is_ascii_digit());
    let is_year = digits && (year.len() == 2 || year.len() == 4 && year.parse().is_ok_and(is_year));
    (known && is_day && is_year).then_some((at..at + 1, FULL))
}

/// Over a word such as `of` or `de`.
fn after_of(tokens: &Tokens<'_>, at: usize) -> usize {
    let word = tokens.list.get(at).map(|token| tokens.word(token)).unwrap_or_default();
    if matches!(word, "de" | "of" | "del") { at + 1 } else { at }
}

fn is_month(tokens: &Tokens<'_>, at: usize) -> bool {
    tokens.list.get(at).is_some_and(|token| lexicon::lexicon().is(token, flag::MONTH))
}

/// `4`, `22nd`
fn day(tokens: &Tokens<'_>, at: usize) -> Option<u32> {
    let token = tokens.list.get(at)?;
    let word = tokens.word(token);
    let number = match token.class {
        Class::Number => word,
        Class::Mixed => word.trim_end_matches(|c: char| c.is_ascii_alphabetic()),
        Class::Lower | Class::Capital | Class::Upper | Class::Initial => return None,
    };
    let ordinal = matches!(&word[number.len()..], "" | "st" | "nd" | "rd" | "th");
    number.parse().ok().filter(|day| ordinal && number.len() <= 2 && (1..=31).contains(day))
}

/// Where a year ends that begins at a token.
fn year(tokens: &Tokens<'_>, at: usize) -> Option<usize> {
    let token = tokens.list.get(at).filter(|token| token.class == Class::Number)?;
    let number = tokens.word(token);
    let long = token.length() == 4 && token.gap <= Gap::Mark && number.parse().is_ok_and(is_year);
    let short = token.length() == 2 && token.gap == Gap::Joined && token.mark == b'-';
    (long || short).then_some(at + 1)
}

/// The year of the century, and the month and the day, whichever is which, of a date however it is written.
pub(super) fn same_day(text: &str) -> Option<[u32; 3]> {
    const MONTHS: [&[&str]; 12] = [
        &["jan", "ene"],
        &["feb"],
        &["mar"],
        &["apr", "abr"],
        &["may"],
        &["jun"],
        &["jul"],
        &["aug", "ago"],
        &["sep", "set"],
        &["oct"],
        &["nov"],
        &["dec", "dic"],
    ];
    let text = text.to_lowercase();
    let digits = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let all: Vec<&str> = match digits.collect::<Vec<_>>()[..] {
        [all] if all.len() == 8 => vec![&all[..4], &all[4..6], &all[6..]],
        ref parts => parts.to_vec(),
    };
    let named = text.split(|c: char| !c.is_alphabetic()).filter_map(|word| word.get(..3));
    let month = |word: &str| MONTHS.iter().position(|names| names.contains(&word)).map(|at| at as u32 + 1);
    let year = all.iter().position(|part| part.len() == 4).or(all.len().checked_sub(1))?;
    let mut rest: Vec<u32> = named.filter_map(month).collect();
    let others = all.iter().enumerate().filter(|(at, _)| *at != year);
    rest.extend(others.filter_map(|(_, part)| part.parse::<u32>().ok()));
    rest.sort_unstable();
    let [one, other] = rest[..] else { return None };
    Some([all[year].parse::<u32>().ok()? % 100, one, other])
}
