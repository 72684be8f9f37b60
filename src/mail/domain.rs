//! The right-hand side of an address: a domain name, or an address literal.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A mail domain in its one comparable form: lower-case A-labels, or an address literal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain {
    text: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDomain {
    #[error("the domain is empty")]
    Empty,
    #[error("the domain is longer than 255 octets")]
    TooLong,
    #[error("the domain has a character or a label that no domain name can have")]
    Malformed,
    #[error("the address literal is not an IPv4 or IPv6 address in brackets")]
    BadLiteral,
}

impl Domain {
    /// Reads a domain name (RFC 5321 §4.1.2, U-labels as in RFC 6531) or an address literal.
    pub fn parse(text: &str) -> Result<Domain, BadDomain> {
        if text.is_empty() {
            return Err(BadDomain::Empty);
        }
        // RFC 5321 §4.5.3.1.2: a domain has at most 255 octets.
        if text.len() > 255 {
            return Err(BadDomain::TooLong);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(BadDomain::BadLiteral)?;
            let address = literal(inner).ok_or(BadDomain::BadLiteral)?;
            return Ok(Domain { text: literal_text(address).into() });
        }
        let ascii = one_form(text)?;
        if ascii.len() > 255 {
            return Err(BadDomain::TooLong);
        }
        if ascii.split('.').all(is_label) { Ok(Domain { text: ascii.into() }) } else { Err(BadDomain::Malformed) }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As people see it: with letters of all scripts.
    pub fn shown(&self) -> String {
        idna::domain_to_unicode(&self.text).0
    }

    /// The address, when this is a literal like `[192.0.2.1]`.
    pub fn literal(&self) -> Option<IpAddr> {
        literal(self.text.strip_prefix('[')?.strip_suffix(']')?)
    }

    /// Whether `pattern` covers this domain: the domain itself, `*.example.org` for everything below it, or `*`.
    pub fn matches(&self, pattern: &str) -> bool {
        if pattern == "*" {
            return true;
        }
        match pattern.strip_prefix("*.") {
            Some(parent) => {
                let below = self.text.len().checked_sub(parent.len() + 1);
                below.is_some_and(|dot| {
                    dot > 0 && self.text.as_bytes()[dot] == b'.' && self.text[dot + 1..].eq_ignore_ascii_case(parent)
                })
            }
            None => self.text.eq_ignore_ascii_case(pattern),
        }
    }
}

/// UTS 46 maps what is written in several ways onto one name, and refuses what breaks the rules for right-to-left labels
/// (RFC 5893) or for A-labels. Labels of mixed scripts are names like others: who they belong to, the DNS says.
fn one_form(text: &str) -> Result<String, BadDomain> {
    let lower = text.to_ascii_lowercase();
    let form = match (text.is_ascii(), lower.split('.').any(|label| label.starts_with("xn--"))) {
        (true, false) => return Ok(lower),
        // An A-label that no U-label has would be a second name for what somebody reads.
        (true, true) => idna::domain_to_ascii(&lower),
        (false, _) => idna::domain_to_ascii_strict(text),
    };
    form.map_err(|_| BadDomain::Malformed)
}

fn is_label(label: &str) -> bool {
    // RFC 5321 §4.1.2 sub-domain; underscores occur in the names of internal hosts.
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn literal(inner: &str) -> Option<IpAddr> {
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => inner.parse().ok().map(IpAddr::V4),
    }
}

fn literal_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Domain, D::Error> {
        let text = String::deserialize(deserializer)?;
        Domain::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, BadDomain>) {
        let got = Domain::parse(text);
        assert_eq!(got.as_ref().map(Domain::as_str).map_err(|e| *e), expected, "{text}");
    }

    #[test]
    fn a_domain_is_read_into_one_form() {
        check("Clinic.Example", Ok("clinic.example"));
        check("klinik-bücher.example", Ok("xn--klinik-bcher-klb.example"));
        check("[192.0.2.7]", Ok("[192.0.2.7]"));
        check("[IPv6:2001:db8::1]", Ok("[IPv6:2001:db8::1]"));
        check("", Err(BadDomain::Empty));
        check("a..b", Err(BadDomain::Malformed));
        check("-a.example", Err(BadDomain::Malformed));
        check("a b.example", Err(BadDomain::Malformed));
        check("clinic.example\r\n", Err(BadDomain::Malformed));
        check("[300.1.1.1]", Err(BadDomain::BadLiteral));
        check(&format!("{}.example", "a".repeat(64)), Err(BadDomain::Malformed));
    }

    #[test]
    fn a_name_of_other_letters_has_one_form_or_none() {
        // As U-label, decomposed, in capitals, full-width, with an ideographic full stop, and as A-label.
        for same in [
            "b\u{fc}cher.example",
            "bu\u{308}cher.example",
            "B\u{dc}CHER.example",
            "b\u{fc}cher\u{ff0e}example",
            "XN--Bcher-kva.example",
        ] {
            check(same, Ok("xn--bcher-kva.example"));
        }
        check("\u{ff43}linic.example", Ok("clinic.example"));
        check("stra\u{df}e.example", Ok("xn--strae-oqa.example"));
        // A Cyrillic a among Latin letters: another name, and accepted as that.
        check("cl\u{456}nic.example", Ok("xn--clnic-o2e.example"));
        check("\u{5d0}\u{5d1}.example", Ok("xn--4dbc.example"));
        check("_dmarc.xn--bcher-kva.example", Ok("_dmarc.xn--bcher-kva.example"));
        for none in [
            // Right-to-left and left-to-right in one label, and a right-to-left one that begins with a digit.
            "\u{5d0}b.example",
            "1\u{5d0}.example",
            // A-labels that decode into nothing, into ASCII, or into what is no U-label.
            "xn--a.example",
            "xn--abc-.example",
            "xn--BCHER-KVA\u{fc}.example",
            "xn--ls8h\u{202e}.example",
            "a\u{200b}\u{2028}b.example",
        ] {
            check(none, Err(BadDomain::Malformed));
        }
    }

    #[test]
    fn a_star_covers_what_is_below_and_not_the_name_itself() {
        let domain = Domain::parse("mail.lab.example").unwrap();
        for pattern in ["*", "*.example", "*.lab.example", "mail.lab.example", "MAIL.LAB.EXAMPLE"] {
            assert!(domain.matches(pattern), "{pattern}");
        }
        for pattern in ["lab.example", "*.mail.lab.example", "*.ab.example", "*.other.example", ""] {
            assert!(!domain.matches(pattern), "{pattern}");
        }
    }
}
