//! How many people a message is about: a list of patients is another thing than a letter to one.
//!
//! People are counted by what tells them apart: names, numbers of record, insurance and security, days of birth. Each
//! kind is counted by its distinct values over the whole message, and the largest of these counts is the answer: the same
//! patient has a name and a number, and is one. A value counts once however it is written, and a name within a longer one
//! ("Mrs. Quist", "Maribel", "M. Quist" beside "Maribel Ann Quist") not at all. Health workers in that capacity do not
//! count. Only hashes of the values are held, and only while one message is read.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::classify::{Hit, Sense, dates, tokens};
use crate::phi::Kind;

/// The kinds of which each person has one, besides a name.
const TELLING: [Kind; 5] = [Kind::Mrn, Kind::Ssn, Kind::Mbi, Kind::MemberId, Kind::DateOfBirth];
/// Words of the longest name that others are looked for in: each has as many parts as two to the power of it.
const LONGEST: usize = 5;

/// A word of a name, and its first letter; the same where there is no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Word {
    whole: u64,
    initial: u64,
}

impl Word {
    fn is_initial(self) -> bool {
        self.whole == self.initial
    }
}

#[derive(Default)]
pub(super) struct Persons {
    names: HashSet<Vec<Word>>,
    values: HashMap<Kind, HashSet<u64>>,
    hasher: RandomState,
}

