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
//! blanks do not matter. `tls-exclusive`, alone, is `tls-valid` or nothing; `none`, alone, opts out. Any other word makes
//! the whole value ask for the most protective list there is: whoever writes this field wants protection, and a slip of
//! the pen must not cost it. `tls-encrypted` is such a word: not to check a certificate is for the operator to decide.
//!
//! `Sensitivity` (RFC 4021 §2.1.55) asks for `[policy] secure`, whatever it says, unless it says `normal` or nothing.

use std::time::Duration;

use crate::config::{self, Last, Verification};
use crate::mail::{Assurance, Method};
use crate::mime::Edit;
use crate::phi::{Label, Phi};
use crate::policy::compat::{self, Convention, Wish};
use crate::policy::{Belief, Rules, Submission};

const CONTROL: &str = "X-Sealpost-Secure";
const REASON: &str = "X-Sealpost-Reason";

/// The control headers that are read beside `X-Sealpost-Secure`.
pub(super) const CONTROLS: [&str; 5] =
    [REASON, "X-Sealpost-Expire", "X-Sealpost-Label", "X-Sealpost-Min-Tls", "X-Sealpost-Verify"];

/// What stands in for a value that cannot be read: never without proof of who reads it.
const MOST_PROTECTIVE: [Method; 4] =
    [Method::Smime, Method::Pgp, Method::Portal, Method::Tls(Assurance::Authenticated)];

/// What asks for more than TLS.
const MORE_THAN_TLS: [Method; 3] = [Method::Smime, Method::Pgp, Method::Portal];

/// Words that mail programs put before the subject of an answer or a forward.
const PREFIXES: [&str; 11] = ["re", "fw", "fwd", "aw", "wg", "antw", "sv", "vs", "tr", "rv", "enc"];

/// What a sender asked for.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    pub asks: Vec<Ask>,
    /// In words: what was asked for by what, and what was not understood.
    pub remarks: Vec<String>,
    pub labels: Vec<Label>,
    /// The least TLS that the sender wants, wherever TLS is the way.
    pub least_tls: Option<Assurance>,
    pub expire: Option<Duration>,
    pub verify: Option<Verification>,
    pub opting_out: OptingOut,
    /// Why the sender opts out, in the sender's words.
    pub reason: Option<Phi<String>>,
    /// Conventions of other products that were used.
    pub used: Vec<Used>,
    /// Why the message is refused for what its subject holds.
    pub(super) refused: Option<&'static str>,
    /// The tags of rules that the subject carries, as the config writes them.
    pub(super) tags: Vec<String>,
    /// The subject without its tags, when it had any.
    subject: Option<Phi<String>>,
    /// Fields of other products that are taken off.
    taken_off: Vec<&'static str>,
}

/// One wish for protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub methods: Vec<Method>,
    pub last: Last,
}

/// Whether the sender asks for less protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptingOut {
    #[default]
    No,
    Asked,
}

/// A convention that was used: of which product, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub product: &'static str,
    pub mark: &'static str,
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
    Convention(Convention),
}

impl Tag {
    pub(super) fn new(text: &str) -> Option<Tag> {
        let folded: Vec<char> = folded(text.chars()).collect();
        (!folded.is_empty()).then_some(Tag(folded))
    }

    /// Whether a value follows, up to the closing bracket.
    fn has_value(&self) -> bool {
        self.0.first() == Some(&'[') && self.0.last() == Some(&':')
    }
}

/// Reads the marks of a message, when they are to be believed: on other mail a mark is a stranger's.
pub fn marks(rules: &Rules, submission: &Submission<'_>) -> Marks {
    let marks = read(rules, submission);
    let asks = !marks.asks.is_empty() || marks.opting_out == OptingOut::Asked;
    match submission.marks {
        Belief::NotBelieved => {
            let remark = "a tag or header asks for something, and is not believed: the client has not logged in";
            let remarks = if asks { vec![remark.into()] } else { Vec::new() };
            Marks { remarks, taken_off: marks.taken_off, ..Marks::default() }
        }
        Belief::Believed => marks,
    }
}

