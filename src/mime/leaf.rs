//! What one leaf says: its names, its words in each reading, and what lies inside the words.

use bytes::Bytes;

use crate::mime::decode::Reader;
use crate::mime::heads::{Encoding, Head};
use crate::mime::walk::{Entity, Place, Reading, Walk, join, marked};
use crate::mime::{Content, Unreadable, cards, charset, decode, file_header, html, inside, rows, transfer};
use crate::phi::Phi;

/// Octets of a text that are looked at to see whether it is a page.
const LOOKED_AT: usize = 1 << 10;

/// One reading of a leaf on its way to the tree.
struct Leaf<'a> {
    /// Without and with the mark of the reading.
    unmarked: &'a str,
    path: &'a str,
    head: &'a Head,
    depth: usize,
    /// Its size as it travels, by which it may grow.
    encoded: usize,
}

impl Walk<'_> {
    pub(super) fn leaf(&mut self, reading: &Reading<'_>, body: &Bytes) {
        let Reading { entity, leaf: unmarked, head } = *reading;
        let Some(turn) = self.turn(body.len()) else { return };
        let path = marked(unmarked, turn);
        let leaf = Leaf { unmarked, path: &path, head, depth: entity.depth, encoded: body.len() };
        for (at, name) in head.names.iter().enumerate() {
            let text = Content::Text(Phi::new(name.clone()));
            self.add(join(&path, &marked("name", at + 1)), None, text);
        }
        match decode::reader(head) {
            Reader::Silent if self.is_signature(head, body) => {}
            Reader::Encrypted => self.unreadable(&path, head, Unreadable::Encrypted),
            Reader::None => {
                self.logo(head, body);
                let why = self.file(head, body);
                self.unreadable(&path, head, why);
            }
            // It calls itself a signature, and is something else.
            Reader::Silent => self.decoded(&leaf, body, Reader::Guess),
            reader @ (Reader::Plain | Reader::Html | Reader::Rows | Reader::Guess) => {
                self.decoded(&leaf, body, reader);
            }
        }
    }

    /// The text of a leaf, in each way that its encoding can be taken off.
    fn decoded(&mut self, leaf: &Leaf<'_>, body: &Bytes, reader: Reader) {
        let (path, head) = (leaf.path, leaf.head);
        let transfer::Decoded { octets, others } = match self.transfer(body, head.encoding) {
            Ok(decoded) => decoded,
            Err(why) => {
                self.logo(head, body);
                return self.unreadable(path, head, why);
            }
        };
        let mended = cards::mended(&octets);
        match characters(mended.as_deref().unwrap_or(&octets), head, reader) {
            Ok((text, other)) => {
                self.read(leaf, text, (reader, octets.len()));
                if let Some(other) = other {
                    self.again(leaf, other, reader);
                }
            }
            // A format that is not what its name says, for whoever reads it.
            Err(Unreadable::NoReader) => {
                self.logo(head, body);
                self.keep(octets);
                self.unreadable(path, head, Unreadable::NoReader);
            }
            Err(why) => self.unreadable(path, head, why),
        }
        for octets in others {
            // What is no text in a way that few programs take is not what was meant.
            if let Ok((text, _)) = characters(&octets, head, reader) {
                self.again(leaf, text, reader);
            }
        }
    }

    /// A further reading of a leaf's text.
    fn again(&mut self, leaf: &Leaf<'_>, text: String, reader: Reader) {
        let Some(turn) = self.turn(text.len()) else { return };
        let path = marked(leaf.unmarked, turn);
        let octets = text.len();
        self.read(&Leaf { path: &path, ..*leaf }, text, (reader, octets));
    }

    fn read(&mut self, leaf: &Leaf<'_>, text: String, (reader, octets): (Reader, usize)) {
        // A charset may make several octets of one.
        if text.len() > leaf.encoded.saturating_mul(self.budget.ratio) {
            return self.unreadable(leaf.path, leaf.head, Unreadable::RatioExceeded);
        }
        if self.grown(leaf, octets, text.len()) {
            return;
        }
        match reader {
            Reader::Html => self.page(leaf, &text),
            Reader::Rows => {
                let table = rows::text(&text);
                if !self.grown(leaf, text.len(), table.len()) {
                    self.say(leaf, table);
                }
            }
            Reader::Plain | Reader::Guess | Reader::Encrypted | Reader::Silent | Reader::None => self.plain(leaf, text),
        }
    }

    /// Counts what reading has made of so many octets, and says when it is too much.
    fn grown(&mut self, leaf: &Leaf<'_>, from: usize, to: usize) -> bool {
        self.decoded += to.saturating_sub(from);
        let too_much = self.decoded > self.budget.bytes;
        if too_much {
            self.unreadable(leaf.path, leaf.head, Unreadable::TooLarge);
        }
        too_much
    }

    fn plain(&mut self, leaf: &Leaf<'_>, text: String) {
        let cards = cards::is_any(&text);
        if cards && decode::is_card(leaf.head) {
            return self.cards(leaf, &text);
        }
        self.inside(leaf, &text);
        let cards = cards.then(|| text.clone());
        let page = is_page(&text).then(|| text.clone());
        let is_answer = leaf.head.media_type == "text/plain" && leaf.head.names.is_empty();
        let text = match leaf.head.flowed {
            Some(space) if is_answer => inside::joined(&text, space),
            Some(_) | None => text,
        };
        self.say(leaf, if is_answer { inside::unquoted(text) } else { text });
        // There are programs that look, and do not believe.
        if let Some(page) = page
            && let Some(turn) = self.turn(page.len())
        {
            self.page(&Leaf { path: &marked(leaf.unmarked, turn), ..*leaf }, &page);
        }
        if let Some(cards) = cards
            && let Some(turn) = self.turn(cards.len())
        {
            self.cards(&Leaf { path: &marked(leaf.unmarked, turn), ..*leaf }, &cards);
        }
    }

    /// What words hold that are no words: files, sealed ones, messages.
    fn inside(&mut self, leaf: &Leaf<'_>, text: &str) {
        if decode::has_file_inside(text) {
            self.unreadable(leaf.path, leaf.head, Unreadable::NoReader);
        }
        if decode::has_encrypted_armor(text) {
            self.unreadable(leaf.path, leaf.head, Unreadable::Encrypted);
        }
        self.message_inside(leaf, text);
    }

    /// Calendars and cards: their properties as lines, and the files in them.
    fn cards(&mut self, leaf: &Leaf<'_>, source: &str) {
        let cards::Cards { text, files, more } = cards::read(source, self.room_for_parts());
        if self.grown(leaf, source.len(), text.len()) {
            return;
        }
        self.inside(leaf, &text);
        if more {
            self.unreadable(leaf.path, leaf.head, Unreadable::TooManyParts);
        }
        self.say(leaf, text);
        if leaf.depth >= self.budget.depth && !files.is_empty() {
            return self.unreadable(leaf.path, leaf.head, Unreadable::TooDeep);
        }
        for (at, file) in files.into_iter().enumerate().rev() {
            let header = match (file.is_page, file.name.is_empty()) {
                (true, _) => "Content-Type: text/html; charset=utf-8\r\n".to_owned(),
                (false, true) => "Content-Type: application/octet-stream\r\n".to_owned(),
                (false, false) => file_header(file.name.as_bytes()),
            };
            let bytes = [header.as_bytes(), b"\r\n", &file.octets].concat().into();
            let section = join(leaf.path, &format!("file{}", at + 1));
            self.stack.push(Entity { bytes, section, depth: leaf.depth + 1, place: Place::Part });
        }
    }

    /// A message that was pasted, saved or sent back as text: its parts are encoded in ways that the text does not show.
    fn message_inside(&mut self, leaf: &Leaf<'_>, text: &str) {
        let is_file = !leaf.head.names.is_empty() && inside::is_message(text);
        let Some(at) = (if is_file { Some(0) } else { inside::message(text) }) else { return };
        if leaf.depth >= self.budget.depth {
            return self.unreadable(leaf.path, leaf.head, Unreadable::TooDeep);
        }
        let bytes = Bytes::copy_from_slice(&text.as_bytes()[at..]);
        let section = join(leaf.path, "mail");
        self.stack.push(Entity { bytes, section, depth: leaf.depth + 1, place: Place::Message });
    }

    fn page(&mut self, leaf: &Leaf<'_>, page: &str) {
        self.shown.extend(shown(page));
        let html::Page { seen, hidden, links, said, files } = html::read(page);
        if self.grown(leaf, page.len(), seen.len() + hidden.len() + links.len() + said.len()) {
            return;
        }
        self.say(leaf, seen);
        for (name, text) in [("hidden", hidden), ("links", links), ("alt", said)] {
            if !text.is_empty() {
                self.add(join(leaf.path, name), None, Content::Text(Phi::new(text)));
            }
        }
        if files > 0 {
            self.add(join(leaf.path, "data"), None, Content::Unreadable(Unreadable::NoReader));
        }
    }

    fn say(&mut self, leaf: &Leaf<'_>, text: String) {
        self.add(leaf.path.to_owned(), Some(leaf.head), Content::Text(Phi::new(text)));
    }

    /// Octets that have no head of their own, as text.
    pub(super) fn bare_text(&mut self, path: &str, octets: &Bytes, depth: usize) {
        let head = Head {
            media_type: "text/plain".into(),
            boundaries: Vec::new(),
            charset: None,
            names: Vec::new(),
            encoding: Encoding::Identity,
            flowed: None,
            inline_id: None,
        };
        let leaf = Leaf { unmarked: path, path, head: &head, depth, encoded: octets.len() };
        self.decoded(&leaf, octets, Reader::Plain);
    }

    fn is_signature(&self, head: &Head, body: &Bytes) -> bool {
        let room = self.budget.bytes.saturating_sub(self.decoded);
        transfer::decode(body, head.encoding, room)
            .is_ok_and(|decoded| decoded.others.is_empty() && decode::is_signature(&decoded.octets))
    }
}

