//! How far a rule's action protects a message, so that the most protective of several can be told.
//!
//! Reject protects more than Hold, and Hold more than Deliver: what does not leave cannot be read on its way. Two lists
//! of methods are compared over the methods that exist in this version, since only those can carry the message:
//!
//! 1. By the weakest method. A list is as good as the worst way that the message may take under it.
//! 2. Then way by way in the order of the list: the one whose first way is stronger, then whose second is. The end of
//!    a list counts as the strongest way: there the message stops travelling.
//!
//! From weak to strong: `tls:encrypted`, `tls:valid`, `tls:authenticated`, `portal`, `pgp` and `smime` (alike: both are
//! sealed end to end). Lists that are equal by this are left to the order in the config: the first wins.
//! See docs/decisions/0002-most-protective-rule.md.

use std::cmp::Ordering;

use crate::audit::HoldCause;
use crate::config::{Last, Then};
use crate::mail::{Assurance, Method};
use crate::policy::Action;

/// Ordered from the least protective to the most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protection {
    Deliver { weakest: Strength, ways: Vec<Strength> },
    Hold,
    Reject,
}

/// How hard it is for a stranger to read the content on this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    Encrypted,
    Valid,
    Authenticated,
    Portal,
    EndToEnd,
    /// The end of the list: the message goes no further.
    Stops,
}

impl Strength {
    const fn of(method: Method) -> Strength {
        match method {
            Method::Tls(Assurance::Encrypted) => Strength::Encrypted,
            Method::Tls(Assurance::Valid) => Strength::Valid,
            Method::Tls(Assurance::Authenticated) => Strength::Authenticated,
            Method::Portal => Strength::Portal,
            Method::Pgp | Method::Smime => Strength::EndToEnd,
        }
    }
}

/// What one rule would do, if it won.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) action: Action,
    pub(super) cause: Option<HoldCause>,
    pub(super) protection: Protection,
    pub(super) remarks: Vec<String>,
}

impl Plan {
    pub(super) fn of(then: &Then) -> Plan {
        match then {
            Then::Deliver(methods, last) => Plan::deliver(methods, *last),
            Then::Hold(reason) => Plan::hold(reason),
            Then::Reject(text) => Plan::reject(text),
        }
    }

    pub(super) fn hold(reason: &str) -> Plan {
        let action = Action::Hold { reason: reason.to_owned() };
        Plan { action, cause: Some(HoldCause::Policy), protection: Protection::Hold, remarks: Vec::new() }
    }

    pub(super) fn reject(text: &str) -> Plan {
        let action = Action::Reject { text: text.to_owned() };
        Plan { action, cause: None, protection: Protection::Reject, remarks: Vec::new() }
    }

    /// Whether it came from a list of methods, even one of which none exists.
    pub(super) fn is_a_list(&self) -> bool {
        match self.action {
            Action::Deliver { .. } => true,
            Action::Hold { .. } => self.cause == Some(HoldCause::MethodsExhausted),
            Action::Reject { .. } => false,
        }
    }

    /// The methods that exist in their order; a list of which none exists holds the message.
    pub(super) fn deliver(listed: &[Method], last: Last) -> Plan {
        let mut remarks = Vec::new();
        let mut methods = Vec::new();
        for method in listed.iter().copied() {
            match missing(method) {
                Some(why) => remarks.push(format!("{method}: {why}; skipped")),
                None => methods.push(method),
            }
        }
        let ways: Vec<Strength> = methods.iter().copied().map(Strength::of).chain([Strength::Stops]).collect();
        let weakest = ways.iter().copied().min().unwrap_or(Strength::Stops);
        if methods.is_empty() {
            let names: Vec<&str> = listed.iter().map(|method| method.name()).collect();
            let reason =
                format!("no method left: {}", if names.is_empty() { "none named".into() } else { names.join(", ") });
            let cause = Some(HoldCause::MethodsExhausted);
            return Plan { action: Action::Hold { reason }, cause, protection: Protection::Hold, remarks };
        }
        if methods.contains(&Method::Tls(Assurance::Encrypted)) {
            remarks.push("tls:encrypted: certificate not checked: a recorded decision of the operator".into());
        }
        let action = Action::Deliver { methods, last };
        Plan { action, cause: None, protection: Protection::Deliver { weakest, ways }, remarks }
    }
}

