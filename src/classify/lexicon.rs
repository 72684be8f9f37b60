//! What is known of words: the terms of health, care and payment, the labels, the names, and the cues that speak against a
//! patient being meant. A word is looked up once, while it is read; terms of several words are followed from their first.

mod stems;
mod words;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use crate::classify::labels::{Label, Place};
use crate::classify::tokens::{self, Gap, Token, Tokens};
use crate::classify::{Hit, Hits, Sense};
use crate::phi::{self, Kind};

pub(super) use words::flag;

/// The entry of a word that is not in the lexicon.
pub(super) const UNKNOWN: u32 = 0;
/// How strongly a term speaks when its line does not say.
const USUAL: f32 = 0.8;

/// Folded octets to one number, eight at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hasher {
    state: u64,
    pending: u64,
    length: u32,
}

impl Hasher {
    pub(super) fn push(&mut self, octet: u8) {
        self.pending = self.pending << 8 | u64::from(octet);
        self.length += 1;
        if self.length.is_multiple_of(8) {
            self.state = mix(self.state, self.pending);
            self.pending = 0;
        }
    }

    pub(super) fn finish(self) -> u64 {
        let hash = mix(mix(self.state, self.pending), u64::from(self.length));
        // Without this the low bits, which choose the place in a table, would not know of the high ones.
        hash ^ hash >> 29
    }
}

const fn mix(state: u64, octets: u64) -> u64 {
    (state.rotate_left(5) ^ octets).wrapping_mul(0x517c_c1b7_2722_0a95)
}

/// Whether a term has the number of three digits or more with this hash.
pub(super) fn has_number(hash: u64) -> bool {
    static NUMBERS: LazyLock<Vec<u64>> = LazyLock::new(|| {
        let hash = |number: &str| {
            let mut hasher = Hasher::default();
            number.bytes().for_each(|digit| hasher.push(digit));
            hasher.finish()
        };
        words::NUMBERS.split(' ').map(hash).collect()
    });
    NUMBERS.contains(&hash)
}

pub(super) fn hash_of_number(length: usize) -> u64 {
    mix(mix(1, length as u64), 0x6e)
}

pub(super) fn hash_of_mixed(length: usize) -> u64 {
    mix(mix(2, length as u64), 0x6d)
}

/// What a token keeps of a hash.
pub(super) const fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// What a term says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    /// A word of health, or one that names a mark of a body.
    Tells {
        kind: Kind,
        weight: f32,
    },
    Addressed {
        weight: f32,
    },
    /// Speaks against a patient; the topic keeps several words of one kind from counting twice.
    Lower {
        topic: &'static str,
    },
    /// Belongs to a topic that asks for more care; to none, though a word of it does: "physical therapist".
    Sensitive {
        topic: Option<phi::Label>,
        weight: f32,
    },
    /// Says what the number behind it is.
    Label(Label),
}

/// A meaning, and the mark that must stand behind the term, as behind the headings of a chart or in "MR#"; 0 if none.
#[derive(Clone, Copy, Debug)]
struct Said {
    meaning: Meaning,
    mark: u8,
}

/// A word, or the first words of a term.
#[derive(Clone, Debug, Default)]
struct Node {
    flags: u32,
    said: Vec<Said>,
    /// One bit for each word with which a longer term goes on from here.
    next: u64,
}

/// All words and terms: a table from a hash, or a node and a word's hash, to a node.
#[derive(Debug)]
pub(super) struct Lexicon {
    /// The key is 0 where nothing is.
    table: Vec<(u64, u32)>,
    /// One bit for each first word: most words of a text are in no list, and this small map says so.
    sieve: Vec<u64>,
    nodes: Vec<Node>,
}

const SIEVE_BITS: u64 = 1 << 18;

