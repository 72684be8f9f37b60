//! One pass over a text: its words and numbers, folded and hashed, looked up, with what stands between them.
//!
//! Everything behind it works on tokens and looks at the text again only where a token promises something. A long text is
//! read in blocks, so that its tokens take bounded memory.

use std::borrow::Cow;
use std::ops::Range;

use crate::classify::lexicon::{self, Lexicon};

/// Octets of one block. Most messages are one; a block ends with a line where it can.
const BLOCK: usize = 256 << 10;
/// Where a block without a line end may be cut: between words, in its last part.
const CUT: usize = 64 << 10;

/// What a token is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `diabetes`, `iPhone`
    Lower,
    /// `Maribel`, `McDonald`
    Capital,
    /// `QUIST`, at least two letters
    Upper,
    /// `B`
    Initial,
    /// `00482913`
    Number,
    /// `A1c`, `Q5508`
    Mixed,
}

impl Class {
    pub(super) const fn has_digit(self) -> bool {
        matches!(self, Class::Number | Class::Mixed)
    }

    pub(super) const fn begins_large(self) -> bool {
        matches!(self, Class::Capital | Class::Upper | Class::Initial)
    }
}

/// What stands between a token and the one before; the strongest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// Marks and no space: `refill-request`, `(602)`.
    Joined,
    Space,
    /// Spaces and marks that do not end a sentence: a comma, a colon, a bracket.
    Mark,
    /// A full stop, a question mark or an exclamation mark in front of a space.
    Sentence,
    /// A tab, a bar, or three spaces: the next cell of a row.
    Cell,
    Line,
    /// An empty line, or the start of the text.
    Paragraph,
}

/// A word or a number. `'s` behind a word belongs to nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// In octets of the whole text.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Of the letters in lower case without accents. Numbers of three and more digits that are in no term, and mixed
    /// words of more than five characters, have one hash for each length.
    pub(super) hash: u32,
    /// What the lexicon knows of the word; `lexicon::UNKNOWN` if nothing.
    pub(super) entry: u32,
    /// Counted from the start of the block.
    pub(super) line: u32,
    /// Counted from the start of the line.
    pub(super) cell: u8,
    pub(super) class: Class,
    pub(super) gap: Gap,
    /// The first mark of the gap, which is no space: `:`, `,`, `(`. 0 without one, 0x80 for one outside ASCII,
    /// of which hyphens are `-`.
    pub(super) mark: u8,
}

impl Token {
    pub(super) const fn span(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) const fn length(&self) -> usize {
        (self.end - self.start) as usize
    }
}

/// The tokens of one block of a text.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    /// The whole text: spans are places in it.
    pub(super) text: &'a str,
    /// What was read of it.
    pub(super) block: Range<usize>,
    pub(super) list: Vec<Token>,
}

impl<'a> Tokens<'a> {
    /// Where to cut a text so that each block has bounded tokens.
    pub(super) fn blocks(text: &str) -> impl Iterator<Item = Range<usize>> {
        // Places are kept in 32 bits; the budgets of `mime` are far below.
        let end = text.floor_char_boundary(text.len().min(u32::MAX as usize));
        let mut at = 0;
        std::iter::from_fn(move || {
            let block = at..block_end(&text[..end], at);
            at = block.end;
            (!block.is_empty()).then_some(block)
        })
    }

    /// Reads one block. `room` is a list that is used again.
    pub(super) fn read(text: &'a str, block: Range<usize>, mut room: Vec<Token>) -> Tokens<'a> {
        room.clear();
        Reader { text, end: block.end, lexicon: lexicon::lexicon(), list: &mut room }.run(block.start);
        Tokens { text, block, list: room }
    }

    /// The whole of a text that is one block.
    #[cfg(test)]
    pub(super) fn of(text: &'a str) -> Tokens<'a> {
        Tokens::read(text, 0..text.len(), Vec::new())
    }

    pub(super) fn word(&self, token: &Token) -> &'a str {
        self.text.get(token.span()).unwrap_or_default()
    }

    /// What stands between a token and the one before it, or the start of the block.
    pub(super) fn between(&self, at: usize) -> &'a str {
        let end = self.list.get(at).map_or(self.block.end, |token| token.start as usize);
        let start = at.checked_sub(1).and_then(|before| self.list.get(before));
        self.text.get(start.map_or(self.block.start, |token| token.end as usize)..end).unwrap_or_default()
    }

