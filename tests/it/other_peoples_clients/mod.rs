//! Mail programs that we did not write submit through both listeners. What reaches the partner is what they sent, octet for
//! octet behind our trace header; and one that does not trust our certificate turns away before it has said anything.

#![cfg(test)]

mod curl;
mod libraries;
mod msmtp;
mod swaks;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clinic::{Clinic, PASSWORD, behind_trace};
use crate::world::behaviour::Behaviour;
use crate::world::daemon::{HOSTNAME, Printed};

/// Whether a program is given our certificate authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Ours,
    /// Only what the machine trusts anyway.
    Nothing,
}

/// How a program may log in: as it is told to, or as it likes best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Login,
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    StartTls,
    Tls,
}

/// One message that a program is to send, and how. Its recipient has its name.
#[derive(Debug)]
struct Order {
    door: Door,
    mechanism: Mechanism,
    name: String,
    content: Vec<u8>,
}

impl Order {
    fn recipient(&self) -> String {
        format!("{}@lab.example", self.name)
    }
}

async fn clinic() -> Clinic {
    Clinic::open(&[("lab.example", Behaviour::default())], "").await
}

/// Each kind of message by both doors, and by both doors each mechanism, for programs that are handed whole messages.
fn orders() -> Vec<Order> {
    let mechanisms = [Mechanism::Plain, Mechanism::Login, Mechanism::Own];
    let mut orders = Vec::new();
    for (door, prefix) in [(Door::StartTls, "starttls"), (Door::Tls, "tls")] {
        for (at, (kind, content)) in messages().into_iter().enumerate() {
            let (mechanism, name) = (mechanisms[at % 3], format!("{prefix}-{kind}"));
            orders.push(Order { door, mechanism, name, content });
        }
    }
    orders
}

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let file = data_encoding::BASE64_MIME.encode(&[7; 6000]);
    let attachment = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee the file\r\n--b\r\n\
         Content-Type: application/octet-stream; name=\"scan.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{file}--b--\r\n"
    );
    let html = "MIME-Version: 1.0\r\nContent-Type: text/html; charset=us-ascii\r\n\r\n<p>R&eacute;sultats</p>\r\n";
    let eight_bit = b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nR\xe9sultats\r\n";
    let utf8 = "Subject: Größe\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGröße: 結果 🩺\r\n";
    let bodies: [(&str, &[u8]); 5] = [
        ("text", b"\r\nResults\r\n.\r\n..dots\r\n\r\n"),
        ("html", html.as_bytes()),
        ("attachment", attachment.as_bytes()),
        ("eight-bit", eight_bit),
        ("utf8", utf8.as_bytes()),
    ];
    let head = |kind: &str| {
        format!(
            "From: Ann Lee <ann@clinic.example>\r\nTo: results@lab.example\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n\
             Message-ID: <{kind}@clinic.example>\r\n"
        )
    };
    bodies.into_iter().map(|(kind, body)| (kind, [head(kind).as_bytes(), body].concat())).collect()
}

/// What has arrived is what was sent: the content for each name, once, under TLS on both ways.
async fn arrived(clinic: &Clinic, sent: &[(String, Vec<u8>)]) {
    let deliveries = clinic.taken("lab.example", sent.len()).await;
    assert_eq!(deliveries.len(), sent.len());
    for (name, content) in sent {
        let recipients = [format!("{name}@lab.example")];
        let delivery = deliveries.iter().find(|delivery| delivery.recipients == recipients);
        let delivery = delivery.unwrap_or_else(|| panic!("{name} has not arrived"));
        let left = behind_trace(&delivery.content);
        assert!(left == content, "{name}:\n{:?}\n{:?}", shown(left), shown(content));
        assert!(delivery.tls_version.is_some(), "{name}");
        // RFC 3848: S for TLS, A for the login; RFC 6531 §4.3: UTF8 where it was asked for.
        let with = if name.is_ascii() { "with ESMTPSA id" } else { "with UTF8SMTPSA id" };
        assert!(shown(&delivery.content).contains(with), "{name}");
    }
}

/// It turned away from both doors, our log says why in words, and it left nothing behind.
async fn distrusted(clinic: &Clinic) {
    // Some say so by a TLS alert, some only leave.
    clinic.logged("trust our certificate", 2).await;
    assert_nothing_taken(clinic);
}

fn assert_nothing_taken(clinic: &Clinic) {
    assert!(clinic.partner("lab.example").deliveries().is_empty());
    assert_eq!(clinic.daemon.run(&["queue", "list"]).unwrap().good().unwrap().matches("lab.example").count(), 0);
    let log = clinic.daemon.logs().unwrap();
    assert!(!log.contains("queued message") && !log.contains("login refused"), "{log}");
}

/// Runs a program of `tests/clients`, which is told in its environment where to send, and what to trust.
fn run(clinic: &Clinic, mut program: Command, trust: Trust) -> Printed {
    let sent = sent_folder(clinic);
    std::fs::create_dir_all(&sent).unwrap();
    program.env("HOST", clinic.submission.ip().to_string()).env("NAME", HOSTNAME).env("PASSWORD", PASSWORD);
    program.env("STARTTLS", clinic.submission.port().to_string()).env("TLS", clinic.submissions.port().to_string());
    program.env("TRUST", if trust == Trust::Ours { "yes" } else { "no" }).env("CA", clinic.ca()).env("SENT", sent);
    program.env("LC_ALL", "C.UTF-8");
    clinic.run(program)
}

fn sent_folder(clinic: &Clinic) -> PathBuf {
    clinic.daemon.folder.join("sent")
}

/// What such a program says that it sent.
fn sent(clinic: &Clinic) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(sent_folder(clinic)).unwrap().map(|entry| entry.unwrap().path());
    let name = |file: &Path| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files.map(|file| (name(&file), std::fs::read(&file).unwrap())).collect()
}

fn clients() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn shown(content: &[u8]) -> String {
    String::from_utf8_lossy(content).into_owned()
}