/// The lists of terms, by what they tell of.
const TERMS: [(Kind, &str); 8] = [
    (Kind::Drug, include_str!("lexicon/drug.txt")),
    (Kind::Diagnosis, include_str!("lexicon/diagnosis.txt")),
    (Kind::Symptom, include_str!("lexicon/symptom.txt")),
    (Kind::Procedure, include_str!("lexicon/procedure.txt")),
    (Kind::Lab, include_str!("lexicon/lab.txt")),
    (Kind::Vital, include_str!("lexicon/vital.txt")),
    (Kind::Care, include_str!("lexicon/care.txt")),
    (Kind::Billing, include_str!("lexicon/billing.txt")),
];
const SECOND_PERSON: &str = include_str!("lexicon/second_person.txt");
/// The lists in which a first word says what the term behind it is.
const MARKS: &str = include_str!("lexicon/mark.txt");
const LOWER: &str = include_str!("lexicon/lower.txt");
const TOPICS: &str = include_str!("lexicon/topic.txt");
const LABELS: &str = include_str!("lexicon/label.txt");
/// The lists of words, several a line.
const FLAGS: [(&str, u32); 5] = [
    (include_str!("lexicon/given_name.txt"), flag::GIVEN),
    (include_str!("lexicon/given_name_word.txt"), flag::GIVEN | flag::WORD),
    (include_str!("lexicon/surname.txt"), flag::SURNAME),
    (include_str!("lexicon/not_name.txt"), flag::NOT_NAME),
    (include_str!("lexicon/street.txt"), flag::STREET),
];

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut growing = Growing::default();
    for (kind, line) in TERMS.into_iter().flat_map(|(kind, text)| lines(text).map(move |line| (kind, line))) {
        let (term, weight) = weighted(line);
        growing.say(term, Meaning::Tells { kind, weight });
    }
    for (kind, line) in headed(MARKS) {
        let (term, weight) = weighted(line);
        if let Some(kind) = Kind::from_name(kind) {
            growing.say(term, Meaning::Tells { kind, weight });
        }
    }
    for line in lines(SECOND_PERSON) {
        let (term, weight) = weighted(line);
        growing.say(term, Meaning::Addressed { weight });
    }
    for (topic, term) in headed(LOWER) {
        growing.say(term, Meaning::Lower { topic });
    }
    for (topic, line) in headed(TOPICS) {
        let (term, weight) = weighted(line);
        growing.say(term, Meaning::Sensitive { topic: phi::Label::from_name(topic), weight });
    }
    for (label, term) in headed(LABELS) {
        if let Some(label) = Label::from_name(label) {
            growing.say(term, Meaning::Label(label));
        }
    }
    for (words, flag) in FLAGS {
        growing.flag(words, flag);
    }
    for (words, flag) in words::WORDS {
        growing.flag(words, flag);
    }
    growing.finish()
});

pub(super) fn lexicon() -> &'static Lexicon {
    &LEXICON
}

pub(super) fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The first word of each line, and what is behind it.
fn headed(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    lines(text).filter_map(|line| line.split_once(' '))
}

fn weighted(line: &'static str) -> (&'static str, f32) {
    let split = line.split_once('=').and_then(|(term, weight)| Some((term, weight.parse().ok()?)));
    split.unwrap_or((line, USUAL))
}

/// A lexicon while its lists are read.
struct Growing {
    places: HashMap<u64, u32>,
    firsts: Vec<u64>,
    nodes: Vec<Node>,
}

impl Default for Growing {
    fn default() -> Growing {
        Growing { places: HashMap::new(), firsts: Vec::new(), nodes: vec![Node::default()] }
    }
}

impl Growing {
    fn say(&mut self, term: &'static str, meaning: Meaning) {
        let mark = term.bytes().last().filter(|last| b":#.".contains(last)).unwrap_or(0);
        let said = Said { meaning, mark };
        if let Some(node) = self.node(&tokens::folded(term)) {
            node.said.push(said);
        }
    }

    fn flag(&mut self, text: &'static str, flag: u32) {
        for word in lines(text).flat_map(str::split_whitespace) {
            if let Some(node) = self.node(&tokens::folded(word)) {
                node.flags |= flag;
            }
        }
    }

    /// The node of these words, made where it is not there yet.
    fn node(&mut self, words: &[u64]) -> Option<&mut Node> {
        let (first, others) = words.split_first()?;
        let mut node = self.place(key(*first));
        self.firsts.push(*first);
        for word in others {
            self.nodes.get_mut(node as usize)?.next |= next_bit(short(*word));
            node = self.place(step(node, short(*word)));
        }
        self.nodes.get_mut(node as usize)
    }

    fn place(&mut self, key: u64) -> u32 {
        let next = self.nodes.len() as u32;
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.nodes.push(Node::default());
        }
        place
    }

    fn finish(self) -> Lexicon {
        let mut table = vec![(0, UNKNOWN); (self.places.len() * 2).next_power_of_two()];
        for (key, node) in self.places {
            let mut at = key as usize & (table.len() - 1);
            while table[at].0 != 0 {
                at = (at + 1) & (table.len() - 1);
            }
            table[at] = (key, node);
        }
        let mut sieve = vec![0; (SIEVE_BITS / 64) as usize];
        for first in self.firsts {
            sieve[bit(first).0] |= bit(first).1;
        }
        Lexicon { table, sieve, nodes: self.nodes }
    }
}

