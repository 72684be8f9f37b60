//! Who is told what, from what the queue and the evidence say.

use super::*;
use crate::audit::{Actor, HoldCause};
use crate::clock::Timestamp;
use crate::crypto::Digest;
use crate::evidence::record::{Answer, Attempt, Classified, Failure, Known, Origin, Record, Stage, Versions};
use crate::evidence::{MadeAttempt, Proof, Step};
use crate::mail::{Asked, Content, Domain, JobId, MessageId, Method, ReversePath, Wishes};
use crate::phi::Phi;
use crate::store::OwedId;

const START: Timestamp = Timestamp::from_millis(0);

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(in crate::notice) fn owed(about: About, to: &str) -> Owed {
    let job = JobId::from_parts(START, 1);
    let to = if to.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(address(to)) };
    Owed {
        id: OwedId { job, about, of: Content::Mail },
        job,
        message: MessageId::from_parts(START, 2),
        about,
        to,
        recipient: address("results@lab.example"),
        asked: Asked::default(),
        wishes: Wishes::default(),
        client: None,
        content: Content::Mail,
        accepted: START,
        expires: UNTIL,
        attempts: 2,
        state: JobState::Held { cause: HoldCause::Policy },
    }
}

fn attempt(number: u32, code: u16) -> MadeAttempt {
    let text = Phi::new("results@lab.example is unknown here".to_owned());
    let attempt = Attempt {
        method: Method::Portal,
        host: "mx.lab.example".into(),
        address: None,
        tls: None,
        certificate: None,
        judgement: None,
        answer: Some(Answer { code, enhanced: Some("5.1.1".into()), text }),
        remote_id: None,
        took_ms: 1,
        failure: None,
    };
    MadeAttempt { number, at: Timestamp::from_millis(number.into()), attempt }
}

/// A story of two recipients for whom the same was decided.
pub(in crate::notice) fn story(action: Action) -> Story {
    let record = Record {
        accepted: START,
        origin: Origin::OwnNotice,
        sender: ReversePath::Null,
        message_id: Some(Phi::new("<7@clinic.example>".into())),
        date: Some(START),
        asked: Vec::new(),
        bytes: 1,
        classified: Classified { phi: false, score: 0.0, found: Vec::new() },
        recipients: vec![recipient("other@lab.example", action.clone()), recipient("results@lab.example", action)],
        conventions: Vec::new(),
        reason: None,
        notified: Vec::new(),
        edits: Vec::new(),
        observed: false,
        versions: Versions { config: Digest::ZERO, classifier: "1".into(), sealpost: "1".into() },
        features: None,
    };
    Story {
        id: MessageId::from_parts(START, 2),
        record,
        journeys: vec![journey(5, vec![attempt(3, 421)]), journey(1, vec![attempt(1, 450), attempt(2, 550)])],
        erased: None,
        proof: Proof::Disagrees { what: Vec::new() },
    }
}

#[test]
fn a_copy_for_an_archive_is_no_line_of_the_senders_receipt() {
    let mut story = story(Action::Hold { reason: "look".into() });
    let lines = |story: &Story| {
        crate::notice::receipt::slip(&owed(About::Taken, "ann@clinic.example"), story, None).lines.len()
    };
    assert_eq!(lines(&story), 2);
    story.record.recipients[1].copy = true;
    assert_eq!(lines(&story), 1);
}

fn recipient(to: &str, action: Action) -> Recipient {
    Recipient {
        address: address(to),
        asked: Vec::new(),
        action,
        rule: "it".into(),
        tried: Vec::new(),
        remarks: Vec::new(),
        concerns: Vec::new(),
        copy: false,
        expire_ms: None,
        verify: None,
        known: Known { routed: false, tls_seen: None, mx_seen: Vec::new() },
    }
}

fn journey(job: u128, attempts: Vec<MadeAttempt>) -> Journey {
    let state = JobState::Held { cause: HoldCause::Policy };
    let steps = vec![Step { at: START, by: Actor::System, state, attempt: None }];
    Journey { job: JobId::from_parts(START, job), steps, attempts }
}

const UNTIL: Timestamp = Timestamp::from_millis(9_000);

pub(in crate::notice) fn voice() -> Voice {
    Voice {
        hostname: Domain::parse("relay.clinic.example").unwrap(),
        from: address("postmaster@clinic.example"),
        postmaster: address("it@clinic.example"),
        digest_hour: 6,
        legacy: Vec::new(),
        public_url: None,
    }
}

#[test]
fn the_sender_is_told_and_the_postmaster_of_what_waits_or_ran_out() {
    let voice = voice();
    let (ann, it) = ("ann@clinic.example", "it@clinic.example");
    for (about, to, expected) in [
        (About::Failed, ann, &[ann][..]),
        (About::Delayed, ann, &[ann]),
        (About::Relayed, ann, &[ann]),
        (About::Rejected, ann, &[ann]),
        (About::Undeliverable, ann, &[ann]),
        (About::Held, ann, &[ann, it]),
        (About::Expired, ann, &[ann, it]),
        (About::Unanswered, ann, &[it]),
        (About::Unanswered, "", &[it]),
        (About::Held, it, &[it]),
        (About::Held, "", &[it]),
        (About::Failed, "", &[it]),
    ] {
        let told: Vec<String> = told(&voice, &owed(about, to)).iter().map(|a| a.expose().to_owned()).collect();
        assert_eq!(told, expected, "{about:?}");
    }
}

#[test]
fn the_codes_are_those_of_the_jobs_own_last_attempt() {
    let deliver = Action::Deliver { methods: Vec::new(), last: crate::config::Last::Hold };
    let fate = fate(&owed(About::Failed, "ann@clinic.example"), &story(deliver));
    assert_eq!(fate.recipient, address("results@lab.example"));
    let last = fate.last.unwrap();
    assert_eq!((last.code.unwrap().value(), last.at.millis()), (550, 2));
    assert_eq!(last.enhanced, Some(Enhanced::new(5, 1, 1)));
    assert_eq!(fate.what, What::Refused);
    assert_eq!(fate.original.message_id(), Some("<7@clinic.example>"));
}

#[test]
fn a_hold_and_a_rejection_carry_the_words_of_the_rule() {
    let held = fate(&owed(About::Held, ""), &story(Action::Hold { reason: "look".into() }));
    assert_eq!(held.what, What::Held { cause: Some(HoldCause::Policy), reason: Some("look".into()), until: UNTIL });
    let rejected = fate(&owed(About::Rejected, ""), &story(Action::Reject { text: "no".into() }));
    assert_eq!(rejected.what, What::Rejected { text: "no".into() });
}

#[test]
fn where_no_server_answered_the_code_is_our_own() {
    let deliver = Action::Deliver { methods: Vec::new(), last: crate::config::Last::Hold };
    let mut story = story(deliver);
    let made = story.journeys[1].attempts.last_mut().unwrap();
    made.attempt.answer = None;
    let reason = "the domain says that it takes no mail".into();
    made.attempt.failure = Some(Failure { stage: Stage::Resolve, reason, code: Some("5.1.10".into()) });
    let last = fate(&owed(About::Failed, "ann@clinic.example"), &story).last.unwrap();
    assert_eq!((last.code, last.enhanced), (None, Some(Enhanced::new(5, 1, 10))));
}
