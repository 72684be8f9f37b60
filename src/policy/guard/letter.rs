//! What the guard reads of a message's header beside what everybody reads.

use crate::mail::Message;
use crate::mime::{self, Addressee};

#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// To and Cc.
    pub to: Vec<Addressee>,
}

impl Letter {
    pub fn of(message: &Message) -> Letter {
        Letter { to: mime::addressees(message) }
    }
}
