//! Only CRLF.CRLF ends a message, nothing that was sent in clear is run under TLS, and nothing behind a false end is
//! run at all.

#![cfg(test)]

use crate::clinic::{Clinic, behind_trace, letter};
use crate::world::behaviour::Behaviour;
use crate::world::client::{Client, Entry};

/// A second message, as a smuggler hides it behind what some server takes for the end of the first.
const HIDDEN: &str = "MAIL FROM:<bo@clinic.example>\r\nRCPT TO:<hidden@lab.example>\r\nDATA\r\n\
                      From: bo@clinic.example\r\nSubject: hidden\r\n\r\nhidden";

async fn at_data(clinic: &Clinic) -> Client {
    let mut client = clinic.login("ehr").await;
    for line in ["MAIL FROM:<ann@clinic.example>", "RCPT TO:<open@lab.example>", "DATA"] {
        client.command(line).await.unwrap();
    }
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_end_ends_nothing_and_its_message_is_refused_behind_the_true_one() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let false_ends = [
        ("\n.\n", "554 5.6.0 the message has a line feed without"),
        ("\n.\r\n", "554 5.6.0 the message has a line feed without"),
        ("\r\n.\n", "554 5.6.0 the message has a line feed without"),
        ("\r.\r", "554 5.6.0 the message has a carriage return without"),
        ("\r.\r\n", "554 5.6.0 the message has a carriage return without"),
        ("\r\n.\r", "554 5.6.0 the message has a carriage return without"),
        ("\r\r\n.\r\r\n", "554 5.6.0 the message has a carriage return without"),
        ("\r\n\0.\r\n", "554 5.6.0 the message has a NUL octet"),
        ("\r\n.\0\r\n", "554 5.6.0 the message has a NUL octet"),
    ];
    for (false_end, expected) in false_ends {
        let mut client = at_data(&clinic).await;
        let stream =
            [&letter("open", "open")[..], false_end.as_bytes(), HIDDEN.as_bytes(), b"\r\n.\r\nNOOP\r\n"].concat();
        client.write(&stream).await.unwrap();
        let told = client.reply().await.unwrap().text();
        assert!(told.starts_with(expected), "{false_end:?}: {told}");
        assert!(client.closed().await, "{false_end:?}: one reply, and closed");
    }
    // A stuffed dot is no end either, and stays what it was.
    let mut client = at_data(&clinic).await;
    let stream = [&letter("open", "open")[..], b"..\r\n", HIDDEN.as_bytes(), b"\r\n.\r\n"].concat();
    client.write(&stream).await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 250);
    let taken = clinic.taken("lab.example", 1).await;
    let whole = [&letter("open", "open")[..], b".\r\n", HIDDEN.as_bytes(), b"\r\n"].concat();
    assert_eq!(behind_trace(&taken[0].content), whole);
    assert_eq!(taken[0].recipients, ["open@lab.example"]);
    let counted = clinic.daemon.json(&["queue", "count"]).unwrap();
    assert_eq!(counted["accepted"], 1, "nothing but that one was ever taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_behind_starttls_closes_the_connection() {
    let clinic = Clinic::open(&[], "").await;
    for injected in
        ["STARTTLS\r\nNOOP\r\n", "STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<ann@clinic.example>\r\n", "STARTTLS\r\nx"]
    {
        let mut client = Client::connect(clinic.submission, &Entry::Clear).await.unwrap();
        client.write(injected.as_bytes()).await.unwrap();
        assert!(client.closed().await, "{injected:?}");
    }
    clinic.logged("connection.ended=\"injected\"", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_without_waiting_for_its_354_is_not_read_as_commands() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let mut client = clinic.login("ehr").await;
    // No recipient is taken, so DATA is refused; what follows is the message of a client that did not wait.
    let stream = format!("MAIL FROM:<ann@clinic.example>\r\nRCPT TO:<@>\r\nDATA\r\n{HIDDEN}\r\n.\r\n");
    client.write(stream.as_bytes()).await.unwrap();
    let mut codes = Vec::new();
    while let Ok(reply) = client.reply().await {
        codes.push(reply.code);
    }
    assert_eq!(codes, [250, 501, 421], "MAIL, RCPT, and the refusal of DATA with all that came behind it");
}
