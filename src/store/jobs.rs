//! Jobs as they are read: claimed, listed, counted.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::audit::JobState;
use crate::clock::Timestamp;
use crate::mail::{ClientName, Content, Domain, End, JobId, MessageId};
use crate::store::change::Word;
use crate::store::dialect::Dialect;
use crate::store::insert::Holder;
use crate::store::writer::{Claim, Renewed};
use crate::store::{Delay, Fence, Owes, Standing, Store, StoreError, Tell, failed};

macro_rules! job_columns {
    () => {
        "id, message, accepted, content, owes, client, domain, epoch, envelope, wrapped_key, methods, last, state, \
         cause, ended_as, due, wake, expires, attempts, floor_since, delay_told, unanswered, lease_node, fence, owed, receipt, \
         rule_notice"
    };
}

/// What somebody is to be told of a job. An index has the jobs of each.
#[derive(Clone, Copy, Debug)]
pub enum Debt {
    /// What became of it.
    Fate,
    Receipt,
    /// That a rule matched.
    RuleNotice,
}

/// One job, its envelope still sealed.
#[derive(Clone, Debug)]
pub struct JobRow {
    pub id: JobId,
    pub message: MessageId,
    pub accepted: Timestamp,
    pub content: Content,
    pub owes: Owes,
    pub client: Option<ClientName>,
    pub domain: Domain,
    pub epoch: i64,
    /// Gone once the message is erased.
    pub envelope: Option<Vec<u8>>,
    pub wrapped_key: Option<Vec<u8>>,
    pub standing: Standing,
    /// Who is owed word that it was accepted, or has got it, beside what `standing` owes.
    pub tell: Tell,
    /// Until when a worker holds it, when one does.
    pub leased: Option<Timestamp>,
    pub fence: Fence,
}

/// Which jobs; every condition given must hold.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub message: Option<MessageId>,
    pub client: Option<ClientName>,
    /// Accepted at or after this moment.
    pub since: Option<Timestamp>,
    /// `queued`, `held` or `ended`.
    pub state: Option<StateName>,
    /// Behind this one in the order of ids, for reading page by page.
    pub after: Option<JobId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateName {
    Queued,
    Held,
    Ended,
}

impl Word for StateName {
    const ALL: &'static [StateName] = &[StateName::Queued, StateName::Held, StateName::Ended];

    fn word(self) -> &'static str {
        match self {
            StateName::Queued => "queued",
            StateName::Held => "held",
            StateName::Ended => "ended",
        }
    }
}

/// How many jobs stand where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateCount {
    pub state: StateName,
    pub end: Option<End>,
    pub jobs: i64,
}

/// All jobs by state, and apart from them how many recipients were accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    pub accepted: i64,
    pub states: Vec<StateCount>,
}