    /// Whether nothing but one mark stands in front of a token: an octet, or a hyphen of three.
    pub(super) fn is_tied(&self, at: usize) -> bool {
        let between = self.between(at);
        between.len() == 1 || between.len() == 3 && between.chars().count() == 1
    }

    /// From the start of one token to the end of another.
    pub(super) fn span(&self, tokens: Range<usize>) -> Range<usize> {
        let first = self.list.get(tokens.start).map_or(0, |token| token.start as usize);
        let last = tokens.end.checked_sub(1).and_then(|last| self.list.get(last));
        first..last.map_or(first, |token| token.end as usize)
    }
}

pub(super) fn is_hyphen(character: char) -> bool {
    character == '-' || matches!(wide(character), Wide::Hyphen)
}

/// A text with every hyphen as `-`.
pub(super) fn with_plain_hyphens(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.replace(is_hyphen, "-")) }
}

fn block_end(text: &str, start: usize) -> usize {
    if text.len() - start <= BLOCK {
        return text.len();
    }
    let end = text.floor_char_boundary(start + BLOCK);
    let bytes = &text.as_bytes()[start..end];
    let line = memchr::memrchr(b'\n', bytes);
    let space = || memchr::memrchr(b' ', bytes).filter(|at| *at >= BLOCK - CUT);
    line.or_else(space).map_or(end, |at| start + at + 1)
}

/// The hashes of the words of a term.
pub(super) fn folded(term: &str) -> Vec<u64> {
    let (bytes, mut at) = (term.as_bytes(), 0);
    let mut words = Vec::new();
    while at < bytes.len() {
        let (word, end) = word_at(term, at, bytes.len());
        if end == at {
            at = term.ceil_char_boundary(at + 1);
            continue;
        }
        words.push(word.finish());
        at = end + if word.digits == 0 && word.letters() > 1 { possessive(&bytes[at..], end - at) } else { 0 };
    }
    words
}

/// A word of a term that any other of its length would be taken for.
#[cfg(test)]
pub(super) fn unlisted_number(term: &str) -> Option<&str> {
    let words = term.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.into_iter().find(|text| {
        let (word, _) = word_at(text, 0, text.len());
        word.finish() != word.hash.finish()
    })
}

/// The word that begins at a place, and where it ends: at once, if there is none.
fn word_at(text: &str, start: usize, end: usize) -> (Word, usize) {
    let bytes = &text.as_bytes()[..end];
    let mut word = Word::default();
    let mut at = start;
    while let Some(octet) = bytes.get(at) {
        match OCTETS.get(usize::from(*octet)) {
            Some(Octet::Small) => word.letter(*octet, false),
            Some(Octet::Large) => word.letter(*octet | 0x20, true),
            Some(Octet::Digit) => word.digit(*octet),
            Some(_) => break,
            None => {
                let character = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
                match wide(character) {
                    Wide::Letter { folded, large } => word.letter(folded, large),
                    Wide::Nothing if at > start => {}
                    Wide::Nothing | Wide::Space | Wide::Apostrophe | Wide::Hyphen | Wide::Other => break,
                }
                at += character.len_utf8() - 1;
            }
        }
        at += 1;
    }
    (word, at)
}

/// What an octet below 0x80 is to the reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Octet {
    Small,
    Large,
    Digit,
    Space,
    Line,
    Cell,
    Stop,
    Other,
}

const OCTETS: [Octet; 128] = {
    let mut table = [Octet::Other; 128];
    let mut at = 0;
    while at < 128 {
        table[at] = match at as u8 {
            b'a'..=b'z' => Octet::Small,
            b'A'..=b'Z' => Octet::Large,
            b'0'..=b'9' => Octet::Digit,
            b' ' | b'\r' => Octet::Space,
            b'\n' => Octet::Line,
            b'\t' | b'|' => Octet::Cell,
            b'.' | b'!' | b'?' => Octet::Stop,
            _ => Octet::Other,
        };
        at += 1;
    }
    table
};

