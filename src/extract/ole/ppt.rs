//! PowerPoint 97 to 2003 (MS-PPT): the text atoms of slides and notes, in their order.

use super::{Compound, long, short, wide};
use crate::extract::charset::decoded;
use crate::mime::Unreadable;

const ENCRYPTED: u32 = 0xf3d1_c4df;
const WIDE_TEXT: u16 = 0x0fa0;
const TEXT: u16 = 0x0fa8;
const WIDE_STRING: u16 = 0x0fba;

/// A file that another program put on a slide (MS-PPT §2.10.27).
const OBJECT: u16 = 0x0fcc;

pub(super) struct Slides {
    pub(super) text: String,
    /// Whether files lie on them, which are not read.
    pub(super) objects: bool,
}

pub(super) fn text(compound: &mut Compound) -> Result<Slides, Unreadable> {
    // MS-PPT §2.3.2: who saved it last says whether it is encrypted.
    if compound.stream("/Current User").is_ok_and(|user| long(&user, 12) == Some(ENCRYPTED)) {
        return Err(Unreadable::Encrypted);
    }
    let records = compound.stream("/PowerPoint Document")?;
    let (mut at, mut text, mut objects) = (0, String::new(), false);
    while at < records.len() {
        let head = short(&records, at).zip(short(&records, at + 2)).zip(long(&records, at + 4));
        let ((version, kind), length) = head.ok_or(Unreadable::Broken)?;
        at += 8;
        // MS-PPT §2.3.1: a container; its records come next.
        if version & 0xf == 0xf {
            objects |= kind == OBJECT;
            continue;
        }
        let end = at.checked_add(length as usize).ok_or(Unreadable::Broken)?;
        let data = records.get(at..end).ok_or(Unreadable::Broken)?;
        match kind {
            WIDE_TEXT | WIDE_STRING => text.push_str(&wide(data).replace(['\r', '\u{b}'], "\n")),
            TEXT => text.push_str(&decoded(data, "windows-1252").replace(['\r', '\u{b}'], "\n")),
            _ => {}
        }
        if matches!(kind, WIDE_TEXT | WIDE_STRING | TEXT) {
            text.push('\n');
        }
        at = end;
    }
    Ok(Slides { text, objects })
}
