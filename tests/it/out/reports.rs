//! Who hears of what: failures, delays, expiry; and what is never answered.

use std::time::Duration;

use crate::house::{ANN, House, SOON, letter, send, text};
use crate::world::authority::Kind;
use crate::world::behaviour::{Behaviour, Override, Step, Tls};
use crate::world::until;

fn refusing() -> Behaviour {
    Behaviour::but(&[Override::reply(Step::Rcpt, 550, "5.1.1 nobody")])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_reaches_a_sender_whose_own_server_has_no_valid_certificate() {
    let house = House::open(40, "").await;
    let lab = house.partner(11, "lab.example", refusing()).await;
    house.home.mx.behave(Behaviour::tls(Tls::With(Kind::SelfSigned))).unwrap();
    let id = house.submit(&["bo@lab.example"], "one").await;
    assert_eq!(house.settled(&id).await, ["bounced"]);
    let notice = house.notice("bo@lab.example").await;
    assert!(notice.tls_version.is_some());
    house.home.crossed_cleanly();
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_never_crosses_in_clear_either() {
    let house = House::open(41, "").await;
    let _lab = house.partner(11, "lab.example", refusing()).await;
    house.home.mx.behave(Behaviour::tls(Tls::NotOffered)).unwrap();
    let id = house.submit(&["bo@lab.example"], "one").await;
    assert_eq!(house.settled(&id).await, ["bounced"]);
    let undeliverable = || {
        let count = house.daemon.json(&["queue", "count"]).unwrap();
        (count["ended"]["undeliverable"] == 2).then_some(count)
    };
    let count = until("the reports' own ends", SOON, undeliverable).await.unwrap();
    // The message, its report, and what the postmaster should have heard of that; nobody is told of the third.
    assert_eq!(count["accepted"], 3);
    assert!(house.home.crossed_cleanly() > 0 && house.home.took().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_bounces_is_told_to_the_postmaster_and_to_nobody_after_that() {
    let house = House::open(42, "").await;
    let _lab = house.partner(11, "lab.example", refusing()).await;
    house.home.mx.behave(refusing()).unwrap();
    let id = house.submit(&["bo@lab.example"], "one").await;
    assert_eq!(house.settled(&id).await, ["bounced"]);
    let both = || {
        let count = house.daemon.json(&["queue", "count"]).unwrap();
        (count["ended"]["bounced"] == 3).then_some(count)
    };
    let count = until("the reports' own ends", SOON, both).await.unwrap();
    assert_eq!((&count["accepted"], &count["queued"]), (&3.into(), &0.into()));
    // A report for the next message comes behind every report that there could have been of the first.
    house.home.mx.behave(Behaviour::default()).unwrap();
    let second = house.submit(&["cy@lab.example"], "two").await;
    house.notice(&second).await;
    assert_eq!(house.home.took().len(), 1);
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_the_null_sender_is_delivered_and_its_failure_told_to_the_postmaster() {
    let mut house = House::open(43, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    let no = house.partner(12, "no.example", refusing()).await;
    let senders = ["client", "add", "monitor", "--sender", "<>", "--sender", "*@clinic.example"];
    let added = house.daemon.json(&senders).unwrap();
    let word = |key: &str| added[key].as_str().unwrap().to_owned();
    house.login = (word("login"), word("password"));
    let mut client = house.client().await;
    let good = send(&mut client, &letter("", &["bo@lab.example"], "one")).await;
    let bad = send(&mut client, &letter("", &["bo@no.example"], "two")).await;
    assert_eq!(house.settled(&good).await, ["delivered"]);
    assert_eq!(house.settled(&bad).await, ["bounced"]);
    assert_eq!(lab.took()[0].sender, "");
    let third = house.submit(&["cy@no.example"], "three").await;
    house.notice(&third).await;
    let told: Vec<String> = house.home.took().into_iter().flat_map(|notice| notice.recipients).collect();
    assert_eq!((told, no.took().len()), (vec!["it@clinic.example".to_owned(), ANN.to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_hears_of_a_delay_once_and_of_the_end() {
    let house = House::open(44, "[queue]\ndelay_notice = \"2s\"\nexpire = \"6s\"").await;
    let busy = Override::reply(Step::Rcpt, 450, "4.2.1 the mailbox of Maribel is busy");
    let lab = house.partner(11, "lab.example", Behaviour::but(&[busy])).await;
    let id = house.submit(&["bo@lab.example"], "one").await;
    let delayed = text(&house.notice("Action: delayed").await);
    for field in ["Status: 4.2.1\r\n", "Diagnostic-Code: smtp; 450 4.2.1\r\n", "Will-Retry-Until: "] {
        assert!(delayed.contains(field), "{field} is missing in {delayed}");
    }
    assert_eq!(house.settled(&id).await, ["expired"]);
    let expired = house.notice("Action: failed").await;
    assert_eq!(expired.recipients, [ANN, "it@clinic.example"]);
    assert!(text(&expired).contains("Status: 5.4.7\r\n"), "{}", text(&expired));
    let all = house.home.took();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|notice| !text(notice).contains("Maribel") && !text(notice).contains("noon")));
    // Every second and a little more, for six of them.
    assert!((3..=7).contains(&house.rows(&id)[0]["attempts"].as_u64().unwrap()), "{}", house.rows(&id)[0]);
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_follow_the_schedule_and_an_operator_need_not_wait_for_it() {
    let house = House::open(45, "[queue]\nretry = [\"1s\", \"2s\", \"1h\"]").await;
    let lab = house.partner(11, "lab.example", Behaviour::but(&[Override::reply(Step::Mail, 451, "later")])).await;
    let start = std::time::Instant::now();
    let id = house.submit(&["bo@lab.example"], "one").await;
    let waiting = house.tried(&id, 3).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(3), "{took:?}");
    assert_eq!(waiting["standing"]["state"], "queued");
    lab.mx.behave(Behaviour::default()).unwrap();
    let printed = house.daemon.json(&["queue", "retry", &id]).unwrap();
    assert_eq!(printed["moved"], 1);
    assert_eq!(house.settled(&id).await, ["delivered"]);
    assert_eq!(house.rows(&id)[0]["attempts"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_by_hand_dials_a_host_that_did_not_answer_a_moment_ago() {
    let house = House::open(46, "[queue]\nretry = [\"1h\"]").await;
    house.dns.mail_domain("lab.example", "mx.lab.example", house.address(11));
    let id = house.submit(&["bo@lab.example"], "one").await;
    house.tried(&id, 1).await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    assert_eq!(house.daemon.json(&["queue", "retry", &id]).unwrap()["moved"], 1);
    house.tried(&id, 2).await;
    assert_eq!(house.settled(&id).await, ["delivered"], "{}", house.told(&id));
    assert_eq!(lab.took().len(), 1);
}