impl Persons {
    pub(super) fn add(&mut self, text: &str, hits: &[Hit]) {
        for hit in hits.iter().filter(|hit| hit.sense != Sense::Professional) {
            let value = text.get(hit.span.clone()).unwrap_or_default();
            if hit.kind == Kind::Name {
                self.names.insert(self.name(value));
            } else if TELLING.contains(&hit.kind) {
                let value = self.hasher.hash_one(same(hit.kind, value));
                self.values.entry(hit.kind).or_default().insert(value);
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        let values = self.values.values().map(HashSet::len).max().unwrap_or(0);
        values.max(self.named())
    }

    /// "Quist, Maribel" and "Ms. Maribel A. Quist" have the same words.
    fn name(&self, value: &str) -> Vec<Word> {
        let hash = |word: &str| self.hasher.hash_one(tokens::folded(word));
        let words = value.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && !is_title(word));
        let first = |word: &str| word.chars().next().map(String::from).unwrap_or_default();
        let mut words: Vec<Word> = words.map(|word| Word { whole: hash(word), initial: hash(&first(word)) }).collect();
        words.sort_unstable();
        words.dedup();
        if words.iter().filter(|word| !word.is_initial()).count() > 1 {
            words.retain(|word| !word.is_initial());
        }
        words
    }

    /// How many names are no part of another.
    fn named(&self) -> usize {
        let mut apart: HashSet<u64> =
            self.names.iter().filter(|name| !name.is_empty()).map(|name| whole(name)).collect();
        for part in self.names.iter().flat_map(|name| parts(name)) {
            apart.remove(&part);
        }
        apart.len()
    }
}

/// One number for a name, whatever the order of its words.
fn whole(words: &[Word]) -> u64 {
    words.iter().fold(0, |all, word| all.wrapping_add(word.whole))
}

/// The names within a longer one: some of its words, or one of them and the first letter of another.
fn parts(name: &[Word]) -> impl Iterator<Item = u64> {
    let words = if name.len() > LONGEST { &[] } else { name };
    let all = (1_u32 << words.len()) - 1;
    let some = (1..all).map(|chosen| {
        let words = words.iter().enumerate().filter(move |(at, _)| chosen >> at & 1 == 1);
        words.fold(0, |all: u64, (_, word)| all.wrapping_add(word.whole))
    });
    let shortened = words.iter().flat_map(|word| {
        let others = words.iter().filter(move |other| *other != word && !other.is_initial() && !word.is_initial());
        others.map(|other| word.whole.wrapping_add(other.initial))
    });
    some.chain(shortened)
}

/// The same text for the same number or day, however it is written.
fn same(kind: Kind, value: &str) -> String {
    let letters: String = value.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match kind {
        Kind::DateOfBirth => dates::same_day(value).map_or(letters, |day| format!("{day:?}")),
        // The last four digits stand for the whole elsewhere in the message.
        Kind::Ssn => letters.get(letters.len().saturating_sub(4)..).unwrap_or_default().to_owned(),
        _ => letters.trim_start_matches('0').to_owned(),
    }
}

fn is_title(word: &str) -> bool {
    matches!(
        word.to_lowercase().as_str(),
        "mr" | "mrs" | "ms" | "miss" | "dr" | "sr" | "sra" | "jr" | "patient" | "name" | "mrn" | "dob" | "ssn"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(texts: &[(&str, Kind, Sense)]) -> usize {
        let mut persons = Persons::default();
        for (text, kind, sense) in texts {
            persons.add(text, &[Hit { sense: *sense, ..Hit::new(*kind, 0..text.len(), 0.9) }]);
        }
        persons.count()
    }

    #[test]
    fn a_patient_is_counted_once_however_often_and_by_whatever_they_are_named() {
        let plain = Sense::Plain;
        assert_eq!(
            count(&[
                ("Maribel Quist", Kind::Name, plain),
                ("Quist, Maribel", Kind::Name, plain),
                ("Mrs. Maribel Quist", Kind::Name, plain),
                ("00482913", Kind::Mrn, plain),
                ("Dana Teal", Kind::Name, Sense::Professional),
                ("aspirin", Kind::Drug, plain),
            ]),
            1
        );
        assert_eq!(count(&[("1", Kind::Mrn, plain), ("2", Kind::Mrn, plain), ("Ann Day", Kind::Name, plain)]), 2);
        assert_eq!(count(&[]), 0);
    }

    #[test]
    fn a_part_of_a_name_is_no_other_person() {
        let names =
            |names: &[&str]| count(&names.iter().map(|name| (*name, Kind::Name, Sense::Plain)).collect::<Vec<_>>());
        assert_eq!(
            names(&["Quist", "Maribel", "M. Quist", "Maribel A. Quist", "Maribel Ann Quist", "QUIST, MARIBEL"]),
            1
        );
        assert_eq!(names(&["José de la Cruz", "Jose Cruz", "Mr. Cruz"]), 1);
        assert_eq!(names(&["Maribel Quist", "Dana Quist", "Quist", "T. Quist"]), 3);
        assert_eq!(names(&["Quist", "Grebe", "Teal"]), 3);
    }

    #[test]
    fn a_number_or_a_day_counts_once_however_it_is_written() {
        let values =
            |kind, values: &[&str]| count(&values.iter().map(|value| (*value, kind, Sense::Plain)).collect::<Vec<_>>());
        let days =
            ["04/02/1961", "4-2-61", "April 2, 1961", "1961-04-02", "19610402", "02APR1961", "2 de abril de 1961"];
        assert_eq!(values(Kind::DateOfBirth, &days), 1);
        assert_eq!(values(Kind::DateOfBirth, &["04/02/1961", "04/03/1961", "04/02/1962"]), 3);
        assert_eq!(values(Kind::Mrn, &["00482913", "482913", "482-913"]), 1);
        assert_eq!(values(Kind::Ssn, &["219-09-9999", "219099999", "9999"]), 1);
        assert_eq!(values(Kind::Ssn, &["219-09-9999", "219-09-9998"]), 2);
    }

    #[test]
    fn a_letter_about_one_patient_counts_one() {
        let letter = "Patient: Maribel Ann Quist, DOB 04/02/1961, MRN 00482913. Ms. Quist was seen for diabetes; Maribel feels \
                      well. Re: Quist, Maribel A. Date of birth: April 2, 1961. MRN: 482913. M. Quist underwent a biopsy.";
        let (hits, _) = crate::classify::detect(letter, 100);
        assert!(hits.kept.iter().filter(|hit| hit.kind == Kind::Name).count() > 3);
        let mut persons = Persons::default();
        persons.add(letter, &hits.kept);
        assert_eq!(persons.count(), 1);
    }
}
