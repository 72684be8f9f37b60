//! Takes transfer encodings off (RFC 2045 §6), in each way that a mail program may when an encoding is broken or lied about.

use bytes::Bytes;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

use crate::mime::Unreadable;
use crate::mime::heads::Encoding;

/// How much of a body is looked at to see whether it is encoded without saying so.
const LOOKED_AT: usize = 4 << 10;
/// A first line of base64 that nobody would write by hand.
const LONG_LINE: usize = 40;

/// What may come out of a body. The first one is what most programs show.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) octets: Bytes,
    /// What programs show that give up sooner, or later, or do not believe what is said of the encoding.
    pub(super) others: Vec<Bytes>,
}

/// `most` bounds what one reading may come to.
pub(super) fn decode(body: &Bytes, encoding: Encoding, most: usize) -> Result<Decoded, Unreadable> {
    // No encoding of RFC 2045 makes octets out of fewer; base64 makes three of four.
    let grows_to = if encoding == Encoding::Base64 { body.len() / 4 * 3 } else { body.len() };
    if grows_to > most {
        return Err(Unreadable::TooLarge);
    }
    Ok(match encoding {
        Encoding::Identity => Decoded { octets: body.clone(), others: undeclared(body) },
        Encoding::Base64 => base64(body),
        Encoding::QuotedPrintable => quoted_printable(body),
        // RFC 2045 §6.4 would have it not read at all; programs show it as it is, or as what it looks like.
        Encoding::Unknown => Decoded { octets: body.clone(), others: undeclared(body) },
    })
}

fn base64(body: &Bytes) -> Decoded {
    let padded = memchr::memchr(b'=', body);
    let inside = padded.is_some_and(|at| body[at..].iter().any(|byte| digit(*byte).is_some()));
    let clean = base64_decode(body).map(Bytes::from).filter(|_| !inside);
    if let Some(octets) = clean {
        return twice(octets);
    }
    let mut others = Vec::new();
    // Words in the clear among it: a footer that a list put behind it, or no base64 at all.
    let worded = body.split(|byte| *byte == b'\n').any(is_worded);
    if worded {
        others.push(body.clone());
    }
    if inside || worded {
        others.push(lenient(body, Padding::Junk));
    }
    let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').filter(|line| !is_worded(line)).collect();
    Decoded { octets: lenient(&lines.concat(), Padding::Ends), others }
}

fn is_worded(line: &[u8]) -> bool {
    line.trim_ascii().contains(&b' ')
}

/// Whatever octets there are in base64 that has slips.
pub(super) fn loose_base64(body: &[u8]) -> Bytes {
    lenient(body, Padding::Ends)
}

/// What an equals sign amid base64 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Padding {
    /// It ends a group of four, and another text follows.
    Ends,
    Junk,
}

/// RFC 2045 §6.8: a decoder must ignore what is no character of base64.
fn lenient(body: &[u8], padding: Padding) -> Bytes {
    let mut octets = Vec::with_capacity(body.len() / 4 * 3 + 3);
    let (mut group, mut digits) = (0_u32, 0_u32);
    for byte in body {
        match digit(*byte) {
            Some(value) => {
                group = group << 6 | u32::from(value);
                digits += 1;
            }
            None if *byte == b'=' && padding == Padding::Ends => {
                rest_of(group, digits, &mut octets);
                (group, digits) = (0, 0);
            }
            None => continue,
        }
        if digits == 4 {
            octets.extend_from_slice(&group.to_be_bytes()[1..]);
            (group, digits) = (0, 0);
        }
    }
    rest_of(group, digits, &mut octets);
    Bytes::from(octets)
}

/// The octets of a group that is not whole: one of two digits, two of three.
fn rest_of(group: u32, digits: u32, octets: &mut Vec<u8>) {
    let whole = match digits {
        2 => 1,
        3 => 2,
        _ => return,
    };
    let bytes = (group << (6 * (4 - digits))).to_be_bytes();
    octets.extend_from_slice(&bytes[1..=whole]);
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

fn quoted_printable(body: &Bytes) -> Decoded {
    match quoted_printable_decode(body) {
        Some(octets) => twice(Bytes::from(octets)),
        // RFC 2045 §6.7: a robust program shows what is no code as it stands; others show all of it so.
        None => Decoded { octets: literal(body), others: vec![body.clone()] },
    }
}

/// Quoted-printable in which an equals sign that begins no code stands for itself.
pub(super) fn literal(body: &[u8]) -> Bytes {
    let mut octets = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr::memchr(b'=', rest) {
        octets.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        let code = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        if rest.get(blanks) == Some(&b'\n') {
            rest = &rest[blanks + 1..];
        } else if let Some(octet) = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            octets.push(octet);
            rest = &rest[2..];
        } else {
            octets.push(b'=');
        }
    }
    octets.extend_from_slice(rest);
    Bytes::from(octets)
}

/// What comes out, and what that is itself if it is encoded once more, as gateways do to what they do not recognise.
fn twice(octets: Bytes) -> Decoded {
    let others = undeclared(&octets);
    Decoded { octets, others }
}

