//! Takes jobs out of the queue, hands them to the next hop at or above their floor, and says how it went.

mod connection;
mod courier;
mod dial;
mod lanes;
mod pool;
mod report;
#[cfg(test)]
mod tests;
mod tls;
mod troubles;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::delivery::lanes::{Found, Lanes};
use crate::directory::Directory;
use crate::evidence::Evidence;
use crate::queue::{Job, Queue};

pub use connection::Link;
pub use courier::{Attempted, Consignment, Courier, Hop, NotReady, attempt};
pub use troubles::{Trouble, Troubles};

/// Jobs that are leased to us at once: under way, or waiting for their destination's turn.
const MAX_IN_HAND: usize = 4096;
/// Jobs that may wait before those of a destination that does not answer go back to the queue.
const MAX_WAITING: usize = MAX_IN_HAND / 2;
/// Jobs claimed at once.
const MAX_CLAIM: usize = 256;
/// How long transactions that are under way may still take once we drain.
const DRAIN_PATIENCE: Duration = Duration::from_secs(20);
const SWEEP: Duration = Duration::from_secs(5);

/// What a worker reads from and answers to.
#[derive(Clone, Debug)]
pub struct Desk {
    pub queue: Queue,
    pub evidence: Evidence,
    pub directory: Directory,
}

/// A job in our hands; dropping it makes room for the next.
#[derive(Debug)]
struct InHand {
    job: Job,
    /// When it was claimed, and its lease began.
    since: Instant,
    _room: OwnedSemaphorePermit,
}

/// Delivers until drained. A new courier, with the pool of a new config, takes over from the next batch on.
pub async fn run(desk: Desk, couriers: watch::Receiver<Arc<Courier>>, drain: CancellationToken) {
    let (hand_over, mut claimed) = mpsc::channel(1);
    let claiming = tokio::spawn(claim(desk.queue.clone(), hand_over, drain.clone()));
    let mut lanes = Lanes::default();
    let mut workers = JoinSet::new();
    let mut under_way: HashMap<Id, String> = HashMap::new();
    let mut sweep = tokio::time::interval(SWEEP);
    let mut latest = couriers.borrow().clone();
    loop {
        let courier = couriers.borrow().clone();
        if !Arc::ptr_eq(&courier, &latest) {
            let former = std::mem::replace(&mut latest, courier.clone());
            workers.spawn(async move {
                former.close().await;
                Found::Alive
            });
        }
        while let Some((lane, batch)) = lanes.next(courier.limits(), worker::travel_together) {
            let worker = workers.spawn(worker::work(desk.clone(), courier.clone(), batch));
            under_way.insert(worker.id(), lane);
        }
        tokio::select! {
            biased;
            () = drain.cancelled() => break,
            Some(done) = workers.join_next_with_id() => {
                let (worker, found) = ended(done);
                if let Some(lane) = under_way.remove(&worker) {
                    lanes.done(&lane, found);
                }
            }
            _ = sweep.tick() => {
                // In a task of its own: a peer that is slow to say goodbye must not keep others waiting.
                workers.spawn(async move { courier.sweep().await; Found::Alive });
            }
            Some(jobs) = claimed.recv() => {
                take_in(&mut lanes, jobs, &courier);
                if let Some(batch) = lanes.surplus(MAX_WAITING) {
                    workers.spawn(worker::put_off(desk.clone(), batch));
                }
            }
        }
    }
    // What only waited stays leased to this boot; the next boot voids the lease and delivers it.
    drop(claimed);
    finish(workers).await;
    latest.close().await;
    if claiming.await.is_err() {
        error!("claiming from the queue failed");
    }
}

fn take_in(lanes: &mut Lanes<InHand>, jobs: Vec<InHand>, courier: &Courier) {
    for in_hand in jobs {
        lanes.put(courier.destination(in_hand.job.recipient.domain()), in_hand);
    }
}

fn ended(done: Result<(Id, Found), JoinError>) -> (Id, Found) {
    done.unwrap_or_else(|failure| {
        error!(failure.panicked = failure.is_panic(), "a delivery worker failed");
        (failure.id(), Found::Dead)
    })
}

async fn finish(mut workers: JoinSet<Found>) {
    let under_way = workers.len();
    let all = async { while workers.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_PATIENCE, all).await.is_err() {
        info!(deliveries.cut = workers.len(), "deliveries that took too long were cut while draining");
        workers.shutdown().await;
    }
    info!(deliveries.finished = under_way, "delivery is drained");
}

/// Claims as many jobs as there is room for. In a task of its own, so that no claim is dropped half done.
async fn claim(queue: Queue, hand_over: mpsc::Sender<Vec<InHand>>, drain: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_IN_HAND));
    loop {
        let next = async {
            let Ok(first) = room.clone().acquire_owned().await else { return Vec::new() };
            let free = room.available_permits().saturating_add(1).min(MAX_CLAIM);
            let jobs = queue.claim(free).await;
            // Nobody else takes permits, so each job finds one: the first was kept for that.
            drop(first);
            let since = Instant::now();
            let held = jobs.into_iter().filter_map(|job| {
                let room = room.clone().try_acquire_owned().ok()?;
                Some(InHand { job, since, _room: room })
            });
            held.collect()
        };
        tokio::select! {
            () = drain.cancelled() => return,
            jobs = next => if hand_over.send(jobs).await.is_err() { return },
        }
    }
}
