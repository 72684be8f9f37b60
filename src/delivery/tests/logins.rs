//! Smarthosts that want to know who we are: by a login, or by a certificate.

use crate::config::Route;
use crate::delivery::Trouble;
use crate::delivery::tests::server::{Script, Server, plain, saying};
use crate::delivery::tests::{BO, TAKEN, World, deliver, mail, only_told, route};
use crate::mail::Assurance;
use crate::net::tls::stand_in::Shows;
use crate::smtp::client::{Means, Stage};

const REFUSED: (Stage, Means) = (Stage::Login, Means::Later);

fn offering(auth: &'static [&'static str]) -> Script {
    Script { offers: auth, ..plain() }
}

fn smarthost(world: &World, server: &Server, password: &str) -> Route {
    let login = Some(world.login(password));
    Route { tls: Assurance::Valid, login, ..route("lab.example", server.address) }
}

#[tokio::test]
async fn a_login_comes_behind_the_proof_and_before_the_sender() {
    for (offers, said) in [
        (&["AUTH LOGIN PLAIN"][..], "AUTH PLAIN AGFubgBjb3JyZWN0IGhvcnNl"),
        (&["AUTH LOGIN"], "AUTH LOGIN"),
        (&["AUTH=PLAIN"], "AUTH PLAIN AGFubgBjb3JyZWN0IGhvcnNl"),
    ] {
        let world = World::new();
        let server = Server::start(offering(offers), world.identity(Shows::Valid)).await;
        let courier = world.courier_with(vec![smarthost(&world, &server, "correct horse")]);
        // A second message needs no second login.
        for _ in 0..2 {
            assert_eq!(only_told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), TAKEN);
        }
        let heard = server.heard();
        assert_eq!(&heard[3..6], ["(tls)", "EHLO relay.clinic.example", said]);
        assert!(heard[6].starts_with("MAIL"), "{heard:?}");
        assert_eq!((server.count("AUTH"), server.count("MAIL")), (1, 2));
    }
}

#[tokio::test]
async fn a_refused_login_names_no_sender_is_told_and_is_not_tried_again_at_once() {
    let world = World::new();
    let server = Server::start(offering(&["AUTH PLAIN"]), world.identity(Shows::Valid)).await;
    let courier = world.courier_with(vec![smarthost(&world, &server, "wrong horse")]);
    let attempted = deliver(&courier, &mail(&[BO], "tls:valid")).await;
    assert_eq!((only_told(&attempted), server.count("MAIL")), (REFUSED, 0));
    assert_eq!(attempted.answers[0].reply.as_ref().unwrap().code.value(), 535);
    let troubles = courier.troubles().list();
    let [Trouble { name, advice }] = troubles.as_slice() else { panic!("{troubles:?}") };
    assert!(name.contains("wrong horse.password") && advice.contains("refused our login") && advice.contains("(535)"));
    // A provider closes an account at which many logins fail.
    let again = deliver(&courier, &mail(&[BO], "tls:valid")).await;
    assert_eq!((only_told(&again), server.count("(connected)")), (REFUSED, 1));
    courier.forget_the_dead();
    server.will_say("AUTH", "235 2.7.0 welcome");
    assert_eq!(only_told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), TAKEN);
    assert_eq!(courier.troubles().list(), []);
}

#[tokio::test]
async fn a_login_that_cannot_be_checked_now_is_no_trouble() {
    let world = World::new();
    let says = Script { offers: &["AUTH PLAIN"], ..saying(&[("AUTH", "454 4.7.0 the directory is away")]) };
    let server = Server::start(says, world.identity(Shows::Valid)).await;
    let courier = world.courier_with(vec![smarthost(&world, &server, "correct horse")]);
    assert_eq!(only_told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), REFUSED);
    assert_eq!(courier.troubles().list(), []);
    assert_eq!(only_told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), TAKEN);
}

#[tokio::test]
async fn a_host_without_a_proof_or_without_a_login_is_told_no_password() {
    let world = World::new();
    for (shows, offers, expected) in [
        (Shows::SelfSigned, &["AUTH PLAIN"][..], (Stage::Handshake, Means::BelowFloor)),
        (Shows::WrongName, &["AUTH PLAIN"], (Stage::Handshake, Means::BelowFloor)),
        (Shows::Valid, &["SIZE"], REFUSED),
        (Shows::Valid, &["AUTH CRAM-MD5 NTLM"], REFUSED),
    ] {
        let server = Server::start(offering(offers), world.identity(shows)).await;
        let courier = world.courier_with(vec![smarthost(&world, &server, "correct horse")]);
        let attempted = deliver(&courier, &mail(&[BO], "tls:encrypted")).await;
        assert_eq!((only_told(&attempted), server.count("AUTH"), server.count("MAIL")), (expected, 0, 0), "{shows:?}");
    }
}

#[tokio::test]
async fn connections_are_not_shared_between_those_who_we_are() {
    let world = World::new();
    let server = Server::start(offering(&["AUTH PLAIN"]), world.identity(Shows::Valid)).await;
    let named = smarthost(&world, &server, "correct horse");
    let nobody = Route { tls: Assurance::Valid, ..route("two.example", server.address) };
    let certificate = Some(world.certificate("relay.clinic.example"));
    let certified = Route { client_certificate: certificate, domains: vec!["three.example".into()], ..nobody.clone() };
    let courier = world.courier_with(vec![named, nobody, certified]);
    for (domain, auths, certificates, connections) in
        [("lab", 1, 0, 1), ("two", 1, 0, 2), ("three", 1, 1, 3), ("lab", 1, 1, 3), ("two", 1, 1, 3), ("three", 1, 1, 3)]
    {
        let attempted = deliver(&courier, &mail(&[&format!("bo@{domain}.example")], "tls:valid")).await;
        assert_eq!(only_told(&attempted), TAKEN, "{domain}");
        let counted = (server.count("AUTH"), server.count("(client certificate)"), server.count("(connected)"));
        assert_eq!(counted, (auths, certificates, connections), "{domain}");
    }
}

#[tokio::test]
async fn a_password_or_a_certificate_that_cannot_be_read_is_told_with_its_file() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new();
    let server = Server::start(plain(), world.identity(Shows::Valid)).await;
    let open = smarthost(&world, &server, "open horse");
    let file = &open.login.as_ref().unwrap().password_file;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = world.try_courier(vec![open.clone()]).unwrap_err().to_string();
    assert!(error.contains("open horse.password can be read by others"), "{error}");
    let mut certificate = world.certificate("relay.clinic.example");
    certificate.key = "/nowhere/client.key".into();
    let route = Route { login: None, client_certificate: Some(certificate), ..open };
    let error = world.try_courier(vec![route]).unwrap_err().to_string();
    assert!(error.contains("/nowhere/client.key cannot be read"), "{error}");
}
