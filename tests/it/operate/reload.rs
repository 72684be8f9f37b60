//! SIGHUP takes a new config as a whole, or keeps the old one and says why.

use std::sync::Arc;

use crate::house::{House, SOON};
use crate::world::authority::{Authority, Kind};
use crate::world::behaviour::{Behaviour, Tls};
use crate::world::client::{Client, Entry};
use crate::world::daemon::HOSTNAME;
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn policy_routes_and_certificates_change_without_a_restart() {
    let mut house = House::open(71, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::tls(Tls::With(Kind::SelfSigned))).await;
    let held = house.submit(&["bo@lab.example"], "one").await;
    assert_eq!(house.settled(&held).await, ["held:methods_exhausted"]);

    let rule = "[[policy.rule]]\nname = \"the lab has no better\"\nwhen = { recipient_domain = [\"lab.example\"] }\n\
                deliver = [\"tls:encrypted\"]\n\
                [[policy.rule]]\nname = \"closed\"\nwhen = { recipient_domain = [\"closed.example\"] }\n\
                reject = \"not there\"\n\
                [[route]]\ndomains = [\"routed.example\"]\nhost = \"127.34.71.9\"\nname = \"mx.clinic.example\"\n\
                onward = \"final\"";
    house.daemon.configure(rule).unwrap();
    house.daemon.reload().unwrap();
    let id = house.submit(&["bo@lab.example"], "two").await;
    assert_eq!(house.settled(&id).await, ["delivered"]);
    assert_eq!(house.settled(&house.submit(&["bo@routed.example"], "three").await).await, ["delivered"]);
    let mut client = house.client().await;
    let refused = client.send(&crate::house::letter(crate::house::ANN, &["bo@closed.example"], "no")).await.unwrap();
    assert!(refused.last().code >= 550, "{}", refused.last().text());
    assert_eq!(lab.took().len(), 1);

    // Another certificate, under another authority.
    let authority = Arc::new(Authority::new("Another CA").unwrap());
    let entry = Entry::StartTls(authority.client().unwrap(), HOSTNAME.to_owned());
    assert!(Client::connect((house.address(1), 587).into(), &entry).await.is_err());
    let (chain, key) = authority.issue(HOSTNAME, Kind::Valid).unwrap().write(&house.daemon.folder, "new").unwrap();
    let certificate = format!("[[tls.certificate]]\nchain = \"{}\"\nkey = \"{}\"", chain.display(), key.display());
    house.daemon.configure(&certificate).unwrap();
    house.daemon.reload().unwrap();
    assert!(Client::connect((house.address(1), 587).into(), &entry).await.is_ok());
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_goes_by_its_decision_even_when_the_policy_was_lowered() {
    let mut house = House::open(72, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::tls(Tls::With(Kind::SelfSigned))).await;
    let id = house.submit(&["bo@lab.example"], "one").await;
    assert_eq!(house.settled(&id).await, ["held:methods_exhausted"]);
    house.daemon.configure("[policy]\ndefault = [\"tls:encrypted\"]").unwrap();
    house.daemon.reload().unwrap();
    let printed = house.daemon.json(&["queue", "release", &id]).unwrap();
    assert_eq!(printed["moved"], 1);
    assert_eq!(house.settled(&id).await, ["held:methods_exhausted"]);
    assert!(lab.took().is_empty(), "what was decided under tls:valid went by less");
    // What comes in from now on goes by the new policy.
    let next = house.submit(&["bo@lab.example"], "two").await;
    assert_eq!(house.settled(&next).await, ["delivered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_config_keeps_the_old_one_and_says_every_mistake_in_the_log() {
    let house = House::open(73, "").await;
    let good = std::fs::read_to_string(&house.daemon.config).unwrap();
    house.daemon.configure("[queue]\nexpires = \"1h\"\n[delivery]\nconect = \"1s\"").unwrap();
    house.daemon.hang_up().unwrap();
    let refused = || house.daemon.logs().unwrap().contains("the old one stays in force").then_some(());
    until("the refusal in the log", SOON, refused).await.unwrap();
    let log = house.daemon.logs().unwrap();
    for word in ["queue.expires", "delivery.conect", "line "] {
        assert!(log.contains(word), "{word} is missing in {log}");
    }
    // The old one works on.
    house.submit(&["bo@clinic.example"], "one").await;
    house.home.mx.wait_for(1, SOON).await.unwrap();
    std::fs::write(&house.daemon.config, good).unwrap();
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_restart_changes_is_said_to() {
    let mut house = House::open(74, "").await;
    house.daemon.configure("[queue]\nexpire = \"2d\"").unwrap();
    house.daemon.reload().unwrap();
    let log = house.daemon.logs().unwrap();
    assert!(log.contains("comes into force with a restart: [queue]"), "{log}");
}
