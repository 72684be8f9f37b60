//! What an operator may do: look, hold, release, cancel, retry. Each move is one commit with the operator's name on it.

use crate::audit::{Actor, Event, HoldCause, JobState};
use crate::clock::Timestamp;
use crate::mail::{ClientName, Domain, End, JobId, MessageId, Method};
use crate::queue::schedule::Case;
use crate::queue::{Queue, QueueError, schedule};
use crate::store::{Change, Commit, JobFilter, JobRow, Move, Standing, StateName, StoreError};

/// Jobs that are read at once while a selection is walked.
const PAGE: usize = 500;

/// Which jobs an operator means.
#[derive(Clone, Debug)]
pub enum Selection {
    Message(MessageId),
    Job(JobId),
    /// Everything of one client that was accepted since.
    Client {
        client: ClientName,
        since: Timestamp,
    },
}

/// How far a move got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub moved: usize,
    /// On the wire at this moment, which cannot be called back.
    pub in_delivery: usize,
    /// Not released: no method of its decision exists.
    pub no_method: usize,
}

/// One job as an operator sees it: without addresses.
#[derive(Clone, Debug)]
pub struct Listed {
    pub job: JobId,
    pub message: MessageId,
    pub client: Option<ClientName>,
    pub domain: Domain,
    pub accepted: Timestamp,
    pub expires: Timestamp,
    pub attempts: u32,
    pub methods: Vec<Method>,
    pub state: JobState,
    /// Until when a worker holds it, when one does.
    pub leased: Option<Timestamp>,
}

/// Every recipient that was ever accepted, and where it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    pub accepted: i64,
    pub queued: i64,
    pub held: i64,
    pub ended: Vec<(End, i64)>,
}

impl Counts {
    /// Whether nobody was lost and nobody counted twice.
    pub fn are_balanced(&self) -> bool {
        self.accepted == self.queued + self.held + self.ended.iter().map(|(_, jobs)| jobs).sum::<i64>()
    }
}

impl Queue {
    pub async fn counts(&self) -> Result<Counts, QueueError> {
        let tally = self.inner.store.tally().await?;
        let mut counts = Counts { accepted: tally.accepted, queued: 0, held: 0, ended: Vec::new() };
        for count in tally.states {
            match (count.state, count.end) {
                (StateName::Queued, _) => counts.queued += count.jobs,
                (StateName::Held, _) => counts.held += count.jobs,
                (StateName::Ended, Some(end)) => counts.ended.push((end, count.jobs)),
                // Left out, so that the sum shows it.
                (StateName::Ended, None) => {}
            }
        }
        Ok(counts)
    }

    /// A page of the queue, in the order of ids; `filter.after` names where the last page ended.
    pub async fn list(&self, filter: &JobFilter, limit: usize) -> Result<Vec<Listed>, QueueError> {
        let rows = self.inner.store.list_jobs(filter, limit).await?;
        Ok(rows.into_iter().map(listed).collect())
    }

    pub async fn show(&self, message: MessageId) -> Result<Vec<Listed>, QueueError> {
        let rows = self.inner.store.jobs(message).await?;
        Ok(rows.into_iter().map(listed).collect())
    }

    /// Keeps what is queued from being delivered, until it is released or its time as a held one runs out.
    pub async fn hold(&self, selection: &Selection, actor: Actor) -> Result<Moved, QueueError> {
        let now = self.now();
        self.each(selection, &actor, |row| {
            let mut next = row.standing.clone();
            match row.standing.state {
                JobState::Queued { .. } => {
                    schedule::hold(&mut next, HoldCause::Operator, Case { now, owes: row.owes }, &self.inner.config);
                    Wanted::Move(next)
                }
                JobState::Held { .. } | JobState::Ended { .. } => Wanted::Leave,
            }
        })
        .await
    }

    /// Lets what is held go, by the methods that its decision left it, and by no others.
    pub async fn release(&self, selection: &Selection, actor: Actor) -> Result<Moved, QueueError> {
        let now = self.now();
        self.each(selection, &actor, |row| {
            // Who lets it go takes further copies into account.
            let mut next = Standing { owed: None, floor_since: None, unanswered: 0, ..row.standing.clone() };
            match row.standing.state {
                JobState::Held { .. } => {
                    let Some(method) = next.methods.first() else { return Wanted::NoMethod };
                    next.state = JobState::Queued { method: *method, due: now };
                    next.expires = now.plus(self.inner.config.expire);
                    Wanted::Move(next)
                }
                JobState::Queued { .. } | JobState::Ended { .. } => Wanted::Leave,
            }
        })
        .await
    }

    /// Takes what is queued or held out for good.
    pub async fn cancel(&self, selection: &Selection, actor: Actor) -> Result<Moved, QueueError> {
        self.each(selection, &actor, |row| match row.standing.state {
            JobState::Queued { .. } | JobState::Held { .. } => {
                let state = JobState::Ended { end: End::Cancelled };
                Wanted::Move(Standing { state, owed: None, ..row.standing.clone() })
            }
            JobState::Ended { .. } => Wanted::Leave,
        })
        .await
    }

    /// Makes what is queued due now.
    pub async fn retry(&self, selection: &Selection, actor: Actor) -> Result<Moved, QueueError> {
        let now = self.now();
        self.each(selection, &actor, |row| match row.standing.state {
            JobState::Queued { method, due: _ } => {
                Wanted::Move(Standing { state: JobState::Queued { method, due: now }, ..row.standing.clone() })
            }
            JobState::Held { .. } | JobState::Ended { .. } => Wanted::Leave,
        })
        .await
    }

