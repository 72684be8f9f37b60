//! What is told to the model of a message: numbers from 0 to about 1, each with the words that explain it.

use crate::classify::weigh::bind::{Bound, Who};
use crate::classify::weigh::cues::Topic;
use crate::classify::weigh::rule::Ruled;
use crate::classify::{Hit, Sense};
use crate::phi::{Axis, Kind};

macro_rules! features {
    ($($variant:ident $words:literal),+ $(,)?) => {
        /// What the model weighs beside the choice of words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Feature { $($variant),+ }

        impl Feature {
            pub const ALL: &'static [Feature] = &[$(Feature::$variant),+];

            /// In words, for somebody who asks why.
            pub const fn words(self) -> &'static str {
                match self { $(Feature::$variant => $words),+ }
            }
        }
    };
}

features! {
    Number "a number that only one person has, beside words of health",
    Patient "a name that is told to be a patient's, beside words of health",
    Name "a name beside words of health",
    Born "a date of birth beside words of health",
    Contact "an address, telephone number or account beside words of health",
    Reader "the reader beside words of health",
    Relative "a relative beside words of health",
    Third "he or she beside words of health",
    Role "the word patient beside words of health",
    Writer "the writer beside words of health",
    BoundDiagnosis "a person beside a diagnosis",
    BoundDrug "a person beside a medicine",
    BoundProcedure "a person beside a procedure",
    BoundLab "a person beside a test or its result",
    BoundCare "a person beside words of care",
    BoundBilling "a person beside words of payment for care",
    Strong "a person beside words of nothing but health",
    ReaderStrong "the reader in a sentence with words of nothing but health",
    KinStrong "a relative in a sentence with words of nothing but health",
    WriterStrong "the writer in a sentence with words of nothing but health",
    ThirdStrong "he or she in a sentence with words of nothing but health",
    Row "a person and health in one sentence or row",
    ReaderRow "the reader and health in one sentence",
    Free "a person beside health, with no talk of many, of health workers or of animals",
    ReaderFree "the reader beside health, with no talk of many, of health workers or of animals",
    Subject "a person or health in the subject, and the other in the message",
    Greeted "somebody is greeted by name, and health is spoken of",
    People "how many persons stand beside words of health",
    Readers "how often the reader stands beside words of health",
    BoundPlain "a person beside health, in no general letter",
    ReaderPlain "the reader beside health, in no general letter",
    Unowned "words of health, and nobody they could belong to",
    Unhealthy "no words of health",
    Health "words of health close together",
    StrongHealth "words of nothing but health close together",
    HealthCount "how many words of health",
    HealthDensity "how dense the words of health are",
    Diagnoses "diagnoses",
    Drugs "medicines",
    Procedures "procedures",
    Labs "tests and results",
    Cares "words of care",
    Billings "words of payment for care",
    Codes "codes of health care",
    Addressed "health put to the reader in a set phrase",
    Names "names",
    Workers "health workers by name",
    Numbers "numbers of record, insurance or social security",
    Births "dates of birth",
    Accounts "account and licence numbers",
    Phones "telephone and fax numbers",
    Addresses "postal addresses",
    Providers "numbers of health workers",
    Emails "e-mail addresses",
    Links "links",
    Dates "dates",
    Ages "ages",
    Against "topics that speak of no patient",
    Listed "sent to a mailing list",
    Short "a short message",
    Capitals "capitals throughout",
    Attached "attachments",
    You "words to the reader",
    Me "words of the writer about themselves",
    Kin "relatives",
    Pronouns "he and she",
    Patients "talk of a patient",
    Many "talk of many people",
    Professions "talk of health workers",
    Visits "words of appointments and visits",
    Everyday "everyday words of health",
    Charts "the words of a chart",
    Pets "talk of animals",
    Jobs "talk of hiring and credentials",
    Staff "talk among staff",
    Research "talk of research and numbers",
    News "the words of a newsletter",
    Press "the words of a press release",
    Policy "the words of policies and rules",
    Code "the words of programmers",
    Ticket "the words of a help desk",
    Forum "the words of a discussion",
    Money "the words of trade",
    Property "talk of homes, cars and travel",
    Class "the words of a school",
    Event "the words of meetings and events",
    Sale "the words of a sale",
    Blank "samples and removed names",
    General "general information on health",
    Joined "a person and health together, by rule",
    Lowered "a person and health together, by rule, and no topics that speak of no patient",
}

