//! Whose health it is: persons of a text, and the words of health that stand near enough to be theirs.
//!
//! A person is bound to the words of health in the same sentence, line or row, and less strongly to those within [`NEAR`]
//! octets, as `person * (1 - product of (1 - SHARE * weight))` over the different words. In a text that is dense with them,
//! a chart note, nearness is the whole text. What the subject says of a person or of health stands beside every text of
//! the message.

use crate::classify::weigh::Read;
use crate::classify::weigh::cues::Topic;
use crate::classify::weigh::words::{Cue, Said};
use crate::classify::{Hit, Sense};
use crate::phi::{Axis, Kind};

/// How far a word of health reaches, in octets, outside its own sentence.
const NEAR: u32 = 300;
const CLOSE: u32 = 120;
/// How much of the doubt one word of health takes away, at full weight.
const SHARE: f32 = 0.7;
/// From here on a word says nothing but health.
const STRONG: f32 = 0.6;
/// So many different words of health make a chart note of a text.
const DENSE: usize = 8;
/// What is left of a binding that is not by nearness but by the whole text, or by the subject.
const WHOLE: f32 = 0.8;
/// What is left where the same sentence speaks of many, of a health worker, of animals or of nobody.
const OPPOSED: f32 = 0.35;
/// Words of health that are looked at around one person, and persons of one text: a bound on the work.
const MOST_WORDS: usize = 40;
const MOST_PERSONS: usize = 2000;

macro_rules! persons {
    ($($variant:ident $words:literal),+ $(,)?) => {
        /// What stands for a person.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Who { $($variant),+ }

        impl Who {
            pub const ALL: &'static [Who] = &[$(Who::$variant),+];

            /// In words, for somebody who asks why.
            pub const fn words(self) -> &'static str {
                match self { $(Who::$variant => $words),+ }
            }
        }
    };
}

persons! {
    Number "a number that only one person has",
    Patient "a name that is told to be a patient's",
    Name "a name",
    Born "a date of birth",
    Contact "an address, a telephone number or an account",
    Reader "the reader (you, your)",
    Relative "a relative",
    Third "he or she",
    Role "the word patient",
    Writer "the writer (I, my)",
}

impl Who {
    /// Whether it tells one person from all others.
    pub(super) const fn identifies(self) -> bool {
        match self {
            Who::Number | Who::Patient | Who::Name | Who::Born => true,
            Who::Contact | Who::Reader | Who::Relative | Who::Third | Who::Role | Who::Writer => false,
        }
    }
}

/// A mention of a person.
#[derive(Clone, Copy, Debug)]
struct Person {
    start: u32,
    end: u32,
    sentence: u32,
    who: Who,
    strength: f32,
}

/// A word of health.
#[derive(Clone, Copy, Debug)]
struct Health {
    start: u32,
    end: u32,
    sentence: u32,
    kind: Kind,
    weight: f32,
    /// Which word it is, so that one counts once.
    word: u32,
}

impl Health {
    /// Whether it says nothing but health.
    fn is_strong(&self) -> bool {
        self.weight >= STRONG
    }

    fn strong(&self) -> f32 {
        if self.is_strong() { self.weight } else { 0.0 }
    }
}

/// A person and the strongest word of health that is bound to them. Never the text of either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) who: Who,
    pub(super) kind: Kind,
    /// Where the mention of the person is, in octets.
    pub(super) start: u32,
    pub(super) strength: f32,
}