    async fn each(
        &self,
        selection: &Selection,
        actor: &Actor,
        want: impl Fn(&JobRow) -> Wanted,
    ) -> Result<Moved, QueueError> {
        let mut done = Moved::default();
        let mut after = None;
        loop {
            let rows = self.select(selection, after).await?;
            for row in &rows {
                match want(row) {
                    Wanted::Leave => {}
                    Wanted::NoMethod => done.no_method += 1,
                    Wanted::Move(next) => match self.move_job(row, next, actor.clone()).await? {
                        true => done.moved += 1,
                        false => done.in_delivery += 1,
                    },
                }
            }
            after = rows.last().map(|row| row.id);
            if rows.len() < PAGE {
                return Ok(done);
            }
        }
    }

    async fn select(&self, selection: &Selection, after: Option<JobId>) -> Result<Vec<JobRow>, StoreError> {
        let store = &self.inner.store;
        let filter = match selection {
            Selection::Job(job) => return Ok(store.job(*job).await?.into_iter().collect()),
            Selection::Message(message) => JobFilter { message: Some(*message), after, ..JobFilter::default() },
            Selection::Client { client, since } => {
                JobFilter { client: Some(client.clone()), since: Some(*since), after, ..JobFilter::default() }
            }
        };
        store.list_jobs(&filter, PAGE).await
    }

    /// Moves one job, unless somebody is delivering it or was faster. Says whether it moved.
    pub(super) async fn move_job(&self, row: &JobRow, next: Standing, actor: Actor) -> Result<bool, StoreError> {
        let event = Event::Moved { message: row.message, job: row.id, state: next.state.clone() };
        let moved = Move { job: row.id, fence: row.fence, at: self.now(), next: next.clone() };
        match self.inner.store.commit(Change::Move(Box::new(moved)), actor, event).await? {
            Commit::Committed(_) => {
                self.stands(&next);
                Ok(true)
            }
            Commit::Lost => Ok(false),
        }
    }
}

enum Wanted {
    Move(Standing),
    Leave,
    NoMethod,
}

fn listed(row: JobRow) -> Listed {
    Listed {
        job: row.id,
        message: row.message,
        client: row.client,
        domain: row.domain,
        accepted: row.accepted,
        expires: row.standing.expires,
        attempts: row.standing.attempts,
        methods: row.standing.methods,
        state: row.standing.state,
        leased: row.leased,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Last;
    use crate::mail::{Address, Assurance, ReversePath};
    use crate::policy::Action;
    use crate::queue::interleaved::{Open, accept, open};
    use crate::queue::{Outcome, Progress, Way};

    const SURE: Method = Method::Tls(Assurance::Authenticated);

    async fn accepted(queue: &Queue, action: Action, released: Vec<Method>) -> Selection {
        let recipient = Address::parse("ann@lab.example").unwrap();
        let way = Way { recipient, action, cause: None, released, not_before: None };
        let accept = accept(queue, (ReversePath::Null, vec![way]));
        let id = accept.id;
        queue.accept(accept, Actor::System).await.unwrap();
        Selection::Message(id)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_release_asks_for_no_less_than_the_decision_did() {
        let Open { queue, _folder, .. } = open().await;
        let action = Action::Deliver { methods: vec![SURE], last: Last::Hold };
        let message = accepted(&queue, action, Vec::new()).await;
        let job = queue.claim(1).await.pop().unwrap();
        queue.settle(job, Outcome { progress: Progress::MethodUnusable, evidence: None, seen: None }).await.unwrap();
        assert_eq!(queue.release(&message, Actor::System).await.unwrap().moved, 1);
        assert_eq!(queue.claim(1).await.pop().unwrap().method, SURE);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_rule_held_is_released_by_what_its_decision_left_it() {
        let Open { queue, _folder, .. } = open().await;
        let action = || Action::Hold { reason: "a person looks first".into() };
        let message = accepted(&queue, action(), Vec::new()).await;
        let released = queue.release(&message, Actor::System).await.unwrap();
        assert_eq!((released.moved, released.no_method), (0, 1));
        let message = accepted(&queue, action(), vec![SURE]).await;
        let released = queue.release(&message, Actor::System).await.unwrap();
        assert_eq!((released.moved, released.no_method), (1, 0));
        assert_eq!(queue.claim(1).await.pop().unwrap().method, SURE);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_failed_together_does_not_come_back_together() {
        const JOBS: usize = 6;
        let Open { queue, _folder, .. } = open().await;
        let mut due = std::collections::BTreeSet::new();
        for _ in 0..JOBS {
            let action = Action::Deliver { methods: vec![SURE], last: Last::Hold };
            let Selection::Message(message) = accepted(&queue, action, Vec::new()).await else { panic!("a message") };
            let job = queue.claim(1).await.pop().unwrap();
            queue.settle(job, Outcome { progress: Progress::Later, evidence: None, seen: None }).await.unwrap();
            let JobState::Queued { due: next, .. } = queue.show(message).await.unwrap()[0].state else {
                panic!("queued")
            };
            due.insert(next);
        }
        // The clock stood still: chance alone tells them apart. Six alike come once in some 10^18 runs.
        assert!(due.len() > 1, "{due:?}");
    }
}
