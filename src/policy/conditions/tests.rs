//! Conditions as a config writes them, against one message.

use super::*;
use crate::classify::{Finding, Grounds, Points};
use crate::config;
use crate::config::tests::{SMALLEST, client};
use crate::mail::{ClientName, Envelope, Message, ReversePath, WireLimits};
use crate::mime::Budget;
use crate::phi::Kind;
use crate::policy::{Facts, RuleResult};
use crate::policy::{Seen, decide, marks};

const GROUPS: &str = r#"
[[policy.group]]
name = "billing"
members = ["ann@clinic.example"]
[[policy.group]]
name = "labs"
members = ["lab.example", "*.imaging.example"]
"#;

fn house() -> String {
    let (one, two) = (client("front-desk", "*@clinic.example"), client("openemr", "*@clinic.example"));
    format!("{SMALLEST}{one}{two}{GROUPS}")
}

/// From the front desk to a lab and to a patient: a text, a letter of 300 octets, and a program that nobody can read.
const MAIL: &str = "From: Ann <ann@clinic.example>
Subject: Re: [fax] the letter
X-Clinic-Desk: Billing
X-Sealpost-Purpose: treatment
X-Sealpost-Label: hiv
Content-Type: multipart/mixed; boundary=x

--x

hello
--x
Content-Type: text/csv; name=\"week.CSV\"

LINES
--x
Content-Type: application/x-msdownload; name=run.exe
Content-Transfer-Encoding: base64

AAAA
--x--
";

fn verdict() -> Verdict {
    let finding = |kind| Finding { kind, part: "1".into(), start: 0, end: 3, confidence: 0.9 };
    Verdict {
        phi: false,
        score: 0.42,
        points: Points { strict: true, balanced: false },
        grounds: Grounds::default(),
        findings: [Kind::Mrn, Kind::Mrn, Kind::Name].map(finding).to_vec(),
        persons: 21,
        labels: vec![Label::Part2],
        version: "test".into(),
    }
}

/// The condition that does not hold, if one does not.
fn unmet(when: &str, mail: &str, belief: Belief) -> Option<String> {
    let config = config::parse(&format!("{}[[policy.rule]]\nname = \"it\"\nwhen = {when}\nhold = \"look\"\n", house()));
    let config = config.unwrap_or_else(|mistakes| panic!("{when}: {}", mistakes[0]));
    let rules = Rules::compile(&config.policy);
    let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
    let text = mail.replace("LINES", &"x,y,z\n".repeat(50)).replace('\n', "\r\n");
    let message = Message::parse(text.into_bytes(), &limits).unwrap();
    let tree = mime::parse(&message, &Budget { depth: 10, parts: 100, ratio: 100, bytes: 1 << 20 });
    let seen = Seen::of(&rules, &message, &tree);
    let address = |text: &str| Address::parse(text).unwrap();
    let sender = ReversePath::Mailbox(address("bounces@clinic.example"));
    let envelope = Envelope::new(sender, address("Results@lab.example"), vec![address("pat@mail.example")]);
    let client = ClientName("front-desk".into());
    let submission = submission(&client, belief, (&envelope, &tree, &seen));
    let decisions = decide(&rules, (&submission, &marks(&rules, &submission)), &verdict(), &Facts::default());
    match &decisions[0].tried[0].result {
        RuleResult::NotMatched { condition } => Some(condition.clone()),
        _ => None,
    }
}

fn submission<'a>(
    client: &'a ClientName,
    marks: Belief,
    (envelope, tree, seen): (&'a Envelope, &'a mime::Tree, &'a Seen),
) -> Submission<'a> {
    Submission { client: Some(client), marks, permission: config::Permission::NotGranted, envelope, tree, seen }
}

fn holds(when: &str) {
    assert_eq!(unmet(when, MAIL, Belief::Believed), None, "{when}");
}

fn fails(when: &str, condition: &str) {
    assert_eq!(unmet(when, MAIL, Belief::Believed).as_deref(), Some(condition), "{when}");
}

