//! Keys and bodies as they come and go: new epochs, another master key, what a sweep may take.

use std::collections::HashSet;
use std::time::Duration;

use crate::audit::{Actor, Event, NodeId};
use crate::clock::Timestamp;
use crate::crypto::Key;
use crate::mail::MessageId;
use crate::store::change::Purpose;
use crate::store::{Change, Commit, Rewrap, Rewrapped, Store, StoreError, Truncated, failed, read, vault};

/// How long bodies' keys are wrapped under one epoch: what is erased is out of reach of a copied database a day later.
const BODY_EPOCH: Duration = Duration::from_secs(24 * 3600);
const EVIDENCE_EPOCH: Duration = Duration::from_secs(365 * 24 * 3600);
/// Jobs that are wrapped anew in one commit when an old epoch is destroyed. One epoch with more has to wait.
const MAX_SURVIVORS: i64 = 1_000;

impl Store {
    /// Starts the next epoch of bodies and of evidence where the current one is old.
    pub async fn renew_epochs(&self) -> Result<(), StoreError> {
        self.renew_epoch(Purpose::Body).await?;
        self.renew_epoch(Purpose::Evidence).await
    }

    pub(super) async fn renew_epoch(&self, purpose: Purpose) -> Result<(), StoreError> {
        let now = self.clock().now();
        let life = match purpose {
            Purpose::Body => Some(BODY_EPOCH),
            Purpose::Evidence => Some(EVIDENCE_EPOCH),
            Purpose::Index => None,
        };
        if let Some((_, started)) = self.vault().newest(purpose)
            && life.is_none_or(|life| now.since(started) < life)
        {
            return Ok(());
        }
        self.same_master_as_everybody().await?;
        let epoch = self.vault().next_epoch(self.next_epoch_id().await?, purpose, now)?;
        let event = Event::EpochStarted { epoch: epoch.id };
        match self.commit(Change::StartEpoch(epoch.clone()), Actor::System, event).await? {
            Commit::Committed(_) => self.vault().admit(&epoch),
            // Another node was first: its epoch serves us as well.
            Commit::Lost => self.know_epochs([epoch.id]).await,
        }
    }

    /// Another node may have replaced the master key, or a rotation of ours whose answer was lost. What was wrapped under
    /// ours from then on would be lost with it.
    async fn same_master_as_everybody(&self) -> Result<(), StoreError> {
        if self.everything_is_under(&self.vault().master()).await? { Ok(()) } else { Err(StoreError::WrongMasterKey) }
    }

    async fn everything_is_under(&self, master: &Key) -> Result<bool, StoreError> {
        let mut connection = self.inner.readers.acquire().await.map_err(failed("reading the keys"))?;
        let seeds = read::seeds(&mut connection).await?;
        // Seeds and epochs are wrapped anew in one commit, so the seeds tell of both.
        let opens = |(node, sealed): &(NodeId, Vec<u8>)| {
            vault::unwrap_seed(master, node, sealed).map(zeroize::Zeroizing::new).is_ok()
        };
        Ok(seeds.iter().all(opens))
    }

    /// Finds out which master key is in use, ours or the one of a rotation whose COMMIT was not answered. A server may
    /// still be about to commit it, so `other` must stay where it is, whatever is found.
    pub async fn find_master(&self, other: &Key) -> Result<(), StoreError> {
        if self.everything_is_under(&self.vault().master()).await? {
            return Ok(());
        }
        if !self.everything_is_under(other).await? {
            return Err(StoreError::WrongMasterKey);
        }
        self.vault().replace_master(other.clone());
        Ok(())
    }

    /// Wraps every key under another master key, in one commit. The caller keeps the new key durable before. After an error
    /// both keys have to be kept: nobody knows then under which of them everything is.
    pub async fn rotate_master(&self, new: Key, actor: Actor) -> Result<Commit, StoreError> {
        let change = self.wrapped_anew(&new).await?;
        let commit = self.commit(change, actor, Event::MasterKeyRotated).await;
        match &commit {
            Ok(Commit::Committed(_)) => {
                self.vault().replace_master(new);
                self.truncate_log().await?;
            }
            Ok(Commit::Lost) => {}
            Err(_) => {
                if let Err(error) = self.find_master(&new).await {
                    tracing::error!(store.error = %error, "which master key is in use is not known now");
                }
            }
        }
        commit
    }

