//! Which formats of a leaf are text, and which octets are no more than they say.

use crate::mime::heads::Head;
use crate::mime::read::is_smime;

/// How a leaf is turned into text. New formats get a line in `reader`, and an arm where the walk reads a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Plain,
    Html,
    /// A table: cells in lines, their names in the first one.
    Rows,
    /// Plain, if it proves to be text.
    Guess,
    Encrypted,
    /// Says nothing itself: the signature over another part, a public key.
    Silent,
    None,
}

const TEXT_NAMES: [&str; 11] =
    [".hl7", ".x12", ".edi", ".txt", ".json", ".xml", ".ccda", ".ccd", ".ndjson", ".md", ".eml"];
/// Calendars and cards, which programs that know them do not show as they stand.
const CARD_NAMES: [&str; 7] = [".ics", ".ifb", ".ical", ".icalendar", ".vcs", ".vcf", ".vcard"];

pub(super) fn reader(head: &Head) -> Reader {
    let name = head.name().unwrap_or("").to_ascii_lowercase();
    let media_type = head.media_type.as_str();
    if is_smime(media_type) || media_type == "application/pgp-encrypted" {
        return Reader::Encrypted;
    }
    let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
    match (kind, subtype) {
        ("text", "html") | ("application", "xhtml+xml") => Reader::Html,
        // RFC 2046 §5.2.2 and §5.2.3: the rest is in other messages, or elsewhere.
        ("message", "partial" | "external-body") => Reader::None,
        ("text", "csv" | "tab-separated-values" | "tsv" | "comma-separated-values") | ("application", "csv") => {
            Reader::Rows
        }
        ("text", "plain") if is_table_name(&name) => Reader::Rows,
        ("text" | "message", _) => Reader::Plain,
        ("application", "pgp-signature" | "pkcs7-signature" | "x-pkcs7-signature" | "pgp-keys") => Reader::Silent,
        ("application", "json" | "xml" | "x-ndjson" | "hl7-v2" | "hl7-v2+er7" | "javascript") => Reader::Plain,
        ("application", edi) if edi.starts_with("edi") => Reader::Plain,
        (_, structured) if structured.ends_with("+json") || (structured.ends_with("+xml") && kind != "image") => {
            Reader::Plain
        }
        // Octets that no reader of pictures would show: somebody's words under a wrong label.
        ("image", "png" | "jpeg" | "jpg" | "pjpeg" | "gif" | "tiff" | "bmp" | "webp" | "heic" | "heif") => {
            Reader::Guess
        }
        ("image" | "audio" | "video" | "font" | "model", _) => Reader::None,
        _ if name.ends_with(".html") || name.ends_with(".htm") => Reader::Html,
        // Windows calls them `application/vnd.ms-excel`, as it does others that are no text.
        _ if is_table_name(&name) => Reader::Rows,
        _ if is_card(head) || TEXT_NAMES.iter().any(|end| name.ends_with(end)) => Reader::Plain,
        // Types that nobody knows; what proves to be no text goes to whoever reads its format.
        ("application", _) => Reader::Guess,
        _ => Reader::None,
    }
}

fn is_table_name(name: &str) -> bool {
    name.ends_with(".csv") || name.ends_with(".tsv")
}

/// Whether it calls itself a calendar or a card.
pub(super) fn is_card(head: &Head) -> bool {
    let name = head.name().unwrap_or("").to_ascii_lowercase();
    let subtype = head.media_type.split_once('/').map_or("", |(_, subtype)| subtype);
    let types = ["calendar", "x-vcalendar", "vcard", "x-vcard", "directory", "ics"];
    types.contains(&subtype) || CARD_NAMES.iter().any(|end| name.ends_with(end))
}

/// Whether octets are what a signature or a public key is made of: one block of armor, or DER.
pub(super) fn is_signature(octets: &[u8]) -> bool {
    let armor = octets.trim_ascii();
    let is_armor = armor.starts_with(b"-----BEGIN PGP ") && armor.ends_with(b"-----");
    let is_base64 = |line: &[u8]| line.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b));
    let is_line = |line: &[u8]| {
        let line = line.trim_ascii();
        is_base64(line)
            || [&b"-----"[..], b"Version: ", b"Comment: ", b"Hash: "].iter().any(|start| line.starts_with(start))
    };
    is_der(octets) || (is_armor && armor.split(|byte| *byte == b'\n').all(is_line))
}

