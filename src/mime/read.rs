//! The value of one field, read: words and addresses. They are parsed by mail-parser.

use std::collections::HashSet;

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use crate::mail::Address;
use crate::mime::{charset, transfer};

/// S/MIME that is encrypted, or signed so that only an S/MIME reader sees the text (RFC 8551 §3.2).
pub(super) fn is_smime(media_type: &str) -> bool {
    matches!(media_type, "application/pkcs7-mime" | "application/x-pkcs7-mime")
}

/// An unstructured value: unfolded, encoded words decoded (RFC 2047).
pub(super) fn text(value: &[u8]) -> String {
    // Octets that are no UTF-8 are those of a program that knows one charset only.
    let wide = std::str::from_utf8(value).is_err().then(|| charset::unlabelled(value));
    let value = wide.as_deref().map_or(value, str::as_bytes);
    match MessageStream::new(value).parse_unstructured() {
        HeaderValue::Text(text) => text.trim().to_owned(),
        _ => String::from_utf8_lossy(value).trim().to_owned(),
    }
}

/// An unstructured value as it is, and as lenient programs show it if that is something else.
pub(super) fn readings(value: &[u8]) -> impl Iterator<Item = String> {
    let text = text(value);
    let torn = text.contains("=?").then(|| torn_words(&text)).filter(|torn| *torn != text && !torn.is_empty());
    [Some(text), torn].into_iter().flatten()
}

/// Encoded words that RFC 2047 would have shown as they stand, with a blank or another slip inside: programs decode them.
fn torn_words(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, word)) = rest.split_once("=?") {
        decoded.push_str(before);
        let Some(length) = word.find("?=") else {
            // No other one ends either.
            decoded.push_str(&rest[before.len()..]);
            return decoded;
        };
        // `?Q?=41?=` has an end that is none: the data begins with the equals sign.
        let length = if word[..length].matches('?').count() < 2 {
            word[length + 2..].find("?=").map(|more| length + 2 + more)
        } else {
            Some(length)
        };
        match length.and_then(|length| Some((torn_word(&word[..length])?, length))) {
            Some((text, length)) => {
                decoded.push_str(&text);
                rest = &word[length + 2..];
            }
            None => {
                decoded.push_str("=?");
                rest = word;
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

/// `utf-8?B?TVJO IDc`.
fn torn_word(word: &str) -> Option<String> {
    let (label, word) = word.split_once('?')?;
    let (encoding, data) = word.split_once('?')?;
    let octets = match encoding.trim() {
        "B" | "b" => transfer::loose_base64(data.as_bytes()),
        "Q" | "q" => transfer::literal(data.replace('_', " ").as_bytes()),
        _ => return None,
    };
    // RFC 2231 §5: a language may stand behind the charset.
    let label = label.split('*').next();
    charset::text(&octets, label).ok().map(|(text, _)| text)
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
pub(super) fn outside(value: &str) -> String {
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
    fn words_are_decoded_even_where_they_are_torn() {
        let check = |value: &str, expected: &[&str]| {
            assert_eq!(readings(value.as_bytes()).collect::<Vec<_>>(), expected, "{value}");
        };
        check(" =?utf-8?B?TVJO?= =?utf-8?Q?_7?=\r\n", &["MRN 7"]);
        check(" =?utf-8?B?TVJO\r\n IDc=?= of Ann\r\n", &["MRN 7 of Ann"]);
        check(" =?utf-8?Q?=4DRN=ZZ 7?=\r\n", &["=?utf-8?Q?=4DRN=ZZ 7?=", "MRN=ZZ 7"]);
        check(" =?utf-8?X?a?= =?b\r\n", &["=?utf-8?X?a?= =?b"]);
        assert_eq!(text(b" Jos\xe9 \x96 MRN 7\r\n"), "José – MRN 7");
        let began = std::time::Instant::now();
        for piece in ["=?", "=?a?B?", "=?a?=", "=?a?Q?=ZZ?="] {
            assert!(readings(piece.repeat(100_000).as_bytes()).count() > 0);
        }
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
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
