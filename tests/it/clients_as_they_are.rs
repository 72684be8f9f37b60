//! Clients as they are: they call themselves anything, leave out fields, send ahead of the replies, read them late, and log in in
//! ways of their own. What they send arrives; what cannot be taken is refused in words, and costs nobody else anything.

#![cfg(test)]

use std::time::Duration;

use data_encoding::BASE64;
use tokio::time::timeout;

use crate::clinic::{Clinic, PASSWORD, SOON, behind_trace, letter, mail, queued};
use crate::world::behaviour::{Behaviour, Override, Step};
use crate::world::client::Client;
use crate::world::mx::header;

const LAB: &str = "results@lab.example";

async fn clinic(config: &str) -> Clinic {
    Clinic::open(&[("lab.example", Behaviour::default())], config).await
}

/// RFC 5321 §4.1.4: a name that does not verify is no reason to refuse mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_call_itself_anything_and_the_partner_is_not_told() {
    let clinic = clinic("").await;
    let names = [
        "localhost",
        "FRONT_DESK",
        "vm",
        "(none)",
        "192.168.1.7",
        "[192.168.1.7]",
        "::1",
        "[IPv6:::1]",
        "praxis.",
        "-x-.local",
        "größe",
        &"x".repeat(255),
    ];
    let mut client = clinic.login("ehr").await;
    for (at, name) in names.iter().enumerate() {
        let verb = if at % 2 == 0 { "EHLO" } else { "HELO" };
        assert_eq!(client.command(&format!("{verb} {name}")).await.unwrap().code, 250, "{verb} {name}");
        let reply = client.send(&mail(&[LAB], &letter("named", "x"))).await.unwrap();
        queued(reply.last());
    }
    for (at, delivery) in clinic.taken("lab.example", names.len()).await.iter().enumerate() {
        let whole = String::from_utf8_lossy(&delivery.content);
        // It stands where the name of the client would, and so none of them does.
        assert!(whole.starts_with("Received: from client by relay.clinic.example\r\n"), "{at}: {whole}");
    }
    for wrong in ["EHLO", "HELO", "EHLO front desk", "HELO a b"] {
        assert_eq!(client.command(wrong).await.unwrap().code, 501, "{wrong}");
    }
}

/// RFC 6409 §8.1, §8.2. A message that is tried again, or that goes to several partners, is still one message.
#[tokio::test(flavor = "multi_thread")]
async fn a_date_and_an_identifier_that_are_missing_are_added_once_for_all_copies() {
    let later = Override::reply(Step::EndOfData, 451, "4.3.0 later").first(1);
    let partners = [("lab.example", Behaviour::default()), ("late.example", Behaviour::but(&[later]))];
    let clinic = Clinic::open(&partners, "[queue]\nretry = [\"1s\"]\n").await;
    let content = b"From: ann@clinic.example\r\nSubject: x\r\n\r\nx\r\n";
    let id = queued(&clinic.submit("ehr", &[LAB, "desk@late.example"], content).await);
    let copies = [clinic.taken("lab.example", 1).await.remove(0), clinic.taken("late.example", 1).await.remove(0)];
    let [one, other] = [0, 1].map(|at| String::from_utf8_lossy(behind_trace(&copies[at].content)).into_owned());
    assert_eq!(one, other);
    assert_eq!(copies[0].header("Message-ID").unwrap(), format!("<{id}@relay.clinic.example>"));
    assert_eq!((one.matches("\r\nDate:").count(), one.matches("\r\nMessage-ID:").count()), (1, 1), "{one}");

    // What is there is never written over, and only what is missing is added.
    for (field, missing) in [("Date: Mon, 23 Nov 2026 08:00:00 +0000", "Message-ID"), ("Message-ID: <1@x>", "Date")] {
        let content = format!("From: ann@clinic.example\r\n{field}\r\n\r\nx\r\n");
        let count = clinic.partner("lab.example").deliveries().len();
        queued(&clinic.submit("ehr", &[LAB], content.as_bytes()).await);
        let taken = clinic.taken("lab.example", count + 1).await;
        let left = String::from_utf8_lossy(behind_trace(&taken[count].content)).into_owned();
        assert!(left.contains(&format!("\r\n{field}\r\n")), "{left}");
        assert!(header(left.as_bytes(), missing).is_some(), "{left}");
        assert_eq!(left.matches("Date:").count() + left.matches("Message-ID:").count(), 2, "{left}");
    }
}

/// It says everything at once, and reads the replies when it is done.
#[tokio::test(flavor = "multi_thread")]
async fn an_eager_client_that_waits_for_nothing_is_understood() {
    let clinic = clinic("").await;
    let mut client = clinic.stranger().await;
    let plain = BASE64.encode(format!("\0ehr\0{PASSWORD}").as_bytes());
    let message = "MAIL FROM:<ann@clinic.example>\r\nRCPT TO:<results@lab.example>\r\nDATA\r\n\
                   From: ann@clinic.example\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\n\
                   QUIT\r\n..\r\n.\r\n";
    // HELO offers nothing, and so no pipelining either.
    let all = format!("AUTH PLAIN {plain}\r\nHELO ehr\r\n{message}RSET\r\n{message}QUIT\r\n");
    client.write(all.as_bytes()).await.unwrap();
    let mut codes = Vec::new();
    for _ in 0..12 {
        codes.push(client.reply().await.unwrap().code);
    }
    assert_eq!(codes, [235, 250, 250, 250, 354, 250, 250, 250, 250, 354, 250, 221]);
    assert!(client.closed().await);
    for delivery in clinic.taken("lab.example", 2).await {
        assert!(behind_trace(&delivery.content).ends_with(b"\r\n\r\nQUIT\r\n.\r\n"));
    }

    // The message behind a DATA that was refused is not read as commands.
    let mut client = clinic.login("ehr").await;
    let all = "MAIL FROM:<ann@clinic.example>\r\nRCPT TO:<no address>\r\nDATA\r\nNOOP\r\nNOOP\r\n.\r\n";
    client.write(all.as_bytes()).await.unwrap();
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(client.reply().await.unwrap().code);
    }
    assert_eq!(codes, [250, 501, 421]);
    assert!(client.closed().await);
    assert_eq!(clinic.partner("lab.example").deliveries().len(), 2);
}

