//! Random orders of everything that can happen to jobs: nobody is ever lost or counted twice.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::Actor;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::config::{self, Last};
use crate::crypto::{Key, sha256};
use crate::mail::{
    Address, Assurance, ClientName, Content, Envelope, Message, MessageId, Method, ReversePath, WireLimits,
};
use crate::policy::Action;
use crate::queue::memory::MAX_BYTES;
use crate::queue::{Accept, Job, Outcome, Progress, Queue, Selection, Way};
use crate::store::{SealedEvidence, Store};

const STEPS: usize = 250;
const MINUTE: Duration = Duration::from_secs(60);
const VALID: Method = Method::Tls(Assurance::Valid);

/// xorshift64: the same seed, the same story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct Play {
    clock: Arc<ManualClock>,
    queue: Queue,
    dice: Dice,
    accepted: i64,
    messages: Vec<MessageId>,
    hands: Vec<Job>,
}

fn config() -> config::Queue {
    config::Queue {
        retry: vec![MINUTE, 3 * MINUTE],
        expire: 40 * MINUTE,
        delay_notice: 10 * MINUTE,
        floor_patience: 5 * MINUTE,
        hold_expire: 60 * MINUTE,
        lease: 6 * MINUTE,
    }
}

pub(super) fn accept(queue: &Queue, (sender, ways): (ReversePath, Vec<Way>)) -> Accept {
    let id = queue.new_id().unwrap();
    let limits = WireLimits { message_bytes: 1_000, header_bytes: 1_000, line_bytes: 1_000 };
    Accept {
        id,
        envelope: Envelope::new(sender, ways[0].recipient.clone(), Vec::new()),
        message: Message::parse("Subject: x\r\n\r\nbody\r\n", &limits).unwrap(),
        client: Some(ClientName("openemr".into())),
        in_clear: None,
        content: Content::Mail,
        evidence: SealedEvidence {
            message: id,
            epoch: queue.inner.store.vault().evidence_epoch(),
            sealed: Vec::new(),
            commitment: sha256(b"x"),
            people: vec![sha256(b"ann"), sha256(b"ann")],
            message_id: None,
            content: sha256(b"body"),
            likeness: None,
        },
        ways,
        tell: crate::store::Tell::Nobody,
        settles: None,
    }
}

/// A store of its own, and its queue.
pub(super) struct Open {
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
    pub(super) queue: Queue,
    pub(super) _folder: tempfile::TempDir,
}

pub(super) async fn open() -> Open {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_000)));
    let database = config::Database { url: "sqlite".into(), body_file_bytes: 1 << 16 };
    let store = Store::open(&database, folder.path(), Key::generate().unwrap(), clock.clone()).await.unwrap();
    Open { queue: Queue::new(store.clone(), config()), clock, store, _folder: folder }
}

/// To Ann, by a connection with a valid certificate.
fn to_ann(not_before: Option<Timestamp>) -> Way {
    Way {
        recipient: Address::parse("ann@lab.example").unwrap(),
        action: Action::Deliver { methods: vec![VALID], last: Last::Hold },
        cause: None,
        released: Vec::new(),
        not_before,
    }
}

impl Play {
    fn ways(&mut self) -> Vec<Way> {
        let soon = self.clock.now().plus(MINUTE * u32::try_from(self.dice.roll(6)).unwrap());
        (0..=self.dice.roll(3))
            .map(|_| Way {
                recipient: Address::parse("ann@lab.example").unwrap(),
                action: match self.dice.roll(6) {
                    0 => Action::Hold { reason: "a rule".into() },
                    1 => Action::Reject { text: "no".into() },
                    2 => Action::Deliver { methods: Vec::new(), last: Last::Undeliverable },
                    _ => Action::Deliver { methods: vec![VALID, Method::Portal], last: Last::Hold },
                },
                cause: None,
                released: vec![VALID],
                not_before: (self.dice.roll(3) == 0).then_some(soon),
            })
            .collect()
    }

