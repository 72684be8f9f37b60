//! The nodes of a story: each with a folder of its own, on one database, and able to die.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sealpost::clock::{Clock, ManualClock, Timestamp};
use sealpost::config::{self, Last};
use sealpost::crypto::{Key, sha256};
use sealpost::mail::{Address, Assurance, ClientName, Content, Envelope, Message, Method, ReversePath, WireLimits};
use sealpost::policy::Action;
use sealpost::queue::{Accept, Queue};
use sealpost::store::{SealedEvidence, Store, StoreError};

const MINUTE: Duration = Duration::from_secs(60);
pub(super) const LEASE: Duration = Duration::from_secs(6 * 60);
const VALID: Method = Method::Tls(Assurance::Valid);

pub(super) fn config() -> config::Queue {
    config::Queue {
        retry: vec![MINUTE, 3 * MINUTE],
        expire: 40 * MINUTE,
        delay_notice: 10 * MINUTE,
        floor_patience: 5 * MINUTE,
        hold_expire: 60 * MINUTE,
        lease: LEASE,
    }
}

pub(super) struct House {
    pub(super) clock: Arc<ManualClock>,
    pub(super) nodes: Vec<Node>,
    database: config::Database,
    master: Key,
}

pub(super) struct Node {
    pub(super) store: Store,
    pub(super) queue: Queue,
    folder: tempfile::TempDir,
}

/// What is decided for one recipient of a story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    kind: u64,
    not_before: Option<Timestamp>,
}

impl Way {
    /// One to three of them.
    pub(super) fn some(mut number: u64, now: Timestamp) -> Vec<Way> {
        let mut next = |sides: u64| {
            let rolled = number % sides;
            number = number / sides + number.rotate_left(17) % 1_000_003;
            rolled
        };
        (0..=next(3))
            .map(|_| {
                let wait = u32::try_from(next(6)).unwrap();
                Way { kind: next(6), not_before: (next(3) == 0).then(|| now.plus(wait * MINUTE)) }
            })
            .collect()
    }

    fn build(self) -> sealpost::queue::Way {
        sealpost::queue::Way {
            recipient: Address::parse("ann@lab.example").unwrap(),
            action: match self.kind {
                0 => Action::Hold { reason: "a rule".into() },
                1 => Action::Reject { text: "no".into() },
                2 => Action::Deliver { methods: Vec::new(), last: Last::Undeliverable },
                _ => Action::Deliver { methods: vec![VALID, Method::Portal], last: Last::Hold },
            },
            cause: None,
            released: vec![VALID],
            not_before: self.not_before,
        }
    }
}

impl House {
    /// On SQLite each house has a database of its own; on PostgreSQL each has a schema.
    pub(super) async fn open(url: &str, nodes: usize) -> House {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let url = match url {
            "sqlite" => url.to_owned(),
            shared => {
                let name = format!("story{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
                create_database(shared, &name);
                shared.replacen("/postgres?", &format!("/{name}?"), 1)
            }
        };
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_000)));
        let database = config::Database { url, body_file_bytes: 1 << 16 };
        let mut house = House { clock, nodes: Vec::new(), database, master: Key::generate().unwrap() };
        for _ in 0..nodes {
            let folder = tempfile::tempdir().unwrap();
            let node = house.start(folder).await;
            house.nodes.push(node);
        }
        house
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn start(&self, folder: tempfile::TempDir) -> Node {
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let data = folder.path().join("data");
            match Store::open(&self.database, &data, self.master.clone(), self.clock.clone()).await {
                Ok(store) => return Node { queue: Queue::new(store.clone(), config()), store, folder },
                // What was under way when it died lets go in its own time.
                Err(StoreError::InUse | StoreError::Unavailable(_)) if tokio::time::Instant::now() < end => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("the node does not start again: {error}"),
            }
        }
    }

    /// Without a farewell: nothing is closed, nothing given back.
    pub(super) async fn crash(&mut self, node: usize) {
        let Node { store, queue, folder } = self.nodes.remove(node);
        drop((store, queue));
        let again = self.start(folder).await;
        self.nodes.insert(node, again);
    }

    pub(super) async fn close(self) {
        for Node { store, queue, .. } in self.nodes {
            drop(queue);
            store.close().await;
        }
    }
}

fn create_database(url: &str, name: &str) {
    let folder = url.rsplit_once("host=").unwrap().1;
    let sql = format!("create database {name}");
    let mut psql = std::process::Command::new("psql");
    psql.args(["-q", "-U", "postgres", "-d", "postgres", "-h", folder, "-c", &sql]);
    let made = psql.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

impl Node {
    /// A message that this node may take.
    pub(super) fn message(&self, ways: &[Way]) -> (Queue, Accept) {
        let queue = self.queue.clone();
        let id = queue.new_id().unwrap();
        let limits = WireLimits { message_bytes: 1_000, header_bytes: 1_000, line_bytes: 1_000 };
        let ways: Vec<_> = ways.iter().map(|way| way.build()).collect();
        let accept = Accept {
            id,
            envelope: Envelope::new(ReversePath::Null, ways[0].recipient.clone(), Vec::new()),
            message: Message::parse("Subject: x\r\n\r\nbody\r\n", &limits).unwrap(),
            client: Some(ClientName("openemr".into())),
            content: Content::Mail,
            evidence: SealedEvidence {
                message: id,
                epoch: self.store.vault().evidence_epoch(),
                sealed: Vec::new(),
                commitment: sha256(b"x"),
                people: vec![sha256(b"ann")],
                message_id: None,
                content: sha256(b"body"),
                likeness: None,
            },
            ways,
            tell: sealpost::store::Tell::Nobody,
            settles: None,
            in_clear: None,
        };
        (queue, accept)
    }
}
