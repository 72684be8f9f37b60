//! Puts a text above or below what a message says, and leaves every other octet of it as it was.
//!
//! Where the text parts can take it, it is written into each of them: a reader is shown one of several. Where one of them
//! cannot (its charset, its encoding, its structure), the whole message becomes the middle part of a multipart whose outer
//! parts are the texts. A message that is signed or sealed end to end must not come here.

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};

use crate::crypto::sha256;
use crate::mime::heads::{Default, Encoding, Head, heads};
use crate::mime::split::Cut;
use crate::mime::survey::cut;
use crate::mime::{fields, split, transfer};
use crate::phi::Phi;

/// What is put where.
#[derive(Clone, Debug, Default)]
pub struct Inserted {
    /// It may be a subject that held PHI.
    pub above: Option<Phi<String>>,
    pub below: Option<String>,
}

/// Parts in one multipart that are looked at for a text.
const MOST_PARTS: usize = 1000;
/// How deep the text of a message may lie.
const DEEPEST: usize = 8;
/// RFC 2045 §6.8: encoded lines have at most 76 characters.
const LINE: usize = 76;

/// The message with the texts in it.
pub(super) fn insert(whole: &Bytes, inserted: &Inserted) -> Vec<u8> {
    // The subject goes back into the message that it came from.
    let texts =
        Texts { above: inserted.above.as_ref().map(|text| text.expose().as_str()), below: inserted.below.as_deref() };
    if texts.above.is_none() && texts.below.is_none() {
        return whole.to_vec();
    }
    written_into(whole, &texts, 0).unwrap_or_else(|| wrapped(whole, &texts))
}

#[derive(Clone, Copy)]
struct Texts<'a> {
    above: Option<&'a str>,
    below: Option<&'a str>,
}

/// The entity with the texts in each of its alternatives; none when one cannot take them.
fn written_into(entity: &Bytes, texts: &Texts<'_>, depth: usize) -> Option<Vec<u8>> {
    let (header, body) = cut(entity);
    let readings = heads(&header, Default::Plain);
    // What programs read differently is wrapped, as one part.
    let [head] = readings.all.as_slice() else { return None };
    if readings.more || depth > DEEPEST || header.len() == entity.len() {
        return None;
    }
    let body = match head.media_type.as_str() {
        "text/plain" | "text/html" if head.names.is_empty() => into_text(head, &body, texts)?,
        "multipart/alternative" => into_parts(head, &body, (texts, depth), usize::MAX)?,
        "multipart/mixed" | "multipart/related" => into_parts(head, &body, (texts, depth), 1)?,
        _ => return None,
    };
    let until_body = entity.len() - cut(entity).1.len();
    Some([&entity[..until_body], &body].concat())
}

