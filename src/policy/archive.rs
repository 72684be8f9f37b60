//! Copies for an archive: they travel as the message does, or better protected.

use crate::policy::{Action, Additions, Decision, compare};

/// One decision for each archive that a rule names, unless it is a recipient anyway. It is the most protective of those
/// that call for the copy, whatever has been made of them by then: what protects the message for its recipient protects the copy.
pub fn copies(decisions: &[Decision]) -> Vec<Decision> {
    let mut copies: Vec<Decision> = Vec::new();
    // What is refused goes nowhere, and no archive needs to know it.
    for decision in decisions.iter().filter(|decision| !matches!(decision.action, Action::Reject { .. })) {
        for archive in &decision.adds.archive {
            if decisions.iter().any(|other| other.recipient == *archive) {
                continue;
            }
            match copies.iter_mut().find(|copy| copy.recipient == *archive) {
                Some(copy) if compare(&decision.action, &copy.action).is_gt() => {
                    *copy = copy_of(decision, archive.clone());
                }
                Some(_) => {}
                None => copies.push(copy_of(decision, archive.clone())),
            }
        }
    }
    copies
}

fn copy_of(decision: &Decision, archive: crate::mail::Address) -> Decision {
    let remarks = vec!["a copy for the archive, protected as the message is".to_owned()];
    Decision {
        recipient: archive,
        remarks,
        adds: Additions::default(),
        receipt: false,
        concerns: Vec::new(),
        copy: true,
        ..decision.clone()
    }
}
