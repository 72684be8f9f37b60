//! The way through a message: a stack of entities, never a call into itself, and a count of all that is done.

use std::collections::HashSet;

use bytes::Bytes;

use crate::mail::{Address, Message};
use crate::mime::read::{self, Default, Encoding, Head, Structure};
use crate::mime::{Budget, Content, File, Part, Tree, Unreadable, decode, fields, file_header, split};
use crate::phi::Phi;

/// Larger ones may show a document; smaller ones that a page shows itself are logos and spacers.
const LARGEST_LOGO: usize = 64 << 10;
/// Octets of a part's header that are read; no honest one comes near. The outer header has its limit on the wire.
const LONGEST_HEADER: usize = 256 << 10;
/// Subjects of one message that are read. More than one is ambiguous already, and so counts as PHI whatever the rest say.
const MAX_SUBJECTS: usize = 10;
/// Fields of which a second one makes two readers see two messages (RFC 5322 §3.6 allows one each).
const SINGLE: [&str; 3] = ["from", "subject", "message-id"];
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
enum Place {
    /// A message: the one that came, or one inside another.
    Message,
    Part,
    /// A part of a digest, which is a message unless it says otherwise (RFC 2046 §5.1.5).
    Digest,
}

struct Entity {
    bytes: Bytes,
    section: String,
    depth: usize,
    place: Place,
}

struct Walk<'a> {
    budget: &'a Budget,
    stack: Vec<Entity>,
    parts: Vec<Part>,
    /// Entities met so far, and octets decoded.
    met: usize,
    decoded: usize,
    /// The Content-IDs that pages show, and the images that may be meant: at `parts[.0]`.
    shown: HashSet<String>,
    logos: Vec<(usize, String)>,
    files: Vec<File>,
}

