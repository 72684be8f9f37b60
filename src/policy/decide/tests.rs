//! Tables of rules against outcomes.

use super::*;
use crate::audit::HoldCause;
use crate::classify::{Finding, Grounds, Points};
use crate::config::{Policy, Then, When};
use crate::mail::{Assurance, ClientName, Domain, Envelope, ReversePath};
use crate::mime::Tree;
use crate::phi::{Kind, Phi};
use crate::policy::{Belief, Permission, Seen};

fn methods(names: &str) -> Vec<Method> {
    names.split_whitespace().map(|name| name.parse().unwrap()).collect()
}

fn rule(name: &str, when: When, then: Then) -> Rule {
    Rule { name: name.into(), when, then: Some(then), ..Rule::default() }
}

fn slow(name: &str, seconds: u64) -> Rule {
    let delay = Duration::from_secs(seconds);
    Rule { delay, receipt: seconds == 60, ..rule(name, When::default(), deliver("tls:valid")) }
}

fn deliver(names: &str) -> Then {
    Then::Deliver(methods(names), Last::Hold)
}

fn rules(list: Vec<Rule>) -> Rules {
    Rules::compile(&Policy {
        default: methods("smime pgp tls:valid portal"),
        rules: list,
        tags: vec!["[secure]".into()],
        secure: methods("smime pgp portal tls:authenticated"),
        ..Policy::default()
    })
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn verdict(kinds: &[Kind]) -> Verdict {
    let finding = |kind: &Kind| Finding { kind: *kind, part: "1".into(), start: 0, end: 3, confidence: 0.9 };
    let findings = kinds.iter().map(finding).collect();
    Verdict {
        phi: !kinds.is_empty(),
        score: 0.5,
        points: Points { strict: !kinds.is_empty(), balanced: !kinds.is_empty() },
        grounds: Grounds::default(),
        findings,
        persons: 0,
        labels: Vec::new(),
        version: "test".into(),
    }
}

/// The decision for a message from the front desk to a lab and to a patient.
fn decide_with(rules: &Rules, subject: &str, kinds: &[Kind]) -> Vec<Decision> {
    let client = ClientName("front-desk".into());
    let sender = ReversePath::Mailbox(address("ann@clinic.example"));
    let envelope = Envelope::new(sender, address("results@lab.example"), vec![address("pat@mail.example")]);
    let tree = Tree {
        subject: Phi::new(subject.into()),
        from: vec![address("front.desk@letters.example")],
        message_id: None,
        parts: Vec::new(),
        control: Vec::new(),
    };
    let submission = Submission {
        client: Some(&client),
        marks: Belief::Believed,
        permission: Permission::NotGranted,
        envelope: &envelope,
        tree: &tree,
        seen: &Seen::default(),
    };
    decide(rules, (&submission, &crate::policy::marks(rules, &submission)), &verdict(kinds), &Facts::default())
}

fn ways(decision: &Decision) -> String {
    match &decision.action {
        Action::Deliver { methods, .. } => methods.iter().map(|m| m.name()).collect::<Vec<_>>().join(" "),
        Action::Hold { reason } => format!("hold: {reason}"),
        Action::Reject { text } => format!("reject: {text}"),
    }
}

fn to_lab() -> When {
    When { recipient_domain: vec!["lab.example".into()], ..When::default() }
}

#[test]
fn without_a_rule_the_default_stands_less_what_does_not_exist() {
    let decisions = decide_with(&rules(Vec::new()), "hello", &[]);
    assert_eq!(decisions.len(), 2);
    for decision in &decisions {
        assert_eq!((ways(decision).as_str(), decision.rule.as_str()), ("tls:valid", "default"));
        assert!(decision.remarks.contains(&"portal: no portal in this version; skipped".to_owned()));
    }
}

#[test]
fn the_most_protective_rule_wins_wherever_it_stands() {
    let weak = || rule("weak", to_lab(), deliver("tls:encrypted"));
    let strong = || rule("strong", to_lab(), deliver("tls:authenticated"));
    let hold = || rule("look", to_lab(), Then::Hold("look first".into()));
    let reject = || rule("never", to_lab(), Then::Reject("not by mail".into()));
    for (list, winner, outcome) in [
        (vec![weak()], "weak", "tls:encrypted"),
        (vec![weak(), strong()], "strong", "tls:authenticated"),
        (vec![strong(), weak()], "strong", "tls:authenticated"),
        (vec![hold(), strong(), weak()], "look", "hold: look first"),
        (vec![weak(), hold(), reject(), strong()], "never", "reject: not by mail"),
        (
            vec![rule("first", to_lab(), deliver("tls:valid")), rule("twin", to_lab(), deliver("tls:valid"))],
            "first",
            "tls:valid",
        ),
        (vec![rule("sealed", to_lab(), deliver("smime")), strong()], "sealed", "hold: no method left: smime"),
    ] {
        let decisions = decide_with(&rules(list), "hello", &[]);
        assert_eq!((decisions[0].rule.as_str(), ways(&decisions[0]).as_str()), (winner, outcome));
        assert_eq!(decisions[1].rule, "default", "the patient is none of the rule's recipients");
    }
}

#[test]
fn each_condition_holds_or_not_and_says_so() {
    let text = |pattern: &str| vec![pattern.to_owned()];
    for (when, unmet) in [
        (When::default(), None),
        (When { client: vec![ClientName("front-desk".into())], ..When::default() }, None),
        (
            When { client: vec![ClientName("openemr".into())], ..When::default() },
            Some("the client is one of those named"),
        ),
        (When { sender: text("*@clinic.example"), ..When::default() }, None),
        // Whoever stands in From: is a sender too: MAIL may name a CRM's own return path.
        (When { sender: text("front.desk@letters.example"), ..When::default() }, None),
        (When { sender: text("*@other.example"), ..When::default() }, Some("the sender fits one of the patterns")),
        (When { recipient: text("Results@lab.example"), ..When::default() }, None),
        (When { recipient: text("x@lab.example"), ..When::default() }, Some("the recipient fits one of the patterns")),
        (
            When { recipient_domain: text("*.lab.example"), ..When::default() },
            Some("the recipient's domain fits one of the patterns"),
        ),
        (When { phi: Some(true), ..When::default() }, None),
        (When { phi: Some(false), ..When::default() }, Some("no health information was found")),
        (When { kinds: vec![Kind::Drug, Kind::Mrn], ..When::default() }, None),
        (When { kinds: vec![Kind::Drug], ..When::default() }, Some("one of the kinds was found")),
        (When { marked: Some(false), ..When::default() }, None),
        (When { marked: Some(true), ..When::default() }, Some("the sender asked for protection")),
        (When { phi: Some(true), marked: Some(true), ..to_lab() }, Some("the sender asked for protection")),
    ] {
        let decisions =
            decide_with(&rules(vec![rule("it", when, deliver("tls:authenticated"))]), "hello", &[Kind::Mrn]);
        let expected = match unmet {
            None => RuleResult::Won,
            Some(condition) => RuleResult::NotMatched { condition: condition.into() },
        };
        assert_eq!(decisions[0].tried[0].result, expected);
    }
}

#[test]
fn a_mark_competes_under_a_name_of_its_own() {
    let decisions = decide_with(&rules(Vec::new()), "Re: [Secure] hello", &[]);
    assert_eq!(ways(&decisions[0]), "tls:authenticated");
    assert_eq!(decisions[0].rule, "sender asked for protection");
    let default = decisions[0].tried.last().unwrap();
    assert_eq!(default.result, RuleResult::Outdone { by: "sender asked for protection".into() });

    let held = rules(vec![rule("look", When { marked: Some(true), ..When::default() }, Then::Hold("look".into()))]);
    assert_eq!(ways(&decide_with(&held, "[secure] hello", &[])[0]), "hold: look");
}

#[test]
fn asking_for_protection_never_gives_less_than_not_asking() {
    let strict = Rules::compile(&Policy {
        default: methods("tls:authenticated"),
        rules: Vec::new(),
        tags: vec!["[secure]".into()],
        secure: methods("tls:valid"),
        ..Policy::default()
    });
    let decisions = decide_with(&strict, "[secure] hello", &[]);
    assert_eq!((decisions[0].rule.as_str(), ways(&decisions[0]).as_str()), ("default", "tls:authenticated"));
}

#[test]
fn the_trace_names_every_rule() {
    let list = vec![
        rule("a", to_lab(), deliver("tls:valid")),
        rule("b", When { phi: Some(true), ..When::default() }, deliver("tls:authenticated")),
        rule("c", to_lab(), deliver("tls:authenticated")),
    ];
    let tried = &decide_with(&rules(list), "hello", &[])[0].tried;
    let names: Vec<&str> = tried.iter().map(|tried| tried.rule.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "sender asked for protection", "default"]);
    assert_eq!(tried[0].result, RuleResult::Outdone { by: "c".into() });
    assert_eq!(tried[2].result, RuleResult::Won);
    assert_eq!(tried[4].result, RuleResult::NotMatched { condition: "no rule for everybody matched".into() });
}