    async fn wrapped_anew(&self, new: &Key) -> Result<Change, StoreError> {
        let old = self.vault().master();
        let mut connection = self.inner.readers.acquire().await.map_err(failed("reading the keys"))?;
        let mut epochs = Vec::new();
        for epoch in read::epochs_kept(&mut connection).await? {
            let key = vault::unwrap_epoch(&old, epoch.id, &epoch.wrapped)?;
            let new = vault::wrap_epoch(new, epoch.id, &key)?;
            epochs.push(Rewrap { row: epoch.id.to_string(), old: epoch.wrapped, new });
        }
        let mut nodes = Vec::new();
        for (node, sealed) in read::seeds(&mut connection).await? {
            let seed = zeroize::Zeroizing::new(vault::unwrap_seed(&old, &node, &sealed)?);
            nodes.push(Rewrap { row: node.0.clone(), old: sealed, new: vault::wrap_seed(new, &node, &seed)? });
        }
        Ok(Change::RotateMaster { epochs, nodes })
    }

    /// Messages whose every job has ended, with nobody left to be told, and whose body is still here.
    pub async fn finished_messages(&self, limit: usize) -> Result<Vec<MessageId>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar(
            "select id from message where erased is null and not exists \
             (select 1 from job where job.message = message.id and (job.state <> 'ended' or job.owed is not null or job.receipt = 1 \
             or job.rule_notice = 1)) \
             order by id limit $1",
        )
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(failed("looking for what has ended"))?;
        ids(&found)
    }

    /// Messages whose evidence was kept since before `cutoff`.
    pub async fn old_evidence(&self, cutoff: Timestamp, limit: usize) -> Result<Vec<MessageId>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar(
            "select evidence.message from evidence join message on message.id = evidence.message \
             where evidence.kept < $1 and message.erased is not null order by evidence.kept limit $2",
        )
        .bind(cutoff.millis())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(failed("looking for old evidence"))?;
        ids(&found)
    }

    /// Removes the files of bodies that no message refers to any more. Says how many there were.
    pub async fn remove_stray_bodies(&self) -> Result<usize, StoreError> {
        let inner = self.inner.clone();
        let files = tokio::task::spawn_blocking(move || inner.bodies.settled())
            .await
            .map_err(|_| StoreError::Unavailable("listing bodies was cut short".to_owned()))??;
        if files.is_empty() {
            return Ok(0);
        }
        let kept: Vec<String> = sqlx::query_scalar("select id from message where erased is null and body_at = 'file'")
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("listing bodies"))?;
        let kept: HashSet<MessageId> = ids(&kept)?.into_iter().collect();
        let mut removed = 0;
        for file in files.into_iter().filter(|file| !kept.contains(file)) {
            self.inner.bodies.remove(file)?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Destroys the epochs that are no longer written to, once what they still seal is wrapped anew. Gives their ids.
    pub async fn destroy_old_epochs(&self) -> Result<Vec<i64>, StoreError> {
        let mut connection = self.inner.readers.acquire().await.map_err(failed("reading the keys"))?;
        let epochs = read::epochs_kept(&mut connection).await?;
        drop(connection);
        let current = [self.vault().body_epoch(), self.vault().evidence_epoch()];
        let mut destroyed = Vec::new();
        for epoch in epochs {
            let over = match epoch.purpose {
                // A node that has not yet seen the newer epoch may write to this one for a while.
                Purpose::Body => self.clock().now().since(epoch.started) >= 2 * BODY_EPOCH,
                Purpose::Evidence => self.clock().now().since(epoch.started) >= 2 * EVIDENCE_EPOCH,
                Purpose::Index => false,
            };
            if over && !current.contains(&epoch.id) && self.destroy_epoch(epoch.id).await? {
                destroyed.push(epoch.id);
            }
        }
        Ok(destroyed)
    }

    async fn destroy_epoch(&self, epoch: i64) -> Result<bool, StoreError> {
        let Some(survivors) = self.survivors(epoch).await? else { return Ok(false) };
        let change = Change::DestroyEpoch { epoch, survivors };
        match self.commit(change, Actor::System, Event::EpochDestroyed { epoch }).await? {
            Commit::Committed(_) => {
                self.vault().drop_epoch(epoch);
                Ok(true)
            }
            // Evidence still needs it, or a job moved meanwhile: the next sweep tries again.
            Commit::Lost => Ok(false),
        }
    }

    /// What an epoch still seals, wrapped under the current one; nothing when it is too much for one commit.
    async fn survivors(&self, epoch: i64) -> Result<Option<Vec<Rewrapped>>, StoreError> {
        let found: Vec<String> =
            sqlx::query_scalar("select id from job where epoch = $1 and wrapped_key is not null order by id limit $2")
                .bind(epoch)
                .bind(MAX_SURVIVORS + 1)
                .fetch_all(&self.inner.readers)
                .await
                .map_err(failed("reading what an epoch seals"))?;
        if i64::try_from(found.len()).unwrap_or(i64::MAX) > MAX_SURVIVORS {
            return Ok(None);
        }
        let vault = self.vault();
        let current = vault.body_epoch();
        let mut survivors = Vec::with_capacity(found.len());
        for id in found {
            let id = id.parse().map_err(|_| StoreError::StrangeRow("id"))?;
            let Some(job) = self.job(id).await? else { continue };
            let (Some(envelope), Some(wrapped)) = (job.envelope, job.wrapped_key) else { continue };
            let key = vault.unwrap_body_key(epoch, id, &wrapped)?;
            let place = vault::envelope_place(id);
            let plain = vault.open_record(epoch, &place, &envelope)?;
            survivors.push(Rewrapped {
                job: id,
                epoch: current,
                envelope: vault.seal_record(current, &place, &plain)?,
                wrapped_key: vault.wrap_body_key(current, id, &key)?,
            });
        }
        Ok(Some(survivors))
    }

    /// Leaves nothing in the write-ahead log of what was deleted.
    pub async fn truncate_log(&self) -> Result<Truncated, StoreError> {
        self.inner.writer.truncate_log().await
    }

    async fn next_epoch_id(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar("select coalesce(max(id), 0) + 1 from epoch")
            .fetch_one(&self.inner.readers)
            .await
            .map_err(failed("reading the keys"))
    }
}

