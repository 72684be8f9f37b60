//! Fills the slots and the alternatives of a template with invented people and numbers.

use std::collections::HashMap;

use crate::people;
use crate::random::Random;

/// What the slots of one letter have become, so that a slot that stands twice is one person.
#[derive(Debug)]
pub struct Filler<'a> {
    random: &'a mut Random,
    known: HashMap<String, String>,
}

impl<'a> Filler<'a> {
    pub fn new(random: &'a mut Random) -> Filler<'a> {
        Filler { random, known: HashMap::new() }
    }

    pub fn fill(&mut self, text: &str) -> String {
        let text = self.choose(text);
        let mut out = String::with_capacity(text.len() * 2);
        let mut rest = text.as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            out.push_str(before);
            let Some((slot, behind)) = behind.split_once('}') else {
                out.push('{');
                rest = behind;
                continue;
            };
            out.push_str(&self.slot(slot));
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.random.below(end)
    }

    /// One of each `[[a|b]]`.
    fn choose(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("[[") {
            let Some((choices, behind)) = behind.split_once("]]") else { break };
            out.push_str(before);
            let choices: Vec<&str> = choices.split('|').collect();
            out.push_str(self.random.pick(&choices));
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    pub fn slot(&mut self, slot: &str) -> String {
        if let Some(known) = self.known.get(slot) {
            return known.clone();
        }
        let kind = slot.trim_end_matches(|c: char| c.is_ascii_digit());
        let value = self.value(kind, &slot[kind.len()..]);
        self.known.insert(slot.to_owned(), value.clone());
        value
    }

    fn value(&mut self, kind: &str, number: &str) -> String {
        match kind {
            "name" => self.name(number),
            "dob" => self.date(1930, 2022),
            "date" => self.date(2023, 2026),
            "mbi" => self.mbi(),
            "npi" => self.npi(),
            "dea" => self.dea(),
            "provider" => self.provider(),
            "phone" | "fax" => self.phone(),
            "email" => self.email(),
            _ => self.word(kind).or_else(|| self.number(kind)).unwrap_or_else(|| format!("{{{kind}{number}}}")),
        }
    }

    fn word(&mut self, kind: &str) -> Option<String> {
        let random = &mut *self.random;
        let place = |random: &mut Random, what: &str| format!("{} {}", random.word(people::PLACE), random.word(what));
        Some(match kind {
            "first" => random.word(people::FIRST).to_owned(),
            "last" => random.word(people::LAST).to_owned(),
            "relative" => random.word(people::RELATIVE).to_owned(),
            "clinic" => place(random, people::CLINIC),
            "company" => format!("{} {}", random.word(people::LAST), random.word(people::COMPANY)),
            "school" => place(random, people::SCHOOL),
            "payer" => random.word(people::PAYER).to_owned(),
            "city" => random.word(people::CITY).to_owned(),
            "street" => {
                let number = random.between(10, 9899);
                format!("{number} {} {}", random.word(people::STREET), random.word(people::STREET_END))
            }
            "dx" => random.word(people::DX).to_owned(),
            "icd" => random.word(people::ICD).to_owned(),
            "drug" => random.word(people::DRUG).to_owned(),
            "lab" => random.word(people::LAB).to_owned(),
            "labvalue" => random.word(people::LABVALUE).to_owned(),
            "procedure" => random.word(people::PROCEDURE).to_owned(),
            "specialty" => random.word(people::SPECIALTY).to_owned(),
            "pet" => random.word(people::PET).to_owned(),
            "weekday" => random.word("Monday|Tuesday|Wednesday|Thursday|Friday|Mon|Tues|Thurs|Saturday").to_owned(),
            "url" => {
                let path = random.word("portal|visit|pay|news|events|records|schedule|read");
                format!(
                    "https://{}.example/{path}",
                    random.word("www.clinic|my.lakeside|portal.mesa|go.harbor|www.news")
                )
            }
            _ => return None,
        })
    }

    fn number(&mut self, kind: &str) -> Option<String> {
        let random = &mut *self.random;
        Some(match kind {
            "age" => random.between(1, 96).to_string(),
            "zip" => format!("{}{}", random.between(1, 9), random.digits(4)),
            "time" => {
                let hour = random.between(1, 12);
                let minute = random.word("00|15|30|45|10|20");
                match random.below(4) {
                    0 => format!("{hour}:{minute}"),
                    1 => format!("{hour}:{minute} {}", random.word("am|pm")),
                    2 => format!("{hour}:{minute}{}", random.word("AM|PM")),
                    _ => format!("{hour}{}", random.word("am|pm| am| pm")),
                }
            }
            "mrn" => match random.below(4) {
                0 => format!("00{}", random.digits(6)),
                1 => random.digits(7),
                2 => format!("{}{}", random.word("M|H|T|A|MR"), random.digits(6)),
                _ => format!("{}-{}", random.digits(3), random.digits(5)),
            },
            // Areas from 734 to 749 were never given out while areas meant anything.
            "ssn" => format!("{}-{}-{}", random.between(734, 749), random.between(11, 98), random.between(1001, 9898)),
            "member" => match random.below(3) {
                0 => format!("{}{}", random.word("XQ|ZW|YH|K|W|H"), random.digits(8)),
                1 => format!("{}-{:02}", random.digits(9), random.between(1, 4)),
                _ => format!("{}{}", random.word("ABX|QRT|UMP"), random.digits(9)),
            },
            "claim" => match random.below(3) {
                0 => random.digits(10),
                1 => format!("CL{}", random.digits(7)),
                _ => format!("{}-{}", random.between(2023, 2026), random.digits(6)),
            },
            "account" => {
                if random.percent(70) {
                    random.digits(8)
                } else {
                    format!("A-{}", random.digits(6))
                }
            }
            "rx" => random.digits(7),
            "dose" => random
                .word("5 mg|10 mg|20 mg|25 mg|40 mg|50 mg|100 mg|500 mg|81 mg|2 puffs|10 units|0.5 mg|1 tablet")
                .to_owned(),
            "cpt" => format!("{}{}", random.between(1, 9), random.digits(4)),
            "amount" => format!("${}.{:02}", random.between(12, 2400), random.below(100)),
            _ => return None,
        })
    }

    /// The slots `name`, `first` and `last` with one number are one person.
    fn name(&mut self, number: &str) -> String {
        let (first, last) = (self.slot(&format!("first{number}")), self.slot(&format!("last{number}")));
        match self.random.below(100) {
            0..5 => format!("{last}, {first}"),
            5..9 => format!("{first} {}. {last}", char::from(b'A' + self.random.below(26) as u8)),
            9..12 => format!("{} {last}", self.random.word("Mr.|Mrs.|Ms.|Miss")),
            12..14 => format!("{} {}", first.to_uppercase(), last.to_uppercase()),
            14..17 => format!("{first} {last}-{}", self.random.word(people::LAST)),
            _ => format!("{first} {last}"),
        }
    }

    fn provider(&mut self) -> String {
        let first = self.random.word(people::FIRST).to_owned();
        let last = self.random.word(people::LAST).to_owned();
        match self.random.below(5) {
            0..=2 => format!("Dr. {last}"),
            3 => format!("{first} {last}, {}", self.random.word(people::CREDENTIAL)),
            _ => format!("Dr. {first} {last}"),
        }
    }

    fn phone(&mut self) -> String {
        let (area, line) = (self.random.between(201, 989), self.random.between(100, 199));
        match self.random.below(5) {
            0 | 1 => format!("({area}) 555-0{line}"),
            2 | 3 => format!("{area}-555-0{line}"),
            _ => format!("{area}.555.0{line}"),
        }
    }

    fn email(&mut self) -> String {
        let (first, last) = (self.random.word(people::FIRST), self.random.word(people::LAST));
        let host = self.random.word("example.org|example.com|mail.example|clinic.example|home.example");
        format!("{}.{}@{host}", first.to_lowercase(), last.to_lowercase().replace('\'', ""))
    }

    fn date(&mut self, from: usize, to: usize) -> String {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        let (year, month, day) =
            (self.random.between(from, to), self.random.between(1, 12), self.random.between(1, 28));
        let name = MONTHS[month - 1];
        match self.random.below(8) {
            0..=2 => format!("{month:02}/{day:02}/{year}"),
            3 => format!("{month}/{day}/{:02}", year % 100),
            4 => format!("{year}-{month:02}-{day:02}"),
            5 => format!("{name} {day}, {year}"),
            6 => format!("{} {day}, {year}", &name[..3]),
            _ => format!("{month}-{day}-{year}"),
        }
    }

    fn mbi(&mut self) -> String {
        let random = &mut *self.random;
        let mut letter = || random.word("A|C|D|E|F|G|H|J|K|M|N|P|Q|R|T|U|V|W|X|Y").to_owned();
        let (b, c, e, f, h, i) = (letter(), letter(), letter(), letter(), letter(), letter());
        let mut digit = |from| self.random.between(from, 9);
        let (a, d, g, j, k) = (digit(1), digit(0), digit(0), digit(0), digit(0));
        format!("{a}{b}{c}{d}-{e}{f}{g}-{h}{i}{j}{k}")
    }

    /// With its check digit. A first digit of 2 is not given out.
    fn npi(&mut self) -> String {
        let number = format!("2{}", self.random.digits(8));
        let sum: u32 = format!("80840{number}")
            .bytes()
            .rev()
            .enumerate()
            .map(|(at, digit)| {
                let digit = u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
                digit / 10 + digit % 10
            })
            .sum();
        format!("{number}{}", (10 - sum % 10) % 10)
    }

    fn dea(&mut self) -> String {
        let digits: Vec<u32> = (0..6).map(|_| self.random.below(10) as u32).collect();
        let sum = digits[0] + digits[2] + digits[4] + 2 * (digits[1] + digits[3] + digits[5]);
        let text: String = digits.iter().map(ToString::to_string).collect();
        format!("{}{}{text}{}", self.random.word("A|B|F|M"), self.random.word("Q|K|T|W"), sum % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_stays_the_same_and_an_unknown_slot_stays_as_it_is() {
        let mut random = Random::named("a");
        let mut filler = Filler::new(&mut random);
        let first = filler.fill("{first2} {last2}");
        assert_eq!(filler.fill("{first2} {last2}"), first);
        assert_eq!(filler.fill("{nothing} and {"), "{nothing} and {");
        assert!(["a", "b"].contains(&filler.fill("[[a|b]]").as_str()));
    }
}