fn read(rules: &Rules, submission: &Submission<'_>) -> Marks {
    let mut marks = Marks::default();
    // The subject is searched for tags, and kept wrapped.
    let subject = submission.tree.subject.expose();
    let mut left = subject.to_owned();
    if let Some((stripped, found)) = without_tags(subject, &rules.tags) {
        left.clone_from(&stripped);
        marks.subject = Some(Phi::new(stripped));
        found.into_iter().for_each(|at| marks.read_tag(&rules.tags[at].1, rules));
    }
    if rules.compat.on.contains(&compat::WHOLE_SUBJECT.product)
        && let Some(inner) = bracketed(&left)
    {
        marks.subject = Some(Phi::new(inner));
        marks.obey(&compat::WHOLE_SUBJECT, "", rules);
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
        if name.eq_ignore_ascii_case(REASON) {
            marks.reason = Some(value.clone());
            continue;
        }
        // As above.
        marks.read_field(name, value.expose(), rules);
    }
    marks
}

/// Takes the tags off that were obeyed, and the fields of other products. The control headers go in any case;
/// `Sensitivity` is everybody's field, and stays.
pub(super) fn edits(marks: &Marks) -> Vec<Edit> {
    let fields = marks.taken_off.iter().map(|name| Edit::Remove(name));
    marks.subject.clone().map(Edit::Subject).into_iter().chain(fields).collect()
}

impl Marks {
    /// The subject as it would leave if nothing but tags were taken off; none when it has none.
    pub(super) fn subject(&self) -> Option<&Phi<String>> {
        self.subject.as_ref()
    }

    fn ask(&mut self, methods: Vec<Method>, remark: &str) {
        self.asks.push(Ask { methods, last: Last::Hold });
        self.remarks.push(remark.into());
    }

    fn read_tag(&mut self, means: &Means, rules: &Rules) {
        match means {
            Means::Secure => self.ask(rules.secure.clone(), "a subject tag asks for protection"),
            Means::Rule(tag) => self.tags.push(tag.clone()),
            Means::Convention(convention) => self.obey(convention, "", rules),
        }
    }

    /// Does what a convention of another product asks for, and remembers that somebody uses it.
    fn obey(&mut self, convention: &Convention, value: &str, rules: &Rules) {
        let Convention { product, mark, wish } = *convention;
        let used = Used { product: product.name(), mark };
        if !self.used.contains(&used) {
            self.used.push(used);
        }
        let known = format!("{mark}, as {} has it,", product.name());
        match wish {
            Wish::Secure => self.ask(rules.secure.clone(), &format!("{known} asks for protection")),
            Wish::MoreThanTls => self.ask(MORE_THAN_TLS.to_vec(), &format!("{known} asks for more than TLS")),
            Wish::Portal => self.ask(vec![Method::Portal], &format!("{known} asks for the portal")),
            Wish::OptOut => {
                self.opting_out = OptingOut::Asked;
                self.remarks.push(format!("{known} opts out of protection"));
            }
            Wish::Expire => match compat::expiry(value) {
                Some(expire) => self.expire = Some(self.expire.map_or(expire, |other| other.min(expire))),
                None => self.remarks.push(format!("{known} has a value that is not known")),
            },
            Wish::Secret => {
                self.refused = Some("take the password out of the subject: it travels in clear and stands in logs");
            }
            Wish::Nothing => self.remarks.push(format!("{known} steers nothing here, and is taken off")),
        }
    }

