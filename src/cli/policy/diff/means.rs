//! What a difference means for mail.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::cli::policy::diff::Change;
use crate::cli::policy::diff::laid::{Keys, Place, entries};
use crate::config::{Last, Policy, Then};
use crate::policy;

/// What a rule decides; one without any only adds.
const WAYS: [&str; 3] = ["deliver", "hold", "reject"];

/// Of a rule that comes or goes.
pub(super) fn of_rule((place, keys): (&Place, &Keys), change: Change, policy: Option<&Policy>) -> String {
    let decides = WAYS.iter().any(|way| keys.contains_key(*way));
    let only = match (change, decides) {
        (Change::Removed, true) => "mail that no other rule covers goes by the default",
        (Change::Removed, false) => "what it added to what others decide is added no longer",
        (Change::Added | Change::Changed | Change::Moved, false) => {
            "it adds to what others decide, and decides nothing itself"
        }
        (Change::Added | Change::Changed | Change::Moved, true) => {
            "the default no longer stands for mail that it covers; of the rules that match, the most protective decides"
        }
    };
    let lowers = policy.and_then(|policy| below_default(policy, place.1.as_deref()?)).unwrap_or_default();
    format!("{only}{lowers}")
}

/// Whether a rule protects less than the default that it stands in for.
fn below_default(policy: &Policy, name: &str) -> Option<&'static str> {
    let rule = policy.rules.iter().find(|rule| rule.name == name)?;
    match policy::compare_rules(rule.then.as_ref(), Some(&Then::Deliver(policy.default.clone(), Last::Hold)))? {
        Ordering::Less => Some("; it protects less than the default"),
        Ordering::Equal | Ordering::Greater => None,
    }
}

/// Of a key with another value.
pub(super) fn of_key(
    place: &Place,
    key: &str,
    (was, is): (Option<&String>, Option<&String>),
    policies: Option<&(Policy, Policy)>,
) -> Option<String> {
    let (old, new) = policies?;
    let word = match (place.0.as_str(), key) {
        ("policy.rule", key) if WAYS.contains(&key) => {
            let find = |policy: &Policy| policy.rules.iter().find(|rule| Some(&rule.name) == place.1.as_ref()).cloned();
            match (find(old)?.then, find(new)?.then) {
                (None, _) => "it only added before, and decides now",
                (_, None) => "it decides nothing now, and adds to what others decide",
                (then, now) => protects(policy::compare_rules(now.as_ref(), then.as_ref())?),
            }
        }
        ("policy", "default") => protects(policy::compare_lists(&new.default, &old.default)),
        ("policy", "secure") => protects(policy::compare_lists(&new.secure, &old.secure)),
        ("policy.rule", key) => match key.strip_prefix("when.")?.strip_prefix("not.") {
            None => covers(key, (was, is))?.words(),
            // One more condition in it covers more mail, unless it is the first. What covers more inside covers less outside.
            Some(_) => covers(key, (Some(was?), Some(is?)))?.opposite().words(),
        },
        _ => return None,
    };
    Some(word.to_owned())
}

fn protects(order: Ordering) -> &'static str {
    match order {
        Ordering::Less => "it protects less",
        Ordering::Equal => "it protects as much",
        Ordering::Greater => "it protects more",
    }
}

/// How much mail a rule covers, beside what it covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covers {
    More,
    Less,
    Same,
    Other,
}

impl Covers {
    const fn opposite(self) -> Covers {
        match self {
            Covers::More => Covers::Less,
            Covers::Less => Covers::More,
            Covers::Same | Covers::Other => self,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Covers::More => "it covers more mail",
            Covers::Less => "it covers less mail",
            Covers::Same => "it covers the same mail",
            Covers::Other => "it covers other mail",
        }
    }
}

/// A condition less, or one more entry of it, covers more mail.
fn covers(key: &str, (was, is): (Option<&String>, Option<&String>)) -> Option<Covers> {
    let condition = key.rsplit('.').next().unwrap_or(key);
    // It is no condition: it says how another one is judged, and that may be the other way round.
    if condition == "operating_point" {
        return None;
    }
    let (Some(was), Some(is)) = (was, is) else {
        return Some(if was.is_some() { Covers::More } else { Covers::Less });
    };
    let (old, new) = (entries(was)?, entries(is)?);
    let fits = |narrow: &str, wide: &str| match condition {
        "any" => false,
        "attachment_types" => {
            wide.strip_suffix('*').is_some_and(|main| narrow.to_lowercase().starts_with(&main.to_lowercase()))
        }
        "unreadable" => wide == "any",
        _ => policy::is_within(narrow, wide),
    };
    let within = |narrow: &BTreeSet<String>, wide: &BTreeSet<String>| {
        narrow.iter().all(|one| wide.contains(one) || wide.iter().any(|other| fits(one, other)))
    };
    Some(match (within(&old, &new), within(&new, &old)) {
        (true, true) => Covers::Same,
        (true, false) => Covers::More,
        (false, true) => Covers::Less,
        (false, false) => Covers::Other,
    })
}
