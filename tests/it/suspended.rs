//! Stopping one client while all runs on: its logins, its open sessions, and what it has in the queue.

#![cfg(test)]

use crate::clinic::{Clinic, PASSWORD, letter, mail, queued};
use crate::world::behaviour::{Behaviour, Override, Step};

const LAB: &[&str] = &["results@lab.example"];

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_suspended_and_resumed_while_the_others_go_on() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let mut open = clinic.login("ehr").await;
    assert!(open.send(&mail(LAB, &letter("before", "x"))).await.unwrap().accepted());
    let suspended = clinic.daemon.json(&["client", "suspend", "ehr"]).unwrap();
    assert_eq!((&suspended["client"], &suspended["done"]), (&"ehr".into(), &"suspended".into()));

    let told = open.send(&mail(LAB, &letter("during", "x"))).await.unwrap().last().text();
    assert!(told.starts_with("454 4.7.0 this login is suspended"), "{told}");
    let mut late = clinic.stranger().await;
    let told = late.login("ehr", PASSWORD).await.unwrap().text();
    assert!(told.starts_with("454 4.7.0 this login is suspended"), "{told}");
    let told = late.login("ehr", "wrong").await.unwrap().text();
    assert!(told.starts_with("535 5.7.8"), "who does not know the password is not told: {told}");
    queued(&clinic.submit("openemr", LAB, &letter("other", "x")).await);

    clinic.daemon.json(&["client", "resume", "ehr"]).unwrap();
    queued(&clinic.submit("ehr", LAB, &letter("again", "x")).await);
    assert!(open.send(&mail(LAB, &letter("open", "x"))).await.unwrap().accepted(), "the open session goes on too");
    assert_eq!(clinic.taken("lab.example", 4).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_names_what_waits_for_a_restart_and_nothing_else() {
    let mut clinic = Clinic::open(&[], "").await;
    clinic.limits("recipients = 7");
    assert!(!clinic.daemon.logs().unwrap().contains("with a restart"));
    clinic.daemon.configure("[queue]\nexpire = \"2d\"\n[retention]\nsweep = \"2h\"\n").unwrap();
    clinic.limits("disk_reserve_bytes = \"1MiB\"");
    clinic.logged("with a restart: limits.disk_reserve_bytes, [queue], [retention] config.keys", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_clients_mail_since_a_moment_is_held_released_and_cancelled() {
    let busy = Behaviour::but(&[Override::reply(Step::Rcpt, 451, "4.3.2 come later")]);
    let clinic = Clinic::open(&[("lab.example", busy)], "").await;
    let mut ids = Vec::new();
    for (user, subject) in [("ehr", "early"), ("ehr", "late"), ("ehr", "later"), ("openemr", "other")] {
        let id = queued(&clinic.submit(user, LAB, &letter(subject, "x")).await);
        ids.push(id);
    }
    // Each was tried once, and waits for its next attempt in an hour.
    for id in &ids {
        attempted(&clinic, id).await;
    }
    let since = clinic.daemon.json(&["queue", "show", &ids[1]]).unwrap()["accepted"].as_str().unwrap().to_owned();
    let step = |step: &str| {
        clinic.daemon.json(&["queue", step, "--client", "ehr", "--since", &since]).unwrap()["moved"].clone()
    };
    assert_eq!(step("hold"), 2);
    let states = |expected: [&str; 4]| {
        let standing: Vec<String> = ids.iter().map(|id| clinic.standing(id)["lab.example"].clone()).collect();
        assert_eq!(standing, expected);
    };
    states(["queued", "held operator", "held operator", "queued"]);
    clinic.partner("lab.example").behave(Behaviour::default()).unwrap();
    clinic.daemon.json(&["queue", "cancel", &ids[2]]).unwrap();
    assert_eq!(step("release"), 1);
    clinic.stands(&ids[1], &[("lab.example", "delivered")]).await;
    states(["queued", "delivered", "cancelled", "queued"]);
    // In words of time ago, and all of the other client's.
    let moved = clinic.daemon.json(&["queue", "cancel", "--client", "openemr", "--since", "1h"]).unwrap();
    assert_eq!(moved["moved"], 1);
    states(["queued", "delivered", "cancelled", "cancelled"]);
    let nothing = clinic.daemon.run(&["queue", "cancel", "--client", "openemr"]).unwrap();
    assert_eq!(nothing.status.code(), Some(1), "there is nothing left to cancel: {}", nothing.out);
    let told = clinic.daemon.run(&["queue", "retry", "--client", "ehr"]).unwrap().good().unwrap();
    assert!(told.contains("1 recipient"), "{told}");
    clinic.stands(&ids[0], &[("lab.example", "delivered")]).await;
    let subjects: Vec<_> = clinic.taken("lab.example", 2).await.iter().map(|taken| taken.header("subject")).collect();
    assert_eq!(subjects, ["late", "early"].map(|subject| Some(subject.to_owned())));
    // The log has the operator's name on each move.
    let moves = clinic.daemon.json(&["audit", "list"]).unwrap();
    let by_operator = moves.as_array().unwrap().iter().filter(|row| row["event"]["event"] == "moved");
    let named = by_operator.filter(|row| row["actor"]["operator"]["user"].is_string()).count();
    assert_eq!(named, 6, "{moves}");
}

async fn attempted(clinic: &Clinic, id: &str) {
    let tried = || (clinic.daemon.json(&["queue", "show", id]).ok()?["attempts"] == 1).then_some(());
    crate::world::until("the first attempt", crate::clinic::SOON, tried).await.unwrap();
}
