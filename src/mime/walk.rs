//! The way through a message: a stack of entities, never a call into itself, and a count of all that is done.

use std::collections::HashSet;

use bytes::Bytes;

use crate::mail::{Address, Message};
use crate::mime::heads::{self, Default, Encoding, Head};
use crate::mime::split::{self, Cut, Pieces};
use crate::mime::{Budget, Content, File, Part, Tree, Unreadable, fields, file_header, read, transfer, words};
use crate::phi::Phi;

/// Larger ones may show a document; smaller ones that a page shows itself are logos and spacers.
const LARGEST_LOGO: usize = 64 << 10;
/// Octets of a part's header that are read; no honest one comes near. The outer header has its limit on the wire.
const LONGEST_HEADER: usize = 256 << 10;
/// Readings of one message that are followed beside the first of each entity.
const MAX_READINGS: usize = 64;
const CONTROL: [&str; 6] =
    ["x-sealpost-secure", "sensitivity", "tls-required", "list-id", "list-unsubscribe", "precedence"];

pub(super) fn walk(message: &Message, budget: &Budget) -> (Tree, Vec<File>) {
    let header = message.header();
    let mut walk = Walk::new(budget);
    walk.stack.push(Entity { bytes: message.bytes().clone(), section: String::new(), depth: 0, place: Place::Message });
    while let Some(entity) = walk.stack.pop() {
        walk.entity(&entity);
    }
    let text = |name: &str| fields::named(header, name).next().map(|field| Phi::new(read::text(field.value)));
    let (parts, files) = walk.finish();
    let tree = Tree {
        subject: text("subject").unwrap_or_default(),
        from: authors(header).unwrap_or_default(),
        message_id: text("message-id"),
        parts,
        control: CONTROL.iter().flat_map(|name| control(header, name)).collect(),
    };
    (tree, files)
}

pub(super) fn file(name: &str, octets: &[u8], budget: &Budget) -> (Vec<Part>, Vec<File>) {
    let bytes = [file_header(name.as_bytes()).as_bytes(), b"\r\n", octets].concat();
    let mut walk = Walk::new(budget);
    walk.stack.push(Entity { bytes: bytes.into(), section: String::new(), depth: 0, place: Place::Part });
    while let Some(entity) = walk.stack.pop() {
        walk.entity(&entity);
    }
    walk.finish()
}

/// Every author of every From field; none at all when one of them cannot be read, since a reader may be shown that one.
fn authors(header: &[u8]) -> Option<Vec<Address>> {
    let fields: Option<Vec<_>> = fields::named(header, "from").map(|field| read::addresses(field.value)).collect();
    fields.map(|lists| lists.concat())
}

fn control(header: &[u8], name: &'static str) -> Vec<(String, Phi<String>)> {
    let values = fields::named(header, name).map(|field| Phi::new(read::text(field.value)));
    values.map(|value| (name.to_owned(), value)).collect()
}

/// What an entity is in: its header has other fields, and its body another section number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A message: the one that came, or one inside another.
    Message,
    Part,
    /// A part of a digest, which is a message unless it says otherwise (RFC 2046 §5.1.5).
    Digest,
}

pub(super) struct Entity {
    pub(super) bytes: Bytes,
    pub(super) section: String,
    pub(super) depth: usize,
    pub(super) place: Place,
}

/// An entity as one of its headers' readings has it.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) entity: &'a Entity,
    /// The path that it has if it is a leaf.
    pub(super) leaf: &'a str,
    pub(super) head: &'a Head,
}

pub(super) struct Walk<'a> {
    pub(super) budget: &'a Budget,
    pub(super) stack: Vec<Entity>,
    pub(super) parts: Vec<Part>,
    /// Entities met so far, and octets decoded.
    met: usize,
    pub(super) decoded: usize,
    /// Readings of the entity at hand; of the whole message beside the first ones, and their octets.
    turn: usize,
    readings: usize,
    again: usize,
    /// Ways in which the entity at hand was cut so far.
    passes: usize,
    /// Whether the entity at hand has readings that are not followed.
    more: bool,
    /// The Content-IDs that pages show, and the images that may be meant: at `parts[.0]`.
    pub(super) shown: HashSet<String>,
    logos: Vec<(usize, String)>,
    files: Vec<File>,
}