#[test]
fn why_a_message_is_held_is_told_with_it() {
    let held = |then| decide_with(&rules(vec![rule("it", to_lab(), then)]), "hello", &[])[0].cause;
    assert_eq!(held(Then::Hold("look".into())), Some(HoldCause::Policy));
    assert_eq!(held(deliver("portal")), Some(HoldCause::MethodsExhausted));
    assert_eq!(held(deliver("tls:valid")), None);
}

#[test]
fn an_unchecked_certificate_is_remarked_and_what_was_known_is_told() {
    let decisions = decide_with(&rules(vec![rule("it", to_lab(), deliver("tls:encrypted"))]), "hello", &[]);
    let remarks = decisions[0].remarks.join("\n");
    assert!(remarks.contains("certificate not checked: a recorded decision of the operator"), "{remarks}");
    assert!(remarks.contains("lab.example: nothing could be found out in time"), "{remarks}");

    let facts = RecipientFacts {
        domain: Domain::parse("lab.example").unwrap(),
        routed: true,
        tls_seen: Some((Assurance::Valid, "2026-11-24T04:00:00.000Z".into())),
        mx_seen: vec!["mx1.lab.example".into()],
    };
    assert_eq!(
        known(&address("results@lab.example"), Some(&facts)),
        [
            "lab.example: a route covers it; its floor counts where it is higher",
            "lab.example: best TLS so far is valid, on 2026-11-24T04:00:00.000Z",
            "lab.example: mail servers remembered: mx1.lab.example",
        ]
    );
}

