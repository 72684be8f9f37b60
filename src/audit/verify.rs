//! Whether an export is the whole log, unaltered: which row breaks it, or up to where it is proved.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::audit::chain::link_hash;
use crate::audit::export::{FORMAT, MAX_LINE_BYTES};
use crate::audit::{Head, NodeId, Row, SignedHead};
use crate::crypto::{Digest, PublicKey};

/// Up to where an export proves the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    pub node: NodeId,
    pub rows: i64,
    /// How many of the rows could be read; the others were shown by their leaf alone.
    pub shown: i64,
    /// When the last row stood at the end of the chain, as the signed head says.
    pub time: String,
    /// The key that signed the head. Whose key that is, is for the reader to know.
    pub key: String,
    /// The row up to which a head kept elsewhere agrees, if one was given.
    pub kept: Option<i64>,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Proof { node, rows, shown, time, key, kept } = self;
        write!(f, "proved up to row {rows} of node {node}, {time}; {shown} rows shown; signed by key {key}. ")?;
        match kept {
            Some(seq) => write!(f, "The head kept elsewhere agrees: nothing up to row {seq} was changed or cut."),
            None => f.write_str(
                "No head kept elsewhere was given (--head): that no rows were cut from the end is not proved.",
            ),
        }
    }
}

/// The first thing that is wrong with an export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("line 1 is not the first line of an export in the format {FORMAT}")]
    NotAnExport,
    #[error("line {line} has {bytes} bytes; the longest line of an export has {MAX_LINE_BYTES}")]
    TooLong { line: u64, bytes: usize },
    #[error("line {line} is cut, or not JSON (column {column})")]
    NotJson { line: u64, column: usize },
    #[error("line {line} is JSON, and neither a row nor a signed head: {why}")]
    NotARow { line: u64, why: String },
    #[error("line {line}: row {seq} is of node {found}, in an export of node {expected}")]
    OtherNode { line: u64, seq: i64, found: NodeId, expected: NodeId },
    #[error("line {line}: row {expected} is missing; row {found} stands in its place")]
    Missing { line: u64, expected: i64, found: i64 },
    #[error("line {line}: row {seq} stands there a second time")]
    Repeated { line: u64, seq: i64 },
    #[error("line {line}: row {seq} is out of order; row {expected} was expected")]
    OutOfOrder { line: u64, seq: i64, expected: i64 },
    #[error("line {line}: row {seq} was altered: its texts do not give its leaf")]
    Altered { line: u64, seq: i64 },
    #[error("line {line}: row {seq} has a wrong hash: it does not follow from the row before and its leaf")]
    WrongHash { line: u64, seq: i64 },
    #[error("the export ends after row {rows} without a signed head: its end was cut off")]
    NoHead { rows: i64 },
    #[error("line {line} stands behind the signed head, which must be the last line")]
    BehindHead { line: u64 },
    #[error("line {line}: the signed head is of row {head}, and the rows end at {rows}: rows were cut, or added")]
    HeadOfOtherRow { line: u64, head: i64, rows: i64 },
    #[error("line {line}: the signed head has another hash than row {rows}: the rows were replaced")]
    HeadOfOtherChain { line: u64, rows: i64 },
    #[error("line {line}: the signature of the head is not one of the key in line 1")]
    BadSignature { line: u64 },
    #[error("the head kept elsewhere is not signed by the key that it names")]
    KeptUnsigned,
    #[error("the head kept elsewhere is of node {kept}; the export is of node {export}")]
    KeptOtherNode { kept: NodeId, export: NodeId },
    #[error("the head kept elsewhere is signed by another key than the export")]
    KeptOtherKey,
    #[error("rows were cut off: the head kept elsewhere is of row {kept}, and the export ends at row {rows}")]
    CutTail { kept: i64, rows: i64 },
    #[error("row {seq} has another hash than the head kept elsewhere: the log was rewritten at or before it")]
    KeptDiffers { seq: i64 },
}

/// Verifies an export line by line. `kept` is a head that left the machine earlier.
pub fn verify<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>, kept: Option<SignedHead>) -> Result<Proof, Broken> {
    let mut verifier = Verifier::new(kept)?;
    for line in lines {
        verifier.line(line.as_ref())?;
    }
    verifier.finish()
}

