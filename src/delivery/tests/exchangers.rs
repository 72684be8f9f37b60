//! Which of a domain's hosts is given a message. The servers stand on port 25 of loopback addresses.

use crate::delivery::attempt;
use crate::delivery::tests::server::{Script, Server, plain, saying};
use crate::delivery::tests::{NOW, TAKEN, World, deliver, mail, mail_of, only_told};
use crate::mail::{Assurance, Enhanced};
use crate::net::stand_in::NameServer;
use crate::net::tls::stand_in::Shows;
use crate::smtp::client::{Means, Stage};
use crate::store::Destination;

const LOOPBACK: &[&str] = &["127.0.0.0/8"];

/// `mx0` is preferred to `mx`, which is the one whose certificates are made for its name.
async fn two_hosts(first: &str, second: &str) -> crate::config::Dns {
    let names = NameServer::new().mx("lab.example", 5, "mx0.lab.example").mx("lab.example", 10, "mx.lab.example");
    names.address("mx0.lab.example", first).address("mx.lab.example", second).start().await
}

#[tokio::test]
async fn a_dead_host_gives_way_to_the_next() {
    let world = World::new();
    let server = Server::start_at("127.0.25.2:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_asking(two_hosts("127.0.25.1", "127.0.25.2").await, LOOPBACK);
    let attempted = deliver(&courier, &mail(&["bo@lab.example"], "tls:valid")).await;
    assert_eq!((only_told(&attempted), server.count("MAIL")), (TAKEN, 1));
    assert_eq!(attempted.hops[0].host, "mx.lab.example");
    let seen = attempted.seen.unwrap();
    assert_eq!((seen.mx.len(), seen.best, seen.seen), (2, Some(Assurance::Valid), NOW));
}

#[tokio::test]
async fn a_host_below_the_floor_gives_way_to_one_that_meets_it() {
    let world = World::new();
    let low = Server::start_at("127.0.25.3:25", plain(), world.identity(Shows::SelfSigned)).await;
    let high = Server::start_at("127.0.25.4:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_asking(two_hosts("127.0.25.3", "127.0.25.4").await, LOOPBACK);
    let attempted = deliver(&courier, &mail(&["bo@lab.example"], "tls:valid")).await;
    assert_eq!((only_told(&attempted), low.count("MAIL"), high.count("MAIL")), (TAKEN, 0, 1));
}

#[tokio::test]
async fn the_first_host_that_meets_the_floor_decides() {
    let world = World::new();
    let names = NameServer::new().mx("lab.example", 5, "mx.lab.example").mx("lab.example", 10, "mx2.lab.example");
    let names = names.address("mx.lab.example", "127.0.25.5").address("mx2.lab.example", "127.0.25.6");
    let refusing = saying(&[("RCPT", "550 5.1.1 who")]);
    let first = Server::start_at("127.0.25.5:25", refusing, world.identity(Shows::Valid)).await;
    let second = Server::start_at("127.0.25.6:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_asking(names.start().await, LOOPBACK);
    let attempted = deliver(&courier, &mail(&["bo@lab.example"], "tls:valid")).await;
    assert_eq!(only_told(&attempted), (Stage::Recipient, Means::Refused));
    assert_eq!((first.count("MAIL"), second.count("(connected)")), (1, 0));
}

#[tokio::test]
async fn every_address_of_a_host_is_tried() {
    let world = World::new();
    let names = NameServer::new().mx("lab.example", 5, "mx.lab.example");
    let names = names.address("mx.lab.example", "::1").address("mx.lab.example", "127.0.25.7");
    Server::start_at("127.0.25.7:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_asking(names.start().await, &["127.0.0.0/8", "::1/128"]);
    let attempted = deliver(&courier, &mail(&["bo@lab.example"], "tls:valid")).await;
    assert_eq!(only_told(&attempted), TAKEN);
    assert_eq!(attempted.hops[0].address.unwrap().to_string(), "127.0.25.7:25");
}

#[tokio::test]
async fn without_mx_records_the_domain_is_its_own_host() {
    let world = World::new();
    let names = NameServer::new().address("mx.lab.example", "127.0.25.8");
    Server::start_at("127.0.25.8:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_asking(names.start().await, LOOPBACK);
    assert_eq!(only_told(&deliver(&courier, &mail(&["bo@mx.lab.example"], "tls:valid")).await), TAKEN);
}

#[tokio::test]
async fn a_domain_that_cannot_take_mail_is_told_apart_from_one_that_cannot_be_asked() {
    let world = World::new();
    let names = NameServer::new()
        .mx("null.example", 0, ".")
        .mx("ours.example", 10, "relay.clinic.example")
        .mx("inside.example", 10, "mx.inside.example")
        .address("mx.inside.example", "10.0.0.7")
        .mx("hollow.example", 10, "mx.hollow.example");
    let courier = world.courier_asking(names.start().await, &[]);
    for (domain, means, code) in [
        ("nobody.example", Means::Refused, Some(Enhanced::new(5, 1, 2))),
        ("null.example", Means::Refused, Some(Enhanced::new(5, 1, 10))),
        ("ours.example", Means::Refused, Some(Enhanced::new(5, 4, 6))),
        ("inside.example", Means::Refused, Some(Enhanced::new(5, 4, 4))),
        ("hollow.example", Means::Later, None),
        ("x.broken.example", Means::Later, None),
    ] {
        let attempted = deliver(&courier, &mail(&[&format!("bo@{domain}")], "tls:valid")).await;
        assert_eq!(only_told(&attempted), (Stage::Resolve, means), "{domain}");
        assert_eq!(attempted.answers[0].enhanced, code, "{domain}");
    }
}

#[tokio::test]
async fn a_stranger_with_a_valid_certificate_is_not_valid() {
    let world = World::new();
    let names = NameServer::new().mx("lab.example", 5, "mx.lab.example").address("mx.lab.example", "127.0.25.9");
    let server = Server::start_at("127.0.25.9:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_asking(names.start().await, LOOPBACK);
    let usual = Destination {
        mx: vec!["mx.usual.example".into()],
        best: Some(Assurance::Valid),
        seen: NOW,
        newcomers: None,
        lower: None,
    };
    let valid = attempt(&courier, &mail(&["bo@lab.example"], "tls:valid"), Some(&usual)).await;
    assert_eq!((only_told(&valid), server.count("(connected)")), ((Stage::Resolve, Means::BelowFloor), 0));
    assert_eq!(valid.seen.unwrap().newcomers.unwrap().mx, ["mx.lab.example"]);
    let encrypted = attempt(&courier, &mail(&["bo@lab.example"], "tls:encrypted"), Some(&usual)).await;
    assert_eq!(only_told(&encrypted), TAKEN);
}

#[tokio::test]
async fn an_exchanger_that_is_an_alias_must_still_prove_the_name_of_the_record() {
    let world = World::new();
    let names = NameServer::new()
        .mx("lab.example", 5, "mx.lab.example")
        .alias("mx.lab.example", "hosted.elsewhere.example")
        .address("hosted.elsewhere.example", "127.35.3.1");
    Server::start_at("127.35.3.1:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_asking(names.start().await, LOOPBACK);
    let attempted = deliver(&courier, &mail(&["bo@lab.example"], "tls:valid")).await;
    assert_eq!((only_told(&attempted), attempted.hops[0].host.as_str()), (TAKEN, "mx.lab.example"));
}

#[tokio::test]
async fn a_host_that_is_this_very_listener_under_another_name_is_no_host() {
    let world = World::new();
    let names = NameServer::new()
        .mx("lab.example", 5, "mx.lab.example")
        .mx("lab.example", 10, "alias.lab.example")
        .mx("lab.example", 10, "peer.lab.example")
        .mx("lab.example", 20, "last.lab.example")
        .mx("ours.example", 10, "alias.lab.example")
        .mx("ours.example", 20, "mx.lab.example")
        .address("mx.lab.example", "127.35.3.2")
        .address("alias.lab.example", "127.35.3.3")
        .address("peer.lab.example", "127.35.3.4")
        .address("last.lab.example", "127.35.3.4")
        .address("bare.example", "127.35.3.3");
    let ours = Server::start_at("127.35.3.3:25", plain(), world.identity(Shows::Valid)).await;
    let behind = Server::start_at("127.35.3.4:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_at("127.35.3.3:25", names.start().await, LOOPBACK);
    let dead = deliver(&courier, &mail(&["bo@lab.example"], "tls:encrypted")).await;
    assert_eq!((only_told(&dead), dead.hops[0].host.as_str()), ((Stage::Connect, Means::Later), "mx.lab.example"));
    for domain in ["ours.example", "bare.example", "[127.35.3.3]"] {
        let attempted = deliver(&courier, &mail(&[&format!("bo@{domain}")], "tls:encrypted")).await;
        assert_eq!(only_told(&attempted), (Stage::Resolve, Means::Refused), "{domain}");
        assert_eq!(attempted.answers[0].enhanced, Some(Enhanced::new(5, 4, 6)), "{domain}");
    }
    assert_eq!((ours.count("(connected)"), behind.count("(connected)")), (0, 0));
}

#[tokio::test]
async fn what_one_host_cannot_carry_is_offered_to_the_next() {
    for (net, offers, text, to, code) in [
        (5, &["8BITMIME", "SIZE 10"][..], "Subject: x\r\n\r\nx\r\n", "bo@lab.example", (5, 3, 4)),
        (6, &["SIZE"], "Subject: x\r\n\r\n\u{e9}\r\n", "bo@lab.example", (5, 6, 3)),
        (7, &["8BITMIME"], "Subject: x\r\n\r\nx\r\n", "zo\u{eb}@lab.example", (5, 6, 7)),
    ] {
        let world = World::new();
        let first_at = format!("127.35.{net}.1");
        let poor = Script { offers, ..plain() };
        let first =
            Server::start_at(&format!("127.35.{net}.1:25"), poor.clone(), world.identity_of("mx0.lab.example")).await;
        let second = Server::start_at(&format!("127.35.{net}.2:25"), plain(), world.identity(Shows::Valid)).await;
        let courier = world.courier_asking(two_hosts(&first_at, &format!("127.35.{net}.2")).await, LOOPBACK);
        let parcel = mail_of(&[to], "tls:valid", text);
        let attempted = deliver(&courier, &parcel).await;
        assert_eq!((only_told(&attempted), first.count("MAIL"), second.count("MAIL")), (TAKEN, 0, 1), "{offers:?}");
        assert_eq!(attempted.hops[0].host, "mx.lab.example");
        // Where nobody can carry it, the first refusal counts; where somebody is away, nothing is final.
        let poorer = Server::start_at(&format!("127.35.{net}.3:25"), poor, world.identity(Shows::Valid)).await;
        let courier = world.courier_asking(two_hosts(&first_at, &format!("127.35.{net}.3")).await, LOOPBACK);
        let attempted = deliver(&courier, &parcel).await;
        assert_eq!(attempted.answers[0].enhanced, Some(Enhanced::new(code.0, code.1, code.2)));
        assert_eq!((poorer.count("MAIL"), attempted.hops[0].host.as_str()), (0, "mx0.lab.example"));
        let courier = world.courier_asking(two_hosts(&first_at, &format!("127.35.{net}.99")).await, LOOPBACK);
        assert_eq!(only_told(&deliver(&courier, &parcel).await), (Stage::Connect, Means::Later));
    }
}

#[tokio::test]
async fn recipients_part_where_a_host_can_carry_only_some_of_them() {
    let world = World::new();
    let poor = Script { offers: &["PIPELINING"], ..plain() };
    let first = Server::start_at("127.35.3.8:25", poor, world.identity_of("mx0.lab.example")).await;
    let second = Server::start_at("127.35.3.9:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_asking(two_hosts("127.35.3.8", "127.35.3.9").await, LOOPBACK);
    let attempted = deliver(&courier, &mail(&["zo\u{eb}@lab.example", "bo@lab.example"], "tls:valid")).await;
    let hosts: Vec<_> = attempted.hops.iter().map(|hop| hop.host.as_str()).collect();
    assert!(attempted.answers.iter().all(|answer| answer.means == Means::Taken));
    assert_eq!(hosts, ["mx.lab.example", "mx0.lab.example"]);
    assert_eq!((first.count("RCPT"), second.count("RCPT")), (1, 1), "nobody is told twice");
}

#[tokio::test]
async fn a_size_that_is_refused_at_the_sender_is_offered_to_the_next_host_too() {
    let world = World::new();
    let full = saying(&[("MAIL", "552 5.3.4 too big for me")]);
    let first = Server::start_at("127.35.3.10:25", full, world.identity_of("mx0.lab.example")).await;
    Server::start_at("127.35.3.11:25", plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier_asking(two_hosts("127.35.3.10", "127.35.3.11").await, LOOPBACK);
    assert_eq!(only_told(&deliver(&courier, &mail(&["bo@lab.example"], "tls:valid")).await), TAKEN);
    // 452 is about now and not about the message: the same host, later.
    first.will_say("MAIL", "452 4.3.1 no room");
    assert_eq!(
        only_told(&deliver(&courier, &mail(&["bo@lab.example"], "tls:valid")).await),
        (Stage::Mail, Means::Later)
    );
}