/// The replies to a thousand commands wait for it, and so does nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_late_finds_every_reply() {
    let clinic = clinic("[limits]\nrecipients = 1000\n").await;
    let mut client = clinic.login("ehr").await;
    let mut all = "MAIL FROM:<ann@clinic.example>\r\n".to_owned();
    for at in 0..1000 {
        all.push_str(&format!("RCPT TO:<r{at}@lab.example>\r\n"));
    }
    client.write(all.as_bytes()).await.unwrap();
    queued(&clinic.submit("ehr", &[LAB], &letter("other", "x")).await);
    for _ in 0..=1000 {
        assert_eq!(client.reply().await.unwrap().code, 250);
    }
    assert_eq!(client.command("DATA").await.unwrap().code, 354);
    client.write(&letter("late", "x")).await.unwrap();
    client.write(b".\r\n").await.unwrap();
    queued(&client.reply().await.unwrap());
    clinic.reached("lab.example", 1001).await;
}

/// It never reads. What waits for it is bounded, and so is how long.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_let_go() {
    let clinic = clinic("[limits]\nidle = \"1s\"\n").await;
    let mut client = clinic.login("ehr").await;
    let lines = "NOOP\r\n".repeat(10_000);
    let pushed = timeout(SOON, async {
        // Until what is in between is full, and the connection is closed.
        while client.write(lines.as_bytes()).await.is_ok() {}
    });
    pushed.await.expect("it is served without an end");
    clinic.logged("connection.ended=\"gone\"", 1).await;
    queued(&clinic.submit("ehr", &[LAB], &letter("next", "x")).await);
}

/// Many libraries take CRAM-MD5 where it is offered; it needs passwords that can be read (RFC 2195), so it never is.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_likes_cram_md5_best_logs_in_by_another_way() {
    let clinic = clinic("").await;
    let mut client = clinic.stranger().await;
    let offered = client.extensions.iter().find(|line| line.starts_with("AUTH ")).unwrap();
    assert!(offered.contains(" PLAIN") && offered.contains(" LOGIN") && !offered.contains(" CRAM"), "{offered}");
    for unknown in ["CRAM-MD5", "DIGEST-MD5", "NTLM", "GSSAPI", "XOAUTH2 dXNlcj1laHIB"] {
        assert!(client.command(&format!("AUTH {unknown}")).await.unwrap().text().starts_with("504 5.5.4"), "{unknown}");
    }
    let user = BASE64.encode(b"ehr");
    assert_eq!(client.command(&format!("AUTH LOGIN {user}")).await.unwrap().code, 334);
    assert_eq!(client.command(&BASE64.encode(PASSWORD.as_bytes())).await.unwrap().code, 235);
    queued(client.send(&mail(&[LAB], &letter("login", "x"))).await.unwrap().last());
}

/// A response longer than any that we could have asked for ends the connection, and stands in no log.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_an_end_is_cut_off_and_written_nowhere() {
    let clinic = clinic("").await;
    let long = BASE64.encode("secret-of-somebody".repeat(1000).as_bytes());
    for (first, expected) in [(format!("AUTH PLAIN {long}\r\n"), 500), (format!("AUTH PLAIN\r\n{long}\r\n"), 334)] {
        let mut client = clinic.stranger().await;
        client.write(first.as_bytes()).await.unwrap();
        let mut reply = client.reply().await.unwrap();
        assert_eq!(reply.code, expected);
        if expected == 334 {
            reply = client.reply().await.unwrap();
        }
        assert!(reply.text().starts_with("500 5.5.6"), "{}", reply.text());
        assert!(client.closed().await);
    }
    let log = clinic.daemon.logs().unwrap();
    assert!(!log.contains(&long[..24]) && !log.contains("secret-of"), "{log}");
}

/// A client that takes its time over each line is served as well as another.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_octet_by_octet_is_understood() {
    let clinic = clinic("").await;
    let mut client = clinic.login("ehr").await;
    for line in ["MAIL FROM:<ann@clinic.example>\r\n", "RCPT TO:<results@lab.example>\r\n", "DATA\r\n"] {
        octet_by_octet(&mut client, line.as_bytes()).await;
        assert!(client.reply().await.unwrap().is_positive(), "{line}");
    }
    let content = letter("slow", "..\r\n.\r\n");
    octet_by_octet(&mut client, &crate::world::wire::with_dots(&content)).await;
    queued(&client.reply().await.unwrap());
    let taken = clinic.taken("lab.example", 1).await;
    assert_eq!(behind_trace(&taken[0].content), content);
}

async fn octet_by_octet(client: &mut Client, octets: &[u8]) {
    for octet in octets {
        client.write(&[*octet]).await.unwrap();
        // Time for it to leave alone.
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}
