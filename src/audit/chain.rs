//! The hash chain: each row's hash covers the row and the hash before it.
//!
//! `leaf = SHA-256("sealpost-event-1" LF node LF seq LF time LF actor LF event)`, the six texts joined by single line
//! feeds as they stand in the row; `hash = SHA-256("sealpost-link-1" LF previous hash LF leaf)`, hashes as lower-case
//! hexadecimal digits. The hash before row 1 is 64 zeros. A row may be shown by its leaf alone: that keeps what
//! happened to others closed, and the chain checkable.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::audit::{Actor, Event};
use crate::clock::Timestamp;
use crate::crypto::{Digest, PublicKey, SigningKey, sha256};

/// The node that keeps a chain: one chain per node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub String);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The newest link of a chain. Row numbers start at 1; an empty chain stands at 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub node: NodeId,
    pub seq: i64,
    pub hash: Digest,
}

impl Head {
    pub fn empty(node: NodeId) -> Head {
        Head { node, seq: 0, hash: Digest::ZERO }
    }
}

/// One row as it is hashed, kept and exported: the texts themselves, so that nothing depends on how they are written anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub node: NodeId,
    pub seq: i64,
    /// RFC 3339, in milliseconds, UTC.
    pub time: String,
    /// The actor, as JSON.
    pub actor: String,
    /// The event, as JSON.
    pub event: String,
}

impl Row {
    pub fn leaf(&self) -> Digest {
        let Row { node, seq, time, actor, event } = self;
        sha256(format!("sealpost-event-1\n{node}\n{seq}\n{time}\n{actor}\n{event}").as_bytes())
    }
}

/// A row in its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub row: Row,
    pub hash: Digest,
}

/// Puts one event behind `head`, and gives the new head with it.
pub fn link(head: &Head, at: Timestamp, actor: &Actor, event: &Event) -> Result<(Entry, Head), serde_json::Error> {
    let row = Row {
        node: head.node.clone(),
        seq: head.seq + 1,
        time: at.rfc3339(),
        actor: serde_json::to_string(actor)?,
        event: serde_json::to_string(event)?,
    };
    let hash = link_hash(&head.hash, &row.leaf());
    let next = Head { node: head.node.clone(), seq: row.seq, hash };
    Ok((Entry { row, hash }, next))
}

/// The hash of a link, from the hash before it and its leaf.
pub(crate) fn link_hash(previous: &Digest, leaf: &Digest) -> Digest {
    sha256(format!("sealpost-link-1\n{previous}\n{leaf}").as_bytes())
}

/// A head with the node's signature over it, for keeping elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    pub node: NodeId,
    pub seq: i64,
    pub hash: Digest,
    /// RFC 3339.
    pub time: String,
    /// Ed25519, base64.
    pub signature: String,
    pub key: String,
}

impl SignedHead {
    pub fn sign(head: &Head, at: Timestamp, key: &SigningKey) -> SignedHead {
        let time = at.rfc3339();
        let signature = key.sign(&signed_text(&head.node, head.seq, (&head.hash, &time)));
        SignedHead {
            node: head.node.clone(),
            seq: head.seq,
            hash: head.hash,
            time,
            signature: data_encoding::BASE64.encode(&signature),
            key: key.public().to_string(),
        }
    }

    /// Whether the signature is one of the key that the head names. Whose key that is, is for the reader to know.
    pub fn verifies(&self) -> bool {
        let Ok(key) = PublicKey::parse(&self.key) else { return false };
        let Ok(signature) = data_encoding::BASE64.decode(self.signature.as_bytes()) else { return false };
        key.verifies(&signed_text(&self.node, self.seq, (&self.hash, &self.time)), &signature)
    }
}

fn signed_text(node: &NodeId, seq: i64, (hash, time): (&Digest, &str)) -> Vec<u8> {
    format!("sealpost-head-1\n{node}\n{seq}\n{hash}\n{time}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_covers_the_one_before() {
        let start = Head::empty(NodeId("n1".into()));
        let event = Event::MasterKeyRotated;
        let (first, head) = link(&start, Timestamp::from_millis(0), &Actor::System, &event).unwrap();
        let (second, end) = link(&head, Timestamp::from_millis(0), &Actor::System, &event).unwrap();
        assert_eq!((first.row.seq, second.row.seq, end.seq), (1, 2, 2));
        assert_ne!(first.hash, second.hash);
        assert_eq!(second.hash, link_hash(&first.hash, &second.row.leaf()));
    }

    #[test]
    fn a_head_is_signed_and_a_changed_one_is_not() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let head = Head { node: NodeId("n1".into()), seq: 9, hash: sha256(b"x") };
        let signed = SignedHead::sign(&head, Timestamp::from_millis(0), &key);
        assert!(signed.verifies());
        assert!(!SignedHead { seq: 8, ..signed }.verifies());
    }
}
