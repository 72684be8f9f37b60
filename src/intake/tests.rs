//! From what a client hands in to what the queue is given.

use super::*;
use crate::config::{Last, Rule, Then, When};
use crate::mail::{MessageId, Method, ReversePath, WireLimits};
use crate::policy::RuleResult;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn message(text: &str) -> Message {
    let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
    Message::parse(text.as_bytes().to_vec(), &limits).unwrap()
}

fn methods(names: &str) -> Vec<Method> {
    names.split_whitespace().map(|name| name.parse().unwrap()).collect()
}

fn settings() -> Settings {
    let never = Rule {
        name: "never to the press".into(),
        when: When { recipient_domain: vec!["press.example".into()], ..When::default() },
        then: Then::Reject("not to the press".into()),
    };
    let look = Rule {
        name: "look first".into(),
        when: When { recipient_domain: vec!["insurer.example".into()], ..When::default() },
        then: Then::Hold("an insurer".into()),
    };
    let policy = config::Policy {
        default: methods("smime pgp tls:valid portal"),
        rules: vec![
            never,
            look,
            Rule {
                name: "labs".into(),
                when: When { recipient_domain: vec!["lab.example".into()], ..When::default() },
                then: Then::Deliver(methods("tls:authenticated"), Last::Undeliverable),
            },
        ],
        tags: vec!["[secure]".into()],
        secure: methods("tls:authenticated"),
    };
    let allowed =
        |standing| Allowed { senders: vec!["*@clinic.example".into()], on_refusal: OnRefusal::Reject, standing };
    Settings {
        hostname: Domain::parse("relay.clinic.example").unwrap(),
        rules: Rules::compile(&policy),
        clients: HashMap::from([
            (ClientName("front-desk".into()), allowed(Standing::Welcome)),
            (ClientName("old-scanner".into()), allowed(Standing::Suspended)),
        ]),
        budget: Budget { depth: 10, parts: 100, ratio: 100, bytes: 1 << 20 },
        config: Digest::ZERO,
        directory: Directory,
    }
}

fn examine(text: &str, recipients: &[&str]) -> Examination {
    let mut recipients: Vec<Address> = recipients.iter().map(|text| address(text)).collect();
    let sender = ReversePath::Mailbox(address("ann@clinic.example"));
    let envelope = Envelope::new(sender, recipients.remove(0), recipients);
    let settings = settings();
    let tree = mime::parse(&message(text), &settings.budget);
    let verdict = Verdict { phi: false, score: 0.0, findings: Vec::new(), version: "test".into() };
    let client = ClientName("front-desk".into());
    settings.decide(&envelope, Some(&client), Read { tree, verdict, facts: Facts::default() })
}

fn outcome(recipients: &[&str], on_refusal: OnRefusal) -> Result<String, String> {
    let decisions = examine("From: ann@clinic.example\r\n\r\nhello\r\n", recipients).decisions;
    let words = |way: &Way| format!("{}{}", way_names(&way.action).join("+"), cause(way));
    let ways = ways(&decisions, on_refusal).map_err(|refusal| refusal.reply().lines().join(" "))?;
    Ok(ways.iter().map(words).collect::<Vec<_>>().join(", "))
}

fn cause(way: &Way) -> String {
    way.cause.map(|cause| format!("({cause:?})")).unwrap_or_default()
}

#[test]
fn what_policy_decides_is_what_the_queue_is_given() {
    let (reject, hold) = (OnRefusal::Reject, OnRefusal::AcceptAndHold);
    for (recipients, on_refusal, expected) in [
        (&["r@lab.example", "p@mail.example"][..], reject, Ok("tls:authenticated, tls:valid")),
        (&["r@lab.example", "i@insurer.example"], reject, Ok("tls:authenticated, hold(Policy)")),
        (&["r@lab.example", "x@press.example"], reject, Ok("tls:authenticated, reject")),
        (&["x@press.example", "y@press.example"], reject, Err("not to the press")),
        (&["x@press.example", "r@lab.example"], hold, Ok("hold(AcceptAndHold), tls:authenticated")),
        (&["x@press.example"], hold, Ok("hold(AcceptAndHold)")),
    ] {
        let got = outcome(recipients, on_refusal);
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{recipients:?}");
    }
}

