//! Whole policies, as a config writes them, against messages: who wins, what is added, and what leaves.

use crate::classify::{Finding, Grounds, Points, Verdict};
use crate::config;
use crate::config::tests::{SMALLEST, client};
use crate::mail::{Address, ClientName, Envelope, Message, MessageId, ReversePath, WireLimits};
use crate::mime::{self, Budget};
use crate::phi::Kind;
use crate::policy::{
    Action, Belief, Decided, Decision, Facts, RuleResult, Rules, Seen, Submission, Tried, copies, decide, edits, marks,
};

fn house() -> String {
    let (one, two) = (client("front-desk", "*@clinic.example"), client("lawyers", "*@clinic.example"));
    format!("{SMALLEST}{one}{two}may_opt_out = true\n")
}

const HELLO: &str = "From: ann@clinic.example\nSubject: hello\n\nGood morning\n";
const VALID: &str = "[policy]\ndefault = [\"tls:valid\"]\n";

/// A message, and what the classifier is to have said of it: a kind per part.
#[derive(Clone, Copy)]
struct Mail<'a> {
    text: &'a str,
    client: &'a str,
    found: &'a [(&'a str, Kind)],
}

const PLAIN: Mail<'static> = Mail { text: HELLO, client: "front-desk", found: &[] };

struct Outcome {
    decisions: Vec<Decision>,
    /// The message as it leaves.
    left: String,
}

fn outcome(policy: &str, mail: Mail<'_>) -> Outcome {
    let config = config::parse(&format!("{}{policy}", house()));
    let config = config.unwrap_or_else(|mistakes| panic!("{policy}: {}", mistakes[0]));
    let rules = Rules::compile(&config.policy);
    let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
    let message = Message::parse(mail.text.replace('\n', "\r\n").into_bytes(), &limits).unwrap();
    let tree = mime::parse(&message, &Budget { depth: 10, parts: 100, ratio: 100, bytes: 1 << 20 });
    let seen = Seen::of(&rules, &message, &tree);
    let finding = |(part, kind): &(&str, Kind)| Finding {
        kind: *kind,
        part: (*part).to_owned(),
        start: 0,
        end: 3,
        confidence: 0.9,
    };
    let phi = !mail.found.is_empty();
    let verdict = Verdict {
        phi,
        points: Points { strict: phi, balanced: phi },
        grounds: Grounds::default(),
        score: if mail.found.is_empty() { 0.1 } else { 0.9 },
        findings: mail.found.iter().map(finding).collect(),
        persons: 0,
        labels: Vec::new(),
        version: "test".into(),
    };
    let address = |text: &str| Address::parse(text).unwrap();
    let sender = ReversePath::Mailbox(address("ann@clinic.example"));
    let envelope = Envelope::new(sender, address("bo@lab.example"), vec![address("pat@mail.example")]);
    let client = ClientName(mail.client.into());
    let known = config.clients.iter().find(|known| known.name == client).unwrap();
    let submission = Submission {
        client: Some(&client),
        marks: Belief::Believed,
        permission: known.may_opt_out,
        envelope: &envelope,
        tree: &tree,
        seen: &seen,
    };
    let marks = marks(&rules, &submission);
    let mut decisions = decide(&rules, (&submission, &marks), &verdict, &Facts::default());
    decisions.extend(copies(&decisions));
    let decided = Decided { tree: &tree, seen: &seen, marks: &marks, decisions: &decisions };
    let edits = edits(&rules, decided, MessageId::from_parts(crate::clock::Timestamp::from_millis(0), 1));
    let left = String::from_utf8(mime::edit(&message, &edits).bytes().to_vec()).unwrap().replace("\r\n", "\n");
    Outcome { decisions, left }
}

fn way(decision: &Decision) -> String {
    let way = match &decision.action {
        Action::Deliver { methods, .. } => methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(" "),
        Action::Hold { .. } => "hold".to_owned(),
        Action::Reject { .. } => "reject".to_owned(),
    };
    format!("{way} by {}", decision.rule)
}

/// What is decided for the first recipient.
fn decided(policy: &str, mail: Mail<'_>) -> String {
    way(&outcome(policy, mail).decisions[0])
}

fn fared(decision: &Decision, rule: &str) -> Tried {
    decision.tried.iter().find(|tried| tried.rule == rule).unwrap().clone()
}

