//! What a sender asks of a transaction: of which ends it wants to hear, how reports are to name the message, and whether
//! every hop must use TLS (RFC 3461, RFC 8689). Reports' names may name people, and are PHI.

use std::fmt;

use crate::mail::Address;
use crate::mail::xtext::{Xtext, decode_unicode, encode_unicode};
use crate::phi::Phi;

/// RFC 3461 §4.4: the longest ENVID, as it is written.
const LONGEST_ENVELOPE_ID: usize = 100;
/// RFC 3461 §4: the longest ORCPT, as it is written.
const LONGEST_ORIGINAL: usize = 500;

/// What may happen to a message on its way to one recipient, and be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Occasion {
    Success,
    Failure,
    Delay,
}

/// NOTIFY: of what the sender wants to hear about one recipient (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Notify {
    /// Nothing was said: of failures, and of delays where a server reports them.
    #[default]
    Unsaid,
    Never,
    On(Occasions),
}

/// A set of occasions with at least one in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Occasions(u8);

/// RET: what of a message its sender wants back (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Returned {
    Full,
    Headers,
}

/// ENVID: the sender's own name for the transaction (RFC 3461 §4.4).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EnvelopeId(Phi<Xtext>);

/// ORCPT: the address to which the sender first sent it, with its type (RFC 3461 §4.2, RFC 6533 §3).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(Phi<Typed>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Typed {
    Utf8(Box<str>),
    Other { kind: Box<str>, text: Xtext },
}

/// Whether a message may only go to hosts that promise TLS from there on (RFC 8689).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RequireTls {
    #[default]
    No,
    /// Where it is offered, and without it elsewhere: for reports that hold nothing of the message (RFC 8689 §5).
    IfOffered,
    Yes,
}

/// What is asked for the whole transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub returned: Option<Returned>,
    pub envelope_id: Option<EnvelopeId>,
    pub require_tls: RequireTls,
}

/// What is asked for one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    pub notify: Notify,
    pub original: Option<OriginalRecipient>,
}

impl Occasions {
    const fn bit(occasion: Occasion) -> u8 {
        match occasion {
            Occasion::Success => 1,
            Occasion::Failure => 2,
            Occasion::Delay => 4,
        }
    }

    const fn has(self, occasion: Occasion) -> bool {
        self.0 & Occasions::bit(occasion) != 0
    }

    const fn with(self, occasion: Occasion) -> Occasions {
        Occasions(self.0 | Occasions::bit(occasion))
    }
}

impl Notify {
    pub const ALL: [Notify; 9] = [
        Notify::Unsaid,
        Notify::Never,
        Notify::On(Occasions(1)),
        Notify::On(Occasions(2)),
        Notify::On(Occasions(3)),
        Notify::On(Occasions(4)),
        Notify::On(Occasions(5)),
        Notify::On(Occasions(6)),
        Notify::On(Occasions(7)),
    ];

    pub fn parse(value: &str) -> Option<Notify> {
        // RFC 3461 §4.1: NEVER stands alone, the others in a list.
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(Notify::Never);
        }
        let mut occasions = Occasions(0);
        for word in value.split(',') {
            occasions = occasions.with(match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => Occasion::Success,
                "FAILURE" => Occasion::Failure,
                "DELAY" => Occasion::Delay,
                _ => return None,
            });
        }
        Some(Notify::On(occasions))
    }

    /// As the parameter's value; empty when nothing was said.
    pub const fn name(self) -> &'static str {
        match self {
            Notify::Unsaid => "",
            Notify::Never => "NEVER",
            Notify::On(Occasions(1)) => "SUCCESS",
            Notify::On(Occasions(2)) => "FAILURE",
            Notify::On(Occasions(3)) => "SUCCESS,FAILURE",
            Notify::On(Occasions(4)) => "DELAY",
            Notify::On(Occasions(5)) => "SUCCESS,DELAY",
            Notify::On(Occasions(6)) => "FAILURE,DELAY",
            Notify::On(Occasions(_)) => "SUCCESS,FAILURE,DELAY",
        }
    }

    pub const fn asks_for(self, occasion: Occasion) -> bool {
        match self {
            Notify::Unsaid => matches!(occasion, Occasion::Failure | Occasion::Delay),
            Notify::Never => false,
            Notify::On(occasions) => occasions.has(occasion),
        }
    }

    /// For a recipient who was named twice: whatever either wish asks for.
    #[must_use]
    fn or(self, other: Notify) -> Notify {
        match (self, other) {
            (Notify::Unsaid, Notify::Unsaid | Notify::Never) | (Notify::Never, Notify::Unsaid) => Notify::Unsaid,
            (Notify::Never, other) => other,
            (said, Notify::Never) => said,
            (Notify::On(one), Notify::On(another)) => Notify::On(Occasions(one.0 | another.0)),
            // Of delays only who says so, once something is said.
            (Notify::On(said), Notify::Unsaid) | (Notify::Unsaid, Notify::On(said)) => {
                Notify::On(said.with(Occasion::Failure))
            }
        }
    }
}

