//! An invented message for the tests: a nurse sends a lab order to two people; one server takes it at the second
//! attempt, the other shows a certificate that is not its own.

use crate::audit::{self, AcceptedJob, Actor, Entry, Event, Head, HoldCause, JobState, NodeId};
use crate::clock::Timestamp;
use crate::config::Last;
use crate::crypto::{Digest, sha256};
use crate::evidence::record::{
    Answer, Attempt, Classified, Failure, Found, Judgement, Known, Origin, Place, Recipient, Record, Stage, Versions,
};
use crate::evidence::sealed::{self, Salted};
use crate::evidence::story::{OpenedAttempt, Story};
use crate::mail::{
    Address, Assurance, ClientName, End, JobId, MessageId, Method, Proof, ReversePath, Role, TlsSession,
};
use crate::phi::{Kind, Phi};
use crate::policy::{Action, RuleResult, Tried};

const fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_795_493_220_000 + second * 1_000)
}

const VALID: Method = Method::Tls(Assurance::Valid);

pub(super) fn id() -> MessageId {
    MessageId::from_parts(at(0), 1)
}

/// The job of the first or the second recipient.
pub(super) fn job(number: u128) -> JobId {
    JobId::from_parts(at(0), number)
}

/// What came out of the seals, and the events.
pub(super) struct Kept {
    pub(super) record: Vec<u8>,
    pub(super) attempts: Vec<OpenedAttempt>,
    pub(super) events: Vec<Entry>,
}

impl Kept {
    pub(super) fn story(&self) -> Story {
        Story::assemble(id(), &self.record, (&self.attempts, &self.events)).unwrap()
    }
}