/// The same, for a reader that gets its lines one by one. It holds one line at a time, however long the log is.
#[derive(Debug)]
pub struct Verifier {
    kept: Option<SignedHead>,
    line: u64,
    reading: Reading,
}

#[derive(Debug)]
enum Reading {
    First,
    Rows(Chain),
    End(Proof),
}

#[derive(Debug)]
struct Chain {
    head: Head,
    shown: i64,
    key: PublicKey,
}

/// A line of any kind. One flat form, so that a doubled or unknown field is refused in each.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    format: Option<String>,
    node: Option<NodeId>,
    seq: Option<i64>,
    time: Option<String>,
    actor: Option<String>,
    event: Option<String>,
    leaf: Option<Digest>,
    hash: Option<Digest>,
    signature: Option<String>,
    key: Option<String>,
}

impl Verifier {
    pub fn new(kept: Option<SignedHead>) -> Result<Verifier, Broken> {
        if kept.as_ref().is_some_and(|head| !head.verifies()) {
            return Err(Broken::KeptUnsigned);
        }
        Ok(Verifier { kept, line: 0, reading: Reading::First })
    }

    /// Takes one line, with or without its line feed. After an error the verifier has seen enough.
    pub fn line(&mut self, text: &[u8]) -> Result<(), Broken> {
        self.line += 1;
        let line = self.line;
        if text.len() > MAX_LINE_BYTES {
            return Err(Broken::TooLong { line, bytes: text.len() });
        }
        match &mut self.reading {
            Reading::First => {
                let chain = read_line(line, text).ok().and_then(first).ok_or(Broken::NotAnExport)?;
                check_kept_names(self.kept.as_ref(), &chain)?;
                self.reading = Reading::Rows(chain);
            }
            Reading::Rows(chain) => {
                let read = read_line(line, text)?;
                if read.signature.is_some() {
                    let kept = self.kept.as_ref().map(|kept| kept.seq);
                    self.reading = Reading::End(chain.end(line, read, kept)?);
                } else {
                    chain.take(line, read)?;
                    check_kept(self.kept.as_ref(), &chain.head)?;
                }
            }
            Reading::End(_) => return Err(Broken::BehindHead { line }),
        }
        Ok(())
    }

    pub fn finish(self) -> Result<Proof, Broken> {
        match self.reading {
            Reading::First => Err(Broken::NotAnExport),
            Reading::Rows(chain) => Err(Broken::NoHead { rows: chain.head.seq }),
            Reading::End(proof) => match proof.kept {
                Some(kept) if kept > proof.rows => Err(Broken::CutTail { kept, rows: proof.rows }),
                Some(_) | None => Ok(proof),
            },
        }
    }
}

impl Chain {
    fn take(&mut self, line: u64, read: Line) -> Result<(), Broken> {
        let Line {
            format: None, key: None, node: Some(node), seq: Some(seq), leaf: Some(leaf), hash: Some(hash), ..
        } = read
        else {
            return Err(not_a_row(line, "a row has node, seq, leaf and hash"));
        };
        self.check_place(line, &node, seq)?;
        match (read.time, read.actor, read.event) {
            (Some(time), Some(actor), Some(event)) => {
                let row = Row { node, seq, time, actor, event };
                // The texts are hashed with line feeds between them: one inside a text could pass for a border.
                let texts = [&row.node.0, &row.time, &row.actor, &row.event];
                if texts.iter().any(|text| text.contains('\n')) || row.leaf() != leaf {
                    return Err(Broken::Altered { line, seq });
                }
                self.shown += 1;
            }
            (None, None, None) => {}
            _ => return Err(not_a_row(line, "a row has all of time, actor and event, or none of them")),
        }
        if link_hash(&self.head.hash, &leaf) != hash {
            return Err(Broken::WrongHash { line, seq });
        }
        self.head.seq = seq;
        self.head.hash = hash;
        Ok(())
    }

