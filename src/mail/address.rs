//! A mailbox: local part and domain. It shows only its domain; the whole of it is PHI.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::mail::{BadDomain, Domain};

/// One mailbox (RFC 5321 §4.1.2 `Mailbox`, RFC 6531 §3.3 for UTF-8).
///
/// `Debug` prints `[phi]@domain`. There is no `Display`: `expose` gives the text, with a reason beside each call.
#[derive(Clone)]
pub struct Address {
    text: Box<str>,
    at: usize,
    domain: Domain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("the address has no @")]
    NoDomain,
    #[error("the local part is empty or longer than 64 octets")]
    LocalLength,
    #[error("the local part has a character that needs quoting, or cannot be in an address")]
    LocalMalformed,
    #[error(transparent)]
    Domain(#[from] BadDomain),
}

impl Address {
    pub fn parse(text: &str) -> Result<Address, BadAddress> {
        let at = text.rfind('@').ok_or(BadAddress::NoDomain)?;
        let local = &text[..at];
        // RFC 5321 §4.5.3.1.1: a local part has at most 64 octets.
        if local.is_empty() || local.len() > 64 {
            return Err(BadAddress::LocalLength);
        }
        if !(is_dot_string(local) || is_quoted_string(local)) {
            return Err(BadAddress::LocalMalformed);
        }
        let domain = Domain::parse(&text[at + 1..])?;
        Ok(Address { text: text.into(), at, domain })
    }

    /// The whole address as it was written.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The local part as it was written, quotes included.
    pub fn expose_local(&self) -> &str {
        &self.text[..self.at]
    }

    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The one form in which two addresses of the same person compare equal: lower case throughout, without quotes, and
    /// composed (NFC), as RFC 6532 §3.1 asks whoever compares. RFC 5321 §2.4 lets only the final host fold a local part; this form is for
    /// look-ups, never for sending.
    pub fn expose_folded(&self) -> String {
        format!("{}@{}", folded(self.expose_local()), self.domain)
    }

    /// Whether `pattern` covers this address: `ann@clinic.example`, `*@clinic.example`, `*@*.clinic.example`.
    /// Case, quotes and the way of composing characters are ignored throughout: a pattern names people, and people mean none
    /// of these.
    pub fn matches(&self, pattern: &str) -> bool {
        let Some((local, domain)) = pattern.rsplit_once('@') else { return false };
        self.domain.matches(domain) && (local == "*" || folded(local) == folded(self.expose_local()))
    }

    /// Whether a next hop must know SMTPUTF8 to be given this address (RFC 6531 §3.6).
    pub fn needs_utf8(&self) -> bool {
        !self.text.is_ascii()
    }
}

fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5321 §4.1.2: a quoted string and what it quotes are one local part, so quotes that nobody needs must not hide
/// whom a rule names.
fn folded(local: &str) -> String {
    if let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return folded_text(&unescaped(inner));
    }
    folded_text(local)
}

fn unescaped(inner: &str) -> String {
    let mut characters = inner.chars();
    std::iter::from_fn(|| match characters.next() {
        Some('\\') => characters.next(),
        other => other,
    })
    .collect()
}

fn folded_text(local: &str) -> String {
    if local.is_ascii() {
        return local.to_ascii_lowercase();
    }
    // Composed a second time: lower case may come apart again.
    local.nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// A letter and its accents as one character where there is one: Unicode Standard Annex #15, form C.
pub fn composed(text: &str) -> String {
    text.nfc().collect()
}

fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character) || is_beyond_ascii(character)
}

/// RFC 6531 §3.3 adds every non-ASCII character. Those stay out that no mailbox has and that make an address look like
/// another one to whoever reads it: spaces, what is invisible, and what turns the direction of writing around. The joiners
/// of Arabic and Indic scripts are part of names.
fn is_beyond_ascii(character: char) -> bool {
    !character.is_ascii()
        && !character.is_control()
        && !character.is_whitespace()
        && !matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

fn is_quoted_string(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    if local.len() < 2 {
        return false;
    }
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let plain = match character {
            '\\' => characters.next(),
            '"' => None,
            other => Some(other),
        };
        if !plain.is_some_and(|c| c == ' ' || c.is_ascii_graphic() || is_beyond_ascii(c)) {
            return false;
        }
    }
    true
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.expose_local() == other.expose_local() && self.domain == other.domain
    }
}

impl Eq for Address {}

