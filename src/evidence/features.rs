//! What a decision goes by, beside the findings: kept so that another policy can be tried on past mail. It holds no text of
//! a message, but who wrote it, words that steer Sealpost, and of each part its type, its size and whether it could be read.

use serde::{Deserialize, Serialize};

use crate::classify::{Finding, Grounds, Points, Verdict};
use crate::evidence::record::{Classified, Found, Record};
use crate::evidence::sealed;
use crate::mail::Address;
use crate::mime::{self, Attached, Content, Part, Tree, Unreadable};
use crate::phi::{Label, Phi};
use crate::policy::{Ends, Seen, Signs};

/// Parts, and attachments, that are told apart; what is behind them is left out.
const MOST_PARTS: usize = 256;
/// Octets of a steering field that are kept: those that mean something are short.
const LONGEST_VALUE: usize = 128;
/// Words in brackets at either end of a subject.
const MOST_TAGS: usize = 8;
const LONGEST_TAG: usize = 24;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Whom From: named.
    #[serde(with = "sealed::addresses")]
    pub from: Vec<Address>,
    /// Words in brackets at the beginning and at the end of the subject, which may be tags; `[]` for one that cannot be.
    #[serde(with = "sealed::texts")]
    pub opening: Vec<Phi<String>>,
    #[serde(with = "sealed::texts")]
    pub closing: Vec<Phi<String>>,
    /// The fields that steer Sealpost, or that a rule of then asked about: their names, and their values in the same order.
    pub fields: Vec<String>,
    #[serde(with = "sealed::texts")]
    pub values: Vec<Phi<String>>,
    pub parts: Vec<PartSeen>,
    /// Attachments as the message's structure has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attached>,
    /// Whether it is signed or sealed end to end.
    #[serde(default)]
    pub ends: Ends,
    /// What the classifier said beside its findings.
    pub labels: Vec<Label>,
    pub persons: usize,
    /// What may have been a mistake of the sender's.
    #[serde(default)]
    pub signs: Signs,
    /// Whether it holds PHI at each operating point of the classifier.
    pub points: Points,
}

/// A part, without what it says and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSeen {
    pub path: String,
    pub media_type: String,
    /// The end of its name, in lower case, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
}

impl Features {
    pub fn of(tree: &Tree, verdict: &Verdict, seen: &Seen, signs: &Signs) -> Features {
        // Only words that may be tags are taken out of it.
        let (opening, closing) = bracketed(tree.subject.expose());
        let control = tree.control.iter().filter(|(name, _)| steers(name));
        let asked = seen.fields.iter().filter(|(name, _)| tree.control.iter().all(|(known, _)| known != name));
        let kept = control.chain(asked);
        let values = kept.clone().map(|(_, value)| {
            // It leaves one wrapper for another.
            Phi::new(value.expose().chars().take(LONGEST_VALUE).collect())
        });
        Features {
            from: tree.from.clone(),
            opening,
            closing,
            fields: kept.clone().map(|(name, _)| name.clone()).collect(),
            values: values.collect(),
            parts: tree.parts.iter().take(MOST_PARTS).map(PartSeen::of).collect(),
            attachments: seen.attachments.iter().take(MOST_PARTS).cloned().collect(),
            ends: seen.ends,
            labels: verdict.labels.clone(),
            persons: verdict.persons,
            signs: signs.clone(),
            points: verdict.points,
        }
    }

    /// The verdict as `classify` came to it then, without the places of the findings.
    pub fn verdict(&self, record: &Record) -> Verdict {
        let finding = |found: &Found| Finding {
            kind: found.kind,
            part: found.part.clone(),
            start: 0,
            end: 0,
            confidence: found.confidence,
        };
        let Classified { phi, score, found } = &record.classified;
        let findings = found.iter().flat_map(|found| std::iter::repeat_n(finding(found), found.count));
        Verdict {
            phi: *phi,
            score: *score,
            points: self.points,
            grounds: Grounds::default(),
            findings: findings.collect(),
            labels: self.labels.clone(),
            persons: self.persons,
            version: record.versions.classifier.clone(),
        }
    }

    /// What else rules look at. Of header fields it has those that were asked about then.
    pub fn seen(&self, record: &Record) -> Seen {
        Seen {
            bytes: record.bytes,
            attachments: self.attachments.clone(),
            fields: self.fields.iter().cloned().zip(self.values.iter().cloned()).collect(),
            ends: self.ends,
        }
    }

    /// A tree by which policy decides as by the one that these were taken from. It has nothing to read in it.
    pub fn tree(&self, record: &Record) -> Tree {
        let words = |words: &[Phi<String>]| {
            // Into the wrapper in which policy looks for its tags.
            words.iter().map(|word| word.expose().as_str()).collect::<Vec<_>>().join(" ")
        };
        Tree {
            subject: Phi::new(format!("{} {} - {}", marks(record), words(&self.opening), words(&self.closing))),
            from: self.from.clone(),
            message_id: record.message_id.clone(),
            parts: self.parts.iter().map(PartSeen::part).collect(),
            control: self.fields.iter().cloned().zip(self.values.iter().cloned()).collect(),
        }
    }
}

impl PartSeen {
    fn of(part: &Part) -> PartSeen {
        let unreadable = match &part.content {
            Content::Text(_) => None,
            Content::Unreadable(why) => Some(*why),
        };
        // The end of a name says what a file is, and not whose.
        let extension = part.name.as_ref().and_then(|name| mime::extension(name.expose()));
        PartSeen { path: part.path.clone(), media_type: part.media_type.clone(), extension, unreadable }
    }