/// One number for each of [`Feature::ALL`].
pub(crate) type Dense = [f32; Feature::ALL.len()];

/// The feature that says how much of a topic is in a message.
const fn of_topic(topic: Topic) -> Feature {
    match topic {
        Topic::You => Feature::You,
        Topic::Me => Feature::Me,
        Topic::Relative => Feature::Kin,
        Topic::Third => Feature::Pronouns,
        Topic::Patient => Feature::Patients,
        Topic::Many => Feature::Many,
        Topic::Worker => Feature::Professions,
        Topic::Visit => Feature::Visits,
        Topic::Everyday => Feature::Everyday,
        Topic::Chart => Feature::Charts,
        Topic::Pets => Feature::Pets,
        Topic::Jobs => Feature::Jobs,
        Topic::Staff => Feature::Staff,
        Topic::Research => Feature::Research,
        Topic::News => Feature::News,
        Topic::Press => Feature::Press,
        Topic::Policy => Feature::Policy,
        Topic::Code => Feature::Code,
        Topic::Ticket => Feature::Ticket,
        Topic::Forum => Feature::Forum,
        Topic::Money => Feature::Money,
        Topic::Property => Feature::Property,
        Topic::Class => Feature::Class,
        Topic::Event => Feature::Event,
        Topic::Sale => Feature::Sale,
        Topic::Blank => Feature::Blank,
        Topic::General => Feature::General,
    }
}

/// What is counted over all texts of a message.
#[derive(Debug, Default)]
pub(super) struct Tally {
    hits: [usize; COUNTED.len()],
    workers: usize,
    addressed: f32,
    topics: [usize; Topic::ALL.len()],
    words: usize,
    pub(super) large: usize,
    /// As `Cast::health`, of the text that has most.
    pub(super) health: f32,
    pub(super) strong: f32,
    pub(super) identified: f32,
    pub(super) against: usize,
    listed: bool,
    pub(super) attached: usize,
    pub(super) ruled: Ruled,
}

/// Which feature counts which kinds.
const COUNTED: [(Feature, &[Kind]); 18] = [
    (Feature::Diagnoses, &[Kind::Diagnosis, Kind::Symptom]),
    (Feature::Drugs, &[Kind::Drug, Kind::Dose]),
    (Feature::Procedures, &[Kind::Procedure]),
    (Feature::Labs, &[Kind::Lab, Kind::Vital]),
    (Feature::Cares, &[Kind::Care]),
    (Feature::Billings, &[Kind::Billing]),
    (Feature::Codes, &[Kind::Icd10, Kind::Cpt, Kind::Hcpcs, Kind::Ndc, Kind::Loinc]),
    (Feature::Names, &[Kind::Name]),
    (Feature::Numbers, &[Kind::Ssn, Kind::Mrn, Kind::Mbi, Kind::MemberId]),
    (Feature::Births, &[Kind::DateOfBirth]),
    (Feature::Accounts, &[Kind::Account, Kind::License, Kind::Vehicle, Kind::Device]),
    (Feature::Phones, &[Kind::Phone, Kind::Fax]),
    (Feature::Addresses, &[Kind::Address, Kind::Zip]),
    (Feature::Providers, &[Kind::Npi, Kind::Dea]),
    (Feature::Emails, &[Kind::Email]),
    (Feature::Links, &[Kind::Url, Kind::Ip]),
    (Feature::Dates, &[Kind::Date]),
    (Feature::Ages, &[Kind::Age]),
];

