//! Owed notices and the daily report, over a real store and queue.

use super::*;

use crate::clock::ManualClock;
use crate::config::{self, Database};
use crate::crypto::{Digest, Key};
use crate::mail::{Address, Assurance, Content, Domain, End, Envelope, JobId, Message, MessageId, Method, ReversePath};
use crate::notice::answer::tests::story;
use crate::policy::Action;
use crate::queue::{Accept, Way};
use crate::store::{About, Tell};

fn moved(end: End) -> Event {
    let start = Timestamp::from_millis(0);
    let (message, job) = (MessageId::from_parts(start, 1), JobId::from_parts(start, 2));
    Event::Moved { message, job, state: JobState::Ended { end } }
}

async fn open(dir: &std::path::Path, clock: Arc<dyn Clock>) -> Store {
    let database = Database { url: "sqlite".into(), body_file_bytes: 1 << 16 };
    Store::open(&database, dir, Key::new([7; 32]), clock).await.unwrap()
}

async fn note(store: &Store, event: Event) {
    store.commit(Change::Note, Actor::System, event).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_counts_what_the_audit_log_says_since_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
    let store = open(dir.path(), clock.clone()).await;
    note(&store, moved(End::Bounced)).await;
    assert_eq!(counted(&store).await.unwrap().1, None);
    note(&store, Event::HeadPublished { seq: 1, hash: Digest::ZERO }).await;
    clock.advance(Duration::from_secs(9));
    // More than a page, so that the report is looked for further back.
    for _ in 0..PAGE {
        note(&store, moved(End::Delivered)).await;
    }
    note(&store, moved(End::Expired)).await;
    let (counts, since) = counted(&store).await.unwrap();
    assert_eq!(since, Some(Timestamp::from_millis(1_000)));
    assert_eq!(counts.ended, std::collections::BTreeMap::from([("delivered", 500), ("expired", 1)]));
    store.close().await;
}

#[test]
fn a_report_is_due_at_its_hour_and_once_a_day() {
    let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
    let check = |after: &str, hour: u8, due: &str| assert_eq!(next_report(at(after), hour), at(due), "{after}");
    check("2026-11-24T04:07:00Z", 6, "2026-11-24T06:00:00Z");
    check("2026-11-24T06:00:00Z", 6, "2026-11-25T06:00:00Z");
    check("2026-11-24T06:00:05Z", 6, "2026-11-25T06:00:00Z");
    check("2026-12-31T23:59:59Z", 0, "2027-01-01T00:00:00Z");
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

async fn notices(dir: &std::path::Path, clock: Arc<ManualClock>) -> Notices {
    let store = open(dir, clock.clone()).await;
    let queue = Queue::new(
        store.clone(),
        config::Queue {
            retry: vec![DAY],
            expire: DAY,
            delay_notice: DAY,
            floor_patience: DAY,
            hold_expire: DAY,
            lease: DAY,
        },
    );
    let rooms = Rooms { queue, evidence: Evidence::new(store.clone()), store, clock };
    let voice = Voice {
        hostname: Domain::parse("relay.clinic.example").unwrap(),
        from: address("postmaster@clinic.example"),
        postmaster: address("it@clinic.example"),
        digest_hour: 6,
        legacy: Vec::new(),
        public_url: None,
    };
    let (_, checks) = watch::channel(Vec::new());
    Notices { rooms, voice: RwLock::new(Arc::new(voice)), checks }
}

/// A message of which one recipient is held and the other refused.
async fn accept(rooms: &Rooms) -> MessageId {
    let id = rooms.queue.new_id().unwrap();
    let held = Way {
        recipient: address("other@lab.example"),
        action: Action::Hold { reason: "look".into() },
        cause: None,
        released: Vec::new(),
        not_before: None,
    };
    let refused = Way {
        recipient: address("results@lab.example"),
        action: Action::Reject { text: "not there".into() },
        cause: None,
        released: Vec::new(),
        not_before: None,
    };
    let bytes = b"Subject: canary-subject\r\n\r\ncanary-body\r\n".to_vec();
    let limits = crate::mail::WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
    let message = Message::parse(bytes, &limits).unwrap();
    let record = story(Action::Reject { text: "not there".into() }).record;
    let sender = ReversePath::Mailbox(address("ann@clinic.example"));
    let accept = Accept {
        id,
        envelope: Envelope::new(sender, held.recipient.clone(), vec![refused.recipient.clone()]),
        evidence: rooms.evidence.seal(id, &record, &message).unwrap(),
        message,
        client: None,
        in_clear: None,
        content: Content::Mail,
        ways: vec![held, refused],
        tell: Tell::Nobody,
        settles: None,
    };
    rooms.queue.accept(accept, Actor::System).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_is_written_once_and_goes_out_as_a_notice() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_000)));
    let notices = notices(dir.path(), clock).await;
    let Rooms { queue, store, .. } = &notices.rooms;
    accept(&notices.rooms).await;
    let owed = queue.owed(10).await;
    assert_eq!(owed.len(), 2);
    for each in &owed {
        notices.answer(each).await.unwrap();
        // Told already: not an error, and no second notice.
        notices.answer(each).await.unwrap();
    }
    let mut told = Vec::new();
    for job in queue.claim(10).await {
        assert_eq!((job.content, job.method), (Content::Notice, Method::Tls(Assurance::Valid)));
        assert_eq!(job.sender, ReversePath::Null);
        let text = String::from_utf8(queue.content(&job).await.unwrap().bytes().to_vec()).unwrap();
        assert!(!text.contains("canary"), "{text}");
        told.push((job.recipient.expose().to_owned(), text.contains("delivery-status")));
    }
    told.sort();
    let (ann, it) = ("ann@clinic.example".to_owned(), "it@clinic.example".to_owned());
    assert_eq!(told, [(ann.clone(), false), (ann, true), (it, false)]);
    store.clone().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_to_nobody_is_addressed_to_the_postmaster() {
    let dir = tempfile::tempdir().unwrap();
    let notices = notices(dir.path(), Arc::new(ManualClock::at(Timestamp::from_millis(1_000)))).await;
    accept(&notices.rooms).await;
    let mut owed = notices.rooms.queue.owed(10).await;
    owed.retain(|owed| owed.about == About::Held);
    owed[0].to = ReversePath::Null;
    notices.answer(&owed[0]).await.unwrap();
    let jobs = notices.rooms.queue.claim(10).await;
    assert_eq!(jobs.iter().map(|job| job.recipient.expose()).collect::<Vec<_>>(), ["it@clinic.example"]);
    notices.rooms.store.clone().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_report_is_queued_and_its_head_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let notices = notices(dir.path(), Arc::new(ManualClock::at(Timestamp::from_millis(1_000)))).await;
    accept(&notices.rooms).await;
    let store = &notices.rooms.store;
    let before = store.heads().await.unwrap()[0].clone();
    notices.report().await.unwrap();
    let jobs = notices.rooms.queue.claim(10).await;
    assert_eq!(jobs.len(), 1);
    let message = notices.rooms.queue.content(&jobs[0]).await.unwrap();
    let text = String::from_utf8(message.bytes().to_vec()).unwrap();
    assert!(text.contains(&format!("number {}", before.seq)), "{text}");
    let last = store.events(store.node(), before.seq, 10).await.unwrap();
    let published = Event::HeadPublished { seq: before.seq, hash: before.hash };
    assert_eq!(serde_json::from_str::<Event>(&last.last().unwrap().row.event).unwrap(), published);
    assert_eq!(counted(store).await.unwrap(), (Counts::default(), Some(Timestamp::from_millis(1_000))));
    store.clone().close().await;
}