    fn check_place(&self, line: u64, node: &NodeId, seq: i64) -> Result<(), Broken> {
        if *node != self.head.node {
            let (found, expected) = (node.clone(), self.head.node.clone());
            return Err(Broken::OtherNode { line, seq, found, expected });
        }
        let expected = self.head.seq.saturating_add(1);
        match seq.cmp(&expected) {
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(Broken::Missing { line, expected, found: seq }),
            Ordering::Less if seq == self.head.seq => Err(Broken::Repeated { line, seq }),
            Ordering::Less => Err(Broken::OutOfOrder { line, seq, expected }),
        }
    }

    fn end(&self, line: u64, read: Line, kept: Option<i64>) -> Result<Proof, Broken> {
        let Line {
            format: None,
            node: Some(node),
            seq: Some(seq),
            time: Some(time),
            actor: None,
            event: None,
            leaf: None,
            hash: Some(hash),
            signature: Some(signature),
            key: Some(key),
        } = read
        else {
            return Err(not_a_row(line, "a signed head has node, seq, hash, time, signature and key"));
        };
        let Head { node: of, seq: rows, hash: last } = self.head.clone();
        if node != of {
            return Err(Broken::OtherNode { line, seq, found: node, expected: of });
        }
        if seq != rows {
            return Err(Broken::HeadOfOtherRow { line, head: seq, rows });
        }
        if hash != last {
            return Err(Broken::HeadOfOtherChain { line, rows });
        }
        let head = SignedHead { node, seq, hash, time, signature, key };
        if PublicKey::parse(&head.key) != Ok(self.key) || head.time.contains('\n') || !head.verifies() {
            return Err(Broken::BadSignature { line });
        }
        Ok(Proof { node: of, rows, shown: self.shown, time: head.time, key: head.key, kept })
    }
}

fn first(read: Line) -> Option<Chain> {
    let Line {
        format: Some(format),
        node: Some(node),
        seq: None,
        time: None,
        actor: None,
        event: None,
        leaf: None,
        hash: None,
        signature: None,
        key: Some(key),
    } = read
    else {
        return None;
    };
    let key = PublicKey::parse(&key).ok()?;
    (format == FORMAT).then(|| Chain { head: Head::empty(node), shown: 0, key })
}

fn check_kept_names(kept: Option<&SignedHead>, chain: &Chain) -> Result<(), Broken> {
    let Some(kept) = kept else { return Ok(()) };
    if kept.node != chain.head.node {
        return Err(Broken::KeptOtherNode { kept: kept.node.clone(), export: chain.head.node.clone() });
    }
    if PublicKey::parse(&kept.key) != Ok(chain.key) {
        return Err(Broken::KeptOtherKey);
    }
    check_kept(Some(kept), &chain.head)
}

fn check_kept(kept: Option<&SignedHead>, head: &Head) -> Result<(), Broken> {
    match kept {
        Some(kept) if kept.seq == head.seq && kept.hash != head.hash => Err(Broken::KeptDiffers { seq: kept.seq }),
        Some(_) | None => Ok(()),
    }
}

fn read_line(line: u64, text: &[u8]) -> Result<Line, Broken> {
    serde_json::from_slice(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => not_a_row(line, &error.to_string()),
        _ => Broken::NotJson { line, column: error.column() },
    })
}

