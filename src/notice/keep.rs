//! Hands a notice to the queue, with evidence of its own.

use crate::audit::Actor;
use crate::config::Last;
use crate::crypto::Digest;
use crate::evidence::record::{Classified, Known, Origin, Recipient, Record, Versions, asked};
use crate::evidence::{Evidence, EvidenceError};
use crate::mail::{Address, Assurance, Content, Method, ReversePath};
use crate::notice::{Notice, Stamp, Voice};
use crate::phi::Phi;
use crate::policy::{Action, RuleResult, Tried};
use crate::queue::{Accept, Queue, QueueError, Receipt, Way};
use crate::store::{OwedId, Tell};

/// A notice holds no health information, so it may go where the certificate cannot be checked: better that the sender
/// hears of a failure than that nobody does. That is a decision, and stands in the evidence of each.
const METHODS: [Method; 2] = [Method::Tls(Assurance::Valid), Method::Tls(Assurance::Encrypted)];
const RULE: &str = "notices";

#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Keeps a notice; with `settles` the debt is paid in the same commit.
pub(super) async fn keep(
    (queue, evidence): (&Queue, &Evidence),
    voice: &Voice,
    (notice, stamp): (Notice, Stamp),
    settles: Option<OwedId>,
) -> Result<Receipt, NotKept> {
    let record = record(voice, &notice, stamp);
    let sealed = evidence.seal(notice.id, &record, &notice.message)?;
    let way = |recipient: &Address| Way {
        recipient: recipient.clone(),
        action: action(),
        cause: None,
        released: Vec::new(),
        not_before: None,
    };
    let accept = Accept {
        id: notice.id,
        ways: notice.envelope.recipients().iter().map(way).collect(),
        envelope: notice.envelope,
        message: notice.message,
        client: None,
        in_clear: None,
        content: Content::Notice,
        evidence: sealed,
        tell: Tell::Nobody,
        settles,
    };
    Ok(queue.accept(accept, Actor::System).await?)
}

/// A notice that cannot be delivered is not held: nobody would be told of that, either.
fn action() -> Action {
    Action::Deliver { methods: METHODS.to_vec(), last: Last::Undeliverable }
}

fn record(voice: &Voice, notice: &Notice, stamp: Stamp) -> Record {
    let recipient = |address: &Address| Recipient {
        address: address.clone(),
        asked: Vec::new(),
        action: action(),
        rule: RULE.into(),
        tried: vec![Tried { rule: RULE.into(), result: RuleResult::Won, adds: Vec::new() }],
        remarks: vec!["a notice holds no health information; its certificate need not check".into()],
        concerns: Vec::new(),
        known: Known { routed: false, tls_seen: None, mx_seen: Vec::new() },
        copy: false,
        expire_ms: None,
        verify: None,
    };
    Record {
        accepted: stamp.at,
        origin: Origin::OwnNotice,
        sender: ReversePath::Null,
        message_id: Some(Phi::new(format!("<{}@{}>", stamp.id, voice.hostname))),
        date: Some(stamp.at),
        asked: asked(&notice.envelope.asked),
        bytes: notice.message.len() as u64,
        classified: Classified { phi: false, score: 0.0, found: Vec::new() },
        recipients: notice.envelope.recipients().iter().map(recipient).collect(),
        conventions: Vec::new(),
        reason: None,
        notified: Vec::new(),
        edits: Vec::new(),
        observed: false,
        versions: Versions {
            // No rule of any config decided it.
            config: Digest::ZERO,
            classifier: "none: composed from a template".into(),
            sealpost: env!("CARGO_PKG_VERSION").into(),
        },
        features: None,
    }
}
