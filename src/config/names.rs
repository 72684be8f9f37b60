//! The names under which decisions are made that no rule makes. A rule of such a name would be taken for them.

/// The name under which a sender's own wish competes.
pub const ASKED: &str = "sender asked for protection";
/// The name under which a sender's wish for less competes.
pub const OPTED_OUT: &str = "sender opted out";
/// The name under which a subject holds a message.
pub const SUBJECT: &str = "the subject";
/// The name under which a subject is refused for what it holds.
pub const REFUSED: &str = "a password in the subject";
/// The name under which `[policy] default` competes.
pub const DEFAULT: &str = "default";
/// What the names of decisions of `[policy.guard]` begin with.
pub const GUARD: &str = "guard: ";

/// Whether a rule must not be called so.
pub(super) fn is_taken(name: &str) -> bool {
    [ASKED, OPTED_OUT, SUBJECT, REFUSED, DEFAULT].contains(&name) || name.starts_with(GUARD)
}