#[test]
fn what_is_held_is_released_by_what_would_have_won_and_by_nothing_less() {
    let hold = || rule("look", to_lab(), Then::Hold("look first".into()));
    let refuse = || rule("no", to_lab(), Then::Reject("no".into()));
    let released = |list: Vec<Rule>, subject: &str| -> String {
        let decision = &decide_with(&rules(list), subject, &[])[0];
        decision.released.iter().map(|method| method.name()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(released(vec![hold()], "hello"), "tls:valid");
    assert_eq!(released(vec![refuse()], "hello"), "tls:valid");
    assert_eq!(released(vec![hold()], "[secure] hello"), "tls:authenticated");
    let strict = rule("strict", When::default(), deliver("tls:authenticated"));
    assert_eq!(
        released(vec![rule("any", When::default(), deliver("tls:encrypted")), hold(), strict], "hello"),
        "tls:authenticated"
    );
    let sealed = rule("sealed", When::default(), deliver("pgp"));
    assert_eq!(released(vec![sealed.clone()], "hello"), "", "nothing stands in for what does not exist");
    assert_eq!(released(vec![hold(), sealed, rule("any", When::default(), deliver("tls:valid"))], "hello"), "");
}

#[test]
fn the_longest_delay_of_all_rules_that_match_counts_and_only_for_what_goes() {
    let seconds = |list: Vec<Rule>| {
        let decision = &decide_with(&rules(list), "hello", &[])[0];
        let told = decision.remarks.iter().filter(|remark| remark.contains("can be taken back")).count();
        (decision.delay.as_secs(), decision.receipt, told)
    };
    let strong = || rule("strong", to_lab(), deliver("tls:authenticated"));
    let elsewhere =
        || Rule { when: When { recipient: vec!["x@lab.example".into()], ..When::default() }, ..slow("x", 900) };
    assert_eq!(seconds(vec![strong()]), (0, false, 0));
    assert_eq!(seconds(vec![strong(), slow("a", 60), slow("b", 180), elsewhere()]), (180, true, 1));
    let hold = rule("look", to_lab(), Then::Hold("look first".into()));
    assert_eq!(seconds(vec![hold, slow("b", 180)]), (0, false, 0), "what is held waits for a person");
}
