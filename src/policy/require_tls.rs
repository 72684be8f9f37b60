//! What a sender may ask of TLS on the way: more of it by REQUIRETLS, less of it never (RFC 8689).

use crate::config::Last;
use crate::mail::{Assurance, Envelope, RequireTls};
use crate::mime::Tree;
use crate::policy::protection::raise;
use crate::policy::{Action, Decision};

/// Changes the decisions of a message that requires TLS, and says beside each what came of the wish.
pub(super) fn obey(decisions: &mut [Decision], envelope: &Envelope, tree: &Tree) {
    match envelope.asked.require_tls {
        RequireTls::Yes => decisions.iter_mut().for_each(require),
        RequireTls::No | RequireTls::IfOffered => {}
    }
    if waives(tree) {
        let words =
            "the header says \"TLS-Required: No\", which is not obeyed here: policy says what protects a message";
        decisions.iter_mut().for_each(|decision| decision.remarks.push(words.into()));
    }
}

/// RFC 8689 §4.2.1: a server whose certificate was verified, or the message goes back; it is not kept for somebody to
/// find another way.
fn require(decision: &mut Decision) {
    raise(&mut decision.released, Assurance::Valid);
    match &mut decision.action {
        Action::Deliver { methods, last } => {
            raise(methods, Assurance::Valid);
            *last = Last::Undeliverable;
            decision.remarks.push(
                "the sender requires TLS on the whole way (REQUIRETLS): it goes only to a server that promises it, or back"
                    .into(),
            );
        }
        Action::Hold { .. } | Action::Reject { .. } => {}
    }
}

fn waives(tree: &Tree) -> bool {
    // Only compared with one word.
    let says_no = |value: &str| value.trim().eq_ignore_ascii_case("No");
    tree.control.iter().any(|(name, value)| name == "tls-required" && says_no(value.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Address, Message, Method, ReversePath, WireLimits};
    use crate::mime::{self, Budget};
    use crate::policy::Additions;

    fn decided(header: &str, require_tls: RequireTls) -> Decision {
        let limits = WireLimits { message_bytes: 1000, header_bytes: 1000, line_bytes: 1000 };
        let message = Message::parse(format!("{header}\r\n\r\nx\r\n").into_bytes(), &limits).unwrap();
        let bo = Address::parse("bo@lab.example").unwrap();
        let mut envelope = Envelope::new(ReversePath::Null, bo.clone(), Vec::new());
        envelope.asked.require_tls = require_tls;
        let methods = [Assurance::Authenticated, Assurance::Valid, Assurance::Encrypted].map(Method::Tls).to_vec();
        let mut decisions = [Decision {
            recipient: bo,
            action: Action::Deliver { methods: methods.clone(), last: Last::Hold },
            cause: None,
            released: methods,
            rule: "Default".into(),
            tried: Vec::new(),
            remarks: Vec::new(),
            delay: std::time::Duration::ZERO,
            receipt: false,
            concerns: Vec::new(),
            adds: Additions::default(),
            copy: false,
        }];
        let budget = Budget { depth: 1, parts: 1, ratio: 1, bytes: 1000 };
        obey(&mut decisions, &envelope, &mime::parse(&message, &budget));
        let [decision] = decisions;
        decision
    }

    #[test]
    fn a_message_that_requires_tls_goes_to_a_verified_server_or_back() {
        let verified = vec![Method::Tls(Assurance::Authenticated), Method::Tls(Assurance::Valid)];
        let decision = decided("Subject: x", RequireTls::Yes);
        assert_eq!(decision.released, verified);
        assert_eq!(decision.action, Action::Deliver { methods: verified, last: Last::Undeliverable });
        assert_eq!(decision.remarks.len(), 1);
    }

    #[test]
    fn a_header_that_waives_tls_changes_nothing_and_is_told() {
        let plain = decided("Subject: x", RequireTls::No);
        assert!(plain.remarks.is_empty());
        let waived = decided("tls-required: no", RequireTls::No);
        assert_eq!((waived.action, waived.released), (plain.action, plain.released));
        assert!(waived.remarks[0].contains("not obeyed"), "{:?}", waived.remarks);
        assert!(decided("TLS-Required: maybe", RequireTls::No).remarks.is_empty());
        assert_eq!(decided("TLS-Required: No", RequireTls::Yes).remarks.len(), 2);
    }
}
