//! A decision in words, for the person who asks before sending.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::classify::Verdict;
use crate::policy::{Action, Decision, Last, RuleResult};

/// What was found, and for each recipient what is to be done and why. It names the recipients: it is for the operator's
/// eyes, never for a log.
pub fn explanation(decisions: &[Decision], verdict: &Verdict) -> String {
    let mut text = found(verdict);
    for decision in decisions {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\nTo {}", decision.recipient.expose());
        let _ = writeln!(text, "  {}", action(&decision.action));
        let _ = writeln!(text, "  Decided by \"{}\".", decision.rule);
        for tried in &decision.tried {
            let how = match &tried.result {
                RuleResult::Won => "won".to_owned(),
                RuleResult::Outdone { by } => format!("matched, but \"{by}\" protects at least as well"),
                RuleResult::NotMatched { condition } => format!("did not apply; it asks that {condition}"),
            };
            let _ = writeln!(text, "    - \"{}\": {how}", tried.rule);
        }
        for remark in &decision.remarks {
            let _ = writeln!(text, "    * {remark}");
        }
    }
    text
}

fn found(verdict: &Verdict) -> String {
    let holds = if verdict.phi { "Health information was found" } else { "No health information was found" };
    let mut text = format!("{holds} (score {:.2}, classifier {}).\n", verdict.score, verdict.version);
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for finding in &verdict.findings {
        *counts.entry((finding.part.as_str(), finding.kind.name())).or_default() += 1;
    }
    for ((part, kind), count) in counts {
        let _ = writeln!(text, "  {kind} in part {part}: {count}");
    }
    text
}

fn action(action: &Action) -> String {
    match action {
        Action::Deliver { methods, last } => {
            let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
            let last = match last {
                Last::Hold => "held for a person to look at",
                Last::Undeliverable => "sent back as undeliverable",
            };
            format!("Goes out by {}; if that cannot be done, it is {last}.", names.join(", then "))
        }
        Action::Hold { reason } => format!("Is held: {reason}."),
        Action::Reject { text } => format!("Is refused: {text}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Finding;
    use crate::mail::{Address, Assurance, Method};
    use crate::phi::Kind;
    use crate::policy::Tried;

    #[test]
    fn an_explanation_says_what_was_found_and_what_follows() {
        let finding = Finding { kind: Kind::Mrn, part: "1".into(), start: 4, end: 9, confidence: 0.9 };
        let verdict = Verdict { phi: true, score: 0.93, findings: vec![finding.clone(), finding], version: "1".into() };
        let decision = Decision {
            recipient: Address::parse("results@lab.example").unwrap(),
            action: Action::Deliver { methods: vec![Method::Tls(Assurance::Valid)], last: Last::Hold },
            cause: None,
            rule: "labs".into(),
            tried: vec![
                Tried { rule: "labs".into(), result: RuleResult::Won },
                Tried {
                    rule: "default".into(),
                    result: RuleResult::NotMatched { condition: "no rule of the config matched".into() },
                },
            ],
            remarks: vec!["smime: no key store in this version; skipped".into()],
        };
        assert_eq!(
            explanation(&[decision], &verdict),
            "Health information was found (score 0.93, classifier 1).\n  MRN in part 1: 2\n\n\
             To results@lab.example\n  Goes out by tls:valid; if that cannot be done, it is held for a person to look at.\n  \
             Decided by \"labs\".\n    - \"labs\": won\n    - \"default\": did not apply; it asks that no rule of the config matched\n    \
             * smime: no key store in this version; skipped\n"
        );
    }
}