fn not_a_row(line: u64, why: &str) -> Broken {
    Broken::NotARow { line, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Event, Show, export, link};
    use crate::clock::Timestamp;
    use crate::crypto::SigningKey;

    const ROWS: usize = 8;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32]).unwrap()
    }

    /// Format line, eight rows of which every third is closed, signed head.
    fn good() -> Vec<String> {
        lines_of(ROWS).0
    }

    fn lines_of(rows: usize) -> (Vec<String>, SignedHead) {
        let mut head = Head::empty(NodeId("n1".into()));
        let mut entries = Vec::new();
        for boot in 0..rows {
            let event = Event::Stopped { boot: boot as i64 };
            let at = Timestamp::from_millis(boot as i64 * 1000);
            let (entry, next) = link(&head, at, &Actor::System, &event).unwrap();
            let show = if boot % 3 == 2 { Show::LeafOnly } else { Show::Whole };
            entries.push((entry, show));
            head = next;
        }
        let signed = SignedHead::sign(&head, Timestamp::from_millis(9_000), &key());
        (export(&key().public(), entries, &signed).map(Result::unwrap).collect(), signed)
    }

    fn broken(lines: &[String]) -> Broken {
        verify(lines, None).unwrap_err()
    }

    #[test]
    fn a_whole_export_is_proved_up_to_its_last_row() {
        let proof = verify(good(), None).unwrap();
        assert_eq!((proof.rows, proof.shown, proof.kept), (8, 6, None));
        assert!(
            proof.to_string().starts_with("proved up to row 8 of node n1, 1970-01-01T00:00:09.000Z; 6 rows shown;")
        );
        assert!(proof.to_string().contains("is not proved"));
        assert_eq!(verify(lines_of(0).0, None).unwrap().rows, 0);
    }

    #[test]
    fn every_altered_row_is_named() {
        for row in 1..=ROWS {
            for field in ["time", "actor", "event", "leaf", "hash"] {
                let mut lines = good();
                let mut value: serde_json::Value = serde_json::from_str(&lines[row]).unwrap();
                let Some(text) = value[field].as_str().map(str::to_owned) else { continue };
                let last = if text.ends_with('0') { '1' } else { '0' };
                value[field] = format!("{}{last}", &text[..text.len() - 1]).into();
                lines[row] = value.to_string();
                let (line, seq) = (row as u64 + 1, row as i64);
                let found = broken(&lines);
                assert!(
                    found == Broken::Altered { line, seq } || found == Broken::WrongHash { line, seq },
                    "{field} of row {row}: {found}"
                );
            }
        }
    }

    #[test]
    fn every_dropped_row_is_named() {
        for row in 1..ROWS {
            let mut lines = good();
            lines.remove(row);
            let (line, expected) = (row as u64 + 1, row as i64);
            assert_eq!(broken(&lines), Broken::Missing { line, expected, found: expected + 1 });
        }
    }

    #[test]
    fn swapped_doubled_and_inserted_rows_are_named() {
        for row in 1..ROWS {
            let mut swapped = good();
            swapped.swap(row, row + 1);
            assert!(matches!(broken(&swapped), Broken::Missing { expected, .. } if expected == row as i64));
            let mut doubled = good();
            doubled.insert(row + 1, doubled[row].clone());
            assert_eq!(broken(&doubled), Broken::Repeated { line: row as u64 + 2, seq: row as i64 });
            let mut earlier = good();
            earlier.insert(ROWS + 1, earlier[row].clone());
            assert!(matches!(broken(&earlier), Broken::OutOfOrder { seq, .. } if seq == row as i64));
        }
        // A row of another chain with the right number has the wrong hash.
        let mut foreign = good();
        let zero = Digest::ZERO;
        foreign[4] = format!("{{\"node\":\"n1\",\"seq\":4,\"leaf\":\"{zero}\",\"hash\":\"{zero}\"}}");
        assert_eq!(broken(&foreign), Broken::WrongHash { line: 5, seq: 4 });
    }

    #[test]
    fn a_cut_end_shows_itself_at_each_place() {
        let lines = good();
        assert_eq!(broken(&[]), Broken::NotAnExport);
        for end in 1..=ROWS {
            assert_eq!(broken(&lines[..end]), Broken::NoHead { rows: end as i64 - 1 });
        }
        let mut cut = lines.clone();
        cut.remove(ROWS);
        assert_eq!(broken(&cut), Broken::HeadOfOtherRow { line: 9, head: 8, rows: 7 });
    }

    #[test]
    fn a_tail_cut_with_a_new_head_is_noticed_against_a_head_kept_elsewhere() {
        let kept = lines_of(ROWS).1;
        let (cut, _) = lines_of(ROWS - 1);
        assert!(verify(&cut, None).is_ok());
        assert_eq!(verify(&cut, Some(kept.clone())), Err(Broken::CutTail { kept: 8, rows: 7 }));
        let (longer, _) = lines_of(ROWS + 2);
        let proof = verify(&longer, Some(kept.clone())).unwrap();
        assert_eq!((proof.rows, proof.kept), (10, Some(8)));
        assert!(proof.to_string().contains("nothing up to row 8 was changed or cut"));
        let other = Head { hash: Digest::ZERO, seq: 8, node: kept.node };
        let rewritten = SignedHead::sign(&other, Timestamp::from_millis(0), &key());
        assert_eq!(verify(&longer, Some(rewritten)), Err(Broken::KeptDiffers { seq: 8 }));
    }

    #[test]
    fn a_kept_head_of_another_key_or_node_or_without_its_signature_proves_nothing() {
        let (lines, signed) = lines_of(ROWS);
        let head = Head { node: signed.node.clone(), seq: 8, hash: signed.hash };
        let stranger = SigningKey::from_seed(&[8; 32]).unwrap();
        let other_key = SignedHead::sign(&head, Timestamp::from_millis(0), &stranger);
        assert_eq!(verify(&lines, Some(other_key)), Err(Broken::KeptOtherKey));
        let head = Head { node: NodeId("n2".into()), ..head };
        let other_node = SignedHead::sign(&head, Timestamp::from_millis(0), &key());
        assert!(matches!(verify(&lines, Some(other_node)), Err(Broken::KeptOtherNode { .. })));
        assert_eq!(verify(&lines, Some(SignedHead { seq: 7, ..signed })), Err(Broken::KeptUnsigned));
    }

    #[test]
    fn a_head_that_the_node_did_not_sign_is_refused() {
        let mut lines = good();
        let mut head: SignedHead = serde_json::from_str(&lines[9]).unwrap();
        head.time = "1970-01-02T00:00:00.000Z".into();
        lines[9] = serde_json::to_string(&head).unwrap();
        assert_eq!(broken(&lines), Broken::BadSignature { line: 10 });
        let stranger = SigningKey::from_seed(&[8; 32]).unwrap();
        let own = Head { node: head.node, seq: head.seq, hash: head.hash };
        lines[9] = serde_json::to_string(&SignedHead::sign(&own, Timestamp::from_millis(0), &stranger)).unwrap();
        assert_eq!(broken(&lines), Broken::BadSignature { line: 10 });
    }

    #[test]
    fn a_border_cannot_be_moved_from_one_text_into_another() {
        let mut lines = good();
        let mut value: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        let moved = format!("{}\n{}", value["time"].as_str().unwrap(), value["actor"].as_str().unwrap());
        value["time"] = moved.into();
        value["actor"] = value["event"].clone();
        value["event"] = "".into();
        lines[1] = value.to_string();
        assert_eq!(broken(&lines), Broken::Altered { line: 2, seq: 1 });
    }

    #[test]
    fn bad_input_is_refused_with_its_line() {
        let with = |at: usize, text: &str| {
            let mut lines = good();
            lines[at] = text.to_owned();
            broken(&lines)
        };
        let cut = good()[3][..40].to_owned();
        assert!(matches!(with(3, &cut), Broken::NotJson { line: 4, .. }));
        assert!(matches!(with(3, ""), Broken::NotJson { line: 4, .. }));
        assert!(matches!(with(3, "\u{0}"), Broken::NotJson { line: 4, .. }));
        assert!(matches!(with(3, "{}"), Broken::NotARow { line: 4, .. }));
        assert!(matches!(with(3, "{\"seq\":1,\"seq\":2}"), Broken::NotARow { line: 4, .. }));
        assert!(matches!(with(3, &good()[3].replace("\"seq\":3", "\"seq\":3,\"note\":1")), Broken::NotARow { .. }));
        assert!(matches!(with(3, &good()[3].replace("\"n1\"", "\"n2\"")), Broken::OtherNode { line: 4, seq: 3, .. }));
        assert!(matches!(with(2, &" ".repeat(MAX_LINE_BYTES + 1)), Broken::TooLong { line: 3, .. }));
        assert_eq!(with(0, "{\"format\":\"sealpost-audit-9\"}"), Broken::NotAnExport);
        let mut more = good();
        more.push(more[9].clone());
        assert_eq!(broken(&more), Broken::BehindHead { line: 11 });
    }
}
