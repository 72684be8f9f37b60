//! A message between being read and being decided on.

use crate::classify::Verdict;
use crate::mail::Envelope;
use crate::mime::Tree;
use crate::policy::{self, Facts, Letter, Seen, Sight, Signs};

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
