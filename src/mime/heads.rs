//! One header, as each of several mail programs would read it: the media type, how the body is encoded, what it is called.

use mail_parser::parsers::MessageStream;
use mail_parser::{ContentType, HeaderValue};

use crate::mime::fields;
use crate::mime::read::{outside, text};

/// What a part is that does not say (RFC 2045 §5.2, RFC 2046 §5.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Default {
    Plain,
    Message,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Base64,
    QuotedPrintable,
    Unknown,
}

/// RFC 3676 §4: in text of `format=flowed`, lines are broken behind spaces, with `DelSp=yes` behind ones that are not of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Stays,
    Goes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// In lower case, as in `text/plain`.
    pub(super) media_type: String,
    /// Each boundary that a program may take, the likeliest first.
    pub(super) boundaries: Vec<String>,
    pub(super) charset: Option<String>,
    /// Each name that a program may show.
    pub(super) names: Vec<String>,
    pub(super) encoding: Encoding,
    /// What becomes of the space at the end of a line that goes on in the next one; none if each line is one.
    pub(super) flowed: Option<Space>,
    /// The Content-ID of a part shown inside another one, without its brackets.
    pub(super) inline_id: Option<String>,
}

impl Head {
    pub(super) fn name(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }

    pub(super) fn is_multipart(&self) -> bool {
        self.media_type.starts_with("multipart/")
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self.media_type.as_str(), "message/rfc822" | "message/global" | "text/rfc822-headers")
    }
}

/// The readings of one header, the likeliest first.
#[derive(Debug)]
pub(super) struct Heads {
    /// At least one.
    pub(super) all: Vec<Head>,
    /// Whether there are more than are followed.
    pub(super) more: bool,
}

/// Readings of one header that are followed. Two fields twice make four; nobody's mail program makes more by mistake.
const MAX_HEADS: usize = 6;
/// Fields of one name, boundaries and file names that are looked at.
const MAX_FIELDS: usize = 4;
/// Octets of a value, and pieces of its parameters (RFC 2231 §3), from which on its parser costs their product. A name of 255
/// letters, each of nine octets when encoded, needs half of them.
const LONGEST_VALUE: usize = 16 << 10;
const MAX_PIECES: usize = 160;

/// Reads the fields of RFC 2045, 2183 and 2231 from a header, as each of several programs would.
pub(super) fn heads(header: &[u8], default: Default) -> Heads {
    let types = candidates(header, "content-type");
    let encodings = candidates(header, "content-transfer-encoding");
    let dispositions: Vec<&[u8]> = fields::named(header, "content-disposition").map(|field| field.value).collect();
    let numbers = [types.len(), encodings.len(), dispositions.len()];
    let mut more = numbers.into_iter().any(|number| number > MAX_FIELDS);
    let dispositions = dispositions.into_iter().take(MAX_FIELDS);
    // What is not parsed may say anything.
    more |= types.iter().flatten().copied().chain(dispositions.clone()).any(is_costly);
    let dispositions: Vec<_> = dispositions.filter_map(parsed).collect();
    let encodings = encodings.iter().take(MAX_FIELDS);
    let encodings: Vec<Encoding> = encodings.map(|value| value.map_or(Encoding::Identity, encoding_named)).collect();
    let mut all: Vec<Head> = Vec::new();
    for kind in types.iter().take(MAX_FIELDS) {
        let plain = head(header, *kind, &dispositions, default);
        for encoding in &encodings {
            let head = Head { encoding: *encoding, ..plain.clone() };
            if !all.contains(&head) {
                all.push(head);
            }
        }
    }
    let more = more || all.len() > MAX_HEADS;
    all.truncate(MAX_HEADS);
    Heads { all, more }
}

/// The values of a field that a program may go by: the first, as most do; another one; one that is folded into the field
/// before it; or none, where a program knows no field with a space before its colon (RFC 5322 §4.5).
fn candidates<'a>(header: &'a [u8], name: &'a str) -> Vec<Option<&'a [u8]>> {
    let mut all: Vec<Option<&[u8]>> = Vec::new();
    let mut add = |value| {
        // One more than is followed shows that there are more.
        if all.len() <= MAX_FIELDS && !all.contains(&value) {
            all.push(value);
        }
    };
    let mut strict = false;
    for field in fields::named(header, name) {
        strict |= field.whole.get(name.len()) == Some(&b':');
        add(Some(field.value));
    }
    if !strict {
        add(None);
    }
    folded(header, name).for_each(|value| add(Some(value)));
    all
}

/// Values of fields of this name that stand in a folded line of another field.
fn folded<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    header.split_inclusive(|byte| *byte == b'\n').filter_map(move |line| {
        let inner = line.strip_prefix(b" ").or(line.strip_prefix(b"\t"))?.trim_ascii_start();
        let (start, behind) = inner.split_at_checked(name.len())?;
        if !start.eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        behind.trim_ascii_start().strip_prefix(b":")
    })
}

