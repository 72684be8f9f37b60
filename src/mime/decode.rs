//! From the octets of a leaf to its text: transfer encoding, charset, and which formats there is a reader for.

use bytes::Bytes;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

use crate::mime::read::{Encoding, Head, is_smime};
use crate::mime::{Unreadable, html};

/// How a leaf is turned into text. New formats get a line in `reader` and an arm in `text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Plain,
    Html,
    /// Plain, if it proves to be text.
    Guess,
    Encrypted,
    /// Says nothing itself: the signature over another part, a public key.
    Silent,
    None,
}

const TEXT_NAMES: [&str; 13] =
    [".hl7", ".x12", ".edi", ".csv", ".tsv", ".txt", ".json", ".xml", ".ccda", ".ccd", ".ndjson", ".ics", ".md"];

pub(super) fn reader(head: &Head) -> Reader {
    let name = head.name.as_deref().unwrap_or("").to_ascii_lowercase();
    let media_type = head.media_type.as_str();
    if is_smime(media_type) || media_type == "application/pgp-encrypted" {
        return Reader::Encrypted;
    }
    let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
    match (kind, subtype) {
        ("text", "html") | ("application", "xhtml+xml") => Reader::Html,
        // RFC 2046 §5.2.2 and §5.2.3: the rest is in other messages, or elsewhere.
        ("message", "partial" | "external-body") => Reader::None,
        ("text" | "message", _) => Reader::Plain,
        ("application", "pgp-signature" | "pkcs7-signature" | "x-pkcs7-signature" | "pgp-keys") => Reader::Silent,
        ("application", "json" | "xml" | "x-ndjson" | "hl7-v2" | "hl7-v2+er7" | "csv" | "javascript") => Reader::Plain,
        ("application", edi) if edi.starts_with("edi") => Reader::Plain,
        (_, structured) if structured.ends_with("+json") || (structured.ends_with("+xml") && kind != "image") => {
            Reader::Plain
        }
        ("image" | "audio" | "video" | "font" | "model", _) => Reader::None,
        _ if name.ends_with(".html") || name.ends_with(".htm") => Reader::Html,
        _ if TEXT_NAMES.iter().any(|end| name.ends_with(end)) => Reader::Plain,
        ("application", "octet-stream") => Reader::Guess,
        _ => Reader::None,
    }
}

/// Takes the transfer encoding off (RFC 2045 §6). `most` bounds what may come out.
pub(super) fn transfer(body: &Bytes, encoding: Encoding, most: usize) -> Result<Bytes, Unreadable> {
    // No encoding of RFC 2045 makes octets out of fewer; base64 makes three of four.
    let grows_to = if encoding == Encoding::Base64 { body.len() / 4 * 3 } else { body.len() };
    if grows_to > most {
        return Err(Unreadable::TooLarge);
    }
    let decoded = match encoding {
        Encoding::Identity => return Ok(body.clone()),
        Encoding::Base64 => base64_decode(body),
        Encoding::QuotedPrintable => quoted_printable_decode(body),
        Encoding::Unknown => None,
    };
    decoded.map(Bytes::from).ok_or(Unreadable::Broken)
}

/// The text of decoded octets, or why there is none.
pub(super) fn text(octets: &[u8], head: &Head, reader: Reader) -> Result<String, Unreadable> {
    match reader {
        Reader::Plain => charset(octets, head.charset.as_deref()),
        Reader::Html => charset(octets, head.charset.as_deref()).map(|page| html::text(&page)),
        Reader::Guess => match std::str::from_utf8(octets) {
            Ok(text) if !is_binary(octets) => Ok(text.to_owned()),
            _ => Err(Unreadable::NoReader),
        },
        Reader::Encrypted => Err(Unreadable::Encrypted),
        Reader::Silent => Ok(String::new()),
        Reader::None => Err(Unreadable::NoReader),
    }
}

