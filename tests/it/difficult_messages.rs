//! Every structural trick that a message can play, once: each file of `tests/mail/torture` leaves as it came, or is refused
//! for what `tricks.txt` says; none takes long, and none brings anything down.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sealpost::classify::classify;
use sealpost::mail::{Message, WireLimits};
use sealpost::mime::{self, Budget};

use crate::clinic::{Clinic, behind_trace};
use crate::world::behaviour::Behaviour;
use crate::world::client::Client;
use crate::world::wire::{Reply, with_dots};

/// The longest that reading a small message may take, on a machine that does much else.
const BOUND: Duration = Duration::from_secs(5);
/// A subject that names a patient stays: what is edited is another scenario's.
const CONFIG: &str = "[limits]\nerrors_per_connection = 100\n[policy]\nphi_subject = \"leave\"\n";
/// How many places each message is cut at, for what a torn one does to the readers.
const CUTS: usize = 24;
const LIMITS: WireLimits = WireLimits { message_bytes: 1 << 20, header_bytes: 256 << 10, line_bytes: 100 << 10 };
const BUDGET: Budget = Budget { depth: 20, parts: 1000, ratio: 200, bytes: 100 << 20 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    AsItCame,
    /// With a Date and a Message-ID added.
    Dated,
    Refused,
}

struct Trick {
    name: String,
    fate: Fate,
    content: Vec<u8>,
}

fn tricks() -> Vec<Trick> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mail/torture");
    let list = std::fs::read_to_string(folder.join("tricks.txt")).unwrap();
    let rows = list.lines().filter(|line| !line.starts_with('#'));
    let tricks: Vec<Trick> = rows
        .map(|row| {
            let [name, fate, trick] = row.split(" | ").collect::<Vec<_>>().try_into().unwrap();
            assert!(!trick.is_empty(), "{name} does not say what its trick is");
            let fate = match fate {
                "as it came" => Fate::AsItCame,
                "dated" => Fate::Dated,
                "refused" => Fate::Refused,
                other => panic!("{name}: no such fate: {other}"),
            };
            Trick { name: name.to_owned(), fate, content: std::fs::read(folder.join(format!("{name}.eml"))).unwrap() }
        })
        .collect();
    let files = std::fs::read_dir(folder).unwrap().count() - 1;
    assert_eq!(tricks.len(), files, "a file is not in the list, or twice");
    tricks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difficult_message_leaves_octet_for_octet() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], CONFIG).await;
    let tricks = tricks();
    let mut faults = Vec::new();
    // A few connections, so that what one message leaves behind is seen in the next.
    for share in tricks.chunks(50) {
        let mut client = clinic.login("ehr").await;
        for trick in share {
            let reply = submitted(&mut client, trick).await;
            let as_told = match trick.fate {
                Fate::AsItCame | Fate::Dated => reply.code == 250,
                // RFC 6409 §6.1, §8: whose author is not known, or may not be used here, is not sent.
                Fate::Refused => matches!(reply.code, 550..=554),
            };
            if !as_told {
                faults.push(format!("{}: {}", trick.name, reply.text()));
            }
        }
        client.quit().await.unwrap();
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let expected = tricks.iter().filter(|trick| trick.fate != Fate::Refused).count();
    let deliveries = clinic.taken("lab.example", expected).await;
    assert_eq!(deliveries.len(), expected);
    let arrived: BTreeMap<&str, &[u8]> =
        deliveries.iter().map(|delivery| (local(&delivery.recipients[0]), behind_trace(&delivery.content))).collect();
    for Trick { name, fate, content } in &tricks {
        let left = arrived.get(name.as_str()).copied();
        match fate {
            Fate::AsItCame => assert!(left == Some(content), "{name}:\n{}", shown(left.unwrap_or_default())),
            Fate::Dated => assert_dated(left.unwrap(), content),
            Fate::Refused => assert_eq!(left, None, "{name}"),
        }
    }
    let log = clinic.daemon.logs().unwrap();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

/// Sends a message to a recipient that has its name, within the bound.
async fn submitted(client: &mut Client, Trick { name, content, .. }: &Trick) -> Reply {
    let lines = ["MAIL FROM:<ann@clinic.example> BODY=8BITMIME", &format!("RCPT TO:<{name}@lab.example>"), "DATA"];
    assert_eq!(client.pipeline(&lines).await.unwrap()[2].code, 354, "{name}");
    let began = Instant::now();
    client.write(&with_dots(content)).await.unwrap();
    let reply = client.reply().await.unwrap();
    assert!(began.elapsed() < BOUND, "{name}: {:?}", began.elapsed());
    reply
}

/// Both fields stand at the end of the header, once, and nothing else has moved.
fn assert_dated(left: &[u8], content: &[u8]) {
    let (left, content) = (shown(left), shown(content));
    let (header, body) = content.split_once("\r\n\r\n").unwrap();
    let added = left.strip_prefix(header).and_then(|rest| rest.strip_suffix(body)).unwrap().trim();
    assert_eq!(added.lines().count(), 2, "{added}");
    assert_eq!(added.matches("Date: ").count(), 1, "{added}");
    assert_eq!(added.matches("Message-ID: <").count(), 1, "{added}");
}

#[test]
fn a_torn_message_is_read_to_a_verdict_as_well() {
    for Trick { name, content, .. } in tricks() {
        for cut in 0..=CUTS {
            let mut torn = content[..content.len() * cut / CUTS].to_vec();
            while torn.last().is_some_and(|octet| b"\r\n".contains(octet)) {
                torn.pop();
            }
            torn.extend_from_slice(b"\r\n");
            let message = Message::parse(torn, &LIMITS).unwrap();
            let began = Instant::now();
            let verdict = classify(&mime::parse(&message, &BUDGET));
            assert!(began.elapsed() < BOUND, "{name} cut at {cut} of {CUTS}: {:?}", began.elapsed());
            drop(verdict);
        }
    }
}

fn local(recipient: &str) -> &str {
    recipient.split('@').next().unwrap()
}

fn shown(content: &[u8]) -> String {
    String::from_utf8_lossy(content).into_owned()
}