pub(super) fn kept() -> Kept {
    let record = sealed::salt(&record()).unwrap();
    let (mut opened, mut commitments) = (Vec::new(), Vec::new());
    for (job, number, at, attempt) in attempts() {
        let Salted { bytes, commitment } = sealed::salt(&attempt).unwrap();
        commitments.push(commitment);
        opened.push(OpenedAttempt { job, number, at, opened: bytes.to_vec() });
    }
    Kept { record: record.bytes.to_vec(), attempts: opened, events: events(record.commitment, &commitments) }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(super) fn record() -> Record {
    Record {
        features: None,
        accepted: at(0),
        date: Some(at(0)),
        asked: Vec::new(),
        origin: Origin::Submitted {
            client: Some(ClientName("openemr".into())),
            role: Role::Submission,
            address: [10, 0, 0, 5].into(),
            helo: Phi::new("ws7.clinic.example".into()),
            tls: Some(TlsSession { version: "TLSv1.3".into(), suite: "TLS13_AES_256_GCM_SHA384".into() }),
            proof: Some(Proof::Scram),
            arrival: crate::mail::Arrival::default(),
        },
        sender: ReversePath::Mailbox(address("nurse@clinic.example")),
        message_id: Some(Phi::new("<20261124.7@clinic.example>".into())),
        bytes: 48_213,
        classified: classified(),
        recipients: vec![ann(), ben()],
        conventions: Vec::new(),
        reason: None,
        notified: Vec::new(),
        edits: vec!["a trace header was put in front".into(), "the tag [secure] was taken off the subject".into()],
        observed: false,
        versions: Versions { config: sha256(b"config"), classifier: "2026.11".into(), sealpost: "0.1.0".into() },
    }
}

fn classified() -> Classified {
    let found = |kind, (part, place): (&str, Place), (count, confidence)| Found {
        kind,
        part: part.into(),
        place,
        count,
        confidence,
    };
    let scan = || ("3", Place::Attachment { media_type: "image/tiff".into() });
    Classified {
        phi: true,
        score: 0.98,
        found: vec![
            found(Kind::Mrn, ("subject", Place::Subject), (1, 0.97)),
            found(Kind::Drug, ("1", Place::Text), (2, 0.7)),
            found(Kind::Diagnosis, ("1", Place::Text), (1, 0.95)),
            // The same text once more, as HTML.
            found(Kind::Drug, ("2", Place::Text), (2, 0.7)),
            found(Kind::Unreadable, scan(), (1, 1.0)),
        ],
    }
}

fn ann() -> Recipient {
    Recipient {
        address: address("Ann.Sorrel@lab.example"),
        asked: Vec::new(),
        action: Action::Deliver { methods: vec![VALID, Method::Portal], last: Last::Hold },
        rule: "Lab results to partners we know".into(),
        tried: vec![
            Tried { rule: "Lab results to partners we know".into(), result: RuleResult::Won, adds: Vec::new() },
            Tried {
                rule: "Default".into(),
                result: RuleResult::Outdone { by: "Lab results to partners we know".into() },
                adds: Vec::new(),
            },
            Tried {
                rule: "Billing".into(),
                result: RuleResult::NotMatched { condition: "the sender fits one of the patterns".into() },
                adds: Vec::new(),
            },
        ],
        remarks: vec!["portal was skipped: no portal in this version".into()],
        concerns: Vec::new(),
        known: Known {
            routed: true,
            tls_seen: Some((Assurance::Valid, "2026-11-20T10:00:00.000Z".into())),
            mx_seen: vec!["mx.lab.example".into()],
        },
        copy: false,
        expire_ms: None,
        verify: None,
    }
}

fn ben() -> Recipient {
    Recipient {
        address: address("ben@practice.example"),
        asked: Vec::new(),
        action: Action::Deliver { methods: vec![VALID], last: Last::Hold },
        rule: "Default".into(),
        tried: vec![Tried { rule: "Default".into(), result: RuleResult::Won, adds: Vec::new() }],
        remarks: Vec::new(),
        concerns: Vec::new(),
        known: Known { routed: false, tls_seen: None, mx_seen: Vec::new() },
        copy: false,
        expire_ms: None,
        verify: None,
    }
}

pub(super) fn attempts() -> Vec<(JobId, u32, Timestamp, Attempt)> {
    let tls = Some(TlsSession { version: "TLSv1.3".into(), suite: "TLS13_AES_256_GCM_SHA384".into() });
    let good = Attempt {
        method: VALID,
        host: "mx.lab.example".into(),
        address: Some(([192, 0, 2, 7], 25).into()),
        tls,
        certificate: Some(sha256(b"certificate")),
        judgement: Some(Judgement { assurance: Some(Assurance::Valid), words: "valid for mx.lab.example".into() }),
        answer: Some(Answer { code: 250, enhanced: Some("2.0.0".into()), text: Phi::new("queued as 4B7".into()) }),
        remote_id: Some(Phi::new("4B7".into())),
        took_ms: 430,
        failure: None,
    };
    let greylisted = Attempt {
        answer: Some(Answer { code: 451, enhanced: Some("4.7.1".into()), text: Phi::new("greylisted".into()) }),
        remote_id: None,
        failure: Some(Failure { stage: Stage::Recipient, reason: "it put us off".into(), code: None }),
        ..good.clone()
    };
    let stranger = Attempt {
        host: "mail.practice.example".into(),
        address: Some(([198, 51, 100, 9], 25).into()),
        tls: None,
        certificate: Some(sha256(b"own certificate")),
        judgement: Some(Judgement {
            assurance: Some(Assurance::Encrypted),
            words: "encrypted, but its certificate is self-signed".into(),
        }),
        answer: None,
        remote_id: None,
        took_ms: 120,
        failure: Some(Failure {
            stage: Stage::Floor,
            reason: "encrypted, but its certificate is self-signed".into(),
            code: None,
        }),
        ..good.clone()
    };
    vec![(job(1), 1, at(1), greylisted), (job(1), 2, at(61), good), (job(2), 1, at(2), stranger)]
}

/// What happened, and by whom, given the commitments to the record and to its attempts.
pub(super) fn happened(record: Digest, attempts: &[Digest]) -> Vec<(Timestamp, Actor, Event)> {
    let queued = |due| JobState::Queued { method: VALID, due };
    let settled = |job, attempt, (state, evidence): (JobState, Digest)| Event::Settled {
        message: id(),
        job,
        attempt,
        state,
        evidence: Some(evidence),
    };
    let jobs = [job(1), job(2)].map(|job| AcceptedJob { job, state: queued(at(0)) }).to_vec();
    let client = Actor::Client(ClientName("openemr".into()));
    let held = JobState::Held { cause: HoldCause::MethodsExhausted };
    let happened = [
        (0, client, Event::Accepted { message: id(), evidence: record, bytes: 48_213, jobs, in_clear: None }),
        (1, Actor::System, settled(job(1), 1, (queued(at(61)), attempts[0]))),
        (2, Actor::System, settled(job(2), 1, (held, attempts[2]))),
        (61, Actor::System, settled(job(1), 2, (JobState::Ended { end: End::Delivered }, attempts[1]))),
        (62, Actor::System, Event::EvidenceRead { message: Some(id()), purpose: "trace".into() }),
    ];
    happened.map(|(second, actor, event)| (at(second), actor, event)).to_vec()
}

/// The same, as rows of a chain.
pub(super) fn events(record: Digest, attempts: &[Digest]) -> Vec<Entry> {
    let mut head = Head::empty(NodeId("n1".into()));
    let link = |(at, actor, event): (Timestamp, Actor, Event)| {
        let (entry, next) = audit::link(&head, at, &actor, &event).unwrap();
        head = next;
        entry
    };
    happened(record, attempts).into_iter().map(link).collect()
}
