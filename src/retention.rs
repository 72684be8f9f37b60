//! Ends what has lived its time: destroys keys and bodies, and says so in the audit log.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::audit::{Actor, Event};
use crate::clock::Timestamp;
use crate::config;
use crate::mail::MessageId;
use crate::store::{Change, Commit, Store, StoreError, Truncated};

/// Messages that are erased between two looks at what there is.
const BATCH: usize = 200;

/// What one sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub erased: usize,
    pub evidence_erased: usize,
    pub epochs_destroyed: usize,
    pub stray_bodies: usize,
}

/// Sweeps again and again until `drain`.
pub async fn run(store: Store, config: config::Retention, drain: CancellationToken) {
    let jumped = Arc::new(tokio::sync::Notify::new());
    let wake = jumped.clone();
    store.clock().on_jump(Box::new(move || wake.notify_one()));
    loop {
        let started = store.clock().now();
        if let Err(error) = sweep(&store, &config, started).await {
            tracing::error!(store.error = %error, "the sweep did not end");
        }
        loop {
            let rest = config.sweep.saturating_sub(store.clock().now().since(started));
            if rest.is_zero() {
                break;
            }
            tokio::select! {
                () = drain.cancelled() => return,
                () = jumped.notified() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
        if drain.is_cancelled() {
            return;
        }
    }
}

/// Erases bodies whose every recipient has got an end, and evidence past its years; then the keys over them.
pub async fn sweep(store: &Store, config: &config::Retention, now: Timestamp) -> Result<Swept, StoreError> {
    store.renew_epochs().await?;
    let mut swept = Swept { erased: erase_finished(store, now).await?, ..Swept::default() };
    swept.stray_bodies = store.remove_stray_bodies().await?;
    swept.evidence_erased = erase_evidence(store, now.minus(config.evidence)).await?;
    swept.epochs_destroyed = store.destroy_old_epochs().await?.len();
    // Every time: the log of an earlier sweep may have stayed because somebody was reading it.
    if store.truncate_log().await? == Truncated::ReadersInTheWay {
        tracing::warn!("a reader kept the write-ahead log from being cut; the next sweep tries again");
    }
    Ok(swept)
}

async fn erase_finished(store: &Store, now: Timestamp) -> Result<usize, StoreError> {
    let mut erased = 0;
    loop {
        let finished = store.finished_messages(BATCH).await?;
        let changes = finished
            .iter()
            .map(|message| (Change::Erase { message: *message, at: now }, Event::Erased { message: *message }));
        let done = commit_all(store, changes).await?;
        erased += done;
        if done == 0 {
            return Ok(erased);
        }
    }
}

async fn erase_evidence(store: &Store, cutoff: Timestamp) -> Result<usize, StoreError> {
    let mut erased = 0;
    loop {
        let old: Vec<MessageId> = store.old_evidence(cutoff, BATCH).await?;
        let changes = old
            .iter()
            .map(|message| (Change::EraseEvidence { message: *message }, Event::EvidenceErased { message: *message }));
        let done = commit_all(store, changes).await?;
        erased += done;
        if done == 0 {
            return Ok(erased);
        }
    }
}

/// Hands all changes to the writer at once, so that they share a commit. Says how many found what they expected.
async fn commit_all(store: &Store, changes: impl Iterator<Item = (Change, Event)>) -> Result<usize, StoreError> {
    let mut waiting = tokio::task::JoinSet::new();
    for (change, event) in changes {
        let store = store.clone();
        waiting.spawn(async move { store.commit(change, Actor::System, event).await });
    }
    let mut done = 0;
    for commit in waiting.join_all().await {
        match commit? {
            Commit::Committed(_) => done += 1,
            Commit::Lost => {}
        }
    }
    Ok(done)
}
