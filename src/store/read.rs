//! What evidence, audit and control read.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::audit::{Entry, Head, NodeId, Row as EventRow};
use crate::clock::Timestamp;
use crate::crypto::Digest;
use crate::mail::{Domain, JobId, MessageId};
use crate::store::change::{Purpose, Word};
use crate::store::jobs::column;
use crate::store::{Body, Destination, NewEpoch, SealedAttempt, Store, StoreError, body, failed};

/// Sealed evidence as it was kept; the keyed hashes of people are for finding it, and not read back.
#[derive(Clone, Debug)]
pub struct EvidenceRow {
    pub message: MessageId,
    pub epoch: i64,
    pub sealed: Vec<u8>,
    pub commitment: Digest,
    pub content: Digest,
    pub kept: Timestamp,
}

#[derive(Clone, Debug)]
pub struct AttemptRow {
    pub job: JobId,
    pub number: u32,
    pub at: Timestamp,
    pub attempt: SealedAttempt,
}

/// The sealed text of a config.
#[derive(Clone, Debug)]
pub struct ConfigRow {
    pub epoch: i64,
    pub sealed: Vec<u8>,
    pub loaded: Timestamp,
}

impl Store {
    pub async fn evidence(&self, message: MessageId) -> Result<Option<EvidenceRow>, StoreError> {
        let row =
            sqlx::query("select message, epoch, sealed, commitment, content, kept from evidence where message = $1")
                .bind(message.to_string())
                .fetch_optional(&self.inner.readers)
                .await
                .map_err(failed("reading evidence"))?;
        let Some(row) = row else { return Ok(None) };
        let evidence = evidence(&row)?;
        self.know_epochs([evidence.epoch]).await?;
        Ok(Some(evidence))
    }

    /// Evidence of messages with later ids, in the order of their ids, which is that of time.
    pub async fn evidence_behind(&self, after: MessageId, limit: usize) -> Result<Vec<EvidenceRow>, StoreError> {
        let rows = sqlx::query(
            "select message, epoch, sealed, commitment, content, kept from evidence where message > $1 \
             order by message limit $2",
        )
        .bind(after.to_string())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(failed("reading evidence in its order"))?;
        let rows = rows.iter().map(evidence).collect::<Result<Vec<EvidenceRow>, StoreError>>()?;
        self.know_epochs(rows.iter().map(|row| row.epoch)).await?;
        Ok(rows)
    }

    pub async fn count_evidence_behind(&self, after: MessageId) -> Result<i64, StoreError> {
        sqlx::query_scalar("select count(*) from evidence where message > $1")
            .bind(after.to_string())
            .fetch_one(&self.inner.readers)
            .await
            .map_err(failed("counting evidence"))
    }

    /// The messages that name this person, the newest first.
    pub async fn evidence_by_person(&self, person: Digest) -> Result<Vec<MessageId>, StoreError> {
        self.messages_by("select message from person where hash = $1 order by message desc", person).await
    }

    pub async fn evidence_by_message_id(&self, message_id: Digest) -> Result<Vec<MessageId>, StoreError> {
        self.messages_by("select message from evidence where message_id = $1 order by message desc", message_id).await
    }

    pub async fn newest_evidence_by_message_id(&self, message_id: Digest) -> Result<Option<MessageId>, StoreError> {
        let newest = "select message from evidence where message_id = $1 order by message desc limit 1";
        Ok(self.messages_by(newest, message_id).await?.first().copied())
    }

    pub async fn evidence_by_content(&self, content: Digest) -> Result<Vec<MessageId>, StoreError> {
        self.messages_by("select message from evidence where content = $1 order by message desc", content).await
    }