/// Whether to parse it would cost more than to read the message: mail-parser looks for the name of each piece in all parameters.
fn is_costly(value: &[u8]) -> bool {
    value.len() > LONGEST_VALUE || memchr::memchr_iter(b'*', value).count() > MAX_PIECES
}

fn parsed(value: &[u8]) -> Option<HeaderValue<'_>> {
    (!is_costly(value)).then(|| MessageStream::new(value).parse_content_type())
}

/// A head whose encoding is still to be told.
fn head(header: &[u8], kind: Option<&[u8]>, dispositions: &[HeaderValue<'_>], default: Default) -> Head {
    let parsed = kind.and_then(parsed);
    let content_type = parsed.as_ref().and_then(HeaderValue::as_content_type);
    let disposed = || dispositions.iter().filter_map(HeaderValue::as_content_type);
    let attribute = |name: &str| content_type.and_then(|found| found.attribute(name)).map(str::to_owned);
    let raw = |name: &str| kind.map(|value| parameters(value, name)).unwrap_or_default();
    let names = disposed().filter_map(|found| found.attribute("filename")).map(str::to_owned);
    let names = names.chain(attribute("name")).filter(|name| !name.trim().is_empty());
    let media_type = media_type(content_type).or_else(|| kind.and_then(rough_type));
    let says = |name: &str, value: &str| attribute(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    let space = if says("delsp", "yes") { Space::Goes } else { Space::Stays };
    let boundaries = attribute("boundary").into_iter().chain(raw("boundary"));
    Head {
        media_type: media_type.unwrap_or_else(|| default_type(default).to_owned()),
        boundaries: distinct(boundaries.filter(|text| !text.is_empty())),
        charset: attribute("charset").or_else(|| raw("charset").into_iter().next()),
        names: distinct(names),
        encoding: Encoding::Identity,
        flowed: says("format", "flowed").then_some(space),
        inline_id: inline_id(header, disposed().next()),
    }
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for value in values {
        if !all.contains(&value) && all.len() < MAX_FIELDS {
            all.push(value);
        }
    }
    all
}

/// Every value that stands behind this name and an equals sign, quoted or not: of two, programs take either.
fn parameters(value: &[u8], name: &str) -> Vec<String> {
    let value = String::from_utf8_lossy(value);
    let lower = value.to_ascii_lowercase();
    let mut found = Vec::new();
    let token = |text: &str| text.split([';', '\r', '\n']).next().unwrap_or_default().trim_end().to_owned();
    for (at, _) in lower.match_indices(name).take(MAX_FIELDS) {
        let rest = value[at + name.len()..].trim_start_matches([' ', '\t']);
        let Some(rest) = rest.strip_prefix('=').map(str::trim_start) else { continue };
        match rest.strip_prefix('"') {
            Some(quoted) if quoted.contains('"') => found.extend(quoted.split('"').next().map(str::to_owned)),
            Some(open) => found.push(token(open)),
            None => {
                let whole = token(rest);
                let word = whole.split([' ', '\t', '"', '(']).next().unwrap_or_default().to_owned();
                found.extend([word, whole]);
            }
        }
    }
    found
}

fn media_type(content_type: Option<&ContentType<'_>>) -> Option<String> {
    let found = content_type?;
    let subtype = found.subtype().filter(|subtype| is_token(subtype) && is_token(found.ctype()))?;
    Some(format!("{}/{subtype}", found.ctype()).to_ascii_lowercase())
}

/// A type among comments and other things that should not be there.
fn rough_type(value: &[u8]) -> Option<String> {
    let value = outside(&String::from_utf8_lossy(value)).to_ascii_lowercase();
    let words = value.split(|c: char| c.is_whitespace() || matches!(c, ';' | ','));
    let mut types = words.filter_map(|word| word.split_once('/'));
    types.find(|(kind, subtype)| is_token(kind) && is_token(subtype)).map(|(kind, subtype)| format!("{kind}/{subtype}"))
}

/// RFC 2045 §5.1, and no more than names are made of.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
}

const fn default_type(default: Default) -> &'static str {
    match default {
        Default::Plain => "text/plain",
        Default::Message => "message/rfc822",
    }
}

fn encoding_named(value: &[u8]) -> Encoding {
    // A comment may stand there (RFC 2045 §2.1); quotes and parameters do, where programs were careless.
    let value = text(value).replace('"', " ");
    let name = outside(&value).to_ascii_lowercase();
    match name.split([';', ',']).next().unwrap_or_default().trim() {
        "" | "7bit" | "8bit" | "binary" | "7-bit" | "8-bit" => Encoding::Identity,
        "base64" | "base-64" => Encoding::Base64,
        "quoted-printable" | "quoted_printable" | "quotedprintable" => Encoding::QuotedPrintable,
        _ => Encoding::Unknown,
    }
}

