//! What a message consists of, read within work budgets, and the closed list of edits that may be made to it.

use crate::mail::{Address, Message};
use crate::phi::Phi;

/// How much work reading one message may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub depth: usize,
    pub parts: usize,
    /// How many times its encoded size a part may grow to when decoded.
    pub ratio: usize,
    /// Decoded octets in all.
    pub bytes: usize,
}

/// Why a part could not be read. Each counts as PHI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    TooDeep,
    TooManyParts,
    TooLarge,
    RatioExceeded,
    /// The transfer encoding or the structure is broken or ambiguous.
    Broken,
    /// Encrypted end to end.
    Encrypted,
    /// No reader for this format.
    NoReader,
}

#[derive(Clone, Debug)]
pub enum Content {
    Text(Phi<String>),
    Unreadable(Unreadable),
}

/// One leaf of the tree, or a header that people write into.
#[derive(Clone, Debug)]
pub struct Part {
    /// `subject`, or the IMAP-style section number: `1`, `2.1`.
    pub path: String,
    pub media_type: String,
    pub name: Option<Phi<String>>,
    pub content: Content,
}

/// A message, decoded.
#[derive(Clone, Debug)]
pub struct Tree {
    pub subject: Phi<String>,
    pub from: Vec<Address>,
    pub message_id: Option<Phi<String>>,
    pub parts: Vec<Part>,
    /// Decoded values of the fields that steer Sealpost, lower-case names: `x-sealpost-secure`, `sensitivity`.
    pub control: Vec<(String, Phi<String>)>,
}

pub fn parse(_message: &Message, _budget: &Budget) -> Tree {
    todo!()
}

/// One edit of design.md's closed list.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A whole field, CRLF included, put in front.
    Prepend(String),
    /// Every field of this name taken off.
    Remove(&'static str),
    /// The subject without the tags that were obeyed.
    Subject(Phi<String>),
    /// A field put at the end of the header, if no field of that name is there.
    AddIfMissing(&'static str, String),
}

/// Applies the edits; every octet that no edit names stays as it was.
pub fn edit(_message: &Message, _edits: &[Edit]) -> Message {
    todo!()
}
