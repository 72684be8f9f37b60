//! What happens to a message, by what the next hop shows and says.

use crate::config::Onward;
use crate::delivery::tests::run::wait_for;
use crate::delivery::tests::server::{CLOSE, HANG, Script, Server, plain, saying};
use crate::delivery::tests::{BO, CY, World, deliver, mail, mail_of, route, told};
use crate::delivery::{Courier, attempt};
use crate::mail::{Assurance, Content, Enhanced};
use crate::net::tls::stand_in::Shows;
use crate::smtp::client::{Means, Stage};

async fn with(world: &World, script: Script, shows: Shows) -> (Server, Courier) {
    let server = Server::start(script, world.identity(shows)).await;
    let courier = world.courier(&[("lab.example", server.address)]);
    (server, courier)
}

#[tokio::test]
async fn a_valid_host_is_given_the_message_as_it_is() {
    let world = World::new();
    let (server, courier) = with(&world, plain(), Shows::Valid).await;
    let attempted = deliver(&courier, &mail(&[BO], "tls:valid")).await;
    assert_eq!(told(&attempted), [(Stage::Content, Means::Taken)]);
    let expected = [
        "(connected)",
        "EHLO relay.clinic.example",
        "STARTTLS",
        "(tls)",
        "EHLO relay.clinic.example",
        "MAIL FROM:<ann@clinic.example>",
        "RCPT TO:<bo@lab.example>",
        "DATA",
        "> Subject: x",
        "> ",
        "> .one",
        "> two",
    ];
    assert_eq!(server.heard(), expected);
    let judged = attempted.hops[0].link.judged.clone().unwrap();
    assert_eq!((judged.assurance, judged.why_not), (Assurance::Valid, None));
    assert_eq!(attempted.hops[0].link.tls.clone().unwrap().version, "TLSv1.3");
}

