//! Who sends to whom, and what the transport must be able to carry.

use std::collections::HashMap;

use crate::mail::{Address, Asked, Wishes};

/// The reverse-path: where failures are reported (RFC 5321 §4.1.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: nobody is told, so that reports do not answer reports.
    Null,
    Mailbox(Address),
}

impl ReversePath {
    pub fn mailbox(&self) -> Option<&Address> {
        match self {
            ReversePath::Null => None,
            ReversePath::Mailbox(address) => Some(address),
        }
    }
}

/// What BODY= declared (RFC 6152).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyType {
    SevenBit,
    EightBitMime,
}

/// Whether the transaction was declared with SMTPUTF8 (RFC 6531).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Utf8 {
    NotDeclared,
    Declared,
}

/// What is carried: somebody's mail, or a notice that we composed ourselves. What is observed is not carried: it is decided,
/// and that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    Mail,
    Notice,
    Observed,
}

/// One transaction's envelope. It has a sender and at least one recipient, always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    sender: ReversePath,
    recipients: Vec<Address>,
    /// Of those who have any.
    wishes: HashMap<Address, Wishes>,
    pub body: BodyType,
    pub utf8: Utf8,
    pub asked: Asked,
}

impl Envelope {
    pub fn new(sender: ReversePath, first: Address, rest: Vec<Address>) -> Envelope {
        let mut recipients = rest;
        recipients.insert(0, first);
        Envelope {
            sender,
            recipients,
            wishes: HashMap::new(),
            body: BodyType::SevenBit,
            utf8: Utf8::NotDeclared,
            asked: Asked::default(),
        }
    }

    pub fn sender(&self) -> &ReversePath {
        &self.sender
    }

    /// Never empty, in the order in which they were named.
    pub fn recipients(&self) -> &[Address] {
        &self.recipients
    }

    /// Adds a recipient that the sender did not name, behind those that it did.
    pub fn also(&mut self, recipient: Address, wishes: Wishes) {
        self.wish(&recipient, wishes);
        self.recipients.push(recipient);
    }

    /// Sets what is asked for one recipient.
    pub fn wish(&mut self, recipient: &Address, wishes: Wishes) {
        if wishes != Wishes::default() {
            self.wishes.insert(recipient.clone(), wishes);
        }
    }

    pub fn wishes(&self, recipient: &Address) -> Wishes {
        self.wishes.get(recipient).cloned().unwrap_or_default()
    }
}
