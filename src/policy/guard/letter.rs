//! What the guard reads of a message's header beside what everybody reads.

use crate::mail::Message;
use crate::mime::{self, Addressee};
use crate::phi::Phi;
use crate::policy::guard::quoted;

/// A header names at most so many earlier messages that are looked for.
const EARLIER: usize = 4;

#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// To and Cc.
    pub to: Vec<Addressee>,
    /// The Message-IDs that it answers, the nearest first.
    pub answers: Vec<Phi<String>>,
    /// A program wrote it, in answer to a message.
    pub automatic: bool,
    /// It has lines that are marked as another's.
    pub marked: bool,
}

impl Letter {
    pub fn of(message: &Message) -> Letter {
        Letter {
            to: mime::addressees(message),
            answers: answers(message),
            automatic: quoted::is_automatic(message),
            marked: quoted::has_marks(message),
        }
    }
}

/// RFC 5322 §3.6.4: In-Reply-To names the nearest, and References ends with it.
fn answers(message: &Message) -> Vec<Phi<String>> {
    let mut nearest: Vec<String> = Vec::new();
    for value in ["In-Reply-To", "References"].into_iter().filter_map(|name| mime::header(message, name)) {
        // The ids go to a keyed look-up, and nowhere else.
        for id in value.expose().split_whitespace().rev() {
            if nearest.len() < EARLIER && !nearest.iter().any(|known| known == id) {
                nearest.push(id.to_owned());
            }
        }
    }
    nearest.into_iter().map(Phi::new).collect()
}
