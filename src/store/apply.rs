//! One small function for each statement that changes a row, and which of them a change is made of.

use std::collections::HashSet;

use sqlx::{AnyConnection, AssertSqlSafe};

use crate::clock::Timestamp;
use crate::mail::{JobId, MessageId};
use crate::store::change::{Word, methods_column, state_columns};
use crate::store::history;
use crate::store::insert::{AttemptOf, Holder, Inserts, rows_together, text};
use crate::store::{
    About, Change, ConfigText, Delay, DestinationSeen, Fence, Move, NewEpoch, NewMessage, OwedId, Rewrap, Rewrapped,
    Settlement,
};

/// Whether a change found what it expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Done,
    Lost,
}

/// What was changed ahead for a whole batch at once. Each is taken out by the change that asked for it.
pub(super) struct Ahead {
    /// Jobs, each under the fence that it stood under.
    settled: HashSet<(JobId, i64)>,
    erased: HashSet<MessageId>,
}

/// Lost after some rows were already changed: the transaction has to be rolled back, and the rest of its batch replayed.
const LOST_HALF_WAY: sqlx::Error = sqlx::Error::RowNotFound;

pub(super) async fn apply<'b>(
    connection: &mut AnyConnection,
    change: &'b Change,
    (ahead, inserts): (&mut Ahead, &mut Inserts<'b>),
) -> sqlx::Result<Applied> {
    match change {
        Change::Note => Ok(Applied::Done),
        Change::Accept(message) => accept(connection, message, inserts).await,
        Change::Settle(settlement) => keep_outcome(connection, settlement, (ahead, inserts)).await,
        Change::Move(moved) => move_job(connection, moved).await,
        Change::ConfigLoaded(text) => keep_config(connection, text).await,
        Change::Erase { message, at: _ } => Ok(found(u64::from(ahead.erased.remove(message)))),
        Change::EraseEvidence { message } => erase_evidence(connection, *message).await,
        Change::StartEpoch(epoch) => start_epoch(connection, epoch).await,
        Change::DestroyEpoch { epoch, survivors } => destroy_epoch(connection, *epoch, survivors).await,
        Change::RotateMaster { epochs, nodes } => rotate_master(connection, epochs, nodes).await,
    }
}

async fn accept<'b>(
    connection: &mut AnyConnection,
    message: &'b NewMessage,
    inserts: &mut Inserts<'b>,
) -> sqlx::Result<Applied> {
    if let Some(owed) = &message.settles
        && clear_owed(connection, owed).await? == 0
    {
        return Ok(Applied::Lost);
    }
    inserts.accept(message);
    Ok(Applied::Done)
}

async fn clear_owed(connection: &mut AnyConnection, owed: &OwedId) -> sqlx::Result<u64> {
    let cleared = match owed.about {
        // It is not forgotten that the sender was told.
        About::Taken => {
            sqlx::query("update job set receipt = 2 where id = $1 and receipt = 1").bind(owed.job.to_string())
        }
        About::Matched => {
            sqlx::query("update job set rule_notice = 0 where id = $1 and rule_notice = 1").bind(owed.job.to_string())
        }
        about => sqlx::query("update job set owed = null where id = $1 and owed = $2")
            .bind(owed.job.to_string())
            .bind(about.word()),
    };
    Ok(cleared.execute(connection).await?.rows_affected())
}

/// Makes those changes of a batch that come in numbers, many rows to a statement.
pub(super) async fn apply_ahead<'b>(
    connection: &mut AnyConnection,
    changes: impl Iterator<Item = &'b Change>,
) -> sqlx::Result<Ahead> {
    let (mut settlements, mut finished) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Settle(settlement) => settlements.push(&**settlement),
            Change::Erase { message, at } => finished.push((*message, *at)),
            Change::Note
            | Change::Accept(_)
            | Change::Move(_)
            | Change::ConfigLoaded(_)
            | Change::EraseEvidence { .. }
            | Change::StartEpoch(_)
            | Change::DestroyEpoch { .. }
            | Change::RotateMaster { .. } => {}
        }
    }
    Ok(Ahead { settled: settle(connection, settlements).await?, erased: erase(connection, finished).await? })
}

/// Settles jobs, and gives those that stood under their fence.
async fn settle(connection: &mut AnyConnection, mut all: Vec<&Settlement>) -> sqlx::Result<HashSet<(JobId, i64)>> {
    // Twice the same in one statement would be one change of the row, and two events.
    let mut known = HashSet::with_capacity(all.len());
    all.retain(|settlement| known.insert((settlement.job, settlement.fence.0)));
    let mut settled = HashSet::with_capacity(all.len());
    let mut rest = all.as_slice();
    while !rest.is_empty() {
        let (some, others) = rest.split_at(rows_together(rest.len()));
        settled.extend(settle_jobs(connection, some).await?);
        rest = others;
    }
    Ok(settled)
}

