//! The head of the audit chain leaves the machine once a day, in a mail from which it can be copied and verified.

use std::sync::Arc;
use std::time::Duration;

use sealpost::audit::{Actor, Event};
use sealpost::clock::{Clock, ManualClock, SystemClock};
use sealpost::crypto::Digest;
use sealpost::keyring::master::{self, Surroundings};
use sealpost::store::{Change, Commit, Store};

use super::{Clinic, letter, mails};

/// Has the log begin two days ago, with this event: a report is due as soon as the daemon starts.
async fn begun_two_days_ago(clinic: &Clinic, event: Event) {
    let loaded = sealpost::daemon::read_config(&clinic.daemon.config).unwrap();
    let (key, _) = master::load(&Surroundings::default(), &loaded.config.server.master_key).unwrap();
    let clock = Arc::new(ManualClock::at(SystemClock.now().minus(Duration::from_secs(2 * 24 * 60 * 60))));
    let store = Store::open(&loaded.config.database, &loaded.config.server.data_dir, key, clock).await.unwrap();
    let commit = store.commit(Change::Note, Actor::System, event).await.unwrap();
    assert!(matches!(commit, Commit::Committed(_)));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_report_holds_a_head_that_can_be_copied_out_and_verified() {
    let mut clinic = Clinic::prepare("").await;
    begun_two_days_ago(&clinic, Event::HeadPublished { seq: 0, hash: Digest::ZERO }).await;
    clinic.daemon.start().unwrap();
    let report = mails(&clinic.own, "Sealpost daily report for", 1).await.remove(0);
    assert!(report.contains("To: it@clinic.example\r\n"), "{report}");
    let id = clinic.submit(&["lab@lab.example"], &letter("Results", "Nothing.")).await;
    clinic.stands(&id, &["delivered"]).await;

    // As a person copies it: the lines from brace to brace, off the screen.
    let from = report.find("\r\n{").unwrap() + 2;
    let to = from + report[from..].find("\r\n}").unwrap() + 3;
    let head = clinic.folder.path().join("head.json");
    std::fs::write(&head, report[from..to].replace("\r\n", "\n")).unwrap();
    let said = clinic.daemon.run(&["audit", "verify", "--head", head.to_str().unwrap()]).unwrap().good().unwrap();
    assert!(said.contains("The head kept elsewhere agrees"), "{said}");

    // Or the whole mail saved to a file.
    let saved = clinic.folder.path().join("report.eml");
    std::fs::write(&saved, &report).unwrap();
    let said = clinic.daemon.run(&["audit", "verify", "--head", saved.to_str().unwrap()]).unwrap().good().unwrap();
    assert!(said.contains("The head kept elsewhere agrees"), "{said}");

    // It is in the log of the daemon, and in the chain.
    assert_eq!(clinic.events("head_published").len(), 2);
    assert!(clinic.daemon.logs().unwrap().contains("published the head of the audit log"));
    assert_eq!(clinic.own.deliveries().len(), 1, "once a day");
    clinic.balanced();

    // A head of another log does not agree.
    let text = std::fs::read_to_string(&head).unwrap();
    let other = clinic.folder.path().join("other.json");
    std::fs::write(&other, text.replacen("\"seq\": ", "\"seq\": 1", 1)).unwrap();
    let printed = clinic.daemon.run(&["audit", "verify", "--head", other.to_str().unwrap()]).unwrap();
    assert_eq!(printed.status.code(), Some(1), "{}", printed.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_off_at_the_hour_of_the_report_sends_its_first_one_when_it_is_switched_on() {
    let mut clinic = Clinic::prepare("").await;
    begun_two_days_ago(&clinic, Event::Stopped { boot: 1 }).await;
    clinic.daemon.start().unwrap();
    mails(&clinic.own, "Sealpost daily report for", 1).await;
    assert!(clinic.daemon.stop().unwrap().success());
    clinic.daemon.start().unwrap();
    let id = clinic.submit(&["lab@lab.example"], &letter("Results", "Nothing.")).await;
    clinic.stands(&id, &["delivered"]).await;
    assert_eq!(clinic.events("head_published").len(), 1, "once a day");
    clinic.balanced();
}
