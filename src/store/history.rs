//! To whom a client has written, and what was like a message before it. Every question is about few rows, by an index.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::clock::Timestamp;
use crate::crypto::Digest;
use crate::mail::{Address, ClientName, Domain, MessageId};
use crate::store::insert::{rows_together, text};
use crate::store::jobs::column;
use crate::store::{Store, StoreError, failed};

/// How long it is remembered to whom a client has written, behind the last time.
const REMEMBERED_MILLIS: i64 = 730 * 24 * 60 * 60 * 1000;

/// What is remembered of each client at most, once a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) people: i64,
    pub(super) domains: i64,
}

pub(super) const MOST: Most = Most { people: 100_000, domains: 10_000 };

/// How long a message is compared with others, as `duplicate_window` at most.
const COMPARED_MILLIS: i64 = 7 * 24 * 60 * 60 * 1000;

const DOMAINS: &str = "select domain, times from written_domain where client = $1 order by times desc, domain limit $2";
const ALIKE: &str = "select message, kept from evidence where likeness = $1 and kept >= $2 order by kept desc limit 1";
const SENT: &str = "select count(*) from (select 1 from person join message on message.id = person.message \
                    where person.hash = $1 and person.message >= $2 and message.client = $3 limit $4) as counted";
const PEOPLE: &str = "select hash from person where message = $1 limit $2";
const FORGET_LIKENESS: &str = "update evidence set likeness = null where likeness is not null and kept < $1";

/// A message of a client reached somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub client: ClientName,
    /// `Store::correspondent` of the recipient.
    pub person: Digest,
    pub domain: Domain,
}

impl Store {
    /// By what a recipient is found again without being named.
    pub fn correspondent(&self, recipient: &Address) -> Digest {
        // Only the keyed hash of it leaves this function.
        self.inner.vault.keyed_hash("correspondent", recipient.expose_folded().as_bytes())
    }

    /// How often a client's mail reached each of these people.
    pub async fn times_written(&self, client: &ClientName, people: &[Digest]) -> Result<Vec<u64>, StoreError> {
        let mut found: BTreeMap<Digest, u64> = BTreeMap::new();
        let mut rest = people;
        while !rest.is_empty() {
            let (some, others) = rest.split_at(rows_together(rest.len()));
            let mut statement = sqlx::query(AssertSqlSafe(written_to(some.len())));
            for person in some {
                statement = statement.bind(person.as_bytes().to_vec());
            }
            let rows = statement
                .bind(client.0.clone())
                .fetch_all(&self.inner.readers)
                .await
                .map_err(failed("reading to whom a client has written"))?;
            for row in &rows {
                let person: Vec<u8> = column(row, "person")?;
                let person = Digest::from_slice(&person).ok_or(StoreError::StrangeRow("person"))?;
                found.insert(person, column::<i64>(row, "times")?.unsigned_abs());
            }
            rest = others;
        }
        Ok(people.iter().map(|person| found.get(person).copied().unwrap_or(0)).collect())
    }

    /// The domains that a client's mail reached most often, the most frequent first.
    pub async fn domains_written(&self, client: &ClientName, limit: usize) -> Result<Vec<(Domain, u64)>, StoreError> {
        let rows = sqlx::query(DOMAINS)
            .bind(client.0.clone())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("reading to which domains a client has written"))?;
        rows.iter().map(domain_times).collect()
    }

    /// How often a client's mail reached these domains, of those that it did reach.
    pub async fn times_domains(
        &self,
        client: &ClientName,
        domains: &[&Domain],
    ) -> Result<Vec<(Domain, u64)>, StoreError> {
        let mut found = Vec::new();
        let mut rest = domains;
        while !rest.is_empty() {
            let (some, others) = rest.split_at(rows_together(rest.len()));
            let mut statement = sqlx::query(AssertSqlSafe(domains_among(some.len())));
            for domain in some {
                statement = statement.bind(domain.as_str().to_owned());
            }
            let rows = statement
                .bind(client.0.clone())
                .fetch_all(&self.inner.readers)
                .await
                .map_err(failed("reading to which domains a client has written"))?;
            for row in &rows {
                found.push(domain_times(row)?);
            }
            rest = others;
        }
        Ok(found)
    }

    /// The newest message that is alike, and was accepted at or after `since`.
    pub async fn alike(
        &self,
        likeness: Digest,
        since: Timestamp,
    ) -> Result<Option<(MessageId, Timestamp)>, StoreError> {
        let row = sqlx::query(ALIKE)
            .bind(likeness.as_bytes().to_vec())
            .bind(since.millis())
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(failed("looking for a message that is alike"))?;
        let Some(row) = row else { return Ok(None) };
        let message: String = column(&row, "message")?;
        let message = message.parse().map_err(|_| StoreError::StrangeRow("message"))?;
        Ok(Some((message, Timestamp::from_millis(column(&row, "kept")?))))
    }

    /// How many messages of a client went to somebody, by the hash that evidence has of them, since then; `most` are counted.
    pub async fn sent_since(
        &self,
        client: &ClientName,
        person: Digest,
        (since, most): (Timestamp, usize),
    ) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(SENT)
            .bind(person.as_bytes().to_vec())
            // An id begins with its time.
            .bind(MessageId::from_parts(since, 0).to_string())
            .bind(client.0.clone())
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_one(&self.inner.readers)
            .await
            .map_err(failed("counting what a client sent"))?;
        Ok(count.unsigned_abs())
    }

    /// The hashes of the people of a message; none at all where they are more than `most`.
    pub async fn people_of(&self, message: MessageId, most: usize) -> Result<Option<BTreeSet<Digest>>, StoreError> {
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(PEOPLE)
            .bind(message.to_string())
            .bind(i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1))
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("looking for people of a message"))?;
        if rows.len() > most {
            return Ok(None);
        }
        let read = |row: &Vec<u8>| Digest::from_slice(row).ok_or(StoreError::StrangeRow("hash"));
        rows.iter().map(read).collect::<Result<_, _>>().map(Some)
    }
}