#[tokio::test]
async fn a_host_that_says_go_ahead_and_hangs_up_does_not_meet_the_floor() {
    let world = World::new();
    let (server, courier) = with(&world, saying(&[("HANDSHAKE", CLOSE)]), Shows::Valid).await;
    let attempted = deliver(&courier, &mail(&[BO], "tls:encrypted")).await;
    assert_eq!(told(&attempted), [(Stage::Handshake, Means::BelowFloor)]);
    assert_eq!(attempted.answers[0].words, "the connection was lost during the TLS handshake");
    // Before the 220, a connection that breaks says nothing of the floor.
    server.will_say("STARTTLS", CLOSE);
    let attempted = deliver(&courier, &mail(&[BO], "tls:encrypted")).await;
    assert_eq!(told(&attempted), [(Stage::StartTls, Means::Later)]);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_message_is_not_taken_for_its_acceptance() {
    let world = World::new();
    let says = saying(&[("DATA", "354 go ahead\r\n250 2.0.0 ok"), ("CONTENT", "554 5.6.0 no")]);
    let (server, courier) = with(&world, says, Shows::Valid).await;
    let attempted = deliver(&courier, &mail(&[BO], "tls:valid")).await;
    assert_eq!(told(&attempted), [(Stage::Content, Means::Later)]);
    assert_eq!(server.count("> "), 0);
}

#[tokio::test]
async fn a_kept_connection_on_which_the_host_speaks_unasked_is_used_no_more() {
    let world = World::new();
    for (at, says) in [("BEHIND", "250 2.0.0 ok"), ("CONTENT", "250 2.0.0 ok\r\n250 2.0.0 ok")] {
        let (server, courier) = with(&world, saying(&[(at, says)]), Shows::Valid).await;
        for _ in 0..2 {
            assert_eq!(
                told(&deliver(&courier, &mail(&[BO], "tls:valid")).await),
                [(Stage::Content, Means::Taken)],
                "{at}"
            );
            // It is said before the connection is wanted again.
            wait_for(|| at == "CONTENT" || server.count("(spoke unasked)") == 1).await;
        }
        assert_eq!((server.count("(connected)"), server.count("MAIL")), (2, 2), "{at}");
    }
}

#[tokio::test]
async fn a_host_that_answers_in_clear_before_it_is_asked_is_left() {
    let world = World::new();
    let all = "220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go ahead";
    for (at, says) in [("GREETING", all), ("EHLO", "250-mx\r\n250 STARTTLS\r\n220 go ahead")] {
        let (server, courier) = with(&world, saying(&[(at, says)]), Shows::Valid).await;
        let attempted = deliver(&courier, &mail(&[BO], "tls:encrypted")).await;
        assert_eq!((attempted.answers[0].means, server.count("(tls)")), (Means::Later, 0), "{at}");
        assert_eq!(attempted.answers[0].words, "the next hop answered before it was asked", "{at}");
    }
}

#[tokio::test]
async fn a_host_below_the_floor_hears_no_sender_and_no_second_ehlo() {
    for (shows, why) in [
        (Shows::SelfSigned, "its certificate is self-signed"),
        (Shows::WrongName, "its certificate does not carry the name mx.lab.example"),
        (Shows::Expired, "its certificate has expired"),
    ] {
        let world = World::new();
        let (server, courier) = with(&world, plain(), shows).await;
        let attempted = deliver(&courier, &mail(&[BO, CY], "tls:valid")).await;
        assert_eq!(told(&attempted), [(Stage::Handshake, Means::BelowFloor); 2], "{shows:?}");
        let judged = attempted.hops[0].link.judged.clone().unwrap();
        assert_eq!(judged.why_not.as_deref(), Some(why));
        assert_eq!((server.count("MAIL"), server.count("EHLO"), server.count("(tls)")), (0, 1, 0), "{shows:?}");
        // The same host is good enough where encryption is all that is asked for, and the evidence still says why.
        let attempted = deliver(&courier, &mail(&[BO], "tls:encrypted")).await;
        assert_eq!(told(&attempted), [(Stage::Content, Means::Taken)], "{shows:?}");
        assert_eq!(attempted.hops[0].link.judged.clone().unwrap().why_not.as_deref(), Some(why));
    }
}

#[tokio::test]
async fn a_session_begun_below_a_higher_floor_does_not_help_to_reach_it() {
    let world = World::new();
    let (server, courier) = with(&world, plain(), Shows::SelfSigned).await;
    assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:encrypted")).await), [(Stage::Content, Means::Taken)]);
    let attempted = deliver(&courier, &mail(&[BO], "tls:valid")).await;
    assert_eq!(told(&attempted), [(Stage::Handshake, Means::BelowFloor)]);
    assert_eq!(server.count("MAIL"), 1);
}

#[tokio::test]
async fn only_the_routes_own_ca_authenticates() {
    let world = World::new();
    let server = Server::start(plain(), world.identity(Shows::Valid)).await;
    let courier = world.courier(&[("lab.example", server.address)]);
    let attempted = deliver(&courier, &mail(&[BO], "tls:authenticated")).await;
    assert_eq!(told(&attempted), [(Stage::Handshake, Means::BelowFloor)]);
    assert_eq!(server.count("MAIL"), 0);
    let mut own = route("lab.example", server.address);
    own.ca_file = Some(world.ca_file());
    let attempted = deliver(&world.courier_with(vec![own]), &mail(&[BO], "tls:authenticated")).await;
    assert_eq!(told(&attempted), [(Stage::Content, Means::Taken)]);
}

#[tokio::test]
async fn the_higher_of_route_and_decision_is_the_floor() {
    let world = World::new();
    let server = Server::start(plain(), world.identity(Shows::SelfSigned)).await;
    let mut strict = route("lab.example", server.address);
    strict.tls = Assurance::Valid;
    let attempted = deliver(&world.courier_with(vec![strict]), &mail(&[BO], "tls:encrypted")).await;
    assert_eq!(told(&attempted), [(Stage::Handshake, Means::BelowFloor)]);
    assert_eq!(server.count("MAIL"), 0);
}

#[tokio::test]
async fn without_tls_there_is_no_sender() {
    let injected = "220 go ahead\r\n250 injected";
    for (script, expected) in [
        (Script { starttls: &[], ..plain() }, (Stage::Hello, Means::BelowFloor)),
        (saying(&[("EHLO", "502 what")]), (Stage::Hello, Means::BelowFloor)),
        (saying(&[("STARTTLS", "454 4.7.0 TLS not available")]), (Stage::StartTls, Means::BelowFloor)),
        (saying(&[("STARTTLS", "502 no")]), (Stage::StartTls, Means::BelowFloor)),
        (saying(&[("STARTTLS", injected)]), (Stage::StartTls, Means::BelowFloor)),
        (saying(&[("GREETING", "421 busy")]), (Stage::Greeting, Means::Later)),
        (saying(&[("GREETING", "554 not here")]), (Stage::Greeting, Means::Later)),
        (saying(&[("GREETING", "hello")]), (Stage::Greeting, Means::Later)),
        (saying(&[("GREETING", CLOSE)]), (Stage::Greeting, Means::Later)),
        (saying(&[("EHLO", CLOSE)]), (Stage::Hello, Means::Later)),
        (saying(&[("STARTTLS", CLOSE)]), (Stage::StartTls, Means::Later)),
        (saying(&[("TLS-EHLO", CLOSE)]), (Stage::Hello, Means::Later)),
        (saying(&[("TLS-EHLO", "421 bye")]), (Stage::Hello, Means::Later)),
    ] {
        let world = World::new();
        let says = script.says.clone();
        let (server, courier) = with(&world, script, Shows::Valid).await;
        let attempted = deliver(&courier, &mail(&[BO], "tls:encrypted")).await;
        assert_eq!(told(&attempted), [expected], "{says:?}");
        assert_eq!(server.count("MAIL"), 0, "{says:?}");
    }
}

#[tokio::test]
async fn each_answer_and_each_silence_under_tls_means_one_thing() {
    for offers in [&["PIPELINING"][..], &[]] {
        for (at, stage) in
            [("MAIL", Stage::Mail), ("RCPT", Stage::Recipient), ("DATA", Stage::Data), ("CONTENT", Stage::Content)]
        {
            for (says, means) in [
                ("451 4.3.0 later", Means::Later),
                ("550 5.7.1 never", Means::Refused),
                ("421 4.3.2 bye", Means::Later),
                ("552 5.3.4 too big", Means::Unfit),
                (CLOSE, Means::Later),
            ] {
                let world = World::new();
                let script = Script { offers, ..saying(&[(at, says)]) };
                let (_, courier) = with(&world, script, Shows::Valid).await;
                let attempted = deliver(&courier, &mail(&[BO], "tls:valid")).await;
                // Whoever hangs up behind the message may have it.
                let means = if (at, says) == ("CONTENT", CLOSE) { Means::Unanswered } else { means };
                assert_eq!(told(&attempted), [(stage, means)], "{at} {says} {offers:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_attempt_that_runs_out_of_its_lease_tells_whether_the_message_was_given() {
    for (at, expected) in [("CONTENT", Means::Unanswered), ("DATA", Means::Later)] {
        let world = World::new();
        let server = Server::start(saying(&[(at, HANG)]), world.identity(Shows::Valid)).await;
        let courier = world.courier_in_haste(vec![route("lab.example", server.address)]);
        assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [(Stage::Content, expected)], "{at}");
    }
}

#[tokio::test]
async fn each_recipient_has_an_answer_of_its_own() {
    let world = World::new();
    let (server, courier) = with(&world, saying(&[("RCPT", "550 5.1.1 who")]), Shows::Valid).await;
    let attempted = deliver(&courier, &mail(&[BO, CY], "tls:valid")).await;
    assert_eq!(told(&attempted), [(Stage::Recipient, Means::Refused), (Stage::Content, Means::Taken)]);
    assert_eq!(attempted.answers[0].enhanced, Some(Enhanced::new(5, 1, 1)));
    assert_eq!(server.count("MAIL"), 1);
}

#[tokio::test]
async fn a_greylisted_message_is_taken_the_second_time_on_the_same_connection() {
    let world = World::new();
    let (server, courier) = with(&world, saying(&[("RCPT", "451 4.7.1 grey")]), Shows::Valid).await;
    assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [(Stage::Recipient, Means::Later)]);
    assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [(Stage::Content, Means::Taken)]);
    assert_eq!((server.count("(connected)"), server.count("RSET")), (1, 1));
}

#[tokio::test]
async fn one_connection_carries_many_messages_and_then_ends_with_quit() {
    let world = World::new();
    let (server, courier) = with(&world, plain(), Shows::Valid).await;
    for _ in 0..4 {
        assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [(Stage::Content, Means::Taken)]);
    }
    // Three messages per connection in this config; clean ends need no RSET.
    courier.sweep().await;
    assert_eq!((server.count("(connected)"), server.count("QUIT"), server.count("RSET")), (2, 1, 0));
    courier.close().await;
    assert_eq!(server.count("QUIT"), 2);
}

#[tokio::test]
async fn a_connection_that_died_while_it_was_kept_is_made_anew() {
    let world = World::new();
    let (server, courier) = with(&world, plain(), Shows::Valid).await;
    assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [(Stage::Content, Means::Taken)]);
    for bye in ["421 4.4.2 idle too long", CLOSE] {
        server.will_say("MAIL", bye);
        assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [(Stage::Content, Means::Taken)]);
    }
    assert_eq!(server.count("(connected)"), 3);
}

