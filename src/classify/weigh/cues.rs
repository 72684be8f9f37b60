//! What a phrase says of who is meant and of what kind of mail it is; nothing is learned here, only looked up.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::classify::lexicon;
use crate::classify::tokens::{self, Token};

/// The longest phrase, in words.
pub(super) const LONGEST: usize = 4;

macro_rules! topics {
    ($($variant:ident $name:literal),+ $(,)?) => {
        /// What a phrase speaks of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Topic { $($variant),+ }

        impl Topic {
            pub(super) const ALL: &'static [Topic] = &[$(Topic::$variant),+];

            fn from_name(name: &str) -> Option<Topic> {
                match name { $($name => Some(Topic::$variant),)+ _ => None }
            }
        }
    };
}

topics! {
    You "you", Me "me", Relative "relative", Third "third", Patient "patient", Many "many", Worker "worker",
    Visit "visit", Everyday "everyday", Chart "chart",
    Pets "pets", Jobs "jobs", Staff "staff", Research "research", News "news", Press "press", Policy "policy",
    Code "code", Ticket "ticket", Forum "forum", Money "money", Property "property", Class "class", Event "event",
    Sale "sale", Blank "blank", General "general",
}

impl Topic {
    /// Whether it makes a person beside it one of many, or nobody's patient.
    pub(super) const fn opposes(self) -> bool {
        matches!(self, Topic::Many | Topic::Worker | Topic::Pets | Topic::Blank | Topic::General | Topic::Research)
    }

    /// Whether it stands for a person, or for many.
    pub(super) const fn is_person(self) -> bool {
        matches!(self, Topic::You | Topic::Me | Topic::Relative | Topic::Third | Topic::Patient)
    }

    /// How much it says of health by itself, where a person stands beside it.
    pub(super) const fn health(self) -> f32 {
        match self {
            Topic::Everyday => 0.35,
            Topic::Visit => 0.35,
            Topic::Chart => 0.3,
            Topic::You | Topic::Me | Topic::Relative | Topic::Third | Topic::Patient | Topic::Many => 0.0,
            Topic::Worker | Topic::Pets | Topic::Jobs | Topic::Staff | Topic::Research | Topic::News => 0.0,
            Topic::Press | Topic::Policy | Topic::Code | Topic::Ticket | Topic::Forum | Topic::Money => 0.0,
            Topic::Property | Topic::Class | Topic::Event | Topic::Sale | Topic::Blank | Topic::General => 0.0,
        }
    }
}

/// The phrases by a hash of their words.
struct Phrases {
    table: HashMap<u32, Topic, Straight>,
    /// One bit for each, and for what each begins with: most words of a text begin none, and this small map says so.
    sieve: Vec<u64>,
}

/// The keys are hashes already.
#[derive(Clone, Copy, Default)]
struct Straight(u64);

impl std::hash::BuildHasher for Straight {
    type Hasher = Straight;

    fn build_hasher(&self) -> Straight {
        Straight(0)
    }
}

impl std::hash::Hasher for Straight {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

const SIEVE_BITS: u32 = 1 << 16;

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let mut phrases = Phrases { table: HashMap::default(), sieve: vec![0; SIEVE_BITS as usize / 64] };
    for (topic, phrase) in lines() {
        let Some(topic) = Topic::from_name(topic) else { continue };
        let mut key = 0;
        for word in tokens::folded(phrase) {
            key = joined(key, lexicon::short(word));
            let (at, bit) = place(key);
            phrases.sieve[at] |= bit;
        }
        phrases.table.insert(key, topic);
    }
    phrases
});

fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("cues.txt").lines().map(str::trim);
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

/// A phrase's key with one word more.
pub(super) const fn joined(key: u32, word: u32) -> u32 {
    let mixed = (key.rotate_left(9) ^ word).wrapping_mul(0x9e37_79b1);
    mixed ^ mixed >> 15
}

const fn place(key: u32) -> (usize, u64) {
    let at = key % SIEVE_BITS;
    ((at / 64) as usize, 1 << (at % 64))
}

/// The longest phrase that begins with the first of these tokens, and its length in tokens.
pub(super) fn phrase(tokens: &[Token], goes_on: fn(&Token) -> bool) -> Option<(usize, Topic)> {
    let phrases = &*PHRASES;
    let mut found = None;
    let mut key = 0;
    for (at, token) in tokens.iter().take(LONGEST).enumerate() {
        if at > 0 && !goes_on(token) {
            break;
        }
        key = joined(key, token.hash);
        let (word, bit) = place(key);
        if phrases.sieve.get(word).is_none_or(|bits| bits & bit == 0) {
            break;
        }
        if let Some(topic) = phrases.table.get(&key) {
            found = Some((at + 1, *topic));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_topic_and_a_phrase_that_can_be_found() {
        let mut seen = std::collections::HashSet::new();
        for (topic, phrase) in lines() {
            assert!(seen.insert(tokens::folded(phrase)), "{topic} {phrase} is there already");
            assert!(Topic::from_name(topic).is_some(), "{topic} {phrase}");
            assert!((1..=LONGEST).contains(&tokens::folded(phrase).len()), "{phrase}");
            assert_eq!(tokens::unlisted_number(phrase), None, "{phrase}");
        }
        assert_eq!(Topic::ALL.len(), Topic::General as usize + 1);
    }

    #[test]
    fn the_longest_phrase_is_taken() {
        let tokens = tokens::Tokens::of("my mother fell");
        assert_eq!(phrase(&tokens.list, |_| true), Some((2, Topic::Relative)));
        assert_eq!(phrase(&tokens.list[2..], |_| true), Some((1, Topic::Everyday)));
        assert_eq!(phrase(&tokens::Tokens::of("walrus").list, |_| true), None);
    }
}
