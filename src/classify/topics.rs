//! Topics that ask for more care: substance use (42 CFR Part 2), HIV, reproduction, mental health, minors.

use crate::classify::Hit;
use crate::phi::{Kind, Label};

/// From here on, the words of a topic make a label: one that is hardly ever used of anything else, or two of the others.
const TOLD: f32 = 0.5;
/// How surely a code tells its topic.
const CODE: f32 = 0.9;
/// The age from which somebody is no minor; most states say so, and those that do not say more.
pub(super) const OF_AGE: u32 = 18;

/// How surely each topic is met, in the order of [`Label::ALL`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Topics {
    sure: [f32; Label::ALL.len()],
}

impl Topics {
    /// Takes up a sign; its weight is from 0 to 1.
    pub(super) fn say(&mut self, label: Label, weight: f32) {
        for (sure, other) in self.sure.iter_mut().zip(Label::ALL) {
            if other == label {
                *sure += weight * (1.0 - *sure);
            }
        }
    }

    pub(super) fn join(&mut self, other: &Topics) {
        Label::ALL.into_iter().zip(other.sure).for_each(|(label, sure)| self.say(label, sure));
    }

    /// What a code of a diagnosis or an age says.
    pub(super) fn hit(&mut self, text: &str, hit: &Hit) {
        let value = || text.get(hit.span.clone()).unwrap_or_default();
        let label = match hit.kind {
            Kind::Icd10 => of_code(value()),
            Kind::Age => of_age(value()),
            _ => None,
        };
        if let Some(label) = label {
            self.say(label, CODE);
        }
    }

    pub(super) fn labels(&self) -> Vec<Label> {
        let told = Label::ALL.into_iter().zip(self.sure).filter(|(_, sure)| *sure >= TOLD);
        told.map(|(label, _)| label).collect()
    }
}

/// The chapters and blocks of ICD-10-CM that are a topic's own.
fn of_code(code: &str) -> Option<Label> {
    match code.as_bytes().get(..3)? {
        b"B20" | b"Z21" => Some(Label::Hiv),
        [b'F', b'1', b'0'..=b'6' | b'8' | b'9'] => Some(Label::Part2),
        [b'F', b'2'..=b'6', b'0'..=b'9'] => Some(Label::MentalHealth),
        [b'O', ..] | [b'Z', b'3', _] | b"N96" | b"N97" => Some(Label::Reproductive),
        _ => None,
    }
}

/// "8-year-old" and "20-month-old", but not "48 years".
fn of_age(age: &str) -> Option<Label> {
    let (number, unit) = age.split_at(age.find(|c: char| !c.is_ascii_digit()).unwrap_or(age.len()));
    let unit = unit.trim_start_matches(|c: char| !c.is_alphabetic()).to_ascii_lowercase();
    let infant = ["mo", "w", "d"].into_iter().any(|short| unit.starts_with(short));
    let years: u32 = number.parse().ok()?;
    (infant || years < OF_AGE).then_some(Label::Minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::detect;

    fn labels(text: &str) -> String {
        let (mut hits, _) = detect(text, 100);
        for hit in std::mem::take(&mut hits.kept) {
            hits.topics.hit(text, &hit);
        }
        hits.topics.labels().into_iter().map(Label::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_label_has_its_words_and_only_whole_ones() {
        assert_eq!(labels("She continues buprenorphine 8 mg daily."), "part2");
        assert_eq!(labels("HIV-1 viral load undetectable"), "hiv");
        assert_eq!(labels("Your IUD visit"), "reproductive");
        assert_eq!(labels("PHQ-9 of 17, started sertraline"), "mental_health");
        assert_eq!(labels("your daughter is due for a well-child visit"), "minor");
        assert_eq!(labels("está embarazada"), "reproductive");
        assert_eq!(labels("The shiver of a presidential minority"), "");
    }

    #[test]
    fn a_code_and_an_age_tell_a_topic() {
        assert_eq!(labels("Dx: F11.20"), "part2");
        assert_eq!(labels("Dx: F33.1 and B20"), "hiv mental_health");
        assert_eq!(labels("Dx: F17.210"), "");
        assert_eq!(labels("a 7-year-old with asthma"), "minor");
        assert_eq!(labels("a 47-year-old with asthma"), "");
    }

    #[test]
    fn the_age_of_a_child_is_no_duration_no_size_and_no_age_of_a_thing() {
        for text in [
            "8 yo with asthma",
            "12 y/o male",
            "Quist, 8F, with fever",
            "8F with fever",
            "6-month-old with fever",
            "20-month-old girl",
            "6 mo old, fever",
            "6 mo boy",
            "15 yr old girl",
            "Pt is 7 yr.",
            "a 7yr male",
            "She is 8 years old.",
            "my 8-year-old has a rash",
            "7-year-old Maribel",
            "3 years of age",
            "age: 5",
        ] {
            assert_eq!(labels(text), "minor", "{text}");
        }
        for text in [
            "5 mo warranty",
            "12 yr contract",
            "a 12 yr contract.",
            "a 5y lease",
            "a 2m cable",
            "a cable of 2m.",
            "the $5M budget",
            "raised $5M.",
            "3 month old server",
            "a 10-year-old server",
            "12-year-old scotch",
            "experience of 10 yrs",
            "within 5 yrs.",
            "our practice is 12 years old",
            "a temp of 16F",
            "follow-up in 6 mo.",
            "a 30 yr mortgage",
            "0-5 y",
        ] {
            assert_eq!(labels(text), "", "{text}");
        }
    }

    #[test]
    fn a_topic_is_told_within_a_longer_term_too() {
        assert_eq!(labels("History of major depression."), "mental_health");
        assert_eq!(labels("Call your psychiatrist."), "mental_health");
        assert_eq!(labels("the methadone clinic"), "part2");
        assert_eq!(labels("addiction counseling session"), "part2 mental_health");
        assert_eq!(labels("her physical therapist, her hearing aids"), "");
        assert_eq!(labels("her therapist"), "mental_health");
    }

    #[test]
    fn one_weak_sign_is_none_and_two_are() {
        assert_eq!(labels("the kindergarten"), "");
        assert_eq!(labels("the kindergarten asked about my son"), "minor");
    }
}
