//! Bounces and automatic answers that carry another message with them: no person has seen what they tell, or to whom.

use crate::mail::{Envelope, Message};
use crate::mime::{self, Content, Tree};
use crate::policy::guard::Letter;

/// How much of a text is looked at for what it quotes.
const LOOKED_AT: usize = 64 * 1024;

const ANSWERS: [&str; 6] =
    ["automatic reply:", "auto:", "out of office", "autoreply", "respuesta automática", "respuesta automatica"];
const BOUNCES: [&str; 5] =
    ["undeliverable:", "undelivered mail", "mail delivery fail", "delivery status notification", "returned mail"];

/// Whether a program wrote it in answer to a message: RFC 3834 §5, and what programs wrote before it. What a program
/// sends by itself (`auto-generated`) is no answer.
pub(super) fn is_automatic(message: &Message) -> bool {
    // Each value is compared with words only.
    let has = |name: &str, test: fn(&str) -> bool| {
        mime::header(message, name).is_some_and(|value| test(&value.expose().trim().to_lowercase()))
    };
    has("Auto-Submitted", |value| value.starts_with("auto-replied"))
        || has("X-Autoreply", |value| value != "no")
        || has("X-Autorespond", |_| true)
        || has("Precedence", |value| value == "auto_reply")
        || has("Content-Type", |value| value.starts_with("multipart/report") && value.contains("delivery-status"))
        || has("Subject", |value| ANSWERS.iter().chain(&BOUNCES).any(|start| value.starts_with(start)))
}

/// Whether lines of the body begin as those do that a mail program quotes. Taken from the message as it came: in the tree
/// such a line is read on from the line before it.
pub(super) fn has_marks(message: &Message) -> bool {
    let body = message.bytes().get(message.header().len()..).unwrap_or_default();
    let looked_at = body.get(..LOOKED_AT).unwrap_or(body);
    looked_at.split(|octet| *octet == b'\n').any(|line| line.starts_with(b">"))
}

/// Whether it is one, and carries another message with it.
pub(super) fn quotes(letter: &Letter, envelope: &Envelope, tree: &Tree) -> bool {
    // RFC 5321 §4.5.5: reports have no return path.
    let automatic = letter.automatic || envelope.sender().mailbox().is_none();
    let another = || tree.parts.iter().any(|part| is_another(&part.media_type, &part.path) || quotes_in(&part.content));
    automatic && (letter.marked || another())
}

/// A message in it, or the header of one: those have subjects of their own.
fn is_another(media_type: &str, path: &str) -> bool {
    matches!(media_type, "message/rfc822" | "message/global" | "text/rfc822-headers" | "message/global-headers")
        || path.ends_with(".subject")
}

fn quotes_in(content: &Content) -> bool {
    let Content::Text(text) = content else { return false };
    // Looked through for the marks of a quotation; none of it is kept.
    let lines = text.expose().lines().scan(0, |seen, line| {
        *seen += line.len();
        (*seen < LOOKED_AT).then_some(line.trim_start())
    });
    const RULES: [&str; 3] = ["-----original message", "________________", "--- original message"];
    let mut lines = lines.map(|line| line.chars().take(32).collect::<String>().to_lowercase());
    lines.any(|line| RULES.iter().any(|rule| line.starts_with(rule)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Address, ReversePath, WireLimits};
    use crate::mime::Budget;

    fn quoted(sender: &str, text: &str) -> bool {
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
        let message = Message::parse(format!("{text}\n").replace('\n', "\r\n").into_bytes(), &limits).unwrap();
        let tree = mime::parse(&message, &Budget { depth: 9, parts: 99, ratio: 99, bytes: 1 << 20 });
        let sender = Address::parse(sender).map_or(ReversePath::Null, ReversePath::Mailbox);
        let envelope = Envelope::new(sender, Address::parse("m@free.example").unwrap(), Vec::new());
        quotes(&Letter::of(&message), &envelope, &tree)
    }

    const REPORT: &str = "Subject: Sorry\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\n\
        It failed.\n--b\nContent-Type: message/delivery-status\n\nStatus: 5.1.1\n";

    #[test]
    fn programs_that_answer_with_another_message_are_found() {
        for (sender, text) in [
            ("ann@clinic.example", "Auto-Submitted: auto-replied\n\nI am away.\n\n> Maribel's knee"),
            ("ann@clinic.example", "Subject: Automatic reply: knee\n\nAway.\n-----Original Message-----\nMaribel"),
            ("", "Subject: Re: knee\n\nAway.\n> Maribel"),
            ("", &format!("{REPORT}--b\nContent-Type: message/rfc822\n\nSubject: knee\n\nMaribel\n--b--")),
            (
                "it@clinic.example",
                &format!("{REPORT}--b\nContent-Type: text/rfc822-headers\n\nSubject: Maribel\n--b--"),
            ),
        ] {
            assert!(quoted(sender, text), "{text}");
        }
    }

    #[test]
    fn people_who_quote_and_programs_that_do_not_are_left_alone() {
        for (sender, text) in [
            ("ann@clinic.example", "Subject: Re: knee\n\nSee below.\n> Maribel"),
            ("ann@clinic.example", "Auto-Submitted: auto-generated\n\nYour report.\n> 5"),
            ("ann@clinic.example", "Auto-Submitted: auto-replied\n\nI am away. Is x > 5?"),
            ("", &format!("{REPORT}--b--")),
        ] {
            assert!(!quoted(sender, text), "{text}");
        }
    }
}
