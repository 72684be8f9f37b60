//! Subjects and fields against what they ask for.

use super::*;
use crate::config::Policy;
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
    marks(rules, &Submission { client: None, marks: belief, envelope: &envelope, tree, seen: &seen })
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

#[test]
fn a_sender_may_name_topics() {
    let fields = [("X-Sealpost-Label", "part2, HIV, strange")];
    let marks = read_with(&rules(), &tree("hello", &[]), &fields, Belief::Believed);
    assert_eq!(marks.labels, [Label::Part2, Label::Hiv]);
}
