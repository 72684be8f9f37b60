//! One story over both databases: accepted, delivered, deferred, held, told, erased, restarted, rotated.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sealpost::audit::{Actor, HoldCause, JobState};
use sealpost::clock::{Clock, ManualClock, Timestamp};
use sealpost::config::{self, Last};
use sealpost::crypto::{Key, sha256};
use sealpost::mail::{
    Address, Assurance, ClientName, Content, End, Envelope, Message, Method, ReversePath, WireLimits,
};
use sealpost::policy::Action;
use sealpost::queue::{Accept, Outcome, Progress, Queue, Selection, Settled, Way};
use sealpost::retention;
use sealpost::store::{
    About, Commit, Destination, DestinationSeen, Renewed, SealedAttempt, SealedEvidence, Store, StoreError,
};

use crate::cluster::Cluster;

const VALID: Method = Method::Tls(Assurance::Valid);
const CANARY: &str = "canary-5f3a-Maribel-Quist";
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct World {
    folder: tempfile::TempDir,
    database: config::Database,
    clock: Arc<ManualClock>,
    master: Key,
}

impl World {
    fn new(url: &str) -> World {
        World {
            folder: tempfile::tempdir().unwrap(),
            database: config::Database { url: url.to_owned(), body_file_bytes: 16 * 1024 },
            clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_000))),
            master: Key::generate().unwrap(),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn open(&self) -> Result<(Store, Queue), StoreError> {
        let store = Store::open(&self.database, &self.data(), self.master.clone(), self.clock.clone()).await?;
        let queue = Queue::new(store.clone(), queue_config());
        Ok((store, queue))
    }
}

fn queue_config() -> config::Queue {
    config::Queue {
        retry: vec![MINUTE, 5 * MINUTE],
        expire: 60 * 24 * MINUTE,
        delay_notice: 4 * 60 * MINUTE,
        floor_patience: 15 * MINUTE,
        hold_expire: 60 * 24 * MINUTE,
        lease: 10 * MINUTE,
    }
}

fn retention_config() -> config::Retention {
    config::Retention { evidence: Duration::from_secs(6 * 366 * 24 * 3600), sweep: 60 * MINUTE }
}

fn deliver(recipient: &str) -> Way {
    let action = Action::Deliver { methods: vec![VALID], last: Last::Hold };
    Way { recipient: Address::parse(recipient).unwrap(), action, cause: None, released: Vec::new(), not_before: None }
}

fn held(recipient: &str) -> Way {
    let action = Action::Hold { reason: "a rule".into() };
    Way { recipient: Address::parse(recipient).unwrap(), action, cause: None, released: vec![VALID], not_before: None }
}

fn message(size: usize) -> Message {
    let mut text = format!("Subject: {CANARY}\r\n\r\n");
    while text.len() < size {
        text.push_str(CANARY);
        text.push_str("\r\n");
    }
    let limits = WireLimits { message_bytes: 1 << 24, header_bytes: 1 << 16, line_bytes: 1_000 };
    Message::parse(text, &limits).unwrap()
}

fn mail(store: &Store, queue: &Queue, (size, ways): (usize, Vec<Way>)) -> Accept {
    let id = queue.new_id().unwrap();
    let vault = store.vault();
    let epoch = vault.evidence_epoch();
    let people: Vec<_> =
        ways.iter().map(|way| vault.keyed_hash("person", way.recipient.expose_folded().as_bytes())).collect();
    let sender = ReversePath::Mailbox(Address::parse(&format!("{CANARY}@clinic.example")).unwrap());
    Accept {
        id,
        envelope: Envelope::new(sender, ways[0].recipient.clone(), Vec::new()),
        message: message(size),
        client: Some(ClientName("openemr".into())),
        in_clear: None,
        content: Content::Mail,
        evidence: SealedEvidence {
            message: id,
            epoch,
            sealed: vault.seal_record(epoch, &format!("evidence {id}"), CANARY.as_bytes()).unwrap(),
            commitment: sha256(b"salted"),
            people,
            message_id: Some(vault.keyed_hash("message-id", b"<1@clinic.example>")),
            content: vault.keyed_hash("content", b"content"),
            likeness: None,
        },
        ways,
        tell: sealpost::store::Tell::Nobody,
        settles: None,
    }
}

