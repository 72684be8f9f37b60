//! The cases of tests/dialogs, played against a running Sealpost; and against fools, so that each is seen to fail.

#![cfg(test)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::conformance::case::{Case, folder, read, read_all};
use crate::conformance::inbox::Inbox;
use crate::conformance::play::{Finals, Reached, play};
use crate::conformance::report::{is_bad, text};
use crate::conformance::small::{FOOLS, Manners, Set, Small};
use crate::conformance::target::{Begun, Login, Target};
use crate::conformance::{Outcome, inbox, run};
use crate::world::authority::{Authority, Kind, credulous_client};
use crate::world::daemon::{Daemon, HOSTNAME, binary, free_address};
use crate::world::until;

const AT_ONCE: usize = 16;
const LOGIN: &str = "ehr";
const PASSWORD: &str = "only-for-the-suite";

/// Cases that Sealpost fails, each with the reason. The goal is that there are none.
const EXPECTED: &[(&str, &str)] = &[];

fn cases() -> Vec<Arc<Case>> {
    read_all(&folder()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_goes_as_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new("Sink CA").unwrap();
    let inbox = Inbox::default();
    let tls = authority.issue("mx.lab.example", Kind::Valid).unwrap().server;
    let set = Set { manners: Manners::Good, tls, inbox: inbox.clone(), begun: Begun::default() };
    let sink = Small::start(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, set).await.unwrap();
    let (mut daemon, target) = sealpost(home.path(), &authority, &sink, inbox);
    daemon.start().unwrap();
    let verdicts = run(&cases(), &Arc::new(target), AT_ONCE).await.unwrap();
    if let Some(report) = std::env::var_os("CONFORMANCE_REPORT") {
        std::fs::write(report, text(&verdicts)).unwrap();
    }
    let failed: Vec<_> =
        verdicts.iter().filter(|verdict| matches!(verdict.outcome, Outcome::Failed(_))).cloned().collect();
    let unexpected: Vec<_> = failed
        .iter()
        .filter(|verdict| !EXPECTED.iter().any(|(title, _)| *title == verdict.case.title))
        .cloned()
        .collect();
    assert!(unexpected.is_empty(), "\n{}\n{}", text(&unexpected), daemon.logs().unwrap().lines().count());
    assert_eq!(failed.len(), EXPECTED.len(), "a case that was expected to fail does not");
    assert!(!verdicts.iter().any(is_bad), "a MUST or an attack is never expected to fail");
}

fn sealpost(home: &Path, authority: &Authority, sink: &Small, inbox: Inbox) -> (Daemon, Target) {
    let (address, implicit) = (free_address().unwrap(), free_address().unwrap());
    let daemon = Daemon::init(&binary().unwrap(), &home.join("clinic")).unwrap();
    let ca = home.join("sink-ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let hash = sealpost::crypto::hash_password(PASSWORD).unwrap();
    let (host, ca) = (sink.address, ca.display());
    daemon
        .configure(&format!(
            r#"
[[listener]]
role = "submission"
bind = "{address}"
[[listener]]
role = "submissions"
bind = "{implicit}"
[[client]]
name = "ehr"
login = "{LOGIN}"
password_hash = "{hash}"
senders = ["*@clinic.example", "<>"]
[[route]]
domains = ["lab.example"]
host = "{host}"
name = "mx.lab.example"
ca_file = "{ca}"
onward = "final"
[limits]
message_bytes = "12MiB"
[http]
bind = "off"
"#
        ))
        .unwrap();
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
    assert!(cases.len() >= 75, "only {} cases are there", cases.len());
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
