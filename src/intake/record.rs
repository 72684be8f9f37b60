//! What the evidence keeps of a submission.

use crate::clock::Timestamp;
use crate::evidence::features::Features;
use crate::evidence::record::{Classified, Notified, Origin, Recipient, Record, Versions, asked, wished};
use crate::intake::{Examination, Terms};
use crate::mail::{Envelope, Peer};
use crate::phi::Phi;
use crate::policy::Decision;

/// What is known when a message has been decided, and is about to be kept.
pub(super) struct Kept<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) peer: &'a Peer,
    pub(super) bytes: usize,
    /// The Message-ID and the Date with which it leaves.
    pub(super) message_id: Phi<String>,
    pub(super) date: Option<Timestamp>,
    pub(super) edits: Vec<String>,
    pub(super) observed: bool,
    pub(super) at: Timestamp,
}

pub(super) fn record(terms: &Terms, examination: &Examination, kept: Kept<'_>) -> Record {
    let facts = &examination.facts;
    let envelope = kept.envelope;
    let recipient = |(at, decision): (usize, &Decision)| Recipient {
        asked: wished(&envelope.wishes(&decision.recipient)),
        ..Recipient::of(decision, facts.of(at))
    };
    Record {
        accepted: kept.at,
        origin: Origin::of(kept.peer),
        sender: kept.envelope.sender().clone(),
        message_id: Some(kept.message_id),
        date: kept.date,
        asked: asked(&envelope.asked),
        bytes: kept.bytes as u64,
        classified: Classified::of(&examination.verdict, &examination.tree),
        recipients: examination.decisions.iter().enumerate().map(recipient).collect(),
        conventions: examination.marks.used.iter().map(|used| format!("{} {}", used.product, used.mark)).collect(),
        reason: examination.marks.reason.clone(),
        notified: if kept.observed { Vec::new() } else { Notified::of(&examination.decisions) },
        edits: if kept.observed { Vec::new() } else { kept.edits },
        observed: kept.observed,
        versions: Versions {
            config: terms.config,
            classifier: examination.verdict.version.clone(),
            sealpost: env!("CARGO_PKG_VERSION").into(),
        },
        features: Some(Features::of(&examination.tree, &examination.verdict, &examination.seen, &examination.signs)),
    }
}