fn ids(found: &[String]) -> Result<Vec<MessageId>, StoreError> {
    found.iter().map(|id| id.parse().map_err(|_| StoreError::StrangeRow("message"))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::config;

    #[tokio::test]
    async fn after_a_rotation_whose_answer_was_lost_the_key_in_use_is_found_and_no_epoch_starts_under_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_000)));
        let database = config::Database { url: "sqlite".into(), body_file_bytes: 1 << 16 };
        let [old, new, third] = [(); 3].map(|()| Key::generate().unwrap());
        let open = |key: Key| {
            let clock: Arc<dyn Clock> = clock.clone();
            Store::open(&database, folder.path(), key, clock)
        };
        let store = open(old.clone()).await.unwrap();
        store.find_master(&new).await.unwrap();
        assert!(store.vault().is_master(&old));
        // All that is left of the rotation is what is on disk.
        let change = store.wrapped_anew(&new).await.unwrap();
        store.commit(change, Actor::System, Event::MasterKeyRotated).await.unwrap();
        clock.advance(BODY_EPOCH);
        assert_eq!(store.renew_epoch(Purpose::Body).await, Err(StoreError::WrongMasterKey));
        assert_eq!(store.find_master(&third).await, Err(StoreError::WrongMasterKey));
        store.find_master(&new).await.unwrap();
        assert!(store.vault().is_master(&new));
        store.renew_epoch(Purpose::Body).await.unwrap();
        store.close().await;
        open(new).await.unwrap().close().await;
    }
}
