//! What is said beside the addresses of MAIL and RCPT, as far as the next hop offers to hear it.

use crate::mail::{OriginalRecipient, RequireTls, Returned, ReversePath, Wishes};
use crate::smtp::client::{Extension, Offers, Parcel};

/// What MAIL carries of what the sender asked (RFC 3461 §5.2.1, RFC 8689 §4.2).
pub(super) fn of_mail(offers: &Offers, parcel: &Parcel<'_>) -> String {
    let mut said = String::new();
    if offers.has(Extension::Dsn) {
        // What was not asked for is not added. Content that was sent under protection is not asked back without it, so
        // FULL is passed on as the lesser wish.
        match parcel.asked.returned {
            Some(Returned::Full | Returned::Headers) => said.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(id) = &parcel.asked.envelope_id {
            // The next hop is to name its reports as the sender asked.
            said.push_str(&format!(" ENVID={}", id.expose_encoded()));
        }
    }
    match parcel.asked.require_tls {
        RequireTls::Yes | RequireTls::IfOffered if offers.has(Extension::RequireTls) => said.push_str(" REQUIRETLS"),
        RequireTls::Yes | RequireTls::IfOffered | RequireTls::No => {}
    }
    said
}

/// What RCPT carries of what the sender asked for this recipient.
pub(super) fn of_recipient(offers: &Offers, parcel: &Parcel<'_>, at: usize) -> String {
    let nothing = Wishes::default();
    let wishes = parcel.wishes.get(at).unwrap_or(&nothing);
    let mut said = String::new();
    if !offers.has(Extension::Dsn) {
        return said;
    }
    if !wishes.notify.name().is_empty() {
        said.push_str(&format!(" NOTIFY={}", wishes.notify.name()));
    }
    if let Some(original) = wishes.original.clone().or_else(|| added(parcel, at)) {
        // As the sender gave it; where the next hop knows no UTF-8, in its ASCII form (RFC 6533 §3).
        let encoded = if offers.has(Extension::SmtpUtf8) { original.expose_encoded() } else { original.expose_ascii() };
        said.push_str(&format!(" ORCPT={encoded}"));
    }
    said
}

/// RFC 3461 §5.2.1: a relay may name the address that it was told, so that a report of a host behind an alias still says
/// whom the sender wrote to. No report answers the null sender.
fn added(parcel: &Parcel<'_>, at: usize) -> Option<OriginalRecipient> {
    match parcel.sender {
        ReversePath::Null => None,
        ReversePath::Mailbox(_) => parcel.recipients.get(at).map(OriginalRecipient::of).filter(OriginalRecipient::fits),
    }
}

/// The limits of one LIMITS line that concern us (RFC 9422 §4): how many transactions a connection may carry, and how many
/// recipients a transaction. RCPTDOMAINMAX does not: our transactions go to one domain each.
pub(super) fn limits(line: &str) -> Vec<Extension> {
    let mut words = line.split_ascii_whitespace();
    if !words.next().is_some_and(|keyword| keyword.eq_ignore_ascii_case("LIMITS")) {
        return Vec::new();
    }
    let limit = |word: &str| {
        let (name, value) = word.split_once('=')?;
        // None at all could not be obeyed, and is no limit.
        let value = value.parse().ok().filter(|value| *value > 0)?;
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => Some(Extension::MailMax(value)),
            "RCPTMAX" => Some(Extension::RcptMax(value)),
            _ => None,
        }
    };
    words.filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Address, Asked, EnvelopeId, Message, Notify, Utf8, WireLimits};
    use crate::smtp::client::tests::reply;
    use crate::smtp::client::{Answer, Leaves, Means, Next, Reports, Stage, Transaction};

    fn message() -> Message {
        let limits = WireLimits { message_bytes: 100, header_bytes: 100, line_bytes: 100 };
        Message::parse("Subject: x\r\n", &limits).unwrap()
    }

    fn said(offers: &[Extension], sender: &str, asked: &Asked, wishes: &[Wishes]) -> (String, String) {
        let message = message();
        let sender = Address::parse(sender).map_or(ReversePath::Null, ReversePath::Mailbox);
        let recipients = [Address::parse("bo+1@lab.example").unwrap()];
        let parcel = Parcel {
            sender: &sender,
            recipients: &recipients,
            message: &message,
            utf8: Utf8::NotDeclared,
            asked,
            wishes,
        };
        let offers = Offers(offers.to_vec());
        (of_mail(&offers, &parcel), of_recipient(&offers, &parcel, 0))
    }

    fn check(offers: &[Extension], mail: &str, recipient: &str) {
        let asked = Asked {
            returned: Some(Returned::Full),
            envelope_id: EnvelopeId::parse("QQ+3D7"),
            require_tls: RequireTls::Yes,
        };
        let original = OriginalRecipient::parse("utf-8;zo\u{eb}@lab.example");
        let wishes = [Wishes { notify: Notify::parse("SUCCESS,DELAY").unwrap(), original }];
        let expected = (mail.to_owned(), recipient.to_owned());
        assert_eq!(said(offers, "ann@clinic.example", &asked, &wishes), expected);
    }

    #[test]
    fn what_was_asked_is_passed_on_where_it_is_heard() {
        check(&[], "", "");
        check(&[Extension::RequireTls], " REQUIRETLS", "");
        let ascii = " NOTIFY=SUCCESS,DELAY ORCPT=utf-8;zo\\x{EB}@lab.example";
        check(&[Extension::Dsn], " RET=HDRS ENVID=QQ+3D7", ascii);
        let utf8 = " NOTIFY=SUCCESS,DELAY ORCPT=utf-8;zo\u{eb}@lab.example";
        check(&[Extension::Dsn, Extension::SmtpUtf8], " RET=HDRS ENVID=QQ+3D7", utf8);
    }

    #[test]
    fn what_was_not_asked_is_not_added_but_for_the_address_itself() {
        let nothing = Asked::default();
        let offers = [Extension::Dsn, Extension::RequireTls];
        let added = " ORCPT=rfc822;bo+2B1@lab.example".to_owned();
        assert_eq!(said(&offers, "ann@clinic.example", &nothing, &[]), (String::new(), added));
        assert_eq!(said(&offers, "", &nothing, &[]), (String::new(), String::new()));
        let report = Asked { require_tls: RequireTls::IfOffered, ..nothing };
        assert_eq!(said(&offers, "", &report, &[]).0, " REQUIRETLS");
        assert_eq!(said(&[], "", &report, &[]).0, "");
    }

    #[test]
    fn the_limits_that_concern_us_are_read() {
        let check = |line: &str, expected: &[Extension]| assert_eq!(limits(line), expected, "{line}");
        check("LIMITS MAILMAX=5 RCPTMAX=20", &[Extension::MailMax(5), Extension::RcptMax(20)]);
        check("limits rcptmax=7 RCPTDOMAINMAX=1 X-OTHER=2", &[Extension::RcptMax(7)]);
        check("LIMITS", &[]);
        check("LIMITS RCPTMAX=0 MAILMAX=many RCPTMAX MAILMAX=-1", &[]);
        check("LIMITSX RCPTMAX=7", &[]);
    }

    /// A whole transaction for two recipients, step by step: what was said, the answers, and how it is left.
    fn play(offers: &[Extension], asked: &Asked, replies: &[&str]) -> (String, Vec<Answer>, Leaves) {
        let recipients = ["bo@lab.example", "cy@lab.example"].map(|text| Address::parse(text).unwrap());
        let message = message();
        let parcel = Parcel {
            sender: &ReversePath::Null,
            recipients: &recipients,
            message: &message,
            utf8: Utf8::NotDeclared,
            asked,
            wishes: &[],
        };
        let mut transaction = Transaction::new(&Offers(offers.to_vec()), &parcel);
        let (mut wire, mut next, mut replies) = (String::new(), transaction.start(), replies.iter());
        loop {
            match &next {
                Next::Send(bytes) => wire.push_str(std::str::from_utf8(bytes).unwrap()),
                Next::Done(leaves) => return (wire, transaction.answers(), *leaves),
                _ => {}
            }
            next = transaction.on(reply(replies.next().expect("a reply is due")));
        }
    }

    fn means(answers: &[Answer]) -> Vec<(Stage, Means)> {
        answers.iter().map(|answer| (answer.stage, answer.means)).collect()
    }

    const TAKEN: (Stage, Means) = (Stage::Content, Means::Taken);

    #[test]
    fn whoever_has_no_room_in_a_transaction_waits_for_the_next_one() {
        let (again, nothing) = ((Stage::Recipient, Means::Again), Asked::default());
        let (wire, answers, _) = play(&[Extension::RcptMax(1)], &nothing, &["250 ok", "250 ok", "354 go", "250 ok"]);
        assert!(wire.contains("bo@lab.example") && !wire.contains("cy@lab.example"));
        assert_eq!(means(&answers), [TAKEN, again]);
        for full in ["452 4.5.3 many", "452 many", "552 5.5.3 many", "552 many"] {
            let (_, answers, leaves) = play(&[], &nothing, &["250 ok", "250 ok", full, "354 go", "250 ok"]);
            assert_eq!((means(&answers), leaves), (vec![TAKEN, again], Leaves::Clean), "{full}");
        }
        // With nobody taken there is no room for anybody now; and a full disk is another matter.
        let later = (Stage::Recipient, Means::Later);
        let (_, answers, _) = play(&[], &nothing, &["250 ok", "452 4.5.3 many", "452 4.5.3 many"]);
        assert_eq!(means(&answers), [later; 2]);
        let (_, answers, _) = play(&[], &nothing, &["250 ok", "250 ok", "452 4.3.1 disk", "354 go", "250 ok"]);
        assert_eq!(means(&answers), [TAKEN, later]);
    }

    #[test]
    fn a_host_that_knows_no_dsn_leaves_the_report_to_us() {
        let replies = ["250 ok", "250 ok", "250 ok", "354 go", "250 ok"];
        for (offers, reports) in [(&[][..], Reports::Ours), (&[Extension::Dsn], Reports::TheNextHops)] {
            let (_, answers, _) = play(offers, &Asked::default(), &replies);
            assert!(answers.iter().all(|answer| answer.reports == reports));
        }
    }

    #[test]
    fn a_host_that_does_not_promise_tls_hears_nothing_of_a_message_that_requires_it() {
        let asked = Asked { require_tls: RequireTls::Yes, ..Asked::default() };
        let (wire, answers, leaves) = play(&[], &asked, &[]);
        assert_eq!((wire.as_str(), means(&answers), leaves), ("", vec![(Stage::Mail, Means::Unfit); 2], Leaves::Clean));
        assert_eq!(answers[0].enhanced.map(|code| code.to_string()).as_deref(), Some("5.7.30"));
        // What a host says that offers it and cannot keep it now is the same.
        let (wire, answers, _) = play(&[Extension::RequireTls], &asked, &["550 5.7.30 no"]);
        assert_eq!(wire, "MAIL FROM:<> REQUIRETLS\r\n");
        assert!(answers[0].words.contains("promise TLS"), "not a matter of size: {}", answers[0].words);
        assert_eq!(means(&answers), [(Stage::Mail, Means::Unfit); 2]);
    }
}
