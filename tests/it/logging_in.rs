//! Logging in, and what a login opens: by each mechanism, before TLS, wrongly, half-way, and for whom it may send.

#![cfg(test)]

use data_encoding::BASE64;

use crate::clinic::{Clinic, PASSWORD, letter, mail, queued};
use crate::world::behaviour::Behaviour;
use crate::world::client::{Client, Entry};

/// Sends the lines one by one, and compares the reply to each by its start.
async fn check(client: &mut Client, dialog: &[(&str, &str)]) {
    for (line, expected) in dialog {
        let reply = client.command(line).await.unwrap().text();
        assert!(reply.starts_with(expected), "{line}: {reply}");
    }
}

fn base64(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_log_in_works_and_each_wrong_one_is_refused() {
    let clinic = Clinic::open(&[], "[limits]\nerrors_per_connection = 30\n").await;
    let (user, password) = (base64("ehr"), base64(PASSWORD));
    let plain = base64(&format!("\0ehr\0{PASSWORD}"));
    let (name, pass) = ("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6");
    for good in [
        &[(&*format!("AUTH PLAIN {plain}"), "235 2.7.0")][..],
        &[("AUTH PLAIN", "334 "), (&plain, "235 2.7.0")],
        &[("auth login", name), (&user, pass), (&password, "235 2.7.0")],
        &[(&*format!("AUTH LOGIN {user}"), pass), (&password, "235 2.7.0")],
    ] {
        let mut client = clinic.stranger().await;
        check(&mut client, good).await;
        check(&mut client, &[(&format!("AUTH PLAIN {plain}"), "503"), ("NOOP", "250")]).await;
    }
    let wrong = base64("\0ehr\0guess");
    let nobody = base64(&format!("\0nobody\0{PASSWORD}"));
    let other = base64(&format!("admin\0ehr\0{PASSWORD}"));
    let mut client = clinic.stranger().await;
    check(
        &mut client,
        &[
            ("AUTH CRAM-MD5", "504 5.5.4"),
            ("AUTH", "501"),
            ("AUTH PLAIN", "334"),
            ("*", "501 5.7.0"),
            ("AUTH LOGIN", name),
            ("*", "501 5.7.0"),
            ("AUTH LOGIN", name),
            (&user, pass),
            ("*", "501 5.7.0"),
            ("AUTH PLAIN !!", "501 5.5.2"),
            ("AUTH PLAIN =", "501 5.5.2"),
            (&format!("AUTH PLAIN {other}"), "535 5.7.8"),
            (&format!("AUTH PLAIN {wrong}"), "535 5.7.8"),
            (&format!("AUTH PLAIN {nobody}"), "535 5.7.8"),
            ("MAIL FROM:<ann@clinic.example>", "530 5.7.0"),
            // And behind all of that, the right one still opens.
            (&format!("AUTH PLAIN {plain}"), "235"),
        ],
    )
    .await;
    let mut clear = Client::connect(clinic.submission, &Entry::Clear).await.unwrap();
    check(
        &mut clear,
        &[
            (&format!("AUTH PLAIN {plain}"), "530 5.7.0 STARTTLS first"),
            ("AUTH LOGIN", "530 5.7.0"),
            ("MAIL FROM:<ann@clinic.example>", "530 5.7.0"),
        ],
    )
    .await;
    let log = clinic.daemon.logs().unwrap();
    assert!(log.contains("login refused") && !log.contains("guess") && !log.contains("nobody"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_relays_without_a_login_and_a_login_only_as_its_own_senders() {
    let config = "[limits]\nerrors_per_connection = 30\n";
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], config).await;
    let mut stranger = clinic.stranger().await;
    check(
        &mut stranger,
        &[
            ("MAIL FROM:<ann@clinic.example>", "530 5.7.0"),
            ("RCPT TO:<results@lab.example>", "530 5.7.0"),
            ("RCPT TO:<it@clinic.example>", "530 5.7.0"),
            ("DATA", "530 5.7.0"),
        ],
    )
    .await;
    let mut client = clinic.login("ehr").await;
    check(
        &mut client,
        &[
            ("RCPT TO:<results@lab.example>", "503 5.5.1"),
            ("DATA", "503 5.5.1"),
            ("MAIL FROM:<ann@elsewhere.example>", "553 5.7.1"),
            ("MAIL FROM:<ann@sub.clinic.example>", "553 5.7.1"),
            ("MAIL FROM:<ann@evilclinic.example>", "553 5.7.1"),
            ("MAIL FROM:<\"ann@clinic.example\"@elsewhere.example>", "553 5.7.1"),
            ("MAIL FROM:<>", "553 5.7.1"),
            ("MAIL FROM:<Ann@CLINIC.example>", "250 2.1.0"),
            ("MAIL FROM:<ann@clinic.example>", "503 5.5.1"),
            ("DATA", "554 5.5.1"),
            ("RSET", "250"),
        ],
    )
    .await;
    let body = "\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nSubject: x\r\n\r\nx\r\n";
    for (from, expected) in [
        ("From: ann@elsewhere.example", "553 5.7.1"),
        ("From: ann@clinic.example, eve@elsewhere.example", "553 5.7.1"),
        ("From: \"ann@clinic.example\" <eve@elsewhere.example>", "553 5.7.1"),
        ("From: ann@clinic.example\r\nFrom: eve@elsewhere.example", "553 5.7.1"),
        ("From: eve@elsewhere.example\r\nFrom: ann@clinic.example", "553 5.7.1"),
        ("From: staff: ann@clinic.example, eve@elsewhere.example;", "553 5.7.1"),
        ("From : eve@elsewhere.example\r\nFrom: ann@clinic.example", "553 5.7.1"),
        ("From:\r\n eve@elsewhere.example", "553 5.7.1"),
        ("From: =?utf-8?q?eve=40elsewhere.example?=", "553 5.7.1"),
        ("From:", "554 5.6.0"),
        ("X-From: ann@clinic.example", "554 5.6.0"),
        ("From: Bo <bo@clinic.example>", "250 2.0.0"),
        ("FROM:\r\n\tbo@clinic.example", "250 2.0.0"),
    ] {
        let content = format!("{from}{body}");
        let replies = client.send(&mail(&["results@lab.example"], content.as_bytes())).await.unwrap();
        let told = replies.last().text();
        assert!(told.starts_with(expected), "{from}: {told}");
    }
    let sent = clinic.submit("ehr", &["results@lab.example"], &letter("third", "x")).await;
    clinic.stands(&queued(&sent), &[("lab.example", "delivered")]).await;
    assert_eq!(clinic.taken("lab.example", 3).await.len(), 3, "what was refused went nowhere");
}
