//! Whether a message holds PHI, and what was found where.

use serde::{Deserialize, Serialize};

use crate::mime::Tree;
use crate::phi::Kind;

/// One thing that was recognised. Never the text of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: Kind,
    /// As `mime::Part::path`.
    pub part: String,
    /// In characters of the decoded part.
    pub start: usize,
    pub end: usize,
    /// From 0 to 1.
    pub confidence: f32,
}

/// What the classifier concluded. Made by `classify` only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub phi: bool,
    /// From 0 to 1.
    pub score: f32,
    pub findings: Vec<Finding>,
    /// The classifier that said so.
    pub version: String,
}

pub fn classify(_tree: &Tree) -> Verdict {
    todo!()
}
