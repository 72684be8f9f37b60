//! winmail.dat: what Outlook packs a message into (MS-OXTNEF). Its text, its attachments and their names.

use bytes::Bytes;

use crate::extract::charset::decoded;
use crate::extract::reading::{Place, Reading};
use crate::extract::{Unread, rtf};
use crate::mime::Unreadable;
use crate::phi::Phi;

const SUBJECT: u32 = 0x0001_8004;
const BODY: u32 = 0x0002_800C;
const FILE_TITLE: u32 = 0x0001_8010;
const FILE_DATA: u32 = 0x0006_800F;
const FILE_BEGINS: u32 = 0x0006_9002;
const PROPERTIES: u32 = 0x0006_9003;
const FILE_PROPERTIES: u32 = 0x0006_9005;

/// MAPI property ids (MS-OXPROPS).
const P_SUBJECT: u16 = 0x0037;
const P_BODY: u16 = 0x1000;
const P_RTF: u16 = 0x1009;
const P_HTML: u16 = 0x1013;
const P_FILE_DATA: u16 = 0x3701;
const P_FILE_NAME: u16 = 0x3707;

/// Properties of one attribute; real ones have a hundred.
const MAX_PROPERTIES: usize = 5000;

pub(super) fn read(reading: &mut Reading<'_>, at: Place<'_>, octets: &Bytes) {
    let mut letter = Letter::default();
    // Behind the signature stands a key of two octets.
    let whole = letter.read(octets.get(6..).unwrap_or_default());
    let Letter { text, rich, pages, files } = letter;
    for packed in rich {
        match rtf::unpacked(&packed, reading.room()) {
            Ok(rich) => rtf::read(reading, Place { path: &at.below("rtf"), ..at }, &rich),
            Err(why) => reading.unreadable(&at.below("rtf"), at.media_type, why),
        }
    }
    for page in pages {
        reading.plain(Place { path: &at.below("page"), ..at }, "page.html", &page);
    }
    reading.text(at.path, at.media_type, text);
    if !whole {
        reading.unreadable(&at.below("rest"), at.media_type, Unreadable::Broken);
    }
    for (number, (name, data)) in files.into_iter().enumerate() {
        let path = at.below(&(number + 1).to_string());
        if let Err(why) = reading.one_more() {
            return reading.unreadable(&path, at.media_type, why);
        }
        reading.name(&path, &name);
        let media_type = "application/octet-stream".to_owned();
        let unread = Unread { media_type, name: Some(Phi::new(name)), octets: Phi::new(data.into()) };
        reading.inner(&path, &unread, at.depth + 1);
    }
}

#[derive(Default)]
struct Letter {
    text: String,
    rich: Vec<Vec<u8>>,
    pages: Vec<Vec<u8>>,
    files: Vec<(String, Vec<u8>)>,
}

impl Letter {
    /// Whether it was read to its end.
    fn read(&mut self, mut rest: &[u8]) -> bool {
        while !rest.is_empty() {
            let Some((_, id, data, after)) = attribute(rest) else { return false };
            match id {
                SUBJECT | BODY => self.line(&decoded(data, "windows-1252")),
                FILE_BEGINS => self.files.push(<(String, Vec<u8>)>::default()),
                FILE_TITLE => {
                    self.file(|name, _| *name = decoded(data, "windows-1252").trim_end_matches('\0').to_owned());
                }
                FILE_DATA => self.file(|_, octets| *octets = data.to_vec()),
                PROPERTIES | FILE_PROPERTIES => {
                    let Some(properties) = properties(data) else { return false };
                    properties.into_iter().for_each(|property| self.property(id, property));
                }
                _ => {}
            }
            rest = after;
        }
        true
    }

    fn property(&mut self, of: u32, (id, value): (u16, Value<'_>)) {
        match (of, id) {
            (PROPERTIES, P_SUBJECT | P_BODY) => self.line(&value.text()),
            (PROPERTIES, P_HTML) => self.pages.push(value.octets.to_vec()),
            (PROPERTIES, P_RTF) => self.rich.push(value.octets.to_vec()),
            (FILE_PROPERTIES, P_FILE_NAME) => self.file(|name, _| *name = value.text()),
            (FILE_PROPERTIES, P_FILE_DATA) => self.file(|_, octets| {
                // A message inside begins with the name of its interface, 16 octets long.
                *octets = value.octets.get(16..).filter(|_| value.is_object).unwrap_or(value.octets).to_vec();
            }),
            _ => {}
        }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end_matches('\0'));
        self.text.push('\n');
    }

    fn file(&mut self, change: impl FnOnce(&mut String, &mut Vec<u8>)) {
        if let Some((name, octets)) = self.files.last_mut() {
            change(name, octets);
        }
    }
}

/// Level, id, data, and what is behind the checksum.
fn attribute(octets: &[u8]) -> Option<(u8, u32, &[u8], &[u8])> {
    let (level, rest) = octets.split_first()?;
    let (id, rest) = number(rest)?;
    let (length, rest) = number(rest)?;
    let (data, rest) = rest.split_at_checked(length as usize)?;
    Some((*level, id, data, rest.get(2..)?))
}

fn number(octets: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = octets.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}

struct Value<'a> {
    octets: &'a [u8],
    is_wide: bool,
    is_object: bool,
}

impl Value<'_> {
    fn text(&self) -> String {
        let text = decoded(self.octets, if self.is_wide { "utf-16le" } else { "windows-1252" });
        text.trim_end_matches('\0').to_owned()
    }
}

/// The properties whose values are texts or octets; none when there are more than are looked at.
fn properties(data: &[u8]) -> Option<Vec<(u16, Value<'_>)>> {
    let (count, mut rest) = number(data)?;
    let mut found = Vec::new();
    for _ in 0..bounded(count)? {
        let (tag, after) = number(rest)?;
        let (kind, id) = ((tag & 0xffff) as u16, (tag >> 16) as u16);
        rest = if id >= 0x8000 { behind_name(after)? } else { after };
        let is_list = kind & 0x1000 != 0;
        let values = if is_list || is_long(kind) { number(rest)?.0 } else { 1 };
        rest = if is_list || is_long(kind) { number(rest)?.1 } else { rest };
        for _ in 0..bounded(values)? {
            let (octets, after) = value(kind & 0x0fff, rest)?;
            rest = after;
            if is_long(kind) {
                let kind = kind & 0x0fff;
                found.push((id, Value { octets, is_wide: kind == 0x1f, is_object: kind == 0x0d }));
            }
        }
    }
    Some(found)
}

fn bounded(count: u32) -> Option<usize> {
    usize::try_from(count).ok().filter(|count| *count <= MAX_PROPERTIES)
}

/// String, Unicode string, object, binary.
fn is_long(kind: u16) -> bool {
    matches!(kind & 0x0fff, 0x1e | 0x1f | 0x0d | 0x102)
}

fn value(kind: u16, rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if is_long(kind) {
        let (length, rest) = number(rest)?;
        let (value, _) = rest.split_at_checked(length as usize)?;
        return Some((value, rest.get((length as usize).next_multiple_of(4)..)?));
    }
    let length = match kind {
        0x05 | 0x06 | 0x07 | 0x14 | 0x40 => 8,
        0x48 => 16,
        _ => 4,
    };
    rest.split_at_checked(length)
}

/// A property with a name of its own: a set, and a number or a text.
fn behind_name(octets: &[u8]) -> Option<&[u8]> {
    let (kind, rest) = number(octets.get(16..)?)?;
    let (length, rest) = number(rest)?;
    if kind == 0 { Some(rest) } else { rest.get((length as usize).next_multiple_of(4)..) }
}
