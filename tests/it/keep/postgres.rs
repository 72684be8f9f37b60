//! The daemon on PostgreSQL: it accepts, delivers, holds, restarts and verifies as on SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sealpost::audit::Actor;
use sealpost::clock::{Clock, ManualClock, SystemClock};
use sealpost::config::Database;
use sealpost::crypto::Key;
use sealpost::store::{Commit, Store, StoreError};

use super::{Clinic, holds, letter, mails, raw};
use crate::cluster::Cluster;

const CANARY: &str = "zebrafinch";

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_runs_on_postgresql() {
    let cluster = Cluster::start();
    let more = format!("[database]\nurl = \"{}\"\n[retention]\nsweep = \"1s\"\n", cluster.url);
    let mut clinic = Clinic::open(&more).await;
    let id = clinic.submit(&["lab@lab.example", "nobody@gone.example"], &letter(CANARY, CANARY)).await;
    let large = clinic.submit(&["lab@lab.example"], &letter("Large", &"A line of many.\n".repeat(10_000))).await;
    let held = clinic.submit(&["old@held.example"], &letter("Held", "Nothing.")).await;
    let late = clinic.submit(&["busy@late.example"], &letter("Late", "Nothing.")).await;
    clinic.stands(&id, &["bounced", "delivered"]).await;
    clinic.stands(&large, &["delivered"]).await;
    clinic.stands(&held, &["held"]).await;
    mails(&clinic.own, "A message is held here", 1).await;
    mails(&clinic.own, "Not delivered", 1).await;
    clinic.erased(&id).await;
    clinic.balanced();
    clinic.verified();

    clinic.daemon.kill().unwrap();
    clinic.daemon.start().unwrap();
    assert_eq!(clinic.standings(&held), ["held"]);
    assert_eq!(clinic.standings(&late), ["queued"]);
    let listed = clinic.daemon.json(&["queue", "list", "--client", "ehr"]).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    clinic.late.behave(crate::world::behaviour::Behaviour::default()).unwrap();
    clinic.daemon.run(&["queue", "retry", &late]).unwrap().good().unwrap();
    clinic.stands(&late, &["delivered"]).await;
    clinic.daemon.run(&["queue", "cancel", "--client", "ehr", "--since", "1h"]).unwrap().good().unwrap();
    clinic.stands(&held, &["cancelled"]).await;
    assert!(clinic.explained(&id).contains("Delivered: their mail server took it"));
    assert!(clinic.daemon.run(&["trace", "--to", "lab@lab.example"]).unwrap().good().unwrap().contains(&large));
    clinic.daemon.run(&["keys", "rotate-master"]).unwrap().good().unwrap();
    clinic.balanced();

    let folder = cluster.url.split_once("?host=").unwrap().1;
    let files = raw(Path::new(folder));
    assert!(files.iter().any(|(_, octets)| holds(octets, id.as_bytes())), "this is where it keeps its rows");
    for (path, octets) in files {
        assert!(!holds(&octets, CANARY.as_bytes()), "{} holds the canary", path.display());
    }

    assert!(clinic.daemon.stop().unwrap().success());
    clinic.verified();
    clinic.balanced();
    clinic.daemon.start().unwrap();
    assert!(clinic.explained(&held).contains("Cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_wraps_nothing_under_a_master_key_that_another_node_has_replaced() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let database = Database { url: cluster.url.clone(), body_file_bytes: 1 << 16 };
    let (old, new) = (Key::generate().unwrap(), Key::generate().unwrap());
    let open = async |name: &str, key: &Key| {
        Store::open(&database, &folder.path().join(name), key.clone(), clock.clone()).await.unwrap()
    };
    let (one, other) = (open("one", &old).await, open("other", &old).await);
    assert!(matches!(one.rotate_master(new.clone(), Actor::System).await.unwrap(), Commit::Committed(_)));
    clock.advance(Duration::from_secs(25 * 60 * 60));
    assert_eq!(other.renew_epochs().await, Err(StoreError::WrongMasterKey));
    other.close().await;
    let other = open("other", &new).await;
    other.renew_epochs().await.unwrap();
    other.close().await;
    one.close().await;
    open("one", &new).await.close().await;
}