/// How strongly persons are bound to health in one text, or in a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Bound {
    /// By what stands for the person.
    pub(super) by: [f32; Who::ALL.len()],
    /// By persons that are told from all others, and by what the word of health is.
    pub(super) kinds: [f32; KINDS],
    /// The same by words that say nothing but health: one person, and the reader.
    pub(super) strong: f32,
    pub(super) reader_strong: f32,
    /// Words that say nothing but health in the sentence of a relative, the writer, or him and her.
    pub(super) kin_strong: f32,
    pub(super) writer_strong: f32,
    pub(super) third_strong: f32,
    /// In the same sentence or row.
    pub(super) row: f32,
    /// The reader in the same sentence.
    pub(super) reader_row: f32,
    /// Where no word nearby speaks against it: one person, and the reader.
    pub(super) free: f32,
    pub(super) reader_free: f32,
    /// Through the subject.
    pub(super) subject: f32,
    /// A greeted person whose health is spoken of.
    pub(super) greeted: f32,
    /// Persons that are told from others and bound, and mentions of the reader that are.
    pub(super) people: usize,
    pub(super) readers: usize,
    pub(super) pairs: Vec<Pair>,
}

/// What the words of health are, as far as it matters who they are bound to.
pub(super) const KINDS: usize = 6;

const fn place_of(kind: Kind) -> Option<usize> {
    Some(match kind {
        Kind::Diagnosis | Kind::Icd10 | Kind::Symptom => 0,
        Kind::Drug | Kind::Ndc | Kind::Dose => 1,
        Kind::Procedure | Kind::Cpt | Kind::Hcpcs => 2,
        Kind::Lab | Kind::Loinc | Kind::Vital => 3,
        Kind::Care => 4,
        Kind::Billing => 5,
        Kind::Name | Kind::Address | Kind::Zip | Kind::Date | Kind::DateOfBirth | Kind::Phone | Kind::Fax => {
            return None;
        }
        Kind::Email | Kind::Ssn | Kind::Mrn | Kind::Mbi | Kind::MemberId | Kind::Account | Kind::Npi => return None,
        Kind::Dea | Kind::License | Kind::Vehicle | Kind::Device | Kind::Url | Kind::Ip => return None,
        Kind::Age | Kind::Biometric | Kind::Photo | Kind::UniqueId => return None,
        Kind::Record | Kind::Unreadable => return None,
    })
}

impl Bound {
    /// What is strongest in either.
    pub(super) fn join(&mut self, other: &Bound) {
        let strongest = |one: &mut [f32], other: &[f32]| {
            one.iter_mut().zip(other).for_each(|(one, other)| *one = one.max(*other));
        };
        strongest(&mut self.by, &other.by);
        strongest(&mut self.kinds, &other.kinds);
        self.strong = self.strong.max(other.strong);
        self.reader_strong = self.reader_strong.max(other.reader_strong);
        self.kin_strong = self.kin_strong.max(other.kin_strong);
        self.writer_strong = self.writer_strong.max(other.writer_strong);
        self.third_strong = self.third_strong.max(other.third_strong);
        self.row = self.row.max(other.row);
        self.reader_row = self.reader_row.max(other.reader_row);
        self.free = self.free.max(other.free);
        self.reader_free = self.reader_free.max(other.reader_free);
        self.subject = self.subject.max(other.subject);
        self.greeted = self.greeted.max(other.greeted);
        self.people += other.people;
        self.readers += other.readers;
    }

    pub(super) fn of(&self, who: Who) -> f32 {
        self.by.get(who as usize).copied().unwrap_or(0.0)
    }

    /// The strongest binding of somebody who is told from all others.
    pub(super) fn identified(&self) -> f32 {
        Who::ALL.iter().filter(|who| who.identifies()).map(|who| self.of(*who)).fold(0.0, f32::max)
    }
}

/// The persons and the words of health of one text, in its order.
#[derive(Debug, Default)]
pub(super) struct Cast {
    persons: Vec<Person>,
    health: Vec<Health>,
    /// Where many, health workers, animals or nobody are spoken of.
    against: Vec<u32>,
    greeted: Vec<u32>,
}

