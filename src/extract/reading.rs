//! One file being read: which reader it gets, and what all of them may spend together.

use crate::extract::format::Format;
use crate::extract::{Budget, Unread, pdf};
use crate::mime::{Content, Part, Unreadable};
use crate::phi::Phi;

/// What may come out of however little.
const SMALL: usize = 64 << 10;

pub(super) struct Reading<'a> {
    budget: &'a Budget,
    parts: Vec<Part>,
    /// Octets unpacked and octets of text so far.
    unpacked: usize,
    written: usize,
}

impl<'a> Reading<'a> {
    pub(super) fn new(budget: &'a Budget) -> Reading<'a> {
        Reading { budget, parts: Vec::new(), unpacked: 0, written: 0 }
    }

    /// Reads a file, and all that is in it.
    pub(super) fn file(&mut self, path: &str, unread: Unread, depth: usize) {
        // The readers are what the text is opened for.
        let octets = unread.octets.expose().clone();
        let at = Place { path, media_type: &unread.media_type, depth };
        match Format::of(&octets) {
            Some(Format::Pdf) => pdf::read(self, at, octets),
            None => self.unreadable(path, &unread.media_type, Unreadable::NoReader),
        }
    }

    /// A file inside a file.
    pub(super) fn inner(&mut self, path: &str, unread: Unread, depth: usize) {
        if depth > self.budget.depth {
            return self.unreadable(path, &unread.media_type, Unreadable::TooDeep);
        }
        self.file(path, unread, depth);
    }

    /// Counts what came out of something packed.
    pub(super) fn unpacked(&mut self, packed: usize, octets: usize) -> Result<(), Unreadable> {
        if octets > packed.saturating_mul(self.budget.ratio).max(SMALL) {
            return Err(Unreadable::RatioExceeded);
        }
        self.unpacked = self.unpacked.saturating_add(octets);
        if self.unpacked > self.budget.bytes { Err(Unreadable::TooLarge) } else { Ok(()) }
    }

    /// How much text there is room for.
    pub(super) fn room(&self) -> usize {
        self.budget.bytes.saturating_sub(self.written)
    }

    /// The text of a part, if there is room for it.
    pub(super) fn text(&mut self, path: &str, media_type: &str, text: String) {
        self.written = self.written.saturating_add(text.len());
        if self.written > self.budget.bytes {
            return self.unreadable(path, media_type, Unreadable::TooLarge);
        }
        self.add(path, media_type, Content::Text(Phi::new(text)));
    }

    pub(super) fn unreadable(&mut self, path: &str, media_type: &str, why: Unreadable) {
        self.add(path, media_type, Content::Unreadable(why));
    }

    fn add(&mut self, path: &str, media_type: &str, content: Content) {
        let most = self.budget.most_parts();
        if self.parts.len() < most {
            self.parts.push(Part { path: path.to_owned(), media_type: media_type.to_owned(), name: None, content });
        } else if let Some(last) = self.parts.last_mut() {
            last.content = Content::Unreadable(Unreadable::TooManyParts);
        }
    }

    pub(super) fn finish(self) -> Vec<Part> {
        self.parts
    }
}

/// Where a file lies, and as what it came.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub path: &'a str,
    pub media_type: &'a str,
    pub depth: usize,
}

impl Place<'_> {
    pub(super) fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}