/// A character outside ASCII: the letter it is folded to, or what else it is.
enum Wide {
    Letter {
        folded: u8,
        large: bool,
    },
    Space,
    /// Belongs to the word it stands in, and is not seen: a soft hyphen, a joiner, an accent of its own.
    Nothing,
    Apostrophe,
    /// What typesetting makes of a hyphen in a number, and a minus.
    Hyphen,
    Other,
}

fn wide(character: char) -> Wide {
    let large = character.is_uppercase();
    let letter = |folded| Wide::Letter { folded, large };
    match character {
        'À'..='Å' | 'à'..='å' | 'ā' | 'ă' | 'ą' => letter(b'a'),
        'È'..='Ë' | 'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => letter(b'e'),
        'Ì'..='Ï' | 'ì'..='ï' | 'ī' | 'ı' => letter(b'i'),
        'Ò'..='Ö' | 'ò'..='ö' | 'Ø' | 'ø' | 'ō' | 'ő' => letter(b'o'),
        'Ù'..='Ü' | 'ù'..='ü' | 'ū' | 'ů' | 'ű' => letter(b'u'),
        'Ñ' | 'ñ' | 'ń' | 'ň' => letter(b'n'),
        'Ç' | 'ç' | 'ć' | 'č' => letter(b'c'),
        'Ý' | 'ý' | 'ÿ' => letter(b'y'),
        'ś' | 'š' | 'Š' | 'ş' | 'ß' => letter(b's'),
        'ź' | 'ż' | 'ž' | 'Ž' => letter(b'z'),
        'Ł' | 'ł' => letter(b'l'),
        'ğ' => letter(b'g'),
        '\u{300}'..='\u{36f}' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => Wide::Nothing,
        '’' | 'ʼ' => Wide::Apostrophe,
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => Wide::Hyphen,
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => Wide::Space,
        other if other.is_alphabetic() => Wide::Letter { folded: (other as u32 % 251) as u8 | 0x80, large },
        _ => Wide::Other,
    }
}

/// What a word is while it is read.
#[derive(Default)]
struct Word {
    hash: lexicon::Hasher,
    small: usize,
    large: usize,
    digits: usize,
    begins_large: bool,
}

impl Word {
    fn letter(&mut self, folded: u8, large: bool) {
        self.hash.push(folded);
        self.begins_large |= large && self.small + self.large + self.digits == 0;
        self.large += usize::from(large);
        self.small += usize::from(!large);
    }

    fn digit(&mut self, digit: u8) {
        self.hash.push(digit);
        self.digits += 1;
    }

    const fn letters(&self) -> usize {
        self.small + self.large
    }

    const fn class(&self) -> Class {
        match (self.letters(), self.digits) {
            (0, _) => Class::Number,
            (_, 1..) => Class::Mixed,
            (1, 0) if self.begins_large => Class::Initial,
            (_, 0) if self.begins_large && self.small == 0 => Class::Upper,
            (_, 0) if self.begins_large => Class::Capital,
            (_, 0) => Class::Lower,
        }
    }

    /// Long numbers are all the same word, but for those that terms have: which one it is, is nobody's vocabulary.
    fn finish(&self) -> u64 {
        let length = self.letters() + self.digits;
        let exact = self.hash.finish();
        match self.class() {
            Class::Number if length > 2 && !lexicon::has_number(exact) => lexicon::hash_of_number(length),
            Class::Mixed if length > 5 => lexicon::hash_of_mixed(length),
            _ => exact,
        }
    }
}

struct Reader<'a, 'b> {
    text: &'a str,
    end: usize,
    lexicon: &'static Lexicon,
    list: &'b mut Vec<Token>,
}

/// What lies between two tokens, as far as it was read.
struct Between {
    gap: Gap,
    mark: u8,
    spaces: u8,
    stopped: bool,
    lines: u8,
}

