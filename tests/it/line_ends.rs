//! `line_ends = "normalise"`: what old programs send arrives with proper line ends, and no false end of data becomes a true
//! one, here or at the next hop.

#![cfg(test)]

use crate::clinic::{PASSWORD, letter, mail, queued};
use crate::in_chunks::{TO, clinic, left};
use crate::world::authority::credulous_client;
use crate::world::client::{Client, Entry};
use crate::world::daemon::HOSTNAME;

#[tokio::test(flavor = "multi_thread")]
async fn line_ends_are_put_right_where_a_listener_says_so_and_nowhere_else() {
    let mut clinic = clinic().await;
    clinic.daemon.stop().unwrap();
    let config = std::fs::read_to_string(&clinic.daemon.config).unwrap();
    let normalised = config.replacen("role = \"submission\"", "role = \"submission\"\nline_ends = \"normalise\"", 1);
    assert_ne!(config, normalised);
    std::fs::write(&clinic.daemon.config, normalised).unwrap();
    clinic.daemon.start().unwrap();
    let head = String::from_utf8(letter("ends", "x")).unwrap();
    let mut client = clinic.login("ehr").await;
    let hidden = "MAIL FROM:<bo@clinic.example>\nRCPT TO:<hidden@lab.example>\nDATA\nhidden";
    let mut count = 0;
    for (false_end, text) in [
        ("\n.\n", "\r\n.\r\n"),
        ("\n.\r\n", "\r\n.\r\n"),
        ("\r\n.\n", "\r\n.\r\n"),
        ("\r.\r", "\r\n.\r\n"),
        ("\r\n.\r", "\r\n.\r\n"),
        ("\r\r\n.\r\r\n", "\r\n.\r\n"),
    ] {
        let sent = format!("{head}a{false_end}{hidden}");
        let expected = format!("{head}a{text}{}\r\n", hidden.replace('\n', "\r\n")).into_bytes();
        for line in ["MAIL FROM:<ann@clinic.example>", "RCPT TO:<bo@lab.example>", "RCPT TO:<cy@old.example>", "DATA"] {
            client.command(line).await.unwrap();
        }
        client.write(format!("{sent}\r\n.\r\n").as_bytes()).await.unwrap();
        let id = queued(&client.reply().await.unwrap());
        count += 1;
        assert_eq!(left(&clinic, count).await, [expected.clone(), expected.clone()], "{false_end:?}");
        assert_eq!(clinic.story(&id)["record"]["edits"][0], "line ends were put right");
        // In chunks as well.
        let replies = client.send_in_chunks(&mail(&TO, sent.as_bytes()), 10).await.unwrap();
        assert!(replies.accepted(), "{}", replies.last().text());
        count += 1;
        assert_eq!(left(&clinic, count).await, [expected.clone(), expected], "{false_end:?}");
    }
    let replies = client.send(&mail(&TO, head.as_bytes())).await.unwrap();
    let told = |id: &str| clinic.daemon.run(&["explain", id]).unwrap().good().unwrap();
    assert!(!told(&queued(replies.last())).contains("line ends"), "nothing was wrong with that one");
    let replies = client.send_in_chunks(&mail(&TO, head.replace("\r\n", "\n").as_bytes()), 100).await.unwrap();
    let words = told(&queued(replies.last()));
    assert!(words.contains("Changed on the way: line ends were put right."), "{words}");
    // The other listener of the same house is strict.
    let entry = Entry::Implicit(credulous_client().unwrap(), HOSTNAME.to_owned());
    let mut strict = Client::connect(clinic.submissions, &entry).await.unwrap();
    strict.login("ehr", PASSWORD).await.unwrap();
    let refused = strict.send(&mail(&TO, format!("{head}\n").as_bytes())).await.unwrap();
    assert_eq!(refused.last().code, 554);
}
