//! The machine's part of a delivery report (RFC 3464), and the little of the original that goes back with it.

use crate::mail::{Address, Enhanced};
use crate::notice::{Fate, Voice, What};

/// The fields of `message/delivery-status`; none for a message that only waits for somebody.
pub(super) fn status(voice: &Voice, fate: &Fate) -> Option<String> {
    let (action, status) = action_and_status(fate)?;
    let mut lines = vec![
        // RFC 3464 §2.2.
        format!("Reporting-MTA: dns; {}", voice.hostname),
        format!("Arrival-Date: {}", fate.arrived.rfc5322()),
        format!("X-Sealpost-Reference: {}", fate.reference),
        String::new(),
        // RFC 3464 §2.3.
        format!("Final-Recipient: {}", typed(&fate.recipient)),
        format!("Action: {action}"),
        format!("Status: {status}"),
    ];
    if let Some(last) = fate.last {
        lines.push(format!("Last-Attempt-Date: {}", last.at.rfc5322()));
    }
    lines.push(format!("Diagnostic-Code: {}", diagnostic(fate)));
    if let What::Delayed { until } = fate.what {
        lines.push(format!("Will-Retry-Until: {}", until.rfc5322()));
    }
    Some(lines.join("\n") + "\n")
}

/// What stands for the original: never more than its date, its id and our reference.
pub(super) fn original(fate: &Fate) -> String {
    let mut lines = Vec::new();
    lines.extend(fate.original.date().map(|date| format!("Date: {}", date.rfc5322())));
    lines.extend(fate.original.message_id().map(|id| format!("Message-ID: {id}")));
    lines.push(format!("X-Sealpost-Reference: {}", fate.reference));
    lines.join("\n") + "\n"
}

fn action_and_status(fate: &Fate) -> Option<(&'static str, Enhanced)> {
    let answered = |class| fate.last.and_then(|last| last.enhanced).filter(|code| code.class == class);
    match fate.what {
        What::Refused => Some(("failed", answered(5).unwrap_or(Enhanced::new(5, 0, 0)))),
        // RFC 3463 §3.5: X.4.7 is "delivery time expired".
        What::Expired => Some(("failed", Enhanced::new(5, 4, 7))),
        What::Delayed { .. } => Some(("delayed", answered(4).unwrap_or(Enhanced::new(4, 4, 0)))),
        What::Rejected { .. } => Some(("failed", Enhanced::new(5, 7, 1))),
        // RFC 3463 §3.8: X.7.4 is "security features not supported".
        What::Undeliverable => Some(("failed", Enhanced::new(5, 7, 4))),
        What::Held { .. } | What::Unanswered { .. } => None,
    }
}

/// The codes of the last answer, or our own words. The peer's text may quote an address or the content, and stays out.
fn diagnostic(fate: &Fate) -> String {
    let codes = fate.last.and_then(|last| {
        let code = last.code?;
        Some(last.enhanced.map_or_else(|| format!("smtp; {code}"), |enhanced| format!("smtp; {code} {enhanced}")))
    });
    let ours = match fate.what {
        What::Refused => "refused for good",
        What::Expired => "time ran out",
        What::Delayed { .. } => "not delivered yet",
        What::Rejected { .. } => return "x-sealpost; refused by policy".into(),
        What::Undeliverable => return "x-sealpost; no way is protected well enough".into(),
        What::Held { .. } => "held",
        What::Unanswered { .. } => "not answered",
    };
    codes.unwrap_or_else(|| format!("x-sealpost; {ours}"))
}

/// RFC 3464 §2.3.2. The one place of a notice that names a recipient.
fn typed(recipient: &Address) -> String {
    let text = recipient.expose();
    if text.is_ascii() {
        return format!("rfc822; {text}");
    }
    // RFC 6533 §3: utf-8-addr-xtext, so that the report stays ASCII.
    let mut encoded = String::new();
    for character in text.chars() {
        if character.is_ascii_graphic() && !matches!(character, '\\' | '+' | '=') {
            encoded.push(character);
        } else {
            encoded.push_str(&format!("\\x{{{:02X}}}", u32::from(character)));
        }
    }
    format!("utf-8; {encoded}")
}