impl<'a> Walk<'a> {
    fn new(budget: &'a Budget) -> Walk<'a> {
        let (stack, parts, logos) = (Vec::new(), Vec::new(), Vec::new());
        Walk { budget, stack, parts, met: 0, decoded: 0, shown: HashSet::new(), logos, files: Vec::new() }
    }

    fn entity(&mut self, entity: &Entity) {
        self.met += 1;
        let (mut header, body) = cut(&entity.bytes);
        let default = if entity.place == Place::Digest { Default::Message } else { Default::Plain };
        if entity.depth > 0 && header.len() > LONGEST_HEADER {
            // Its parameters would cost their square. What it said of the body is not known, so nobody can say what that is.
            header.clear();
            self.add(join(&entity.section, "header"), None, Content::Unreadable(Unreadable::TooLarge));
        }
        let head = read::head(&header, default);
        if entity.place == Place::Message {
            self.message(&header, &entity.section);
        }
        let leaf = if entity.place == Place::Message { join(&entity.section, "1") } else { entity.section.clone() };
        if head.structure == Structure::Ambiguous {
            self.unreadable(&leaf, &head, Unreadable::Broken);
        }
        if entity.depth >= self.budget.depth && is_container(&head) {
            return self.unreadable(&leaf, &head, Unreadable::TooDeep);
        }
        if head.media_type.starts_with("multipart/") {
            return self.multipart(entity, &head, &body);
        }
        if matches!(head.media_type.as_str(), "message/rfc822" | "message/global") {
            let nested = Entity { section: leaf, bytes: body, depth: entity.depth + 1, place: Place::Message };
            return self.nested(nested, &head);
        }
        self.leaf(leaf, &head, &body);
    }

    /// The subjects of a message are parts of their own; a message that has two has no clear reading.
    fn message(&mut self, header: &[u8], section: &str) {
        for field in fields::named(header, "subject").take(MAX_SUBJECTS) {
            let subject = Content::Text(Phi::new(read::text(field.value)));
            self.add(join(section, "subject"), None, subject);
        }
        if SINGLE.iter().any(|name| fields::named(header, name).nth(1).is_some()) {
            self.add(join(section, "header"), None, Content::Unreadable(Unreadable::Broken));
        }
    }

    fn multipart(&mut self, entity: &Entity, head: &Head, body: &Bytes) {
        let section = if entity.section.is_empty() { "1" } else { entity.section.as_str() };
        if head.media_type == "multipart/encrypted" {
            return self.unreadable(section, head, Unreadable::Encrypted);
        }
        let most = self.budget.parts.saturating_sub(self.met + self.stack.len());
        let Some(boundary) = head.boundary.as_deref() else { return self.broken(section, head, body) };
        let pieces = split::split(body, boundary, most);
        // RFC 2045 §6.4: a multipart has no encoding of its own.
        let encoded = !matches!(head.encoding, Encoding::Identity);
        if pieces.parts.is_empty() && pieces.left.is_empty() {
            return self.broken(section, head, body);
        }
        if pieces.ambiguous || encoded {
            self.unreadable(section, head, Unreadable::Broken);
        }
        if !pieces.left.is_empty() {
            self.unreadable(section, head, Unreadable::TooManyParts);
        }
        // No reader shows these, but they travel with the message.
        for (name, text) in [("preamble", &pieces.preamble), ("epilogue", &pieces.epilogue)] {
            if !text.trim_ascii().is_empty() {
                self.bare_text(join(&entity.section, name), text);
            }
        }
        let place = if head.media_type == "multipart/digest" { Place::Digest } else { Place::Part };
        for (at, bytes) in pieces.parts.into_iter().enumerate().rev() {
            let section = join(&entity.section, &(at + 1).to_string());
            self.stack.push(Entity { bytes, section, depth: entity.depth + 1, place });
        }
    }

    fn nested(&mut self, entity: Entity, head: &Head) {
        let decoded = match head.encoding {
            // The same octets once more, which are counted where they are decoded.
            Encoding::Identity => Ok(entity.bytes.clone()),
            other => self.transfer(&entity.bytes, other),
        };
        match decoded {
            Ok(bytes) => {
                self.stack.push(Entity { bytes, ..entity });
            }
            Err(why) => self.unreadable(&entity.section, head, why),
        }
    }

    fn leaf(&mut self, section: String, head: &Head, body: &Bytes) {
        let reader = decode::reader(head);
        let content = match reader {
            decode::Reader::Silent if self.is_signature(head, body) => return,
            // It calls itself a signature, and is something else.
            decode::Reader::Silent => self.text(head, body, decode::Reader::Guess),
            decode::Reader::Encrypted => Err(Unreadable::Encrypted),
            decode::Reader::None => {
                self.logo(head, body);
                Err(Unreadable::NoReader)
            }
            decode::Reader::Plain | decode::Reader::Html | decode::Reader::Guess => self.text(head, body, reader),
        };
        if let Some(name) = &head.name {
            let text = Content::Text(Phi::new(name.clone()));
            self.add(join(&section, "name"), None, text);
        }
        let content = if content == Err(Unreadable::NoReader) { self.file(head, body) } else { content };
        if content == Err(Unreadable::Broken) && body.len() + self.decoded <= self.budget.bytes {
            // What can be made out of it is classified too.
            self.bare_text(section.clone(), body);
        }
        if content.as_ref().is_ok_and(|text| decode::has_uuencoded_file(text)) {
            self.unreadable(&section, head, Unreadable::NoReader);
        }
        if content.as_ref().is_ok_and(|text| decode::has_encrypted_armor(text)) {
            self.unreadable(&section, head, Unreadable::Encrypted);
        }
        let content = content.map_or_else(Content::Unreadable, |text| Content::Text(Phi::new(text)));
        self.add(section, Some(head), content);
    }

    /// Keeps the octets for the reader of their format, at the place where the part will be.
    fn file(&mut self, head: &Head, body: &Bytes) -> Result<String, Unreadable> {
        // RFC 2046 §5.2.2 and §5.2.3: there is no more here than a part of it, or where it lies.
        if !matches!(head.media_type.as_str(), "message/partial" | "message/external-body") {
            let octets = Phi::new(self.transfer(body, head.encoding)?);
            self.files.push(File { at: self.parts.len(), octets });
        }
        Err(Unreadable::NoReader)
    }

    fn text(&mut self, head: &Head, body: &Bytes, reader: decode::Reader) -> Result<String, Unreadable> {
        let octets = self.transfer(body, head.encoding)?;
        if reader == decode::Reader::Html {
            self.shown.extend(shown(&octets));
        }
        let text = decode::text(&octets, head, reader).inspect_err(|_| self.decoded -= octets.len())?;
        // A charset may make several octets of one.
        if text.len() > body.len().saturating_mul(self.budget.ratio) {
            return Err(Unreadable::RatioExceeded);
        }
        self.decoded += text.len().saturating_sub(octets.len());
        if self.decoded > self.budget.bytes { Err(Unreadable::TooLarge) } else { Ok(text) }
    }

    fn transfer(&mut self, body: &Bytes, encoding: Encoding) -> Result<Bytes, Unreadable> {
        let octets = decode::transfer(body, encoding, self.budget.bytes.saturating_sub(self.decoded))?;
        self.decoded += octets.len();
        Ok(octets)
    }

    fn is_signature(&self, head: &Head, body: &Bytes) -> bool {
        let room = self.budget.bytes.saturating_sub(self.decoded);
        decode::transfer(body, head.encoding, room).is_ok_and(|octets| decode::is_signature(&octets))
    }

    /// Remembers an image that may turn out to be a page's logo, at the place where its part will be.
    fn logo(&mut self, head: &Head, body: &Bytes) {
        let name = usize::from(head.name.is_some());
        if let Some(id) =
            head.inline_id.clone().filter(|_| head.media_type.starts_with("image/") && is_image_name(head))
            && body.len() / 4 * 3 <= LARGEST_LOGO
        {
            self.logos.push((self.parts.len() + name, id));
        }
    }

    /// A multipart that cannot be cut: unreadable as such, and its octets as text.
    fn broken(&mut self, section: &str, head: &Head, body: &Bytes) {
        self.unreadable(section, head, Unreadable::Broken);
        self.bare_text(section.to_owned(), body);
    }

    fn bare_text(&mut self, path: String, octets: &Bytes) {
        let text = match self.transfer(octets, Encoding::Identity) {
            Ok(octets) => Content::Text(Phi::new(String::from_utf8_lossy(&octets).into_owned())),
            Err(why) => Content::Unreadable(why),
        };
        self.add(path, None, text);
    }

    fn unreadable(&mut self, section: &str, head: &Head, why: Unreadable) {
        self.add(section.to_owned(), Some(head), Content::Unreadable(why));
    }

    /// A part; what has no head of its own is plain text.
    fn add(&mut self, path: String, head: Option<&Head>, content: Content) {
        let media_type = head.map_or("text/plain", |head| head.media_type.as_str()).to_owned();
        let name = head.and_then(|head| head.name.clone()).map(Phi::new);
        self.parts.push(Part { path, media_type, name, content });
    }

    /// The parts, without the logos that a page of the message shows; and the files, at their places.
    fn finish(mut self) -> (Vec<Part>, Vec<File>) {
        let logos = self.logos.into_iter().filter(|(_, id)| self.shown.contains(id)).map(|(at, _)| at);
        let logos: HashSet<usize> = logos.collect();
        self.files.retain(|file| !logos.contains(&file.at));
        for file in &mut self.files {
            file.at -= logos.iter().filter(|logo| **logo < file.at).count();
        }
        let parts = self.parts.into_iter().enumerate().filter(|(at, _)| !logos.contains(at));
        (parts.map(|(_, part)| part).collect(), self.files)
    }
}

/// A reader opens what is called report.pdf as a document, whatever its type says.
fn is_image_name(head: &Head) -> bool {
    let name = head.name.as_deref().map(str::to_ascii_lowercase);
    name.is_none_or(|name| {
        [".png", ".gif", ".jpg", ".jpeg", ".svg", ".webp", ".bmp"].iter().any(|end| name.ends_with(end))
    })
}

fn is_container(head: &Head) -> bool {
    head.media_type.starts_with("multipart/") || matches!(head.media_type.as_str(), "message/rfc822" | "message/global")
}

/// Header and body, parted at the first empty line.
fn cut(bytes: &Bytes) -> (Bytes, Bytes) {
    let mut at = 0;
    while at < bytes.len() {
        let end = at + fields::line_end(&bytes[at..]);
        if &bytes[at..end] == b"\r\n" || &bytes[at..end] == b"\n" {
            return (bytes.slice(..at), bytes.slice(end..));
        }
        at = end;
    }
    (bytes.clone(), Bytes::new())
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// The Content-IDs that a page refers to (RFC 2392).
fn shown(page: &[u8]) -> Vec<String> {
    let page = String::from_utf8_lossy(page);
    let behind = page.split("cid:").skip(1);
    let end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '>' | ')' | '<');
    behind.filter_map(|rest| rest.split(end).next()).map(str::to_owned).collect()
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
