//! One mail transaction: the sender and the recipients named so far, in one value (RFC 5321 §3.3).

use crate::mail::{Address, Asked, BodyType, Envelope, ReversePath, Utf8, Wishes};
use crate::smtp::Mail;

/// Between MAIL and the end of data. What ends it drops sender and recipients together.
#[derive(Clone, Debug)]
pub struct Transaction {
    sender: ReversePath,
    recipients: Vec<(Address, Wishes)>,
    body: BodyType,
    utf8: Utf8,
    declared: Option<u64>,
    asked: Asked,
}

impl Transaction {
    pub fn open(mail: Mail) -> Transaction {
        let Mail { sender, size, body, utf8, asked } = mail;
        Transaction { sender, recipients: Vec::new(), body, utf8, declared: size, asked }
    }

    /// Names one more recipient. The same one twice is one: it gets one copy, and one end.
    pub fn add(&mut self, recipient: Address, wishes: Wishes) {
        match self.recipients.iter_mut().find(|(known, _)| *known == recipient) {
            Some((_, known)) => *known = std::mem::take(known).or(wishes),
            None => self.recipients.push((recipient, wishes)),
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
        let mut names = self.recipients.iter().map(|(recipient, _)| recipient.clone());
        let Some(first) = names.next() else { return Err(self) };
        let rest = names.collect();
        let Transaction { sender, recipients, body, utf8, declared: _, asked } = self;
        let mut envelope = Envelope::new(sender, first, rest);
        (envelope.body, envelope.utf8, envelope.asked) = (body, utf8, asked);
        for (recipient, wishes) in recipients {
            envelope.wish(&recipient, wishes);
        }
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Notify;

    fn mail() -> Mail {
        Mail {
            sender: ReversePath::Null,
            size: Some(7),
            body: BodyType::EightBitMime,
            utf8: Utf8::Declared,
            asked: Asked::default(),
        }
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn an_envelope_has_each_recipient_once_in_the_order_named() {
        let mut transaction = Transaction::open(mail()).seal().unwrap_err();
        for name in ["ann@lab.example", "bob@lab.example", "ann@LAB.example"] {
            transaction.add(address(name), Wishes::default());
        }
        let envelope = transaction.seal().unwrap();
        let names: Vec<_> = envelope.recipients().iter().map(Address::expose).collect();
        assert_eq!(names, ["ann@lab.example", "bob@lab.example"]);
        assert_eq!((envelope.body, envelope.utf8), (BodyType::EightBitMime, Utf8::Declared));
    }

    #[test]
    fn a_recipient_named_twice_is_reported_as_either_mention_asks() {
        let mut transaction = Transaction::open(mail());
        let wishes = |value: &str| Wishes { notify: Notify::parse(value).unwrap(), original: None };
        transaction.add(address("ann@lab.example"), wishes("NEVER"));
        transaction.add(address("bob@lab.example"), wishes("NEVER"));
        transaction.add(address("ann@lab.example"), wishes("DELAY"));
        let envelope = transaction.seal().unwrap();
        assert_eq!(envelope.wishes(&address("ann@lab.example")), wishes("DELAY"));
        assert_eq!(envelope.wishes(&address("bob@lab.example")), wishes("NEVER"));
    }

    #[test]
    fn look_alikes_and_other_normal_forms_of_one_name_are_recipients_of_their_own() {
        let mut transaction = Transaction::open(mail());
        // Composed, decomposed, a Cyrillic a, a full-width a.
        let names =
            ["zo\u{eb}@lab.example", "zoe\u{308}@lab.example", "\u{430}nn@lab.example", "\u{ff41}nn@lab.example"];
        for name in names {
            transaction.add(address(name), Wishes::default());
        }
        // One domain, as U-label and as A-label.
        transaction.add(address("bo@b\u{fc}cher.example"), Wishes::default());
        transaction.add(address("bo@XN--bcher-kva.example"), Wishes::default());
        let envelope = transaction.seal().unwrap();
        let kept: Vec<_> = envelope.recipients().iter().map(Address::expose).collect();
        assert_eq!(kept[..4], names);
        assert_eq!(kept[4..], ["bo@b\u{fc}cher.example"]);
    }
}
