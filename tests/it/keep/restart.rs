//! Killed in any state, it goes on from there: nothing is lost, nobody is told twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Clinic, SOON, letter, mails};
use crate::world::behaviour::{Act, Behaviour, Override, Step};
use crate::world::mx::header;
use crate::world::until;

const HOURLY: &str = "[queue]\nretry = [\"1h\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_held_or_on_the_wire_at_a_kill_goes_on_after_it() {
    let mut clinic = Clinic::open(HOURLY).await;
    let queued = clinic.submit(&["busy@late.example"], &letter("Late", "Nothing.")).await;
    let held = clinic.submit(&["old@held.example"], &letter("Held", "Nothing.")).await;
    let attempted =
        || clinic.events("settled").iter().any(|row| row["event"]["message"] == queued.as_str()).then_some(());
    until("the first attempt", SOON, attempted).await.unwrap();
    mails(&clinic.own, "A message is held here", 1).await;
    clinic.lab.behave(Behaviour::but(&[Override::act(Step::EndOfData, Act::Hang).first(1)])).unwrap();
    let leased = clinic.submit(&["lab@lab.example"], &letter("Wire", "On the wire.")).await;
    let on_the_wire =
        || clinic.lab.memory().commands.iter().any(|(_, line)| line.eq_ignore_ascii_case("DATA")).then_some(());
    until("DATA at the lab", SOON, on_the_wire).await.unwrap();
    let before = clinic.balanced();
    clinic.daemon.kill().unwrap();

    // Another process takes its place; the lease of the killed one would have lasted ten minutes.
    let start = Instant::now();
    clinic.daemon.start().unwrap();
    clinic.stands(&leased, &["delivered"]).await;
    assert!(start.elapsed() < Duration::from_secs(60), "without waiting for the lease");
    assert_eq!(clinic.standings(&queued), ["queued"]);
    assert_eq!(clinic.standings(&held), ["held"]);
    let after = clinic.balanced();
    assert_eq!(before["accepted"], after["accepted"]);

    // Each goes on as if nothing had been.
    clinic.late.behave(Behaviour::default()).unwrap();
    clinic.daemon.run(&["queue", "retry", &queued]).unwrap().good().unwrap();
    clinic.stands(&queued, &["delivered"]).await;
    clinic.daemon.run(&["queue", "cancel", &held]).unwrap().good().unwrap();
    assert_eq!(clinic.standings(&held), ["cancelled"]);
    assert_eq!(clinic.daemon.json(&["queue", "list"]).unwrap(), serde_json::json!([]));
    clinic.balanced();
    clinic.verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_was_owed_at_a_kill_is_written_once() {
    let mut clinic = Clinic::open("").await;
    let mut ids = BTreeSet::new();
    for round in 0..6 {
        let heard = clinic.gone.memory().commands.len();
        ids.insert(clinic.submit(&["nobody@gone.example"], &letter("Gone", &format!("Round {round}."))).await);
        // Somewhere between the refusal and the notice's delivery, now here and now there.
        let refused = || {
            let commands = clinic.gone.memory().commands;
            commands[heard..].iter().any(|(_, line)| line.starts_with("RCPT")).then_some(())
        };
        until("the refusal", SOON, refused).await.unwrap();
        clinic.daemon.kill().unwrap();
        clinic.daemon.start().unwrap();
        clinic.balanced();
    }
    for id in &ids {
        clinic.stands(id, &["bounced"]).await;
        mails(&clinic.own, &format!("X-Sealpost-Reference: {id}"), 1).await;
    }
    let settled = || clinic.balanced()["queued"].as_i64().filter(|queued| *queued == 0);
    until("all notices to be delivered", SOON, settled).await.unwrap();
    for id in &ids {
        let about = mails(&clinic.own, &format!("X-Sealpost-Reference: {id}"), 1).await;
        // A kill in the middle of a delivery may deliver a notice twice; it is then the same one.
        let notices: BTreeSet<_> = about.iter().map(|mail| header(mail.as_bytes(), "Message-ID").unwrap()).collect();
        assert_eq!(notices.len(), 1, "{id}: {notices:?}");
    }
    let counts = clinic.balanced();
    assert_eq!(counts["accepted"], 12, "six messages and six notices: {counts}");
    clinic.verified();
}
