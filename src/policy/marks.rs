//! How a sender asks for protection: subject tags and header fields. What they ask for, and how they come off.
//!
//! `X-Sealpost-Secure` holds words between commas, in the order in which the ways are to be tried:
//!
//! ```text
//! value = word *( "," word )
//! word  = "yes" | "tls" | "tls-valid" | "tls-authenticated" | "portal" | "smime" | "pgp" | "no" | "auto"
//! ```
//!
//! `yes` asks for the list `[policy] secure`, `tls` is short for `tls-valid`, `no` alone asks for nothing. Case and
//! blanks do not matter. Any other word makes
//! the whole value ask for the most protective list there is: whoever writes this field wants protection, and a slip of
//! the pen must not cost it. `tls-encrypted` is such a word: not to check a certificate is for the operator to decide.
//!
//! `Sensitivity` (RFC 4021 §2.1.55) asks for `[policy] secure`, whatever it says, unless it says `normal` or nothing.

use crate::config::{self, Last};
use crate::mail::{Assurance, Method};
use crate::mime::Edit;
use crate::phi::{Label, Phi};
use crate::policy::{Belief, Rules, Submission};

const CONTROL: &str = "X-Sealpost-Secure";
const LABEL: &str = "X-Sealpost-Label";

/// The control headers that are read beside `X-Sealpost-Secure`.
pub(super) const CONTROLS: [&str; 1] = [LABEL];

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
    pub labels: Vec<Label>,
    /// The tags of rules that the subject carries, as the config writes them.
    pub(super) tags: Vec<String>,
    /// The subject without its tags, when it had any.
    subject: Option<Phi<String>>,
}

/// One wish for protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub methods: Vec<Method>,
    pub last: Last,
}

/// A subject tag, in the one form in which it is compared: lower case, no blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag(Vec<char>);

/// What a tag does.
#[derive(Clone, Debug)]
pub(super) enum Means {
    /// Asks for protection.
    Secure,
    /// Is a condition of rules, which write it so.
    Rule(String),
}

impl Tag {
    pub(super) fn new(text: &str) -> Option<Tag> {
        let folded: Vec<char> = folded(text.chars()).collect();
        (!folded.is_empty()).then_some(Tag(folded))
    }
}

/// Reads the marks of a message, when they are to be believed: on other mail a mark is a stranger's.
pub fn marks(rules: &Rules, submission: &Submission<'_>) -> Marks {
    let marks = read(rules, submission);
    let asks = !marks.asks.is_empty();
    match submission.marks {
        Belief::NotBelieved => {
            let remark = "a tag or header asks for something, and is not believed: the client has not logged in";
            let remarks = if asks { vec![remark.into()] } else { Vec::new() };
            Marks { remarks, ..Marks::default() }
        }
        Belief::Believed => marks,
    }
}

fn read(rules: &Rules, submission: &Submission<'_>) -> Marks {
    let mut marks = Marks::default();
    // The subject is searched for tags, and kept wrapped.
    let subject = submission.tree.subject.expose();
    if let Some((stripped, found)) = without_tags(subject, &rules.tags) {
        marks.subject = Some(Phi::new(stripped));
        found.into_iter().for_each(|at| marks.read_tag(&rules.tags[at].1, rules));
    }
    for (name, value) in &submission.tree.control {
        // Compared with the words of the grammar only; no part of it is kept.
        let value = value.expose();
        if name.eq_ignore_ascii_case(CONTROL) {
            marks.read_control(value, &rules.secure);
        } else if name.eq_ignore_ascii_case("Sensitivity") {
            marks.read_sensitivity(value, &rules.secure);
        }
    }
    for (name, value) in &submission.seen.fields {
        // As above.
        marks.read_field(name, value.expose());
    }
    marks
}

/// Takes the tags off that were obeyed. The control headers go in any case; `Sensitivity` is everybody's field, and stays.
pub fn edits(marks: &Marks) -> Vec<Edit> {
    marks.subject.clone().map(Edit::Subject).into_iter().collect()
}

impl Marks {
    fn ask(&mut self, methods: Vec<Method>, remark: &str) {
        self.asks.push(Ask { methods, last: Last::Hold });
        self.remarks.push(remark.into());
    }

    fn read_tag(&mut self, means: &Means, rules: &Rules) {
        match means {
            Means::Secure => self.ask(rules.secure.clone(), "a subject tag asks for protection"),
            Means::Rule(tag) => self.tags.push(tag.clone()),
        }
    }

    fn read_field(&mut self, name: &str, value: &str) {
        if name.eq_ignore_ascii_case(LABEL) {
            let word = folded(value.chars()).collect::<String>();
            self.labels.extend(word.split(',').filter_map(Label::from_name));
        }
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
            "no" | "auto" => {}
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

/// The subject without the tags at its start (behind any answer prefixes) and at its end, and which of the tags these
/// were; none when it has no tag.
fn without_tags(subject: &str, tags: &[(Tag, Means)]) -> Option<(String, Vec<usize>)> {
    let mut kept = String::new();
    let mut rest = subject.trim();
    let mut found = Vec::new();
    let at = |tag: &Tag| tags.iter().enumerate().filter(|(_, (known, _))| known == tag).map(|(at, _)| at).collect();
    let mut note = |tag: &Tag| {
        let all: Vec<usize> = at(tag);
        found.extend(all);
    };
    loop {
        if let Some((tag, behind)) = tags.iter().find_map(|(tag, _)| Some((tag, behind_tag(rest, tag)?))) {
            note(tag);
            rest = behind.trim_start();
        } else if let Some(behind) = behind_prefix(rest) {
            kept.push_str(rest[..rest.len() - behind.len()].trim_end());
            kept.push(' ');
            rest = behind.trim_start();
        } else {
            break;
        }
    }
    while let Some((tag, before)) = tags.iter().find_map(|(tag, _)| Some((tag, before_tag(rest, tag)?))) {
        note(tag);
        rest = before.trim_end();
    }
    kept.push_str(rest);
    found.sort_unstable();
    found.dedup();
    (!found.is_empty()).then(|| (kept.trim().to_owned(), found))
}

/// What follows the tag that `text` starts with.
fn behind_tag<'a>(text: &'a str, tag: &Tag) -> Option<&'a str> {
    covered(text.chars(), tag.0.iter().copied()).map(|length| &text[length..])
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

/// The tags of a config, in their comparable form: its own, and those of its rules.
pub(super) fn tags(policy: &config::Policy) -> Vec<(Tag, Means)> {
    let own = policy.tags.iter().filter_map(|text| Some((Tag::new(text)?, Means::Secure)));
    let whens = policy.rules.iter().flat_map(|rule| rule.when.all());
    let conditions = whens.flat_map(|when| &when.tags);
    let conditions = conditions.filter_map(|text| Some((Tag::new(text)?, Means::Rule(text.clone()))));
    own.chain(conditions).collect()
}

#[cfg(test)]
mod tests;