impl Cast {
    pub(super) fn of(text: &str, hits: &[Hit], said: &Said) -> Cast {
        let mut cast = Cast::default();
        for hit in hits {
            cast.hit(text, hit, said);
        }
        for cue in &said.cues {
            cast.cue(text, cue, said);
        }
        cast.persons.sort_by_key(|person| (person.start, person.end, person.who));
        cast.health.sort_by_key(|health| (health.start, health.end, health.kind));
        cast.against.sort_unstable();
        cast
    }

    fn hit(&mut self, text: &str, hit: &Hit, said: &Said) {
        let (start, end) = (hit.span.start as u32, hit.span.end as u32);
        let sentence = said.sentence(start);
        if hit.sense == Sense::Professional {
            self.against.push(start);
            return;
        }
        if let Some((who, strength)) = stands_for(hit) {
            self.persons.push(Person { start, end, sentence, who, strength });
            if who == Who::Name && is_greeted(text, hit.span.start) {
                self.greeted.push(start);
            }
        }
        if hit.sense == Sense::Addressed {
            self.persons.push(Person { start, end: start, sentence, who: Who::Reader, strength: 1.0 });
        }
        let weight = weight(hit);
        if weight > 0.0 {
            let word = hash(text.get(hit.span.clone()).unwrap_or_default());
            self.health.push(Health { start, end, sentence, kind: hit.kind, weight, word });
        }
    }

    fn cue(&mut self, text: &str, cue: &Cue, said: &Said) {
        let Cue { topic, start, end } = *cue;
        let sentence = said.sentence(start);
        let who = match topic {
            Topic::You => Some(Who::Reader),
            Topic::Me => Some(Who::Writer),
            Topic::Relative => Some(Who::Relative),
            Topic::Third => Some(Who::Third),
            Topic::Patient => Some(Who::Role),
            _ if topic.opposes() => {
                self.against.push(start);
                None
            }
            _ => None,
        };
        if let Some(who) = who {
            self.persons.push(Person { start, end, sentence, who, strength: 1.0 });
        }
        let weight = topic.health();
        if weight > 0.0 {
            let word = hash(text.get(start as usize..end as usize).unwrap_or_default());
            self.health.push(Health { start, end, sentence, kind: Kind::Care, weight, word });
        }
    }

    /// What the words of health of the text are worth together where they stand closest, whoever they are about: all of
    /// them, and those alone that say nothing but health.
    pub(super) fn health(&self) -> (f32, f32) {
        let mut most = (0.0_f32, 0.0_f32);
        // Every second word begins a window: few are left out, and a text of nothing else stays cheap.
        for (at, first) in self.health.iter().enumerate().step_by(2) {
            let end = self.health.len().min(at + MOST_WORDS / 2);
            let window = self.health.get(at..end).unwrap_or(&[]);
            let (mut seen, mut doubt) = (Seen::default(), (1.0, 1.0));
            for health in window.iter().take_while(|health| health.start < first.end + NEAR) {
                let before = seen.count;
                if seen.place(health.word) == Some(before) {
                    doubt.0 *= 1.0 - SHARE * health.weight;
                    doubt.1 *= 1.0 - SHARE * health.strong();
                }
            }
            most = (most.0.max(1.0 - doubt.0), most.1.max(1.0 - doubt.1));
        }
        most
    }

    /// The strongest mention of somebody who is told from all others.
    pub(super) fn identified(&self) -> f32 {
        let strength = |who: &Person| if who.who.identifies() { who.strength } else { 0.0 };
        self.persons.iter().map(strength).fold(0.0, f32::max)
    }

    /// How strongly the persons of the text are bound to health, with what the subject says; `whole` is its `health`.
    pub(super) fn bind(&self, subject: &Subject, whole: f32) -> Bound {
        let mut bound = Bound::default();
        let mut different = Seen::default();
        let is_dense = self.health.iter().any(|health| different.place(health.word) >= Some(DENSE - 1));
        let dense = if is_dense { WHOLE * whole } else { 0.0 };
        // Each kind of mention has its own bound, so that a long text's "you" does not hide its names.
        let mut met = [0_usize; Who::ALL.len()];
        for person in &self.persons {
            let met = &mut met[person.who as usize];
            *met += 1;
            if *met <= MOST_PERSONS {
                self.bind_one(person, (dense, subject), &mut bound);
            }
        }
        bound.subject = (subject.identified * whole).max(self.identified() * subject.health) * WHOLE;
        bound
    }