    async fn messages_by(&self, question: &'static str, hash: Digest) -> Result<Vec<MessageId>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar(question)
            .bind(hash.as_bytes().to_vec())
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("looking for evidence"))?;
        found.iter().map(|id| id.parse().map_err(|_| StoreError::StrangeRow("message"))).collect()
    }

    /// The attempts at a message's jobs, in the order in which they were made.
    pub async fn attempts(&self, message: MessageId) -> Result<Vec<AttemptRow>, StoreError> {
        let rows = sqlx::query(
            "select job, number, at, epoch, sealed, commitment from attempt where message = $1 order by at, job, number",
        )
        .bind(message.to_string())
        .fetch_all(&self.inner.readers)
        .await
        .map_err(failed("reading attempts"))?;
        let attempts = rows.iter().map(attempt).collect::<Result<Vec<AttemptRow>, StoreError>>()?;
        self.know_epochs(attempts.iter().map(|row| row.attempt.epoch)).await?;
        Ok(attempts)
    }

    /// A node's events behind row `after`, in order.
    pub async fn events(&self, node: &NodeId, after: i64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(
            "select node, seq, time, actor, event, hash from event where node = $1 and seq > $2 order by seq limit $3",
        )
        .bind(node.0.clone())
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(failed("reading the audit log"))?;
        rows.iter().map(entry).collect()
    }

    /// What happened to one message, on whichever node, in the order of time.
    pub async fn events_of(&self, message: MessageId) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(
            "select node, seq, time, actor, event, hash from event where message = $1 order by time, node, seq",
        )
        .bind(message.to_string())
        .fetch_all(&self.inner.readers)
        .await
        .map_err(failed("reading the audit log of a message"))?;
        rows.iter().map(entry).collect()
    }

    /// The head of each node's chain.
    pub async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        let rows = sqlx::query(
            "select node, seq, hash from event where (node, seq) in \
             (select node, max(seq) from event group by node) order by node",
        )
        .fetch_all(&self.inner.readers)
        .await
        .map_err(failed("reading the heads of the audit log"))?;
        rows.iter().map(head_of).collect()
    }

    /// The digests of the configs that are kept, and when each first came into force, in that order.
    pub async fn configs(&self) -> Result<Vec<(Digest, Timestamp)>, StoreError> {
        let rows = sqlx::query("select digest, loaded from config_text order by loaded, digest")
            .fetch_all(&self.inner.readers)
            .await
            .map_err(failed("listing configs"))?;
        rows.iter().map(|row| Ok((digest(row, "digest")?, moment(row, "loaded")?))).collect()
    }

    pub async fn config_text(&self, digest: Digest) -> Result<Option<ConfigRow>, StoreError> {
        let row = sqlx::query("select epoch, sealed, loaded from config_text where digest = $1")
            .bind(digest.as_bytes().to_vec())
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(failed("reading a config"))?;
        let Some(row) = row else { return Ok(None) };
        let text = ConfigRow {
            epoch: column(&row, "epoch")?,
            sealed: column(&row, "sealed")?,
            loaded: moment(&row, "loaded")?,
        };
        self.know_epochs([text.epoch]).await?;
        Ok(Some(text))
    }

    /// What earlier deliveries showed of a domain.
    pub async fn destination(&self, domain: &Domain) -> Result<Option<Destination>, StoreError> {
        let known: Option<String> = sqlx::query_scalar("select known from destination where domain = $1")
            .bind(domain.as_str().to_owned())
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(failed("reading a destination"))?;
        let Some(known) = known else { return Ok(None) };
        serde_json::from_str(&known).map(Some).map_err(|_| StoreError::StrangeRow("known"))
    }

    /// Seals a body under `key`, and makes its file durable where it gets one.
    pub async fn keep_body(
        &self,
        message: MessageId,
        key: &body::BodyKey,
        plain: bytes::Bytes,
    ) -> Result<Body, StoreError> {
        let (inner, key) = (self.inner.clone(), key.clone());
        if self.inner.bodies.fits_a_row(plain.len()) {
            return inner.bodies.keep(message, &key, &plain);
        }
        tokio::task::spawn_blocking(move || inner.bodies.keep(message, &key, &plain))
            .await
            .map_err(|_| StoreError::Unavailable("writing a body was cut short".to_owned()))?
    }

    /// Tells the bodies how the commit of an arriving one went.
    pub fn body_arrived(&self, message: MessageId) {
        self.inner.bodies.arrived(message);
    }

    pub fn body_refused(&self, message: MessageId) {
        self.inner.bodies.forget(message);
    }

    /// Reads and opens a body.
    pub async fn body(&self, message: MessageId, key: &body::BodyKey) -> Result<Vec<u8>, StoreError> {
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("select sealed from body where message = $1")
            .bind(message.to_string())
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(failed("reading a body"))?;
        let sealed = match sealed {
            Some(sealed) => sealed,
            None => {
                let inner = self.inner.clone();
                tokio::task::spawn_blocking(move || inner.bodies.read(message))
                    .await
                    .map_err(|_| StoreError::Unavailable("reading a body was cut short".to_owned()))??
            }
        };
        Ok(body::open(message, key, &sealed)?)
    }

    /// Learns the keys of epochs that another node has started.
    pub(super) async fn know_epochs(&self, epochs: impl IntoIterator<Item = i64>) -> Result<(), StoreError> {
        let vault = &self.inner.vault;
        if epochs.into_iter().all(|epoch| vault.knows(epoch)) {
            return Ok(());
        }
        let mut connection = self.inner.readers.acquire().await.map_err(failed("reading the keys"))?;
        for epoch in epochs_kept(&mut connection).await? {
            if !vault.knows(epoch.id) {
                vault.admit(&epoch)?;
            }
        }
        Ok(())
    }
}

