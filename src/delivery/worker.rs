//! One batch, from the queue's content to the queue's settlement.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::task::JoinSet;
use tracing::{error, info};

use crate::delivery::courier::{Attempted, Consignment, Courier, Hop, attempt};
use crate::delivery::lanes::Found;
use crate::delivery::{Desk, InHand, report};
use crate::mail::{Address, Asked, Assurance, Content, Domain, Message, Method, RequireTls};
use crate::queue::{Job, Outcome};
use crate::smtp::client::{Answer, Means, Stage};
use crate::store::{Destination, DestinationSeen, StoreError};

/// The part of its lease that a job may spend waiting in its lane: a quarter. An attempt may take two thirds.
const WAIT_OF_LEASE: u32 = 4;

/// Whether two jobs can share a transaction: one message, one domain, one way.
pub(super) fn travel_together(one: &InHand, other: &InHand) -> bool {
    one.job.message == other.job.message
        && one.job.method == other.job.method
        && one.job.content == other.job.content
        && one.job.recipient.domain() == other.job.recipient.domain()
}

/// Attempts a batch and settles each of its jobs. What cannot be read or settled now is left to its lease.
pub(super) async fn work(desk: Desk, courier: Arc<Courier>, mut batch: Vec<InHand>) -> Found {
    // What waited for its turn too long may be somebody else's before we are done: its lease brings it back.
    let patience = courier.config.queue.lease / WAIT_OF_LEASE;
    if tokio::time::timeout(patience, desk.queue.ready_to_settle()).await.is_err() {
        return Found::Alive;
    }
    batch.retain(|in_hand| in_hand.since.elapsed() < patience);
    let Some(first) = batch.first() else { return Found::Alive };
    let message = match desk.queue.content(&first.job).await {
        Ok(message) => message,
        Err(failure) => {
            error!(message.id = %first.job.message, error = %failure, "the content of a message cannot be read now");
            return Found::Alive;
        }
    };
    // Bounded: each turn but the last has handed the message over for somebody.
    loop {
        let Some(first) = batch.first() else { return Found::Alive };
        let consignment = consignment(&batch, &first.job, message.clone());
        // Without its memory a stranger could not be told from the usual host, so nothing is sent.
        let known = match remembered(&desk, &courier, &consignment.domain).await {
            Ok(known) => known,
            Err(failure) => {
                error!(message.id = %first.job.message, error = %failure, "what is known of a destination cannot be read now");
                return Found::Alive;
            }
        };
        let mut attempted = attempt(&courier, &consignment, known.as_ref()).await;
        let found = found(&attempted.answers);
        let waiting = without_room(&mut batch, &mut attempted);
        settle(&desk, std::mem::replace(&mut batch, waiting), attempted).await;
        let late;
        (batch, late) = batch.into_iter().partition(|in_hand| in_hand.since.elapsed() < patience);
        give_back(&desk, late).await;
        if batch.is_empty() {
            return found;
        }
    }
}

/// Takes out of the batch whom the transaction had no room for, when it took the message for others. The answers fit
/// those who stay.
fn without_room(batch: &mut Vec<InHand>, attempted: &mut Attempted) -> Vec<InHand> {
    if !attempted.answers.iter().any(|answer| answer.means == Means::Taken) {
        return Vec::new();
    }
    let mut waiting = Vec::new();
    for at in (0..batch.len().min(attempted.answers.len())).rev() {
        if attempted.answers[at].means == Means::Again {
            attempted.answers.remove(at);
            waiting.insert(0, batch.remove(at));
        }
    }
    waiting
}

/// Whose turn did not come in time is claimed again at once, and no attempt is counted.
async fn give_back(desk: &Desk, late: Vec<InHand>) {
    if late.is_empty() {
        return;
    }
    let (jobs, _rooms): (Vec<_>, Vec<_>) = late.into_iter().map(|in_hand| (in_hand.job, in_hand._room)).unzip();
    if let Err(failure) = desk.queue.give_back(jobs).await {
        // Left to their leases.
        error!(error = %failure, "jobs cannot be given back");
    }
}