    fn bind_one(&self, person: &Person, (dense, subject): (f32, &Subject), bound: &mut Bound) {
        let near = self.near(person);
        let Sums { row, reach, strong, strong_row } = near.sums(person);
        let mut strength = reach.max(WHOLE * subject.health * row.max(0.5));
        if person.who.identifies() {
            strength = strength.max(dense);
        }
        let strong = person.strength * strong;
        let opposed = self.is_opposed(person);
        let free = if opposed { OPPOSED } else { 1.0 };
        let strength = person.strength * strength;
        let by = &mut bound.by[person.who as usize];
        *by = by.max(strength);
        match person.who {
            Who::Number | Who::Patient | Who::Name | Who::Born => bound.strong = bound.strong.max(strong * free),
            Who::Reader => bound.reader_strong = bound.reader_strong.max(strong_row * free),
            Who::Relative => bound.kin_strong = bound.kin_strong.max(strong_row),
            Who::Writer => bound.writer_strong = bound.writer_strong.max(strong_row),
            Who::Third => bound.third_strong = bound.third_strong.max(strong_row),
            Who::Contact | Who::Role => {}
        }
        if person.who.identifies() {
            bound.row = bound.row.max(person.strength * row);
            bound.free = bound.free.max(strength * free);
            bound.people += usize::from(strength >= 0.4);
            near.kinds(person, &mut bound.kinds);
        }
        if person.who == Who::Reader {
            bound.reader_row = bound.reader_row.max(row);
            bound.reader_free = bound.reader_free.max(row * free);
            bound.readers += usize::from(row >= 0.4);
        }
        if self.greeted.binary_search(&person.start).is_ok() {
            bound.greeted = bound.greeted.max(person.strength);
        }
        if let Some(health) = near.strongest(person)
            && strength >= 0.3
        {
            bound.pairs.push(Pair { who: person.who, kind: health.kind, start: person.start, strength });
        }
    }

    /// The words of health within reach of a person.
    fn near(&self, person: &Person) -> Near<'_> {
        let from = self.health.partition_point(|health| health.end + NEAR < person.start);
        let to = self.health.partition_point(|health| health.start < person.end + NEAR);
        let all = self.health.get(from..to.max(from)).unwrap_or(&[]);
        // The nearest ones: those around the person's own place.
        let at = all.partition_point(|health| health.start < person.start);
        let first = at.saturating_sub(MOST_WORDS / 2);
        Near(all.get(first..all.len().min(first + MOST_WORDS)).unwrap_or(&[]))
    }

    fn is_opposed(&self, person: &Person) -> bool {
        let from = self.against.partition_point(|at| at + CLOSE < person.start);
        self.against.get(from).is_some_and(|at| *at < person.end + CLOSE)
    }
}

/// The words of health within reach of a person, added up.
struct Sums {
    /// Those of the same sentence.
    row: f32,
    /// All, as far as each reaches.
    reach: f32,
    /// The same of words that say nothing but health.
    strong: f32,
    strong_row: f32,
}

struct Near<'a>(&'a [Health]);

