//! The machine's part of a delivery report (RFC 3464), and the little of the original that goes back with it.

use crate::mail::{Address, Enhanced, OriginalRecipient, RequireTls};
use crate::notice::{Fate, Voice, What};

/// The fields of `message/delivery-status`; none for a message that only waits for somebody.
pub(super) fn status(voice: &Voice, fate: &Fate) -> Option<String> {
    let (action, status) = action_and_status(fate)?;
    // RFC 3464 §2.2.
    let mut lines = vec![format!("Reporting-MTA: dns; {}", voice.hostname)];
    lines.extend(envelope_id(fate).map(|id| format!("Original-Envelope-Id: {id}")));
    lines.push(format!("Arrival-Date: {}", fate.arrived.rfc5322()));
    lines.push(format!("X-Sealpost-Reference: {}", fate.reference));
    lines.push(String::new());
    // RFC 3464 §2.3. The original recipient is what the sender itself gave, and is named only when it is an address.
    let original = fate.wishes.original.as_ref().and_then(OriginalRecipient::expose_reported);
    lines.extend(original.map(|original| format!("Original-Recipient: {original}")));
    lines.push(format!("Final-Recipient: {}", typed(&fate.recipient)));
    lines.push(format!("Action: {action}"));
    lines.push(format!("Status: {status}"));
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
        // RFC 3464 §2.3.3: "delivered" is for whoever puts it into a mailbox, which is never us.
        What::Relayed => Some(("relayed", answered(2).unwrap_or(Enhanced::new(2, 0, 0)))),
        What::Rejected { .. } => Some(("failed", Enhanced::new(5, 7, 1))),
        // RFC 3463 §3.8: X.7.4 is "security features not supported".
        What::Undeliverable => Some(("failed", require_tls(fate).unwrap_or(Enhanced::new(5, 7, 4)))),
        What::Held { .. } | What::Unanswered { .. } => None,
    }
}

/// RFC 8689 §4.2.1: 5.7.30 when no server promises TLS from there on, 5.7.10 when there is none at all.
fn require_tls(fate: &Fate) -> Option<Enhanced> {
    match fate.asked.require_tls {
        RequireTls::No | RequireTls::IfOffered => None,
        RequireTls::Yes => Some(
            fate.last
                .and_then(|last| last.enhanced)
                .filter(|code| *code == Enhanced::new(5, 7, 30))
                .unwrap_or(Enhanced::new(5, 7, 10)),
        ),
    }
}

/// RFC 3464 §2.2.1, as one word: a sender may write anything there, and words in a row are more than a name.
fn envelope_id(fate: &Fate) -> Option<String> {
    // It goes back to the sender who gave it.
    let id = fate.asked.envelope_id.as_ref()?.expose_decoded();
    (!id.contains(' ')).then_some(id)
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
        What::Relayed => "taken by the next hop",
        What::Rejected { .. } => return "x-sealpost; refused by policy".into(),
        What::Undeliverable => return "x-sealpost; no way is protected well enough".into(),
        What::Held { .. } => "held",
        What::Unanswered { .. } => "not answered",
    };
    codes.unwrap_or_else(|| format!("x-sealpost; {ours}"))
}

/// RFC 3464 §2.3.2, and RFC 6533 §3 so that the report stays ASCII. Besides what the sender gave for it, the one place of a
/// notice that names a recipient.
fn typed(recipient: &Address) -> String {
    // Reads as an address, since it is one.
    OriginalRecipient::of(recipient).expose_reported().unwrap_or_default()
}
