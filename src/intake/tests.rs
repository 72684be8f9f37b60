//! From what a client hands in to what the queue is given, and has kept.

use super::*;
use crate::classify::{Grounds, Points};
use crate::clock::SystemClock;
use crate::config::Permission;
use crate::config::{Last, Rule, Then, When};
use crate::crypto::Key;
use crate::mail::{Content, MessageId, Method, Proof, ReversePath, Role, TlsSession, WireLimits};
use crate::policy::RuleResult;
use crate::store::{About, Store};

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

fn senders() -> Senders {
    Senders(vec!["*@clinic.example".into()])
}

fn terms() -> Terms {
    let never = Rule {
        name: "never to the press".into(),
        when: When { recipient_domain: vec!["press.example".into()], ..When::default() },
        then: Some(Then::Reject("not to the press".into())),
        ..Rule::default()
    };
    let look = Rule {
        name: "look first".into(),
        when: When { recipient_domain: vec!["insurer.example".into()], ..When::default() },
        then: Some(Then::Hold("an insurer".into())),
        ..Rule::default()
    };
    let policy = config::Policy {
        default: methods("smime pgp tls:valid portal"),
        rules: vec![
            never,
            look,
            Rule {
                name: "labs".into(),
                when: When { recipient_domain: vec!["lab.example".into()], ..When::default() },
                then: Some(Then::Deliver(methods("tls:authenticated"), Last::Undeliverable)),
                ..Rule::default()
            },
        ],
        tags: vec!["[secure]".into()],
        secure: methods("tls:authenticated"),
        ..config::Policy::default()
    };
    let allowed = |standing, on_refusal| Allowed {
        senders: senders(),
        on_refusal,
        standing,
        without_login: Belief::NotBelieved,
        permission: Permission::NotGranted,
        receipt: false,
        content: Content::Mail,
        care: config::Care::default(),
    };
    Terms {
        point: OperatingPoint::Balanced,
        hostname: Domain::parse("relay.clinic.example").unwrap(),
        rules: Rules::compile(&policy),
        clients: HashMap::from([
            (ClientName("front-desk".into()), allowed(Standing::Welcome, OnRefusal::Reject)),
            (ClientName("openemr".into()), allowed(Standing::Welcome, OnRefusal::AcceptAndHold)),
            (ClientName("old-scanner".into()), allowed(Standing::Suspended, OnRefusal::Reject)),
        ]),
        budget: Budget { depth: 10, parts: 100, ratio: 100, bytes: 1 << 20 },
        allowance: Allowance {
            budget: extract::Budget { depth: 5, parts: 100, ratio: 100, bytes: 1 << 20 },
            time: Duration::from_secs(20),
            memory_bytes: 1 << 30,
        },
        guard: config::Guard::default(),
        config: Digest::ZERO,
    }
}

fn examine(text: &str, recipients: &[&str], client: &str) -> Examination {
    let mut recipients: Vec<Address> = recipients.iter().map(|text| address(text)).collect();
    let sender = ReversePath::Mailbox(address("ann@clinic.example"));
    let envelope = Envelope::new(sender, recipients.remove(0), recipients);
    let terms = terms();
    let message = message(text);
    let tree = mime::parse(&message, &terms.budget);
    let seen = Seen::of(&terms.rules, &message, &tree);
    let verdict = Verdict {
        phi: false,
        score: 0.0,
        points: Points::default(),
        grounds: Grounds::default(),
        findings: Vec::new(),
        persons: 0,
        labels: Vec::new(),
        version: "test".into(),
    };
    let client = ClientName(client.into());
    let letter = Letter::of(&message);
    let read = Read::new((tree, verdict), (&letter, &envelope), Facts::default(), seen);
    terms.decide(&envelope, (Some(&client), Some(Proof::Password)), read)
}

fn outcome(recipients: &[&str], client: &str) -> Result<String, String> {
    let decisions = examine("From: ann@clinic.example\r\n\r\nhello\r\n", recipients, client).decisions;
    let words = |way: &Way| format!("{}{}", way_names(&way.action).join("+"), cause(way));
    let ways = ways(&decisions, Timestamp::from_millis(0)).map_err(|refusal| refusal.reply().lines().join(" "))?;
    Ok(ways.iter().map(words).collect::<Vec<_>>().join(", "))
}

