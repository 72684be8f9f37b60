//! How a sender asks for protection: subject tags and header fields. What they ask for, and how they come off.
//!
//! `X-Sealpost-Secure` holds words between commas, in the order in which the ways are to be tried:
//!
//! ```text
//! value = word *( "," word )
//! word  = "yes" | "tls" | "tls-valid" | "tls-authenticated" | "portal" | "smime" | "pgp" | "no"
//! ```
//!
//! `yes` asks for the list `[policy] secure`, `tls` is short for `tls-valid`, `no` alone asks for nothing. Case and
//! blanks do not matter. Any other word makes the whole value ask for the most protective list there is: whoever writes
//! this field wants protection, and a slip of the pen must not cost it. `tls-encrypted` is such a word: not to check a
//! certificate is for the operator to decide.
//!
//! `Sensitivity` (RFC 4021 §2.1.55) asks for `[policy] secure`, whatever it says, unless it says `normal` or nothing.

use crate::config;
use crate::mail::{Assurance, Method};
use crate::mime::{Edit, Tree};
use crate::phi::Phi;
use crate::policy::{Belief, Rules};

const CONTROL: &str = "X-Sealpost-Secure";

/// What stands in for a value that cannot be read: never without proof of who reads it.
const MOST_PROTECTIVE: [Method; 4] =
    [Method::Smime, Method::Pgp, Method::Portal, Method::Tls(Assurance::Authenticated)];

/// Words that mail programs put before the subject of an answer or a forward.
const PREFIXES: [&str; 11] = ["re", "fw", "fwd", "aw", "wg", "antw", "sv", "vs", "tr", "rv", "enc"];

/// What a sender asked for.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    pub asks: Vec<Ask>,
    /// In words: what was asked for by what, and what was not understood.
    pub remarks: Vec<String>,
    /// The subject without its tags, when it had any.
    subject: Option<Phi<String>>,
}

/// One wish for protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub methods: Vec<Method>,
}

/// A subject tag, in the one form in which it is compared: lower case, no blanks.
#[derive(Clone, Debug)]
pub(super) struct Tag(Vec<char>);

impl Tag {
    pub(super) fn new(text: &str) -> Option<Tag> {
        let folded: Vec<char> = folded(text.chars()).collect();
        (!folded.is_empty()).then_some(Tag(folded))
    }
}

/// Reads the marks of a message, when they are to be believed: on other mail a mark is a stranger's.
pub fn marks(rules: &Rules, tree: &Tree, belief: Belief) -> Marks {
    let marks = read(rules, tree);
    match belief {
        Belief::NotBelieved if !marks.asks.is_empty() => {
            let remark = "a tag or header asks for protection, and is not believed: the client has not logged in";
            Marks { remarks: vec![remark.into()], ..Marks::default() }
        }
        Belief::NotBelieved => Marks::default(),
        Belief::Believed => marks,
    }
}

fn read(rules: &Rules, tree: &Tree) -> Marks {
    let mut marks = Marks::default();
    // The subject is searched for tags, and kept wrapped.
    if let Some(stripped) = without_tags(tree.subject.expose(), &rules.tags) {
        marks.subject = Some(Phi::new(stripped));
        marks.ask(rules.secure.clone(), "a subject tag asks for protection");
    }
    for (name, value) in &tree.control {
        // Compared with the words of the grammar only; no part of it is kept.
        let value = value.expose();
        if name.eq_ignore_ascii_case(CONTROL) {
            marks.read_control(value, &rules.secure);
        } else if name.eq_ignore_ascii_case("Sensitivity") {
            marks.read_sensitivity(value, &rules.secure);
        }
    }
    marks
}

/// Takes the tags off that were obeyed. The control headers go in any case; `Sensitivity` is everybody's field, and stays.
pub fn edits(marks: &Marks) -> Vec<Edit> {
    marks.subject.clone().map(Edit::Subject).into_iter().collect()
}

impl Marks {
    fn ask(&mut self, methods: Vec<Method>, remark: &str) {
        self.asks.push(Ask { methods });
        self.remarks.push(remark.into());
    }

    fn read_control(&mut self, value: &str, secure: &[Method]) {
        match read_words(value, secure) {
            Some(methods) if methods.is_empty() => {
                self.remarks.push(format!("{CONTROL} asks for nothing; the rules stand"));
            }
            Some(methods) => self.ask(methods, "X-Sealpost-Secure asks for protection"),
            None => {
                let remark = "X-Sealpost-Secure has a word that is not known; read as the most protective there is";
                self.ask(MOST_PROTECTIVE.to_vec(), remark);
            }
        }
    }

    fn read_sensitivity(&mut self, value: &str, secure: &[Method]) {
        match folded(value.chars()).collect::<String>().as_str() {
            "" | "normal" => {}
            "company-confidential" | "private" | "personal" => {
                self.ask(secure.to_vec(), "Sensitivity asks for protection");
            }
            _ => self.ask(secure.to_vec(), "Sensitivity has a word that is not known; read as asking for protection"),
        }
    }
}