fn rule(name: &str, rest: &str) -> String {
    format!("[[policy.rule]]\nname = \"{name}\"\n{rest}\n")
}

#[test]
fn a_narrower_scope_adds_protection_and_takes_none() {
    let strict = "deliver = [\"tls:authenticated\"]";
    let lax = "deliver = [\"tls:encrypted\"]";
    for scope in ["domain = [\"clinic.example\"]", "client = [\"front-desk\"]", "user = [\"ann@clinic.example\"]"] {
        let scoped = |does: &str| rule("narrow", &format!("scope = {{ {scope} }}\n{does}"));
        let wide = |does: &str| rule("wide", does);
        assert_eq!(decided(&format!("{VALID}{}", scoped(strict)), PLAIN), "tls:authenticated by narrow", "{scope}");
        // The default stands, and so does what is written for everybody.
        assert_eq!(decided(&format!("{VALID}{}", scoped(lax)), PLAIN), "tls:valid by default", "{scope}");
        let both = format!("{VALID}{}{}", scoped(lax), wide("deliver = [\"tls:valid\"]"));
        let decision = &outcome(&both, PLAIN).decisions[0];
        assert_eq!(way(decision), "tls:valid by wide", "{scope}");
        assert_eq!(fared(decision, "narrow").result, RuleResult::Outdone { by: "wide".into() });
    }
    for other in ["domain = [\"lab.example\"]", "client = [\"lawyers\"]", "user = [\"bo@clinic.example\"]"] {
        let scoped = rule("narrow", &format!("scope = {{ {other} }}\nhold = \"look\""));
        let decision = &outcome(&format!("{VALID}{scoped}"), PLAIN).decisions[0];
        assert_eq!(way(decision), "tls:valid by default", "{other}");
        let RuleResult::NotMatched { condition } = fared(decision, "narrow").result else { panic!("{other}") };
        assert!(condition.ends_with("in the rule's scope"), "{condition}");
    }
}

#[test]
fn a_wider_scope_is_relaxed_only_where_it_says_so_and_the_narrowest_goes_first() {
    let lax = rule("ann", "scope = { user = [\"ann@clinic.example\"] }\ndeliver = [\"tls:valid\"]");
    let wide = rule("wide", "deliver = [\"tls:authenticated\"]\nmay_relax = true");
    let decision = &outcome(&format!("{VALID}{wide}{lax}"), PLAIN).decisions[0];
    assert_eq!(way(decision), "tls:valid by ann");
    assert_eq!(fared(decision, "wide").result, RuleResult::Relaxed { by: "ann".into() });
    // Beside a rule that may not be relaxed, the other changes nothing.
    let firm = rule("firm", "deliver = [\"tls:authenticated\", \"tls:valid\"]");
    assert_eq!(decided(&format!("{VALID}{wide}{firm}{lax}"), PLAIN), "tls:authenticated tls:valid by firm");
    // The default says it in its own place.
    let relaxing = "[policy]\ndefault = [\"tls:authenticated\"]\nmay_relax = true\n";
    assert_eq!(decided(&format!("{relaxing}{lax}"), PLAIN), "tls:valid by ann");
    let desk = rule("desk", "scope = { client = [\"front-desk\"] }\ndeliver = [\"tls:encrypted\"]\nmay_relax = true");
    assert_eq!(decided(&format!("{relaxing}{desk}{lax}"), PLAIN), "tls:valid by ann");
    // Two authors are not one of them: nobody gains by standing beside somebody else.
    let two = HELLO.replace("From: ann@clinic.example", "From: ann@clinic.example, eve@clinic.example");
    assert_eq!(decided(&format!("{relaxing}{lax}"), Mail { text: &two, ..PLAIN }), "tls:authenticated by default");
}