impl std::hash::Hash for Address {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.expose_local().hash(state);
        self.domain.hash(state);
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[phi]@{}", self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_only_its_domain() {
        let address = Address::parse("Maribel.Quist@Clinic.Example").unwrap();
        assert_eq!(format!("{address:?}"), "[phi]@clinic.example");
        assert_eq!(address.expose(), "Maribel.Quist@Clinic.Example");
        assert_eq!(address.expose_folded(), "maribel.quist@clinic.example");
    }

    #[test]
    fn the_local_part_follows_the_grammar() {
        for good in ["a@b.example", "a+b=c@b.example", "\"a b\"@b.example", "\"a\\\"@\"@b.example", "ärztin@b.example"]
        {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "a.@b.example",
            ".a@b.example",
            "a b@b.example",
            "\"a@b.example",
            "a\u{0}@b.example",
            "a\r@b.example",
            "\"@b.example",
        ] {
            assert_eq!(Address::parse(bad), Err(BadAddress::LocalMalformed), "{bad:?}");
        }
        assert_eq!(Address::parse("nobody"), Err(BadAddress::NoDomain));
        assert_eq!(Address::parse("@b.example"), Err(BadAddress::LocalLength));
        assert_eq!(Address::parse(&format!("{}@b.example", "a".repeat(65))), Err(BadAddress::LocalLength));
    }

    #[test]
    fn a_pattern_covers_people_and_domains() {
        let address = Address::parse("Ann.Lee@front.clinic.example").unwrap();
        for pattern in ["*@*", "ann.lee@front.clinic.example", "*@front.clinic.example", "*@*.clinic.example"] {
            assert!(address.matches(pattern), "{pattern}");
        }
        for pattern in
            ["", "ann@front.clinic.example", "*@clinic.example", "*ann.lee@front.clinic.example", "clinic.example"]
        {
            assert!(!address.matches(pattern), "{pattern}");
        }
    }

    #[test]
    fn the_domain_compares_without_case_and_the_local_part_with_it() {
        let same = Address::parse("a@B.example").unwrap();
        assert_eq!(same, Address::parse("a@b.example").unwrap());
        assert_ne!(same, Address::parse("A@b.example").unwrap());
    }

    #[test]
    fn a_decomposed_spelling_is_found_as_the_composed_one_and_sent_as_it_is() {
        let (composed, decomposed) = ("Zo\u{eb}@Lab.example", "ZOE\u{308}@lab.example");
        let [one, other] = [composed, decomposed].map(|text| Address::parse(text).unwrap());
        assert_ne!(one, other, "only the final host knows whether they are one mailbox");
        assert_eq!(one.expose_folded(), other.expose_folded());
        assert_eq!(other.expose(), decomposed);
        for pattern in ["zo\u{eb}@lab.example", "zoe\u{308}@lab.example"] {
            assert!(one.matches(pattern) && other.matches(pattern), "{pattern}");
        }
        // A look-alike is somebody else: a Cyrillic o.
        assert!(!Address::parse("z\u{43e}\u{eb}@lab.example").unwrap().matches("zo\u{eb}@lab.example"));
    }

    #[test]
    fn quotes_that_nobody_needs_hide_nobody_from_a_pattern() {
        for quoted in ["\"bob\"@lab.example", "\"b\\ob\"@lab.example", "\"\\B\\o\\b\"@LAB.example"] {
            let address = Address::parse(quoted).unwrap();
            assert!(address.matches("bob@lab.example") && !address.matches("bo@lab.example"), "{quoted}");
            assert_eq!(address.expose_folded(), "bob@lab.example", "{quoted}");
            assert_eq!(address.expose(), quoted, "it is sent as it came");
        }
        let [spaced, escaped] =
            ["\"a b\"@lab.example", "\"a\\ b\"@lab.example"].map(|text| Address::parse(text).unwrap());
        assert_eq!(spaced.expose_folded(), escaped.expose_folded());
        assert!(escaped.matches("\"a b\"@lab.example"));
        for other in
            ["\"*\"@lab.example", "\"\"@lab.example", "\"\\\\bob\"@lab.example", "\"bob@lab.example\"@lab.example"]
        {
            assert!(!Address::parse(other).unwrap().matches("bob@lab.example"), "{other}");
        }
        assert!(!Address::parse("bob@lab.example").unwrap().matches("\"*\"@lab.example"), "no wildcard");
    }

    #[test]
    fn an_address_has_nothing_invisible_in_it() {
        for hidden in
            ["\u{200b}", "\u{202e}", "\u{2066}", "\u{feff}", "\u{ad}", "\u{a0}", "\u{2028}", "\u{e0041}", "\u{85}"]
        {
            assert_eq!(
                Address::parse(&format!("an{hidden}n@b.example")),
                Err(BadAddress::LocalMalformed),
                "{hidden:?}"
            );
            assert_eq!(Address::parse(&format!("\"an{hidden}n\"@b.example")), Err(BadAddress::LocalMalformed));
        }
        // A joiner between letters of a Persian name, and a symbol that is no letter.
        for seen in ["\u{646}\u{200c}\u{647}", "\u{1f600}"] {
            assert!(Address::parse(&format!("{seen}@b.example")).is_ok(), "{seen:?}");
        }
    }
}
