//! Copies for an archive: they travel as the message does, or better protected.

use crate::policy::protection::Plan;
use crate::policy::{Action, Additions, Decision};

/// One decision for each archive that a rule names, unless it is a recipient anyway. It is the most protective of those
/// that call for the copy: what protects the message for its recipient protects the copy.
pub(super) fn copies(decisions: &[Decision]) -> Vec<Decision> {
    let mut copies: Vec<Decision> = Vec::new();
    for decision in decisions {
        for archive in &decision.adds.archive {
            if decisions.iter().any(|other| other.recipient == *archive) {
                continue;
            }
            match copies.iter_mut().find(|copy| copy.recipient == *archive) {
                Some(copy) if protection(decision) > protection(copy) => *copy = copy_of(decision, archive.clone()),
                Some(_) => {}
                None => copies.push(copy_of(decision, archive.clone())),
            }
        }
    }
    // What is refused goes nowhere, and no archive needs to know it.
    copies.retain(|copy| !matches!(copy.action, Action::Reject { .. }));
    copies
}

fn copy_of(decision: &Decision, archive: crate::mail::Address) -> Decision {
    let remarks = vec!["a copy for the archive, protected as the message is".to_owned()];
    Decision { recipient: archive, remarks, adds: Additions::default(), receipt: false, copy: true, ..decision.clone() }
}

fn protection(decision: &Decision) -> impl Ord + use<> {
    match &decision.action {
        Action::Deliver { methods, last } => Plan::deliver(methods, *last).protection,
        Action::Hold { reason } => Plan::hold(reason).protection,
        Action::Reject { text } => Plan::reject(text).protection,
    }
}