fn outcome(store: &Store, progress: Progress) -> Outcome {
    let epoch = store.vault().evidence_epoch();
    let sealed = store.vault().seal_record(epoch, "attempt", CANARY.as_bytes()).unwrap();
    Outcome {
        progress,
        evidence: Some(SealedAttempt { epoch, sealed, commitment: sha256(b"attempt") }),
        seen: Some(DestinationSeen {
            domain: sealpost::mail::Domain::parse("lab.example").unwrap(),
            now: Destination {
                mx: vec!["mx.lab.example".into()],
                best: Some(Assurance::Valid),
                seen: Timestamp::from_millis(1_795_493_220_000),
                newcomers: None,
                lower: None,
            },
        }),
    }
}

async fn story(url: &str) {
    let world = World::new(url);
    delivered_and_kept(&world).await;
    waited_for_its_moment(&world).await;
    deferred_held_and_told(&world).await;
    restarted(&world).await;
    erased(&world).await;
    rotated(&world).await;
    forgotten(&world).await;
    verified(&world).await;
}

async fn delivered_and_kept(world: &World) {
    let (store, queue) = world.open().await.unwrap();
    for size in [4_096, 100_000] {
        let accept = mail(&store, &queue, (size, vec![deliver("ann@lab.example")]));
        let (id, sent) = (accept.id, accept.message.clone());
        queue.accept(accept, Actor::Client(ClientName("openemr".into()))).await.unwrap();
        let job = queue.claim(10).await.pop().unwrap();
        assert_eq!((job.message, job.method, job.number), (id, VALID, 1));
        assert_eq!(queue.content(&job).await.unwrap().bytes(), sent.bytes());
        let settled = queue.settle(job, outcome(&store, Progress::Delivered)).await.unwrap();
        assert_eq!(settled, Settled::Stands(JobState::Ended { end: End::Delivered }));

        let person = store.vault().keyed_hash("person", b"ann@lab.example");
        assert!(store.evidence_by_person(person).await.unwrap().contains(&id));
        assert_eq!(store.attempts(id).await.unwrap().len(), 1);
        assert_eq!(store.events_of(id).await.unwrap().len(), 2);
        let evidence = store.evidence(id).await.unwrap().unwrap();
        let plain = store.vault().open_record(evidence.epoch, &format!("evidence {id}"), &evidence.sealed).unwrap();
        assert_eq!(plain, CANARY.as_bytes());
    }
    let lab = sealpost::mail::Domain::parse("lab.example").unwrap();
    let seen = store.destination(&lab).await.unwrap().unwrap();
    assert_eq!((seen.mx, seen.best), (vec!["mx.lab.example".to_owned()], Some(Assurance::Valid)));
    assert!(queue.counts().await.unwrap().are_balanced());
    drop(queue);
    store.close().await;
}

async fn waited_for_its_moment(world: &World) {
    let (store, queue) = world.open().await.unwrap();
    let moment = world.clock.now().plus(3 * MINUTE);
    let later = Way { not_before: Some(moment), ..deliver("bob@lab.example") };
    let accept = mail(&store, &queue, (100, vec![deliver("ann@lab.example"), later]));
    let id = accept.id;
    queue.accept(accept, Actor::System).await.unwrap();
    let rows = store.jobs(id).await.unwrap();
    let bob = rows.iter().find(|row| row.standing.state == JobState::Queued { method: VALID, due: moment }).unwrap();
    assert_eq!((bob.leased, bob.standing.expires), (None, moment.plus(queue_config().expire)));
    let at_once = queue.claim(10).await;
    assert_eq!(at_once.len(), 1, "the other one waits");
    for job in at_once {
        assert_eq!(job.recipient, Address::parse("ann@lab.example").unwrap());
        queue.settle(job, outcome(&store, Progress::Delivered)).await.unwrap();
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), queue.claim(1)).await.is_err(), "its moment has not come");
    drop(queue);
    store.close().await;

    // A restart makes nothing due earlier, and the moment wakes whoever waits for it.
    let (store, queue) = world.open().await.unwrap();
    world.clock.advance(2 * MINUTE);
    let claimed = {
        let queue = queue.clone();
        tokio::spawn(async move { queue.claim(10).await })
    };
    let early = async {
        while !claimed.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(50), early).await.is_err(), "its moment has not come");
    world.clock.advance(MINUTE);
    let job = tokio::time::timeout(Duration::from_secs(10), claimed).await.unwrap().unwrap().pop().unwrap();
    assert_eq!((job.message, job.number), (id, 1));
    assert_eq!(queue.content(&job).await.unwrap(), message(100));
    queue.settle(job, outcome(&store, Progress::Delivered)).await.unwrap();
    drop(queue);
    store.close().await;
}