#[test]
fn opting_out_needs_a_right_and_a_reason_and_helps_no_health_information() {
    let policy = "[policy]\ndefault = [\"tls:authenticated\"]\nopted_out = [\"tls:valid\"]\n";
    let asks = "X-Sealpost-Secure: none\nX-Sealpost-Reason: Bo asked for it in writing\n";
    let text = format!("{asks}{HELLO}");
    let mail = Mail { text: &text, client: "lawyers", found: &[] };
    let out = outcome(policy, mail);
    assert_eq!(way(&out.decisions[0]), "tls:valid by sender opted out");
    assert_eq!(fared(&out.decisions[0], "default").result, RuleResult::Relaxed { by: "sender opted out".into() });
    let refused = |policy: &str, mail: Mail<'_>, why: &str| {
        let decision = &outcome(policy, mail).decisions[0];
        assert_eq!(way(decision), "tls:authenticated by default", "{why}");
        let condition = why.to_owned();
        assert_eq!(fared(decision, "sender opted out").result, RuleResult::NotMatched { condition });
    };
    refused(policy, Mail { client: "front-desk", ..mail }, "the sender may opt out of protection");
    refused(policy, Mail { found: &[("1", Kind::Mrn)], ..mail }, "no health information was found");
    let silent = text.replace("X-Sealpost-Reason: Bo asked for it in writing", "X-Sealpost-Reason:  ");
    refused(policy, Mail { text: &silent, ..mail }, "a reason is given in X-Sealpost-Reason");
    // A group gives the right to people, whichever client they write through.
    let group = "[[policy.group]]\nname = \"law\"\nmembers = [\"ann@clinic.example\"]\nmay_opt_out = true\n";
    let through_desk = Mail { client: "front-desk", ..mail };
    assert_eq!(decided(&format!("{policy}{group}"), through_desk), "tls:valid by sender opted out");
    // What somebody wrote a rule for stays.
    let firm = rule("firm", "deliver = [\"tls:authenticated\"]");
    assert_eq!(decided(&format!("{policy}{firm}"), mail), "tls:authenticated by firm");
    // Whoever asks for protection as well gets it.
    let torn = format!("Sensitivity: private\n{text}");
    let secure = policy.replace("opted_out", "secure = [\"tls:authenticated\"]\nopted_out");
    assert_eq!(decided(&secure, Mail { text: &torn, ..mail }), "tls:authenticated by sender asked for protection");
}

const RESULT: &str = "From: ann@clinic.example\nSubject: [secure] Result of Maribel Quist\n\nGood morning\n";

#[test]
fn a_subject_with_health_information_moves_inside_or_holds_the_message() {
    let found = &[("subject", Kind::Name), ("1", Kind::Diagnosis)];
    let mail = Mail { text: RESULT, found, ..PLAIN };
    let moved = outcome(VALID, mail);
    assert_eq!(way(&moved.decisions[0]), "tls:valid by sender asked for protection");
    assert_eq!(
        moved.left,
        "From: ann@clinic.example\nSubject: Secure message 00000000000000000000000001\n\n\
         Subject: Result of Maribel Quist\n\nGood morning\n"
    );
    // Of two subjects, programs show either.
    let twice = RESULT.replace("\n\nGood", "\nSubject: Second of Maribel Quist\n\nGood");
    let found = &[("subject~2", Kind::Name), ("1", Kind::Diagnosis)];
    let left = outcome(VALID, Mail { text: &twice, found, ..PLAIN }).left;
    assert!(
        left.ends_with("\n\nSubject: Result of Maribel Quist\nSubject: Second of Maribel Quist\n\nGood morning\n"),
        "{left}"
    );
    assert_eq!(left.matches("Maribel").count(), 2, "{left}");
    let own = "[policy]\ndefault = [\"tls:valid\"]\nsubject = \"From the clinic ({reference})\"\n";
    assert!(outcome(own, mail).left.contains("\nSubject: From the clinic (00000000000000000000000001)\n"));
    let hold = "[policy]\ndefault = [\"tls:valid\"]\nphi_subject = \"hold\"\n";
    assert_eq!(decided(hold, mail), "hold by the subject");
    let leave = "[policy]\ndefault = [\"tls:valid\"]\nphi_subject = \"leave\"\n";
    assert!(outcome(leave, mail).left.contains("Subject: Result of Maribel Quist\n\nGood"));
    // Nothing is moved of other mail, nor where only the text tells something.
    for found in [&[][..], &[("1", Kind::Mrn)], &[("subject", Kind::Date), ("1", Kind::Mrn)]] {
        assert!(outcome(VALID, Mail { found, ..mail }).left.contains("Subject: Result of"), "{found:?}");
    }
}