/// The multipart's body with the first parts changed, up to `most` of them.
fn into_parts(head: &Head, body: &Bytes, (texts, depth): (&Texts<'_>, usize), most: usize) -> Option<Vec<u8>> {
    let [boundary] = head.boundaries.as_slice() else { return None };
    let pieces = split::split(body, boundary, MOST_PARTS, Cut::Exact);
    let is_plain = head.encoding == Encoding::Identity;
    if pieces.ambiguous || !pieces.left.is_empty() || pieces.parts.is_empty() || !is_plain {
        return None;
    }
    let start = body.as_ptr() as usize;
    let mut changed = Vec::with_capacity(body.len() + 1024);
    let mut copied = 0;
    for part in pieces.parts.iter().take(most) {
        let at = part.as_ptr() as usize - start;
        changed.extend_from_slice(&body[copied..at]);
        changed.extend(written_into(part, texts, depth + 1)?);
        copied = at + part.len();
    }
    changed.extend_from_slice(&body[copied..]);
    Some(changed)
}

fn into_text(head: &Head, body: &Bytes, texts: &Texts<'_>) -> Option<Vec<u8>> {
    let is_html = head.media_type == "text/html";
    let is_ascii = texts.above.is_none_or(str::is_ascii) && texts.below.is_none_or(str::is_ascii);
    let charset = head.charset.as_deref().unwrap_or("us-ascii").to_ascii_lowercase();
    // HTML can say everything in ASCII; plain text only what its charset has.
    if !is_html && !is_ascii && charset != "utf-8" {
        return None;
    }
    if !keeps_ascii(&charset) || is_armored(body) {
        return None;
    }
    match head.encoding {
        Encoding::Identity if is_html || is_ascii || !body.is_ascii() => Some(around(body, texts, is_html)),
        Encoding::QuotedPrintable if !is_html => Some(around_quoted(body, texts)),
        Encoding::QuotedPrintable => {
            let octets = decoded(body, head.encoding)?;
            Some(quoted_printable(&around(&octets, texts, is_html)))
        }
        Encoding::Base64 => {
            let octets = decoded(body, head.encoding)?;
            Some(base64(&around(&octets, texts, is_html)))
        }
        Encoding::Identity | Encoding::Unknown => None,
    }
}

/// What an encoding stands for, where every program reads the same.
fn decoded(body: &Bytes, encoding: Encoding) -> Option<Bytes> {
    let decoded = transfer::decode(body, encoding, usize::MAX).ok()?;
    decoded.others.is_empty().then_some(decoded.octets)
}

/// Charsets in which an octet below 128 is what it is in ASCII, and nothing else.
fn keeps_ascii(charset: &str) -> bool {
    matches!(charset, "utf-8" | "us-ascii" | "koi8-r" | "koi8-u")
        || charset.starts_with("iso-8859-")
        || charset.starts_with("windows-125")
}

/// An OpenPGP text within the text: what stands around it is no longer what was signed.
fn is_armored(body: &[u8]) -> bool {
    body.windows(11).any(|window| window == b"-----BEGIN ")
}

fn around(octets: &[u8], texts: &Texts<'_>, is_html: bool) -> Vec<u8> {
    if is_html {
        return around_page(octets, texts);
    }
    let mut whole = Vec::with_capacity(octets.len() + 1024);
    if let Some(above) = texts.above {
        whole.extend(lines(above));
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend_from_slice(octets);
    if let Some(below) = texts.below {
        let end: &[u8] = if octets.is_empty() || octets.ends_with(b"\r\n") { b"\r\n" } else { b"\r\n\r\n" };
        whole.extend_from_slice(end);
        whole.extend(lines(below));
    }
    whole
}

fn around_quoted(body: &[u8], texts: &Texts<'_>) -> Vec<u8> {
    let mut whole = Vec::with_capacity(body.len() + 1024);
    if let Some(above) = texts.above {
        whole.extend(quoted_printable(&lines(above)));
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend_from_slice(body);
    if let Some(below) = texts.below {
        // A soft line break at the very end would join our first line to theirs: two line ends hold in any case.
        let end: &[u8] = if body.ends_with(b"\r\n") { b"\r\n" } else { b"\r\n\r\n" };
        whole.extend_from_slice(end);
        whole.extend(quoted_printable(&lines(below)));
    }
    whole
}

/// A page shows what stands at the start and the end of its body.
fn around_page(page: &[u8], texts: &Texts<'_>) -> Vec<u8> {
    let lower = page.to_ascii_lowercase();
    let find = |what: &[u8]| lower.windows(what.len()).position(|window| window == what);
    let last = |what: &[u8]| lower.windows(what.len()).rposition(|window| window == what);
    let behind = |at: usize| lower[at..].iter().position(|byte| *byte == b'>').map(|end| at + end + 1);
    let start = find(b"<body").and_then(behind).or_else(|| find(b"</head>").map(|at| at + 7));
    let start = start.or_else(|| find(b"<html").and_then(behind)).unwrap_or(0);
    let end = last(b"</body").or_else(|| last(b"</html")).filter(|end| *end >= start).unwrap_or(page.len());
    let above = texts.above.map(block).unwrap_or_default();
    let below = texts.below.map(block).unwrap_or_default();
    [&page[..start], above.as_bytes(), &page[start..end], below.as_bytes(), &page[end..]].concat()
}

/// The text as HTML, in ASCII.
fn block(text: &str) -> String {
    let mut html = String::from("<div style=\"margin:1em 0\">");
    for character in text.chars() {
        match character {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '\n' => html.push_str("<br>\r\n"),
            plain if plain.is_ascii() => html.push(plain),
            other => html.push_str(&format!("&#{};", u32::from(other))),
        }
    }
    html.push_str("</div>\r\n");
    html
}

/// The text in the line ends of the wire, ending in one.
fn lines(text: &str) -> Vec<u8> {
    text.lines().flat_map(|line| [line.trim_end_matches('\r'), "\r\n"]).collect::<String>().into_bytes()
}

/// RFC 2045 §6.7.
fn quoted_printable(octets: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(octets.len() + octets.len() / 8);
    for line in octets.split_inclusive(|byte| *byte == b'\n') {
        let (line, end): (&[u8], &[u8]) = match line.strip_suffix(b"\r\n") {
            Some(line) => (line, b"\r\n"),
            None => (line, b""),
        };
        let mut width = 0;
        for (at, byte) in line.iter().enumerate() {
            let is_last = at + 1 == line.len();
            let plain = (b'!'..=b'~').contains(byte) && *byte != b'=';
            let blank = matches!(byte, b' ' | b'\t') && !is_last;
            let piece = if plain || blank { vec![*byte] } else { format!("={byte:02X}").into_bytes() };
            if width + piece.len() >= LINE {
                encoded.extend_from_slice(b"=\r\n");
                width = 0;
            }
            width += piece.len();
            encoded.extend(piece);
        }
        encoded.extend_from_slice(end);
    }
    encoded
}

fn base64(octets: &[u8]) -> Vec<u8> {
    let encoded = BASE64.encode(octets).into_bytes();
    encoded.chunks(LINE).flat_map(|line| [line, b"\r\n"]).flatten().copied().collect()
}

/// The message as the middle part of a multipart: its fields about the content go with it.
fn wrapped(whole: &Bytes, texts: &Texts<'_>) -> Vec<u8> {
    let (header, body) = cut(whole);
    let boundary = format!("=_sealpost_{}", HEXLOWER.encode(&sha256(whole).0[..12]));
    let is_content = |field: &fields::Field<'_>| field.begins("content-");
    let mut outer: Vec<u8> = Vec::with_capacity(whole.len() + 2048);
    for field in fields::fields(&header).filter(|field| !is_content(field)) {
        outer.extend_from_slice(field.whole);
    }
    if fields::named(&header, "mime-version").next().is_none() {
        outer.extend_from_slice(b"MIME-Version: 1.0\r\n");
    }
    outer.extend(format!("Content-Type: multipart/mixed;\r\n\tboundary=\"{boundary}\"\r\n\r\n").into_bytes());
    if let Some(above) = texts.above {
        outer.extend(part(&boundary, above));
    }
    outer.extend(format!("--{boundary}\r\n").into_bytes());
    for field in fields::fields(&header).filter(is_content) {
        outer.extend_from_slice(field.whole);
    }
    outer.extend_from_slice(b"\r\n");
    outer.extend_from_slice(&body);
    // RFC 2046 §5.1.1: the line end before a delimiter belongs to the delimiter, so the part keeps its own.
    outer.extend_from_slice(b"\r\n");
    if let Some(below) = texts.below {
        outer.extend(part(&boundary, below));
    }
    outer.extend(format!("--{boundary}--\r\n").into_bytes());
    outer
}

fn part(boundary: &str, text: &str) -> Vec<u8> {
    let head = format!(
        "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\
         Content-Disposition: inline\r\n\r\n"
    );
    [head.into_bytes(), quoted_printable(&lines(text))].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Message, WireLimits};
    use crate::mime::{Budget, Content, parse};

    fn inserted(text: &str, above: Option<&str>, below: Option<&str>) -> String {
        let inserted = Inserted { above: above.map(|text| Phi::new(text.into())), below: below.map(str::to_owned) };
        String::from_utf8(insert(&Bytes::from(text.replace('\n', "\r\n").into_bytes()), &inserted)).unwrap()
    }

    fn check(before: &str, after: &str) {
        assert_eq!(inserted(before, Some("Subject: A"), Some("The\nend")).replace("\r\n", "\n"), after);
    }

    /// What a reader is shown, part by part.
    fn shown(text: &str) -> Vec<String> {
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
        let message = Message::parse(text.as_bytes().to_vec(), &limits).unwrap();
        let budget = Budget { depth: 10, parts: 100, ratio: 100, bytes: 1 << 20 };
        let text = |content: Content| match content {
            Content::Text(text) => text.into_exposed(),
            Content::Unreadable(why) => panic!("{why:?}"),
        };
        parse(&message, &budget).parts.into_iter().map(|part| text(part.content)).collect()
    }

    #[test]
    fn plain_text_takes_it_above_and_below() {
        check("From: a@b.example\n\nhello\n", "From: a@b.example\n\nSubject: A\n\nhello\n\nThe\nend\n");
        check("X: 1\n\nhello", "X: 1\n\nSubject: A\n\nhello\n\nThe\nend\n");
    }

    #[test]
    fn each_alternative_takes_it_and_attachments_stay_octet_for_octet() {
        let before = "Content-Type: multipart/mixed; boundary=m\n\npreamble\n--m\nContent-Type: multipart/alternative; boundary=a\n\n\
                      --a\nContent-Type: text/plain; charset=utf-8\n\nhello\n--a\nContent-Type: text/html\n\n\
                      <html><BODY bgcolor=x><p>hello</p></body></html>\n--a--\n--m\nContent-Type: application/pdf; name=x.pdf\n\
                      Content-Transfer-Encoding: base64\n\nAAAA\n--m--\nepilogue\n";
        let after = before
            .replace("charset=utf-8\n\nhello\n", "charset=utf-8\n\nSubject: A\n\nhello\n\nThe\nend\n\n")
            .replace("bgcolor=x>", "bgcolor=x><div style=\"margin:1em 0\">Subject: A</div>\n")
            .replace("</p></body>", "</p><div style=\"margin:1em 0\">The<br>\nend</div>\n</body>");
        check(before, &after);
    }

    #[test]
    fn encoded_texts_are_read_as_before_with_the_text_around() {
        for (encoding, body) in [("quoted-printable", "h=C3=A9llo"), ("base64", "aMOpbGxv")] {
            let text =
                format!("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n{body}\n");
            let after = inserted(&text, Some("Subject: Año nuevo"), Some("Fin"));
            let shown = shown(&after).join("|");
            assert!(shown.starts_with("Subject: Año nuevo") && shown.contains("héllo"), "{shown}");
            assert!(shown.trim_end().ends_with("Fin"), "{shown}");
        }
        let page = "Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
                    <p>h=E9llo</p>\n";
        let shown = shown(&inserted(page, Some("Subject: <b> 検査"), None)).join("|");
        assert!(shown.contains("Subject: <b> 検査") && shown.contains("héllo"), "{shown}");
    }

    #[test]
    fn what_cannot_take_it_becomes_a_part_between() {
        for text in [
            "Content-Type: application/pdf; name=x.pdf\nContent-Transfer-Encoding: base64\nSubject: x\n\nAAAA\n",
            "Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64\n\naABpAA==\n",
            "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\nno part here\n",
            "Content-Type: text/calendar\n\nBEGIN:VCALENDAR\n",
        ] {
            let after = inserted(text, Some("Subject: Año"), Some("Fin")).replace("\r\n", "\n");
            let (content, body) = text.split_once("\n\n").unwrap();
            let content: Vec<&str> = content.lines().filter(|line| line.starts_with("Content-")).collect();
            assert!(after.contains(&format!("\n{}\n\n{body}\n--", content.join("\n"))), "{after}");
            assert!(after.contains("multipart/mixed") && after.contains("Subject: A=C3=B1o"), "{after}");
            assert_eq!(after.matches("MIME-Version: 1.0").count(), 1);
        }
    }

    #[test]
    fn nothing_to_insert_changes_nothing() {
        let text = "A: \n\n\nx";
        assert_eq!(inserted(text, None, None), text.replace('\n', "\r\n"));
    }
}