impl<'a> Walk<'a> {
    fn new(budget: &'a Budget) -> Walk<'a> {
        let (stack, parts, logos, files) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (shown, more) = (HashSet::new(), false);
        Walk {
            budget,
            stack,
            parts,
            met: 0,
            decoded: 0,
            turn: 0,
            readings: 0,
            again: 0,
            passes: 0,
            more,
            shown,
            logos,
            files,
        }
    }

    fn entity(&mut self, entity: &Entity) {
        self.met += 1;
        (self.turn, self.passes, self.more) = (0, 0, false);
        let default = if entity.place == Place::Digest { Default::Message } else { Default::Plain };
        let leaf = if entity.place == Place::Message { join(&entity.section, "1") } else { entity.section.clone() };
        for (number, (mut header, body)) in cuts(&entity.bytes).into_iter().enumerate() {
            if entity.depth > 0 && header.len() > LONGEST_HEADER {
                // Its parameters would cost their square. What it said of the body is not known, so nobody can say what that is.
                header.clear();
                self.add(join(&entity.section, "header"), None, Content::Unreadable(Unreadable::TooLarge));
            }
            if number == 0 {
                self.words(&header, entity);
            }
            let heads = heads::heads(&header, default);
            self.more |= heads.more;
            for head in &heads.all {
                self.reading(&Reading { entity, leaf: &leaf, head }, &body);
            }
        }
        if self.more {
            // There are more ways to read it than are followed.
            self.add(leaf, None, Content::Unreadable(Unreadable::Broken));
        }
    }

    fn reading(&mut self, reading: &Reading<'_>, body: &Bytes) {
        let head = reading.head;
        let is_container = head.is_multipart() || head.is_message();
        if reading.entity.depth >= self.budget.depth && is_container {
            return self.unreadable(reading.leaf, head, Unreadable::TooDeep);
        }
        if head.is_multipart() {
            return self.multipart(reading, body);
        }
        if head.is_message() {
            return self.nested(reading, body);
        }
        self.leaf(reading, body);
    }

    /// The number of a further reading of the entity at hand; none when no more are followed.
    pub(super) fn turn(&mut self, octets: usize) -> Option<usize> {
        if self.turn > 0 {
            if self.readings >= MAX_READINGS || self.again + octets > self.budget.bytes {
                self.more = true;
                return None;
            }
            self.readings += 1;
            self.again += octets;
        }
        self.turn += 1;
        Some(self.turn)
    }

    /// Whether octets may be gone through once more to see where they are cut: the first time is each entity's own.
    fn pass(&mut self, octets: usize) -> bool {
        if self.passes > 0 {
            if self.again + octets > self.budget.bytes {
                self.more = true;
                return false;
            }
            self.again += octets;
        }
        self.passes += 1;
        true
    }

    /// What people read and write in the header.
    fn words(&mut self, header: &[u8], entity: &Entity) {
        let all = match entity.place {
            Place::Message => words::of_message(header),
            Place::Part | Place::Digest => words::of_part(header).into_iter().collect(),
        };
        for words::Words { name, text } in all {
            let content =
                text.map_or(Content::Unreadable(Unreadable::TooManyParts), |text| Content::Text(Phi::new(text)));
            self.add(join(&entity.section, &name), None, content);
        }
    }

    fn multipart(&mut self, reading: &Reading<'_>, body: &Bytes) {
        let Reading { entity, leaf, head } = *reading;
        if head.media_type == "multipart/encrypted" {
            return self.unreadable(leaf, head, Unreadable::Encrypted);
        }
        if body.trim_ascii().is_empty() {
            return;
        }
        let mut bodies = vec![body.clone()];
        match head.encoding {
            Encoding::Identity | Encoding::Unknown => {}
            // RFC 2045 §6.4: a multipart has no encoding of its own; some take it off all the same.
            Encoding::Base64 | Encoding::QuotedPrintable => match self.transfer(body, head.encoding) {
                Ok(decoded) => {
                    bodies.push(decoded.octets);
                    bodies.extend(decoded.others);
                }
                Err(why) => self.unreadable(leaf, head, why),
            },
        }
        let ways: Vec<Pieces> = bodies.iter().flat_map(|body| self.ways(head, body)).collect();
        if ways.is_empty() {
            return bodies.iter().for_each(|body| self.uncut(leaf, body));
        }
        // The first reading is taken last from the stack's end, and so comes first.
        let place = if head.media_type == "multipart/digest" { Place::Digest } else { Place::Part };
        let mut entities = Vec::new();
        for pieces in ways {
            let Some(turn) = self.turn(pieces.octets()) else { break };
            entities.push(self.pieces(entity, (turn, place), pieces));
        }
        self.stack.extend(entities.into_iter().rev().flatten());
    }

    /// Entities that may still be added.
    pub(super) fn room_for_parts(&self) -> usize {
        self.budget.parts.saturating_sub(self.met + self.stack.len())
    }

    /// How a body may be cut: at each boundary that is in it, exactly and as lenient programs do.
    fn ways(&mut self, head: &Head, body: &Bytes) -> Vec<Pieces> {
        let most = self.room_for_parts();
        let mut ways = Vec::new();
        for boundary in &head.boundaries {
            if !self.pass(body.len()) {
                return ways;
            }
            let exact = split::split(body, boundary, most, Cut::Exact);
            let ambiguous = exact.ambiguous;
            ways.extend(Some(exact).filter(Pieces::is_any));
            if ambiguous && self.pass(body.len()) {
                ways.extend(Some(split::split(body, boundary, most, Cut::Lenient)).filter(Pieces::is_any));
            }
        }
        if ways.is_empty()
            && let Some(boundary) = split::guess(body)
            && self.pass(body.len())
        {
            ways.extend(Some(split::split(body, &boundary, most, Cut::Lenient)).filter(Pieces::is_any));
        }
        ways
    }

    /// The entities of one way to cut, the last one first, as the stack wants them.
    fn pieces(&mut self, entity: &Entity, (turn, place): (usize, Place), pieces: Pieces) -> Vec<Entity> {
        let section = |name: &str| join(&entity.section, &marked(name, turn));
        if !pieces.left.is_empty() {
            let path = if entity.section.is_empty() { marked("1", turn) } else { marked(&entity.section, turn) };
            self.add(path, None, Content::Unreadable(Unreadable::TooManyParts));
        }
        // No reader shows these, but they travel with the message.
        for (name, text) in [("preamble", &pieces.preamble), ("epilogue", &pieces.epilogue)] {
            if !text.trim_ascii().is_empty() {
                self.bare_text(&section(name), text, entity.depth);
            }
        }
        let numbered = pieces.parts.into_iter().enumerate().rev();
        let child = |(at, bytes): (usize, Bytes)| Entity {
            bytes,
            section: section(&(at + 1).to_string()),
            depth: entity.depth + 1,
            place,
        };
        numbered.map(child).collect()
    }

    /// A multipart that nobody can cut is shown as text; what is encoded in it stays unread.
    fn uncut(&mut self, leaf: &str, body: &Bytes) {
        let Some(turn) = self.turn(body.len()) else { return };
        let path = marked(leaf, turn);
        let encoded = memchr::memmem::find(&body.to_ascii_lowercase(), b"content-transfer-encoding:").is_some();
        if encoded {
            self.add(path.clone(), None, Content::Unreadable(Unreadable::Broken));
        }
        self.bare_text(&path, body, self.budget.depth);
    }

    fn nested(&mut self, reading: &Reading<'_>, body: &Bytes) {
        let Reading { entity, leaf, head } = *reading;
        let decoded = match head.encoding {
            // The same octets once more, which are counted where they are decoded.
            Encoding::Identity | Encoding::Unknown => Ok(vec![body.clone()]),
            // RFC 2046 §5.2.1 allows no encoding here; programs take it off all the same.
            Encoding::Base64 | Encoding::QuotedPrintable => {
                self.transfer(body, head.encoding).map(|decoded| [vec![decoded.octets], decoded.others].concat())
            }
        };
        let ways = match decoded {
            Ok(ways) => ways,
            Err(why) => return self.unreadable(leaf, head, why),
        };
        let mut entities = Vec::new();
        for bytes in ways {
            let Some(turn) = self.turn(bytes.len()) else { break };
            let section = marked(leaf, turn);
            entities.push(Entity {
                bytes: with_line_feeds(bytes),
                section,
                depth: entity.depth + 1,
                place: Place::Message,
            });
        }
        self.stack.extend(entities.into_iter().rev());
    }

    /// Remembers an image that may turn out to be a page's logo, at the place where its part will be.
    pub(super) fn logo(&mut self, head: &Head, body: &Bytes) {
        if let Some(id) =
            head.inline_id.clone().filter(|_| head.media_type.starts_with("image/") && is_image_name(head))
            && body.len() / 4 * 3 <= LARGEST_LOGO
        {
            self.logos.push((self.parts.len(), id));
        }
    }

    /// Keeps the octets for the reader of their format, at the place where the part will be.
    pub(super) fn file(&mut self, head: &Head, body: &Bytes) -> Unreadable {
        // RFC 2046 §5.2.2 and §5.2.3: there is no more here than a part of it, or where it lies.
        if !matches!(head.media_type.as_str(), "message/partial" | "message/external-body") {
            match self.transfer(body, head.encoding) {
                Ok(decoded) => self.keep(decoded.octets),
                Err(why) => return why,
            }
        }
        Unreadable::NoReader
    }

    pub(super) fn keep(&mut self, octets: Bytes) {
        self.files.push(File { at: self.parts.len(), octets: Phi::new(octets) });
    }

    /// Takes the encoding off, and counts what comes out in each reading.
    pub(super) fn transfer(&mut self, body: &Bytes, encoding: Encoding) -> Result<transfer::Decoded, Unreadable> {
        let room = self.budget.bytes.saturating_sub(self.decoded);
        let mut decoded = transfer::decode(body, encoding, room)?;
        self.decoded += decoded.octets.len();
        let room = self.budget.bytes.saturating_sub(self.decoded);
        let others: usize = decoded.others.iter().map(Bytes::len).sum();
        if others > room {
            self.more = true;
            decoded.others.clear();
        } else {
            self.decoded += others;
        }
        Ok(decoded)
    }

    pub(super) fn unreadable(&mut self, path: &str, head: &Head, why: Unreadable) {
        self.add(path.to_owned(), Some(head), Content::Unreadable(why));
    }

    /// A part; what has no head of its own is plain text.
    pub(super) fn add(&mut self, path: String, head: Option<&Head>, content: Content) {
        let media_type = head.map_or("text/plain", |head| head.media_type.as_str()).to_owned();
        let name = head.and_then(Head::name).map(|name| Phi::new(name.to_owned()));
        self.parts.push(Part { path, media_type, name, content });
    }

    /// The parts, without the logos that a page of the message shows, and without readings that say what another one says;
    /// and the files, at their places.
    fn finish(mut self) -> (Vec<Part>, Vec<File>) {
        let logos = self.logos.iter().filter(|(_, id)| self.shown.contains(id)).map(|(at, _)| *at);
        let mut left_out: HashSet<usize> = logos.collect();
        left_out.extend(same_again(&self.parts));
        self.files.retain(|file| !left_out.contains(&file.at));
        let mut places = Vec::with_capacity(self.parts.len());
        let mut parts = Vec::with_capacity(self.parts.len());
        for (at, part) in self.parts.into_iter().enumerate() {
            places.push(parts.len());
            if !left_out.contains(&at) {
                parts.push(part);
            }
        }
        for file in &mut self.files {
            file.at = places.get(file.at).copied().unwrap_or(file.at);
        }
        (parts, self.files)
    }
}

/// Further readings that show nothing new: nothing at all, or what another part shows.
fn same_again(parts: &[Part]) -> Vec<usize> {
    let is_further = |part: &Part| part.path.contains(READING);
    if !parts.iter().any(is_further) {
        return Vec::new();
    }
    let mut seen: HashSet<&str> = parts.iter().filter(|part| !is_further(part)).filter_map(text).collect();
    seen.insert("");
    let further = parts.iter().enumerate().filter(|(_, part)| is_further(part));
    further.filter(|(_, part)| text(part).is_some_and(|text| !seen.insert(text))).map(|(at, _)| at).collect()
}

/// What a part says, without the space around it.
fn text(part: &Part) -> Option<&str> {
    match &part.content {
        // It is compared, and goes nowhere.
        Content::Text(text) => Some(text.expose().trim()),
        Content::Unreadable(_) => None,
    }
}

/// Stands in a path in front of the number of a reading that is not the first.
const READING: char = '~';

/// `1` in the first reading, `1~2` in the second.
pub(super) fn marked(name: &str, turn: usize) -> String {
    if turn == 1 { name.to_owned() } else { format!("{name}{READING}{turn}") }
}

/// A message whose lines end with a carriage return alone, as it comes out of base64, has lines all the same.
fn with_line_feeds(bytes: Bytes) -> Bytes {
    let bare = memchr::memchr_iter(b'\r', &bytes).any(|at| bytes.get(at + 1) != Some(&b'\n'));
    if !bare {
        return bytes;
    }
    let mut lines = Vec::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => {}
            b'\r' => lines.push(b'\n'),
            other => lines.push(*other),
        }
    }
    Bytes::from(lines)
}