/// X.690 §8.1.3: one SEQUENCE and nothing behind it, whose length takes more than one octet, as that of every CMS signature
/// does; or one without a length, up to its end.
fn is_der(octets: &[u8]) -> bool {
    match octets {
        [0x30, 0x80, content @ ..] => content.ends_with(&[0, 0]),
        [0x30, form @ 0x81..=0x84, rest @ ..] => {
            let Some((length, content)) = rest.split_at_checked(usize::from(form & 0x7f)) else { return false };
            length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)) == content.len()
        }
        _ => false,
    }
}

/// A file inside the text, as mail had them before MIME; some readers still show it as an attachment.
pub(super) fn has_file_inside(text: &str) -> bool {
    has_uuencoded_file(text)
        || text.lines().any(|line| ["=ybegin line=", BINHEX].iter().any(|start| line.starts_with(start)))
}

/// RFC 1741 §5.
const BINHEX: &str = "(This file must be converted with BinHex";

fn has_uuencoded_file(text: &str) -> bool {
    let begins = |line: &str| {
        let (mode, name) = line.strip_prefix("begin ").and_then(|rest| rest.split_once(' ')).unwrap_or_default();
        matches!(mode.len(), 3 | 4) && mode.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) && !name.is_empty()
    };
    let is_data = |line: &str| {
        let count = line.bytes().next().map(|first| usize::from(first.wrapping_sub(32) & 63));
        let drawn = line.bytes().all(|byte| (b' '..=b'`').contains(&byte));
        drawn && count.is_some_and(|count| count > 0 && (count.div_ceil(3) * 4 + 1..=64).contains(&line.len()))
    };
    text.lines().zip(text.lines().skip(1)).any(|(line, next)| begins(line) && is_data(next))
}

/// OpenPGP text (RFC 9580 §6.2) that cannot be read.
pub(super) fn has_encrypted_armor(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("-----BEGIN PGP MESSAGE-----"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::heads::{Default, heads};

    fn check(header: &str, expected: Reader) {
        assert_eq!(reader(&heads(header.as_bytes(), Default::Plain).all[0]), expected, "{header}");
    }

    #[test]
    fn text_is_told_from_other_formats() {
        check("Content-Type: application/json\r\n", Reader::Plain);
        check("Content-Type: application/fhir+xml\r\n", Reader::Plain);
        check("Content-Type: application/edi-x12\r\n", Reader::Plain);
        check("Content-Type: application/x; name=\"A.HL7\"\r\n", Reader::Plain);
        check("Content-Type: text/csv\r\n", Reader::Rows);
        check("Content-Type: application/octet-stream; name=a.tsv\r\n", Reader::Rows);
        check("Content-Type: application/octet-stream\r\n", Reader::Guess);
        check("Content-Type: message/partial\r\n", Reader::None);
        check("Content-Type: application/pdf\r\n", Reader::Guess);
        check("Content-Type: image/svg+xml\r\n", Reader::None);
        check("Content-Type: application/ics\r\n", Reader::Plain);
        check("Content-Type: application/x; name=\"A.VCF\"\r\n", Reader::Plain);
        check("Content-Type: image/png; name=\"A.VCF\"\r\n", Reader::Guess);
        check("Content-Type: video/mp4; name=\"A.VCF\"\r\n", Reader::None);
        check("Content-Type: application/pkcs7-mime\r\n", Reader::Encrypted);
        check("Content-Type: application/pgp-encrypted\r\n", Reader::Encrypted);
        check("Content-Type: application/pgp-keys\r\n", Reader::Silent);
    }

    #[test]
    fn a_signature_is_as_long_as_it_says() {
        assert!(is_signature(b"\x30\x81\x03abc"));
        assert!(is_signature(b"\x30\x82\x00\x03abc"));
        assert!(is_signature(b"\x30\x80abc\0\0"));
        assert!(!is_signature(b"\x30\x82\x00\x03abc and a list of patients"));
        assert!(!is_signature(b"\x30\x80abc"));
        assert!(!is_signature(b"\x30\x84\xff"));
    }
}