    fn read_field(&mut self, name: &str, value: &str, rules: &Rules) {
        let word = folded(value.chars()).collect::<String>();
        for (convention, wanted) in compat::HEADERS.iter().filter(|(found, _)| found.mark.eq_ignore_ascii_case(name)) {
            if !rules.compat.on.contains(&convention.product) {
                continue;
            }
            if !self.taken_off.contains(&convention.mark) {
                self.taken_off.push(convention.mark);
            }
            if *wanted == "*" || *wanted == word {
                self.obey(convention, value, rules);
            }
        }
        match name.to_ascii_lowercase().as_str() {
            "x-sealpost-min-tls" => self.least_tls = self.least_tls.max(least_tls(&word)),
            "x-sealpost-label" => {
                for word in word.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    match Label::from_name(word) {
                        Some(label) => self.labels.push(label),
                        None => self.remarks.push("X-Sealpost-Label has a word that is not known".into()),
                    }
                }
            }
            "x-sealpost-expire" => match humantime::parse_duration(value.trim()) {
                Ok(expire) if !expire.is_zero() => self.expire = Some(self.expire.map_or(expire, |o| o.min(expire))),
                Ok(_) | Err(_) => self.remarks.push("X-Sealpost-Expire has a value that is not known".into()),
            },
            "x-sealpost-verify" => self.read_verify(&word),
            _ => {}
        }
    }

    fn read_verify(&mut self, word: &str) {
        let kind = word.split_once(':').map_or(word, |(kind, _)| kind);
        match Verification::ALL.into_iter().find(|known| known.name() == kind) {
            Some(verify) => self.verify = self.verify.max(Some(verify)),
            None => self.remarks.push("X-Sealpost-Verify has a word that is not known".into()),
        }
    }

    fn read_control(&mut self, value: &str, secure: &[Method]) {
        match folded(value.chars()).collect::<String>().as_str() {
            "none" => {
                self.opting_out = OptingOut::Asked;
                self.remarks.push(format!("{CONTROL} opts out of protection"));
                return;
            }
            "tls-exclusive" => {
                let methods = vec![Method::Tls(Assurance::Valid)];
                self.asks.push(Ask { methods, last: Last::Undeliverable });
                self.remarks.push(format!("{CONTROL} asks for TLS or nothing"));
                return;
            }
            _ => {}
        }
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

/// A word that is not known asks for the most: whoever writes this field wants protection.
fn least_tls(word: &str) -> Option<Assurance> {
    match word {
        "any" => None,
        "valid" => Some(Assurance::Valid),
        _ => Some(Assurance::Authenticated),
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

/// What stands within the brackets that hold the whole subject, behind any answer prefixes.
fn bracketed(subject: &str) -> Option<String> {
    let mut rest = subject.trim();
    while let Some(behind) = behind_prefix(rest) {
        rest = behind.trim_start();
    }
    let inner = rest.strip_prefix('[')?.strip_suffix(']')?;
    let before = &subject[..subject.trim_end().len() - rest.len()];
    (!inner.trim().is_empty() && !inner.contains(['[', ']'])).then(|| format!("{before}{}", inner.trim()))
}

/// What follows the tag that `text` starts with.
fn behind_tag<'a>(text: &'a str, tag: &Tag) -> Option<&'a str> {
    let length = covered(text.chars(), tag.0.iter().copied())?;
    let behind = &text[length..];
    if !tag.has_value() {
        return Some(behind);
    }
    behind.split_once(']').map(|(_, behind)| behind)
}

/// What precedes the tag that `text` ends with.
fn before_tag<'a>(text: &'a str, tag: &Tag) -> Option<&'a str> {
    if tag.has_value() {
        let start = text.strip_suffix(']')?.rfind('[')?;
        return behind_tag(&text[start..], tag).map(|_| &text[..start]);
    }
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

/// The tags of a config, in their comparable form: its own, those of its rules, those of other products.
pub(super) fn tags(policy: &config::Policy) -> Vec<(Tag, Means)> {
    let own = policy.tags.iter().filter_map(|text| Some((Tag::new(text)?, Means::Secure)));
    let whens = policy.rules.iter().flat_map(|rule| rule.when.all());
    let conditions = whens.flat_map(|when| &when.tags);
    let conditions = conditions.filter_map(|text| Some((Tag::new(text)?, Means::Rule(text.clone()))));
    let conventions = compat::tags(&policy.compat).map(|(tag, found)| (tag, Means::Convention(found)));
    own.chain(conditions).chain(conventions).collect()
}

#[cfg(test)]
mod tests;