pub(super) fn charset(octets: &[u8], label: Option<&str>) -> Result<String, Unreadable> {
    let label = label.unwrap_or("").trim().to_ascii_lowercase();
    let wide = label.starts_with("utf-16") || label.starts_with("utf-32") || label == "utf-7";
    if !wide && is_binary(octets) {
        return Err(Unreadable::NoReader);
    }
    if matches!(label.as_str(), "" | "utf-8" | "utf8" | "us-ascii" | "ascii") {
        return Ok(match (std::str::from_utf8(octets), charset_decoder(b"windows-1252")) {
            (Ok(text), _) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
            // Undeclared eight-bit text is Windows' own more often than anything else.
            (Err(_), Some(decode)) => decode(octets),
            (Err(_), None) => String::from_utf8_lossy(octets).into_owned(),
        });
    }
    match charset_decoder(label.as_bytes()) {
        Some(decode) => Ok(decode(octets)),
        None if octets.is_ascii() => Ok(String::from_utf8_lossy(octets).into_owned()),
        None => Err(Unreadable::Broken),
    }
}

/// Rich text, which needs a reader of its own, and octets with control characters that no text has. A form feed, an escape and the separators of HL7 and X12 (11, 28 to 31) are text.
fn is_binary(octets: &[u8]) -> bool {
    octets.starts_with(b"{\\rtf") || octets.iter().any(|octet| matches!(octet, 0..=8 | 14..=26 | 127))
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
    // X.690: a SEQUENCE whose length takes more than one octet, as that of every CMS signature does.
    let is_der = matches!(octets, [0x30, 0x80..=0x84, ..]);
    is_der || (is_armor && armor.split(|byte| *byte == b'\n').all(is_line))
}

/// A file inside the text, as mail had them before MIME; some readers still show it as an attachment.
pub(super) fn has_uuencoded_file(text: &str) -> bool {
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
    use crate::mime::read::{self, Default};

    fn head(header: &str) -> Head {
        read::head(header.as_bytes(), Default::Plain)
    }

    fn check(header: &str, octets: &[u8], expected: Result<&str, Unreadable>) {
        let head = head(header);
        let got = text(octets, &head, reader(&head));
        assert_eq!(got.as_deref().map_err(|why| *why), expected, "{header}");
    }

    #[test]
    fn charsets_are_decoded() {
        check("Content-Type: text/plain; charset=utf-8\r\n", "é".as_bytes(), Ok("é"));
        check("Content-Type: text/plain; charset=ISO-8859-1\r\n", b"\xe9", Ok("é"));
        check("Content-Type: text/plain\r\n", b"\xe9 \x93x\x94", Ok("é “x”"));
        check("Content-Type: text/plain; charset=x-unheard-of\r\n", b"abc", Ok("abc"));
        check("Content-Type: text/plain; charset=x-unheard-of\r\n", b"\xe9", Err(Unreadable::Broken));
    }

    #[test]
    fn text_is_told_from_other_formats() {
        check("Content-Type: application/json\r\n", b"{}", Ok("{}"));
        check("Content-Type: application/fhir+xml\r\n", b"<a/>", Ok("<a/>"));
        check("Content-Type: application/edi-x12\r\n", b"ISA*", Ok("ISA*"));
        check("Content-Type: application/x; name=\"A.HL7\"\r\n", b"MSH|", Ok("MSH|"));
        check("Content-Type: application/octet-stream\r\n", b"plain words", Ok("plain words"));
        check("Content-Type: application/octet-stream\r\n", b"\x00\x01", Err(Unreadable::NoReader));
        check("Content-Type: message/partial\r\n", b"half of it", Err(Unreadable::NoReader));
        check("Content-Type: text/x-hl7\r\n", b"\x0bMSH|\x1c", Ok("\u{b}MSH|\u{1c}"));
        check("Content-Type: text/plain\r\n", b"PK\x03\x04", Err(Unreadable::NoReader));
        check("Content-Type: application/pdf\r\n", b"%PDF-1.7", Err(Unreadable::NoReader));
        check("Content-Type: application/pkcs7-mime\r\n", b"", Err(Unreadable::Encrypted));
        check("Content-Type: application/pgp-encrypted\r\n", b"Version: 1", Err(Unreadable::Encrypted));
    }

    #[test]
    fn a_broken_or_too_large_encoding_is_not_read() {
        let body = Bytes::from_static(b"aGVsbG8=\r\n");
        assert_eq!(transfer(&body, Encoding::Base64, 100).unwrap(), "hello");
        assert_eq!(transfer(&body, Encoding::Base64, 5), Err(Unreadable::TooLarge));
        assert_eq!(transfer(&Bytes::from_static(b"a=ZZ"), Encoding::QuotedPrintable, 9), Err(Unreadable::Broken));
        assert_eq!(transfer(&body, Encoding::Unknown, 100), Err(Unreadable::Broken));
    }
}