impl Between {
    const NOTHING: Between = Between { gap: Gap::Joined, mark: 0, spaces: 0, stopped: false, lines: 0 };

    fn widen(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    fn space(&mut self) {
        self.spaces = self.spaces.saturating_add(1);
        let gap = match (self.stopped, self.mark, self.spaces) {
            (_, _, 3..) => Gap::Cell,
            (true, ..) => Gap::Sentence,
            (false, 0, _) => Gap::Space,
            (false, ..) => Gap::Mark,
        };
        self.widen(gap);
    }

    fn line(&mut self) {
        self.lines = self.lines.saturating_add(1);
        self.spaces = 0;
        self.widen(if self.lines > 1 { Gap::Paragraph } else { Gap::Line });
    }

    fn mark(&mut self, octet: u8) {
        self.mark = if self.mark == 0 { octet } else { self.mark };
        self.stopped = OCTETS.get(usize::from(octet)) == Some(&Octet::Stop);
        if self.spaces > 0 {
            self.widen(Gap::Mark);
        }
        self.spaces = 0;
    }
}

impl Reader<'_, '_> {
    fn run(mut self, start: usize) {
        let bytes = &self.text.as_bytes()[..self.end];
        let mut between = Between { gap: Gap::Paragraph, ..Between::NOTHING };
        let (mut at, mut line, mut cell) = (start, 0_u32, 0_u8);
        while let Some(octet) = bytes.get(at) {
            match OCTETS.get(usize::from(*octet)) {
                Some(Octet::Small | Octet::Large | Octet::Digit) => {
                    let known = Known { line, cell, between };
                    at = self.word(at, &known);
                    between = Between::NOTHING;
                    continue;
                }
                Some(Octet::Space) => {
                    between.space();
                    cell = cell.saturating_add(u8::from(between.spaces == 3));
                }
                Some(Octet::Line) => {
                    between.line();
                    (line, cell) = (line + 1, 0);
                }
                Some(Octet::Cell) => {
                    between.widen(Gap::Cell);
                    between.spaces = 0;
                    cell = cell.saturating_add(1);
                }
                Some(Octet::Stop | Octet::Other) => between.mark(*octet),
                None => {
                    let character = self.text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
                    match wide(character) {
                        Wide::Letter { .. } => {
                            let known = Known { line, cell, between };
                            at = self.word(at, &known);
                            between = Between::NOTHING;
                            continue;
                        }
                        Wide::Space => between.space(),
                        Wide::Nothing => {}
                        Wide::Hyphen => between.mark(b'-'),
                        Wide::Apostrophe | Wide::Other => between.mark(0x80),
                    }
                    at += character.len_utf8() - 1;
                }
            }
            at += 1;
        }
    }

