//! The audit log: no input makes the verifier fall over, and no change of an export goes unseen by who kept its head.

use std::sync::LazyLock;

use sealpost::audit::{self, Actor, Event, Head, NodeId, Show, SignedHead};
use sealpost::clock::Timestamp;
use sealpost::crypto::SigningKey;
use serde_json::Value;

struct Export {
    text: String,
    read: Vec<Value>,
    head: SignedHead,
}

/// Eight rows, every third of them closed.
static GOOD: LazyLock<Export> = LazyLock::new(|| {
    let key = SigningKey::from_seed(&[7; 32]).expect("a seed");
    let mut head = Head::empty(NodeId("n1".into()));
    let mut rows = Vec::new();
    for boot in 0..8 {
        let event = if boot % 2 == 0 { Event::Stopped { boot } } else { Event::MasterKeyRotated };
        let (entry, next) = audit::link(&head, Timestamp::from_millis(boot), &Actor::System, &event).expect("JSON");
        rows.push((entry, if boot % 3 == 2 { Show::LeafOnly } else { Show::Whole }));
        head = next;
    }
    let head = SignedHead::sign(&head, Timestamp::from_millis(9), &key);
    let lines: Vec<String> = audit::export(&key.public(), rows, &head).map(|line| line.expect("JSON")).collect();
    Export {
        read: lines.iter().map(|line| read(line.as_bytes()).expect("JSON")).collect(),
        text: lines.join("\n"),
        head,
    }
});

/// The input is an export by itself, and a list of changes to a good one.
pub fn check(data: &[u8]) {
    let _any = audit::verify(data.split(|octet| *octet == b'\n'), None);
    let mut text = GOOD.text.clone().into_bytes();
    for change in data.chunks_exact(4).take(16) {
        if text.is_empty() {
            break;
        }
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % text.len();
        match change[2] % 4 {
            0 => text[at] = change[3],
            1 => text.insert(at, change[3]),
            2 => drop(text.remove(at)),
            _ => text.truncate(at),
        }
    }
    let lines: Vec<&[u8]> = text.split(|octet| *octet == b'\n').collect();
    if let Ok(proof) = audit::verify(&lines, Some(GOOD.head.clone())) {
        assert_eq!(proof.rows, 8);
        let read: Vec<Value> = lines.iter().map(|line| read(line).expect("it was read")).collect();
        assert_eq!(read, GOOD.read, "a changed export passes");
    }
}

fn read(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok()
}