#[test]
fn people_are_looked_at() {
    holds("{}");
    holds(r#"{ client = ["openemr", "front-desk"] }"#);
    fails(r#"{ client = ["openemr"] }"#, "the client is one of those named");
    holds(r#"{ sender = ["*@clinic.example"] }"#);
    holds(r#"{ sender = ["bounces@clinic.example"] }"#);
    fails(r#"{ sender = ["bo@clinic.example"] }"#, "the sender fits one of the patterns");
    holds(r#"{ sender_group = ["billing"] }"#);
    fails(r#"{ sender_group = ["labs"] }"#, "the sender is in one of the groups");
    holds(r#"{ recipient = ["results@lab.example"] }"#);
    fails(r#"{ recipient = ["pat@mail.example"] }"#, "the recipient fits one of the patterns");
    holds(r#"{ recipient_group = ["billing", "labs"] }"#);
    fails(r#"{ recipient_group = ["billing"] }"#, "the recipient is in one of the groups");
    holds(r#"{ recipient_domain = ["lab.example"] }"#);
    fails(r#"{ recipient_domain = ["*.lab.example"] }"#, "the recipient's domain fits one of the patterns");
}

#[test]
fn what_was_found_is_looked_at() {
    holds("{ phi = false }");
    fails("{ phi = true }", "health information was found");
    // The same message is health information where less is to be missed.
    holds(r#"{ phi = true, operating_point = "strict" }"#);
    fails(r#"{ phi = false, operating_point = "strict" }"#, "no health information was found");
    holds("{ score_at_least = 0.42 }");
    fails("{ score_at_least = 0.43 }", "the score is as high as that");
    holds(r#"{ kinds = ["SSN", "MRN"] }"#);
    fails(r#"{ kinds = ["SSN"] }"#, "one of the kinds was found");
    holds(r#"{ labels = ["part2"] }"#);
    // The sender may name a topic.
    holds(r#"{ labels = ["hiv"] }"#);
    fails(r#"{ labels = ["minor"] }"#, "it is about one of the topics");
    assert!(unmet(r#"{ labels = ["hiv"] }"#, MAIL, Belief::NotBelieved).is_some());
}

#[test]
fn more_than_counts_patients_recipients_attachments_and_findings() {
    holds("{ more_than = { patients = 20 } }");
    fails("{ more_than = { patients = 21 } }", "there are more than that");
    holds("{ more_than = { recipients = 1, attachments = 1, MRN = 1 } }");
    fails("{ more_than = { recipients = 2 } }", "there are more than that");
    fails("{ more_than = { attachments = 2 } }", "there are more than that");
    fails("{ more_than = { MRN = 2 } }", "there are more than that");
    fails("{ more_than = { SSN = 0 } }", "there are more than that");
    // All of them: a number and a word of health, not one of the two.
    fails("{ more_than = { MRN = 1, SSN = 0 } }", "there are more than that");
    fails("{ more_than = { SSN = 0, MRN = 1 } }", "there are more than that");
}

#[test]
fn what_it_consists_of_is_looked_at() {
    holds(r#"{ unreadable = ["any"] }"#);
    holds(r#"{ unreadable = ["encrypted", "no_reader"] }"#);
    fails(r#"{ unreadable = ["encrypted"] }"#, "a part cannot be read for one of the reasons");
    holds(r#"{ attachment_types = ["text/csv"] }"#);
    holds(r#"{ attachment_types = ["application/*"] }"#);
    fails(r#"{ attachment_types = ["image/*", "text/plain"] }"#, "an attachment is of one of the types");
    holds(r#"{ attachment_extensions = [".EXE"] }"#);
    holds(r#"{ attachment_extensions = ["csv"] }"#);
    fails(r#"{ attachment_extensions = ["x"] }"#, "an attachment's name has one of the ends");
    holds(r#"{ larger_than = 512 }"#);
    fails(r#"{ larger_than = "4KiB" }"#, "the message is larger than that");
    holds(r#"{ attachment_larger_than = 100 }"#);
    fails(r#"{ attachment_larger_than = "1KiB" }"#, "an attachment is larger than that");
}

#[test]
fn what_the_sender_wrote_to_steer_it_is_looked_at_where_it_is_believed() {
    holds("{ marked = false }");
    fails("{ marked = true }", "the sender asked for protection");
    holds(r#"{ tags = ["[FAX]", "[phone]"] }"#);
    fails(r#"{ tags = ["[phone]"] }"#, "the subject carries one of the tags");
    holds(r#"{ headers = { "x-clinic-desk" = ["billing", "front"] } }"#);
    holds(r#"{ headers = { "X-Clinic-Desk" = "*", "X-Sealpost-Purpose" = ["Treatment"] } }"#);
    fails(r#"{ headers = { "X-Clinic-Desk" = ["front"] } }"#, "a header field says so");
    fails(r#"{ headers = { "X-Clinic-Desk" = "*", "X-Clinic-Room" = "*" } }"#, "a header field says so");
    for steered in [r#"{ tags = ["[fax]"] }"#, r#"{ headers = { "X-Clinic-Desk" = "*" } }"#] {
        assert!(unmet(steered, MAIL, Belief::NotBelieved).is_some(), "{steered}");
    }
}

#[test]
fn conditions_are_left_out_and_chosen_between() {
    holds(r#"{ recipient_domain = ["lab.example"], not = { labels = ["minor"] } }"#);
    fails(
        r#"{ recipient_domain = ["lab.example"], not = { labels = ["part2"] } }"#,
        "what stands in not does not hold",
    );
    // All of what stands in not has to hold for it to keep the rule away.
    holds(r#"{ not = { labels = ["part2"], kinds = ["SSN"] } }"#);
    holds(r#"{ any = [{ kinds = ["SSN"] }, { labels = ["part2"] }] }"#);
    fails(
        r#"{ any = [{ kinds = ["SSN"] }, { labels = ["minor"] }] }"#,
        "one of any holds: one of the kinds was found, or it is about one of the topics",
    );
    fails(r#"{ phi = true, any = [{ labels = ["part2"] }] }"#, "health information was found");
}

#[test]
fn a_tag_of_a_rule_comes_off_where_it_is_believed() {
    let config = config::parse(&format!(
        "{}[[policy.rule]]\nname = \"it\"\nwhen = {{ tags = [\"[fax]\"] }}\nhold = \"look\"\n",
        house()
    ));
    let rules = Rules::compile(&config.unwrap().policy);
    let bo = Address::parse("bo@lab.example").unwrap();
    let envelope = Envelope::new(ReversePath::Null, bo, Vec::new());
    let client = ClientName("front-desk".into());
    let subject = |text: &str| mime::Tree {
        subject: crate::phi::Phi::new(text.into()),
        from: Vec::new(),
        message_id: None,
        parts: Vec::new(),
        control: Vec::new(),
    };
    let (tree, seen) = (subject("Re: [Fax] the letter [secure]"), Seen::default());
    let left = |belief| {
        crate::policy::marks::edits(&marks(&rules, &submission(&client, belief, (&envelope, &tree, &seen)))).len()
    };
    assert_eq!((left(Belief::Believed), left(Belief::NotBelieved)), (1, 0));
}