#[tokio::test]
async fn what_a_host_cannot_carry_is_not_sent_and_not_changed() {
    let check = async |offers, text: &str, to, expected: (Means, Enhanced)| {
        let world = World::new();
        let (server, courier) = with(&world, Script { offers, ..plain() }, Shows::Valid).await;
        let attempted = deliver(&courier, &mail_of(&[to], "tls:valid", text)).await;
        let answer = &attempted.answers[0];
        assert_eq!((answer.means, answer.enhanced), (expected.0, Some(expected.1)), "{offers:?}");
        assert_eq!(server.count("MAIL"), 0, "{offers:?}");
    };
    check(&["SIZE 10"], "Subject: x\r\n\r\nx\r\n", BO, (Means::Unfit, Enhanced::new(5, 3, 4))).await;
    check(&["SIZE"], "Subject: x\r\n\r\né\r\n", BO, (Means::Refused, Enhanced::new(5, 6, 3))).await;
    check(&["8BITMIME"], "Subject: x\r\n\r\nx\r\n", "zoë@lab.example", (Means::Refused, Enhanced::new(5, 6, 7))).await;
}

#[tokio::test]
async fn a_domain_in_u_labels_goes_as_a_labels_and_needs_no_extension() {
    let world = World::new();
    let server = Server::start(Script { offers: &["PIPELINING"], ..plain() }, world.identity(Shows::Valid)).await;
    let courier = world.courier(&[("*", server.address)]);
    for (to, said) in [
        ("bo@b\u{fc}cher.example", "RCPT TO:<bo@xn--bcher-kva.example>"),
        ("bo@xn--bcher-kva.example", "RCPT TO:<bo@xn--bcher-kva.example>"),
    ] {
        assert_eq!(told(&deliver(&courier, &mail(&[to], "tls:valid")).await), [(Stage::Content, Means::Taken)], "{to}");
        assert_eq!(server.heard().iter().rfind(|line| line.starts_with("RCPT")).unwrap(), said);
    }
    // A local part has no other spelling.
    let attempted = deliver(&courier, &mail(&["zo\u{eb}@b\u{fc}cher.example"], "tls:valid")).await;
    assert_eq!(attempted.answers[0].enhanced, Some(Enhanced::new(5, 6, 7)));
    assert_eq!(server.count("RCPT"), 2);
}

