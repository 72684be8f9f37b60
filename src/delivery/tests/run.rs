//! The worker as a whole: what is accepted is claimed, grouped, attempted and settled.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::audit::Actor;
use crate::clock::SystemClock;
use crate::config::{Database, Last};
use crate::crypto::{Digest, Key};
use crate::delivery::tests::server::{Server, plain};
use crate::delivery::tests::{World, config, mail};
use crate::delivery::{Desk, run};
use crate::directory::Directory;
use crate::evidence::Evidence;
use crate::mail::{Content, Envelope, Method};
use crate::net::tls::stand_in::Shows;
use crate::policy::Action;
use crate::queue::{Accept, Outcome, Progress, Queue, Settled, Way};
use crate::store::stand_in::Holding;
use crate::store::{SealedEvidence, Store, Writing};

async fn accept(queue: &Queue, epoch: i64, to: &[&str]) {
    let consignment = mail(to, "tls:valid");
    let (first, rest) = consignment.recipients.split_first().unwrap();
    let methods: Vec<Method> = vec![consignment.method];
    let way = |recipient: &crate::mail::Address| Way {
        recipient: recipient.clone(),
        action: Action::Deliver { methods: methods.clone(), last: Last::Hold },
        cause: None,
        released: Vec::new(),
        not_before: None,
    };
    let id = queue.new_id().unwrap();
    let accept = Accept {
        id,
        ways: consignment.recipients.iter().map(way).collect(),
        envelope: Envelope::new(consignment.sender.clone(), first.clone(), rest.to_vec()),
        message: consignment.message.clone(),
        client: None,
        in_clear: None,
        content: Content::Mail,
        evidence: SealedEvidence {
            message: id,
            epoch,
            sealed: Vec::new(),
            commitment: Digest::ZERO,
            people: Vec::new(),
            message_id: None,
            content: Digest::ZERO,
            likeness: None,
        },
        tell: crate::store::Tell::Nobody,
        settles: None,
    };
    queue.accept(accept, Actor::System).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_is_delivered_beside_a_destination_that_hangs() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(plain(), world.identity(Shows::Valid)).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let courier = world.courier(&[("lab.example", server.address), ("silent.example", silent.local_addr().unwrap())]);
    let database = Database { url: "sqlite".into(), body_file_bytes: 65_536 };
    let store = Store::open(&database, folder.path(), Key::generate().unwrap(), Arc::new(SystemClock)).await.unwrap();
    let epoch = store.vault().evidence_epoch();
    let queue = Queue::new(store.clone(), config(Vec::new(), world.ca_file()).queue);
    for at in 0..20 {
        accept(&queue, epoch, &[&format!("di{at}@silent.example")]).await;
        accept(&queue, epoch, &[&format!("bo{at}@lab.example"), &format!("cy{at}@lab.example")]).await;
    }
    let evidence = Evidence::new(store.clone());
    let desk = Desk { queue: queue.clone(), evidence, directory: Directory::new(store, &[]) };
    let (_keep, couriers) = watch::channel(Arc::new(courier));
    let drain = CancellationToken::new();
    let running = tokio::spawn(run(desk, couriers, drain.clone()));
    let all = async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while queue.counts().await.unwrap().ended.iter().map(|(_, jobs)| jobs).sum::<i64>() < 40 {
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
    // Recipients of one message share a transaction, and nobody is told twice.
    assert_eq!((server.count("MAIL"), server.count("RCPT")), (20, 40));
    let named: HashSet<_> = server.heard().into_iter().filter(|line| line.starts_with("RCPT")).collect();
    assert_eq!(named.len(), 40);
    drain.cancel();
    tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_attempted_while_the_store_cannot_write() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier(&[("lab.example", server.address)]);
    let database = Database { url: "sqlite".into(), body_file_bytes: 65_536 };
    let store = Store::open(&database, folder.path(), Key::generate().unwrap(), Arc::new(SystemClock)).await.unwrap();
    let epoch = store.vault().evidence_epoch();
    let queue = Queue::new(store.clone(), config(Vec::new(), world.ca_file()).queue);
    accept(&queue, epoch, &["ann@lab.example"]).await;
    accept(&queue, epoch, &["bo@lab.example"]).await;
    let first = queue.claim(1).await.pop().unwrap();
    let holding = Holding::start(folder.path()).await;
    let settling = tokio::spawn({
        let queue = queue.clone();
        let outcome = Outcome { progress: Progress::Delivered, evidence: None, seen: None };
        async move { queue.settle(first, outcome).await }
    });
    wait_for(|| store.writing() == Writing::Fails).await;
    // The second one lies in memory, and needs the store for nothing before it is delivered.
    let desk = Desk {
        queue: queue.clone(),
        evidence: Evidence::new(store.clone()),
        directory: Directory::new(store.clone(), &[]),
    };
    let (_keep, couriers) = watch::channel(Arc::new(courier));
    let drain = CancellationToken::new();
    let running = tokio::spawn(run(desk, couriers, drain.clone()));
    let heard = tokio::time::timeout(Duration::from_secs(2), wait_for(|| !server.heard().is_empty())).await;
    assert!(heard.is_err(), "it was attempted, and could not be settled: {:?}", server.heard());
    holding.end().await;
    assert!(matches!(settling.await.unwrap(), Ok(Settled::Stands(_))));
    wait_for(|| server.count("RCPT") == 1).await;
    drain.cancel();
    tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
}

pub(super) async fn wait_for(come_about: impl Fn() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while !come_about() {
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}
