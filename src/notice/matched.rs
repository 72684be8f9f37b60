//! That rules matched a message: for those whom the rules name. It holds no subject, no content and no address of the
//! message, and not what was found in it; who may see that asks `sealpost explain`.

use crate::clock::Timestamp;
use crate::evidence::Story;
use crate::evidence::record::Recipient;
use crate::mail::{Address, ClientName, MessageId, RequireTls};
use crate::notice::Voice;
use crate::notice::receipt::{self, Line};
use crate::notice::text::{Text, one_line};
use crate::policy::RuleResult;
use crate::queue::Owed;

/// What such a notice may know of a message.
#[derive(Clone, Debug)]
pub struct Match {
    pub reference: MessageId,
    pub accepted: Timestamp,
    pub client: Option<ClientName>,
    pub require_tls: RequireTls,
    /// Whether health information was found in it.
    pub phi: bool,
    pub rules: Vec<Matched>,
    /// In the order of the envelope.
    pub lines: Vec<Line>,
}

/// A rule that names whom to tell, and for how many recipients its conditions held.
#[derive(Clone, Debug)]
pub struct Matched {
    pub rule: String,
    pub recipients: usize,
}

/// What the story of a message says of it at this moment, and whom its rules name: each once.
pub(super) fn found(voice: &Voice, owed: &Owed, story: &Story) -> (Match, Vec<Address>) {
    let record = &story.record;
    let mut to: Vec<Address> = Vec::new();
    for address in record.notified.iter().flat_map(|notified| &notified.to) {
        if !to.contains(address) {
            to.push(address.clone());
        }
    }
    if to.is_empty() {
        // It cannot be, but a debt that nobody pays is given out for ever.
        to.push(voice.postmaster.clone());
    }
    let count = |rule: &str| record.recipients.iter().filter(|one| !one.copy && holds(one, rule)).count();
    let matched = |rule: &String| Matched { rule: rule.clone(), recipients: count(rule) };
    let found = Match {
        reference: owed.message,
        accepted: owed.accepted,
        client: owed.client.clone(),
        require_tls: owed.asked.require_tls,
        phi: record.classified.phi,
        rules: record.notified.iter().map(|notified| matched(&notified.rule)).collect(),
        lines: receipt::lines(owed, story),
    };
    (found, to)
}

fn holds(recipient: &Recipient, rule: &str) -> bool {
    let matched = |result: &RuleResult| !matches!(result, RuleResult::NotMatched { .. });
    recipient.tried.iter().any(|tried| tried.rule == rule && matched(&tried.result))
}

pub(super) fn text(found: &Match) -> Text {
    let reference = found.reference;
    let client = found.client.as_ref().map_or("", |client| client.0.as_str());
    let all = found.lines.len();
    let mut body =
        vec!["A rule of your organisation asks that you are told of this message.".to_owned(), String::new()];
    for Matched { rule, recipients } in &found.rules {
        body.push(format!("Rule: {} (for {recipients} of {all} recipients)", one_line(rule)));
    }
    body.push(format!("Accepted: {}", found.accepted.rfc5322()));
    body.push(format!("From the client: {client}"));
    body.push(format!("Health information: {}", if found.phi { "found" } else { "not found" }));
    body.push(String::new());
    body.extend(receipt::listed(&found.lines));
    body.extend([
        String::new(),
        "That is how it stood when this was written. For the administrator:".to_owned(),
        format!("  sealpost explain {reference}          shows why, and what became of it"),
        String::new(),
        format!("Our reference: {reference}"),
    ]);
    Text { subject: format!("A rule matched (reference {reference})"), body: body.join("\n") + "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::record::Notified;
    use crate::mail::ReversePath;
    use crate::notice::answer::tests::{owed, story, voice};
    use crate::notice::{Notice, Stamp};
    use crate::policy::{Action, Tried};
    use crate::store::About;

    #[test]
    fn whom_rules_name_is_told_once_of_all_of_them_and_nothing_of_the_message() {
        let mut story = story(Action::Hold { reason: "look".into() });
        let address = |text: &str| Address::parse(text).unwrap();
        let named =
            |rule: &str, to: &[&str]| Notified { rule: rule.into(), to: to.iter().map(|one| address(one)).collect() };
        story.record.notified = vec![
            named("Big\nlists", &["compliance@clinic.example"]),
            named("Part 2", &["compliance@clinic.example", "it@clinic.example"]),
        ];
        let tried = |rule: &str, result| Tried { rule: rule.into(), result, adds: Vec::new() };
        story.record.recipients[0].tried =
            vec![tried("Big\nlists", RuleResult::Added), tried("Part 2", RuleResult::Won)];
        let unmet = RuleResult::NotMatched { condition: "recipient".into() };
        story.record.recipients[1].tried =
            vec![tried("Big\nlists", RuleResult::Outdone { by: "Part 2".into() }), tried("Part 2", unmet)];
        let (found, to) = found(&voice(), &owed(About::Matched, ""), &story);
        assert_eq!(to, [address("compliance@clinic.example"), address("it@clinic.example")]);
        let stamp = Stamp { id: found.reference, at: found.accepted };
        let notice = Notice::of_match(&voice(), &found, to, stamp).unwrap();
        assert_eq!((notice.envelope().sender(), notice.envelope().recipients().len()), (&ReversePath::Null, 2));
        let text = String::from_utf8(notice.message().bytes().to_vec()).unwrap();
        for part in [
            "Rule: Big lists (for 2 of 2 recipients)",
            "Rule: Part 2 (for 1 of 2 recipients)",
            "Health information: not found",
            "Recipient 1, at lab.example: ",
            &format!("sealpost explain {}", found.reference),
            "Auto-Submitted: auto-generated",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("results@") && !text.contains("other@") && !text.contains("<7@"), "{text}");
    }

    #[test]
    fn a_debt_that_names_nobody_goes_to_the_postmaster() {
        let story = story(Action::Reject { text: "no".into() });
        let (_, to) = found(&voice(), &owed(About::Matched, "ann@clinic.example"), &story);
        assert_eq!(to, [voice().postmaster]);
    }
}