#[tokio::test]
async fn a_dead_destination_is_not_dialled_again_at_once_and_delays_nobody() {
    let world = World::new();
    let server = Server::start(plain(), world.identity(Shows::Valid)).await;
    // The port was free a moment ago, so nobody listens on it.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let courier = world.courier(&[("lab.example", server.address), ("dead.example", closed)]);
    let (live, dead) = (mail(&[BO], "tls:valid"), mail(&["di@dead.example"], "tls:valid"));
    let (live, first) = tokio::join!(deliver(&courier, &live), deliver(&courier, &dead));
    assert_eq!(told(&live), [(Stage::Content, Means::Taken)]);
    assert_eq!(told(&first), [(Stage::Connect, Means::Later)]);
    let second = deliver(&courier, &dead).await;
    assert_eq!(told(&second), [(Stage::Connect, Means::Later)]);
    assert!(second.answers[0].words.contains("was not tried again yet"), "{}", second.answers[0].words);
}

#[tokio::test]
async fn a_host_that_never_speaks_is_given_up_and_holds_nobody_up() {
    let world = World::new();
    let server = Server::start(plain(), world.identity(Shows::Valid)).await;
    // The kernel takes the connection; nobody ever says a word on it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let routes = [("lab.example", server.address), ("silent.example", silent.local_addr().unwrap())];
    let courier = world.courier(&routes);
    let (live, mute) = (mail(&[BO], "tls:valid"), mail(&["di@silent.example"], "tls:valid"));
    let mut hanging = std::pin::pin!(deliver(&courier, &mute));
    let live = tokio::select! {
        live = deliver(&courier, &live) => Some(live),
        _ = &mut hanging => None,
    };
    assert_eq!(told(&live.unwrap()), [(Stage::Content, Means::Taken)]);
    assert_eq!(told(&hanging.await), [(Stage::Greeting, Means::Later)]);
}

