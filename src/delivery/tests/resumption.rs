//! Sessions that are resumed prove no less than those that begin, and not for long.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::ManualClock;
use crate::config::Route;
use crate::delivery::tests::server::{Server, plain};
use crate::delivery::tests::{NOW, World, deliver, mail, route};
use crate::delivery::{Attempted, Courier};
use crate::net::tls::stand_in::Shows;
use crate::smtp::client::{Means, Stage};

const MINUTE: Duration = Duration::from_secs(60);
/// Half past eleven at night, of the day whose end `Shows::EndsSoon` means.
const LATE: Duration = Duration::from_secs((19 * 60 + 23) * 60);

/// Delivers over a connection of its own, and tells how it was judged.
async fn anew(courier: &Courier, domain: &str) -> Attempted {
    courier.close().await;
    deliver(courier, &mail(&[&format!("bo@{domain}")], "tls:valid")).await
}

fn is_resumed(attempted: &Attempted) -> bool {
    assert_eq!(attempted.answers[0].means, Means::Taken, "{:?}", attempted.answers);
    attempted.hops[0].link.judged.as_ref().unwrap().how.ends_with("that was resumed")
}

#[tokio::test]
async fn a_host_that_is_met_again_within_the_hour_is_spared_the_handshake() {
    let world = World::new();
    let server = Server::start(plain(), world.identity(Shows::Valid)).await;
    let clock = Arc::new(ManualClock::at(NOW));
    let courier = world.courier_by(clock.clone(), vec![route("lab.example", server.address)]);
    assert!(!is_resumed(&anew(&courier, "lab.example").await));
    assert!(is_resumed(&anew(&courier, "lab.example").await));
    clock.advance(59 * MINUTE);
    assert!(is_resumed(&anew(&courier, "lab.example").await));
    // The resumed one brought new tickets, and no new proof.
    clock.advance(2 * MINUTE);
    assert!(!is_resumed(&anew(&courier, "lab.example").await));
    assert!(is_resumed(&anew(&courier, "lab.example").await));
    // A new config begins with new trust, whatever its files are called.
    let courier = world.courier_by(clock, vec![route("lab.example", server.address)]);
    assert!(!is_resumed(&anew(&courier, "lab.example").await));
}

#[tokio::test]
async fn a_certificate_that_ended_meanwhile_ends_its_sessions() {
    let world = World::new();
    let server = Server::start(plain(), world.identity(Shows::EndsSoon)).await;
    let clock = Arc::new(ManualClock::at(NOW.plus(LATE)));
    let courier = world.courier_by(clock.clone(), vec![route("lab.example", server.address)]);
    assert!(!is_resumed(&anew(&courier, "lab.example").await));
    assert!(is_resumed(&anew(&courier, "lab.example").await));
    clock.advance(40 * MINUTE);
    let ended = anew(&courier, "lab.example").await;
    assert_eq!((ended.answers[0].stage, ended.answers[0].means), (Stage::Handshake, Means::BelowFloor));
    assert!(ended.answers[0].words.contains("has expired"), "{}", ended.answers[0].words);
    assert_eq!(server.count("MAIL"), 2);
}

#[tokio::test]
async fn sessions_are_not_shared_between_routes_that_prove_or_show_something_else() {
    let world = World::new();
    let server = Server::start(plain(), world.identity(Shows::Valid)).await;
    let public = route("public.example", server.address);
    let own = Route { ca_file: Some(world.ca_file()), domains: vec!["own.example".into()], ..public.clone() };
    let certificate = Some(world.certificate("relay.clinic.example"));
    let shown = Route { client_certificate: certificate, domains: vec!["shown.example".into()], ..public.clone() };
    let courier = world.courier_by(Arc::new(ManualClock::at(NOW)), vec![public, own, shown]);
    for domain in ["public.example", "own.example", "shown.example"] {
        assert!(!is_resumed(&anew(&courier, domain).await), "{domain}");
    }
    for domain in ["public.example", "own.example", "shown.example"] {
        assert!(is_resumed(&anew(&courier, domain).await), "{domain}");
    }
}
