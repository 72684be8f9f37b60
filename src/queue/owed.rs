//! Notices that are owed: written with the change that makes them so, cleared by the commit of the notice itself.

use std::sync::PoisonError;
use std::time::Duration;

use crate::audit::JobState;
use crate::clock::Timestamp;
use crate::mail::{Address, Asked, ClientName, Content, JobId, MessageId, ReversePath, Wishes};
use crate::queue::{Queue, QueueError, STORE_PAUSE, accept, schedule};
use crate::store::{About, Debt, Fence, JobRow, OwedId, Owes, StoreError};

/// How long somebody may take to compose a notice before it is given out again.
const COMPOSE: Duration = Duration::from_secs(60);

/// A notice that somebody is owed.
#[derive(Clone, Debug)]
pub struct Owed {
    pub id: OwedId,
    pub job: JobId,
    pub message: MessageId,
    pub about: About,
    /// Whom to tell; null means the postmaster alone, or those whom a rule names. Of a hold the postmaster is told in any case,
    /// and the sender by the receipt where there is one.
    pub to: ReversePath,
    pub recipient: Address,
    /// What the sender asked for the whole message, and for this recipient.
    pub asked: Asked,
    pub wishes: Wishes,
    pub client: Option<ClientName>,
    pub content: Content,
    pub accepted: Timestamp,
    pub expires: Timestamp,
    pub attempts: u32,
    pub state: JobState,
}

impl Queue {
    /// Waits until a notice is owed, and gives up to `limit` of them to the caller for a minute.
    pub async fn owed(&self, limit: usize) -> Vec<Owed> {
        loop {
            if self.inner.owed_alarm.take_due() {
                match self.owed_now(limit).await {
                    Ok(owed) if owed.is_empty() => {}
                    Ok(owed) => return owed,
                    Err(error) => {
                        tracing::error!(store.error = %error, "cannot read what is owed");
                        tokio::time::sleep(STORE_PAUSE).await;
                        self.inner.owed_alarm.set(self.now());
                    }
                }
            }
            self.inner.owed_alarm.wait().await;
        }
    }

    async fn owed_now(&self, limit: usize) -> Result<Vec<Owed>, QueueError> {
        let handed = self.handed_count();
        let store = &self.inner.store;
        let mut rows: Vec<(JobRow, Option<About>)> = Vec::new();
        for row in store.owing_jobs(Debt::Fate, limit + handed + 1).await? {
            let about = row.standing.owed;
            rows.push((row, about));
        }
        let receipts = store.owing_jobs(Debt::Receipt, limit + handed + 1).await?;
        rows.extend(receipts.into_iter().map(|row| (row, Some(About::Taken))));
        let matched = store.owing_jobs(Debt::RuleNotice, limit + handed + 1).await?;
        rows.extend(matched.into_iter().map(|row| (row, Some(About::Matched))));
        let mut owed = Vec::new();
        for (row, about) in rows {
            let id = row.id;
            if owed.len() == limit {
                // There are more.
                self.inner.owed_alarm.set(self.now());
                break;
            }
            match self.owed_of(row, about).await {
                Ok(Some(notice)) if self.hand_out(notice.id) => owed.push(notice),
                Ok(Some(_) | None) => {}
                Err(error) => tracing::error!(job.id = %id, store.error = %error, "cannot open what is owed"),
            }
        }
        Ok(owed)
    }

    async fn owed_of(&self, row: JobRow, about: Option<About>) -> Result<Option<Owed>, StoreError> {
        let Some(about) = about else { return Ok(None) };
        let envelope = accept::open_envelope(&self.inner.store, &row)?;
        let to = match row.owes {
            Owes::Sender(_) if about == About::Held && self.receipt_tells(&row).await? => ReversePath::Null,
            Owes::Sender(notify) if schedule::hears(notify, about) => envelope.sender,
            Owes::Sender(_) | Owes::Postmaster | Owes::Nobody => ReversePath::Null,
        };
        Ok(Some(Owed {
            id: OwedId::of(&row, about),
            job: row.id,
            message: row.message,
            about,
            to,
            recipient: envelope.recipient,
            asked: envelope.asked,
            wishes: envelope.wishes,
            client: row.client,
            content: row.content,
            accepted: row.accepted,
            expires: row.standing.expires,
            attempts: row.standing.attempts,
            state: row.standing.state,
        }))
    }

    /// Whether the receipt for a message tells its sender of this hold: one mail about the same is enough.
    async fn receipt_tells(&self, row: &JobRow) -> Result<bool, StoreError> {
        // Held since it was accepted: nobody has moved it.
        if row.fence != Fence::FIRST {
            return Ok(false);
        }
        Ok(self.inner.store.jobs(row.message).await?.iter().any(|job| job.tell.sender()))
    }

    fn hand_out(&self, id: OwedId) -> bool {
        let now = self.now();
        let mut handed = self.inner.handed.lock().unwrap_or_else(PoisonError::into_inner);
        handed.retain(|_, until| *until > now);
        if handed.contains_key(&id) {
            return false;
        }
        let again = now.plus(COMPOSE);
        handed.insert(id, again);
        self.inner.owed_alarm.set(again);
        true
    }

    fn handed_count(&self) -> usize {
        self.inner.handed.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn told(&self, id: OwedId) {
        self.inner.handed.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}
