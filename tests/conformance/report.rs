//! What came of the cases: a table by document, the failed ones with their dialog, or JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::conformance::{Outcome, Verdict};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub cases: usize,
    pub passed: usize,
    pub failed: usize,
    /// Of the failed: advice (SHOULD).
    pub advice: usize,
    pub skipped: usize,
}

impl Count {
    pub fn add(&mut self, verdict: &Verdict) {
        self.cases += 1;
        match verdict.outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) if verdict.case.cites.strength.is_advice() => self.advice += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }
}

/// By document: the RFCs in the order of their numbers, then the attacks.
pub fn by_document(verdicts: &[Verdict]) -> BTreeMap<(u32, String), Count> {
    let mut counts: BTreeMap<(u32, String), Count> = BTreeMap::new();
    for verdict in verdicts {
        let document = &verdict.case.cites.document;
        let number = document.strip_prefix("RFC ").and_then(|n| n.parse().ok()).unwrap_or(u32::MAX);
        counts.entry((number, document.clone())).or_default().add(verdict);
    }
    counts
}

pub fn total(verdicts: &[Verdict]) -> Count {
    let mut total = Count::default();
    verdicts.iter().for_each(|verdict| total.add(verdict));
    total
}

/// Whether a MUST or an attack failed.
pub fn is_bad(verdict: &Verdict) -> bool {
    matches!(verdict.outcome, Outcome::Failed(_)) && !verdict.case.cites.strength.is_advice()
}

pub fn text(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        if let Outcome::Failed(why) = &verdict.outcome {
            let _ = writeln!(text, "{}", told(verdict, why));
        }
    }
    let _ = writeln!(text, "{:<12}{:>7}{:>8}{:>8}{:>9}{:>9}", "", "cases", "passed", "failed", "(advice)", "skipped");
    let row = |text: &mut String, name: &str, count: Count| {
        let Count { cases, passed, failed, advice, skipped } = count;
        let _ = writeln!(text, "{name:<12}{cases:>7}{passed:>8}{failed:>8}{advice:>9}{skipped:>9}");
    };
    for ((_, document), count) in by_document(verdicts) {
        row(&mut text, &document, count);
    }
    row(&mut text, "all", total(verdicts));
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for verdict in verdicts {
        if let Outcome::Skipped(why) = &verdict.outcome {
            *reasons.entry(why).or_default() += 1;
        }
    }
    for (why, count) in reasons {
        let _ = writeln!(text, "skipped {count}: {why}");
    }
    text
}

pub fn told(verdict: &Verdict, why: &str) -> String {
    let case = &verdict.case;
    let mut text = format!("FAILED {}:{} {} ({})\n    {why}\n", case.file, case.line, case.title, case.cites.shown());
    for line in &verdict.dialog {
        let _ = writeln!(text, "    | {line}");
    }
    text
}

pub fn json(verdicts: &[Verdict]) -> Value {
    let one = |verdict: &Verdict| {
        let case = &verdict.case;
        let (outcome, why) = match &verdict.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(why) => ("failed", Some(why)),
            Outcome::Skipped(why) => ("skipped", Some(why)),
        };
        json!({
            "file": case.file, "line": case.line, "title": case.title, "document": case.cites.document,
            "section": case.cites.section, "strength": case.cites.strength.name(),
            "outcome": outcome, "why": why, "dialog": verdict.dialog,
        })
    };
    Value::Array(verdicts.iter().map(one).collect())
}