/// What is known of a domain. Where an operator has set the way, nothing that was seen on another one counts.
async fn remembered(desk: &Desk, courier: &Courier, domain: &Domain) -> Result<Option<Destination>, StoreError> {
    match courier.route(domain) {
        Some(_) => Ok(None),
        None => desk.directory.remembered(domain).await,
    }
}

/// Gives jobs back that were not tried, since their destination does not answer and others need the room.
pub(super) async fn put_off(desk: Desk, batch: Vec<InHand>) -> Found {
    let words = "not tried: the destination does not answer, and too much is waiting for it";
    let answers = vec![Answer::ours(Stage::Connect, Means::Later, words); batch.len()];
    let attempted = Attempted { answers, hops: vec![Hop::default(); batch.len()], seen: None, took: Duration::ZERO };
    settle(&desk, batch, attempted).await;
    Found::Dead
}

fn consignment(batch: &[InHand], first: &Job, message: Message) -> Consignment {
    let recipients: Vec<Address> = batch.iter().map(|in_hand| in_hand.job.recipient.clone()).collect();
    Consignment {
        sender: first.sender.clone(),
        domain: first.recipient.domain().clone(),
        recipients,
        wishes: batch.iter().map(|in_hand| in_hand.job.wishes.clone()).collect(),
        asked: asked(first),
        utf8: first.utf8,
        method: first.method,
        content: first.content,
        message,
    }
}

/// RFC 8689 §5: a report that holds nothing of the message may also go where nobody promises TLS. It is first tried where
/// somebody does; the last method of a notice is the one for everywhere else.
fn asked(job: &Job) -> Asked {
    let fallback = job.content == Content::Notice && job.method == Method::Tls(Assurance::Encrypted);
    let require_tls = match job.asked.require_tls {
        RequireTls::Yes if fallback => RequireTls::IfOffered,
        wish => wish,
    };
    Asked { require_tls, ..job.asked.clone() }
}

fn found(answers: &[Answer]) -> Found {
    let unreached = |answer: &Answer| answer.means == Means::Later && answer.stage <= Stage::Greeting;
    if answers.iter().all(unreached) { Found::Dead } else { Found::Alive }
}

async fn settle(desk: &Desk, batch: Vec<InHand>, attempted: Attempted) {
    let took_ms = u64::try_from(attempted.took.as_millis()).unwrap_or(u64::MAX);
    histogram!("sealpost_delivery_seconds").record(attempted.took.as_secs_f64());
    let mut seen = attempted.seen;
    // All at once, so that they share a commit.
    let mut settling = JoinSet::new();
    for (in_hand, (answer, hop)) in batch.into_iter().zip(attempted.answers.into_iter().zip(attempted.hops)) {
        let job = in_hand.job;
        let result = report::result(answer.means);
        counter!("sealpost_delivery_attempts_total", "result" => result).increment(1);
        info!(
            message.id = %job.message,
            job.id = %job.id,
            method = %job.method,
            recipient.domain = %job.recipient.domain(),
            mx.host = hop.host,
            stage = answer.stage.name(),
            reply.code = answer.reply.as_ref().map(|reply| reply.code.value()),
            took.ms = took_ms,
            "attempt {}: {result}", job.number
        );
        let record = report::record(job.method, &hop, &answer, took_ms);
        let sealed = desk.evidence.seal_attempt(job.id, job.number, &record);
        let evidence = match sealed {
            Ok(sealed) => Some(sealed),
            Err(failure) => {
                // Left to its lease: an attempt without evidence would be one that nobody can prove.
                error!(message.id = %job.message, job.id = %job.id, error = %failure, "an attempt cannot be sealed");
                continue;
            }
        };
        let (message, id) = (job.message, job.id);
        let seen = seen.take().map(|now| DestinationSeen { domain: job.recipient.domain().clone(), now });
        let outcome = Outcome { progress: report::progress(&answer), evidence, seen };
        let queue = desk.queue.clone();
        settling.spawn(async move {
            if let Err(failure) = queue.settle(job, outcome).await {
                error!(message.id = %message, job.id = %id, error = %failure, "an attempt cannot be settled");
            }
        });
    }
    while let Some(settled) = settling.join_next().await {
        if let Err(failure) = settled {
            error!(failure.panicked = failure.is_panic(), "settling an attempt failed");
        }
    }
}
