//! What the evidence keeps of a submission.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::evidence::record::{Decided, Received, Record};
use crate::intake::{Examination, Settings};
use crate::mail::{Envelope, Peer};
use crate::phi::Kind;

/// What is known when a message has been decided, and is about to be kept.
pub(super) struct Kept<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) peer: &'a Peer,
    pub(super) bytes: usize,
    /// The Message-ID with which it leaves.
    pub(super) message_id: String,
    pub(super) edits: Vec<String>,
    pub(super) at: Timestamp,
}

/// The record of one message. It is sealed before it is kept, which is why it may hold the addresses.
pub(super) fn record(settings: &Settings, examination: &Examination, kept: Kept<'_>) -> Record {
    let mut findings: BTreeMap<Kind, usize> = BTreeMap::new();
    for finding in &examination.verdict.findings {
        *findings.entry(finding.kind).or_default() += 1;
    }
    let decided = examination.decisions.iter().map(|decision| Decided {
        recipient: decision.recipient.expose().to_owned(),
        action: decision.action.clone(),
        rule: decision.rule.clone(),
        tried: decision.tried.clone(),
        remarks: decision.remarks.clone(),
    });
    let peer = kept.peer;
    Record {
        sender: kept.envelope.sender().mailbox().map(|sender| sender.expose().to_owned()),
        recipients: decided.collect(),
        client: peer.client.clone(),
        message_id: Some(kept.message_id),
        bytes: kept.bytes as u64,
        phi: examination.verdict.phi,
        score: examination.verdict.score,
        findings: findings.into_iter().collect(),
        facts: examination.facts.clone(),
        config: settings.config,
        classifier: examination.verdict.version.clone(),
        received: Some(Received { role: peer.role, address: peer.address.to_string(), tls: peer.tls.clone() }),
        edits: kept.edits,
        at: kept.at,
    }
}
