//! New rows of a whole batch: gathered while its changes are applied, written many to a statement.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe};

use crate::audit::Entry;
use crate::mail::{JobId, MessageId};
use crate::store::change::{Word, methods_column, state_columns};
use crate::store::history::count_written;
use crate::store::{Body, NewJob, NewMessage, SealedAttempt, SealedEvidence, Written};

/// Rows in one statement are a power of two up to this, so that few statements are prepared once and used again.
const MOST_ROWS: usize = 32;

type Statement<'q> = Query<'q, Any, AnyArguments>;

/// What a batch adds.
#[derive(Default)]
pub(super) struct Inserts<'b> {
    messages: Vec<&'b NewMessage>,
    bodies: Vec<(MessageId, &'b [u8])>,
    jobs: Vec<(&'b NewMessage, &'b NewJob)>,
    evidence: Vec<(&'b NewMessage, &'b SealedEvidence)>,
    people: Vec<(MessageId, &'b [u8])>,
    attempts: Vec<AttemptOf<'b>>,
    events: Vec<(Entry, Option<MessageId>)>,
    written: Vec<(&'b Written, i64)>,
}

pub(super) struct AttemptOf<'b> {
    pub(super) message: MessageId,
    pub(super) job: JobId,
    pub(super) number: u32,
    pub(super) at: i64,
    pub(super) sealed: &'b SealedAttempt,
}

/// Whose lease the jobs start under, when they do.
#[derive(Clone, Copy)]
pub(super) struct Holder<'h> {
    pub(super) node: &'h str,
    pub(super) boot: i64,
}

impl<'b> Inserts<'b> {
    pub(super) fn accept(&mut self, message: &'b NewMessage) {
        self.messages.push(message);
        if let Body::Row(sealed) = &message.body {
            self.bodies.push((message.id, sealed));
        }
        self.jobs.extend(message.jobs.iter().map(|job| (message, job)));
        self.evidence.push((message, &message.evidence));
        let mut people: Vec<_> = message.evidence.people.iter().collect();
        people.sort_unstable();
        people.dedup();
        self.people.extend(people.into_iter().map(|person| (message.id, person.as_bytes())));
    }

    pub(super) fn attempt(&mut self, attempt: AttemptOf<'b>) {
        self.attempts.push(attempt);
    }

    pub(super) fn written(&mut self, written: &'b Written, at: i64) {
        self.written.push((written, at));
    }

    pub(super) fn event(&mut self, entry: Entry, message: Option<MessageId>) {
        self.events.push((entry, message));
    }

    pub(super) async fn write(&self, connection: &mut AnyConnection, holder: Holder<'_>) -> sqlx::Result<()> {
        insert_messages(connection, &self.messages).await?;
        insert_bodies(connection, &self.bodies).await?;
        insert_jobs(connection, &self.jobs, holder).await?;
        insert_evidence(connection, &self.evidence).await?;
        insert_people(connection, &self.people).await?;
        insert_attempts(connection, &self.attempts).await?;
        count_written(connection, &self.written).await?;
        insert_events(connection, &self.events).await
    }
}

async fn insert_messages(connection: &mut AnyConnection, rows: &[&NewMessage]) -> sqlx::Result<()> {
    let into = "insert into message (id, accepted, bytes, jobs, content, client, body_at)";
    insert(connection, (into, 7), rows, |statement, message| {
        let body_at = match message.body {
            Body::Row(_) => "row",
            Body::File => "file",
        };
        statement
            .bind(message.id.to_string())
            .bind(message.accepted.millis())
            .bind(i64::try_from(message.bytes).unwrap_or(i64::MAX))
            .bind(i64::try_from(message.jobs.len()).unwrap_or(i64::MAX))
            .bind(message.content.word())
            .bind(message.client.as_ref().map(|client| client.0.clone()))
            .bind(body_at)
    })
    .await
}

async fn insert_bodies(connection: &mut AnyConnection, rows: &[(MessageId, &[u8])]) -> sqlx::Result<()> {
    let into = "insert into body (message, sealed)";
    insert(connection, (into, 2), rows, |statement, (message, sealed)| {
        statement.bind(message.to_string()).bind(sealed.to_vec())
    })
    .await
}