/// The text, and the one that a program sees which believes the label where most do not.
fn characters(octets: &[u8], head: &Head, reader: Reader) -> Result<(String, Option<String>), Unreadable> {
    match reader {
        Reader::Guess => charset::guess(octets).map(|text| (text, None)),
        Reader::Html => {
            let meta = if head.charset.is_none() { charset_in_page(octets) } else { None };
            charset::text(octets, head.charset.as_deref().or(meta.as_deref()))
        }
        Reader::Plain | Reader::Rows | Reader::Encrypted | Reader::Silent | Reader::None => {
            charset::text(octets, head.charset.as_deref())
        }
    }
}

/// The charset that a page names itself (HTML §13.2.3.2).
fn charset_in_page(octets: &[u8]) -> Option<String> {
    let start = String::from_utf8_lossy(&octets[..octets.len().min(LOOKED_AT)]).to_ascii_lowercase();
    let named = start.split_once("charset=")?.1.trim_start_matches(['"', '\'', ' ']);
    let end = named.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(named.len());
    Some(named[..end].to_owned()).filter(|name| !name.is_empty() && !name.starts_with("utf-16"))
}

/// Whether a text is a page that does not say so.
fn is_page(text: &str) -> bool {
    let start = text.trim_start();
    let start = start[..start.floor_char_boundary(LOOKED_AT)].to_ascii_lowercase();
    let is_first = |tag: &&str| start.starts_with(*tag);
    start.contains("<html") || ["<!doctype html", "<body", "<table", "<div", "<p>"].iter().any(is_first)
}

/// The Content-IDs that a page refers to (RFC 2392).
fn shown(page: &str) -> Vec<String> {
    let behind = page.split("cid:").skip(1);
    let end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '>' | ')' | '<');
    behind.filter_map(|rest| rest.split(end).next()).map(str::to_owned).collect()
}