fn cause(way: &Way) -> String {
    way.cause.map(|cause| format!("({cause:?})")).unwrap_or_default()
}

#[test]
fn what_policy_decides_is_what_the_queue_is_given() {
    let (reject, hold) = ("front-desk", "openemr");
    for (recipients, client, expected) in [
        (&["r@lab.example", "p@mail.example"][..], reject, Ok("tls:authenticated, tls:valid")),
        (&["r@lab.example", "i@insurer.example"], reject, Ok("tls:authenticated, hold(Policy)")),
        (&["r@lab.example", "x@press.example"], reject, Ok("tls:authenticated, reject")),
        (&["x@press.example", "y@press.example"], reject, Err("not to the press")),
        (&["x@press.example", "r@lab.example"], hold, Ok("hold(AcceptAndHold), tls:authenticated")),
        (&["x@press.example"], hold, Ok("hold(AcceptAndHold)")),
    ] {
        let got = outcome(recipients, client);
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{recipients:?}");
    }
}

#[test]
fn a_client_speaks_only_for_its_own_senders() {
    let check = |from: &[&str]| {
        let from: Vec<Address> = from.iter().map(|text| address(text)).collect();
        check_from(&from, &senders()).map_err(|refusal| refusal.name())
    };
    assert_eq!(check(&["Ann@Clinic.Example"]), Ok(()));
    assert_eq!(check(&["ann@clinic.example", "ceo@bank.example"]), Err("from_not_allowed"));
    assert_eq!(check(&["ann@clinic.example.evil.example"]), Err("from_not_allowed"));
    assert_eq!(check(&[]), Err("no_from"));
}

#[test]
fn a_client_that_was_stopped_meanwhile_is_told_to_come_later() {
    let terms = terms();
    let standing = |name: &str| terms.allowed(&ClientName(name.into())).map(|_| ()).map_err(|r| r.reply().code.value());
    assert_eq!(standing("front-desk"), Ok(()));
    assert_eq!(standing("old-scanner"), Err(451));
    assert_eq!(standing("nobody"), Err(451));
}

#[test]
fn a_tag_is_obeyed_and_does_not_leave_the_house() {
    let text = "From: ann@clinic.example\r\nDate: Tue, 24 Nov 2026 04:07:00 +0000\r\nMessage-ID: <1@clinic.example>\r\n\
                X-Sealpost-Secure: yes\r\nSubject: =?utf-8?Q?Re:_[SECURE]_h=C3=A9llo?=\r\nSensitivity: private\r\n\r\nx\r\n";
    let examination = examine(text, &["p@mail.example"], "front-desk");
    let decision = &examination.decisions[0];
    assert_eq!(way_names(&decision.action), ["tls:authenticated"]);
    assert!(
        decision
            .tried
            .iter()
            .any(|tried| { tried.rule == "sender asked for protection" && tried.result == RuleResult::Won })
    );

    let terms = terms();
    let id = MessageId::from_parts(Timestamp::from_millis(0), 1);
    let hop = Hop { hostname: &terms.hostname, id, at: Timestamp::from_millis(0) };
    let (edits, words) = edits::edits(&message(text), &hop, terms.policy_edits(&examination, id));
    let sent = mime::edit(&message(text), &edits);
    let header = String::from_utf8_lossy(sent.header()).into_owned();
    assert!(!header.to_ascii_lowercase().contains("secure"), "{header}");
    assert!(header.contains("Sensitivity: private\r\n"), "{header}");
    assert_eq!(mime::header(&sent, "subject").unwrap().expose(), "Re: héllo");
    assert_eq!(words, ["tags taken off the subject", "X-Sealpost-* taken off"]);
}

#[test]
fn a_message_without_an_id_is_found_by_the_one_it_was_given() {
    let terms = terms();
    let id = MessageId::from_parts(Timestamp::from_millis(0), 1);
    let hop = Hop { hostname: &terms.hostname, id, at: Timestamp::from_millis(0) };
    let named = |text: &str| message_id(&mime::parse(&message(text), &terms.budget), &hop).into_exposed();
    assert_eq!(named("From: ann@clinic.example\r\n\r\n"), format!("<{id}@relay.clinic.example>"));
    assert!(named("Message-ID: <7@clinic.example>\r\n\r\n").contains("7@clinic.example"));
}

