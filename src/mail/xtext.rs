//! The two ways in which SMTP parameters carry text that could not stand there as it is: xtext, and that of RFC 6533.

/// Text in its encoded form, known to decode into printable ASCII (RFC 3461 §4).
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Xtext(Box<str>);

impl Xtext {
    /// Takes `+` and two capital hexadecimal digits for one octet, and all else that is printable but `=`.
    pub(super) fn parse(encoded: &str) -> Option<Xtext> {
        decoded_octets(encoded)?.iter().all(is_printable).then(|| Xtext(encoded.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn decoded(&self) -> String {
        decoded_octets(&self.0).unwrap_or_default().into_iter().map(char::from).collect()
    }

    /// The encoding of text that is printable ASCII; what is not is left out.
    pub(super) fn encode(text: &str) -> Xtext {
        let encode = |byte: u8| match byte {
            b'+' | b'=' => format!("+{byte:02X}"),
            b'!'..=b'~' => char::from(byte).to_string(),
            b' ' => "+20".to_owned(),
            _ => String::new(),
        };
        Xtext(text.bytes().map(encode).collect::<String>().into())
    }
}

/// Whether text is xtext, whatever it stands for.
pub fn is_xtext(encoded: &str) -> bool {
    decoded_octets(encoded).is_some()
}

/// RFC 3461 §4.4 and §4.2: what is encoded is printable, so no line end can be smuggled through it.
fn is_printable(octet: &u8) -> bool {
    (b' '..=b'~').contains(octet)
}

fn decoded_octets(encoded: &str) -> Option<Vec<u8>> {
    let bytes = encoded.as_bytes();
    let mut octets = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'+' => {
                let digits = encoded.get(at + 1..at + 3)?;
                octets.push(u8::try_from(capital_hex(digits)?).ok()?);
                at += 3;
            }
            b'=' => return None,
            b'!'..=b'~' => {
                octets.push(*byte);
                at += 1;
            }
            _ => return None,
        }
    }
    Some(octets)
}

/// RFC 6533 §3: `\x{HEX}` for one character; the rest stands for itself. Gives none where that is not kept, and for
/// control characters, of which no address has one.
pub(super) fn decode_unicode(encoded: &str) -> Option<String> {
    let mut decoded = String::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some(character) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("\\x{") {
            let (digits, after) = behind.split_once('}')?;
            decoded.push(embedded(digits)?);
            rest = after;
            continue;
        }
        // QUCHAR: neither `\`, `+`, `=` nor anything that is not printable.
        let stands = character.is_ascii_graphic() && !matches!(character, '\\' | '+' | '=');
        if !stands && (character.is_ascii() || character.is_control()) {
            return None;
        }
        decoded.push(character);
        rest = &rest[character.len_utf8()..];
    }
    Some(decoded)
}

/// `utf-8-addr-xtext`: ASCII throughout.
pub(super) fn encode_unicode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_graphic() && !matches!(character, '\\' | '+' | '=') {
            encoded.push(character);
        } else {
            encoded.push_str(&format!("\\x{{{:02X}}}", u32::from(character)));
        }
    }
    encoded
}

/// HEXPOINT: no more digits than it takes, and only for what could not stand for itself.
fn embedded(digits: &str) -> Option<char> {
    let shortest = matches!(digits.len(), 2..=6) && (digits.len() == 2 || !digits.starts_with('0'));
    let character = char::from_u32(capital_hex(digits).filter(|_| shortest)?)?;
    let needs_it = !character.is_ascii_graphic() || matches!(character, '\\' | '+' | '=');
    (needs_it && !character.is_control()).then_some(character)
}

fn capital_hex(digits: &str) -> Option<u32> {
    let capital = digits.bytes().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit));
    u32::from_str_radix(digits, 16).ok().filter(|_| capital)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_decoded_strictly() {
        let check = |encoded: &str, expected: Option<&str>| {
            assert_eq!(Xtext::parse(encoded).map(|text| text.decoded()).as_deref(), expected, "{encoded}");
        };
        check("QQ314159", Some("QQ314159"));
        check("a+2Bb+3Dc+20d", Some("a+b=c d"));
        check("", Some(""));
        assert!(is_xtext("<>") && is_xtext("+80+0D") && !is_xtext("+4") && !is_xtext("a=b"));
        for wrong in ["a=b", "+4", "+", "+2b", "+G0", "a b", "+0D+0A", "+00", "+7F", "+80", "\u{e9}", "+\u{e9}1"] {
            check(wrong, None);
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for text in ["ann+tag@lab.example", "\"a = b\"@lab.example", "\\~!"] {
            let encoded = Xtext::encode(text);
            assert_eq!(encoded.decoded(), text);
            assert!(Xtext::parse(encoded.as_str()) == Some(encoded));
            assert_eq!(decode_unicode(&encode_unicode(text)).as_deref(), Some(text));
        }
        assert_eq!(encode_unicode("zo\u{eb}+\u{1f600}"), "zo\\x{EB}\\x{2B}\\x{1F600}");
        assert_eq!(decode_unicode("zo\u{eb}\\x{1F600}").as_deref(), Some("zo\u{eb}\u{1f600}"));
    }

    #[test]
    fn embedded_characters_are_decoded_strictly() {
        let wrong = [
            "\\x{41}",
            "\\x{0D}",
            "\\x{A}",
            "\\x{00EB}",
            "\\x{eb}",
            "\\x{D800}",
            "\\x{110000}",
            "\\x{EB",
            "\\xEB",
            "\\",
            "a b",
            "a+b",
            "a=b",
            "\\x{}",
            "\\x{85}",
        ];
        for encoded in wrong {
            assert_eq!(decode_unicode(encoded), None, "{encoded}");
        }
    }
}