/// What a body is that says nothing of an encoding and has one: headers get lost when mail is forwarded and reported.
fn undeclared(body: &Bytes) -> Vec<Bytes> {
    let start = &body[..body.len().min(LOOKED_AT)];
    if looks_like_base64(start) {
        return base64_decode(body).map(Bytes::from).into_iter().collect();
    }
    if looks_quoted_printable(start) { vec![literal(body)] } else { Vec::new() }
}

fn looks_like_base64(start: &[u8]) -> bool {
    let text = start.trim_ascii_start();
    let first = text.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(text.len());
    let has = |kind: fn(&u8) -> bool| text[..first].iter().any(kind);
    first >= LONG_LINE
        && text.iter().all(|byte| digit(*byte).is_some() || matches!(byte, b'=' | b'\r' | b'\n'))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
}

/// Two lines that go on behind an equals sign, or codes that stand for letters or for an equals sign.
fn looks_quoted_printable(start: &[u8]) -> bool {
    let mut marks = 0;
    for at in memchr::memchr_iter(b'=', start) {
        let rest = &start[at + 1..];
        // An encoded word (RFC 2047) ends with an equals sign too.
        if at > 0 && start[at - 1] == b'?' {
            continue;
        }
        let is_mark =
            [&b"\r\n"[..], b"\n", b"3D", b"20", b"E2=", b"C2=", b"C3="].iter().any(|mark| rest.starts_with(mark));
        marks += usize::from(is_mark);
    }
    marks >= 2
}

/// RFC 3986 §2.1; a plus sign is `plus`.
pub(super) fn percent(text: &str, plus: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match (code.and_then(|digits| u8::from_str_radix(digits, 16).ok()), first) {
            (Some(octet), _) => {
                octets.push(octet);
                rest = &after[2..];
                continue;
            }
            (None, b'+') => octets.extend_from_slice(plus),
            (None, octet) => octets.push(*octet),
        }
        rest = after;
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &'static str, encoding: Encoding, expected: &[&str]) {
        let decoded = decode(&Bytes::from_static(body.as_bytes()), encoding, 1000).unwrap();
        let mut all = vec![decoded.octets];
        all.extend(decoded.others);
        assert_eq!(
            all.iter().map(|octets| String::from_utf8_lossy(octets).into_owned()).collect::<Vec<_>>(),
            expected,
            "{body}"
        );
    }

    #[test]
    fn what_is_clean_has_one_reading() {
        check("aGVsbG8=\r\n", Encoding::Base64, &["hello"]);
        check("aGVs\r\nbG8", Encoding::Base64, &["hello"]);
        check("a=3Db=\r\nc", Encoding::QuotedPrintable, &["a=bc"]);
        check("just words = nothing\r\n", Encoding::Identity, &["just words = nothing\r\n"]);
    }

    #[test]
    fn broken_base64_is_read_as_far_as_programs_go() {
        check("aG!Vs*bG8=", Encoding::Base64, &["hello"]);
        check("YQ==\r\nYg==", Encoding::Base64, &["ab", "a\u{6} "]);
        check(
            "aGVsbG8=\r\nsent by a list\r\n",
            Encoding::Base64,
            &["hello", "aGVsbG8=\r\nsent by a list\r\n", "hello,z{[ɩb\u{fffd}"],
        );
    }

    #[test]
    fn broken_quoted_printable_is_shown_as_it_stands() {
        check("MRN=ZZ 7=20x= \r\ny=", Encoding::QuotedPrintable, &["MRN=ZZ 7 xy=", "MRN=ZZ 7=20x= \r\ny="]);
    }

    #[test]
    fn an_encoding_that_is_not_declared_is_seen() {
        let body = "UGF0aWVudDogTWFyaWJlbCBRdWlzdCwgTVJOIDAwNDgyOTEz\r\n";
        check(body, Encoding::Identity, &[body, "Patient: Maribel Quist, MRN 00482913"]);
        check(body, Encoding::Unknown, &[body, "Patient: Maribel Quist, MRN 00482913"]);
        check(
            "type 2 dia=\r\nbetes =3D\r\n",
            Encoding::Identity,
            &["type 2 dia=\r\nbetes =3D\r\n", "type 2 diabetes =\r\n"],
        );
    }

    #[test]
    fn what_is_encoded_twice_is_read_after_each() {
        let body = "VUdGMGFXVnVkRG9nVFdGeWFXSmxiQ0JSZFdsemRDd2dUVkpPSURBd05EZ3lPVEV6\r\n";
        let once = "UGF0aWVudDogTWFyaWJlbCBRdWlzdCwgTVJOIDAwNDgyOTEz";
        check(body, Encoding::Base64, &[once, "Patient: Maribel Quist, MRN 00482913"]);
        check("a=3D20b=3D\r\nc =3D3D", Encoding::QuotedPrintable, &["a=20b=\r\nc =3D", "a bc ="]);
    }

    #[test]
    fn what_would_come_to_too_much_is_not_decoded() {
        assert_eq!(decode(&Bytes::from_static(b"aGVsbG8=\r\n"), Encoding::Base64, 5), Err(Unreadable::TooLarge));
    }
}
