//! Word 97 to 2003 (MS-DOC): the text of all stories, piece by piece.

use super::{Compound, long, short, wide};
use crate::extract::charset::decoded;
use crate::mime::Unreadable;

const MAGIC: u16 = 0xa5ec;
/// Flags of the FIB (MS-DOC §2.5.2).
const ENCRYPTED: u16 = 0x0100;
const TABLE_ONE: u16 = 0x0200;
/// Where the FIB says where the pieces are listed: fcClx and lcbClx.
const PIECES: usize = 0x01a2;
/// A piece's place says by this bit that it is of octets, not of UTF-16.
const OF_OCTETS: u32 = 1 << 30;

pub(super) fn text(compound: &mut Compound) -> Result<String, Unreadable> {
    let document = compound.stream("/WordDocument")?;
    let flags = short(&document, 10).filter(|_| short(&document, 0) == Some(MAGIC)).ok_or(Unreadable::NoReader)?;
    if flags & ENCRYPTED != 0 {
        return Err(Unreadable::Encrypted);
    }
    let table = compound.stream(if flags & TABLE_ONE != 0 { "/1Table" } else { "/0Table" })?;
    pieces(&document, &table).ok_or(Unreadable::Broken)
}

/// MS-DOC §2.8.35: the places of the pieces, behind edits that concern only their look.
fn pieces(document: &[u8], table: &[u8]) -> Option<String> {
    let start = long(document, PIECES)? as usize;
    let mut list = table.get(start..start.checked_add(long(document, PIECES + 4)? as usize)?)?;
    while list.first() == Some(&1) {
        list = list.get(3 + usize::from(short(list, 1)?)..)?;
    }
    let length = long(list, 1).filter(|_| list.first() == Some(&2))? as usize;
    let list = list.get(5..5_usize.checked_add(length)?)?;
    let count = list.len().checked_sub(4)? / 12;
    let mut text = String::new();
    for piece in 0..count {
        let letters = long(list, piece * 4 + 4)?.checked_sub(long(list, piece * 4)?)? as usize;
        let place = long(list, (count + 1) * 4 + piece * 8 + 2)?;
        let start = (place & !OF_OCTETS) as usize;
        if place & OF_OCTETS == 0 {
            text.push_str(&wide(document.get(start..start.checked_add(letters.checked_mul(2)?)?)?));
        } else {
            let start = start / 2;
            text.push_str(&decoded(document.get(start..start.checked_add(letters)?)?, "windows-1252"));
        }
        // Pieces may lie over each other; a text of more letters than the file has octets is a trap.
        if text.len() > document.len().saturating_mul(3) {
            return None;
        }
    }
    Some(plain(&text))
}

/// Marks of paragraphs, cells and fields (MS-DOC §2.4.1 and §2.8.25) as a person sees them.
fn plain(text: &str) -> String {
    let mut hidden = 0_usize;
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            // What a field asks for is not shown; what it gives is.
            '\u{13}' => hidden += 1,
            '\u{14}' | '\u{15}' => hidden = hidden.saturating_sub(usize::from(hidden > 0)),
            _ if hidden > 0 => {}
            '\u{7}' => plain.push('\t'),
            '\r' | '\u{b}' | '\u{c}' => plain.push('\n'),
            '\u{1e}' => plain.push('-'),
            '\u{0}'..='\u{8}' | '\u{e}'..='\u{1f}' => {}
            other => plain.push(other),
        }
    }
    plain
}
