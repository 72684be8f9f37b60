//! What the audit logs of all nodes say of each job, read when the story is over.

use std::collections::HashMap;

use sealpost::audit::{Event, JobState};
use sealpost::mail::{JobId, MessageId};

use super::house::House;

/// Rows that are read at once.
const PAGE: usize = 5_000;

#[derive(Default)]
pub(super) struct Told {
    messages: HashMap<MessageId, usize>,
    jobs: HashMap<JobId, Life>,
}

#[derive(Default)]
struct Life {
    accepted: usize,
    ends: usize,
    attempts: Vec<u32>,
    /// The attempt that ended it, if one did.
    last: Option<u32>,
}

pub(super) async fn read(house: &House) -> Told {
    let mut told = Told::default();
    let store = &house.nodes[0].store;
    for head in store.heads().await.unwrap() {
        let mut after = 0;
        while after < head.seq {
            for entry in store.events(&head.node, after, PAGE).await.unwrap() {
                assert_eq!(entry.row.seq, after + 1, "a hole in the log of {}", head.node);
                after = entry.row.seq;
                told.note(serde_json::from_str(&entry.row.event).unwrap());
            }
        }
    }
    told
}

impl Told {
    fn note(&mut self, event: Event) {
        let ends = |state: &JobState| usize::from(matches!(state, JobState::Ended { .. }));
        match event {
            Event::Accepted { message, jobs, .. } => {
                *self.messages.entry(message).or_default() += jobs.len();
                for accepted in jobs {
                    let life = self.jobs.entry(accepted.job).or_default();
                    life.accepted += 1;
                    life.ends += ends(&accepted.state);
                }
            }
            Event::Settled { job, attempt, state, .. } => {
                let life = self.jobs.entry(job).or_default();
                life.attempts.push(attempt);
                life.ends += ends(&state);
                if ends(&state) == 1 {
                    life.last = Some(attempt);
                }
            }
            Event::Moved { job, state, .. } => self.jobs.entry(job).or_default().ends += ends(&state),
            _ => {}
        }
    }

    /// Each recipient of each message was accepted once, has one end, and each of its attempts counts once.
    pub(super) fn check(
        mut self,
        sure: &HashMap<MessageId, usize>,
        perhaps: &HashMap<MessageId, usize>,
    ) -> Result<(), String> {
        for (message, recipients) in sure {
            let logged = self.messages.remove(message);
            if logged != Some(*recipients) {
                return Err(format!("message {message} of {recipients} recipients is logged with {logged:?}"));
            }
        }
        for (message, logged) in self.messages {
            if perhaps.get(&message) != Some(&logged) {
                return Err(format!("message {message} is logged with {logged} recipients, and was not sent so"));
            }
        }
        for (job, mut life) in self.jobs {
            life.attempts.sort_unstable();
            let each_once = (1..).zip(&life.attempts).all(|(number, attempt)| number == *attempt);
            let nothing_behind = life.last.is_none_or(|last| life.attempts.last() == Some(&last));
            if (life.accepted, life.ends) != (1, 1) || !each_once || !nothing_behind {
                let Life { accepted, ends, attempts, last } = life;
                return Err(format!(
                    "job {job}: accepted {accepted} times, {ends} ends, attempts {attempts:?}, ended by {last:?}"
                ));
            }
        }
        Ok(())
    }
}