/// The key 0 is an empty place.
const fn key(hash: u64) -> u64 {
    if hash == 0 { 1 } else { hash }
}

fn step(node: u32, word: u32) -> u64 {
    let hash = mix(mix(3, u64::from(node)), u64::from(word));
    key(hash ^ hash >> 29)
}

const fn next_bit(word: u32) -> u64 {
    1 << (word % 64)
}

const fn bit(hash: u64) -> (usize, u64) {
    let at = hash % SIEVE_BITS;
    ((at / 64) as usize, 1 << (at % 64))
}

impl Lexicon {
    /// The entry of a word by its hash.
    pub(super) fn entry(&self, hash: u64) -> u32 {
        let (at, bit) = bit(hash);
        match self.sieve.get(at) {
            Some(bits) if bits & bit != 0 => self.find(key(hash)),
            Some(_) | None => UNKNOWN,
        }
    }

    fn find(&self, key: u64) -> u32 {
        let mask = self.table.len() - 1;
        let mut at = key as usize & mask;
        loop {
            match self.table.get(at) {
                Some((found, node)) if *found == key => return *node,
                Some((0, _)) | None => return UNKNOWN,
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    fn node(&self, entry: u32) -> Option<&Node> {
        self.nodes.get(entry as usize)
    }

    pub(super) fn is(&self, token: &Token, flag: u32) -> bool {
        token.entry != UNKNOWN && self.node(token.entry).is_some_and(|node| node.flags & flag != 0)
    }

    /// The longest term that begins at a token, and how many tokens it has; the longest label, and the longest of a topic.
    fn terms(&self, tokens: &Tokens<'_>, at: usize) -> Option<Found<'_>> {
        let mut entry = tokens.list.get(at).map(|token| token.entry).filter(|entry| *entry != UNKNOWN)?;
        let mut found = Found::default();
        let mut end = at + 1;
        let mut shortened = false;
        loop {
            let node = self.node(entry)?;
            let said = || node.said.iter().filter(|said| said.is_marked(tokens, end));
            if !shortened && said().any(Said::is_term) {
                found.term = Some((end - at, node.said.as_slice()));
            }
            found.topic = said().find_map(Said::topic).map(|(topic, weight)| (end - at, topic, weight)).or(found.topic);
            found.label = said().rev().find_map(Said::label).map(|label| (end - at, label)).or(found.label);
            let next = tokens
                .list
                .get(end)
                .filter(|next| node.next & next_bit(next.hash) != 0 && (goes_on(next) || is_point(tokens, end)));
            shortened |= next.is_some_and(|next| !goes_on(next));
            entry = match next.map(|next| self.find(step(entry, next.hash))) {
                None | Some(UNKNOWN) => return Some(found),
                Some(entry) => entry,
            };
            end += 1;
        }
    }
}

/// Whether the point in front of a token only shortens the word before it: "Med. Rec. No.". Only labels go on over it, since
/// a sentence may end there too.
fn is_point(tokens: &Tokens<'_>, at: usize) -> bool {
    const SHORT: usize = 4;
    let before = at.checked_sub(1).and_then(|before| tokens.list.get(before));
    let point = tokens.list.get(at).is_some_and(|token| token.gap == Gap::Sentence && token.mark == b'.');
    point && before.is_some_and(|before| before.length() <= SHORT)
}

/// What begins at a token, with the number of its tokens.
#[derive(Default)]
struct Found<'a> {
    term: Option<(usize, &'a [Said])>,
    label: Option<(usize, Label)>,
    topic: Option<(usize, Option<phi::Label>, f32)>,
}

impl Said {
    /// Whether the mark that the term needs stands behind it, or in front of the next token.
    fn is_marked(&self, tokens: &Tokens<'_>, end: usize) -> bool {
        let behind = || {
            let last = end.checked_sub(1).and_then(|last| tokens.list.get(last))?;
            tokens.text.as_bytes().get(last.end as usize).copied()
        };
        let next = || tokens.list.get(end).map(|next| next.mark);
        self.mark == 0 || behind() == Some(self.mark) || self.mark == b'#' && next() == Some(self.mark)
    }

    const fn label(&self) -> Option<Label> {
        match self.meaning {
            Meaning::Label(label) => Some(label),
            // What the test or the measurement said follows.
            Meaning::Tells { kind: Kind::Lab, .. } => Some(Label::Lab),
            Meaning::Tells { kind: Kind::Vital, .. } => Some(Label::Vital),
            Meaning::Tells { .. } | Meaning::Addressed { .. } | Meaning::Lower { .. } | Meaning::Sensitive { .. } => {
                None
            }
        }
    }

    const fn topic(&self) -> Option<(Option<phi::Label>, f32)> {
        if let Meaning::Sensitive { topic, weight } = self.meaning { Some((topic, weight)) } else { None }
    }

    const fn is_term(&self) -> bool {
        matches!(self.meaning, Meaning::Tells { .. } | Meaning::Addressed { .. } | Meaning::Lower { .. })
    }
}

/// Whether a term can go on over the gap in front of a token: within a phrase, and over the end of a wrapped line.
const fn goes_on(token: &Token) -> bool {
    matches!((token.gap, token.mark), (Gap::Joined | Gap::Space, _) | (Gap::Line, 0))
}

/// Finds the terms of a block; gives its labels.
pub(super) fn detect(tokens: &Tokens<'_>, hits: &mut Hits) -> Vec<Place> {
    let lexicon = lexicon();
    let mut labels = Vec::new();
    let mut topics = Told::default();
    let mut behind = 0;
    for (at, token) in tokens.list.iter().enumerate() {
        let found = if token.entry == UNKNOWN { None } else { lexicon.terms(tokens, at) };
        // A topic is told within a longer term too: "major depression", "your psychiatrist".
        if let Some((length, topic, weight)) = found.as_ref().and_then(|found| found.topic) {
            let new = topic.filter(|topic| topics.is_new(*topic, at + length));
            topics.cover(topic, at + length);
            new.into_iter().for_each(|topic| hits.topics.say(topic, weight));
        }
        if at < behind {
            continue;
        }
        let found = found.filter(|found| found.term.is_some() || found.label.is_some());
        let Some(Found { term, label, .. }) = found else {
            hits.extend(stems::stem(tokens, token));
            continue;
        };
        labels.extend(label.map(|(length, label)| Place { label, first: at, end: at + length }));
        if let Some((length, said)) = term {
            say(tokens, at..at + length, said, hits);
        }
        behind = at + term.map_or(1, |(length, _)| length).max(label.map_or(1, |(length, _)| length));
    }
    labels
}

/// How far each topic was told of.
#[derive(Default)]
struct Told {
    ends: [usize; phi::Label::ALL.len()],
}

impl Told {
    /// Whether words that end here are no part of longer ones that were told already.
    fn is_new(&self, topic: phi::Label, end: usize) -> bool {
        self.ends.iter().zip(phi::Label::ALL).any(|(told, other)| other == topic && *told < end)
    }

    /// Takes note of words of a topic, or of none that hide what is within them.
    fn cover(&mut self, topic: Option<phi::Label>, end: usize) {
        let covered =
            self.ends.iter_mut().zip(phi::Label::ALL).filter(|(_, other)| topic.is_none_or(|topic| topic == *other));
        covered.for_each(|(told, _)| *told = end.max(*told));
    }
}

fn say(tokens: &Tokens<'_>, term: Range<usize>, said: &[Said], hits: &mut Hits) {
    let Range { start: at, end } = term;
    let span = tokens.span(term);
    for said in said.iter().filter(|said| said.is_marked(tokens, end)) {
        match said.meaning {
            Meaning::Tells { kind, weight } => {
                let sense = if is_addressed(tokens, at, kind) { Sense::Addressed } else { Sense::Plain };
                hits.push(Hit { kind, span: span.clone(), confidence: weight, sense });
            }
            Meaning::Addressed { weight } => {
                let sense = Sense::Addressed;
                hits.push(Hit { kind: Kind::Care, span: span.clone(), confidence: weight, sense });
            }
            Meaning::Lower { topic } => hits.lower(topic),
            Meaning::Sensitive { .. } | Meaning::Label(_) => {}
        }
    }
}

/// Whether the word belongs to the reader: "your telehealth visit", "your next infusion". Diseases are left out, because
/// advice to everybody speaks of "your diabetes".
fn is_addressed(tokens: &Tokens<'_>, at: usize, kind: Kind) -> bool {
    const REACH: usize = 3;
    let lexicon = lexicon();
    let near = at.saturating_sub(REACH)..at;
    let lead = near.rev().take_while(|at| tokens.list.get(at + 1).is_some_and(goes_on));
    !matches!(kind, Kind::Diagnosis | Kind::Symptom | Kind::Biometric | Kind::Photo)
        && lead.filter_map(|at| tokens.list.get(at)).any(|token| lexicon.is(token, flag::YOUR))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let mut hits = Hits::within(100);
        detect(&Tokens::of(text), &mut hits);
        hits.kept.iter().map(|hit| hit.kind).collect()
    }

    /// Each list of terms, without the first words that say what they are, and whether they have weights.
    fn lists() -> Vec<Vec<&'static str>> {
        let terms = TERMS.into_iter().map(|(_, text)| text).chain([SECOND_PERSON]);
        let headed = [MARKS, LOWER, TOPICS, LABELS].map(|text| headed(text).map(|(_, line)| line).collect());
        terms.map(|text| lines(text).collect()).chain(headed).collect()
    }

    #[test]
    fn a_list_says_a_term_once() {
        for list in lists() {
            let mut seen = HashSet::new();
            for line in list {
                let (term, _) = weighted(line);
                let mark = term.bytes().last().filter(|last| b":#.".contains(last));
                assert!(seen.insert((tokens::folded(term), mark)), "{line} is there already");
            }
        }
        for (text, _) in FLAGS {
            let mut seen = HashSet::new();
            for word in lines(text).flat_map(str::split_whitespace) {
                assert!(seen.insert(tokens::folded(word)), "{word} is there already");
            }
        }
    }

    #[test]
    fn each_line_has_a_first_word_that_is_known_and_a_weight_that_is_a_number() {
        for line in [MARKS, LOWER, TOPICS, LABELS].into_iter().flat_map(lines) {
            assert!(line.contains(' '), "{line} has one word");
        }
        let unknown = |text, known: fn(&str) -> bool| headed(text).find(|(first, _)| !known(first));
        assert_eq!(unknown(MARKS, |first| Kind::from_name(first).is_some()), None);
        assert_eq!(unknown(TOPICS, |first| first == "none" || phi::Label::from_name(first).is_some()), None);
        assert_eq!(unknown(LABELS, |first| Label::from_name(first).is_some()), None);
        for line in lists().into_iter().flatten().filter(|line| line.contains('=')) {
            assert_ne!(weighted(line).0, line, "no weight");
        }
        assert!(headed(LOWER).chain(headed(LABELS)).all(|(_, line)| !line.contains('=')));
    }

    #[test]
    fn a_number_in_a_term_is_that_number() {
        for line in lists().into_iter().flatten() {
            assert_eq!(tokens::unlisted_number(weighted(line).0), None, "{line}");
        }
        let topics = |text| {
            let mut hits = Hits::within(100);
            detect(&Tokens::of(text), &mut hits);
            hits.topics.labels()
        };
        assert_eq!(topics("a 5150 hold"), [phi::Label::MentalHealth]);
        assert_eq!(topics("a 2024 hold"), []);
    }

    #[test]
    fn the_lexicons_build_and_hold_no_empty_term() {
        let said = || lexicon().nodes.iter().flat_map(|node| &node.said);
        assert!(said().count() > 1000);
        for said in said() {
            if let Meaning::Tells { weight, .. } = said.meaning {
                assert!(weight > 0.0 && weight < 1.0);
            }
        }
        let is = |word: &str, flag| lexicon().is(&Tokens::of(word).list[0], flag);
        assert!(is("Maria", flag::GIVEN) && is("Andrés", flag::GIVEN) && is("Nguyen", flag::SURNAME));
    }

    #[test]
    fn terms_are_found_as_whole_words_in_any_case() {
        assert_eq!(kinds("Type 2 Diabetes"), [Kind::Diagnosis]);
        assert_eq!(kinds("LISINOPRIL"), [Kind::Drug]);
        assert_eq!(kinds("Graves' disease"), kinds("Graves’s disease"));
        assert_eq!(kinds("Graves’ disease"), [Kind::Diagnosis]);
        assert_eq!(kinds("colonoscopy").first(), Some(&Kind::Procedure));
        assert_eq!(kinds("the copay"), [Kind::Billing]);
        assert!(kinds("shiver chive").is_empty());
        assert!(kinds("the spanner in the works").is_empty());
    }

    #[test]
    fn each_topic_lowers_once() {
        let lowered = |text: &str| {
            let mut hits = Hits::within(100);
            detect(&Tokens::of(text), &mut hits);
            hits.lowering.len()
        };
        assert_eq!(lowered("Unsubscribe from this newsletter about our canine friends"), 2);
        assert_eq!(lowered("see you on Tuesday"), 0);
    }

    #[test]
    fn a_term_goes_over_a_wrapped_line_and_ends_with_a_sentence() {
        assert_eq!(kinds("congestive heart\nfailure"), [Kind::Diagnosis]);
        assert!(kinds("by heart. Failure of").is_empty());
        assert_eq!(kinds("Impression: x"), [Kind::Care]);
        assert!(kinds("my impression of it").is_empty());
    }
}