async fn insert_jobs(
    connection: &mut AnyConnection,
    rows: &[(&NewMessage, &NewJob)],
    holder: Holder<'_>,
) -> sqlx::Result<()> {
    let into = "insert into job (id, message, accepted, content, owes, client, domain, epoch, envelope, wrapped_key, \
                methods, last, state, cause, ended_as, due, wake, expires, attempts, delay_told, \
                lease_node, lease_boot, fence, owed, moved, receipt, rule_notice)";
    insert(connection, (into, 27), rows, |statement, (message, job)| {
        let is_first = message.jobs.first().is_some_and(|first| first.id == job.id);
        let standing = &job.standing;
        let (state, cause, ended_as, due) = state_columns(&standing.state);
        let (node, boot, wake) = match job.leased {
            Some(until) => (holder.node, holder.boot, until.millis()),
            None => ("", 0, due),
        };
        statement
            .bind(job.id.to_string())
            .bind(message.id.to_string())
            .bind(message.accepted.millis())
            .bind(message.content.word())
            .bind(job.owes.word())
            .bind(message.client.as_ref().map(|client| client.0.clone()))
            .bind(job.domain.as_str().to_owned())
            .bind(job.epoch)
            .bind(job.envelope.clone())
            .bind(job.wrapped_key.clone())
            .bind(methods_column(&standing.methods))
            .bind(standing.last.word())
            .bind(state)
            .bind(cause)
            .bind(ended_as)
            .bind(due)
            .bind(wake)
            .bind(standing.expires.millis())
            .bind(i64::from(standing.attempts))
            .bind(0_i64)
            .bind(node.to_owned())
            .bind(boot)
            .bind(0_i64)
            .bind(standing.owed.map(Word::word))
            .bind(message.accepted.millis())
            .bind(i64::from(is_first && message.tell.sender()))
            .bind(i64::from(is_first && message.tell.named()))
    })
    .await
}

async fn insert_evidence(connection: &mut AnyConnection, rows: &[(&NewMessage, &SealedEvidence)]) -> sqlx::Result<()> {
    let into = "insert into evidence (message, epoch, sealed, commitment, message_id, content, kept, likeness)";
    insert(connection, (into, 8), rows, |statement, (message, evidence)| {
        statement
            .bind(message.id.to_string())
            .bind(evidence.epoch)
            .bind(evidence.sealed.clone())
            .bind(evidence.commitment.as_bytes().to_vec())
            .bind(evidence.message_id.map(|digest| digest.as_bytes().to_vec()))
            .bind(evidence.content.as_bytes().to_vec())
            .bind(message.accepted.millis())
            .bind(evidence.likeness.map(|digest| digest.as_bytes().to_vec()))
    })
    .await
}

async fn insert_people(connection: &mut AnyConnection, rows: &[(MessageId, &[u8])]) -> sqlx::Result<()> {
    let into = "insert into person (message, hash)";
    insert(connection, (into, 2), rows, |statement, (message, hash)| {
        statement.bind(message.to_string()).bind(hash.to_vec())
    })
    .await
}

async fn insert_attempts(connection: &mut AnyConnection, rows: &[AttemptOf<'_>]) -> sqlx::Result<()> {
    let into = "insert into attempt (job, number, message, at, epoch, sealed, commitment)";
    insert(connection, (into, 7), rows, |statement, attempt| {
        statement
            .bind(attempt.job.to_string())
            .bind(i64::from(attempt.number))
            .bind(attempt.message.to_string())
            .bind(attempt.at)
            .bind(attempt.sealed.epoch)
            .bind(attempt.sealed.sealed.clone())
            .bind(attempt.sealed.commitment.as_bytes().to_vec())
    })
    .await
}

async fn insert_events(connection: &mut AnyConnection, rows: &[(Entry, Option<MessageId>)]) -> sqlx::Result<()> {
    let into = "insert into event (node, seq, time, actor, event, hash, message)";
    insert(connection, (into, 7), rows, |statement, (entry, message)| {
        statement
            .bind(entry.row.node.0.clone())
            .bind(entry.row.seq)
            .bind(entry.row.time.clone())
            .bind(entry.row.actor.clone())
            .bind(entry.row.event.clone())
            .bind(entry.hash.as_bytes().to_vec())
            .bind(message.map(|id| id.to_string()))
    })
    .await
}

/// Writes the rows in chunks; `into` is the head of the statement and how many columns it names.
async fn insert<T>(
    connection: &mut AnyConnection,
    (into, columns): (&str, usize),
    mut rows: &[T],
    bind: impl for<'q> Fn(Statement<'q>, &T) -> Statement<'q>,
) -> sqlx::Result<()> {
    while !rows.is_empty() {
        let (chunk, rest) = rows.split_at(rows_together(rows.len()));
        let mut statement = sqlx::query(AssertSqlSafe(text(into, columns, chunk.len())));
        for row in chunk {
            statement = bind(statement, row);
        }
        statement.execute(&mut *connection).await?;
        rows = rest;
    }
    Ok(())
}

/// How many of so many rows, at least one, go into the next statement.
pub(super) fn rows_together(rows: usize) -> usize {
    1 << rows.clamp(1, MOST_ROWS).ilog2()
}

/// `into values ($1, $2), ($3, $4)`: only our own words and numbers.
pub(super) fn text(into: &str, columns: usize, rows: usize) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(into.len() + rows * columns * 6);
    text.push_str(into);
    text.push_str(" values ");
    for place in 0..rows * columns {
        let before = match (place, place % columns) {
            (0, _) => "(",
            (_, 0) => "), (",
            (_, _) => ", ",
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "{before}${}", place + 1);
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_share_one_statement() {
        assert_eq!(text("insert into a (b, c)", 2, 2), "insert into a (b, c) values ($1, $2), ($3, $4)");
        assert_eq!(text("insert into a (b)", 1, 1), "insert into a (b) values ($1)");
    }
}
