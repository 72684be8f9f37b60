//! One message's whole story, put together from its record, its attempts and its audit events.

use serde::{Serialize, Serializer};

use crate::audit::{AcceptedJob, Actor, Entry, Event, JobState, NodeId};
use crate::clock::Timestamp;
use crate::crypto::Digest;
use crate::evidence::record::{Attempt, Record};
use crate::evidence::{sealed, words};
use crate::mail::{Address, JobId, MessageId};
use crate::phi::Phi;

/// Everything that is known of one message. Serialized for `--json`, told by `tell`.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    pub id: MessageId,
    pub record: Record,
    /// In the order of the record's recipients.
    pub journeys: Vec<Journey>,
    /// When the body was erased.
    pub erased: Option<Timestamp>,
    pub proof: Proof,
}

/// One message's way to one recipient.
#[derive(Clone, Debug, Serialize)]
pub struct Journey {
    pub job: JobId,
    /// From the first to the last; never empty.
    pub steps: Vec<Step>,
    pub attempts: Vec<MadeAttempt>,
}

/// Where a job stood from some moment on, and who put it there.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub at: Timestamp,
    pub by: Actor,
    #[serde(flatten)]
    pub state: JobState,
    /// The attempt that led there.
    pub attempt: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MadeAttempt {
    pub number: u32,
    pub at: Timestamp,
    #[serde(flatten)]
    pub attempt: Attempt,
}

/// Whether what was kept is what the audit log committed to at the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// All of it; the acceptance is this row of this node's chain.
    Agrees { node: NodeId, row: i64 },
    /// What is missing, or was altered since.
    Disagrees { what: Vec<String> },
}

/// One message as a few lines of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub id: MessageId,
    #[serde(serialize_with = "in_words")]
    pub accepted: Timestamp,
    #[serde(with = "sealed::optional_text")]
    pub message_id: Option<Phi<String>>,
    pub recipients: Vec<RecipientState>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RecipientState {
    #[serde(with = "sealed::address")]
    pub recipient: Address,
    #[serde(flatten)]
    pub state: JobState,
    #[serde(serialize_with = "in_words")]
    pub since: Timestamp,
}

/// As every list that an operator asks for shows a time; a number is what is stored.
fn in_words<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

/// An attempt's record as it came out of its seal.
pub(super) struct OpenedAttempt {
    pub(super) job: JobId,
    pub(super) number: u32,
    pub(super) at: Timestamp,
    pub(super) opened: Vec<u8>,
}

/// One event of the message, read.
struct Happening {
    at: Timestamp,
    by: Actor,
    event: Event,
}

impl Story {
    /// Nothing when a part of it cannot be read.
    pub(super) fn assemble(
        id: MessageId,
        record: &[u8],
        (attempts, events): (&[OpenedAttempt], &[Entry]),
    ) -> Option<Story> {
        let happenings = events.iter().map(happening).collect::<Option<Vec<Happening>>>()?;
        let (acceptance, entry, (commitment, jobs)) =
            happenings.iter().zip(events).find_map(|(happening, entry)| {
                let Event::Accepted { evidence, jobs, .. } = &happening.event else { return None };
                Some((happening, entry, (*evidence, jobs)))
            })?;
        let mut journeys = Vec::new();
        for AcceptedJob { job, state } in jobs {
            let first = Step { at: acceptance.at, by: acceptance.by.clone(), state: state.clone(), attempt: None };
            let steps = std::iter::once(first).chain(happenings.iter().filter_map(|next| next.step(*job))).collect();
            let made = attempts.iter().filter(|attempt| attempt.job == *job).map(OpenedAttempt::read);
            journeys.push(Journey { job: *job, steps, attempts: made.collect::<Option<Vec<MadeAttempt>>>()? });
        }
        let mut what = disagreements(attempts, &happenings);
        if sealed::commitment(record) != commitment {
            what.insert(0, "the record of what was received and decided was altered".to_owned());
        }
        let record: Record = sealed::read(record)?;
        if record.recipients.len() != journeys.len() {
            what.push("the record and the audit log name different numbers of recipients".to_owned());
        }
        let proof = if what.is_empty() {
            Proof::Agrees { node: entry.row.node.clone(), row: entry.row.seq }
        } else {
            Proof::Disagrees { what }
        };
        let erased = happenings.iter().find(|next| matches!(next.event, Event::Erased { .. })).map(|next| next.at);
        Some(Story { id, record, journeys, erased, proof })
    }

    pub fn summary(&self) -> Summary {
        let states = self.record.recipients.iter().zip(&self.journeys).filter_map(|(recipient, journey)| {
            let last = journey.steps.last()?;
            Some(RecipientState { recipient: recipient.address.clone(), state: last.state.clone(), since: last.at })
        });
        Summary {
            id: self.id,
            accepted: self.record.accepted,
            message_id: self.record.message_id.clone(),
            recipients: states.collect(),
        }
    }
}

impl Summary {
    /// One line for each recipient, to be printed for whoever asked after them.
    pub fn lines(&self) -> Vec<String> {
        let line = |to: &RecipientState| {
            // `trace` answers an operator who named the address or the message.
            let address = to.recipient.expose();
            format!(
                "{}  {}  {address}  {}",
                self.id,
                words::moment(self.accepted),
                words::short_state(&to.state, to.since)
            )
        };
        self.recipients.iter().map(line).collect()
    }
}

impl OpenedAttempt {
    fn read(&self) -> Option<MadeAttempt> {
        Some(MadeAttempt { number: self.number, at: self.at, attempt: sealed::read(&self.opened)? })
    }
}

