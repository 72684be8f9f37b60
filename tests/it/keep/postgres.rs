//! The daemon on PostgreSQL: it accepts, delivers, holds, restarts and verifies as on SQLite.

use super::{Clinic, letter, mails};
use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_runs_on_postgresql() {
    let cluster = Cluster::start();
    let more = format!("[database]\nurl = \"{}\"\n[retention]\nsweep = \"1s\"\n", cluster.url);
    let mut clinic = Clinic::open(&more).await;
    let id = clinic.submit(&["lab@lab.example", "nobody@gone.example"], &letter("Results", "Nothing.")).await;
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

    assert!(clinic.daemon.stop().unwrap().success());
    clinic.verified();
    clinic.balanced();
    clinic.daemon.start().unwrap();
    assert!(clinic.explained(&held).contains("Cancelled"));
}
