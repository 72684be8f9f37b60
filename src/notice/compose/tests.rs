//! Notices as a stranger's program reads them.

use std::collections::BTreeMap;

use mail_parser::{MessageParser, MimeHeaders};

use super::*;
use crate::audit::{Head, HoldCause, NodeId, SignedHead};
use crate::config::Legacy;
use crate::crypto::{Digest, SigningKey};
use crate::mail::{
    Asked, Code, Domain, Enhanced, EnvelopeId, MessageId, OriginalRecipient, Quarantine, RequireTls, Wishes,
};
use crate::notice::{Counts, FailedCheck, LastAttempt, Original, Waiting, What};

const NOON: Timestamp = Timestamp::from_millis(1_795_521_600_000);

fn voice() -> Voice {
    Voice {
        hostname: Domain::parse("relay.clinic.example").unwrap(),
        from: address("postmaster@relay.clinic.example"),
        postmaster: address("it@clinic.example"),
        digest_hour: 6,
        legacy: Vec::new(),
        public_url: None,
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn stamp() -> Stamp {
    Stamp { id: MessageId::from_parts(NOON, 7), at: NOON }
}

fn fate_of(what: What, last: Option<(u16, &str)>) -> Fate {
    let last = last.map(|(code, enhanced)| LastAttempt {
        at: NOON,
        code: Some(Code::new(code)),
        enhanced: Enhanced::parse(enhanced),
    });
    Fate {
        reference: MessageId::from_parts(NOON, 1),
        recipient: address("maribel.quist@lab.example"),
        arrived: NOON,
        last,
        original: Original::new(Some(NOON), Some("<4711@clinic.example>")),
        asked: Asked::default(),
        wishes: Wishes::default(),
        what,
    }
}

fn composed(fate: &Fate) -> String {
    let notice = Notice::of_fate(&voice(), fate, vec![address("ann@clinic.example")], stamp()).unwrap();
    assert_eq!(notice.envelope().sender(), &ReversePath::Null);
    String::from_utf8(notice.message().bytes().to_vec()).unwrap()
}

/// The text of each part, and the media type of the whole.
fn read(text: &str) -> (String, Vec<String>) {
    let parsed = MessageParser::default().parse(text.as_bytes()).unwrap();
    let kind = parsed.content_type().unwrap();
    let report = kind.attribute("report-type").map(|t| format!("; {t}")).unwrap_or_default();
    let parts = parsed.parts.iter().filter(|part| !part.is_multipart());
    let texts = parts.map(|part| {
        part.text_contents().map_or_else(|| String::from_utf8_lossy(part.contents()).into_owned(), str::to_owned)
    });
    (format!("{}/{}{report}", kind.ctype(), kind.subtype().unwrap_or_default()), texts.collect())
}

#[test]
fn a_failure_is_reported_as_rfc_3464_says() {
    let text = composed(&fate_of(What::Refused, Some((550, "5.1.1"))));
    let (kind, parts) = read(&text);
    assert_eq!(kind, "multipart/report; delivery-status");
    assert_eq!(parts.len(), 3);
    assert!(parts[0].contains("at lab.example") && parts[0].contains("no such mailbox"), "{}", parts[0]);
    let status = parts[1].replace("\r\n", "\n");
    assert_eq!(
        status.trim_end(),
        "Reporting-MTA: dns; relay.clinic.example\nArrival-Date: Tue, 24 Nov 2026 12:00:00 +0000\n\
         X-Sealpost-Reference: 01KAV0WT0000000000000000001\n\nFinal-Recipient: rfc822; maribel.quist@lab.example\n\
         Action: failed\nStatus: 5.1.1\nLast-Attempt-Date: Tue, 24 Nov 2026 12:00:00 +0000\n\
         Diagnostic-Code: smtp; 550 5.1.1"
            .replace("01KAV0WT0000000000000000001", &MessageId::from_parts(NOON, 1).to_string())
    );
    let original = parts[2].replace("\r\n", "\n");
    let names: Vec<&str> = original.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    assert_eq!(names, ["Date", "Message-ID", "X-Sealpost-Reference"]);
    let parsed = MessageParser::default().parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.header_raw("Auto-Submitted").map(str::trim), Some("auto-replied"));
    assert_eq!(parsed.in_reply_to().as_text(), Some("4711@clinic.example"));
    assert_eq!(parsed.date().unwrap().to_rfc3339(), "2026-11-24T12:00:00Z");
}

#[test]
fn each_fate_has_its_action_and_status() {
    let until = NOON;
    for (what, last, action, status, diagnostic) in [
        (What::Refused, None, "failed", "5.0.0", "x-sealpost; refused for good"),
        (What::Refused, Some((552, "")), "failed", "5.0.0", "smtp; 552"),
        (What::Expired, Some((450, "4.2.2")), "failed", "5.4.7", "smtp; 450 4.2.2"),
        (What::Expired, None, "failed", "5.4.7", "x-sealpost; time ran out"),
        (What::Delayed { until }, Some((450, "4.2.2")), "delayed", "4.2.2", "smtp; 450 4.2.2"),
        (What::Delayed { until }, None, "delayed", "4.4.0", "x-sealpost; not delivered yet"),
        (What::Relayed, Some((250, "2.1.5")), "relayed", "2.1.5", "smtp; 250 2.1.5"),
        (What::Relayed, Some((250, "")), "relayed", "2.0.0", "smtp; 250"),
        (What::Rejected { text: "no".into() }, None, "failed", "5.7.1", "x-sealpost; refused by policy"),
        (What::Undeliverable, None, "failed", "5.7.4", "x-sealpost; no way is protected well enough"),
    ] {
        let delayed = matches!(what, What::Delayed { .. });
        let (_, parts) = read(&composed(&fate_of(what, last)));
        for field in
            [format!("Action: {action}"), format!("Status: {status}"), format!("Diagnostic-Code: {diagnostic}")]
        {
            assert!(parts[1].lines().any(|line| line == field), "{field} in {}", parts[1]);
        }
        assert_eq!(parts[1].contains("Will-Retry-Until: "), delayed);
    }
}

#[test]
fn a_recipient_is_named_in_final_recipient_and_nowhere_else() {
    let held = What::Held { cause: Some(HoldCause::Policy), reason: None, until: NOON };
    for (what, named) in [(What::Refused, 1), (What::Expired, 1), (What::Undeliverable, 1), (held, 0)] {
        let text = composed(&fate_of(what, None));
        assert_eq!(text.matches("maribel").count(), named, "{text}");
        assert_eq!(text.contains("Final-Recipient: rfc822; maribel.quist@lab.example"), named == 1);
    }
}

#[test]
fn the_postmaster_hears_of_copies_without_a_name() {
    let text = composed(&fate_of(What::Unanswered { until: NOON }, None));
    assert!(
        text.contains("Subject: Perhaps delivered more than once") && text.contains("sealpost queue cancel"),
        "{text}"
    );
    assert!(!text.contains("maribel") && !text.contains("delivery-status"), "{text}");
}

#[test]
fn a_report_is_named_as_the_sender_asked() {
    let mut fate = fate_of(What::Relayed, None);
    fate.asked.envelope_id = EnvelopeId::parse("QQ+3D7");
    fate.wishes.original = OriginalRecipient::parse("rfc822;front+2Bdesk@lab.example");
    let text = composed(&fate);
    assert!(text.contains("Reporting-MTA: dns; relay.clinic.example\r\nOriginal-Envelope-Id: QQ=7\r\n"), "{text}");
    let recipients = "\r\n\r\nOriginal-Recipient: rfc822; front+desk@lab.example\r\nFinal-Recipient: rfc822; maribel";
    assert!(text.contains(recipients), "{text}");
}

#[test]
fn words_in_the_place_of_a_name_or_an_address_stay_out_of_a_report() {
    let mut fate = fate_of(What::Refused, None);
    fate.asked.envelope_id = EnvelopeId::parse("Knee+20results");
    for original in ["rfc822;Maribel+20Knee", "x-chart;Knee", "utf-8;Knee"] {
        fate.wishes.original = OriginalRecipient::parse(original);
        let text = composed(&fate);
        assert!(fate.wishes.original.is_some() && !text.contains("Knee") && !text.contains("Original-"), "{text}");
    }
}

#[test]
fn a_report_on_a_message_that_requires_tls_says_so_and_requires_it_too() {
    let mut fate = fate_of(What::Undeliverable, None);
    fate.asked.require_tls = RequireTls::Yes;
    let notice = Notice::of_fate(&voice(), &fate, vec![address("ann@clinic.example")], stamp()).unwrap();
    assert_eq!(notice.envelope().asked.require_tls, RequireTls::Yes);
    let text = composed(&fate);
    // RFC 8689 §4.2.1: no TLS at all, and TLS without the promise.
    assert!(text.contains("Status: 5.7.10\r\n") && text.contains("REQUIRETLS"), "{text}");
    fate.last = Some(LastAttempt { at: NOON, code: None, enhanced: Enhanced::parse("5.7.30") });
    assert!(composed(&fate).contains("Status: 5.7.30\r\n"));
}

#[test]
fn a_recipient_beyond_ascii_is_named_in_ascii() {
    let mut fate = fate_of(What::Refused, None);
    fate.recipient = address("ärztin+x@lab.example");
    let text = composed(&fate);
    assert!(text.contains("Final-Recipient: utf-8; \\x{E4}rztin\\x{2B}x@lab.example\r\n"), "{text}");
    assert!(text.is_ascii());
}

#[test]
fn a_long_address_stays_in_one_plain_line() {
    let mut fate = fate_of(What::Refused, None);
    let long = format!("{}@{}.example", "m".repeat(60), "d".repeat(60));
    fate.recipient = address(&long);
    assert!(composed(&fate).contains(&format!("\r\nFinal-Recipient: rfc822; {long}\r\n")));
}

#[test]
fn a_hold_notice_says_why_and_how_to_release() {
    let fate = fate_of(
        What::Held { cause: Some(HoldCause::Policy), reason: Some("an insurer\nasks".into()), until: NOON },
        None,
    );
    let to = vec![address("ann@clinic.example"), address("it@clinic.example")];
    let notice = Notice::of_fate(&voice(), &fate, to, stamp()).unwrap();
    assert_eq!(notice.envelope().recipients().len(), 2);
    let text = String::from_utf8(notice.message().bytes().to_vec()).unwrap();
    let (kind, parts) = read(&text);
    assert_eq!((kind.as_str(), parts.len()), ("text/plain", 1));
    let reference = fate.reference;
    for words in [
        "asks that somebody look at it first (an insurer asks).".to_owned(),
        format!("sealpost queue release {reference}"),
        "Date of the message: Tue, 24 Nov 2026 12:00:00 +0000".to_owned(),
    ] {
        assert!(parts[0].contains(&words), "{words} in {}", parts[0]);
    }
}

#[test]
fn a_sender_whose_address_fits_no_header_is_told_all_the_same() {
    let sender = address("ärztin@clinic.example");
    let notice = Notice::of_fate(&voice(), &fate_of(What::Expired, None), vec![sender.clone()], stamp()).unwrap();
    assert_eq!(notice.envelope().recipients(), [sender]);
    let text = String::from_utf8(notice.message().bytes().to_vec()).unwrap();
    assert!(text.contains("To: undisclosed-recipients:;\r\n"), "{text}");
    assert_eq!(
        Notice::of_fate(&voice(), &fate_of(What::Expired, None), Vec::new(), stamp()).err(),
        Some(NoticeError::NoRecipient)
    );
}

#[test]
fn the_daily_report_carries_a_head_that_verifies() {
    let head = Head { node: NodeId("n1".into()), seq: 42, hash: Digest([9; 32]) };
    let signed = SignedHead::sign(&head, NOON, &SigningKey::from_seed(&[7; 32]).unwrap());
    let report = Day {
        since: Some(NOON),
        counts: Counts {
            logins_refused: 12,
            messages: 3,
            recipients: 4,
            held: 1,
            in_clear: 2,
            ended: BTreeMap::from([("delivered", 2), ("bounced", 1)]),
        },
        queued: 1,
        held: 1,
        waiting: vec![Waiting {
            reference: MessageId::from_parts(NOON, 1),
            domain: Domain::parse("lab.example").unwrap(),
            since: NOON,
            cause: HoldCause::MethodsExhausted,
        }],
        failed: vec![FailedCheck { name: "disk".into(), advice: "less than 1 GiB is free".into() }],
        head: signed.clone(),
    };
    let until = Timestamp::parse_date("2027-03-31").unwrap();
    let legacy = Legacy {
        networks: Vec::new(),
        reason: "ward scanner".into(),
        quarantine: Quarantine { owner: "the ward's IT".into(), until },
    };
    let voice = Voice { legacy: vec![("10.20.0.1:2525".parse().unwrap(), legacy)], ..voice() };
    let notice = Notice::of_day(&voice, &report, stamp()).unwrap();
    let text = String::from_utf8(notice.message().bytes().to_vec()).unwrap();
    let parsed = MessageParser::default().parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.subject(), Some("Sealpost daily report for relay.clinic.example, 2026-11-24"));
    assert_eq!(parsed.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
    let body = parsed.body_text(0).unwrap();
    for words in [
        "messages accepted: 3, for 4 recipients",
        "came in without TLS: 2",
        "delivered: 2",
        "no protected way",
        "10.20.0.1:2525, until 2027-03-31, owner the ward's IT: ward scanner",
        "disk: less than 1 GiB",
    ] {
        assert!(body.contains(words), "{words} in {body}");
    }
    let json = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
    let found: SignedHead = serde_json::from_str(json).unwrap();
    assert!(found.verifies());
    assert_eq!(found, signed);
}