async fn deferred_held_and_told(world: &World) {
    let (store, queue) = world.open().await.unwrap();
    let accept = mail(&store, &queue, (100, vec![deliver("ann@lab.example"), held("bob@lab.example")]));
    let id = accept.id;
    queue.accept(accept, Actor::System).await.unwrap();

    let job = queue.claim(10).await.pop().unwrap();
    queue.settle(job, outcome(&store, Progress::Later)).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), queue.claim(1)).await.is_err(), "not due yet");
    world.clock.advance(2 * MINUTE);
    let job = queue.claim(10).await.pop().unwrap();
    assert_eq!((job.message, job.number), (id, 2));
    assert_eq!(queue.content(&job).await.unwrap(), message(100), "read back from the store");

    world.clock.advance(8 * MINUTE);
    assert_eq!(queue.renew(&job).await.unwrap(), Renewed::Held);
    world.clock.advance(8 * MINUTE);
    assert!(tokio::time::timeout(Duration::from_millis(50), queue.claim(1)).await.is_err(), "held for longer");

    // The lease runs out, another claim takes over, and the first one's outcome is lost.
    world.clock.advance(11 * MINUTE);
    let second = queue.claim(10).await.pop().unwrap();
    assert_eq!(queue.renew(&job).await.unwrap(), Renewed::Lost);
    assert_eq!(queue.settle(job, outcome(&store, Progress::Delivered)).await.unwrap(), Settled::Lost);
    queue.give_back(vec![second]).await.unwrap();
    let third = queue.claim(10).await.pop().unwrap();
    assert_eq!(third.number, 2, "what is given back is no attempt");
    queue.settle(third, outcome(&store, Progress::Delivered)).await.unwrap();

    let owed = queue.owed(10).await.pop().unwrap();
    assert_eq!((owed.about, owed.message), (About::Held, id));
    assert_eq!(owed.state, JobState::Held { cause: HoldCause::Policy });
    let mut notice = mail(&store, &queue, (100, vec![deliver("it@clinic.example")]));
    notice.content = Content::Notice;
    notice.settles = Some(owed.id);
    let mut again = mail(&store, &queue, (100, vec![deliver("it@clinic.example")]));
    again.settles = Some(owed.id);
    queue.accept(notice, Actor::System).await.unwrap();
    assert!(queue.accept(again, Actor::System).await.is_err(), "told once");
    let job = queue.claim(10).await.pop().unwrap();
    queue.settle(job, outcome(&store, Progress::Delivered)).await.unwrap();

    let operator = Actor::Operator { user: "dana".into(), uid: 1000 };
    let released = queue.release(&Selection::Message(id), operator).await.unwrap();
    assert_eq!((released.moved, released.in_delivery, released.no_method), (1, 0, 0));
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.queued, counts.held, counts.are_balanced()), (1, 0, true));
    drop(queue);
    store.close().await;
}

async fn restarted(world: &World) {
    let (store, queue) = world.open().await.unwrap();
    let second = world.open().await.map(|_| ()).unwrap_err();
    assert_eq!(second, StoreError::InUse);
    let job = queue.claim(10).await.pop().unwrap();
    assert_eq!(job.recipient, Address::parse("bob@lab.example").unwrap());
    // It dies with the lease in hand.
    drop((job, queue));
    store.close().await;

    let (store, queue) = world.open().await.unwrap();
    let job = queue.claim(10).await.pop().unwrap();
    queue.settle(job, outcome(&store, Progress::Delivered)).await.unwrap();
    let accept = mail(&store, &queue, (100, vec![deliver("cal@lab.example")]));
    queue.accept(accept, Actor::System).await.unwrap();
    drop(queue.claim(1).await);
    world.clock.advance(60 * 24 * MINUTE);
    let woken = tokio::time::timeout(Duration::from_millis(200), queue.claim(1)).await;
    assert!(woken.is_err(), "what has expired is not claimed");
    let counts = queue.counts().await.unwrap();
    assert!(counts.ended.contains(&(End::Expired, 1)) && counts.are_balanced(), "{counts:?}");
    drop(queue);
    store.close().await;
}