#[test]
fn a_date_is_kept_as_a_time_or_not_at_all() {
    let terms = terms();
    let id = MessageId::from_parts(Timestamp::from_millis(0), 1);
    let hop = Hop { hostname: &terms.hostname, id, at: Timestamp::from_millis(9_000) };
    let kept = |text: &str| date(&message(text), &hop).map(Timestamp::millis);
    assert_eq!(kept("Date: Tue, 24 Nov 2026 05:07:00 +0100\r\n\r\n"), Some(1_795_493_220_000));
    assert_eq!(kept("Date: Maribel Quist's birthday\r\n\r\n"), None);
    assert_eq!(kept("From: ann@clinic.example\r\n\r\n"), Some(9_000));
}

/// An intake over a store of its own.
struct Desk {
    intake: Intake,
    store: Store,
    _dir: tempfile::TempDir,
}

async fn desk() -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let database = config::Database { url: "sqlite".into(), body_file_bytes: 1 << 16 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Store::open(&database, dir.path(), Key::new([7; 32]), clock.clone()).await.unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let queue = Queue::new(
        store.clone(),
        config::Queue {
            retry: vec![day],
            expire: day,
            delay_notice: day,
            floor_patience: day,
            hold_expire: day,
            lease: day,
        },
    );
    let rooms = Rooms { queue, evidence: Evidence::new(store.clone()), clock };
    let settings = Settings { terms: terms(), directory: Directory::new(store.clone(), &[]) };
    let reading = Arc::new(Semaphore::new(2));
    Desk {
        intake: Intake {
            rooms,
            settings: RwLock::new(Arc::new(settings)),
            reading,
            readers: Arc::default(),
            twins: twins::Twins::default(),
        },
        store,
        _dir: dir,
    }
}

