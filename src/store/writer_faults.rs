//! What the writer does when a statement, a commit, the schema or the node is not as it should be.

use std::sync::Arc;

use sqlx::{AnyConnection, Connection};

use crate::audit::{Actor, Event};
use crate::clock::ManualClock;
use crate::clock::Timestamp;
use crate::config;
use crate::crypto::{Digest, Key, sha256};
use crate::mail::{ClientName, Content, MessageId};
use crate::store::dialect::Dialect;
use crate::store::writer::{Handle, Start};
use crate::store::{Body, Change, Commit, ConfigText, NewMessage, SealedEvidence, Store, StoreError};

async fn open(folder: &std::path::Path, master: &Key) -> Result<Store, StoreError> {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_000)));
    let database = config::Database { url: "sqlite".into(), body_file_bytes: 1 << 16 };
    Store::open(&database, folder, master.clone(), clock).await
}

fn message(random: u128) -> (Change, Event) {
    let id = MessageId::from_parts(Timestamp::from_millis(1), random);
    let evidence = SealedEvidence {
        message: id,
        epoch: 1,
        sealed: Vec::new(),
        commitment: Digest::ZERO,
        people: Vec::new(),
        message_id: None,
        content: sha256(b"x"),
        likeness: None,
    };
    let message = NewMessage {
        id,
        accepted: Timestamp::from_millis(1),
        bytes: 1,
        content: Content::Mail,
        client: Some(ClientName("openemr".into())),
        body: Body::Row(vec![1]),
        jobs: Vec::new(),
        evidence,
        tell: crate::store::Tell::Nobody,
        settles: None,
    };
    let event = Event::Accepted { message: id, evidence: Digest::ZERO, bytes: 1, jobs: Vec::new(), in_clear: None };
    (Change::Accept(Box::new(message)), event)
}

#[tokio::test]
async fn only_the_guilty_one_of_a_batch_fails_and_the_chain_has_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Key::generate().unwrap()).await.unwrap();
    // The second of two with the same id breaks its statement; a change that finds nothing is lost beside them.
    let commits = [1, 2, 1, 3].map(message).into_iter().map(|(change, event)| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(change, Actor::System, event).await })
    });
    let nothing = MessageId::from_parts(Timestamp::from_millis(1), 99);
    let lost = Change::EraseEvidence { message: nothing };
    let lost = store.commit(lost, Actor::System, Event::EvidenceErased { message: nothing });
    let commits: Vec<_> = commits.collect();
    assert!(matches!(lost.await, Ok(Commit::Lost)));
    let mut failed = 0;
    for commit in commits {
        match commit.await.unwrap() {
            Ok(Commit::Committed(_)) => {}
            Ok(Commit::Lost) => panic!("nothing was expected of it"),
            Err(error) => {
                failed += 1;
                let words = "the store is unavailable: writing: a constraint does not hold";
                assert_eq!(error.to_string(), words);
            }
        }
    }
    assert_eq!(failed, 1);
    let events = store.events(store.node(), 0, 100).await.unwrap();
    // Three epochs, three messages.
    assert_eq!(events.iter().map(|entry| entry.row.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    store.close().await;
}

#[tokio::test]
async fn after_a_commit_that_failed_the_head_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Key::generate().unwrap()).await.unwrap();
    let (_, options) = Dialect::read("sqlite", folder.path()).unwrap();
    let mut connection = AnyConnection::connect_with(&options).await.unwrap();
    // A reference that is checked at the end only: every statement succeeds, and COMMIT does not.
    sqlx::raw_sql(
        "create table doomed (node text references node (id) deferrable initially deferred); \
         create trigger doom after insert on config_text begin insert into doomed values ('nobody'); end;",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let text = ConfigText { digest: sha256(b"config"), epoch: 1, sealed: vec![1], at: Timestamp::from_millis(1) };
    let doomed = Change::ConfigLoaded(text);
    let event = Event::ConfigLoaded { config: sha256(b"config") };
    let beside = tokio::spawn({
        let (store, (change, event)) = (store.clone(), message(7));
        async move { store.commit(change, Actor::System, event).await }
    });
    let refused = store.commit(doomed, Actor::System, event).await.unwrap_err();
    assert!(refused.to_string().starts_with("the store is unavailable: flushing a commit"), "{refused}");
    // Whoever shared that commit is told the same; nobody is told that it was kept when it may not be.
    let shared = beside.await.unwrap();
    let (change, event) = message(8);
    assert!(matches!(store.commit(change, Actor::System, event).await, Ok(Commit::Committed(_))));
    let events = store.events(store.node(), 0, 100).await.unwrap();
    let expected = if shared.is_ok() { 5 } else { 4 };
    assert_eq!(events.last().map(|entry| entry.row.seq), Some(expected));
    assert_eq!(events.len(), usize::try_from(expected).unwrap());
    assert_eq!(store.config_text(sha256(b"config")).await.unwrap().map(|row| row.epoch), None);
    store.close().await;
}

#[tokio::test]
async fn a_database_of_a_newer_sealpost_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let master = Key::generate().unwrap();
    let store = open(folder.path(), &master).await.unwrap();
    store.close().await;
    let (_, options) = Dialect::read("sqlite", folder.path()).unwrap();
    let mut connection = AnyConnection::connect_with(&options).await.unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
         values (99, 'later', true, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let refused = open(folder.path(), &master).await.unwrap_err();
    let known = Dialect::Sqlite.migrator().iter().map(|migration| migration.version).max().unwrap();
    assert_eq!(refused, StoreError::NewerSchema { found: 99, known });
}

#[tokio::test]
async fn a_node_whose_boot_was_taken_over_writes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Key::generate().unwrap()).await.unwrap();
    let start = Start {
        options: Dialect::read("sqlite", folder.path()).unwrap().1,
        dialect: Dialect::Sqlite,
        node: store.node().clone(),
        boot: store.boot() + 1,
        clock: store.clock().clone(),
    };
    let other = Handle::start(start);
    let refused = other.commit(Change::Note, Actor::System, Event::MasterKeyRotated).await.unwrap_err();
    assert_eq!(refused.to_string(), "the store is unavailable: another process has started as this node");
    other.stop().await;
    store.close().await;
}