/// Leases due jobs to this node, the longest due first, and raises their fences.
pub(super) async fn claim(
    connection: &mut AnyConnection,
    dialect: Dialect,
    (holder, wanted): (Holder<'_>, Claim),
) -> sqlx::Result<Vec<JobRow>> {
    let text = format!(
        concat!(
            "update job set lease_node = $1, lease_boot = $2, wake = $3, fence = fence + 1 where id in \
             (select id from job where state = 'queued' and wake <= $4 and expires > $5 order by wake limit $6{}) \
             returning ",
            job_columns!()
        ),
        dialect.skip_locked()
    );
    let rows = sqlx::query(AssertSqlSafe(text))
        .bind(holder.node.to_owned())
        .bind(holder.boot)
        .bind(wanted.until.millis())
        .bind(wanted.now.millis())
        .bind(wanted.now.millis())
        .bind(wanted.limit)
        .fetch_all(connection)
        .await?;
    let mut jobs = rows.iter().map(job).collect::<sqlx::Result<Vec<JobRow>>>()?;
    // The two databases return what they changed in different orders.
    jobs.sort_by_key(|job| match job.standing.state {
        JobState::Queued { method: _, due } => (due, job.id),
        JobState::Held { .. } | JobState::Ended { .. } => (job.accepted, job.id),
    });
    Ok(jobs)
}

impl Store {
    /// Leases up to `limit` due jobs to this node until `until`.
    pub async fn claim(&self, limit: usize, now: Timestamp, until: Timestamp) -> Result<Vec<JobRow>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let jobs = self.inner.writer.claim(Claim { now, until, limit }).await?;
        self.know_epochs(jobs.iter().map(|job| job.epoch)).await?;
        Ok(jobs)
    }

    /// Undoes claims, without an attempt being counted. A lease that is lost already stays lost.
    pub async fn give_back(&self, jobs: Vec<(JobId, Fence)>) -> Result<(), StoreError> {
        self.inner.writer.give_back(jobs).await
    }

    /// Lengthens a lease, as long as it is still held.
    pub async fn renew(&self, job: JobId, fence: Fence, until: Timestamp) -> Result<Renewed, StoreError> {
        self.inner.writer.renew(job, fence, until).await
    }

    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>, StoreError> {
        let row = sqlx::query(concat!("select ", job_columns!(), " from job where id = $1"))
            .bind(id.to_string())
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(failed("reading a job"))?;
        self.read_jobs(row.as_slice()).await.map(|mut jobs| jobs.pop())
    }

    /// The jobs of one message, in the order of their ids.
    pub async fn jobs(&self, message: MessageId) -> Result<Vec<JobRow>, StoreError> {
        let rows = sqlx::query(concat!("select ", job_columns!(), " from job where message = $1 order by id"))
            .bind(message.to_string())
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("reading the jobs of a message"))?;
        self.read_jobs(&rows).await
    }

    /// The jobs that the filter lets through, in the order of their ids.
    pub async fn list_jobs(&self, filter: &JobFilter, limit: usize) -> Result<Vec<JobRow>, StoreError> {
        let rows = sqlx::query(concat!(
            "select ",
            job_columns!(),
            " from job where ($1 is null or message = $1) and ($2 is null or client = $2) \
             and accepted >= $3 and ($4 is null or state = $4) and id > $5 order by id limit $6"
        ))
        .bind(filter.message.map(|id| id.to_string()))
        .bind(filter.client.as_ref().map(|client| client.0.clone()))
        .bind(filter.since.map_or(0, Timestamp::millis))
        .bind(filter.state.map(Word::word))
        .bind(filter.after.map_or_else(String::new, |id| id.to_string()))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(failed("listing jobs"))?;
        self.read_jobs(&rows).await
    }

    /// Jobs whose time has run out and that nobody is delivering, the longest overdue first.
    pub async fn overdue_jobs(&self, now: Timestamp, limit: usize) -> Result<Vec<JobRow>, StoreError> {
        let rows = sqlx::query(concat!(
            "select ",
            job_columns!(),
            " from job where state <> 'ended' and expires <= $1 and (lease_node = '' or wake <= $2) \
             order by expires limit $3"
        ))
        .bind(now.millis())
        .bind(now.millis())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(failed("reading what has expired"))?;
        self.read_jobs(&rows).await
    }

    /// Jobs of which somebody is still to be told, in the order in which that came about.
    pub async fn owing_jobs(&self, debt: Debt, limit: usize) -> Result<Vec<JobRow>, StoreError> {
        let question = match debt {
            Debt::Fate => {
                concat!("select ", job_columns!(), " from job where owed is not null order by moved limit $1")
            }
            Debt::Receipt => concat!("select ", job_columns!(), " from job where receipt = 1 order by moved limit $1"),
            Debt::RuleNotice => {
                concat!("select ", job_columns!(), " from job where rule_notice = 1 order by moved limit $1")
            }
        };
        let rows = sqlx::query(question)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("reading what is owed"))?;
        self.read_jobs(&rows).await
    }

    /// When a job next becomes due, its lease runs out, or its time does.
    pub async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(
            "select (select min(wake) from job where state = 'queued') as wake, \
             (select min(expires) from job where state <> 'ended' and lease_node = '') as expires",
        )
        .fetch_one(&self.inner.readers)
        .await
        .map_err(failed("reading what is due next"))?;
        let times: [Option<i64>; 2] = [column(&row, "wake")?, column(&row, "expires")?];
        Ok(times.into_iter().flatten().min().map(Timestamp::from_millis))
    }

    pub async fn tally(&self) -> Result<Tally, StoreError> {
        let mut snapshot = self.inner.readers.acquire().await.map_err(failed("counting jobs"))?;
        // One statement, so that the two sides are counted at the same moment.
        let rows = sqlx::query(
            "select state, ended_as, count(*) as jobs from job group by state, ended_as union all \
             select 'accepted', '', cast(coalesce(sum(jobs), 0) as bigint) from message",
        )
        .fetch_all(&mut *snapshot)
        .await
        .map_err(failed("counting jobs"))?;
        let mut tally = Tally { accepted: 0, states: Vec::new() };
        for row in &rows {
            let (state, ended_as): (String, String) = (column(row, "state")?, column(row, "ended_as")?);
            let jobs: i64 = column(row, "jobs")?;
            match StateName::from_word(&state) {
                Some(state) => tally.states.push(StateCount { state, end: End::from_name(&ended_as), jobs }),
                None => tally.accepted = jobs,
            }
        }
        Ok(tally)
    }

    async fn read_jobs(&self, rows: &[AnyRow]) -> Result<Vec<JobRow>, StoreError> {
        let jobs =
            rows.iter().map(job).collect::<sqlx::Result<Vec<JobRow>>>().map_err(|_| StoreError::StrangeRow("job"))?;
        self.know_epochs(jobs.iter().filter(|job| job.wrapped_key.is_some()).map(|job| job.epoch)).await?;
        Ok(jobs)
    }
}

