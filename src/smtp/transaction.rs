//! One mail transaction: the sender and the recipients named so far, in one value (RFC 5321 §3.3).

use crate::mail::{Address, BodyType, Envelope, ReversePath, Utf8};
use crate::smtp::Mail;

/// Between MAIL and the end of data. What ends it drops sender and recipients together.
#[derive(Clone, Debug)]
pub struct Transaction {
    sender: ReversePath,
    recipients: Vec<Address>,
    body: BodyType,
    utf8: Utf8,
    declared: Option<u64>,
}

impl Transaction {
    pub fn open(mail: Mail) -> Transaction {
        let Mail { sender, size, body, utf8 } = mail;
        Transaction { sender, recipients: Vec::new(), body, utf8, declared: size }
    }

    /// Names one more recipient. The same one twice is one: it gets one copy, and one end.
    pub fn add(&mut self, recipient: Address) {
        if !self.recipients.contains(&recipient) {
            self.recipients.push(recipient);
        }
    }

    pub fn recipients(&self) -> usize {
        self.recipients.len()
    }

    pub fn utf8(&self) -> Utf8 {
        self.utf8
    }

    /// What SIZE= said (RFC 1870).
    pub fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The envelope, when somebody is to get the message; otherwise the transaction goes on.
    pub fn seal(self) -> Result<Envelope, Transaction> {
        let Transaction { sender, mut recipients, body, utf8, declared } = self;
        if recipients.is_empty() {
            return Err(Transaction { sender, recipients, body, utf8, declared });
        }
        let rest = recipients.split_off(1);
        match recipients.pop() {
            Some(first) => {
                let mut envelope = Envelope::new(sender, first, rest);
                (envelope.body, envelope.utf8) = (body, utf8);
                Ok(envelope)
            }
            None => Err(Transaction { sender, recipients, body, utf8, declared }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_has_each_recipient_once_in_the_order_named() {
        let mail =
            Mail { sender: ReversePath::Null, size: Some(7), body: BodyType::EightBitMime, utf8: Utf8::Declared };
        let mut transaction = Transaction::open(mail).seal().unwrap_err();
        for name in ["ann@lab.example", "bob@lab.example", "ann@LAB.example"] {
            transaction.add(Address::parse(name).unwrap());
        }
        let envelope = transaction.seal().unwrap();
        let names: Vec<_> = envelope.recipients().iter().map(Address::expose).collect();
        assert_eq!(names, ["ann@lab.example", "bob@lab.example"]);
        assert_eq!((envelope.body, envelope.utf8), (BodyType::EightBitMime, Utf8::Declared));
    }
}
