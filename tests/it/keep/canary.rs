//! PHI stays where it belongs: a word that nobody else uses stands in every place where a message, its sender or a
//! client can put one, and is found nowhere but in the mail that was delivered.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Clinic, LOGIN, PASSWORD, QUOTED, SOON, holds, mails, raw};
use crate::world::client::Mail;
use crate::world::dns::Dns;
use crate::world::until;

const CANARY: &str = "zebrafinch";
const SENDER: &str = "ann.zebrafinch@clinic.example";
const RECIPIENTS: [&str; 5] = [
    "zebrafinch.delivered@lab.example",
    "zebrafinch.deferred@late.example",
    "zebrafinch.held@held.example",
    "zebrafinch.bounced@gone.example",
    "zebrafinch.unresolved@nowhere.example",
];
const ENDS: [&str; 5] = ["delivered", "queued", "held", "bounced", "bounced"];
const QUICK: &str = "[queue]\nretry = [\"1s\"]\ndelay_notice = \"3s\"\n[log]\nfilter = \"trace\"\nformat = \"json\"\n\
                     [database]\nbody_file_bytes = \"2KiB\"\n[retention]\nsweep = \"1s\"\n";

fn content(padding: usize) -> String {
    format!(
        "From: Zebrafinch <{SENDER}>\nTo: zebrafinch <{}>\nSubject: zebrafinch, your results\n\
         Message-ID: <1@clinic.example>\nX-Chart: zebrafinch\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n\
         Patient zebrafinch, MRN 12345678, diagnosis diabetes. Token zebrafinch.\n{}\n--b\n\
         Content-Type: text/csv; name=\"zebrafinch.csv\"\nContent-Disposition: attachment; filename=\"zebrafinch.csv\"\n\n\
         zebrafinch,1\n--b--\n",
        RECIPIENTS[0],
        "The quick brown fox. ".repeat(padding)
    )
}

/// The three ways in which the word may have been written down.
fn found_in(octets: &[u8]) -> bool {
    let lower = octets.to_ascii_lowercase();
    let encoded = data_encoding::BASE64.encode(CANARY.as_bytes());
    let hex = data_encoding::HEXLOWER.encode(CANARY.as_bytes());
    let start = encoded.trim_end_matches('=');
    holds(&lower, CANARY.as_bytes())
        || holds(octets, &start.as_bytes()[..start.len() - 2])
        || holds(&lower, hex.as_bytes())
}

async fn metrics(clinic: &Clinic) -> String {
    let mut stream = TcpStream::connect(clinic.http).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("sealpost_delivery_attempts_total"), "{answer}");
    answer
}

fn nothing_in_the_data(clinic: &Clinic, when: &str) {
    let files = raw(&clinic.data());
    assert!(files.len() > 2, "{files:?}");
    for (path, octets) in files {
        assert!(!found_in(&octets), "{when}: {} holds the canary", path.display());
    }
}

/// What a client may say that no message comes of.
async fn stranger(clinic: &Clinic) {
    let mut client = clinic.client().await;
    client.command("EHLO zebrafinch.clinic.example").await.unwrap();
    assert_eq!(client.login("zebrafinch", "zebrafinch-secret").await.unwrap().code, 535);
    assert!(client.command("VRFY zebrafinch").await.unwrap().code >= 250);
    assert!(client.command("zebrafinch zebrafinch").await.unwrap().code >= 500);
    assert!(client.command("MAIL FROM:<zebrafinch@elsewhere.example>").await.unwrap().code >= 500);
    assert_eq!(client.login(LOGIN, PASSWORD).await.unwrap().code, 235);
    assert!(client.command("MAIL FROM:<zebrafinch@elsewhere.example>").await.unwrap().code >= 500);
    assert!(client.command("RCPT TO:<zebrafinch@lab.example>").await.unwrap().code >= 500);
    // A message that is refused for its form.
    let mail = Mail {
        sender: SENDER.into(),
        recipients: vec![RECIPIENTS[0].into()],
        content: b"Subject: zebrafinch\r\n\r\nbare\nzebrafinch\r\n".to_vec(),
    };
    assert!(client.send(&mail).await.unwrap().last().code >= 500);
}