async fn settle_jobs(connection: &mut AnyConnection, some: &[&Settlement]) -> sqlx::Result<Vec<(JobId, i64)>> {
    let outcomes = "with outcome (job, held, methods, state, cause, ended_as, due, expires, attempts, floor_since, \
                    delay_told, unanswered, owed, moved) as (";
    // A delay that is still to be told stays owed while the job waits on, and is overtaken by the job's end.
    let update = ") update job set methods = outcome.methods, state = outcome.state, cause = outcome.cause, \
                  ended_as = outcome.ended_as, due = outcome.due, wake = outcome.due, expires = outcome.expires, \
                  attempts = outcome.attempts, floor_since = outcome.floor_since, delay_told = outcome.delay_told, \
                  unanswered = outcome.unanswered, owed = case when outcome.state = 'queued' then coalesce(outcome.owed, job.owed) \
                  else outcome.owed end, moved = outcome.moved, lease_node = '', fence = fence + 1 \
                  from outcome where job.id = outcome.job and job.fence = outcome.held and job.state = 'queued' \
                  returning job.id, job.fence - 1";
    let text = text(outcomes, 14, some.len()) + update;
    let mut statement = sqlx::query_as(AssertSqlSafe(text));
    for Settlement { job, fence, next, at, .. } in some {
        let (state, cause, ended_as, due) = state_columns(&next.state);
        statement = statement
            .bind(job.to_string())
            .bind(fence.0)
            .bind(methods_column(&next.methods))
            .bind(state)
            .bind(cause)
            .bind(ended_as)
            .bind(due)
            .bind(next.expires.millis())
            .bind(i64::from(next.attempts))
            .bind(next.floor_since.map(Timestamp::millis))
            .bind(delay_column(next.delay))
            .bind(i64::from(next.unanswered))
            .bind(next.owed.map(Word::word))
            .bind(at.millis());
    }
    let found: Vec<(String, i64)> = statement.fetch_all(connection).await?;
    let id = |text: String| text.parse().map_err(|_| sqlx::Error::Decode("a job's id".into()));
    found.into_iter().map(|(job, fence)| Ok((id(job)?, fence))).collect()
}

async fn keep_outcome<'b>(
    connection: &mut AnyConnection,
    settlement: &'b Settlement,
    (ahead, inserts): (&mut Ahead, &mut Inserts<'b>),
) -> sqlx::Result<Applied> {
    if !ahead.settled.remove(&(settlement.job, settlement.fence.0)) {
        return Ok(Applied::Lost);
    }
    if let Some(sealed) = &settlement.attempt {
        inserts.attempt(AttemptOf {
            message: settlement.message,
            job: settlement.job,
            number: settlement.next.attempts,
            at: settlement.at.millis(),
            sealed,
        });
    }
    if let Some(written) = &settlement.written {
        inserts.written(written, settlement.at.millis());
    }
    if let Some(seen) = &settlement.seen {
        remember_destination(connection, seen).await?;
    }
    Ok(Applied::Done)
}

/// Moves a job that nobody is delivering at this moment: what is on the wire cannot be called back.
async fn move_job(connection: &mut AnyConnection, moved: &Move) -> sqlx::Result<Applied> {
    let next = &moved.next;
    let (state, cause, ended_as, due) = state_columns(&next.state);
    let done = sqlx::query(
        "update job set methods = $1, state = $2, cause = $3, ended_as = $4, due = $5, wake = $6, expires = $7, \
         floor_since = $8, unanswered = $9, owed = $10, moved = $11, lease_node = '', fence = fence + 1 \
         where id = $12 and fence = $13 and state <> 'ended' and (lease_node = '' or wake <= $14)",
    )
    .bind(methods_column(&next.methods))
    .bind(state)
    .bind(cause)
    .bind(ended_as)
    .bind(due)
    .bind(due)
    .bind(next.expires.millis())
    .bind(next.floor_since.map(Timestamp::millis))
    .bind(i64::from(next.unanswered))
    .bind(next.owed.map(Word::word))
    .bind(moved.at.millis())
    .bind(moved.job.to_string())
    .bind(moved.fence.0)
    .bind(moved.at.millis())
    .execute(connection)
    .await?;
    Ok(found(done.rows_affected()))
}

