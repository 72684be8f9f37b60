//! Subjects and fields against what they ask for.

use super::*;
use crate::config::{Compat, Permission, Policy, Product};
use crate::mail::{Address, Envelope, ReversePath};
use crate::mime::Tree;
use crate::policy::Seen;

fn rules() -> Rules {
    Rules::compile(&Policy {
        default: vec![Method::Tls(Assurance::Valid)],
        rules: Vec::new(),
        tags: ["[secure]", "[encrypt]", "[confidential]"].map(String::from).to_vec(),
        secure: vec![Method::Tls(Assurance::Authenticated)],
        ..Policy::default()
    })
}

fn read_with(rules: &Rules, tree: &Tree, fields: &[(&str, &str)], belief: Belief) -> Marks {
    let bo = Address::parse("bo@lab.example").unwrap();
    let envelope = Envelope::new(ReversePath::Null, bo, Vec::new());
    let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), Phi::new((*v).to_owned()))).collect();
    let seen = Seen { fields, ..Seen::default() };
    let permission = Permission::NotGranted;
    marks(rules, &Submission { client: None, marks: belief, permission, envelope: &envelope, tree, seen: &seen })
}

fn tree(subject: &str, control: &[(&str, &str)]) -> Tree {
    Tree {
        subject: Phi::new(subject.into()),
        from: Vec::new(),
        message_id: None,
        parts: Vec::new(),
        control: control.iter().map(|(n, v)| ((*n).to_owned(), Phi::new((*v).to_owned()))).collect(),
    }
}

fn subject(before: &str, after: Option<&str>) {
    assert_eq!(without_tags(before, &rules().tags).map(|(kept, _)| kept).as_deref(), after, "{before}");
}

#[test]
fn tags_are_found_behind_answers_and_at_both_ends_and_taken_off() {
    subject("[secure] Your results", Some("Your results"));
    subject("Your results [SECURE]", Some("Your results"));
    subject("[ Secure ]Your results", Some("Your results"));
    subject("[sec ure] Your results", Some("Your results"));
    subject("Re: [secure] Your results", Some("Re: Your results"));
    subject("AW: Re: [Encrypt] Fwd: [secure] Your results [Confidential]", Some("AW: Re: Fwd: Your results"));
    subject("[secure] Re[2]: [secure] Results", Some("Re[2]: Results"));
    subject("Re:[encrypt]", Some("Re:"));
    subject("[secure]", Some(""));
    subject("  [secure] Überweisung 検査  ", Some("Überweisung 検査"));
}

#[test]
fn a_subject_without_a_tag_stays_as_it_is() {
    subject("Your results", None);
    subject("Our [secure] portal moves", None);
    subject("[secured] results", None);
    subject("secure", None);
    subject("Note: [secure] results", None);
    subject("", None);
}

#[test]
fn a_tag_without_brackets_must_be_a_word() {
    let tags = [(Tag::new("secure").unwrap(), Means::Secure)];
    assert_eq!(without_tags("Secure: x", &tags), Some((": x".to_owned(), vec![0])));
    assert_eq!(without_tags("securely yours, insecure", &tags), None);
}

