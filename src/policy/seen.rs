//! What the rules can look at beside the text: sizes, attachments, header fields, and whether the message is sealed.

use serde::{Deserialize, Serialize};

use crate::mail::Message;
use crate::mime::{self, Attached, Content, Tree};
use crate::phi::Phi;
use crate::policy::{Rules, compat, marks};

/// What was seen of a message. It holds no text but the values of fields that steer something.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Octets of the whole message, as it came.
    pub bytes: u64,
    pub attachments: Vec<Attached>,
    /// The fields that a rule or a convention asks about, with lower-case names.
    pub fields: Vec<(String, Phi<String>)>,
    pub ends: Ends,
}

/// Whether its ends protect it: such a message is never edited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    #[default]
    Open,
    /// Signed or encrypted end to end.
    Sealed,
}

impl Seen {
    pub fn of(rules: &Rules, message: &Message, tree: &Tree) -> Seen {
        let mut fields = Vec::new();
        for name in wanted(rules) {
            fields.extend(mime::values(message, name).into_iter().map(|value| (name.to_ascii_lowercase(), value)));
        }
        let survey = mime::survey(message);
        let sealed = survey.signed_or_encrypted || tree.parts.iter().any(|part| is_armored(&part.content));
        let ends = if sealed { Ends::Sealed } else { Ends::Open };
        Seen { bytes: message.len() as u64, attachments: survey.attachments, fields, ends }
    }

    /// The values of a field.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Phi<String>> {
        self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

fn wanted(rules: &Rules) -> Vec<&str> {
    let mut names: Vec<&str> = marks::CONTROLS.to_vec();
    names.extend(compat::headers(&rules.compat));
    names.extend(rules.headers().map(String::as_str));
    names.sort_unstable_by_key(|name| name.to_ascii_lowercase());
    names.dedup_by_key(|name| name.to_ascii_lowercase());
    names
}

/// Text in which OpenPGP armor stands: an edit of the part would break it.
fn is_armored(content: &Content) -> bool {
    match content {
        // Looked through for one fixed line.
        Content::Text(text) => text.expose().contains("-----BEGIN PGP "),
        Content::Unreadable(_) => false,
    }
}