/// Undoes a claim, without an attempt being counted: the job is as due as it was.
pub(super) async fn give_back(connection: &mut AnyConnection, job: JobId, fence: Fence) -> sqlx::Result<u64> {
    let given = sqlx::query(
        "update job set wake = due, lease_node = '', fence = fence + 1 \
         where id = $1 and fence = $2 and state = 'queued'",
    )
    .bind(job.to_string())
    .bind(fence.0)
    .execute(connection)
    .await?;
    Ok(given.rows_affected())
}

/// Lengthens a lease that is still held.
pub(super) async fn renew(
    connection: &mut AnyConnection,
    (job, fence): (JobId, Fence),
    until: Timestamp,
) -> sqlx::Result<Applied> {
    let renewed = sqlx::query("update job set wake = $1 where id = $2 and fence = $3 and state = 'queued'")
        .bind(until.millis())
        .bind(job.to_string())
        .bind(fence.0)
        .execute(connection)
        .await?;
    Ok(found(renewed.rows_affected()))
}

/// Writes this node's row as it is.
pub(super) async fn write_again(connection: &mut AnyConnection, holder: Holder<'_>) -> sqlx::Result<u64> {
    let written = sqlx::query("update node set boot = $1 where id = $2 and boot = $1")
        .bind(holder.boot)
        .bind(holder.node.to_owned())
        .execute(connection)
        .await?;
    Ok(written.rows_affected())
}

async fn remember_destination(connection: &mut AnyConnection, seen: &DestinationSeen) -> sqlx::Result<u64> {
    let known = serde_json::to_string(&seen.now).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let remembered = sqlx::query(
        "insert into destination (domain, known) values ($1, $2) \
         on conflict (domain) do update set known = excluded.known",
    )
    .bind(seen.domain.as_str().to_owned())
    .bind(known)
    .execute(connection)
    .await?;
    Ok(remembered.rows_affected())
}

async fn keep_config(connection: &mut AnyConnection, text: &ConfigText) -> sqlx::Result<Applied> {
    // The same config may be loaded again: its text is there already, and the event stands for itself.
    sqlx::query(
        "insert into config_text (digest, epoch, sealed, loaded) values ($1, $2, $3, $4) \
         on conflict (digest) do update set epoch = excluded.epoch, sealed = excluded.sealed",
    )
    .bind(text.digest.as_bytes().to_vec())
    .bind(text.epoch)
    .bind(text.sealed.clone())
    .bind(text.at.millis())
    .execute(connection)
    .await?;
    Ok(Applied::Done)
}

/// Erases messages, and gives those of which nothing was still to come.
async fn erase(connection: &mut AnyConnection, all: Vec<(MessageId, Timestamp)>) -> sqlx::Result<HashSet<MessageId>> {
    let mut erased = HashSet::with_capacity(all.len());
    let mut rest = all.as_slice();
    while !rest.is_empty() {
        let (some, others) = rest.split_at(rows_together(rest.len()));
        let marked = mark_erased(connection, some).await?;
        erased.extend(marked);
        rest = others;
    }
    let ids: Vec<MessageId> = erased.iter().copied().collect();
    let mut rest = ids.as_slice();
    while !rest.is_empty() {
        let (some, others) = rest.split_at(rows_together(rest.len()));
        forget_keys(connection, some).await?;
        delete_bodies(connection, some).await?;
        rest = others;
    }
    Ok(erased)
}

async fn mark_erased(connection: &mut AnyConnection, some: &[(MessageId, Timestamp)]) -> sqlx::Result<Vec<MessageId>> {
    let finished = text("with finished (id, at) as (", 2, some.len())
        + ") update message set erased = finished.at from finished \
           where message.id = finished.id and message.erased is null and not exists (select 1 from job \
           where job.message = message.id and (job.state <> 'ended' or job.owed is not null or job.receipt = 1 \
           or job.rule_notice = 1)) returning message.id";
    let mut statement = sqlx::query_scalar(AssertSqlSafe(finished));
    for (message, at) in some {
        statement = statement.bind(message.to_string()).bind(at.millis());
    }
    let marked: Vec<String> = statement.fetch_all(connection).await?;
    let id = |text: String| text.parse().map_err(|_| sqlx::Error::Decode("a message's id".into()));
    marked.into_iter().map(id).collect()
}

async fn forget_keys(connection: &mut AnyConnection, some: &[MessageId]) -> sqlx::Result<()> {
    let of = "update job set wrapped_key = null, envelope = null where message in (";
    each(connection, text(of, 1, some.len()) + ")", some).await
}

async fn delete_bodies(connection: &mut AnyConnection, some: &[MessageId]) -> sqlx::Result<()> {
    each(connection, text("delete from body where message in (", 1, some.len()) + ")", some).await
}