pub(super) fn column<'r, T>(row: &'r AnyRow, name: &'static str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
{
    row.try_get(name).map_err(|_| StoreError::StrangeRow(name))
}

fn job(row: &AnyRow) -> sqlx::Result<JobRow> {
    let text = |name: &'static str| row.try_get::<String, _>(name);
    let number = |name: &'static str| row.try_get::<i64, _>(name);
    let moment = |name: &'static str| number(name).map(Timestamp::from_millis);
    let leased = !text("lease_node")?.is_empty();
    Ok(JobRow {
        id: text("id")?.parse().map_err(|_| strange("id"))?,
        message: text("message")?.parse().map_err(|_| strange("message"))?,
        accepted: moment("accepted")?,
        content: word(&text("content")?, "content")?,
        owes: word(&text("owes")?, "owes")?,
        client: row.try_get::<Option<String>, _>("client")?.map(ClientName),
        domain: Domain::parse(&text("domain")?).map_err(|_| strange("domain"))?,
        epoch: number("epoch")?,
        envelope: row.try_get("envelope")?,
        wrapped_key: row.try_get("wrapped_key")?,
        standing: standing(row)?,
        tell: Tell::of(number("receipt")? != 0, number("rule_notice")? != 0),
        leased: if leased { Some(moment("wake")?) } else { None },
        fence: Fence(number("fence")?),
    })
}

fn standing(row: &AnyRow) -> sqlx::Result<Standing> {
    let text = |name: &'static str| row.try_get::<String, _>(name);
    let moment = |name: &'static str| row.try_get::<i64, _>(name).map(Timestamp::from_millis);
    let methods = text("methods")?
        .split_ascii_whitespace()
        .map(str::parse)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| strange("methods"))?;
    let state = match word(&text("state")?, "state")? {
        StateName::Queued => {
            JobState::Queued { method: *methods.first().ok_or_else(|| strange("methods"))?, due: moment("due")? }
        }
        StateName::Held => JobState::Held { cause: word(&text("cause")?, "cause")? },
        StateName::Ended => JobState::Ended { end: word(&text("ended_as")?, "ended_as")? },
    };
    let owed = row.try_get::<Option<String>, _>("owed")?;
    Ok(Standing {
        state,
        methods,
        last: word(&text("last")?, "last")?,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).map_err(|_| strange("attempts"))?,
        expires: moment("expires")?,
        unanswered: u32::try_from(row.try_get::<i64, _>("unanswered")?).map_err(|_| strange("unanswered"))?,
        floor_since: row.try_get::<Option<i64>, _>("floor_since")?.map(Timestamp::from_millis),
        delay: if row.try_get::<i64, _>("delay_told")? == 0 { Delay::Untold } else { Delay::Told },
        owed: owed.map(|about| word(&about, "owed")).transpose()?,
    })
}

fn word<W: Word>(text: &str, column: &'static str) -> sqlx::Result<W> {
    W::from_word(text).ok_or_else(|| strange(column))
}

fn strange(column: &'static str) -> sqlx::Error {
    sqlx::Error::ColumnNotFound(column.to_owned())
}
