//! How many people a message is about: a list of patients is another thing than a letter to one.
//!
//! People are counted by what tells them apart: names, numbers of record, insurance and security, days of birth. Each
//! kind is counted by its distinct values over the whole message, and the largest of these counts is the answer: the same
//! patient has a name and a number, and is one. Health workers in that capacity do not count. Only hashes of the values
//! are held, and only while one message is read.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::classify::{Hit, Sense};
use crate::phi::Kind;

/// The kinds of which each person has one.
const TELLING: [Kind; 6] = [Kind::Name, Kind::Mrn, Kind::Ssn, Kind::Mbi, Kind::MemberId, Kind::DateOfBirth];

#[derive(Default)]
pub(super) struct Persons {
    seen: HashMap<Kind, HashSet<u64>>,
    hasher: RandomState,
}

impl Persons {
    pub(super) fn add(&mut self, text: &str, hits: &[Hit]) {
        for hit in hits.iter().filter(|hit| TELLING.contains(&hit.kind) && hit.sense != Sense::Professional) {
            let value = text.get(hit.span.clone()).unwrap_or_default();
            self.seen.entry(hit.kind).or_default().insert(self.hasher.hash_one(folded(value)));
        }
    }

    pub(super) fn count(&self) -> usize {
        self.seen.values().map(HashSet::len).max().unwrap_or(0)
    }
}

/// The same value, however it is written: "Quist, Maribel" and "Ms. Maribel Quist" are one person.
fn folded(value: &str) -> Vec<String> {
    let words = value.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut words: Vec<String> = words.map(str::to_lowercase).filter(|word| !is_title(word)).collect();
    words.sort_unstable();
    words
}

fn is_title(word: &str) -> bool {
    matches!(
        word,
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
}