pub(super) async fn boot(connection: &mut AnyConnection, node: &NodeId) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar("select boot from node where id = $1")
        .bind(node.0.clone())
        .fetch_optional(connection)
        .await
        .map_err(failed("reading the node"))
}

/// The newest link of a node's chain.
pub(super) async fn head(connection: &mut AnyConnection, node: &NodeId) -> Result<Head, StoreError> {
    let row = sqlx::query("select node, seq, hash from event where node = $1 order by seq desc limit 1")
        .bind(node.0.clone())
        .fetch_optional(connection)
        .await
        .map_err(failed("reading the head of the audit log"))?;
    match row {
        Some(row) => head_of(&row),
        None => Ok(Head::empty(node.clone())),
    }
}

pub(super) async fn epochs_kept(connection: &mut AnyConnection) -> Result<Vec<NewEpoch>, StoreError> {
    let rows = sqlx::query("select id, purpose, wrapped, started from epoch order by id")
        .fetch_all(connection)
        .await
        .map_err(failed("reading the keys"))?;
    rows.iter()
        .map(|row| {
            let purpose: String = column(row, "purpose")?;
            Ok(NewEpoch {
                id: column(row, "id")?,
                purpose: Purpose::from_word(&purpose).ok_or(StoreError::StrangeRow("purpose"))?,
                wrapped: column(row, "wrapped")?,
                started: moment(row, "started")?,
            })
        })
        .collect()
}

/// The sealed seeds of the nodes' signing keys.
pub(super) async fn seeds(connection: &mut AnyConnection) -> Result<Vec<(NodeId, Vec<u8>)>, StoreError> {
    let rows = sqlx::query("select id, seed from node order by id")
        .fetch_all(connection)
        .await
        .map_err(failed("reading the nodes"))?;
    rows.iter().map(|row| Ok((NodeId(column(row, "id")?), column(row, "seed")?))).collect()
}

fn head_of(row: &AnyRow) -> Result<Head, StoreError> {
    Ok(Head { node: NodeId(column(row, "node")?), seq: column(row, "seq")?, hash: digest(row, "hash")? })
}

fn evidence(row: &AnyRow) -> Result<EvidenceRow, StoreError> {
    let message: String = column(row, "message")?;
    Ok(EvidenceRow {
        message: message.parse().map_err(|_| StoreError::StrangeRow("message"))?,
        epoch: column(row, "epoch")?,
        sealed: column(row, "sealed")?,
        commitment: digest(row, "commitment")?,
        content: digest(row, "content")?,
        kept: moment(row, "kept")?,
    })
}

fn attempt(row: &AnyRow) -> Result<AttemptRow, StoreError> {
    let (job, number): (String, i64) = (column(row, "job")?, column(row, "number")?);
    Ok(AttemptRow {
        job: job.parse().map_err(|_| StoreError::StrangeRow("job"))?,
        number: u32::try_from(number).map_err(|_| StoreError::StrangeRow("number"))?,
        at: moment(row, "at")?,
        attempt: SealedAttempt {
            epoch: column(row, "epoch")?,
            sealed: column(row, "sealed")?,
            commitment: digest(row, "commitment")?,
        },
    })
}

fn entry(row: &AnyRow) -> Result<Entry, StoreError> {
    let text = EventRow {
        node: NodeId(column(row, "node")?),
        seq: column(row, "seq")?,
        time: column(row, "time")?,
        actor: column(row, "actor")?,
        event: column(row, "event")?,
    };
    Ok(Entry { row: text, hash: digest(row, "hash")? })
}

fn digest(row: &AnyRow, name: &'static str) -> Result<Digest, StoreError> {
    let bytes: Vec<u8> = row.try_get(name).map_err(|_| StoreError::StrangeRow(name))?;
    Digest::from_slice(&bytes).ok_or(StoreError::StrangeRow(name))
}

fn moment(row: &AnyRow, name: &'static str) -> Result<Timestamp, StoreError> {
    column(row, name).map(Timestamp::from_millis)
}