async fn submit(clinic: &Clinic, recipient: &str, padding: usize) -> String {
    let mut client = clinic.client().await;
    client.command("EHLO zebrafinch.clinic.example").await.unwrap();
    assert_eq!(client.login(LOGIN, PASSWORD).await.unwrap().code, 235);
    let content = content(padding).replace('\n', "\r\n").into_bytes();
    let mail = Mail { sender: SENDER.into(), recipients: vec![recipient.into()], content };
    let replies = client.send(&mail).await.unwrap();
    assert!(replies.accepted(), "{replies:?}");
    replies.last().queued().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_found_nowhere_but_in_the_mail_that_was_delivered() {
    assert!(QUOTED.contains(CANARY));
    // The resolver is the most talkative of what we are built from.
    let dns = Dns::start("127.33.0.53:0").await.unwrap();
    let mut clinic = Clinic::open(&format!("{QUICK}[dns]\nservers = [\"{}\"]\n", dns.address)).await;
    stranger(&clinic).await;
    let mut ids = Vec::new();
    for recipient in RECIPIENTS {
        // A small body lies in a row, a large one in a file.
        for padding in [1, 400] {
            ids.push(submit(&clinic, recipient, padding).await);
        }
    }
    nothing_in_the_data(&clinic, "while mail is on its way");
    for (pair, wanted) in ids.chunks(2).zip(ENDS) {
        clinic.stands(&pair[0], &[wanted]).await;
        clinic.stands(&pair[1], &[wanted]).await;
    }
    for id in &ids[..2] {
        clinic.erased(id).await;
    }
    assert!(clinic.lab.deliveries().iter().all(|mail| found_in(&mail.content)), "the mail itself has it");

    // Four failures and two delays to the sender, two holds to both; they name the recipient in one field.
    let mut notices = mails(&clinic.own, "Final-Recipient", 6).await;
    notices.extend(mails(&clinic.own, "A message is held here", 2).await);
    for notice in &notices {
        let to = notice.lines().filter(|line| line.starts_with("To: ")).count();
        assert_eq!(to, 1, "{notice}");
        for line in notice.lines().filter(|line| !line.starts_with("Final-Recipient: ") && !line.starts_with("To: ")) {
            assert!(!found_in(line.as_bytes()), "{line:?} in\n{notice}");
        }
    }

    assert!(!found_in(metrics(&clinic).await.as_bytes()), "the metrics hold the canary");
    for asked in
        [&["queue", "list"][..], &["queue", "count"], &["audit", "list", "--last", "10000"], &["audit", "export"]]
    {
        for json in [&["--json"][..], &[]] {
            let printed = clinic.daemon.run(&[asked, json].concat()).unwrap().good().unwrap();
            assert!(!found_in(printed.as_bytes()), "{asked:?} prints the canary");
        }
    }
    for id in &ids {
        assert!(!found_in(clinic.daemon.run(&["queue", "show", id]).unwrap().good().unwrap().as_bytes()));
        // The story, which is sealed evidence and asked for by name, does tell it: else this test would prove nothing.
        assert!(found_in(clinic.explained(id).as_bytes()), "explain {id}");
    }
    nothing_in_the_data(&clinic, "while running");
    clinic.balanced();
    clinic.verified();
    assert!(clinic.daemon.stop().unwrap().success());
    nothing_in_the_data(&clinic, "after it has stopped");
    // Killed in the middle of it, the write-ahead log stays behind.
    clinic.daemon.start().unwrap();
    let last = submit(&clinic, RECIPIENTS[2], 1).await;
    clinic.daemon.kill().unwrap();
    nothing_in_the_data(&clinic, "after a kill");
    clinic.daemon.start().unwrap();
    until("the last one to be held", SOON, || (clinic.standings(&last) == ["held"]).then_some(())).await.unwrap();
    clinic.balanced();
    let logs = clinic.daemon.logs().unwrap();
    assert!(logs.contains("\"level\":\"TRACE\"") && logs.contains("nowhere.example"), "it is at its most talkative");
    let told = logs.lines().find(|line| found_in(line.as_bytes()));
    assert_eq!(told, None, "the log holds the canary");
}
