//! The compound files of Office 97 to 2003 and of Outlook: DOC, XLS, PPT, MSG; and what hides encrypted documents of today.

mod doc;
mod msg;
mod ppt;

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::extract::charset::decoded;
use crate::extract::reading::{Place, Reading};
use crate::extract::{Unread, sheets};
use crate::mime::Unreadable;
use crate::phi::Phi;

/// Storages and streams of one file that are looked at.
const MAX_STREAMS: usize = 20_000;
/// A document with fewer letters than this, and more octets of pictures than that, is the picture.
const LETTERS_OF_A_CAPTION: usize = 200;
const PICTURE_BYTES: u64 = 30 << 10;

pub(super) struct Compound {
    file: cfb::CompoundFile<Cursor<Bytes>>,
    most: usize,
}

pub(super) fn read(reading: &mut Reading<'_>, at: Place<'_>, octets: Bytes) {
    let Ok(file) = cfb::CompoundFile::open(Cursor::new(octets.clone())) else {
        return reading.unreadable(at.path, at.media_type, Unreadable::Broken);
    };
    let mut compound = Compound { file, most: octets.len() };
    if compound.has("/EncryptedPackage") || compound.has("/EncryptedSummary") {
        reading.unreadable(at.path, at.media_type, Unreadable::Encrypted);
    } else if compound.has("/WordDocument") {
        let text = doc::text(&mut compound);
        document(reading, at, (text, compound.size("/Data")));
        unread(reading, at, ("object", compound.has_objects("/ObjectPool", "")));
    } else if compound.has("/Workbook") || compound.has("/Book") {
        unread(reading, at, ("object", compound.has_objects("/", "MBD")));
        unread(reading, at, ("pivot", compound.has_objects("/", "_SX_DB_CUR")));
        unread(reading, at, ("remarks", has_remarks(&mut compound)));
        sheets::legacy(reading, at, octets);
    } else if compound.has("/PowerPoint Document") {
        let read = ppt::text(&mut compound);
        let objects = read.as_ref().is_ok_and(|slides| slides.objects);
        document(reading, at, (read.map(|slides| slides.text), compound.size("/Pictures")));
        unread(reading, at, ("object", objects));
    } else if compound.has("/__properties_version1.0") {
        msg::read(reading, at, &mut compound);
    } else {
        object(reading, at, &mut compound);
    }
}

/// Says that the file holds something that is not read here, if it does.
fn unread(reading: &mut Reading<'_>, at: Place<'_>, (what, is_there): (&str, bool)) {
    if is_there {
        reading.unreadable(&at.below(what), at.media_type, Unreadable::NoReader);
    }
}

/// MS-XLS §2.4.179 and §2.4.329: remarks and the text of boxes, which stand beside the cells.
fn has_remarks(compound: &mut Compound) -> bool {
    const REMARK: u16 = 0x001c;
    const BOX: u16 = 0x01b6;
    let Ok(book) = compound.stream(if compound.has("/Workbook") { "/Workbook" } else { "/Book" }) else { return false };
    let mut at = 0;
    while let Some((kind, length)) = short(&book, at).zip(short(&book, at + 2)) {
        if matches!(kind, REMARK | BOX) {
            return true;
        }
        at += 4 + usize::from(length);
    }
    false
}

/// The text of a document, and how many octets of pictures it has.
fn document(reading: &mut Reading<'_>, at: Place<'_>, (text, pictures): (Result<String, Unreadable>, u64)) {
    match text {
        Ok(text) => {
            let letters = text.chars().filter(|letter| letter.is_alphanumeric()).take(LETTERS_OF_A_CAPTION).count();
            reading.text(at.path, at.media_type, text);
            if pictures > PICTURE_BYTES && letters < LETTERS_OF_A_CAPTION {
                reading.unreadable(&at.below("picture"), at.media_type, Unreadable::Scanned);
            }
        }
        Err(why) => reading.unreadable(at.path, at.media_type, why),
    }
}