fn asks(control: &[(&str, &str)]) -> Vec<String> {
    let marks = read_with(&rules(), &tree("hello", control), &[], Belief::Believed);
    marks.asks.iter().map(|ask| ask.methods.iter().map(|m| m.name()).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn control_headers_are_read_by_their_grammar() {
    let strict = "smime pgp portal tls:authenticated";
    for (value, expected) in [
        ("yes", "tls:authenticated"),
        (" YES ", "tls:authenticated"),
        ("tls", "tls:valid"),
        ("tls-authenticated, portal", "tls:authenticated portal"),
        ("smime,pgp", "smime pgp"),
        ("tls-encrypted", strict),
        ("ture", strict),
        ("", strict),
        ("tls, please", strict),
    ] {
        assert_eq!(asks(&[("x-sealpost-secure", value)]), [expected], "{value}");
    }
    assert!(asks(&[("x-sealpost-secure", "no")]).is_empty());
}

#[test]
fn a_sensitivity_asks_for_protection_unless_it_is_normal() {
    for value in ["Company-Confidential", "private", "Personal", "eyes only"] {
        assert_eq!(asks(&[("sensitivity", value)]), ["tls:authenticated"], "{value}");
    }
    assert!(asks(&[("sensitivity", "Normal")]).is_empty());
}

#[test]
fn a_mark_that_may_be_anybodys_asks_for_nothing() {
    let tree = tree("[secure] hello", &[("x-sealpost-secure", "no"), ("sensitivity", "private")]);
    let marks = read_with(&rules(), &tree, &[], Belief::NotBelieved);
    assert!(marks.asks.is_empty());
    assert!(edits(&marks).is_empty());
    assert_eq!(marks.remarks.len(), 1, "whoever asks why is told");
}

#[test]
fn each_mark_asks_and_the_tag_comes_off() {
    let tree = tree("Re: [secure] hello", &[("x-sealpost-secure", "yes"), ("sensitivity", "private")]);
    let marks = read_with(&rules(), &tree, &[], Belief::Believed);
    assert_eq!(marks.asks.len(), 3);
    match &edits(&marks)[..] {
        [Edit::Subject(subject)] => {
            assert_eq!(subject.expose(), "Re: hello");
        }
        other => panic!("{other:?}"),
    }
}

fn compat() -> Rules {
    Rules::compile(&Policy {
        tags: vec!["[secure]".into()],
        secure: vec![Method::Tls(Assurance::Authenticated)],
        compat: Compat { on: Product::ALL.to_vec() },
        ..Policy::default()
    })
}

#[test]
fn conventions_of_other_products_are_obeyed_counted_and_taken_off() {
    for (subject, mark, methods, left) in [
        ("Results [Confidential]", "[confidential]", "tls:authenticated", "Results"),
        ("+Encrypt+ Results", "+encrypt+", "smime pgp portal", "Results"),
        ("Re: [priv] Results", "[priv]", "portal", "Re: Results"),
        ("ZixEncrypt Results", "zixencrypt", "tls:authenticated", "Results"),
        ("[SEND SECURE] Results", "[send secure]", "tls:authenticated", "Results"),
        ("Results [sms: +1 602 555 0143]", "[sms:", "tls:authenticated", "Results"),
        ("[sms:+16025550143] Results", "[sms:", "tls:authenticated", "Results"),
        ("(E) Results", "(e)", "tls:authenticated", "Results"),
        ("Re: [Results of today]", "[whole subject]", "tls:authenticated", "Re: Results of today"),
    ] {
        let marks = read_with(&compat(), &tree(subject, &[]), &[], Belief::Believed);
        assert_eq!(marks.used.iter().map(|used| used.mark).collect::<Vec<_>>(), [mark], "{subject}");
        let asked: Vec<&str> = marks.asks[0].methods.iter().map(|method| method.name()).collect();
        assert_eq!(asked.join(" "), methods, "{subject}");
        assert_eq!(marks.subject().unwrap().expose(), left);
        let off = read_with(&rules(), &tree(subject, &[]), &[], Belief::Believed);
        assert!(off.used.is_empty(), "{subject}");
    }
    let none = read_with(&compat(), &tree("A [confidential] matter", &[]), &[], Belief::Believed);
    assert!(none.used.is_empty() && none.subject().is_none());
}

#[test]
fn a_password_in_the_subject_is_refused() {
    let marks = read_with(&compat(), &tree("[PW:hunter2] Results", &[]), &[], Belief::Believed);
    assert!(marks.refused.unwrap().contains("password"));
    assert!(!format!("{marks:?}").contains("hunter2"));
}

#[test]
fn fields_of_other_products_are_obeyed_and_taken_off_and_a_strangers_only_taken_off() {
    let fields = [("x-smwebmail", "Yes"), ("x-postx-expirationdate", "+24:00:00"), ("x-smenc", "no")];
    let marks = read_with(&compat(), &tree("hello", &[]), &fields, Belief::Believed);
    assert_eq!(marks.asks, [Ask { methods: vec![Method::Portal], last: Last::Hold }]);
    assert_eq!(marks.expire, Some(Duration::from_secs(86_400)));
    assert_eq!(marks.used.len(), 2);
    let stranger = read_with(&compat(), &tree("hello", &[]), &fields, Belief::NotBelieved);
    assert!(stranger.asks.is_empty() && stranger.used.is_empty());
    assert_eq!((edits(&marks).len(), edits(&stranger).len()), (3, 3));
}

#[test]
fn our_own_fields_say_how_long_how_sure_and_what_about() {
    let fields = [
        ("X-Sealpost-Min-Tls", "dane-or-sts"),
        ("X-Sealpost-Expire", "30d"),
        ("X-Sealpost-Verify", "code:7"),
        ("X-Sealpost-Label", "part2, HIV, strange"),
        ("X-Sealpost-Reason", "Maribel asked for it"),
    ];
    let tree = tree("hello", &[("x-sealpost-secure", "none")]);
    let marks = read_with(&rules(), &tree, &fields, Belief::Believed);
    assert_eq!(marks.least_tls, Some(Assurance::Authenticated));
    assert_eq!(marks.expire, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(marks.verify, Some(Verification::Code));
    assert_eq!(marks.labels, [Label::Part2, Label::Hiv]);
    assert_eq!((marks.opting_out, marks.asks.len()), (OptingOut::Asked, 0));
    assert!(marks.reason.is_some() && !format!("{marks:?}").contains("Maribel"));
}

#[test]
fn tls_or_nothing_can_be_asked_for() {
    let tree = tree("hello", &[("x-sealpost-secure", "TLS-Exclusive")]);
    let marks = read_with(&rules(), &tree, &[], Belief::Believed);
    let tls = vec![Method::Tls(Assurance::Valid)];
    assert_eq!(marks.asks, [Ask { methods: tls, last: Last::Undeliverable }]);
}