impl Tally {
    /// Of a message of so many words, on a mailing list or not.
    pub(super) fn of(listed: bool, words: usize) -> Tally {
        Tally { listed, words, ..Tally::default() }
    }

    pub(super) fn hit(&mut self, hit: &Hit) {
        if hit.sense == Sense::Professional {
            self.workers += 1;
            return;
        }
        if hit.sense == Sense::Addressed {
            self.addressed = self.addressed.max(hit.confidence);
        }
        if let Some(at) = COUNTED.iter().position(|(_, kinds)| kinds.contains(&hit.kind)) {
            self.hits[at] += 1;
        }
    }

    pub(super) fn topic(&mut self, topic: Topic) {
        self.topics[topic as usize] += 1;
    }

    fn health_words(&self) -> usize {
        let health = |kinds: &[Kind]| kinds.iter().any(|kind| kind.axis() == Axis::Health);
        COUNTED.iter().zip(self.hits).filter(|((_, kinds), _)| health(kinds)).map(|(_, count)| count).sum()
    }

    /// How much of a message a topic fills.
    fn share(&self, topic: Topic) -> f32 {
        let count = self.topics[topic as usize] as f32;
        (count / (2.0 + self.words as f32 / 80.0)).min(1.0)
    }

    /// How much a message looks as if it were written for many.
    fn general(&self) -> f32 {
        let topics =
            [Topic::News, Topic::General, Topic::Policy, Topic::Sale, Topic::Research, Topic::Many, Topic::Press];
        let share: f32 = topics.iter().map(|topic| self.share(*topic)).sum();
        if self.listed { 1.0 } else { share.min(1.0) }
    }

    /// Whether there is anybody whose health it could be: one person, the reader, the writer, a relative.
    pub(super) fn somebody(&self, bound: &Bound) -> f32 {
        let spoken = [Who::Reader, Who::Writer, Who::Relative, Who::Contact].map(|who| bound.of(who));
        let spoken = spoken.into_iter().fold(0.0, f32::max);
        let near = (1.5 * spoken).min(1.0);
        self.identified.max(near)
    }

    pub(super) fn features(&self, bound: &Bound) -> Dense {
        let mut dense = [0.0; Feature::ALL.len()];
        let mut set = |feature: Feature, value: f32| dense[feature as usize] = value;
        bindings(bound, self, &mut set);
        let words = self.words as f32;
        // Persons, dates and numbers are in mail of every kind: they count as far as it speaks of health.
        for ((feature, kinds), count) in COUNTED.iter().zip(self.hits) {
            let health = kinds.iter().any(|kind| kind.axis() == Axis::Health);
            let count = counted(count) * if health { 40.0 / (40.0 + words / 8.0) } else { self.health };
            set(*feature, count);
        }
        for topic in Topic::ALL {
            set(of_topic(*topic), self.share(*topic) * if topic.is_person() { self.health } else { 1.0 });
        }
        let health_words = self.health_words();
        set(Feature::Joined, self.ruled.joined);
        set(Feature::Lowered, self.ruled.lowered);
        set(Feature::Workers, counted(self.workers));
        set(Feature::Addressed, self.addressed);
        set(Feature::Health, self.health);
        set(Feature::StrongHealth, self.strong);
        set(Feature::HealthCount, counted(health_words) * 40.0 / (40.0 + words / 8.0));
        set(Feature::HealthDensity, (health_words as f32 * 10.0 / (words + 20.0)).min(1.0));
        set(Feature::Unowned, self.strong * (1.0 - self.somebody(bound)));
        set(Feature::Unhealthy, 1.0 - self.health);
        set(Feature::Against, (self.against as f32 / 4.0).min(1.0));
        set(Feature::Listed, if self.listed { 1.0 } else { 0.0 });
        set(Feature::Short, if self.words < 30 { 1.0 } else { 0.0 });
        set(Feature::Capitals, if words > 0.0 { self.large as f32 / words } else { 0.0 });
        set(Feature::Attached, (self.attached as f32).min(1.0));
        dense
    }
}