    /// Reads the word that begins at `start`; gives where to go on.
    fn word(&mut self, start: usize, known: &Known) -> usize {
        let bytes = &self.text.as_bytes()[..self.end];
        let (word, at) = word_at(self.text, start, self.end);
        let hash = word.finish();
        self.list.push(Token {
            start: start as u32,
            end: at as u32,
            hash: lexicon::short(hash),
            entry: self.lexicon.entry(hash),
            line: known.line,
            cell: known.cell,
            class: word.class(),
            gap: known.between.gap,
            mark: known.between.mark,
        });
        at + if word.digits == 0 && word.letters() > 1 { possessive(&bytes[start..], at - start) } else { 0 }
    }
}

/// Where a word stands.
struct Known {
    line: u32,
    cell: u8,
    between: Between,
}

/// The octets of `'s` behind a word, and of the apostrophe behind one that ends with `s`: "Graves' disease".
fn possessive(text: &[u8], length: usize) -> usize {
    let (word, rest) = text.split_at(length.min(text.len()));
    let is_s = |octet: Option<&u8>| matches!(octet, Some(b's' | b'S'));
    let ends = |at: usize| !rest.get(at).is_some_and(|octet| octet.is_ascii_alphanumeric() || *octet >= 0x80);
    let mark = match rest {
        [b'\'', ..] => 1,
        [0xe2, 0x80, 0x99, ..] => 3,
        _ => return 0,
    };
    match (is_s(rest.get(mark)), is_s(word.last())) {
        (true, _) if ends(mark + 1) => mark + 1,
        (false, true) if ends(mark) => mark,
        (true | false, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let tokens = Tokens::of(text);
        tokens.list.iter().map(|token| tokens.word(token)).collect()
    }

    fn gaps(text: &str) -> Vec<Gap> {
        Tokens::of(text).list.iter().map(|token| token.gap).collect()
    }

    fn hash(text: &str) -> u32 {
        Tokens::of(text).list[0].hash
    }

    #[test]
    fn a_text_is_its_words_and_numbers() {
        assert_eq!(words("Mr. O'Brien's A1c: 7.2%"), ["Mr", "O", "Brien", "A1c", "7", "2"]);
        assert_eq!(words("José Núñez’s cita"), ["José", "Núñez", "cita"]);
        assert_eq!(words("the Graves’ disease"), ["the", "Graves", "disease"]);
        assert!(words(" ,; \n").is_empty());
    }

    #[test]
    fn a_word_has_one_hash_however_it_is_written() {
        assert_eq!(hash("DIABÉTICO"), hash("diabetico"));
        assert_eq!(hash("dia\u{ad}betes"), hash("diabetes"));
        assert_ne!(hash("diabetes"), hash("diabetic"));
        assert_eq!(hash("20417"), hash("99871"));
        assert_ne!(hash("20417"), hash("204171"));
        assert_ne!(hash("12"), hash("13"));
        assert_ne!(hash("1099"), hash("1098"));
        assert_eq!(hash("1097"), hash("1098"));
    }

    #[test]
    fn what_stands_between_is_told() {
        assert_eq!(gaps("a b"), [Gap::Paragraph, Gap::Space]);
        assert_eq!(gaps("a, b")[1], Gap::Mark);
        assert_eq!(gaps("a. B")[1], Gap::Sentence);
        assert_eq!(gaps("a-b")[1], Gap::Joined);
        assert_eq!(gaps("Graves' b")[1], Gap::Space);
        assert_eq!(gaps("Graves’ b")[1], Gap::Space);
        assert_eq!(gaps("his'b")[1], Gap::Joined);
        assert_eq!(gaps("a\tb | c   d")[1..], [Gap::Cell, Gap::Cell, Gap::Cell]);
        assert_eq!(gaps("a\r\nb\r\n\r\nc")[1..], [Gap::Line, Gap::Paragraph]);
        assert_eq!(Tokens::of("MRN: 12").list[1].mark, b':');
        assert_eq!(Tokens::of("219\u{2011}99").list[1].mark, b'-');
        assert_eq!(Tokens::of("a\tb\nc\td").list[3].cell, 1);
        assert_eq!(Tokens::of("a\tb\nc\td").list[3].line, 1);
    }

    #[test]
    fn a_class_says_what_a_word_is_made_of() {
        use Class::{Capital, Initial, Lower, Mixed, Number, Upper};
        let classes: Vec<Class> =
            Tokens::of("Ana B QUIST of iPhone McKee 12 a1c Ángel").list.iter().map(|token| token.class).collect();
        assert_eq!(classes, [Capital, Initial, Upper, Lower, Lower, Capital, Number, Mixed, Capital]);
    }

    #[test]
    fn blocks_cover_a_text_and_end_with_a_line() {
        let text = "hello there\n".repeat(100_000);
        let blocks: Vec<_> = Tokens::blocks(&text).collect();
        assert!(blocks.len() > 3);
        assert_eq!(blocks.last().unwrap().end, text.len());
        assert!(blocks.windows(2).all(|pair| pair[0].end == pair[1].start && text[..pair[0].end].ends_with('\n')));
        let wide = "é".repeat(300_000);
        assert_eq!(Tokens::blocks(&wide).map(|block| block.len()).sum::<usize>(), wide.len());
    }
}