    fn part(&self) -> Part {
        Part {
            path: self.path.clone(),
            media_type: self.media_type.clone(),
            name: self.extension.as_ref().map(|extension| Phi::new(format!("x.{extension}"))),
            content: match self.unreadable {
                Some(why) => Content::Unreadable(why),
                None => Content::Text(Phi::default()),
            },
        }
    }
}

/// The marks of other products that were found in the subject, and are no plain word in brackets.
fn marks(record: &Record) -> String {
    let marks = record.conventions.iter().filter_map(|convention| convention.split_once(' ')).map(|(_, mark)| mark);
    let plain = |mark: &str| mark.starts_with('[') && mark.ends_with(']');
    let marks = marks.filter(|mark| !plain(mark) && !mark.starts_with("x-"));
    let closed = |mark: &str| if mark.starts_with('[') { format!("{mark}]") } else { mark.to_owned() };
    marks.map(closed).collect::<Vec<_>>().join(" ")
}

/// What mailing lists write holds tokens of their subscribers, and steers nothing.
fn steers(name: &str) -> bool {
    !name.starts_with("list-") && name != "precedence"
}

/// The bracketed words at the beginning, between and behind answer prefixes, and those at the end.
fn bracketed(subject: &str) -> (Vec<Phi<String>>, Vec<Phi<String>>) {
    let mut opening = Vec::new();
    let mut rest = subject.trim();
    while opening.len() < MOST_TAGS {
        if let Some((word, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            opening.push(tag(word));
            rest = behind.trim_start();
        } else if let Some((_, behind)) = rest.split_once(':').filter(|(word, _)| word.trim_end().len() <= 6) {
            rest = behind.trim_start();
        } else {
            break;
        }
    }
    let mut closing = Vec::new();
    while closing.len() < MOST_TAGS
        && let Some((before, word)) = rest.strip_suffix(']').and_then(|rest| rest.rsplit_once('['))
    {
        closing.insert(0, tag(word));
        rest = before.trim_end();
    }
    (opening, closing)
}

/// A number in brackets is no tag, and may be somebody's.
fn tag(word: &str) -> Phi<String> {
    let word: String = word.chars().filter(|character| !character.is_whitespace()).take(LONGEST_TAG + 1).collect();
    let plain = word.len() <= LONGEST_TAG && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    Phi::new(format!("[{}]", if plain { word.as_str() } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[Phi<String>]) -> Vec<&str> {
        words.iter().map(|word| word.expose().as_str()).collect()
    }

    #[test]
    fn of_a_subject_only_what_may_be_a_tag_is_kept() {
        for (subject, opening, closing) in [
            ("[secure] Maria Quist", vec!["[secure]"], vec![]),
            ("Re: [Secure] AW: [encrypt] Maria Quist [later]", vec!["[Secure]", "[encrypt]"], vec!["[later]"]),
            ("[ Sec ure ] x", vec!["[Secure]"], vec![]),
            ("[MRN 00482913] Maria [078]", vec!["[]"], vec!["[]"]),
            ("Maria [secure] Quist", vec![], vec![]),
            ("[secure]", vec!["[secure]"], vec![]),
            ("", vec![], vec![]),
        ] {
            let found = bracketed(subject);
            assert_eq!((shown(&found.0), shown(&found.1)), (opening, closing), "{subject}");
        }
    }

    #[test]
    fn of_a_part_neither_its_text_nor_its_name_is_kept() {
        let part = |name: Option<&str>, content| Part {
            path: "2".into(),
            media_type: "application/pdf".into(),
            name: name.map(|name| Phi::new(name.to_owned())),
            content,
        };
        let tree = Tree {
            subject: Phi::new("Maria Quist".into()),
            from: vec![Address::parse("ann@clinic.example").unwrap()],
            message_id: None,
            parts: vec![
                part(Some("maria-quist.PDF"), Content::Unreadable(Unreadable::NoReader)),
                part(None, Content::Text(Phi::new("Maria Quist has asthma".into()))),
            ],
            control: vec![
                ("x-sealpost-secure".into(), Phi::new("yes".into())),
                ("list-unsubscribe".into(), Phi::new("<mailto:maria@x.example>".into())),
            ],
        };
        let verdict = Verdict {
            phi: true,
            score: 1.0,
            points: Points::default(),
            grounds: Grounds::default(),
            findings: Vec::new(),
            labels: Vec::new(),
            persons: 0,
            version: String::new(),
        };
        let seen = Seen {
            bytes: 4096,
            attachments: vec![Attached {
                media_type: "application/pdf".into(),
                extension: Some("pdf".into()),
                bytes: 9,
            }],
            fields: vec![
                ("x-sealpost-secure".into(), Phi::new("yes".into())),
                ("x-clinic-desk".into(), Phi::new("billing".into())),
            ],
            ends: Ends::Sealed,
        };
        let features = Features::of(&tree, &verdict, &seen, &Signs::default());
        let text = serde_json::to_string(&features).unwrap();
        assert!(!text.to_lowercase().contains("quist") && !text.contains("maria"), "{text}");
        assert_eq!(serde_json::from_str::<Features>(&text).unwrap(), features);
        assert_eq!(features.parts[0].extension.as_deref(), Some("pdf"));
        assert_eq!(features.fields, ["x-sealpost-secure", "x-clinic-desk"]);
        assert_eq!((&features.attachments, features.ends), (&seen.attachments, Ends::Sealed));
    }
}