#[test]
fn a_client_speaks_only_for_its_own_senders() {
    let senders = ["*@clinic.example".to_owned()];
    let check = |from: &[&str]| {
        let from: Vec<Address> = from.iter().map(|text| address(text)).collect();
        check_from(&from, &senders).map_err(|refusal| refusal.name())
    };
    assert_eq!(check(&["Ann@Clinic.Example"]), Ok(()));
    assert_eq!(check(&["ann@clinic.example", "ceo@bank.example"]), Err("from_not_allowed"));
    assert_eq!(check(&["ann@clinic.example.evil.example"]), Err("from_not_allowed"));
    assert_eq!(check(&[]), Err("no_from"));
}

#[test]
fn a_client_that_was_stopped_meanwhile_is_told_to_come_later() {
    let settings = settings();
    let standing =
        |name: &str| settings.allowed(&ClientName(name.into())).map(|_| ()).map_err(|r| r.reply().code.value());
    assert_eq!(standing("front-desk"), Ok(()));
    assert_eq!(standing("old-scanner"), Err(451));
    assert_eq!(standing("nobody"), Err(451));
}

#[test]
fn a_tag_is_obeyed_and_does_not_leave_the_house() {
    let text = "From: ann@clinic.example\r\nDate: Tue, 24 Nov 2026 04:07:00 +0000\r\nMessage-ID: <1@clinic.example>\r\n\
                X-Sealpost-Secure: yes\r\nSubject: =?utf-8?Q?Re:_[SECURE]_h=C3=A9llo?=\r\nSensitivity: private\r\n\r\nx\r\n";
    let examination = examine(text, &["p@mail.example"]);
    let decision = &examination.decisions[0];
    assert_eq!(way_names(&decision.action), ["tls:authenticated"]);
    assert!(
        decision
            .tried
            .iter()
            .any(|tried| { tried.rule == "sender asked for protection" && tried.result == RuleResult::Won })
    );

    let settings = settings();
    let id = MessageId::from_parts(Timestamp::from_millis(0), 1);
    let hop = Hop { hostname: &settings.hostname, id, at: Timestamp::from_millis(0) };
    let (edits, words) = edits::edits(&message(text), &hop, examination.edits);
    let sent = mime::edit(&message(text), &edits);
    let header = String::from_utf8_lossy(sent.header()).into_owned();
    assert!(!header.to_ascii_lowercase().contains("secure"), "{header}");
    assert!(header.contains("Sensitivity: private\r\n"), "{header}");
    assert_eq!(mime::header(&sent, "subject").unwrap().expose(), "Re: héllo");
    assert_eq!(words, ["X-Sealpost-Secure taken off", "tags taken off the subject"]);
}

#[test]
fn a_message_without_an_id_is_found_by_the_one_it_was_given() {
    let settings = settings();
    let id = MessageId::from_parts(Timestamp::from_millis(0), 1);
    let hop = Hop { hostname: &settings.hostname, id, at: Timestamp::from_millis(0) };
    let named = |text: &str| message_id(&mime::parse(&message(text), &settings.budget), &hop).into_exposed();
    assert_eq!(named("From: ann@clinic.example\r\n\r\n"), format!("<{id}@relay.clinic.example>"));
    assert!(named("Message-ID: <7@clinic.example>\r\n\r\n").contains("7@clinic.example"));
}

#[test]
fn a_date_is_kept_as_a_time_or_not_at_all() {
    let settings = settings();
    let id = MessageId::from_parts(Timestamp::from_millis(0), 1);
    let hop = Hop { hostname: &settings.hostname, id, at: Timestamp::from_millis(9_000) };
    let kept = |text: &str| date(&message(text), &hop).map(Timestamp::millis);
    assert_eq!(kept("Date: Tue, 24 Nov 2026 05:07:00 +0100\r\n\r\n"), Some(1_795_493_220_000));
    assert_eq!(kept("Date: Maribel Quist's birthday\r\n\r\n"), None);
    assert_eq!(kept("From: ann@clinic.example\r\n\r\n"), Some(9_000));
}