async fn erased(world: &World) {
    let (store, queue) = world.open().await.unwrap();
    let swept = retention::sweep(&store, &retention_config(), world.clock.now()).await.unwrap();
    assert_eq!(swept.erased, 5, "all but the one whose sender is still to be told of its expiry");
    let owed = queue.owed(10).await.pop().unwrap();
    assert_eq!(owed.about, About::Expired);
    let mut notice = mail(&store, &queue, (100, vec![deliver("ann@clinic.example")]));
    notice.content = Content::Notice;
    notice.settles = Some(owed.id);
    queue.accept(notice, Actor::System).await.unwrap();
    let job = queue.claim(10).await.pop().unwrap();
    queue.settle(job, outcome(&store, Progress::Delivered)).await.unwrap();
    let swept = retention::sweep(&store, &retention_config(), world.clock.now()).await.unwrap();
    assert_eq!(swept.erased, 2);
    assert_eq!(retention::sweep(&store, &retention_config(), world.clock.now()).await.unwrap().erased, 0);
    assert_no_canary(&world.data());
    drop(queue);
    store.close().await;
}

async fn rotated(world: &World) {
    let (store, queue) = world.open().await.unwrap();
    let hash = store.vault().keyed_hash("person", b"ann@lab.example");
    let new = Key::generate().unwrap();
    let commit = store.rotate_master(new.clone(), Actor::System).await.unwrap();
    assert!(matches!(commit, Commit::Committed(_)));
    drop(queue);
    store.close().await;
    assert_eq!(world.open().await.map(|_| ()).unwrap_err(), StoreError::WrongMasterKey);
    let store = Store::open(&world.database, &world.data(), new.clone(), world.clock.clone()).await.unwrap();
    assert_eq!(store.vault().keyed_hash("person", b"ann@lab.example"), hash);
    store.rotate_master(world.master.clone(), Actor::System).await.unwrap();
    store.close().await;
}

async fn forgotten(world: &World) {
    let (store, queue) = world.open().await.unwrap();
    let hash = store.vault().keyed_hash("person", b"ann@lab.example");
    let known = store.evidence_by_person(hash).await.unwrap();
    assert!(known.len() > 1);
    let old = store.evidence(known[0]).await.unwrap().unwrap();
    world.clock.advance(Duration::from_secs(7 * 366 * 24 * 3600));
    let swept = retention::sweep(&store, &retention_config(), world.clock.now()).await.unwrap();
    assert_eq!(swept.evidence_erased, 7);
    assert!(swept.epochs_destroyed >= 2, "{swept:?}");
    assert!(store.evidence_by_person(hash).await.unwrap().is_empty());
    let place = format!("evidence {}", known[0]);
    assert!(store.vault().open_record(old.epoch, &place, &old.sealed).is_err(), "its key is gone as well");
    // The audit log keeps what happened, that last step included.
    let events = store.events_of(known[0]).await.unwrap();
    let last = &events.last().unwrap().row.event;
    assert!(events.len() >= 4 && last.contains("evidence_erased"), "{last}");
    drop(queue);
    store.close().await;
}

async fn verified(world: &World) {
    let (store, queue) = world.open().await.unwrap();
    let node = store.node().clone();
    let events = store.events(&node, 0, 10_000).await.unwrap();
    let mut previous = sealpost::crypto::Digest::ZERO;
    for (at, entry) in events.iter().enumerate() {
        assert_eq!(entry.row.seq, i64::try_from(at).unwrap() + 1);
        let text = format!("sealpost-link-1\n{previous}\n{}", entry.row.leaf());
        assert_eq!(entry.hash, sha256(text.as_bytes()), "row {}", entry.row.seq);
        previous = entry.hash;
    }
    let heads = store.heads().await.unwrap();
    assert_eq!((heads.len(), heads[0].hash), (1, previous));
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.queued, counts.held, counts.are_balanced()), (0, 0, true));
    drop(queue);
    store.close().await;
}

