//! The cases of tests/dialogs, played against a running Sealpost; and against fools, so that each is seen to fail.

#![cfg(test)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::conformance::case::{Case, folder, read, read_all};
use crate::conformance::inbox::{Delivery, Inbox, fault};
use crate::conformance::play::{Finals, Reached, play};
use crate::conformance::report::{is_bad, text};
use crate::conformance::sealpost::Wanted;
use crate::conformance::small::{FOOLS, Manners, Set, Small};
use crate::conformance::target::{Begun, Login, Target};
use crate::conformance::{self, Outcome, inbox, run};
use crate::world::authority::{Authority, Kind, credulous_client};
use crate::world::daemon::{Daemon, HOSTNAME, free_address};
use crate::world::until;

const AT_ONCE: usize = 16;
const LOGIN: &str = "ehr";
const PASSWORD: &str = "only-for-the-suite";

/// Advice that Sealpost does not follow, each with the reason. The goal is that there is none; what passes is to be taken out.
const EXPECTED: &[(&str, &str)] = &[];

fn cases() -> Vec<Arc<Case>> {
    read_all(&folder()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_goes_as_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new("Sink CA").unwrap();
    let (sink, inbox) = sink(&authority).await;
    let (mut daemon, target) = sealpost(home.path(), &authority, &sink, inbox);
    daemon.start().unwrap();
    let verdicts = run(&cases(), &Arc::new(target), AT_ONCE).await.unwrap();
    if let Some(report) = std::env::var_os("CONFORMANCE_REPORT") {
        std::fs::write(report, text(&verdicts)).unwrap();
    }
    let failed: Vec<_> = verdicts.iter().filter(|verdict| matches!(verdict.outcome, Outcome::Failed(_))).collect();
    let is_expected = |title: &str| EXPECTED.iter().any(|(expected, _)| *expected == title);
    let unexpected: Vec<_> = failed.iter().filter(|v| !is_expected(&v.case.title)).map(|v| (*v).clone()).collect();
    assert!(unexpected.is_empty(), "\n{}", text(&unexpected));
    assert!(!failed.iter().any(|verdict| is_bad(verdict)), "a MUST or an attack is never expected to fail");
}

/// The cases about time, which would take minutes with the limits that people use.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_too_long_is_not_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new("Sink CA").unwrap();
    let (sink, inbox) = sink(&authority).await;
    let (mut daemon, mut target) = sealpost(home.path(), &authority, &sink, inbox);
    daemon.configure("[limits]\nidle = \"3s\"\nlogin = \"4s\"\n").unwrap();
    daemon.start().unwrap();
    target.patience = Some(Duration::from_secs(10));
    let patient: Vec<_> = cases().into_iter().filter(|case| case.needs.iter().any(|need| need == "patience")).collect();
    assert!(patient.len() >= 3);
    let verdicts = run(&patient, &Arc::new(target), AT_ONCE).await.unwrap();
    assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::Passed), "\n{}", text(&verdicts));
}

/// Where what Sealpost delivers arrives.
async fn sink(authority: &Authority) -> (Small, Inbox) {
    let inbox = Inbox::default();
    let tls = authority.issue("mx.lab.example", Kind::Valid).unwrap().server;
    let set = Set { manners: Manners::Good, tls, inbox: inbox.clone(), begun: Begun::default() };
    (Small::start(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, set).await.unwrap(), inbox)
}

fn sealpost(home: &Path, authority: &Authority, sink: &Small, inbox: Inbox) -> (Daemon, Target) {
    let (address, implicit) = (free_address().unwrap(), free_address().unwrap());
    let ca = home.join("sink-ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let wanted = Wanted {
        folder: &home.join("clinic"),
        ports: [address, implicit],
        sink: sink.address,
        sink_ca: &ca,
        user: LOGIN,
        password: PASSWORD,
    };
    let daemon = conformance::sealpost::sealpost(&wanted).unwrap();
    daemon.configure("[limits]\nmessage_bytes = \"12MiB\"\n").unwrap();
    let target = Target {
        address,
        implicit: Some(implicit),
        name: HOSTNAME.to_owned(),
        tls: credulous_client().unwrap(),
        login: Some(Login { user: LOGIN.to_owned(), password: PASSWORD.to_owned() }),
        from: "ann@clinic.example".to_owned(),
        to: vec!["bob@lab.example".to_owned(), "cy@lab.example".to_owned()],
        inbox: Some(inbox),
        reply: Duration::from_secs(10),
        patience: None,
        begun: Begun::default(),
    };
    (daemon, target)
}

/// No case that cannot fail: each is failed by one of these fools at least, and by lines of its own.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_seen_to_fail() {
    let cases = cases();
    let mut left: BTreeSet<usize> = (0..cases.len()).collect();
    for manners in FOOLS {
        let failed = failed_by(manners, &cases, &left).await;
        left.retain(|number| !failed.contains(number));
    }
    let told = |number: &usize| format!("{}:{} {}", cases[*number].file, cases[*number].line, cases[*number].title);
    let left: Vec<_> = left.iter().map(told).collect();
    assert!(left.is_empty(), "no fool fails these:\n{}", left.join("\n"));
}

