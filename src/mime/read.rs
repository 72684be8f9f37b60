//! One header, read: the media type, how the body is encoded, what is odd about it. The fields are parsed by mail-parser.

use std::collections::HashSet;

use mail_parser::parsers::MessageStream;
use mail_parser::{ContentType, HeaderValue};

use crate::mail::Address;
use crate::mime::fields;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    Clear,
    /// Two readers may see two different things.
    Ambiguous,
}

#[derive(Clone)]
pub(super) struct Head {
    /// In lower case, as in `text/plain`.
    pub(super) media_type: String,
    pub(super) boundary: Option<String>,
    pub(super) charset: Option<String>,
    pub(super) name: Option<String>,
    pub(super) encoding: Encoding,
    /// The Content-ID of a part shown inside another one, without its brackets.
    pub(super) inline_id: Option<String>,
    pub(super) structure: Structure,
}

/// Reads the fields of RFC 2045, 2183 and 2231 from a header.
pub(super) fn head(header: &[u8], default: Default) -> Head {
    let types: Vec<_> = fields::named(header, "content-type").collect();
    let parsed = types.first().map(|field| MessageStream::new(field.value).parse_content_type());
    let content_type = parsed.as_ref().and_then(HeaderValue::as_content_type);
    let disposition = fields::named(header, "content-disposition").next();
    let disposition = disposition.map(|field| MessageStream::new(field.value).parse_content_type());
    let disposition = disposition.as_ref().and_then(HeaderValue::as_content_type);
    let attribute = |name: &str| content_type.and_then(|found| found.attribute(name)).map(str::to_owned);
    let (encoding, encodings) = encoding(header);
    let unreadable_type = types.len() == 1 && media_type(content_type).is_none();
    let ambiguous = types.len() > 1 || encodings > 1 || encoding == Encoding::Unknown || unreadable_type;
    Head {
        media_type: media_type(content_type).unwrap_or_else(|| default_type(default).to_owned()),
        boundary: attribute("boundary").filter(|boundary| !boundary.is_empty()),
        charset: attribute("charset"),
        name: disposition
            .and_then(|found| found.attribute("filename"))
            .map(str::to_owned)
            .or_else(|| attribute("name")),
        encoding,
        inline_id: inline_id(header, disposition),
        structure: if ambiguous { Structure::Ambiguous } else { Structure::Clear },
    }
}

fn media_type(content_type: Option<&ContentType<'_>>) -> Option<String> {
    let found = content_type?;
    let subtype = found.subtype().filter(|subtype| !subtype.is_empty())?;
    Some(format!("{}/{subtype}", found.ctype()).to_ascii_lowercase())
}

const fn default_type(default: Default) -> &'static str {
    match default {
        Default::Plain => "text/plain",
        Default::Message => "message/rfc822",
    }
}

/// The transfer encoding, and how many fields name one.
fn encoding(header: &[u8]) -> (Encoding, usize) {
    let mut all = fields::named(header, "content-transfer-encoding");
    let Some(first) = all.next() else { return (Encoding::Identity, 0) };
    let name = text(first.value).trim().to_ascii_lowercase();
    let encoding = match name.as_str() {
        "" | "7bit" | "8bit" | "binary" => Encoding::Identity,
        "base64" => Encoding::Base64,
        "quoted-printable" => Encoding::QuotedPrintable,
        _ => Encoding::Unknown,
    };
    (encoding, 1 + all.count())
}

fn inline_id(header: &[u8], disposition: Option<&ContentType<'_>>) -> Option<String> {
    let id = fields::named(header, "content-id").next()?;
    disposition
        .is_some_and(ContentType::is_inline)
        .then(|| text(id.value).trim().trim_start_matches('<').trim_end_matches('>').to_owned())
}

/// S/MIME that is encrypted, or signed so that only an S/MIME reader sees the text (RFC 8551 §3.2).
pub(super) fn is_smime(media_type: &str) -> bool {
    matches!(media_type, "application/pkcs7-mime" | "application/x-pkcs7-mime")
}

/// An unstructured value: unfolded, encoded words decoded (RFC 2047).
pub(super) fn text(value: &[u8]) -> String {
    match MessageStream::new(value).parse_unstructured() {
        HeaderValue::Text(text) => text.trim().to_owned(),
        _ => String::from_utf8_lossy(value).trim().to_owned(),
    }
}

/// The addresses of a From field; none when something that is meant as one cannot be read.
pub(super) fn addresses(value: &[u8]) -> Option<Vec<Address>> {
    let parsed = MessageStream::new(value).parse_address();
    let Some(list) = parsed.as_address() else { return Some(Vec::new()) };
    // Without an @ it is a word: the half of a name whose comma was not quoted.
    let meant = list.iter().filter_map(|entry| entry.address().or(entry.name())).filter(|text| text.contains('@'));
    let mut found: Vec<Address> = meant.map(|text| Address::parse(text).ok()).collect::<Option<_>>()?;
    // A header has room for tens of thousands of them.
    let mut known: HashSet<Address> = found.iter().cloned().collect();
    for bare in bare_addresses(value) {
        let address = Address::parse(&bare).ok()?;
        if known.insert(address.clone()) {
            found.push(address);
        }
    }
    Some(found)
}