fn inline_id(header: &[u8], disposition: Option<&ContentType<'_>>) -> Option<String> {
    let id = fields::named(header, "content-id").next()?;
    disposition
        .is_some_and(ContentType::is_inline)
        .then(|| text(id.value).trim().trim_start_matches('<').trim_end_matches('>').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Encoding::{Base64, Identity, QuotedPrintable, Unknown};

    fn check(header: &str, expected: &[(&str, Encoding)]) {
        let found = heads(header.as_bytes(), Default::Plain);
        let found: Vec<_> = found.all.iter().map(|head| (head.media_type.as_str(), head.encoding)).collect();
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn a_clear_header_has_one_reading() {
        let found = heads(
            b"Content-Type: Multipart/Mixed;\r\n boundary=\"a b\"\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n",
            Default::Plain,
        );
        assert_eq!((found.all.len(), found.more), (1, false));
        assert_eq!(found.all[0].media_type, "multipart/mixed");
        assert_eq!(found.all[0].boundaries, ["a b"]);
        check("Content-Transfer-Encoding: base64\r\nContent-Type: text/html; a=b\r\n", &[("text/html", Base64)]);
        check("Content-Type: text/plain\r\nContent-Type: text/plain\r\n", &[("text/plain", Identity)]);
        check("", &[("text/plain", Identity)]);
        assert_eq!(heads(b"", Default::Message).all[0].media_type, "message/rfc822");
    }

    #[test]
    fn names_are_decoded() {
        let found = heads(
            b"Content-Disposition: attachment; filename*=utf-8''r%C3%A9sultats.csv\r\nContent-Type: text/csv; name=q.csv\r\n",
            Default::Plain,
        );
        assert_eq!(found.all[0].names, ["résultats.csv", "q.csv"]);
        let names = |header: &str| heads(header.as_bytes(), Default::Plain).all[0].names.clone();
        let encoded = "Content-Disposition: attachment; filename=\"=?utf-8?B?TVJOIDc=?=.pdf\"\r\n";
        assert_eq!(names(encoded), ["MRN 7.pdf"]);
        let twice =
            "Content-Disposition: inline; filename=a.txt\r\nContent-Disposition: attachment; filename=b.txt\r\n";
        assert_eq!(names(twice), ["a.txt", "b.txt"]);
    }

    #[test]
    fn a_header_that_programs_read_differently_has_a_reading_for_each() {
        let both = &[("text/plain", Identity), ("text/html", Identity)];
        check("Content-Type: text/plain\r\nContent-Type: text/html\r\n", both);
        check("X-A: 1\r\n Content-Type: text/html\r\n", both);
        check("Content-Type : text/html\r\n", &[("text/html", Identity), ("text/plain", Identity)]);
        let encodings = "Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: quoted-printable\r\n";
        check(encodings, &[("text/plain", Base64), ("text/plain", QuotedPrintable)]);
        check("Content-Transfer-Encoding: base64 (not really)\r\n", &[("text/plain", Base64)]);
        check("Content-Transfer-Encoding: \"base64\"\r\n", &[("text/plain", Base64)]);
        check("Content-Transfer-Encoding: x-odd\r\n", &[("text/plain", Unknown)]);
        check("Content-Type: nonsense\r\n", &[("text/plain", Identity)]);
        check("Content-Type: (a) , text/html ; charset\r\n", &[("text/html", Identity)]);
    }

    #[test]
    fn a_header_of_many_readings_ends_at_the_bound_and_says_so() {
        let fields = |n| format!("Content-Type: text/x{n}\r\nContent-Transfer-Encoding: x{n}\r\n");
        let many: String = (0..50).map(fields).collect();
        let found = heads(many.as_bytes(), Default::Plain);
        assert!(found.more && found.all.len() <= MAX_HEADS);
    }

    #[test]
    fn a_value_of_a_hundred_thousand_pieces_is_not_put_together() {
        let began = std::time::Instant::now();
        for field in ["Content-Type: text/html; charset=utf-8", "Content-Disposition: attachment"] {
            for piece in [";\r\n a{}*1=x", ";\r\n a*{}=x", ";\r\n a*{}*=x"] {
                let pieces: String = (0..100_000).map(|number| piece.replace("{}", &number.to_string())).collect();
                let found = heads(format!("{field}{pieces}\r\n").as_bytes(), Default::Plain);
                assert!(found.more, "{field}{piece}");
            }
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
        let names = |count: usize| {
            let pieces: String = (0..count).map(|number| format!(";\r\n filename*{number}*=%C3%A9{number}")).collect();
            heads(format!("Content-Disposition: attachment{pieces}\r\n").as_bytes(), Default::Plain)
        };
        assert_eq!((names(40).more, names(40).all[0].names.len()), (false, 1), "a long name is one");
        assert!(names(200).more);
    }

    #[test]
    fn each_boundary_of_two_is_a_candidate() {
        let read = |value: &str| {
            let header = format!("Content-Type: multipart/mixed; {value}\r\n");
            heads(header.as_bytes(), Default::Plain).all[0].boundaries.clone()
        };
        assert_eq!(read("boundary=a; boundary=b").len(), 2);
        assert!(read("boundary=a b").contains(&"a b".to_owned()));
        assert!(read("boundary=\"never closed").contains(&"never closed".to_owned()));
        assert!(read("boundary*=utf-8''x%20y").contains(&"x y".to_owned()));
        assert!(read("a=b").is_empty());
    }
}
