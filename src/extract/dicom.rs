//! DICOM: the header, which names the patient and the study. The picture itself is not read.

use bytes::Bytes;

use crate::extract::Unread;
use crate::extract::charset::decoded;
use crate::extract::reading::{Place, Reading};
use crate::mime::Unreadable;
use crate::phi::Phi;

/// PS3.10 §7.1: a preamble, then the letters DICM.
const PREAMBLE: usize = 128;
/// Elements of one file; a header has hundreds.
const MAX_ELEMENTS: usize = 20_000;
const LONGEST_VALUE: usize = 16 << 10;
const PIXELS: u32 = 0x7fe0_0010;
const DOCUMENT: u32 = 0x0042_0011;
const TRANSFER_SYNTAX: u32 = 0x0002_0010;

/// The elements that say whose it is and why, by the words under which a person knows them.
const NAMED: [(u32, &str); 24] = [
    (0x0008_0020, "Study date"),
    (0x0008_0050, "Accession number"),
    (0x0008_0080, "Institution"),
    (0x0008_0081, "Institution address"),
    (0x0008_0090, "Referring physician"),
    (0x0008_1030, "Study"),
    (0x0008_103e, "Series"),
    (0x0008_1050, "Performing physician"),
    (0x0008_1080, "Diagnosis"),
    (0x0010_0010, "Patient"),
    (0x0010_0020, "Patient ID"),
    (0x0010_0030, "DOB"),
    (0x0010_0040, "Sex"),
    (0x0010_1000, "Patient ID"),
    (0x0010_1001, "Patient"),
    (0x0010_1010, "Age"),
    (0x0010_1040, "Patient address"),
    (0x0010_1060, "Mother"),
    (0x0010_2154, "Phone"),
    (0x0010_21b0, "Patient history"),
    (0x0010_4000, "Patient comments"),
    (0x0032_1060, "Procedure"),
    (0x0032_4000, "Study comments"),
    (0x0040_0254, "Procedure"),
];

pub(super) fn read(reading: &mut Reading<'_>, at: Place<'_>, octets: &Bytes) {
    let mut header = Header { rest: octets.get(PREAMBLE + 4..).unwrap_or_default(), explicit: true, big: false };
    let (mut text, mut whole, mut pixels, mut document) = (String::new(), false, false, None);
    let mut syntax = String::new();
    for _ in 0..MAX_ELEMENTS {
        if header.rest.is_empty() {
            whole = true;
            break;
        }
        // PS3.10 §7.1: group 2 is explicit and little-endian, whatever the rest is.
        if syntax_begins(header.rest) {
            header.explicit = syntax != "1.2.840.10008.1.2";
            header.big = syntax == "1.2.840.10008.1.2.2";
        }
        let Some((tag, value)) = header.next() else { break };
        if tag == PIXELS {
            (pixels, whole) = (true, true);
            break;
        }
        match tag {
            TRANSFER_SYNTAX => syntax = written(value),
            DOCUMENT => document = Some(octets.slice_ref(value)),
            _ => line(tag, value, &mut text),
        }
    }
    let is_packed = syntax == "1.2.840.10008.1.2.1.99";
    reading.text(at.path, at.media_type, text);
    if !whole || is_packed {
        let why = if is_packed { Unreadable::NoReader } else { Unreadable::Broken };
        reading.unreadable(&at.below("rest"), at.media_type, why);
    }
    if pixels {
        // Names are often burnt into them.
        reading.unreadable(&at.below("pixels"), at.media_type, Unreadable::Scanned);
    }
    if let Some(octets) = document {
        let unread = Unread { media_type: "application/pdf".to_owned(), name: None, octets: Phi::new(octets) };
        reading.inner(&at.below("document"), &unread, at.depth + 1);
    }
}

fn syntax_begins(rest: &[u8]) -> bool {
    rest.first_chunk::<2>().is_some_and(|group| *group != [2, 0])
}

fn line(tag: u32, value: &[u8], text: &mut String) {
    let value = written(value);
    if value.is_empty() {
        return;
    }
    if let Some((_, name)) = NAMED.iter().find(|(named, _)| *named == tag) {
        text.push_str(name);
        text.push_str(": ");
    }
    // PS3.5 §6.2: the parts of a name are apart by carets, several values by backslashes.
    text.push_str(&if tag == 0x0010_0010 { value.replacen('^', ", ", 1) } else { value }.replace(['^', '\\'], " "));
    text.push('\n');
}

/// A value that is text; none for numbers in binary.
fn written(value: &[u8]) -> String {
    let text = value.strip_suffix(&[0]).unwrap_or(value);
    if text.len() > LONGEST_VALUE || text.iter().any(|octet| *octet < 9) {
        return String::new();
    }
    let utf8 = std::str::from_utf8(text).map(str::to_owned);
    utf8.unwrap_or_else(|_| decoded(text, "iso-8859-1")).trim().to_owned()
}

struct Header<'a> {
    rest: &'a [u8],
    explicit: bool,
    big: bool,
}

impl<'a> Header<'a> {
    /// The next element. Sequences and their items are entered: what is in them comes next.
    fn next(&mut self) -> Option<(u32, &'a [u8])> {
        let group = self.short()?;
        let element = self.short()?;
        let tag = u32::from(group) << 16 | u32::from(element);
        // PS3.5 §7.5: items and their ends have no representation.
        let (length, enters) = if group == 0xfffe {
            (self.long()?, true)
        } else if self.explicit {
            let representation = self.take(2)?;
            match representation {
                b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT"
                | b"UV" => {
                    self.take(2)?;
                    (self.long()?, representation == b"SQ")
                }
                _ => (u32::from(self.short()?), false),
            }
        } else {
            (self.long()?, false)
        };
        // An undefined length: whatever it is, its items follow.
        if enters || length == u32::MAX {
            return Some((tag, &[]));
        }
        Some((tag, if tag == PIXELS { &[] } else { self.take(length as usize)? }))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<u16> {
        let octets = *self.take(2)?.first_chunk()?;
        Some(if self.big { u16::from_be_bytes(octets) } else { u16::from_le_bytes(octets) })
    }

    fn long(&mut self) -> Option<u32> {
        let octets = *self.take(4)?.first_chunk()?;
        Some(if self.big { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) })
    }
}
