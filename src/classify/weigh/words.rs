//! What the words of a text say, in one walk over its tokens: phrases with a meaning, sentences, and the pairs of words that
//! the model has learned.

use crate::classify::tokens::{Gap, Token, Tokens};
use crate::classify::weigh::cues::{self, Topic};
use crate::classify::{Hit, Sense};
use crate::phi::Axis;

/// Words and pairs of words fall into so many bins, each with a weight in the model.
pub const BINS: usize = 1 << BITS;
const BITS: u32 = 18;
/// A line that is shorter than this was ended by its writer, not by the edge of the page.
const WRAPPED: u32 = 60;
/// Cues that are kept of one message: a bound on memory, not met by what anybody has written.
const MAX_CUES: usize = 200_000;

/// The words and pairs of a message, each once.
#[derive(Debug, Clone)]
pub(in crate::classify) struct Grams {
    seen: Vec<u64>,
    pub(super) bins: Vec<u32>,
    pub(super) words: usize,
    /// Cues that are kept of all texts.
    cues: usize,
}

impl Grams {
    pub(in crate::classify) fn new() -> Grams {
        Grams { seen: vec![0; BINS / 64], bins: Vec::new(), words: 0, cues: 0 }
    }

    fn add(&mut self, hash: u32) {
        let bin = hash.wrapping_mul(0x85eb_ca6b) >> (32 - BITS);
        let bit = 1 << (bin % 64);
        if let Some(word) = self.seen.get_mut(bin as usize / 64)
            && *word & bit == 0
        {
            *word |= bit;
            self.bins.push(bin);
        }
    }
}

/// A phrase with a meaning, where it stands, and in which sentence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cue {
    pub(super) topic: Topic,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// What one text says.
#[derive(Debug, Default)]
pub(in crate::classify) struct Said {
    /// In the order of the text.
    pub(super) cues: Vec<Cue>,
    /// Where each sentence, line or cell begins.
    pub(super) sentences: Vec<u32>,
    /// Words in capitals.
    pub(super) large: usize,
    /// Whether there was room for all that it says.
    pub(in crate::classify) complete: bool,
}

impl Said {
    /// What a whole text says. `last` are the tokens of its last block, which for most texts is the only one; `hits` are
    /// those of the text, in its order.
    pub(in crate::classify) fn of(last: Tokens<'_>, hits: &[Hit], grams: &mut Grams) -> Said {
        let mut said = Said { complete: true, ..Said::default() };
        let mut tokens = last;
        for block in Tokens::blocks(tokens.text) {
            if tokens.block != block {
                tokens = Tokens::read(tokens.text, block, tokens.list);
            }
            said.read(&tokens, hits, grams);
        }
        said
    }

    /// Which sentence a place is in.
    pub(super) fn sentence(&self, at: u32) -> u32 {
        self.sentences.partition_point(|start| *start <= at) as u32
    }

    /// Reads the tokens of one block.
    fn read(&mut self, tokens: &Tokens<'_>, hits: &[Hit], grams: &mut Grams) {
        let first = hits.partition_point(|hit| hit.span.end <= tokens.block.start);
        let mut masks = hits[first..].iter().filter(|hit| hit.kind.axis() == Axis::Identifier).peekable();
        let mut line = 0;
        let mut before = START;
        let mut covered = 0;
        for (at, token) in tokens.list.iter().enumerate() {
            if self.begins(token, &mut line) {
                self.sentences.push(token.start);
                before = START;
            }
            self.large += usize::from(token.class.begins_large() && token.length() > 1 && is_shouted(tokens, token));
            if token.start < covered {
                continue;
            }
            while masks.peek().is_some_and(|hit| hit.span.end <= token.start as usize) {
                masks.next();
            }
            let mask = masks.peek().filter(|hit| hit.span.start <= token.start as usize);
            let word = match mask {
                // Who somebody is, is nobody's vocabulary; that a name stands there, is.
                Some(hit) => {
                    covered = hit.span.end as u32;
                    0x51ed_270b_u32
                        .wrapping_mul(hit.kind as u32 + if hit.sense == Sense::Professional { 101 } else { 1 })
                }
                None => token.hash,
            };
            grams.add(word);
            grams.add(before.rotate_left(13).wrapping_mul(0xc2b2_ae35) ^ word);
            before = word;
            self.cue(&tokens.list[at..], &mut grams.cues);
        }
        grams.words += tokens.list.len();
    }

    fn cue(&mut self, tokens: &[Token], kept: &mut usize) {
        let Some((length, topic)) = cues::phrase(tokens, goes_on) else { return };
        if *kept == MAX_CUES {
            self.complete = false;
            return;
        }
        if let (Some(first), Some(last)) = (tokens.first(), tokens.get(length - 1)) {
            self.cues.push(Cue { topic, start: first.start, end: last.end });
            *kept += 1;
        }
    }

    /// Whether a sentence begins with a token: behind a full stop, an empty line, or a line that its writer ended.
    fn begins(&self, token: &Token, line: &mut u32) -> bool {
        match token.gap {
            Gap::Joined | Gap::Space | Gap::Mark | Gap::Cell => self.sentences.is_empty(),
            Gap::Sentence | Gap::Paragraph => {
                *line = token.start;
                true
            }
            Gap::Line => {
                let short = token.start - *line < WRAPPED;
                *line = token.start;
                short || token.mark != 0
            }
        }
    }
}

/// What stands before the first word of a sentence.
const START: u32 = 0x2545_f491;

fn is_shouted(tokens: &Tokens<'_>, token: &Token) -> bool {
    tokens.word(token).chars().nth(1).is_some_and(char::is_uppercase)
}

const fn goes_on(token: &Token) -> bool {
    matches!(token.gap, Gap::Joined | Gap::Space | Gap::Line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phi::Kind;

    fn read(text: &str, hits: &[Hit]) -> (Said, Grams) {
        let (mut said, mut grams) = (Said::default(), Grams::new());
        said.read(&Tokens::of(text), hits, &mut grams);
        (said, grams)
    }

    #[test]
    fn a_word_and_a_pair_count_once() {
        let (_, once) = read("fever", &[]);
        let (_, twice) = read("fever\n\nfever", &[]);
        assert_eq!(once.bins, twice.bins);
        assert_eq!(once.bins.len(), 2);
    }

    #[test]
    fn who_somebody_is_does_not_matter() {
        let name = |length| [Hit::new(Kind::Name, 0..length, 0.9)];
        let (_, one) = read("Maribel Quist fell", &name(13));
        let (_, other) = read("Ottoline Grebe fell", &name(14));
        assert_eq!(one.bins, other.bins);
        let (_, unknown) = read("Ottoline Grebe fell", &[]);
        assert_ne!(one.bins, unknown.bins);
    }

    #[test]
    fn a_sentence_ends_with_a_stop_or_a_short_line_and_not_at_the_edge_of_the_page() {
        let (said, _) = read("He fell. She saw it.\nCame in", &[]);
        assert_eq!(said.sentences.len(), 3);
        let (said, _) = read("this is a line that is so long that a program has wrapped it at the\nedge", &[]);
        assert_eq!(said.sentences.len(), 1);
        assert_eq!((said.sentence(0), said.sentence(70)), (1, 1));
    }
}