#[test]
fn what_is_signed_or_sealed_end_to_end_is_not_edited() {
    let signed = "From: ann@clinic.example\nSubject: Maribel Quist\nContent-Type: multipart/signed; boundary=x\n\n--x\n\nhi\n\
                  --x\nContent-Type: application/pgp-signature\n\nsig\n--x--\n";
    let armored = "From: ann@clinic.example\nSubject: Maribel Quist\n\n-----BEGIN PGP MESSAGE-----\n\nhQ\n-----END PGP MESSAGE-----\n";
    for text in [signed, armored] {
        let found = &[("subject", Kind::Name)];
        let mail = Mail { text, found, ..PLAIN };
        assert_eq!(decided(VALID, mail), "hold by the subject", "{text}");
        let adds = rule("adds", "footer = \"Bye\"\npart2_notice = true");
        let out = outcome(&format!("{VALID}{adds}"), Mail { found: &[], ..mail });
        assert_eq!(out.left, text);
        let told = out.decisions[0].remarks.join("\n");
        assert!(told.contains("no footer"), "{told}");
        // What a rule moves must not leave as it is either.
        let moves = format!("{VALID}{}", rule("moves", "move_subject = true"));
        assert_eq!(decided(&moves, Mail { found: &[], ..mail }), "hold by the subject", "{text}");
    }
}

#[test]
fn what_rules_add_comes_together_whichever_of_them_wins() {
    let policy = [
        VALID.to_owned(),
        rule("class", "add_headers = { \"X-Clinic-Class\" = \"phi\" }\nfooter = \"Answer safely.\""),
        rule(
            "part 2",
            "deliver = [\"tls:authenticated\"]\npart2_notice = true\nadd_headers = { \"X-Clinic-Class\" = \"part2\" }",
        ),
        rule(
            "portal",
            "deliver = [\"tls:valid\", \"portal\"]\nexpire = \"30d\"\nverify = \"code\"\nmove_subject = true",
        ),
        rule("short", "expire = \"7d\"\nverify = \"mailbox\""),
    ];
    let out = outcome(&policy.concat(), PLAIN);
    let decision = &out.decisions[0];
    assert_eq!(way(decision), "tls:authenticated by part 2");
    assert_eq!(
        out.left,
        "X-Clinic-Class: phi\nFrom: ann@clinic.example\nSubject: Secure message 00000000000000000000000001\n\n\
         Subject: hello\n\nGood morning\n\nAnswer safely.\n\n\
         42 CFR part 2 prohibits unauthorized use or disclosure of these records.\n"
    );
    assert_eq!(fared(decision, "class").result, RuleResult::Added);
    assert_eq!(fared(decision, "class").adds, ["adds X-Clinic-Class", "puts a footer under it"]);
    assert!(
        fared(decision, "part 2").adds.contains(&"X-Clinic-Class gives way to that of a rule further up".to_owned())
    );
    assert_eq!(decision.adds.expire.map(|expire| expire.as_secs()), Some(7 * 86_400));
    assert_eq!(decision.adds.verify, Some(config::Verification::Code));
    assert_eq!(fared(decision, "short").adds[1], "asks whoever picks it up for mailbox; as much is asked already");
    // The default stands where a rule only adds.
    let only = [VALID.to_owned(), rule("class", "footer = \"Answer safely.\"")].concat();
    assert_eq!(decided(&only, PLAIN), "tls:valid by default");
}

#[test]
fn an_archive_gets_one_copy_as_well_protected_as_the_best_protected_recipient() {
    let archive = "archive = \"archive@clinic.example\"";
    let policy = [
        VALID.to_owned(),
        rule("all", archive),
        rule(
            "lab",
            &format!("when = {{ recipient_domain = [\"lab.example\"] }}\ndeliver = [\"tls:authenticated\"]\n{archive}"),
        ),
    ];
    let out = outcome(&policy.concat(), PLAIN);
    let ways: Vec<(String, bool)> = out.decisions.iter().map(|d| (way(d), d.copy)).collect();
    assert_eq!(
        ways,
        [
            ("tls:authenticated by lab".to_owned(), false),
            ("tls:valid by default".to_owned(), false),
            ("tls:authenticated by lab".to_owned(), true),
        ]
    );
    assert_eq!(out.decisions[2].recipient.expose(), "archive@clinic.example");
    // A recipient is sent no second copy, and what is refused none at all.
    let named = [VALID.to_owned(), rule("all", "archive = \"bo@lab.example\"")].concat();
    assert_eq!(outcome(&named, PLAIN).decisions.len(), 2);
    let refused = [VALID.to_owned(), rule("all", archive), rule("no", "reject = \"no\"")].concat();
    assert_eq!(outcome(&refused, PLAIN).decisions.len(), 2);
}