/// What looks like an address where a name may stand, without quotes: `ann@clinic.example <bo@clinic.example>`. No name
/// holds an @ there (RFC 5322 §3.2.3), and of readers one shows the first address, another the second.
fn bare_addresses(value: &[u8]) -> Vec<String> {
    let bare = outside(&String::from_utf8_lossy(value));
    let words = bare.split(|c: char| c.is_whitespace() || ",;:<>".contains(c));
    // RFC 2047 §5 (3) would have the @ in an encoded word encoded; either way, what it says is a name.
    let is_encoded = |word: &str| word.starts_with("=?") && word.ends_with("?=");
    words.filter(|word| word.contains('@') && !is_encoded(word)).map(str::to_owned).collect()
}

/// What stands in none of quotes, comments and angle brackets; each of them leaves a space.
fn outside(value: &str) -> String {
    let (mut bare, mut inside, mut characters) = (String::new(), Vec::new(), value.chars());
    while let Some(character) = characters.next() {
        match (character, inside.last().copied()) {
            ('\\', Some('"' | '(')) => drop(characters.next()),
            ('"', Some('"')) | (')', Some('(')) | ('>', Some('<')) => drop(inside.pop()),
            ('"' | '<', None) | ('(', None | Some('(')) => inside.push(character),
            (character, None) => bare.push(character),
            _ => continue,
        }
        if inside.last() == Some(&character) {
            bare.push(' ');
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_and_its_parameters_are_read() {
        let head = head(
            b"Content-Type: Multipart/Mixed;\r\n boundary=\"a b\"\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n",
            Default::Plain,
        );
        assert_eq!(head.media_type, "multipart/mixed");
        assert_eq!(head.boundary.as_deref(), Some("a b"));
        assert_eq!(head.structure, Structure::Clear);
    }

    #[test]
    fn names_are_decoded() {
        let head = head(
            b"Content-Disposition: attachment; filename*=utf-8''r%C3%A9sultats.csv\r\nContent-Type: text/csv\r\n",
            Default::Plain,
        );
        assert_eq!(head.name.as_deref(), Some("résultats.csv"));
    }

    #[test]
    fn what_two_readers_may_read_differently_is_ambiguous() {
        for header in [
            &b"Content-Type: text/plain\r\nContent-Type: text/html\r\n"[..],
            b"Content-Transfer-Encoding: uuencode\r\n",
            b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n",
            b"Content-Type: nonsense\r\n",
        ] {
            assert_eq!(head(header, Default::Plain).structure, Structure::Ambiguous, "{header:?}");
        }
        assert_eq!(head(b"", Default::Message).media_type, "message/rfc822");
    }

    #[test]
    fn from_addresses_are_parsed() {
        let found = addresses(b" \"Quist, M\" <m.quist@clinic.example>, desk@clinic.example\r\n").unwrap();
        assert_eq!(
            found.iter().map(Address::expose).collect::<Vec<_>>(),
            ["m.quist@clinic.example", "desk@clinic.example"]
        );
    }

    #[test]
    fn a_header_full_of_authors_is_read_in_one_pass() {
        let many: Vec<String> = (0..20_000).map(|n| format!("a{n}@b.example")).collect();
        let began = std::time::Instant::now();
        assert_eq!(addresses(many.join(",").as_bytes()).unwrap().len(), many.len());
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }

    #[test]
    fn an_address_that_poses_as_a_name_without_quotes_is_an_author_too() {
        let read = |value: &str| {
            let found = addresses(value.as_bytes())?;
            Some(found.iter().map(|address| address.expose().to_owned()).collect::<Vec<_>>())
        };
        let both = |value: &str| {
            let found = read(value).unwrap_or_else(|| panic!("{value} cannot be read"));
            assert!(found.iter().any(|one| one == "ann@clinic.example"), "{value} {found:?}");
            assert!(found.iter().any(|one| one == "bo@clinic.example"), "{value} {found:?}");
        };
        both(" ann@clinic.example <bo@clinic.example>\r\n");
        both(" ann@clinic.example:bo@clinic.example;\r\n");
        both(" ann@clinic.example:;, bo@clinic.example\r\n");
        both(" Ann at ann@clinic.example <bo@clinic.example>\r\n");
        assert_eq!(read(" ann@clinic@example <bo@clinic.example>\r\n"), None);
        // A name in quotes, or a remark, is no author, whatever it says; and who names itself twice is one.
        for alone in [
            " \"ann@clinic.example\" <bo@clinic.example>\r\n",
            " \"a \\\" ann@clinic.example\" <bo@clinic.example>\r\n",
            " (ann@clinic.example (and) x@y.example \\) z@y.example) bo@clinic.example\r\n",
            " bo@clinic.example <bo@clinic.example>\r\n",
            " Bo <bo@clinic.example>\r\n",
            " =?utf-8?q?ann@clinic.example?= <bo@clinic.example>\r\n",
            " bo@clinic.example\r\n",
        ] {
            assert_eq!(read(alone), Some(vec!["bo@clinic.example".to_owned()]), "{alone}");
        }
    }
}
