//! A message as one chunk, where the next hop offers CHUNKING (RFC 3030).

use crate::delivery::Courier;
use crate::delivery::tests::run::wait_for;
use crate::delivery::tests::server::{CLOSE, Script, Server, plain};
use crate::delivery::tests::{BO, CY, TAKEN, World, deliver, mail, mail_of, told};
use crate::net::tls::stand_in::Shows;
use crate::smtp::client::{Means, Stage};

async fn with(world: &World, says: &[(&'static str, &'static str)]) -> (Server, Courier) {
    let script = Script { offers: &["CHUNKING", "PIPELINING"], says: says.to_vec(), ..plain() };
    let server = Server::start(script, world.identity(Shows::Valid)).await;
    let courier = world.courier(&[("lab.example", server.address)]);
    (server, courier)
}

#[tokio::test]
async fn a_message_goes_as_one_chunk_with_its_dots_as_they_are() {
    let world = World::new();
    let (server, courier) = with(&world, &[]).await;
    for _ in 0..2 {
        assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [TAKEN]);
    }
    let heard = server.heard();
    let said = ["RCPT TO:<bo@lab.example>", "BDAT 25 LAST", "> Subject: x", "> ", "> .one", "> two"];
    assert_eq!(heard[6..12], said);
    assert_eq!((server.count("(connected)"), server.count("DATA"), server.count("BDAT")), (1, 0, 2));
}

#[tokio::test]
async fn content_is_sent_only_behind_an_accepted_recipient() {
    let world = World::new();
    let (server, courier) = with(&world, &[("RCPT", "550 5.1.1 who"), ("RCPT", "550 5.1.1 who")]).await;
    let refused = (Stage::Recipient, Means::Refused);
    assert_eq!(told(&deliver(&courier, &mail(&[BO, CY], "tls:valid")).await), [refused; 2]);
    assert_eq!((server.count("BDAT"), server.count("> ")), (0, 0));
    server.will_say("RCPT", "550 5.1.1 who");
    assert_eq!(told(&deliver(&courier, &mail(&[BO, CY], "tls:valid")).await), [refused, TAKEN]);
    assert_eq!((server.count("RSET"), server.count("BDAT")), (1, 1));
}

#[tokio::test]
async fn each_answer_to_a_chunk_settles_the_message() {
    let world = World::new();
    for (answer, means) in [
        ("451 4.3.0 later", Means::Later),
        ("554 5.7.1 no", Means::Refused),
        ("552 5.3.4 big", Means::Unfit),
        ("354 what", Means::Unanswered),
        (CLOSE, Means::Unanswered),
        ("421 4.3.2 bye", Means::Later),
    ] {
        let (server, courier) = with(&world, &[("BDAT", answer)]).await;
        assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [(Stage::Content, means)], "{answer}");
        // The next message is not mistaken for this one.
        assert_eq!(told(&deliver(&courier, &mail(&[CY], "tls:valid")).await), [TAKEN], "{answer}");
        assert_eq!(server.count("BDAT"), 2);
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_chunk_is_not_taken_for_its_acceptance() {
    let world = World::new();
    let (server, courier) = with(&world, &[("RCPT", "250 2.1.5 ok\r\n250 2.0.0 taken")]).await;
    assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [(Stage::Content, Means::Later)]);
    assert_eq!((server.count("BDAT"), server.count("> ")), (0, 0));
}

#[tokio::test]
async fn a_host_that_does_not_know_the_bdat_it_offers_is_sent_data_from_then_on() {
    let world = World::new();
    let (server, courier) = with(&world, &[("BDAT", "500 5.5.1 what")]).await;
    let attempted = deliver(&courier, &mail(&[BO], "tls:valid")).await;
    assert_eq!(told(&attempted), [(Stage::Content, Means::Later)]);
    let words = "the next hop offers CHUNKING and does not take BDAT: from now on it is sent DATA";
    assert_eq!(attempted.answers[0].words, words);
    // On another connection: what the host made of the octets on that one, nobody knows.
    for connections in [2, 2] {
        assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [TAKEN]);
        assert_eq!(server.count("(connected)"), connections);
    }
    assert_eq!((server.count("BDAT"), server.count("DATA"), server.count("RSET")), (1, 2, 0));
}

#[tokio::test]
async fn that_bdat_is_not_known_is_remembered_when_it_is_heard_in_the_middle_of_the_chunk() {
    let world = World::new();
    let (server, courier) = with(&world, &[("BDAT", "500 5.5.1 what")]).await;
    let text = format!("Subject: x\r\n\r\n{}", "See you on Monday.\r\n".repeat(40_000));
    let large = mail_of(&[BO], "tls:valid", &text);
    assert_eq!(told(&deliver(&courier, &large).await), [(Stage::Content, Means::Later)]);
    assert_eq!(told(&deliver(&courier, &large).await), [TAKEN]);
    assert_eq!((server.count("BDAT"), server.count("DATA")), (1, 1));
}

#[tokio::test]
async fn a_connection_on_which_the_host_speaks_unasked_behind_a_chunk_is_used_no_more() {
    let world = World::new();
    for (at, says) in [("BEHIND", "250 2.0.0 ok"), ("BDAT", "250 2.0.0 ok\r\n250 2.0.0 ok")] {
        let (server, courier) = with(&world, &[(at, says)]).await;
        for _ in 0..2 {
            assert_eq!(told(&deliver(&courier, &mail(&[BO], "tls:valid")).await), [TAKEN], "{at}");
            wait_for(|| at == "BDAT" || server.count("(spoke unasked)") == 1).await;
        }
        assert_eq!((server.count("(connected)"), server.count("BDAT")), (2, 2), "{at}");
    }
}

#[tokio::test]
async fn a_large_message_is_written_in_turns() {
    let world = World::new();
    let (server, courier) = with(&world, &[]).await;
    let text = format!("Subject: x\r\n\r\n{}", ".See you on Monday.\r\n".repeat(40_000));
    assert_eq!(told(&deliver(&courier, &mail_of(&[BO], "tls:valid", &text)).await), [TAKEN]);
    assert!(server.heard().contains(&format!("BDAT {} LAST", text.len())));
    assert_eq!(server.count("> .See you on Monday."), 40_000);
}