#[test]
fn a_sender_raises_the_floor_and_asks_for_tls_or_nothing() {
    let lax = "[policy]\ndefault = [\"tls:encrypted\"]\n";
    let text = format!("X-Sealpost-Min-Tls: valid\n{HELLO}");
    let decision = &outcome(lax, Mail { text: &text, ..PLAIN }).decisions[0];
    assert_eq!(way(decision), "tls:valid by default");
    assert!(decision.remarks.contains(&"X-Sealpost-Min-Tls asks for tls:valid at least".to_owned()));
    let text = format!("X-Sealpost-Secure: tls-exclusive\n{HELLO}");
    let decision = &outcome(lax, Mail { text: &text, ..PLAIN }).decisions[0];
    assert_eq!(way(decision), "tls:valid by sender asked for protection");
    assert!(matches!(decision.action, Action::Deliver { last: config::Last::Undeliverable, .. }));
}

#[test]
fn marks_of_other_products_decide_from_one_table_that_can_be_switched_off() {
    let on = "[policy]\ndefault = [\"tls:encrypted\"]\nsecure = [\"tls:valid\"]\n";
    let off = format!("{on}[policy.compat]\nenabled = false\n");
    let one_off = format!("{on}[policy.compat]\noff = [\"cisco\"]\n");
    let text = HELLO.replace("hello", "[Send Secure] hello");
    let mail = Mail { text: &text, ..PLAIN };
    let out = outcome(on, mail);
    assert_eq!(way(&out.decisions[0]), "tls:valid by sender asked for protection");
    assert!(out.left.contains("Subject: hello\n"), "{}", out.left);
    for policy in [&off, &one_off] {
        let out = outcome(policy, mail);
        assert_eq!((way(&out.decisions[0]).as_str(), out.left.as_str()), ("tls:encrypted by default", text.as_str()));
    }
    let secret = HELLO.replace("hello", "[PW:hunter2] hello");
    assert_eq!(decided(on, Mail { text: &secret, ..PLAIN }), "reject by a password in the subject");
}

#[test]
fn what_is_held_is_released_by_no_less_than_it_would_have_gone_by() {
    let held = rule("look", "hold = \"look\"");
    let lax = rule("lax", "scope = { domain = [\"clinic.example\"] }\ndeliver = [\"tls:encrypted\"]");
    let decision = &outcome(&[VALID, &held, &lax].concat(), PLAIN).decisions[0];
    let released: Vec<&str> = decision.released.iter().map(|method| method.name()).collect();
    assert_eq!((way(decision).as_str(), released.as_slice()), ("hold by look", ["tls:valid"].as_slice()));
}

#[test]
fn opting_out_undoes_no_rule_that_somebody_wrote() {
    let policy = "[policy]\ndefault = [\"tls:authenticated\"]\nopted_out = [\"tls:encrypted\"]\n";
    let clinic = rule("clinic", "scope = { domain = [\"clinic.example\"] }\ndeliver = [\"tls:valid\"]");
    let text = format!("X-Sealpost-Secure: none\nX-Sealpost-Reason: it is a menu\n{HELLO}");
    let mail = Mail { text: &text, client: "lawyers", found: &[] };
    assert_eq!(decided(policy, mail), "tls:encrypted by sender opted out");
    assert_eq!(decided(&format!("{policy}{clinic}"), mail), "tls:valid by clinic");
}

#[test]
fn an_archive_gets_its_copy_though_another_recipient_is_refused() {
    let policy = [
        VALID.to_owned(),
        rule("all", "archive = \"archive@clinic.example\""),
        rule("no", "when = { recipient_domain = [\"lab.example\"] }\nreject = \"no\""),
    ];
    let out = outcome(&policy.concat(), PLAIN);
    let ways: Vec<String> = out.decisions.iter().map(way).collect();
    assert_eq!(ways, ["reject by no", "tls:valid by default", "tls:valid by default"]);
}

#[test]
fn a_topic_that_is_not_known_is_told() {
    let text = format!("X-Sealpost-Label: part-2, hiv\n{HELLO}");
    let decision = &outcome(VALID, Mail { text: &text, ..PLAIN }).decisions[0];
    assert!(decision.remarks.contains(&"X-Sealpost-Label has a word that is not known".to_owned()), "{decision:?}");
}
