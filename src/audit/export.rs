//! The audit log as lines of text that a stranger can verify: `docs/reference/audit-format.md` is its description.

use serde::Serialize;

use crate::audit::{Entry, NodeId, SignedHead};
use crate::crypto::{Digest, PublicKey};

/// What the first line names.
pub(super) const FORMAT: &str = "sealpost-audit-1";

/// The longest line that an export may have; an event with 10,000 recipients stays below half of it.
pub const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// How much of a row is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    Whole,
    /// Only its hash: what happened to others stays closed, and the chain checkable.
    LeafOnly,
}

#[derive(Serialize)]
struct First<'a> {
    format: &'static str,
    node: &'a NodeId,
    key: String,
}

#[derive(Serialize)]
struct Whole<'a> {
    node: &'a NodeId,
    seq: i64,
    time: &'a str,
    actor: &'a str,
    event: &'a str,
    leaf: Digest,
    hash: Digest,
}

#[derive(Serialize)]
struct LeafOnly<'a> {
    node: &'a NodeId,
    seq: i64,
    leaf: Digest,
    hash: Digest,
}

/// The whole export of one node's chain, line by line, none of them with its line feed.
/// `rows` are in order from row 1 to the one that `head` signs.
pub fn export(
    key: &PublicKey,
    rows: impl IntoIterator<Item = (Entry, Show)>,
    head: &SignedHead,
) -> impl Iterator<Item = Result<String, serde_json::Error>> {
    let first = std::iter::once_with(|| first_line(&head.node, key));
    let rows = rows.into_iter().map(|(entry, show)| row_line(&entry, show));
    first.chain(rows).chain(std::iter::once_with(|| head_line(head)))
}

pub fn first_line(node: &NodeId, key: &PublicKey) -> Result<String, serde_json::Error> {
    serde_json::to_string(&First { format: FORMAT, node, key: key.to_string() })
}

pub fn row_line(entry: &Entry, show: Show) -> Result<String, serde_json::Error> {
    let Entry { row, hash } = entry;
    let (node, seq, leaf, hash) = (&row.node, row.seq, row.leaf(), *hash);
    match show {
        Show::Whole => {
            let (time, actor, event) = (row.time.as_str(), row.actor.as_str(), row.event.as_str());
            serde_json::to_string(&Whole { node, seq, time, actor, event, leaf, hash })
        }
        Show::LeafOnly => serde_json::to_string(&LeafOnly { node, seq, leaf, hash }),
    }
}

/// The last line: a signed head as it is also mailed and logged each day.
pub fn head_line(head: &SignedHead) -> Result<String, serde_json::Error> {
    serde_json::to_string(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Event, Head, link};
    use crate::clock::Timestamp;
    use crate::crypto::SigningKey;

    #[test]
    fn an_export_is_a_format_line_the_rows_and_the_head() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let at = Timestamp::from_millis(0);
        let start = Head::empty(NodeId("n1".into()));
        let (first, head) = link(&start, at, &Actor::System, &Event::MasterKeyRotated).unwrap();
        let (second, head) = link(&head, at, &Actor::System, &Event::Stopped { boot: 1 }).unwrap();
        let signed = SignedHead::sign(&head, at, &key);
        let rows = [(first, Show::Whole), (second.clone(), Show::LeafOnly)];
        let lines: Vec<String> = export(&key.public(), rows, &signed).map(Result::unwrap).collect();
        assert_eq!(
            lines[0],
            format!("{{\"format\":\"sealpost-audit-1\",\"node\":\"n1\",\"key\":\"{}\"}}", key.public())
        );
        assert!(lines[1].starts_with(
            "{\"node\":\"n1\",\"seq\":1,\"time\":\"1970-01-01T00:00:00.000Z\",\"actor\":\"\\\"system\\\"\",\
             \"event\":\"{\\\"event\\\":\\\"master_key_rotated\\\"}\",\"leaf\":\""
        ));
        let (leaf, hash) = (second.row.leaf(), second.hash);
        assert_eq!(lines[2], format!("{{\"node\":\"n1\",\"seq\":2,\"leaf\":\"{leaf}\",\"hash\":\"{hash}\"}}"));
        assert_eq!(serde_json::from_str::<SignedHead>(&lines[3]).unwrap(), signed);
    }
}