impl Desk {
    async fn submit(&self, client: Option<&str>, text: &str, recipients: &[&str]) -> Result<Receipt, String> {
        let mut recipients: Vec<Address> = recipients.iter().map(|text| address(text)).collect();
        let sender = ReversePath::Mailbox(address("ann@clinic.example"));
        let envelope = Envelope::new(sender, recipients.remove(0), recipients);
        let peer = Peer {
            role: Role::Submission,
            address: "10.1.2.3:4444".parse().unwrap(),
            helo: Phi::new("reception-pc".into()),
            tls: Some(TlsSession { version: "TLSv1.3".into(), suite: "TLS13_AES_256_GCM_SHA384".into() }),
            client: client.map(|name| ClientName(name.into())),
            proof: client.map(|_| Proof::Password),
            arrival: crate::mail::Arrival::default(),
        };
        let result = self.intake.accept(envelope, message(text), peer).await;
        result.map_err(|refusal| String::from_utf8(refusal.reply().to_wire()[..9].to_vec()).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_is_kept_as_it_is_to_be_sent_and_who_was_refused_is_owed_a_notice() {
    let desk = desk().await;
    let text = "From: ann@clinic.example\r\nBcc: x@press.example\r\nSubject: [secure] hello\r\n\r\nbody\r\n";
    let to = ["r@lab.example", "x@press.example", "i@insurer.example"];
    let receipt = desk.submit(Some("front-desk"), text, &to).await.unwrap();
    assert_eq!(desk.store.jobs(receipt.id()).await.unwrap().len(), 3);

    let queue = &desk.intake.rooms.queue;
    let jobs = queue.claim(10).await;
    assert_eq!(jobs.iter().map(|job| job.recipient.expose()).collect::<Vec<_>>(), ["r@lab.example"]);
    let sent = queue.content(&jobs[0]).await.unwrap();
    let header = String::from_utf8(sent.header().to_vec()).unwrap();
    assert!(header.starts_with("Received: from client by relay.clinic.example\r\n"), "{header}");
    assert!(header.contains("Subject: hello\r\n") && !header.contains("press.example"), "{header}");
    assert_eq!(sent.body(), b"body\r\n");

    let mut owed: Vec<(String, About)> =
        queue.owed(10).await.iter().map(|owed| (owed.recipient.expose().to_owned(), owed.about)).collect();
    owed.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(owed, [("i@insurer.example".into(), About::Held), ("x@press.example".into(), About::Rejected)]);
    desk.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_to_blame_shows_in_the_reply() {
    let desk = desk().await;
    let good = "From: ann@clinic.example\r\n\r\nhello\r\n";
    let round = "Received: x\r\n".repeat(51) + good;
    let (ann, lab) = (Some("front-desk"), &["r@lab.example"][..]);
    for (client, text, to, expected) in [
        (None, good, lab, "530 5.7.0"),
        (Some("old-scanner"), good, lab, "451 4.7.1"),
        (ann, "From: ceo@bank.example\r\n\r\nhello\r\n", lab, "553 5.7.1"),
        (ann, "Subject: hello\r\n\r\nhello\r\n", lab, "554 5.6.0"),
        (ann, &round, lab, "554 5.4.6"),
        (ann, good, &["x@press.example"], "550 5.7.1"),
    ] {
        assert_eq!(desk.submit(client, text, to).await.err().as_deref(), Some(expected));
    }
    assert!(desk.submit(ann, good, lab).await.is_ok());
    desk.store.clone().close().await;
    assert_eq!(desk.submit(ann, good, lab).await.err().as_deref(), Some("451 4.3.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_is_read_beside_the_others_and_kept_whole() {
    let desk = desk().await;
    let body = "The quick brown fox jumps over the lazy dog.\r\n".repeat(2_000);
    let text = format!("From: ann@clinic.example\r\n\r\n{body}");
    desk.submit(Some("front-desk"), &text, &["r@lab.example"]).await.unwrap();
    let queue = &desk.intake.rooms.queue;
    let jobs = queue.claim(1).await;
    assert_eq!(queue.content(&jobs[0]).await.unwrap().body(), body.as_bytes());
    desk.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_are_read_in_turns_and_small_ones_pass_them() {
    let desk = desk().await;
    let large = format!("From: ann@clinic.example\r\n\r\n{}", "The quick brown fox.\r\n".repeat(4_000));
    let turns = desk.intake.reading.available_permits();
    let all = desk.intake.reading.clone().acquire_many_owned(u32::try_from(turns).unwrap()).await.unwrap();
    let mut waiting = Box::pin(desk.submit(Some("front-desk"), &large, &["r@lab.example"]));
    assert!(tokio::time::timeout(Duration::from_secs(2), &mut waiting).await.is_err(), "read out of turn");
    desk.submit(Some("front-desk"), "From: ann@clinic.example\r\n\r\nx\r\n", &["r@lab.example"]).await.unwrap();
    drop(all);
    waiting.await.unwrap();
    assert_eq!(desk.intake.reading.available_permits(), turns);
    desk.store.close().await;
}

#[test]
fn the_guard_goes_by_the_operating_point_of_the_policy() {
    let mail = "From: ann@clinic.example\r\nSubject: hello\r\n\r\n\
                Please do not eat before your visit on Friday.\r\n";
    let held = |point: &str| {
        let archive = "[[policy.rule]]\nname = \"all\"\narchive = \"archive@clinic.example\"\n";
        let policy = format!("[policy]\ndefault = [\"tls:valid\"]\noperating_point = \"{point}\"\n{archive}");
        let client = config::tests::client("front-desk", "*@clinic.example");
        let config = config::parse(&format!("{}{client}{policy}", config::tests::SMALLEST)).unwrap();
        let sender = ReversePath::Mailbox(Address::parse("ann@clinic.example").unwrap());
        let envelope = Envelope::new(sender, Address::parse("pat@gmial.com").unwrap(), Vec::new());
        let client = ClientName("front-desk".into());
        let unsent =
            Unsent { message: &message(mail), envelope: &envelope, client: Some(&client), facts: Facts::default() };
        let decisions = super::examine(&config, unsent).decisions;
        let held: Vec<bool> = decisions.iter().map(|decision| matches!(decision.action, Action::Hold { .. })).collect();
        assert!(held.len() == 2 && held[0] == held[1], "the copy for the archive fares as the message does");
        held[0]
    };
    assert!(held("strict"));
    assert!(!held("balanced"));
}
