//! Which way a message may go to each recipient, and why.

mod adds;
mod archive;
mod compat;
mod conditions;
mod decide;
mod edits;
mod guard;
mod idle;
mod marks;
mod past;
mod protection;
mod require_tls;
mod seen;
mod subject;
#[cfg(test)]
mod trials;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use adds::{Additions, Notified, SubjectFate};
pub use archive::copies;
pub use decide::{Rules, decide};
pub use edits::{Decided, edits};
pub use guard::{Letter, Sight, Sign, Signs, WholeRecord, guard, signs};
pub use idle::{Cause, Idle, idle, is_within};
pub use marks::{Ask, Marks, OptingOut, Used, marks};
pub use past::{Alike, Past};
pub use protection::{compare, compare_lists, compare_rules};
pub use seen::{Ends, Seen};

use crate::audit::HoldCause;
use crate::config::{Last, Permission};
use crate::mail::{Address, Assurance, ClientName, Domain, Envelope, Method};
use crate::mime::Tree;

/// What policy is told of a submission.
#[derive(Debug)]
pub struct Submission<'a> {
    pub client: Option<&'a ClientName>,
    pub marks: Belief,
    pub permission: Permission,
    pub envelope: &'a Envelope,
    pub tree: &'a Tree,
    pub seen: &'a Seen,
}

/// Whether tags and control headers of a message are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    Believed,
    /// They may be anybody's: nobody has logged in, or whoever has is known by its network alone.
    NotBelieved,
}

/// What was known of one recipient when the decision was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecipientFacts {
    pub domain: Domain,
    /// Whether a `[[route]]` covers the domain.
    pub routed: bool,
    /// The best TLS seen on an earlier delivery, and when (RFC 3339).
    pub tls_seen: Option<(Assurance, String)>,
    /// The MX hosts remembered.
    pub mx_seen: Vec<String>,
}

/// In the order of the envelope's recipients; none for one of whom nothing could be found out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    pub recipients: Vec<Option<RecipientFacts>>,
    /// What the client did before.
    #[serde(default)]
    pub past: Past,
}

impl Facts {
    pub fn of(&self, at: usize) -> Option<&RecipientFacts> {
        self.recipients.get(at)?.as_ref()
    }
}

/// What is to be done for one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// By the first of these methods that works; what follows when none does.
    Deliver {
        methods: Vec<Method>,
        last: Last,
    },
    Hold {
        reason: String,
    },
    Reject {
        text: String,
    },
}

/// How one rule fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub rule: String,
    pub result: RuleResult,
    /// What it adds, in words, and what of it gave way to another rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adds: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleResult {
    Won,
    /// Matched, and gave way to a more protective rule.
    Outdone {
        by: String,
    },
    /// Protects more than what won, and says that a narrower scope, or a sender who may, can do with less.
    Relaxed {
        by: String,
    },
    /// Matched, and only adds something.
    Added,
    /// The first condition that did not hold.
    NotMatched {
        condition: String,
    },
}

/// One recipient's decision. Made by `decide` only.
#[derive(Clone, Debug)]
pub struct Decision {
    pub recipient: Address,
    pub action: Action,
    /// Why it is held, when the action is to hold.
    pub cause: Option<HoldCause>,
    /// By what it goes when it is held and somebody lets it go: what would have won without the hold. Nothing less.
    pub released: Vec<Method>,
    pub rule: String,
    pub tried: Vec<Tried>,
    /// In words: what was skipped, and why; what was asked for; what was known.
    pub remarks: Vec<String>,
    /// How long it waits before it is first tried.
    pub delay: Duration,
    /// Whether the sender gets a receipt.
    pub receipt: bool,
    /// What looks like a mistake of the sender's, in words that the sender may read.
    pub concerns: Vec<String>,
    /// What rules add to it, whichever of them won.
    pub adds: Additions,
    /// Whether it is a copy for an archive, which the sender did not ask for.
    pub copy: bool,
}
