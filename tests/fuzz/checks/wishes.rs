//! What a sender may ask of delivery reports (RFC 3461, RFC 6533): what is read is written as it was, is read again as the same, and
//! is one word that adds nothing to the command it stands in.

use sealpost::mail::{Address, EnvelopeId, Notify, OriginalRecipient, Returned};
use sealpost::smtp::Command;

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(notify) = Notify::parse(text) {
        assert_eq!(Notify::parse(notify.name()), Some(notify));
    }
    if let Some(returned) = Returned::parse(text) {
        assert!(returned.name().eq_ignore_ascii_case(text));
    }
    if let Some(id) = EnvelopeId::parse(text) {
        assert_eq!(id.expose_encoded(), text);
        assert!(is_word(text) && text.is_ascii());
        assert!(id.expose_decoded().chars().all(|c| matches!(c, ' '..='~')), "what is reported is printable");
        let mail = format!("MAIL FROM:<a@b.example> ENVID={text}");
        assert!(matches!(Command::parse(mail.as_bytes()), Ok(Command::Mail(_))), "read by itself, and not by MAIL");
    }
    if let Some(original) = OriginalRecipient::parse(text) {
        written(&original);
        // RFC 3461 §4.2: the type of an address is read in any case, and may be written in another one.
        let encoded = original.expose_encoded();
        let ((kind, name), (was_kind, was)) = (halves(&encoded), halves(text));
        assert!(kind.eq_ignore_ascii_case(was_kind) && name == was, "{encoded}");
        let rcpt = format!("RCPT TO:<a@b.example> ORCPT={text}");
        let read = Command::parse(rcpt.as_bytes());
        assert!(matches!(read, Ok(Command::Rcpt { .. })), "read by itself, and not by RCPT: {read:?}");
    }
    if let Ok(address) = Address::parse(text) {
        let original = OriginalRecipient::of(&address);
        written(&original);
        let reported = original.expose_reported().expect("an address is one");
        assert!(reported.starts_with("rfc822; ") || reported.starts_with("utf-8; "));
        if text.is_ascii() {
            assert_eq!(reported, format!("rfc822; {text}"));
        }
    }
}

fn halves(original: &str) -> (&str, &str) {
    original.split_once(';').expect("a type and a name")
}

fn written(original: &OriginalRecipient) {
    let (encoded, ascii) = (original.expose_encoded(), original.expose_ascii());
    assert!(is_word(&encoded) && is_word(&ascii) && ascii.is_ascii());
    if let Some(reported) = original.expose_reported() {
        assert!(!reported.contains(char::is_control), "a line end in a report");
    }
    if original.fits() {
        assert_eq!(OriginalRecipient::parse(&encoded).as_ref(), Some(original), "read again");
        let again = OriginalRecipient::parse(&ascii).expect("the form for servers without SMTPUTF8 is one");
        assert_eq!(again.expose_ascii(), ascii);
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}