impl Returned {
    pub fn parse(value: &str) -> Option<Returned> {
        [Returned::Full, Returned::Headers].into_iter().find(|each| each.name().eq_ignore_ascii_case(value))
    }

    pub const fn name(self) -> &'static str {
        match self {
            Returned::Full => "FULL",
            Returned::Headers => "HDRS",
        }
    }
}

impl EnvelopeId {
    pub fn parse(value: &str) -> Option<EnvelopeId> {
        let text = Xtext::parse(value).filter(|_| !value.is_empty() && value.len() <= LONGEST_ENVELOPE_ID)?;
        Some(EnvelopeId(Phi::new(text)))
    }

    /// As it is written in MAIL.
    pub fn expose_encoded(&self) -> &str {
        // Whoever seals it or passes it on says why.
        self.0.expose().as_str()
    }

    /// What it stands for.
    pub fn expose_decoded(&self) -> String {
        // Whoever reports to the sender says why.
        self.0.expose().decoded()
    }
}

impl OriginalRecipient {
    pub fn parse(value: &str) -> Option<OriginalRecipient> {
        let (kind, text) = value.split_once(';').filter(|_| value.len() <= LONGEST_ORIGINAL)?;
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*-/?^_`{|}~".contains(c);
        if kind.is_empty() || !kind.chars().all(is_atom) || text.is_empty() {
            return None;
        }
        let typed = if kind.eq_ignore_ascii_case("utf-8") {
            decode_unicode(text)?;
            Typed::Utf8(text.into())
        } else {
            Typed::Other { kind: kind.into(), text: Xtext::parse(text)? }
        };
        Some(OriginalRecipient(Phi::new(typed)))
    }

    /// The one that a relay gives where the sender gave none: the address that it was told (RFC 3461 §5.2.1).
    pub fn of(address: &Address) -> OriginalRecipient {
        // It stays within this type.
        let text = address.expose();
        let typed = if text.is_ascii() {
            Typed::Other { kind: "rfc822".into(), text: Xtext::encode(text) }
        } else {
            Typed::Utf8(encode_unicode(text).into())
        };
        OriginalRecipient(Phi::new(typed))
    }

    /// Whether it is short enough to be a parameter.
    pub fn fits(&self) -> bool {
        self.expose_ascii().len() <= LONGEST_ORIGINAL
    }

    /// As it is written in RCPT.
    pub fn expose_encoded(&self) -> String {
        // Whoever seals it or passes it on says why.
        match self.0.expose() {
            Typed::Utf8(text) => format!("utf-8;{text}"),
            Typed::Other { kind, text } => format!("{kind};{}", text.as_str()),
        }
    }

    /// As it is written for a server that does not know SMTPUTF8 (RFC 6533 §3).
    pub fn expose_ascii(&self) -> String {
        // As above.
        match self.0.expose() {
            Typed::Utf8(text) => {
                format!("utf-8;{}", decode_unicode(text).map(|text| encode_unicode(&text)).unwrap_or_default())
            }
            Typed::Other { .. } => self.expose_encoded(),
        }
    }

    /// As a report names it, when it is the mail address that it ought to be: a sender may write anything there.
    pub fn expose_reported(&self) -> Option<String> {
        // It goes back to the sender who gave it.
        match self.0.expose() {
            Typed::Utf8(text) => {
                let decoded = decode_unicode(text).filter(|text| Address::parse(text).is_ok())?;
                Some(format!("utf-8; {}", encode_unicode(&decoded)))
            }
            Typed::Other { kind, text } if kind.eq_ignore_ascii_case("rfc822") => {
                let decoded = text.decoded();
                Address::parse(&decoded).is_ok().then(|| format!("rfc822; {decoded}"))
            }
            Typed::Other { .. } => None,
        }
    }

    /// Whether a server must know SMTPUTF8 to be told it as it is.
    pub fn needs_utf8(&self) -> bool {
        !self.expose_encoded().is_ascii()
    }
}

impl Wishes {
    /// For a recipient who was named twice.
    #[must_use]
    pub fn or(self, other: Wishes) -> Wishes {
        Wishes { notify: self.notify.or(other.notify), original: self.original.or(other.original) }
    }
}

impl fmt::Debug for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

impl fmt::Debug for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notify_is_never_or_a_list() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(Notify::parse(value).map(Notify::name), expected, "{value}");
        };
        check("never", Some("NEVER"));
        check("DELAY,success", Some("SUCCESS,DELAY"));
        check("FAILURE,FAILURE", Some("FAILURE"));
        for wrong in ["", "NEVER,SUCCESS", "SUCCESS,NEVER", "SUCCESS,", ",", "ALWAYS", "SUCCESS FAILURE"] {
            check(wrong, None);
        }
        for notify in Notify::ALL.into_iter().skip(1) {
            assert_eq!(Notify::parse(notify.name()), Some(notify));
        }
    }

    #[test]
    fn who_said_nothing_hears_of_failures_and_delays() {
        let asks = |notify: Notify| {
            [Occasion::Success, Occasion::Failure, Occasion::Delay].map(|occasion| notify.asks_for(occasion))
        };
        assert_eq!(asks(Notify::Unsaid), [false, true, true]);
        assert_eq!(asks(Notify::Never), [false; 3]);
        assert_eq!(asks(Notify::parse("SUCCESS,FAILURE").unwrap()), [true, true, false]);
    }

    #[test]
    fn whoever_was_named_twice_is_reported_as_either_wish_asks() {
        let check = |one: &str, other: &str, both: &str| {
            let read = |text: &str| Notify::parse(text).unwrap_or_default();
            assert_eq!(read(one).or(read(other)).name(), both, "{one} {other}");
            assert_eq!(read(other).or(read(one)).name(), both, "{other} {one}");
        };
        check("", "", "");
        check("NEVER", "", "");
        check("NEVER", "SUCCESS", "SUCCESS");
        check("SUCCESS", "DELAY", "SUCCESS,DELAY");
        check("SUCCESS", "", "SUCCESS,FAILURE");
        check("NEVER", "NEVER", "NEVER");
    }

    #[test]
    fn an_envelope_id_is_xtext_of_a_hundred_characters_at_most() {
        assert_eq!(EnvelopeId::parse("a+3Db").unwrap().expose_decoded(), "a=b");
        assert!(EnvelopeId::parse(&"x".repeat(100)).is_some());
        for wrong in ["", "a=b", "+0D+0A", &"x".repeat(101)] {
            assert_eq!(EnvelopeId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_original_recipient_has_a_type_and_an_encoded_address() {
        let check = |value: &str, reported: Option<&str>| {
            let original = OriginalRecipient::parse(value).unwrap();
            assert_eq!(original.expose_encoded(), value.replace("UTF-8", "utf-8"));
            assert_eq!(original.expose_reported().as_deref(), reported, "{value}");
            assert_eq!(format!("{original:?}"), "[phi]");
        };
        check("rfc822;ann+2Btag@lab.example", Some("rfc822; ann+tag@lab.example"));
        check("utf-8;zo\\x{EB}@lab.example", Some("utf-8; zo\\x{EB}@lab.example"));
        check("UTF-8;zoë@lab.example", Some("utf-8; zo\\x{EB}@lab.example"));
        check("x400;/S=1/".replace('=', "+3D").as_str(), None);
        check("rfc822;Maribel+20Quist", None);
        assert_eq!(
            OriginalRecipient::parse("utf-8;zoë@b.example").unwrap().expose_ascii(),
            "utf-8;zo\\x{EB}@b.example"
        );
        let long = format!("rfc822;{}", "x".repeat(494));
        for wrong in ["rfc822", ";ann@b", "rfc822;", "rfc 822;a", "rfc822;a=b", "rfc822;a+0D+0A", "rfc822;zoë@b", &long]
        {
            assert_eq!(OriginalRecipient::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_relay_names_the_address_that_it_was_told() {
        let of = |text: &str| OriginalRecipient::of(&Address::parse(text).unwrap()).expose_encoded();
        assert_eq!(of("ann+tag@Lab.example"), "rfc822;ann+2Btag@Lab.example");
        assert_eq!(of("zoë@bücher.example"), "utf-8;zo\\x{EB}@b\\x{FC}cher.example");
        let long = Address::parse(&format!("{}@{}.example", "ä".repeat(32), vec!["ä".repeat(20); 4].join(".")));
        assert!(!OriginalRecipient::of(&long.unwrap()).fits());
    }
}
