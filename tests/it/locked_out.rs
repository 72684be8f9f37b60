//! Guessing is slow, then not heard: by login and network together, so that the EHR's login works where it is. The audit log
//! tells of it once, and an operator ends it.

#![cfg(test)]

use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::Value;

use crate::clinic::{Clinic, PASSWORD};
use crate::world::authority::credulous_client;
use crate::world::client::{Client, Entry};
use crate::world::daemon::HOSTNAME;

const LIMITS: &str = "[limits]\nerrors_per_connection = 50\nlockout_after = 3\nlockout = \"20m\"\n";

/// A connection from an address of one's own, which is what a network is on this machine.
async fn from(clinic: &Clinic, last: u8) -> Client {
    let entry = Entry::StartTls(credulous_client().unwrap(), HOSTNAME.to_owned());
    Client::connect_from([127, 33, 7, last].into(), clinic.submission, &entry).await.unwrap()
}

async fn try_login(client: &mut Client, login: &str, password: &str) -> String {
    let plain = BASE64.encode(format!("\0{login}\0{password}").as_bytes());
    client.command(&format!("AUTH PLAIN {plain}")).await.unwrap().text()
}

fn refused(clinic: &Clinic) -> Vec<Value> {
    let listed = clinic.daemon.json(&["audit", "list", "--last", "50"]).unwrap();
    let rows = listed.as_array().unwrap().iter().map(|row| row["event"].clone());
    rows.filter(|event| event.to_string().contains("logins_")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_is_not_heard_any_longer_and_the_ehr_elsewhere_is() {
    let mut clinic = Clinic::open(&[], LIMITS).await;
    let mut guesser = from(&clinic, 1).await;
    for _ in 0..3 {
        let told = try_login(&mut guesser, "ehr", "guess").await;
        assert!(told.starts_with("535 5.7.8"), "{told}");
    }
    let began = Instant::now();
    for password in ["guess", PASSWORD, "guess"] {
        let told = try_login(&mut guesser, "ehr", password).await;
        assert!(told.starts_with("454 4.7.0 too many logins were wrong from your network"), "{told}");
    }
    let scram = BASE64.encode(b"n,,n=ehr,r=abc");
    assert_eq!(guesser.command(&format!("AUTH SCRAM-SHA-256 {scram}")).await.unwrap().code, 454);
    assert!(began.elapsed() < Duration::from_secs(1), "answered at once, and without a hash");
    assert!(try_login(&mut from(&clinic, 2).await, "ehr", PASSWORD).await.starts_with("235"));
    assert!(try_login(&mut from(&clinic, 1).await, "openemr", PASSWORD).await.starts_with("235"));

    let told = clinic.daemon.run(&["client", "list"]).unwrap().good().unwrap();
    assert!(told.contains("ehr from 127.33.7.1, until "), "{told}");
    let rows = clinic.daemon.json(&["client", "list"]).unwrap();
    let ehr = rows.as_array().unwrap().iter().find(|row| row["client"] == "ehr").unwrap().clone();
    assert_eq!(ehr["locked"], serde_json::json!(["127.33.7.1"]));
    assert_eq!(clinic.daemon.json(&["client", "unlock", "ehr"]).unwrap()["unlocked"], 1);
    assert!(try_login(&mut guesser, "ehr", PASSWORD).await.starts_with("235"));
    let told = clinic.daemon.run(&["client", "locked"]).unwrap().good().unwrap();
    assert!(told.contains("Everybody is heard."), "{told}");

    clinic.daemon.stop().unwrap();
    let events = refused(&clinic);
    let counted = events.iter().find(|event| event["event"] == "logins_refused").unwrap();
    assert_eq!((&counted["client"], &counted["network"]), (&"ehr".into(), &"127.33.7.1".into()));
    assert_eq!(counted["count"], 7, "one event for all of them: {events:?}");
    assert!(events.iter().any(|event| event["event"] == "logins_unlocked" && event["client"] == "ehr"));
    let log = clinic.daemon.logs().unwrap();
    assert_eq!(log.matches("logins locked").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sprays_logins_is_locked_out_but_for_those_that_were_right_from_there() {
    let mut clinic = Clinic::open(&[], LIMITS).await;
    assert!(try_login(&mut from(&clinic, 3).await, "ehr", PASSWORD).await.starts_with("235"));
    let mut sprayer = from(&clinic, 3).await;
    for login in ["root-zebrafinch", "admin-zebrafinch", "scan-zebrafinch"] {
        assert!(try_login(&mut sprayer, login, "summer").await.starts_with("535"));
    }
    assert!(try_login(&mut sprayer, "openemr", PASSWORD).await.starts_with("454"), "not heard, right or wrong");
    assert!(try_login(&mut from(&clinic, 3).await, "ehr", PASSWORD).await.starts_with("235"));
    assert!(try_login(&mut from(&clinic, 4).await, "openemr", PASSWORD).await.starts_with("235"));
    let told = clinic.daemon.run(&["client", "locked"]).unwrap().good().unwrap();
    assert!(told.contains("every login that was never right from 127.33.7.3"), "{told}");
    assert_eq!(clinic.daemon.json(&["client", "unlock", "--network", "127.33.7.3"]).unwrap()["unlocked"], 1);
    assert!(try_login(&mut sprayer, "openemr", PASSWORD).await.starts_with("235"));
    clinic.daemon.stop().unwrap();
    let events = refused(&clinic);
    let strangers = events.iter().find(|event| event["event"] == "logins_refused" && event["client"].is_null());
    assert_eq!(strangers.unwrap()["count"], 3);
    let everything = format!("{events:?}{}", clinic.daemon.logs().unwrap());
    assert!(!everything.contains("zebrafinch"), "what a stranger typed stands nowhere");
}
