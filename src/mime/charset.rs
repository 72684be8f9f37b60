//! From octets to characters: by what is said of them as long as that may be true, else by what they look like.

use mail_parser::decoders::charsets::map::charset_decoder;

use crate::mime::Unreadable;

/// Octets that are looked at to tell UTF-16 without a label.
const LOOKED_AT: usize = 1 << 10;
/// Of so many octets, one may be a control character that no text has: a slip, not another format.
const SLIPS: usize = 32;
/// How files begin that need a reader of their own, whatever they are called.
const MAGIC: [&[u8]; 11] = [
    b"{\\rtf",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"%PDF-",
    b"%!PS",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",
    b"\xd0\xcf\x11\xe0",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
];

/// The text, and the one that a program sees which believes the label where most do not.
pub(super) fn text(octets: &[u8], label: Option<&str>) -> Result<(String, Option<String>), Unreadable> {
    let label = label.unwrap_or("").trim().to_ascii_lowercase();
    if let Some(text) = wide(octets, &label) {
        return Ok((text, None));
    }
    if label == "utf-7" {
        // Few programs read UTF-7 today (RFC 2152); the others show it as it stands.
        let decoded = charset_decoder(b"utf-7").map(|decode| decode(octets));
        return Ok((decoded.unwrap_or_default(), Some(unlabelled(octets))));
    }
    if is_binary(octets) {
        return Err(Unreadable::NoReader);
    }
    if matches!(label.as_str(), "" | "utf-8" | "utf8" | "us-ascii" | "ascii" | "unknown-8bit")
        || label.starts_with("utf-")
    {
        return Ok((unlabelled(octets), None));
    }
    let utf8 = std::str::from_utf8(octets).ok().filter(|_| !octets.is_ascii());
    match (charset_decoder(label.as_bytes()), utf8) {
        // No other charset makes UTF-8 of words by chance.
        (Some(_), Some(text)) if is_latin(&label) => Ok((text.to_owned(), None)),
        (Some(decode), other) => Ok((decode(octets), other.map(str::to_owned))),
        (None, Some(text)) => Ok((text.to_owned(), None)),
        (None, None) if mostly_letters(octets) => Ok((unlabelled(octets), None)),
        (None, None) => Err(Unreadable::Broken),
    }
}

/// The text of octets of a format that is not named, if they prove to be text.
pub(super) fn guess(octets: &[u8]) -> Result<String, Unreadable> {
    if let Some(text) = wide(octets, "") {
        return Ok(text);
    }
    // A drawing in words is a picture of whatever it shows.
    let is_drawing = memchr::memmem::find(&octets[..octets.len().min(LOOKED_AT)], b"<svg").is_some();
    let is_text = !is_drawing && !octets.iter().any(|octet| is_control(*octet)) && !is_binary(octets);
    if is_text && mostly_letters(octets) { Ok(unlabelled(octets)) } else { Err(Unreadable::NoReader) }
}

/// Text of octets whose label says nothing, or what they are not.
pub(super) fn unlabelled(octets: &[u8]) -> String {
    let decoded = |name: &[u8]| charset_decoder(name).map(|decode| decode(octets));
    if memchr::memmem::find(octets, b"\x1b$").is_some() {
        // No text escapes like this but Japanese (RFC 1468).
        return decoded(b"iso-2022-jp").unwrap_or_default();
    }
    match std::str::from_utf8(octets) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        // Undeclared eight-bit text is Windows' own more often than anything else.
        Err(_) => decoded(b"windows-1252").unwrap_or_else(|| String::from_utf8_lossy(octets).into_owned()),
    }
}

/// UTF-16 and UTF-32: by their mark, by their label if the octets can be that, or by where their zeros are.
fn wide(octets: &[u8], label: &str) -> Option<String> {
    let decoded = |name: &[u8]| charset_decoder(name).map(|decode| decode(octets));
    if octets.starts_with(b"\xff\xfe") || octets.starts_with(b"\xfe\xff") {
        return decoded(b"utf-16").filter(|text| is_plausible(text));
    }
    let start = &octets[..octets.len().min(LOOKED_AT)];
    let zeros = |parity: usize| start.iter().skip(parity).step_by(2).filter(|octet| **octet == 0).count();
    let half = (start.len() / 2).max(1);
    if label.starts_with("utf-32") {
        return Some(utf32(octets, if start.starts_with(&[0]) { u32::from_be_bytes } else { u32::from_le_bytes }));
    }
    if zeros(1) * 4 > half * 3 && zeros(0) * 4 < half {
        return decoded(b"utf-16le").filter(|text| is_plausible(text));
    }
    if zeros(0) * 4 > half * 3 && zeros(1) * 4 < half {
        return decoded(b"utf-16be").filter(|text| is_plausible(text));
    }
    // Words in ASCII under this label are words in ASCII.
    let is_wide = label.starts_with("utf-16") && std::str::from_utf8(start).map_or(true, |text| text.contains('\0'));
    if is_wide { decoded(label.as_bytes()) } else { None }
}