/// A reader opens what is called report.pdf as a document, whatever its type says.
fn is_image_name(head: &Head) -> bool {
    let name = head.name().map(str::to_ascii_lowercase);
    name.is_none_or(|name| {
        [".png", ".gif", ".jpg", ".jpeg", ".svg", ".webp", ".bmp"].iter().any(|end| name.ends_with(end))
    })
}

/// Header and body: parted at the first empty line, or where a program sees the header end before: at a line of blanks, or at
/// one that is no field.
fn cuts(bytes: &Bytes) -> Vec<(Bytes, Bytes)> {
    let mut further: Vec<(Bytes, Bytes)> = Vec::new();
    let (mut at, mut blank, mut odd) = (0, false, false);
    while at < bytes.len() {
        let line = &bytes[at..at + fields::line_end(&bytes[at..])];
        let end = at + line.len();
        if line == b"\r\n" || line == b"\n" {
            further.insert(0, (bytes.slice(..at), bytes.slice(end..)));
            return further;
        }
        if !blank && line.trim_ascii().is_empty() {
            further.push((bytes.slice(..at), bytes.slice(end..)));
            blank = true;
        } else if !odd && !line.starts_with(b" ") && !line.starts_with(b"\t") && !is_field(line) {
            // A mailbox file puts a line of its own in front of each message.
            if at > 0 || !(line.starts_with(b"From ") || line.starts_with(b">From ")) {
                further.push((bytes.slice(..at), bytes.slice(at..)));
                odd = true;
            }
        }
        at = end;
    }
    further.insert(0, (bytes.clone(), Bytes::new()));
    further
}

/// RFC 5322 §2.2: a name of printable characters, and a colon; a space may stand in front of it (§4.5).
fn is_field(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else { return false };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "readings_tests.rs"]
mod readings;