impl Happening {
    /// The step that this event was for a job, if it was one.
    fn step(&self, of: JobId) -> Option<Step> {
        let (state, attempt) = if let Event::Settled { job, attempt, state, .. } = &self.event
            && *job == of
        {
            (state, Some(*attempt))
        } else if let Event::Moved { job, state, .. } = &self.event
            && *job == of
        {
            (state, None)
        } else {
            return None;
        };
        Some(Step { at: self.at, by: self.by.clone(), state: state.clone(), attempt })
    }
}

fn happening(entry: &Entry) -> Option<Happening> {
    Some(Happening {
        at: Timestamp::parse_rfc3339(&entry.row.time)?,
        by: serde_json::from_str(&entry.row.actor).ok()?,
        event: serde_json::from_str(&entry.row.event).ok()?,
    })
}

/// Compares the attempts kept with those that the events committed to, in both directions.
fn disagreements(attempts: &[OpenedAttempt], happenings: &[Happening]) -> Vec<String> {
    let committed: Vec<(JobId, u32, Digest)> = happenings.iter().filter_map(committed_attempt).collect();
    let mut what = Vec::new();
    for made in attempts {
        let number = made.number;
        match committed.iter().find(|(job, attempt, _)| *job == made.job && *attempt == number) {
            Some((_, _, digest)) if *digest == sealed::commitment(&made.opened) => {}
            Some(_) => what.push(format!("the record of attempt {number} of job {} was altered", made.job)),
            None => what.push(format!("the audit log does not know attempt {number} of job {}", made.job)),
        }
    }
    for (job, number, _) in committed {
        if !attempts.iter().any(|made| made.job == job && made.number == number) {
            what.push(format!("the record of attempt {number} of job {job} is missing"));
        }
    }
    what
}

fn committed_attempt(happening: &Happening) -> Option<(JobId, u32, Digest)> {
    let Event::Settled { job, attempt, evidence: Some(digest), .. } = &happening.event else { return None };
    Some((*job, *attempt, *digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::invented::{self, Kept, id, job};
    use crate::mail::End;

    #[test]
    fn a_story_puts_attempts_and_states_with_their_recipients() {
        let story = invented::kept().story();
        assert_eq!(story.journeys.iter().map(|journey| journey.job).collect::<Vec<_>>(), [job(1), job(2)]);
        assert_eq!(story.journeys.iter().map(|journey| journey.attempts.len()).collect::<Vec<_>>(), [2, 1]);
        let last = |at: usize| &story.journeys[at].steps.last().unwrap().state;
        assert_eq!(last(0), &JobState::Ended { end: End::Delivered });
        assert!(matches!(last(1), JobState::Held { .. }));
        assert_eq!(story.proof, Proof::Agrees { node: NodeId("n1".into()), row: 1 });
    }

    #[test]
    fn a_summary_has_one_line_for_each_recipient() {
        let id = id();
        assert_eq!(
            invented::kept().story().summary().lines(),
            [
                format!(
                    "{id}  Tue, 24 Nov 2026 04:07:00 UTC  Ann.Sorrel@lab.example  delivered Tue, 24 Nov 2026 04:08:01 UTC"
                ),
                format!(
                    "{id}  Tue, 24 Nov 2026 04:07:00 UTC  ben@practice.example  \
                     held since Tue, 24 Nov 2026 04:07:02 UTC: no allowed way of delivery was left"
                ),
            ]
        );
    }

    #[test]
    fn an_altered_record_or_attempt_shows_itself() {
        let Kept { mut record, mut attempts, events } = invented::kept();
        let altered = |bytes: &mut Vec<u8>, from: &str, to: &str| {
            let text = String::from_utf8(bytes.split_off(32)).unwrap();
            assert!(text.contains(from));
            bytes.extend(text.replace(from, to).into_bytes());
        };
        altered(&mut record, "openemr", "OPENEMR");
        altered(&mut attempts[1].opened, "2.0.0", "2.9.0");
        let story = Kept { record, attempts, events }.story();
        let expected = [
            "the record of what was received and decided was altered".to_owned(),
            format!("the record of attempt 2 of job {} was altered", job(1)),
        ];
        assert_eq!(story.proof, Proof::Disagrees { what: expected.to_vec() });
    }

    #[test]
    fn an_attempt_that_is_missing_or_unknown_to_the_log_shows_itself() {
        let mut missing = invented::kept();
        missing.attempts.remove(0);
        let what = vec![format!("the record of attempt 1 of job {} is missing", job(1))];
        assert_eq!(missing.story().proof, Proof::Disagrees { what });
        let mut unknown = invented::kept();
        unknown.attempts[0].number = 7;
        let what = vec![
            format!("the audit log does not know attempt 7 of job {}", job(1)),
            format!("the record of attempt 1 of job {} is missing", job(1)),
        ];
        assert_eq!(unknown.story().proof, Proof::Disagrees { what });
    }

    #[test]
    fn a_story_is_written_whole_as_json_and_shows_nobody_in_debug() {
        let story = invented::kept().story();
        let json = serde_json::to_string(&story).unwrap();
        for word in ["Ann.Sorrel@lab.example", "tls_seen", "outdone", "\"state\":\"ended\"", "TLSv1.3", "MRN"] {
            assert!(json.contains(word), "{word} in {json}");
        }
        let debug = format!("{story:?}");
        for word in ["Sorrel", "ben@", "20261124.7", "nurse"] {
            assert!(!debug.contains(word), "{word} in {debug}");
        }
    }
}