/// A file that was put into a document: as it is, or in the wrapping of Windows' packager.
fn object(reading: &mut Reading<'_>, at: Place<'_>, compound: &mut Compound) {
    let whole = ["/Package", "/CONTENTS"].into_iter().find(|stream| compound.has(stream));
    let file = match whole {
        Some(stream) => compound.stream(stream).map(|octets| (String::new(), octets)),
        None if compound.has("/\u{1}Ole10Native") => {
            compound.stream("/\u{1}Ole10Native").and_then(|octets| unwrapped(&octets).ok_or(Unreadable::Broken))
        }
        None => Err(Unreadable::NoReader),
    };
    match file {
        Ok((name, octets)) => {
            let path = at.below("object");
            reading.name(&path, &name);
            let media_type = "application/octet-stream".to_owned();
            let unread = Unread { media_type, name: Some(Phi::new(name)), octets: Phi::new(octets.into()) };
            reading.inner(&path, &unread, at.depth + 1);
        }
        Err(why) => reading.unreadable(at.path, at.media_type, why),
    }
}

/// MS-OLEDS §2.3.6, and in it what the packager writes: its name, two paths, and its octets behind their length.
fn unwrapped(octets: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = |octets: &[u8]| octets.iter().position(|octet| *octet == 0);
    let rest = octets.get(6..)?;
    let (name, rest) = rest.split_at_checked(text(rest)?)?;
    let rest = rest.get(1..)?;
    let rest = rest.get(text(rest)? + 5..)?;
    let path = long(rest, 0)? as usize;
    let rest = rest.get(4..)?.get(path..)?;
    let length = long(rest, 0)? as usize;
    let file = rest.get(4..)?.get(..length)?;
    Some((decoded(name, "windows-1252"), file.to_vec()))
}

impl Compound {
    fn has(&self, stream: impl AsRef<Path>) -> bool {
        self.file.is_stream(stream)
    }

    /// How large a stream is; nothing when there is none.
    fn size(&self, stream: &str) -> u64 {
        self.file.entry(stream).map_or(0, |entry| entry.len())
    }

    /// A stream's octets. It cannot hold more than the file, unless its sectors go in a circle.
    fn stream(&mut self, path: impl AsRef<Path>) -> Result<Vec<u8>, Unreadable> {
        let stream = self.file.open_stream(path).map_err(|_| Unreadable::Broken)?;
        let mut octets = Vec::new();
        stream.take(self.most as u64 + 1).read_to_end(&mut octets).map_err(|_| Unreadable::Broken)?;
        if octets.len() > self.most { Err(Unreadable::Broken) } else { Ok(octets) }
    }

    /// The octets of a stream that may be there.
    fn optional(&mut self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>, Unreadable> {
        if self.has(&path) { self.stream(path).map(Some) } else { Ok(None) }
    }

    /// The storages directly under one.
    fn storages(&self, under: &Path) -> Result<Vec<PathBuf>, Unreadable> {
        let entries = self.file.read_storage(under).map_err(|_| Unreadable::Broken)?;
        let entries: Vec<cfb::Entry> = entries.take(MAX_STREAMS + 1).collect();
        if entries.len() > MAX_STREAMS {
            return Err(Unreadable::TooLarge);
        }
        Ok(entries.iter().filter(|entry| entry.is_storage()).map(|entry| entry.path().to_owned()).collect())
    }

    /// Whether files lie in it that another program put there: in the storages of this name, under this one.
    fn has_objects(&self, under: &str, name: &str) -> bool {
        self.file.is_storage(under)
            && self.storages(Path::new(under)).map_or(true, |storages| {
                storages.iter().filter_map(|path| path.file_name()).any(|one| one.to_string_lossy().starts_with(name))
            })
    }
}

fn short(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*octets.get(at..)?.first_chunk()?))
}

fn long(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*octets.get(at..)?.first_chunk()?))
}

fn wide(octets: &[u8]) -> String {
    decoded(octets, "utf-16le")
}
