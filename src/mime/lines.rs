//! Words on their way to a text: white space becomes one space, one tab, or one line end, whichever says most.

use memchr::memchr;

use crate::mime::attributes;

/// What lies between two words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    #[default]
    None,
    Space,
    /// A block's edge: a line end, unless a cell begins there.
    Block,
    /// The edge of a cell.
    Tab,
    /// The edge of a row.
    Line,
}

/// Empty cells in a row that keep the columns in their places; no table of people has more.
const MAX_TABS: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    gap: Gap,
    tabs: usize,
}

impl Lines {
    pub(super) fn within(room: usize) -> Lines {
        Lines { text: String::with_capacity(room), gap: Gap::None, tabs: 0 }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    pub(super) fn gap(&mut self, gap: Gap) {
        match gap {
            Gap::Tab if self.gap != Gap::Line => {
                self.tabs = if self.gap == Gap::Tab { (self.tabs + 1).min(MAX_TABS) } else { 1 };
                self.gap = Gap::Tab;
            }
            // An empty first cell of a row.
            Gap::Tab => self.tabs = (self.tabs + 1).min(MAX_TABS),
            Gap::Line => {
                self.gap = Gap::Line;
                self.tabs = 0;
            }
            other => self.gap = self.gap.max(other),
        }
    }

    /// Words of a page: entities decoded, what has no width left out.
    pub(super) fn words(&mut self, source: &str) {
        let mut rest = source;
        while let Some(at) = memchr(b'&', rest.as_bytes()) {
            self.plain(&rest[..at]);
            let (character, length) = attributes::entity(&rest[at..]);
            match character {
                Some(character) => self.plain(character.encode_utf8(&mut [0; 4])),
                None => self.plain(&rest[at..at + length]),
            }
            rest = &rest[at + length..];
        }
        self.plain(rest);
    }

    /// Words in which any run of white space is one space.
    pub(super) fn plain(&mut self, source: &str) {
        let mut rest = source;
        loop {
            let word = rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{c}']);
            if word.len() < rest.len() {
                self.gap = self.gap.max(Gap::Space);
            }
            if word.is_empty() {
                return;
            }
            let bytes = word.as_bytes();
            let end =
                bytes.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0xc)).unwrap_or(bytes.len());
            self.word(&word[..end]);
            rest = &word[end..];
        }
    }

    /// Words whose line ends are drawn.
    pub(super) fn as_is(&mut self, source: &str) {
        for (number, line) in source.split('\n').enumerate() {
            if number > 0 {
                self.gap(Gap::Line);
            }
            self.words(line);
        }
    }

    fn word(&mut self, word: &str) {
        if word.is_ascii() {
            self.flush();
            return self.text.push_str(word);
        }
        for character in word.chars() {
            match character {
                // Nobody sees these; they part numbers and words for programs only.
                '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {}
                '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
                    self.gap = self.gap.max(Gap::Space);
                }
                '\u{85}' | '\u{2028}' | '\u{2029}' => self.gap = self.gap.max(Gap::Line),
                other => {
                    self.flush();
                    self.text.push(other);
                }
            }
        }
    }

    fn flush(&mut self) {
        if self.gap == Gap::None {
            return;
        }
        let (gap, tabs) = (std::mem::take(&mut self.gap), std::mem::take(&mut self.tabs));
        if self.text.is_empty() {
            return;
        }
        match gap {
            Gap::None => {}
            Gap::Space => self.text.push(' '),
            Gap::Tab => self.text.extend(std::iter::repeat_n('\t', tabs)),
            Gap::Block | Gap::Line => {
                self.text.push('\n');
                self.text.extend(std::iter::repeat_n('\t', tabs));
            }
        }
    }
}