impl Near<'_> {
    /// As `together`, in one walk for all four.
    fn sums(&self, person: &Person) -> Sums {
        let mut seen = Seen::default();
        let mut most = [[0.0_f32; 4]; MOST_WORDS];
        for health in self.0 {
            let row = if health.sentence == person.sentence { 1.0 } else { 0.0 };
            let reach = nearness(person, health);
            let strong = health.strong();
            let all = [health.weight * row, health.weight * reach, strong * reach, strong * row];
            let Some(most) = seen.place(health.word).and_then(|at| most.get_mut(at)) else { break };
            most.iter_mut().zip(all).for_each(|(most, value)| *most = most.max(value));
        }
        let mut doubt = [1.0_f32; 4];
        for most in most.iter().take(seen.count) {
            doubt.iter_mut().zip(most).for_each(|(doubt, weight)| *doubt *= 1.0 - SHARE * weight);
        }
        let [row, reach, strong, strong_row] = doubt.map(|doubt| 1.0 - doubt);
        Sums { row, reach, strong, strong_row }
    }

    fn kinds(&self, person: &Person, kinds: &mut [f32; KINDS]) {
        for health in self.0 {
            let strength = person.strength * health.weight * nearness(person, health);
            if let Some(kind) = place_of(health.kind).and_then(|at| kinds.get_mut(at)) {
                *kind = kind.max(strength);
            }
        }
    }

    fn strongest(&self, person: &Person) -> Option<&Health> {
        let strength = |health: &&Health| health.weight * nearness(person, health);
        self.0.iter().max_by(|one, other| strength(one).total_cmp(&strength(other)))
    }
}

/// What the subject brings to every text of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subject {
    pub(super) identified: f32,
    pub(super) health: f32,
}

impl Subject {
    pub(super) const NONE: Subject = Subject { identified: 0.0, health: 0.0 };
}

/// How much of a word's weight reaches a person. A number is not bound to itself.
fn nearness(person: &Person, health: &Health) -> f32 {
    if health.start == person.start && health.end == person.end {
        return 0.0;
    }
    let distance = health.start.saturating_sub(person.end).max(person.start.saturating_sub(health.end));
    match distance {
        _ if health.sentence == person.sentence => 1.0,
        0..CLOSE => 0.85,
        CLOSE..=NEAR => 0.65,
        _ => 0.0,
    }
}

/// One word counts once, however often it is said.
pub(super) fn together(words: impl Iterator<Item = (u32, f32)>) -> f32 {
    let mut seen = Seen::default();
    let mut doubt = 1.0;
    for (word, weight) in words {
        if seen.count == MOST_WORDS {
            break;
        }
        let before = seen.count;
        if weight > 0.0 && seen.place(word) == Some(before) {
            doubt *= 1.0 - SHARE * weight;
        }
    }
    1.0 - doubt
}

/// The first different words of a text.
struct Seen {
    words: [u32; MOST_WORDS],
    count: usize,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { words: [0; MOST_WORDS], count: 0 }
    }
}

impl Seen {
    /// Where a word is among them, added if it is new and there is room.
    fn place(&mut self, word: u32) -> Option<usize> {
        let seen = self.words.iter().take(self.count).position(|seen| *seen == word);
        if seen.is_none() {
            *self.words.get_mut(self.count)? = word;
            self.count += 1;
            return Some(self.count - 1);
        }
        seen
    }
}

/// FNV-1a over lower case: which word it is, not what it says.
pub(super) fn hash(word: &str) -> u32 {
    word.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193))
}

pub(super) fn weight(hit: &Hit) -> f32 {
    match (hit.kind.axis(), hit.kind) {
        (Axis::Health, _) => hit.confidence,
        // A number that only health care gives, beside a name, tells that the person is somebody's patient or member.
        (_, Kind::Mrn | Kind::Mbi) => 0.85,
        (_, Kind::MemberId) => 0.6,
        (Axis::Identifier | Axis::Unreadable, _) => 0.0,
    }
}

/// From here on, a name stands behind "patient" or beside a date of birth.
const TOLD: f32 = 0.85;