/// Nothing that a patient's name was part of lies readable on the disk.
fn assert_no_canary(folder: &Path) {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_canary(&path);
            continue;
        }
        seen += 1;
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
    }
    assert!(seen > 0 || folder.ends_with("bodies"), "{}", folder.display());
}

/// To whom a client has written stays known, and what a message is like for a week.
async fn remembered(url: &str) {
    let world = World::new(url);
    let (store, queue) = world.open().await.unwrap();
    let client = ClientName("openemr".into());
    let person = store.vault().keyed_hash("person", b"ann@lab.example");
    let (likeness, start) = (sha256(b"likeness"), world.clock.now());
    let mut newest = None;
    for _ in 0..2 {
        world.clock.advance(MINUTE);
        let mut accept = mail(&store, &queue, (100, vec![deliver("ann@lab.example"), deliver("bob@lab.example")]));
        accept.evidence.likeness = Some(likeness);
        newest = Some((accept.id, world.clock.now()));
        queue.accept(accept, Actor::System).await.unwrap();
        let mut jobs = queue.claim(10).await;
        let (one, other) = (jobs.pop().unwrap(), jobs.pop().unwrap());
        let delivered = || outcome(&store, Progress::Delivered);
        // At the same time, so that one statement may count both.
        let (one, other) = tokio::join!(queue.settle(one, delivered()), queue.settle(other, delivered()));
        one.unwrap();
        other.unwrap();
    }
    let people = ["ann@lab.example", "zoe@lab.example"].map(|to| store.correspondent(&Address::parse(to).unwrap()));
    assert_eq!(store.times_written(&client, &people).await.unwrap(), [2, 0]);
    let many: Vec<_> = (0..45).flat_map(|_| people).collect();
    assert_eq!(store.times_written(&client, &many).await.unwrap().iter().sum::<u64>(), 90);
    let domains = store.domains_written(&client, 9).await.unwrap();
    assert_eq!(domains, [(sealpost::mail::Domain::parse("lab.example").unwrap(), 4)]);

    let known = ["lab.example", "rare.example"].map(|name| sealpost::mail::Domain::parse(name).unwrap());
    let asked: Vec<_> = known.iter().collect();
    assert_eq!(store.times_domains(&client, &asked).await.unwrap(), domains);

    let (id, accepted) = newest.unwrap();
    assert_eq!(store.sent_since(&client, person, (start, 1)).await.unwrap(), 1, "no more are counted");
    assert_eq!(store.alike(likeness, start).await.unwrap(), newest);
    assert_eq!(store.alike(likeness, accepted.plus(MINUTE)).await.unwrap(), None);
    assert_eq!(store.sent_since(&client, person, (start, 100)).await.unwrap(), 2);
    assert_eq!(store.sent_since(&client, person, (accepted, 100)).await.unwrap(), 1);
    assert_eq!(store.sent_since(&ClientName("scanner".into()), person, (start, 100)).await.unwrap(), 0);
    assert_eq!(store.people_of(id, 2).await.unwrap().unwrap().len(), 2);
    assert_eq!(store.people_of(id, 1).await.unwrap(), None);

    // The daily round forgets the likeness of what is a week old, and nothing else.
    world.clock.advance(6 * DAY);
    store.renew_epochs().await.unwrap();
    assert_eq!(store.alike(likeness, start).await.unwrap(), newest);
    world.clock.advance(2 * DAY);
    store.renew_epochs().await.unwrap();
    assert_eq!(store.alike(likeness, start).await.unwrap(), None);
    assert_eq!(store.times_written(&client, &people).await.unwrap(), [2, 0]);
    assert!(store.evidence(id).await.unwrap().is_some());
    drop(queue);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_on_sqlite() {
    story("sqlite").await;
    remembered("sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_on_postgres() {
    let cluster = Cluster::start();
    story(&cluster.url).await;
    remembered(&cluster.database("past")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_one_queue() {
    let cluster = Cluster::start();
    let one = World::new(&cluster.url);
    let two = World {
        folder: tempfile::tempdir().unwrap(),
        database: one.database.clone(),
        clock: one.clock.clone(),
        master: one.master.clone(),
    };
    let (first, first_queue) = one.open().await.unwrap();
    let (second, second_queue) = two.open().await.unwrap();
    assert_ne!(first.node(), second.node());
    // A day later the first node wraps under an epoch that the second has not seen.
    one.clock.advance(25 * 60 * MINUTE);
    first.renew_epochs().await.unwrap();
    let accept = mail(&first, &first_queue, (100_000, vec![deliver("ann@lab.example")]));
    let sent = accept.message.clone();
    first_queue.accept(accept, Actor::System).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(100), second_queue.claim(1)).await;
    assert!(waiting.is_err(), "the first node holds it");
    drop(first_queue);
    first.close().await;
    one.clock.advance(11 * MINUTE);
    let job = second_queue.claim(1).await.pop().unwrap();
    assert_eq!(second_queue.content(&job).await.unwrap(), sent);
    second_queue.settle(job, outcome(&second, Progress::Delivered)).await.unwrap();
    assert_eq!(second.heads().await.unwrap().len(), 2, "one chain per node");
    assert!(second_queue.counts().await.unwrap().are_balanced());
    drop(second_queue);
    second.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_disk_and_the_master_key_do_not_bring_an_erased_body_back() {
    let world = World::new("sqlite");
    let (store, queue) = world.open().await.unwrap();
    let mut sealed = Vec::new();
    for size in [4_096, 100_000] {
        let accept = mail(&store, &queue, (size, vec![deliver("ann@lab.example")]));
        let file = world.data().join("bodies").join(accept.id.to_string());
        queue.accept(accept, Actor::System).await.unwrap();
        let job = queue.claim(1).await.pop().unwrap();
        let row = store.job(job.id).await.unwrap().unwrap();
        sealed.push(row.wrapped_key.unwrap());
        assert_eq!(file.exists(), size > 50_000);
        queue.settle(job, outcome(&store, Progress::Delivered)).await.unwrap();
    }
    assert!(sealed.iter().all(|wrapped| on_disk(&world.data(), wrapped)), "the wrapped keys are there before");
    assert_eq!(retention::sweep(&store, &retention_config(), world.clock.now()).await.unwrap().erased, 2);
    // The raw disk, with the daemon still running: no wrapped key, no body, no log that still holds them.
    for wrapped in &sealed {
        assert!(!on_disk(&world.data(), wrapped), "a wrapped key outlived its erasure");
    }
    assert_eq!(std::fs::metadata(world.data().join("sealpost.db-wal")).unwrap().len(), 0);
    assert_eq!(std::fs::read_dir(world.data().join("bodies")).unwrap().count(), 0);
    assert_no_canary(&world.data());
    drop(queue);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_comes_with_its_hour_and_ends_with_the_drain() {
    let world = World::new("sqlite");
    let (store, queue) = world.open().await.unwrap();
    let accept = mail(&store, &queue, (100, vec![deliver("ann@lab.example")]));
    let id = accept.id;
    queue.accept(accept, Actor::System).await.unwrap();
    let drain = tokio_util::sync::CancellationToken::new();
    let sweeping = tokio::spawn(retention::run(store.clone(), retention_config(), drain.clone()));
    let job = queue.claim(1).await.pop().unwrap();
    queue.settle(job, outcome(&store, Progress::Delivered)).await.unwrap();
    let erased = async {
        while store.events_of(id).await.unwrap().len() < 3 {
            world.clock.advance(61 * MINUTE);
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), erased).await.unwrap();
    let event = store.events_of(id).await.unwrap().pop().unwrap().row.event;
    assert_eq!(event, format!("{{\"event\":\"erased\",\"message\":\"{id}\"}}"));
    drain.cancel();
    tokio::time::timeout(Duration::from_secs(10), sweeping).await.unwrap().unwrap();
    drop(queue);
    store.close().await;
}

fn on_disk(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return on_disk(&path, needle);
        }
        std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}
