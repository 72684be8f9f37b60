//! A message between being read and being decided on.

use crate::classify::Verdict;
use crate::crypto::Digest;
use crate::mail::{ClientName, Envelope};
use crate::mime::Tree;
use crate::policy::{self, Facts, Letter, Seen, Sight, Signs};

/// Whether copies of a message are looked for, and whose.
pub(super) enum Copies {
    NotAsked,
    Of(ClientName, Envelope),
}

/// What a message says, from one look at the whole of it.
pub(super) struct Looked {
    pub(super) tree: Tree,
    pub(super) verdict: Verdict,
    pub(super) letter: Letter,
    pub(super) seen: Seen,
    /// By what a copy of it is known.
    pub(super) likeness: Option<Digest>,
}

/// A message that has been read, and what is known of its recipients.
pub(super) struct Read {
    pub(super) tree: Tree,
    pub(super) verdict: Verdict,
    pub(super) facts: Facts,
    pub(super) seen: Seen,
    /// What may be a mistake in it.
    pub(super) signs: Signs,
}

impl Read {
    pub(super) fn new(read: (Tree, Verdict), sent: (&Letter, &Envelope), facts: Facts, seen: Seen) -> Read {
        let ((tree, verdict), (letter, envelope)) = (read, sent);
        let signs = policy::signs(Sight { envelope, letter, tree: &tree, verdict: &verdict, facts: &facts });
        Read { tree, verdict, facts, seen, signs }
    }
}