#[tokio::test]
async fn a_route_to_somewhere_unknown_carries_notices_only() {
    let world = World::new();
    let server = Server::start(plain(), world.identity(Shows::Valid)).await;
    let mut unknown = route("*", server.address);
    unknown.onward = Onward::Unknown;
    let courier = world.courier_with(vec![unknown]);
    let mut consignment = mail(&[BO], "tls:encrypted");
    assert_eq!(told(&deliver(&courier, &consignment).await), [(Stage::Resolve, Means::Unfit)]);
    assert_eq!(server.heard(), [""; 0]);
    consignment.content = Content::Notice;
    assert_eq!(told(&deliver(&courier, &consignment).await), [(Stage::Content, Means::Taken)]);
}

#[tokio::test]
async fn what_is_not_built_yet_is_unusable_and_says_so() {
    let world = World::new();
    let courier = world.courier(&[]);
    for method in ["pgp", "smime", "portal"] {
        let attempted = attempt(&courier, &mail(&[BO], method), None).await;
        assert_eq!(told(&attempted), [(Stage::Resolve, Means::Unfit)]);
        assert_eq!(attempted.answers[0].words, format!("{method} is not available on this installation"));
    }
}

#[tokio::test]
async fn a_loopback_literal_is_out_of_reach_without_a_route() {
    let world = World::new();
    let courier = world.courier(&[]);
    let attempted = deliver(&courier, &mail(&["bo@[127.0.0.1]"], "tls:encrypted")).await;
    assert_eq!(told(&attempted), [(Stage::Resolve, Means::Refused)]);
    assert_eq!(attempted.answers[0].enhanced, Some(Enhanced::new(5, 4, 4)));
}
