//! One file being read: which reader it gets, and what all of them may spend together.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use crate::extract::format::{Format, is_picture};
use crate::extract::{Budget, Unread, archive, dicom, ole, pdf, rtf, tnef};
use crate::mime::{self, Content, Part, Unreadable};
use crate::phi::Phi;

/// What may come out of however little.
const SMALL: usize = 1 << 20;

pub(super) struct Reading<'a> {
    budget: &'a Budget,
    parts: Vec<Part>,
    /// Files inside files, octets unpacked and octets of text so far.
    files: usize,
    unpacked: usize,
    written: usize,
}

impl<'a> Reading<'a> {
    pub(super) fn new(budget: &'a Budget) -> Reading<'a> {
        Reading { budget, parts: Vec::new(), files: 0, unpacked: 0, written: 0 }
    }

    /// Reads a file, and all that is in it.
    pub(super) fn file(&mut self, path: &str, unread: &Unread, depth: usize) {
        // The readers are what the text is opened for.
        let octets = unread.octets.expose().clone();
        let at = Place { path, media_type: &unread.media_type, depth };
        // A panic in a reader is the end of this file, and of none that lies beside it. What it counted so far stands.
        let read = AssertUnwindSafe(|| self.by_format(at, unread, octets));
        if catch_unwind(read).is_err() {
            self.unreadable(path, &unread.media_type, Unreadable::Crashed);
        }
    }

    fn by_format(&mut self, at: Place<'_>, unread: &Unread, octets: Bytes) {
        match Format::of(&octets) {
            Some(Format::Pdf) => pdf::read(self, at, octets),
            Some(Format::Zip) => archive::zip(self, at, octets),
            Some(Format::Gzip) => archive::gzip(self, at, octets),
            Some(Format::Tar) => archive::tar(self, at, &octets),
            Some(Format::Compound) => ole::read(self, at, octets),
            Some(Format::Rtf) => rtf::read(self, at, &octets),
            Some(Format::Tnef) => tnef::read(self, at, &octets),
            Some(Format::Dicom) => dicom::read(self, at, &octets),
            // As above.
            None => self.plain(at, unread.name.as_ref().map(Phi::expose).map_or("", String::as_str), &octets),
        }
    }

    /// Text, a page, a message, or a format that nobody reads.
    pub(super) fn plain(&mut self, at: Place<'_>, name: &str, octets: &[u8]) {
        let Budget { depth, parts, ratio, .. } = *self.budget;
        let budget = mime::Budget { depth, parts, ratio, bytes: self.room() };
        let (parts, files) = mime::read_file(name, octets, &budget);
        let mut files: HashMap<usize, Phi<Bytes>> = files.into_iter().map(|file| (file.at, file.octets)).collect();
        for (number, part) in parts.into_iter().enumerate() {
            let path = if part.path.is_empty() { at.path.to_owned() } else { at.below(&part.path) };
            match (files.remove(&number), part.content) {
                // Its name is told by what it lay in.
                (None, Content::Text(_)) if part.path == "name" => {}
                (None, Content::Text(text)) => self.text(&path, &part.media_type, text.into_exposed()),
                (None, Content::Unreadable(why)) => self.unreadable(&path, &part.media_type, why),
                // Its format is none that has a reader.
                (Some(_), _) if part.path.is_empty() => {
                    let why = if is_picture(octets) { Unreadable::Scanned } else { Unreadable::NoReader };
                    self.unreadable(&path, &part.media_type, why);
                }
                (Some(octets), _) => {
                    let unread = Unread { media_type: part.media_type, name: part.name, octets };
                    self.inner(&path, &unread, at.depth + 1);
                }
            }
        }
    }

    /// A file inside a file.
    pub(super) fn inner(&mut self, path: &str, unread: &Unread, depth: usize) {
        if depth > self.budget.depth {
            return self.unreadable(path, &unread.media_type, Unreadable::TooDeep);
        }
        self.file(path, unread, depth);
    }

    /// Counts one more file inside a file.
    pub(super) fn one_more(&mut self) -> Result<(), Unreadable> {
        self.files += 1;
        if self.files > self.budget.parts { Err(Unreadable::TooManyParts) } else { Ok(()) }
    }

    /// What so many octets may grow to.
    pub(super) fn may_grow_to(&self, packed: usize) -> usize {
        packed.saturating_mul(self.budget.ratio).max(SMALL)
    }

    /// Counts what came out of something packed.
    pub(super) fn unpacked(&mut self, packed: usize, octets: usize) -> Result<(), Unreadable> {
        if octets > self.may_grow_to(packed) {
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

    /// What a file inside a file is called.
    pub(super) fn name(&mut self, path: &str, name: &str) {
        if !name.is_empty() {
            self.text(&format!("{path}.name"), "text/plain", name.to_owned());
        }
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