fn stands_for(hit: &Hit) -> Option<(Who, f32)> {
    let (who, strength) = match hit.kind {
        Kind::Ssn | Kind::Mrn | Kind::Mbi => (Who::Number, 1.0),
        Kind::MemberId => (Who::Number, 0.9),
        Kind::Name if hit.confidence >= TOLD => (Who::Patient, 1.0),
        Kind::Name => (Who::Name, 1.0),
        Kind::DateOfBirth => (Who::Born, 1.0),
        Kind::Address => (Who::Contact, 0.9),
        Kind::Account | Kind::Phone | Kind::Vehicle | Kind::Device => (Who::Contact, 0.6),
        Kind::UniqueId => (Who::Contact, 0.5),
        Kind::License | Kind::Fax | Kind::Email => (Who::Contact, 0.4),
        Kind::Zip | Kind::Ip | Kind::Date | Kind::Npi | Kind::Dea | Kind::Url => return None,
        Kind::Age | Kind::Biometric | Kind::Photo | Kind::Dose | Kind::Symptom | Kind::Vital => return None,
        Kind::Diagnosis | Kind::Icd10 | Kind::Drug | Kind::Ndc | Kind::Procedure | Kind::Cpt | Kind::Hcpcs => {
            return None;
        }
        Kind::Loinc | Kind::Lab | Kind::Care | Kind::Billing | Kind::Record | Kind::Unreadable => return None,
    };
    Some((who, strength * hit.confidence))
}

/// Whether the name is the one that the letter is written to.
fn is_greeted(text: &str, start: usize) -> bool {
    let from = text.floor_char_boundary(start.saturating_sub(14));
    let lead = text.get(from..start).unwrap_or_default().to_ascii_lowercase();
    let word = lead.trim_end_matches([' ', '.', ',', '\t']);
    [
        "dear",
        "hi",
        "hello",
        "hey",
        "hola",
        "estimado",
        "estimada",
        "dear mr",
        "dear mrs",
        "dear ms",
        "morning",
        "afternoon",
    ]
    .iter()
    .any(|greeting| word.ends_with(greeting))
}

/// How strongly somebody who surely is one person and a patient is bound to health in a text: whatever else a message
/// says, it tells of that person's health.
pub(super) fn surely(cast: &Cast) -> f32 {
    let sure = |person: &&Person| matches!(person.who, Who::Number | Who::Patient) && person.strength >= TOLD;
    let bound = |person: &Person| {
        let free = if cast.is_opposed(person) { OPPOSED } else { 1.0 };
        person.strength * free * cast.near(person).sums(person).reach
    };
    cast.persons.iter().filter(sure).take(MOST_PERSONS).map(bound).fold(0.0, f32::max)
}

/// What a reading of a text knows of its persons.
pub(super) fn cast(read: &Read<'_>) -> Cast {
    Cast::of(read.text, &read.hits, &read.said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_said_twice_counts_once() {
        let once = together([(1, 0.8)].into_iter());
        let twice = together([(1, 0.8), (1, 0.8)].into_iter());
        assert!((once - twice).abs() < f32::EPSILON);
        assert!(together([(1, 0.8), (2, 0.8)].into_iter()) > once);
    }

    #[test]
    fn all_sums_are_as_each_alone() {
        let health =
            |start, sentence, weight, word| Health { start, end: start + 4, sentence, kind: Kind::Care, weight, word };
        let near = [health(20, 1, 0.8, 1), health(30, 2, 0.8, 1), health(40, 2, 0.3, 2), health(50, 1, 0.3, 3)];
        let person = Person { start: 10, end: 14, sentence: 1, who: Who::Name, strength: 1.0 };
        let sums = Near(&near).sums(&person);
        let alone = |words: &[(u32, f32)]| together(words.iter().copied());
        for (sum, words) in [
            (sums.row, &[(1, 0.8), (3, 0.3)][..]),
            (sums.reach, &[(1, 0.8), (2, 0.3 * 0.85), (3, 0.3)]),
            (sums.strong, &[(1, 0.8)]),
            (sums.strong_row, &[(1, 0.8)]),
        ] {
            assert!((sum - alone(words)).abs() < 1e-6, "{sum} {words:?}");
        }
    }
}