async fn each(connection: &mut AnyConnection, statement: String, some: &[MessageId]) -> sqlx::Result<()> {
    let mut statement = sqlx::query(AssertSqlSafe(statement));
    for message in some {
        statement = statement.bind(message.to_string());
    }
    statement.execute(connection).await?;
    Ok(())
}

async fn erase_evidence(connection: &mut AnyConnection, message: MessageId) -> sqlx::Result<Applied> {
    let erased: Option<String> = sqlx::query_scalar("select id from message where id = $1 and erased is not null")
        .bind(message.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    if erased.is_none() {
        return Ok(Applied::Lost);
    }
    for statement in [
        "delete from attempt where message = $1",
        "delete from person where message = $1",
        "delete from evidence where message = $1",
        "delete from job where message = $1",
        "delete from message where id = $1",
    ] {
        sqlx::query(statement).bind(message.to_string()).execute(&mut *connection).await?;
    }
    Ok(Applied::Done)
}

async fn start_epoch(connection: &mut AnyConnection, epoch: &NewEpoch) -> sqlx::Result<Applied> {
    // One starts every day, which is often enough to forget.
    history::forget(connection, epoch.started, history::MOST).await?;
    let started = sqlx::query(
        "insert into epoch (id, purpose, wrapped, started) values ($1, $2, $3, $4) on conflict (id) do nothing",
    )
    .bind(epoch.id)
    .bind(epoch.purpose.word())
    .bind(epoch.wrapped.clone())
    .bind(epoch.started.millis())
    .execute(connection)
    .await?;
    Ok(found(started.rows_affected()))
}

async fn destroy_epoch(connection: &mut AnyConnection, epoch: i64, survivors: &[Rewrapped]) -> sqlx::Result<Applied> {
    for survivor in survivors {
        if move_seals(connection, survivor, epoch).await? == 0 {
            return Err(LOST_HALF_WAY);
        }
    }
    if delete_epoch(connection, epoch).await? == 0 {
        return Err(LOST_HALF_WAY);
    }
    Ok(Applied::Done)
}

async fn move_seals(connection: &mut AnyConnection, survivor: &Rewrapped, old: i64) -> sqlx::Result<u64> {
    let moved = sqlx::query(
        "update job set epoch = $1, envelope = $2, wrapped_key = $3 \
         where id = $4 and epoch = $5 and wrapped_key is not null",
    )
    .bind(survivor.epoch)
    .bind(survivor.envelope.clone())
    .bind(survivor.wrapped_key.clone())
    .bind(survivor.job.to_string())
    .bind(old)
    .execute(connection)
    .await?;
    Ok(moved.rows_affected())
}

async fn delete_epoch(connection: &mut AnyConnection, epoch: i64) -> sqlx::Result<u64> {
    let deleted = sqlx::query(
        "delete from epoch where id = $1 \
         and not exists (select 1 from job where job.epoch = $1 and job.wrapped_key is not null) \
         and not exists (select 1 from evidence where evidence.epoch = $1) \
         and not exists (select 1 from attempt where attempt.epoch = $1) \
         and not exists (select 1 from config_text where config_text.epoch = $1)",
    )
    .bind(epoch)
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

async fn rotate_master(connection: &mut AnyConnection, epochs: &[Rewrap], nodes: &[Rewrap]) -> sqlx::Result<Applied> {
    for (statement, rewraps) in [
        ("update epoch set wrapped = $1 where cast(id as text) = $2 and wrapped = $3", epochs),
        ("update node set seed = $1 where id = $2 and seed = $3", nodes),
    ] {
        for Rewrap { row, old, new } in rewraps {
            let wrapped = sqlx::query(statement).bind(new.clone()).bind(row.clone()).bind(old.clone());
            if wrapped.execute(&mut *connection).await?.rows_affected() == 0 {
                return Err(LOST_HALF_WAY);
            }
        }
    }
    // A key that came in meanwhile would stay under the old master key, which is about to be thrown away.
    for (question, rewraps) in [("select count(*) from epoch", epochs), ("select count(*) from node", nodes)] {
        let count: i64 = sqlx::query_scalar(question).fetch_one(&mut *connection).await?;
        if usize::try_from(count) != Ok(rewraps.len()) {
            return Err(LOST_HALF_WAY);
        }
    }
    Ok(Applied::Done)
}

fn found(rows: u64) -> Applied {
    if rows == 0 { Applied::Lost } else { Applied::Done }
}

fn delay_column(delay: Delay) -> i64 {
    match delay {
        Delay::Untold => 0,
        Delay::Told => 1,
    }
}