/// What is bound to whom.
fn bindings(bound: &Bound, tally: &Tally, set: &mut impl FnMut(Feature, f32)) {
    let by = |who: Who| match who {
        Who::Number => Feature::Number,
        Who::Patient => Feature::Patient,
        Who::Name => Feature::Name,
        Who::Born => Feature::Born,
        Who::Contact => Feature::Contact,
        Who::Reader => Feature::Reader,
        Who::Relative => Feature::Relative,
        Who::Third => Feature::Third,
        Who::Role => Feature::Role,
        Who::Writer => Feature::Writer,
    };
    for who in Who::ALL {
        set(by(*who), bound.of(*who));
    }
    let kinds = [
        Feature::BoundDiagnosis,
        Feature::BoundDrug,
        Feature::BoundProcedure,
        Feature::BoundLab,
        Feature::BoundCare,
        Feature::BoundBilling,
    ];
    for (feature, strength) in kinds.into_iter().zip(bound.kinds) {
        set(feature, strength);
    }
    let plain = 1.0 - tally.general();
    set(Feature::Strong, bound.strong);
    set(Feature::ReaderStrong, bound.reader_strong);
    set(Feature::KinStrong, bound.kin_strong);
    set(Feature::WriterStrong, bound.writer_strong);
    set(Feature::ThirdStrong, bound.third_strong);
    set(Feature::Row, bound.row);
    set(Feature::ReaderRow, bound.reader_row);
    set(Feature::Free, bound.free);
    set(Feature::ReaderFree, bound.reader_free);
    set(Feature::Subject, bound.subject);
    set(Feature::Greeted, bound.greeted * tally.health);
    set(Feature::People, counted(bound.people));
    set(Feature::Readers, counted(bound.readers));
    set(Feature::BoundPlain, bound.identified() * plain);
    set(Feature::ReaderPlain, bound.reader_free * plain);
}

/// A count from 0 to 1: the first few matter, and beyond twenty nothing does.
fn counted(count: usize) -> f32 {
    (logarithm(count) / 3.0).min(1.0)
}

/// The natural logarithm of 1 + count, by the series of its mantissa: the same number on every machine.
fn logarithm(count: usize) -> f32 {
    let number = 1.0 + count.min(1 << 24) as f64;
    let exponent = (number.to_bits() >> 52) as i32 - 1023;
    let mantissa = f64::from_bits(number.to_bits() & ((1 << 52) - 1) | 1023 << 52);
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut power = ratio;
    let mut sum = 0.0;
    for odd in 0..12 {
        sum += power / f64::from(2 * odd + 1);
        power *= square;
    }
    (2.0 * sum + f64::from(exponent) * std::f64::consts::LN_2) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        for count in [0_usize, 1, 2, 7, 8, 100, 5000] {
            assert!((f64::from(logarithm(count)) - (1.0 + count as f64).ln()).abs() < 1e-5, "{count}");
        }
    }

    #[test]
    fn every_feature_has_its_own_words() {
        let words: std::collections::HashSet<_> = Feature::ALL.iter().map(|feature| feature.words()).collect();
        assert_eq!(words.len(), Feature::ALL.len());
    }

    #[test]
    fn an_empty_message_has_no_evidence_but_that_it_is_short() {
        let dense = Tally::default().features(&Bound::default());
        for (feature, value) in Feature::ALL.iter().zip(dense) {
            let expected = if matches!(feature, Feature::Short | Feature::Unhealthy) { 1.0 } else { 0.0 };
            assert!((value - expected).abs() < 1e-6, "{feature:?}");
        }
    }
}