fn domain_times(row: &AnyRow) -> Result<(Domain, u64), StoreError> {
    let domain: String = column(row, "domain")?;
    let domain = Domain::parse(&domain).map_err(|_| StoreError::StrangeRow("domain"))?;
    Ok((domain, column::<i64>(row, "times")?.unsigned_abs()))
}

fn domains_among(domains: usize) -> String {
    text("select domain, times from written_domain where domain in (", 1, domains)
        + &format!(") and client = ${}", domains + 1)
}

fn written_to(people: usize) -> String {
    text("select person, times from written_to where person in (", 1, people)
        + &format!(") and client = ${}", people + 1)
}

/// A row to be counted: whose, of what, and how often and when last.
type Counted<'a, K> = ((&'a str, &'a K), (i64, i64));

/// Counts what reached whom, once for each row however often a batch has it: a statement may not change a row twice.
pub(super) async fn count_written(connection: &mut AnyConnection, written: &[(&Written, i64)]) -> sqlx::Result<()> {
    let mut people: BTreeMap<(&str, &[u8]), (i64, i64)> = BTreeMap::new();
    let mut domains: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
    for (Written { client, person, domain }, at) in written {
        let counts = [
            people.entry((client.0.as_str(), person.as_bytes())).or_default(),
            domains.entry((client.0.as_str(), domain.as_str())).or_default(),
        ];
        for (times, last) in counts {
            *times += 1;
            *last = (*last).max(*at);
        }
    }
    let people: Vec<_> = people.into_iter().collect();
    count(connection, ("written_to", "person"), &people, |statement, person| statement.bind(person.to_vec())).await?;
    let domains: Vec<_> = domains.into_iter().collect();
    count(connection, ("written_domain", "domain"), &domains, |statement, domain| statement.bind((*domain).to_owned()))
        .await
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

async fn count<K: ?Sized>(
    connection: &mut AnyConnection,
    (table, key): (&str, &str),
    mut rows: &[Counted<'_, K>],
    bind: impl for<'q> Fn(Statement<'q>, &K) -> Statement<'q>,
) -> sqlx::Result<()> {
    let into = format!("insert into {table} (client, {key}, times, last)");
    let again = format!(
        " on conflict (client, {key}) do update set times = {table}.times + excluded.times, last = excluded.last"
    );
    while !rows.is_empty() {
        let (chunk, rest) = rows.split_at(rows_together(rows.len()));
        let mut statement = sqlx::query(AssertSqlSafe(text(&into, 4, chunk.len()) + &again));
        for ((client, what), (times, last)) in chunk {
            statement = bind(statement.bind((*client).to_owned()), what).bind(*times).bind(*last);
        }
        statement.execute(&mut *connection).await?;
        rows = rest;
    }
    Ok(())
}

/// Forgets whom a client has not written to for long, and of what is beyond the most what is longest ago.
pub(super) async fn forget(connection: &mut AnyConnection, now: Timestamp, most: Most) -> sqlx::Result<()> {
    // Behind the longest window nobody compares with it.
    sqlx::query(FORGET_LIKENESS).bind(now.millis() - COMPARED_MILLIS).execute(&mut *connection).await?;
    for (table, most) in [("written_to", most.people), ("written_domain", most.domains)] {
        let old = format!("delete from {table} where last < $1");
        sqlx::query(AssertSqlSafe(old)).bind(now.millis() - REMEMBERED_MILLIS).execute(&mut *connection).await?;
        let full = format!("select client from {table} group by client having count(*) > $1");
        let clients: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(full)).bind(most).fetch_all(&mut *connection).await?;
        for client in clients {
            let first = format!("select last from {table} where client = $1 order by last desc limit 1 offset $2");
            let first: i64 = sqlx::query_scalar(AssertSqlSafe(first))
                .bind(client.clone())
                .bind(most)
                .fetch_one(&mut *connection)
                .await?;
            let beyond = format!("delete from {table} where client = $1 and last <= $2");
            sqlx::query(AssertSqlSafe(beyond)).bind(client).bind(first).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