/// Whether the first of two actions protects less than the second, as much, or more.
pub fn compare(one: &Action, other: &Action) -> Ordering {
    let protection = |action: &Action| match action {
        Action::Deliver { methods, last } => Plan::deliver(methods, *last).protection,
        Action::Hold { .. } => Protection::Hold,
        Action::Reject { .. } => Protection::Reject,
    };
    protection(one).cmp(&protection(other))
}

/// The same for what two rules say, where both say which way a message goes.
pub fn compare_rules(one: Option<&Then>, other: Option<&Then>) -> Option<Ordering> {
    Some(Plan::of(one?).protection.cmp(&Plan::of(other?).protection))
}

/// The same for two lists of methods.
pub fn compare_lists(one: &[Method], other: &[Method]) -> Ordering {
    Plan::deliver(one, Last::Hold).protection.cmp(&Plan::deliver(other, Last::Hold).protection)
}

/// Raises the TLS of a list to the least that is asked for, each method once.
pub(super) fn raise(methods: &mut Vec<Method>, least: Assurance) {
    let mut left: Vec<Method> = Vec::new();
    for method in methods.drain(..) {
        let method = match method {
            Method::Tls(assurance) => Method::Tls(assurance.max(least)),
            Method::Pgp | Method::Smime | Method::Portal => method,
        };
        if !left.contains(&method) {
            left.push(method);
        }
    }
    *methods = left;
}

/// Why a method cannot be used in this version, if it cannot.
const fn missing(method: Method) -> Option<&'static str> {
    match method {
        Method::Tls(_) => None,
        Method::Pgp | Method::Smime => Some("no key store in this version"),
        Method::Portal => Some("no portal in this version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(methods: &str) -> Plan {
        let methods: Vec<Method> = methods.split_whitespace().map(|name| name.parse().unwrap()).collect();
        Plan::deliver(&methods, Last::Hold)
    }

    fn protects_more(stronger: &str, weaker: &str) {
        assert!(plan(stronger).protection > plan(weaker).protection, "{stronger} against {weaker}");
    }

    #[test]
    fn a_list_is_as_good_as_its_worst_way() {
        protects_more("tls:valid", "tls:authenticated tls:encrypted");
        protects_more("tls:authenticated", "tls:valid");
        protects_more("tls:authenticated", "tls:authenticated tls:valid");
        protects_more("tls:authenticated tls:valid", "tls:valid");
        protects_more("tls:valid", "tls:valid tls:valid");
        protects_more("smime portal", "tls:authenticated");
    }

    #[test]
    fn what_does_not_exist_yet_neither_carries_nor_counts() {
        assert_eq!(plan("smime pgp tls:valid portal").protection, plan("tls:valid").protection);
        assert_eq!(
            plan("smime pgp tls:valid portal").remarks,
            [
                "smime: no key store in this version; skipped",
                "pgp: no key store in this version; skipped",
                "portal: no portal in this version; skipped",
            ]
        );
    }

    #[test]
    fn a_list_of_which_nothing_exists_holds() {
        let held = plan("smime pgp");
        assert_eq!(held.action, Action::Hold { reason: "no method left: smime, pgp".into() });
        assert_eq!(held.cause, Some(HoldCause::MethodsExhausted));
    }

    #[test]
    fn holding_protects_more_than_any_way_and_rejecting_more_than_holding() {
        let hold = Plan::of(&Then::Hold("look first".into())).protection;
        let reject = Plan::of(&Then::Reject("not by mail".into())).protection;
        assert!(plan("tls:authenticated").protection < hold && hold < reject);
    }
}