/// Numbers and pictures have zeros too, and make no words.
fn is_plausible(text: &str) -> bool {
    let odd = |c: char| c == char::REPLACEMENT_CHARACTER || (c.is_control() && !c.is_whitespace());
    text.chars().filter(|c| odd(*c)).count() * SLIPS <= text.len()
}

fn utf32(octets: &[u8], read: fn([u8; 4]) -> u32) -> String {
    let characters = octets.chunks_exact(4).map(|four| read([four[0], four[1], four[2], four[3]]));
    characters
        .map(|number| char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
        .filter(|c| *c != '\u{feff}')
        .collect()
}

fn is_latin(label: &str) -> bool {
    ["iso-8859-1", "iso8859-1", "latin1", "windows-1252", "cp1252", "iso-8859-15", "iso-8859-2", "windows-1250"]
        .contains(&label)
}

/// Whether it reads as text under any charset that is an extension of ASCII.
fn mostly_letters(octets: &[u8]) -> bool {
    octets.iter().filter(|octet| octet.is_ascii()).count() * 2 > octets.len()
}

/// Whether it is the start of a known format, or has more control characters than slips explain.
fn is_binary(octets: &[u8]) -> bool {
    MAGIC.iter().any(|magic| octets.starts_with(magic))
        || is_late_pdf(octets)
        || octets.iter().filter(|octet| is_control(**octet)).count() * SLIPS > octets.len().max(SLIPS)
}

/// A PDF behind something else: readers look so far for its first line (ISO 32000 annex I), and for an object after that.
fn is_late_pdf(octets: &[u8]) -> bool {
    let begins = memchr::memmem::find(&octets[..octets.len().min(LOOKED_AT)], b"%PDF-");
    begins.is_some_and(|at| memchr::memmem::find(&octets[at..], b" obj").is_some())
}

/// Control characters that no text has. A form feed, an escape and the separators of HL7 and X12 (11, 28 to 31) are text.
const fn is_control(octet: u8) -> bool {
    matches!(octet, 0..=8 | 14..=26 | 127)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(label: &str, octets: &[u8], expected: Result<(&str, Option<&str>), Unreadable>) {
        let got = text(octets, Some(label).filter(|label| !label.is_empty()));
        let got = got.as_ref().map(|(text, other)| (text.as_str(), other.as_deref())).map_err(|why| *why);
        assert_eq!(got, expected, "{label} {octets:?}");
    }

    #[test]
    fn charsets_are_decoded_by_their_labels() {
        check("utf-8", "é".as_bytes(), Ok(("é", None)));
        check("ISO-8859-1", b"\xe9", Ok(("é", None)));
        check("windows-1251", b"\xcc\xf0\xed", Ok(("Мрн", None)));
        check("iso-2022-jp", b"\x1b$B7k2L\x1b(B", Ok(("結果", None)));
        check("gb18030", b"\xb2\xa1\xc0\xfa", Ok(("病历", None)));
        check("utf-16", b"\xff\xfeM\0R\0N\0", Ok(("MRN", None)));
        check("utf-32le", b"M\0\0\0R\0\0\0", Ok(("MR", None)));
    }

    #[test]
    fn labels_that_lie_are_seen_through() {
        check("utf-8", b"Jos\xe9 \x93x\x94", Ok(("José “x”", None)));
        check("us-ascii", "José".as_bytes(), Ok(("José", None)));
        check("iso-8859-1", "José".as_bytes(), Ok(("José", None)));
        check("utf-16", b"plain words", Ok(("plain words", None)));
        check("utf-8", b"M\0R\0N\0 \0", Ok(("MRN ", None)));
        check("", b"\0M\0R\0N", Ok(("MRN", None)));
        check("", b"\x1b$B7k2L\x1b(B", Ok(("結果", None)));
        check("x-unheard-of", "José Quist".as_bytes(), Ok(("José Quist", None)));
        check("x-unheard-of", b"Jos\xe9 Quist", Ok(("José Quist", None)));
        check("x-unheard-of", b"abc", Ok(("abc", None)));
        check("windows-1251", "é".as_bytes(), Ok(("Г©", Some("é"))));
    }

    #[test]
    fn what_is_no_text_is_not_read() {
        check("x-unheard-of", b"\xe9\xe8\xe7a", Err(Unreadable::Broken));
        check("utf-8", b"PK\x03\x04", Err(Unreadable::NoReader));
        check("", b"%PDF-1.7 words", Err(Unreadable::NoReader));
        check("", b"\r\n%PDF-1.7\n1 0 obj words", Err(Unreadable::NoReader));
        check("", b"a file begins with %PDF-1.7", Ok(("a file begins with %PDF-1.7", None)));
        check("", b"\x01\x02\x03a", Err(Unreadable::NoReader));
        assert_eq!(guess(b"<?xml version='1.0'?><svg><path/></svg>"), Err(Unreadable::NoReader));
        check(
            "",
            b"one bell\x07 in a line of many words is a slip",
            Ok(("one bell\x07 in a line of many words is a slip", None)),
        );
    }

    #[test]
    fn utf_7_has_two_readings() {
        check("utf-7", b"MRN +AOk-", Ok(("MRN é", Some("MRN +AOk-"))));
    }
}