async fn failed_by(manners: Manners, cases: &[Arc<Case>], left: &BTreeSet<usize>) -> BTreeSet<usize> {
    let authority = Authority::new("Fools' CA").unwrap();
    let tls = authority.issue("small.example", Kind::Valid).unwrap().server;
    let set = Set { manners, tls, inbox: Inbox::default(), begun: Begun::default() };
    let fool = Small::start(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, set.clone()).await.unwrap();
    let target = Arc::new(target_of(&fool, &set, manners));
    let mut playing = JoinSet::new();
    for number in left.iter().copied() {
        let (case, target) = (Arc::clone(&cases[number]), Arc::clone(&target));
        playing.spawn(async move { (number, play(case, &target).await) });
    }
    let (mut failed, mut due) = (BTreeSet::new(), Vec::new());
    while let Some(played) = playing.join_next().await {
        let (number, played) = played.unwrap();
        if matches!(played.outcome, Outcome::Failed(_)) && played.reached == Reached::OwnPart {
            failed.insert(number);
        } else if played.finals == Finals::Due {
            due.push((number, played));
        }
    }
    // What a fool delivers, it may deliver a moment later.
    let looked = || {
        failed.extend(due.iter().filter(|(_, p)| inbox::faults(p, &target).is_some()).map(|(number, _)| *number));
        due.iter().all(|(number, _)| failed.contains(number)).then_some(())
    };
    until("what the fool delivers", Duration::from_secs(2), looked).await.ok();
    failed
}

fn target_of(fool: &Small, set: &Set, manners: Manners) -> Target {
    let patience = if manners == Manners::Mute { Duration::from_millis(300) } else { Duration::from_secs(2) };
    Target {
        address: fool.address,
        implicit: Some(fool.implicit),
        name: "small.example".to_owned(),
        tls: credulous_client().unwrap(),
        login: Some(Login { user: LOGIN.to_owned(), password: PASSWORD.to_owned() }),
        from: "ann@clinic.example".to_owned(),
        to: vec!["bob@lab.example".to_owned()],
        inbox: Some(set.inbox.clone()),
        reply: patience,
        patience: Some(Duration::from_millis(500)),
        begun: set.begun.clone(),
    }
}

#[test]
fn each_title_stands_once_and_every_word_is_known() {
    let cases = cases();
    let mut titles = BTreeSet::new();
    for case in &cases {
        assert!(titles.insert(case.title.clone()), "twice: {}", case.title);
    }
    assert!(cases.len() >= 440, "only {} cases are there", cases.len());
    for (title, reason) in EXPECTED {
        assert!(titles.contains(*title) && reason.len() > 20, "{title}");
    }
}

#[test]
fn what_is_no_case_is_refused() {
    for wrong in [
        "C: NOOP",
        "case: a title without a place\nS: 250",
        "case: a place that is none, RFC 5321 4.1 PERHAPS\nS: 250",
        "case: nothing expected, RFC 5321 4.1 MUST\nC: NOOP",
        "case: a wrong pattern, RFC 5321 4.1 MUST\nS: 25",
        "case: a wrong start, RFC 5321 4.1 MUST\nstart: nowhere\nS: 250",
        "case: a wrong event, RFC 5321 4.1 MUST\n-- explodes\nS: 250",
    ] {
        assert!(read("wrong.case", wrong).is_err(), "{wrong}");
    }
}

/// What is said of the next hop is judged each way.
#[test]
fn what_arrived_is_judged() {
    let good = Delivery {
        mail: "MAIL FROM:<ann@clinic.example> RET=HDRS".into(),
        recipients: vec!["RCPT TO:<Bob@lab.example>".into()],
        content: b"Received: from a\r\n by b with ESMTPS;\r\n Mon, 05 Jan 2026 10:00:00 +0000\r\nX: 1\r\n\r\nbody\r\n"
            .to_vec(),
    };
    let two = vec![good.clone(), good.clone()];
    let bare = vec![Delivery { content: b"X: 1\r\n\r\na\nb\r\n".to_vec(), ..good.clone() }];
    let one = vec![good];
    let nothing = Vec::new();
    for (line, right, wrong) in [
        ("-- delivered", &one, &nothing),
        ("-- delivered 2", &two, &one),
        ("-- not delivered", &nothing, &one),
        ("-- at most one message", &one, &two),
        ("-- clean lines", &one, &bare),
        ("-- first line Received:", &one, &bare),
        ("-- trace has by b with ESMTPS", &one, &bare),
        ("-- trace fits ; .* [+]0000$", &one, &bare),
        ("-- header fits (?m)^Received:", &one, &bare),
        ("-- next hop MAIL has RET=HDRS", &one, &nothing),
        (
            "-- next hop RCPT has no NOTIFY",
            &one,
            &vec![Delivery { recipients: vec!["RCPT TO:<a@b> NOTIFY=NEVER".into()], ..Delivery::default() }],
        ),
        (
            "-- next hop verbatim <Bob@",
            &one,
            &vec![Delivery { recipients: vec!["RCPT TO:<bob@lab.example>".into()], ..Delivery::default() }],
        ),
        ("D: X: 1", &one, &nothing),
        ("D! RET", &one, &vec![Delivery { content: b"RET".to_vec(), ..Delivery::default() }]),
        ("B: body", &one, &bare),
        ("O: body\\r\\n", &one, &bare),
    ] {
        let case = read("one.case", &format!("case: one, RFC 5321 4.4 MUST\n{line}\n")).unwrap().remove(0);
        assert_eq!(fault(&case.finals[0], right), None, "{line}");
        assert!(fault(&case.finals[0], wrong).is_some(), "{line}");
    }
}
