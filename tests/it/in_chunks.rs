//! Messages in chunks (RFC 3030), in and out, and across to DATA: what leaves is what came, octet for octet.

#![cfg(test)]

use crate::clinic::{Clinic, behind_trace, letter, mail, queued};
use crate::world::behaviour::{Behaviour, Override, Step};
use crate::world::client::{Client, Entry};

/// Lines that mean something to somebody.
const BODY: &str = ".\r\n..\r\n.x\r\n\r\n.\r\n\r\nQUIT\r\nBDAT 5 LAST\r\n. \r\nx.\r\n...";

pub(crate) const TO: [&str; 2] = ["bo@lab.example", "cy@old.example"];

/// A partner that takes chunks, and one that does not.
pub(crate) async fn clinic() -> Clinic {
    Clinic::open(&[("lab.example", Behaviour::chunking()), ("old.example", Behaviour::default())], "").await
}

/// What both partners were given behind the trace header, for the message so many before the last.
pub(crate) async fn left(clinic: &Clinic, count: usize) -> [Vec<u8>; 2] {
    let lab = clinic.taken("lab.example", count).await;
    let old = clinic.taken("old.example", count).await;
    [lab, old].map(|taken| behind_trace(&taken[count - 1].content).to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_the_same_whichever_way_it_came_and_leaves() {
    let clinic = clinic().await;
    let mut client = clinic.login("ehr").await;
    assert!(client.offers("CHUNKING"));
    let message = letter("dots", BODY);
    for (count, octets) in [(1, 1), (2, 7), (3, 64), (4, 1 << 20)] {
        let replies = client.send_in_chunks(&mail(&TO, &message), octets).await.unwrap();
        assert!(replies.accepted(), "{}", replies.last().text());
        assert_eq!(left(&clinic, count).await, [message.clone(), message.clone()], "{octets}");
    }
    assert!(client.send(&mail(&TO, &message)).await.unwrap().accepted());
    assert_eq!(left(&clinic, 5).await, [message.clone(), message.clone()]);
    let large = letter("large", &".See you on Monday.\r\n".repeat(50_000));
    assert!(client.send_in_chunks(&mail(&TO, &large), 200_000).await.unwrap().accepted());
    assert_eq!(left(&clinic, 6).await, [large.clone(), large]);
    // By BDAT where it is offered, in one chunk, and by DATA where it is not; nothing in it was run as a command.
    let said = |domain, verb: &str| {
        let commands = clinic.partner(domain).memory().commands;
        commands.iter().filter(|(_, line)| line.starts_with(verb)).count()
    };
    let counts = ["MAIL", "BDAT", "DATA", "QUIT"].map(|verb| (said("lab.example", verb), said("old.example", verb)));
    assert_eq!(counts[..3], [(6, 6), (6, 0), (0, 6)]);
    assert!(counts[3].0 <= 6 && counts[3].1 <= 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_message_keeps_its_dots_and_is_stuffed_anew() {
    let clinic = clinic().await;
    let mut client = clinic.login("ehr").await;
    // Fields go in front and behind, fields that begin with a dot stay, and a dot that came first on its line stays so.
    let head = "From: ann@clinic.example\r\nBcc: x@y.example,\r\n .\r\nX-Sealpost-Tenant: 7\r\n.: dot\r\n..x: two\r\nSubject: x\r\n";
    let message = format!("{head}\r\n{BODY}\r\n");
    let kept = "From: ann@clinic.example\r\n.: dot\r\n..x: two\r\nSubject: x\r\n";
    for count in 1..=2 {
        let mail = mail(&TO, message.as_bytes());
        let replies = if count == 1 { client.send(&mail).await } else { client.send_in_chunks(&mail, 100).await };
        let id = queued(replies.unwrap().last());
        for left in left(&clinic, count).await {
            let left = String::from_utf8(left).unwrap();
            let added = left.strip_prefix(kept).unwrap().strip_suffix(&format!("\r\n{BODY}\r\n")).unwrap();
            assert!(added.starts_with("Date: ") && added.contains(&format!("Message-ID: <{id}@")), "{added}");
            assert_eq!(added.matches("\r\n").count(), 2, "{added}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_line_without_an_end_is_given_one_and_explain_says_so() {
    let clinic = clinic().await;
    let mut client = clinic.login("ehr").await;
    let whole = letter("no-end", "the end\r\n.");
    let message = whole.strip_suffix(b"\r\n").unwrap();
    let replies = client.send_in_chunks(&mail(&TO, message), 50).await.unwrap();
    let id = queued(replies.last());
    assert_eq!(left(&clinic, 1).await, [whole.clone(), whole]);
    assert_eq!(clinic.story(&id)["record"]["edits"][0], "the last line was given its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_with_a_false_end_is_refused_and_nothing_in_it_is_run() {
    let clinic = clinic().await;
    let hidden = "MAIL FROM:<bo@clinic.example>\r\nRCPT TO:<hidden@lab.example>\r\nDATA\r\nSubject: hidden\r\n\r\nx";
    for (false_end, told) in [
        ("\n.\n", "a line feed without"),
        ("\n.\r\n", "a line feed without"),
        ("\r\n.\n", "a line feed without"),
        ("\r.\r", "a carriage return without"),
        ("\r\n.\r", "a carriage return without"),
        ("\r\r\n.\r\r\n", "a carriage return without"),
        ("\r\n\0.\r\n", "a NUL octet"),
    ] {
        let content = [&letter("open", "open")[..], false_end.as_bytes(), hidden.as_bytes(), b"\r\n.\r\n"].concat();
        let mut client = clinic.login("ehr").await;
        // As a whole, and cut where the false end is.
        for octets in [content.len(), 1] {
            let replies = client.send_in_chunks(&mail(&TO, &content), octets).await.unwrap();
            let refusal = if octets == 1 { "503 5.5.1 a chunk before" } else { "554 5.6.0 the message has" };
            let last = replies.last().text();
            assert!(last.starts_with(refusal) && (octets == 1 || last.contains(told)), "{false_end:?}: {last}");
        }
    }
    // What would be an end behind DATA is text in a chunk.
    let mut client = clinic.login("ehr").await;
    let text = [&letter("text", "open\r\n.")[..], hidden.as_bytes(), b"\r\n.\r\nQUIT\r\n"].concat();
    assert!(client.send_in_chunks(&mail(&TO, &text), 30).await.unwrap().accepted());
    assert_eq!(left(&clinic, 1).await, [text.clone(), text]);
    assert_eq!(client.command("NOOP").await.unwrap().code, 250);
    let counted = clinic.daemon.json(&["queue", "count"]).unwrap();
    assert_eq!(counted["accepted"], 2, "nothing but that one, for two recipients");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_does_not_know_the_bdat_it_offers_gets_one_copy_by_data() {
    let mut lab = Behaviour::chunking();
    lab.overrides = vec![Override::reply(Step::Bdat, 502, "5.5.1 not here").first(1)];
    let clinic = Clinic::open(&[("lab.example", lab)], "[queue]\nretry = [\"1s\"]\n").await;
    let message = letter("once", BODY);
    let reply = clinic.submit("ehr", &TO[..1], &message).await;
    clinic.stands(&queued(&reply), &[("lab.example", "delivered")]).await;
    let taken = clinic.taken("lab.example", 1).await;
    assert_eq!((taken.len(), behind_trace(&taken[0].content)), (1, &*message));
    let words = clinic.daemon.run(&["explain", &queued(&reply)]).unwrap().good().unwrap();
    assert!(words.contains("does not take BDAT"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunking_is_offered_where_a_message_may_be_taken() {
    let clinic = Clinic::open(&[], "").await;
    assert!(!Client::connect(clinic.submission, &Entry::Clear).await.unwrap().offers("CHUNKING"));
    assert!(clinic.stranger().await.offers("CHUNKING"));
    let mut client = clinic.login("ehr").await;
    let reply = client.command("MAIL FROM:<ann@clinic.example> BODY=BINARYMIME").await.unwrap();
    assert_eq!(reply.code, 501, "{}", reply.text());
    // Half a message is none, however the connection ends.
    client
        .write(b"MAIL FROM:<ann@clinic.example>\r\nRCPT TO:<bo@lab.example>\r\nBDAT 9\r\nSubject: \r\nBDAT 9 LAST\r\nx")
        .await
        .unwrap();
    drop(client);
    clinic.logged("connection.ended=\"gone\"", 1).await;
    assert_eq!(clinic.daemon.json(&["queue", "count"]).unwrap()["accepted"], 0);
}
