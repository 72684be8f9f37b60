//! What a notice may know of a message.

use crate::audit::HoldCause;
use crate::clock::Timestamp;
use crate::mail::{Address, Asked, Code, Enhanced, MessageId, Wishes};
use crate::phi::Phi;

/// RFC 5322 §2.1.1: a line has at most 998 characters; a Message-ID that fills one is no use to anybody.
const LONGEST_MESSAGE_ID: usize = 250;

/// What became of a message on its way to one recipient.
#[derive(Clone, Debug)]
pub struct Fate {
    pub reference: MessageId,
    /// For Final-Recipient; everything else says only the domain.
    pub recipient: Address,
    pub arrived: Timestamp,
    pub last: Option<LastAttempt>,
    pub original: Original,
    /// How the sender asked for the report to be named and sent.
    pub asked: Asked,
    pub wishes: Wishes,
    pub what: What,
}

/// When it was last tried, and what was answered then: the codes, never the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    pub at: Timestamp,
    pub code: Option<Code>,
    pub enhanced: Option<Enhanced>,
}

/// How the sender knows the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Original {
    date: Option<Timestamp>,
    message_id: Option<Phi<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The next hop, or the lack of one, refused it for good.
    Refused,
    /// Its time ran out.
    Expired,
    /// It is late, and is tried until then.
    Delayed { until: Timestamp },
    /// The next hop takes it and does not say so; it is tried until then.
    Unanswered { until: Timestamp },
    /// The next hop took it, and does not report on it.
    Relayed,
    /// Policy refused it for this recipient; the words are the rule's.
    Rejected { text: String },
    /// No allowed method was left, and policy wants it sent back.
    Undeliverable,
    /// It waits for somebody until then; the words are the rule's.
    Held { cause: Option<HoldCause>, reason: Option<String>, until: Timestamp },
}

impl Original {
    /// Takes the value of Message-ID only as what it ought to be: a sender may write anything there.
    pub fn new(date: Option<Timestamp>, message_id: Option<&str>) -> Original {
        Original { date, message_id: message_id.and_then(read_message_id).map(Phi::new) }
    }

    pub fn date(&self) -> Option<Timestamp> {
        self.date
    }

    /// With its angle brackets.
    pub fn message_id(&self) -> Option<&str> {
        // It goes back to the sender who gave it.
        self.message_id.as_ref().map(|id| id.expose().as_str())
    }
}

/// RFC 5322 §3.6.4 msg-id: one word of the characters of an atom on each side of the @.
fn read_message_id(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
    let (left, right) = inner.split_once('@')?;
    let fits = |side: &str, extra: &str| {
        !side.is_empty()
            && side
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c) || extra.contains(c))
    };
    (inner.len() <= LONGEST_MESSAGE_ID && fits(left, "") && fits(right, "[]:")).then(|| format!("<{inner}>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_taken_only_as_such() {
        let read = |text: &str| Original::new(None, Some(text)).message_id().map(str::to_owned);
        assert_eq!(read(" <a.b$1@clinic.example>").as_deref(), Some("<a.b$1@clinic.example>"));
        assert_eq!(read("1@[192.0.2.1]").as_deref(), Some("<1@[192.0.2.1]>"));
        for words in ["Maribel Quist", "<Maribel Quist@clinic.example>", "<a@b>\r\nSubject: x", "", "<@>", "<a@b@c>"] {
            assert_eq!(read(words), None, "{words:?}");
        }
        assert_eq!(read(&format!("<{}@clinic.example>", "a".repeat(300))), None);
    }
}