    async fn step(&mut self) {
        let selection = match self.messages.len() as u64 {
            0 => Selection::Client { client: ClientName("openemr".into()), since: Timestamp::from_millis(0) },
            count => Selection::Message(self.messages[usize::try_from(self.dice.roll(count)).unwrap()]),
        };
        match self.dice.roll(9) {
            0 | 1 => {
                let ways = self.ways();
                self.accepted += i64::try_from(ways.len()).unwrap();
                let accept = accept(&self.queue, (ReversePath::Null, ways));
                self.messages.push(accept.id);
                self.queue.accept(accept, Actor::System).await.unwrap();
            }
            2 => {
                let soon = Duration::from_millis(10);
                if let Ok(jobs) = tokio::time::timeout(soon, self.queue.claim(3)).await {
                    self.hands.extend(jobs);
                }
            }
            3 | 4 => {
                let Some(job) = self.hands.pop() else { return };
                let all = [
                    Progress::Delivered,
                    Progress::Relayed,
                    Progress::Refused,
                    Progress::Later,
                    Progress::FloorUnmet,
                    Progress::MethodUnusable,
                    Progress::Unanswered,
                ];
                let progress = all[usize::try_from(self.dice.roll(6)).unwrap()];
                self.queue.settle(job, Outcome { progress, evidence: None, seen: None }).await.unwrap();
            }
            5 => self.clock.advance(MINUTE * u32::try_from(self.dice.roll(8)).unwrap()),
            6 => {
                self.queue.hold(&selection, Actor::System).await.unwrap();
            }
            7 => {
                self.queue.release(&selection, Actor::System).await.unwrap();
            }
            _ => {
                let hands = std::mem::take(&mut self.hands);
                match self.dice.roll(3) {
                    0 => drop(self.queue.cancel(&selection, Actor::System).await.unwrap()),
                    1 => drop(self.queue.retry(&selection, Actor::System).await.unwrap()),
                    _ => return self.queue.give_back(hands).await.unwrap(),
                }
                self.hands = hands;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_lost_or_counted_twice_in_any_order() {
    for seed in [1, 0x5eed, 77_777] {
        let Open { clock, store, queue, _folder } = open().await;
        let mut play = Play { clock, queue, dice: Dice(seed), accepted: 0, messages: Vec::new(), hands: Vec::new() };
        for step in 0..STEPS {
            play.step().await;
            let counts = play.queue.counts().await.unwrap();
            assert!(counts.are_balanced(), "seed {seed} step {step}: {counts:?}");
            assert_eq!(counts.accepted, play.accepted, "seed {seed} step {step}");
        }
        // In the end everything ends: held and queued alike.
        play.hands.clear();
        play.clock.advance(100 * MINUTE);
        let mut counts = play.queue.counts().await.unwrap();
        for _ in 0..100 {
            if (counts.queued, counts.held) == (0, 0) {
                break;
            }
            let claimed = tokio::time::timeout(Duration::from_millis(100), play.queue.claim(100)).await;
            assert!(claimed.is_err(), "what is over is not claimed");
            counts = play.queue.counts().await.unwrap();
        }
        assert_eq!((counts.queued, counts.held), (0, 0), "seed {seed} at {}", play.clock.now());
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_a_moment_is_not_delivered_from_memory_before_it() {
    let Open { clock, store, queue, _folder } = open().await;
    let way = |minutes: u32| to_ann(Some(clock.now().plus(minutes * MINUTE)));
    let accept = accept(&queue, (ReversePath::Null, vec![way(3), way(0)]));
    queue.accept(accept, Actor::System).await.unwrap();
    assert_eq!(queue.claim(10).await.len(), 1, "only the one whose moment has come");
    let soon = Duration::from_millis(50);
    assert!(tokio::time::timeout(soon, queue.claim(10)).await.is_err());
    // The operator wants it at once; behind that, the moment counts no more.
    let all = Selection::Client { client: ClientName("openemr".into()), since: Timestamp::from_millis(0) };
    assert_eq!(queue.retry(&all, Actor::System).await.unwrap().moved, 1);
    let jobs = tokio::time::timeout(Duration::from_secs(5), queue.claim(10)).await.unwrap();
    assert_eq!((jobs.len(), jobs[0].number), (1, 1));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_in_memory_is_claimed_from_the_store() {
    let Open { store, queue, _folder, .. } = open().await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..super::FRESH_JOBS + 50 {
        let queue = queue.clone();
        waiting.spawn(async move {
            queue.accept(accept(&queue, (ReversePath::Null, vec![to_ann(None)])), Actor::System).await.unwrap();
        });
    }
    waiting.join_all().await;
    let mut claimed = std::collections::HashSet::new();
    while claimed.len() < super::FRESH_JOBS + 50 {
        let jobs = tokio::time::timeout(Duration::from_secs(5), queue.claim(400)).await.unwrap();
        for job in jobs {
            assert!(claimed.insert(job.id), "claimed twice");
        }
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_memory_takes_its_room_until_it_is_done_and_asks_the_store_for_nothing() {
    let Open { store, queue, _folder, .. } = open().await;
    assert!(queue.inner.alarm.take_due(), "the first look at the store");
    queue.accept(accept(&queue, (ReversePath::Null, vec![to_ann(None)])), Actor::System).await.unwrap();
    assert!(!queue.inner.alarm.take_due());
    let jobs = tokio::time::timeout(Duration::from_secs(5), queue.claim(10)).await.unwrap();
    assert_eq!(jobs.len(), 1);
    assert!(queue.inner.memory.share(MAX_BYTES).is_none());
    drop(jobs);
    assert!(queue.inner.memory.share(MAX_BYTES).is_some());
    store.close().await;
}