/// The methods that a value asks for; none when a word is unknown.
fn read_words(value: &str, secure: &[Method]) -> Option<Vec<Method>> {
    let mut methods = Vec::new();
    for word in value.split(',') {
        match folded(word.chars()).collect::<String>().as_str() {
            "yes" => methods.extend_from_slice(secure),
            "no" => {}
            "tls" | "tls-valid" => methods.push(Method::Tls(Assurance::Valid)),
            "tls-authenticated" => methods.push(Method::Tls(Assurance::Authenticated)),
            "portal" => methods.push(Method::Portal),
            "smime" => methods.push(Method::Smime),
            "pgp" => methods.push(Method::Pgp),
            _ => return None,
        }
    }
    Some(methods)
}

/// The subject without the tags at its start (behind any answer prefixes) and at its end; none when it has no tag.
fn without_tags(subject: &str, tags: &[Tag]) -> Option<String> {
    let mut kept = String::new();
    let mut rest = subject.trim();
    let mut found = false;
    loop {
        if let Some(behind) = tags.iter().find_map(|tag| behind_tag(rest, tag)) {
            found = true;
            rest = behind.trim_start();
        } else if let Some(behind) = behind_prefix(rest) {
            kept.push_str(rest[..rest.len() - behind.len()].trim_end());
            kept.push(' ');
            rest = behind.trim_start();
        } else {
            break;
        }
    }
    while let Some(before) = tags.iter().find_map(|tag| before_tag(rest, tag)) {
        found = true;
        rest = before.trim_end();
    }
    kept.push_str(rest);
    found.then(|| kept.trim().to_owned())
}

/// What follows the tag that `text` starts with.
fn behind_tag<'a>(text: &'a str, tag: &Tag) -> Option<&'a str> {
    let length = covered(text.chars(), tag.0.iter().copied())?;
    Some(&text[length..])
}

/// What precedes the tag that `text` ends with.
fn before_tag<'a>(text: &'a str, tag: &Tag) -> Option<&'a str> {
    let length = covered(text.chars().rev(), tag.0.iter().rev().copied())?;
    Some(&text[..text.len() - length])
}

/// How many octets of `text` the tag covers, blanks inside it included. A tag that ends in a letter or digit must not
/// stop in the middle of a word.
fn covered(text: impl Iterator<Item = char>, tag: impl Iterator<Item = char>) -> Option<usize> {
    let mut text = text.peekable();
    let mut length = 0;
    let mut last = ' ';
    for expected in tag {
        let next = loop {
            let character = text.next()?;
            length += character.len_utf8();
            if !character.is_whitespace() {
                break character;
            }
        };
        if !next.to_lowercase().eq(expected.to_lowercase()) {
            return None;
        }
        last = expected;
    }
    let splits_a_word = last.is_alphanumeric() && text.peek().is_some_and(|next| next.is_alphanumeric());
    (!splits_a_word).then_some(length)
}

/// What follows an answer prefix such as `Re:`, `AW :` or `Re[2]:`.
fn behind_prefix(text: &str) -> Option<&str> {
    let (prefix, behind) = text.split_once([':', '\u{ff1a}'])?;
    let word = prefix.trim_end();
    let word = word.split_once('[').map_or(word, |(word, count)| {
        let counted = count.strip_suffix(']').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if counted { word } else { "" }
    });
    PREFIXES.iter().any(|known| known.eq_ignore_ascii_case(word)).then_some(behind)
}

fn folded(text: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    text.filter(|character| !character.is_whitespace()).flat_map(char::to_lowercase)
}

/// The tags of a config, in their comparable form.
pub(super) fn tags(policy: &config::Policy) -> Vec<Tag> {
    policy.tags.iter().filter_map(|text| Tag::new(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Policy;

    fn rules() -> Rules {
        Rules::compile(&Policy {
            default: vec![Method::Tls(Assurance::Valid)],
            rules: Vec::new(),
            tags: ["[secure]", "[encrypt]", "[confidential]"].map(String::from).to_vec(),
            secure: vec![Method::Tls(Assurance::Authenticated)],
            trial: crate::config::Trial::default(),
            guard: crate::config::Guard::default(),
        })
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
        assert_eq!(without_tags(before, &rules().tags).as_deref(), after, "{before}");
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
        let tags = [Tag::new("secure").unwrap()];
        assert_eq!(without_tags("Secure: x", &tags).as_deref(), Some(": x"));
        assert_eq!(without_tags("securely yours, insecure", &tags), None);
    }

    fn asks(control: &[(&str, &str)]) -> Vec<String> {
        let marks = marks(&rules(), &tree("hello", control), Belief::Believed);
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
        let marks = marks(&rules(), &tree, Belief::NotBelieved);
        assert!(marks.asks.is_empty());
        assert!(edits(&marks).is_empty());
        assert_eq!(marks.remarks.len(), 1, "whoever asks why is told");
    }

    #[test]
    fn each_mark_asks_and_the_tag_comes_off() {
        let tree = tree("Re: [secure] hello", &[("x-sealpost-secure", "yes"), ("sensitivity", "private")]);
        let marks = marks(&rules(), &tree, Belief::Believed);
        assert_eq!(marks.asks.len(), 3);
        match &edits(&marks)[..] {
            [Edit::Subject(subject)] => {
                assert_eq!(subject.expose(), "Re: hello");
            }
            other => panic!("{other:?}"),
        }
    }
}
