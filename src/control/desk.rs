//! Does what an operator asks, in the operator's name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use crate::accounts::Accounts;
use crate::audit::{self, Actor, Entry, Event, Show, SignedHead};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::control::watch::Asked;
use crate::control::{Failure, Find, Move, Request, replay};
use crate::crypto::{Digest, Key};
use crate::delivery::Courier;
use crate::directory::Directory;
use crate::evidence::{Evidence, EvidenceError};
use crate::keyring::{KeyringError, master, recovery};
use crate::listener::Watch;
use crate::mail::{Address, BadAddress, ClientName, Envelope, MessageId, ReversePath};
use crate::queue::{Listed, Moved, Queue, QueueError, Selection};
use crate::store::{Change, Commit, JobFilter, StateName, Store, StoreError};

/// Rows of the audit log that are read at once.
const PAGE: usize = 500;
/// Messages that one trace tells of, the newest first.
const MOST_TRACED: usize = 200;

/// A request to the daemon's main loop: who asks for it, and where its answer goes.
#[derive(Debug)]
pub struct Reload {
    pub by: Actor,
    pub answer: oneshot::Sender<Result<(), Failure>>,
}

/// The running daemon, as far as an operator's request concerns it.
#[derive(Clone, Debug)]
pub struct Daemon {
    pub reload: mpsc::Sender<Reload>,
    pub couriers: watch::Receiver<Arc<Courier>>,
    pub accounts: Arc<Accounts>,
    pub watch: Arc<Watch>,
    /// The config in force.
    pub config: watch::Receiver<Digest>,
}

/// Performs requests: in the daemon, or in a command that holds the store itself.
#[derive(Debug)]
pub struct Desk {
    pub queue: Queue,
    pub evidence: Evidence,
    pub store: Store,
    pub directory: Directory,
    pub master_key: PathBuf,
    pub key_source: master::Source,
    pub daemon: Option<Daemon>,
}

pub(super) type Rows = mpsc::Sender<Value>;

impl Desk {
    pub fn new(store: Store, config: &Config, key_source: master::Source) -> Desk {
        Desk {
            queue: Queue::new(store.clone(), config.queue.clone()),
            evidence: Evidence::new(store.clone()),
            directory: Directory::new(store.clone(), &config.routes),
            store,
            master_key: config.server.master_key.clone(),
            key_source,
            daemon: None,
        }
    }

    pub async fn perform(&self, actor: Actor, request: Request, rows: Rows) -> Result<(), Failure> {
        match request {
            Request::Status => self.status(&rows).await,
            Request::Reload => self.reload(actor).await,
            Request::QueueList { client, limit } => self.list(client, limit, &rows).await,
            Request::QueueShow { message } => self.show(message, &rows).await,
            Request::QueueMove { step, message, client, since } => {
                let moved = self.step((actor, step), selection(message, client, since)?).await?;
                give(
                    &rows,
                    json!({ "moved": moved.moved, "in_delivery": moved.in_delivery, "no_method": moved.no_method }),
                )
                .await
            }
            Request::Trace { find } => self.trace(actor, find, &rows).await,
            Request::Facts { recipients } => self.facts(&recipients, &rows).await,
            Request::Explain { message } => self.explain(actor, message, &rows).await,
            Request::Records { client, since, purpose } => {
                replay::records(self, actor, (client, since, purpose), &rows).await
            }
            Request::AuditList { message, last } => self.audit_list(message, last, &rows).await,
            Request::AuditExport { message } => self.audit_export(actor, message, &rows).await,
            Request::AuditMatch { contents } => self.audit_match(&contents, &rows).await,
            Request::Configs { digest: None } => self.configs(&rows).await,
            Request::Configs { digest: Some(start) } => self.config(actor, &start, &rows).await,
            Request::RolledBack { config } => self.rolled_back(actor, config).await,
            Request::Locked => self.locked(&rows).await,
            Request::Unlock { what } => self.unlock(actor, what, &rows).await,
            Request::RotateMaster => self.rotate_master(actor, &rows).await,
            Request::Watch { client, seconds, count } => {
                let within = seconds.map(Duration::from_secs);
                self.watch(Asked { client, within, count }, &rows).await
            }
        }
    }

    async fn status(&self, rows: &Rows) -> Result<(), Failure> {
        let counts = self.queue.counts().await?;
        let ended: serde_json::Map<_, _> =
            counts.ended.iter().map(|(end, jobs)| (end.name().to_owned(), json!(jobs))).collect();
        let row = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "node": self.store.node().0,
            "accepted": counts.accepted,
            "queued": counts.queued,
            "held": counts.held,
            "ended": ended,
            "balanced": counts.are_balanced(),
        });
        give(rows, row).await
    }

    async fn reload(&self, by: Actor) -> Result<(), Failure> {
        let gone = || Failure::Unavailable("no daemon runs here that could reload".to_owned());
        let daemon = self.daemon.as_ref().ok_or_else(gone)?;
        let (answer, answered) = oneshot::channel();
        daemon.reload.send(Reload { by, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    async fn list(&self, client: Option<ClientName>, limit: u32, rows: &Rows) -> Result<(), Failure> {
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
        // Held first: those wait for a person.
        for state in [StateName::Held, StateName::Queued] {
            let filter = JobFilter { client: client.clone(), state: Some(state), ..JobFilter::default() };
            for listed in self.queue.list(&filter, left).await? {
                left = left.saturating_sub(1);
                give(rows, row_of(&listed)).await?;
            }
        }
        Ok(())
    }

    async fn show(&self, message: MessageId, rows: &Rows) -> Result<(), Failure> {
        let jobs = self.queue.show(message).await?;
        if jobs.is_empty() {
            return Err(unknown(message));
        }
        for listed in jobs {
            give(rows, row_of(&listed)).await?;
        }
        Ok(())
    }

    async fn step(&self, (actor, step): (Actor, Move), selection: Selection) -> Result<Moved, Failure> {
        let queue = &self.queue;
        if let Selection::Message(message) = selection
            && queue.show(message).await?.is_empty()
        {
            return Err(unknown(message));
        }
        Ok(match step {
            Move::Hold => queue.hold(&selection, actor).await?,
            Move::Release => queue.release(&selection, actor).await?,
            Move::Cancel => queue.cancel(&selection, actor).await?,
            Move::Retry => {
                // Whoever asks for it may have mended what was dead a moment ago.
                if let Some(daemon) = &self.daemon {
                    daemon.couriers.borrow().forget_the_dead();
                }
                queue.retry(&selection, actor).await?
            }
        })
    }

    async fn trace(&self, actor: Actor, find: Find, rows: &Rows) -> Result<(), Failure> {
        let messages = match find {
            Find::To(address) => {
                let address = Address::parse(&address).map_err(|error| Failure::Refused(format!("--to: {error}")))?;
                self.evidence.find_to(&address).await?
            }
            Find::MessageId(value) => self.evidence.find_message_id(&value).await?,
        };
        self.note_reading(actor, None, "trace").await?;
        for message in messages.into_iter().take(MOST_TRACED) {
            let summary = self.evidence.summary(message).await?;
            let mut row = serde_json::to_value(&summary).map_err(unwritable)?;
            row["text"] = json!(summary.lines().join("\n"));
            give(rows, row).await?;
        }
        Ok(())
    }

    async fn facts(&self, recipients: &[String], rows: &Rows) -> Result<(), Failure> {
        let refused = |error: BadAddress| Failure::Refused(error.to_string());
        let parsed = recipients.iter().map(|text| Address::parse(text).map_err(refused));
        let mut addresses = parsed.collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err(Failure::Refused("no recipient is named".to_owned()));
        }
        let first = addresses.remove(0);
        let envelope = Envelope::new(ReversePath::Null, first, addresses);
        let facts = self.directory().facts(&envelope).await;
        give(rows, serde_json::to_value(&facts).map_err(unwritable)?).await
    }

    async fn explain(&self, actor: Actor, message: MessageId, rows: &Rows) -> Result<(), Failure> {
        let story = self.evidence.story(message).await?;
        self.note_reading(actor, Some(message), "explain").await?;
        let mut row = serde_json::to_value(&story).map_err(unwritable)?;
        row["text"] = json!(story.tell());
        give(rows, row).await
    }

    /// Who reads what is sealed is part of the log.
    pub(super) async fn note_reading(
        &self,
        actor: Actor,
        message: Option<MessageId>,
        purpose: &str,
    ) -> Result<(), Failure> {
        let event = Event::EvidenceRead { message, purpose: purpose.to_owned() };
        self.store.commit(Change::Note, actor, event).await?;
        Ok(())
    }

    async fn audit_list(&self, message: Option<MessageId>, last: u32, rows: &Rows) -> Result<(), Failure> {
        let entries = match message {
            Some(message) => self.store.events_of(message).await?,
            None => {
                let end = self.head().await?.seq;
                let start = (end - i64::from(last)).max(0);
                self.entries(start, end).await?
            }
        };
        if let (Some(message), true) = (message, entries.is_empty()) {
            return Err(unknown(message));
        }
        for entry in entries {
            let row = json!({
                "node": entry.row.node,
                "seq": entry.row.seq,
                "time": entry.row.time,
                "actor": read(&entry.row.actor),
                "event": read(&entry.row.event),
                "hash": entry.hash,
            });
            give(rows, row).await?;
        }
        Ok(())
    }

    async fn audit_export(&self, actor: Actor, message: Option<MessageId>, rows: &Rows) -> Result<(), Failure> {
        let head = self.head().await?;
        let shown: Vec<i64> = match message {
            Some(message) => {
                let own = self.store.events_of(message).await?;
                own.iter().filter(|entry| entry.row.node == head.node).map(|entry| entry.row.seq).collect()
            }
            None => Vec::new(),
        };
        if let (Some(message), true) = (message, shown.is_empty()) {
            return Err(unknown(message));
        }
        let signing = self.store.vault().signing_key();
        give(rows, json!(audit::first_line(&head.node, &signing.public()).map_err(unwritable)?)).await?;
        let mut after = 0;
        while after < head.seq {
            for entry in self.entries(after, head.seq.min(after + page())).await? {
                after = entry.row.seq;
                let whole = message.is_none() || shown.binary_search(&entry.row.seq).is_ok();
                let show = if whole { Show::Whole } else { Show::LeafOnly };
                give(rows, json!(audit::row_line(&entry, show).map_err(unwritable)?)).await?;
            }
        }
        let signed = SignedHead::sign(&head, self.now(), &signing);
        give(rows, json!(audit::head_line(&signed).map_err(unwritable)?)).await?;
        let exported = Event::Exported { rows: head.seq.unsigned_abs() };
        self.store.commit(Change::Note, actor, exported).await?;
        Ok(())
    }

    /// Rows behind `after` up to `end` of this node's chain. A hole in it is the end of all proof, so it is an error.
    async fn entries(&self, after: i64, end: i64) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        let mut at = after;
        while at < end {
            let limit = usize::try_from(end - at).unwrap_or(PAGE).min(PAGE);
            let page = self.store.events(self.store.node(), at, limit).await?;
            let Some(last) = page.last() else {
                return Err(Failure::Unavailable(format!("the audit log has a hole behind row {at}")));
            };
            at = last.row.seq;
            entries.extend(page);
        }
        Ok(entries)
    }

    async fn head(&self) -> Result<audit::Head, Failure> {
        let heads = self.store.heads().await?;
        let own = heads.into_iter().find(|head| head.node == *self.store.node());
        Ok(own.unwrap_or_else(|| audit::Head::empty(self.store.node().clone())))
    }

    async fn audit_match(&self, contents: &[Digest], rows: &Rows) -> Result<(), Failure> {
        let mut found = Vec::new();
        for content in contents {
            found.extend(self.evidence.matching(*content).await?);
        }
        found.sort_unstable();
        found.dedup();
        for message in found {
            let summary = self.evidence.summary(message).await?;
            give(rows, json!({ "message": message, "accepted": summary.accepted.rfc3339() })).await?;
        }
        Ok(())
    }

    async fn configs(&self, rows: &Rows) -> Result<(), Failure> {
        let in_force = self.daemon.as_ref().map(|daemon| *daemon.config.borrow());
        for (digest, loaded) in self.store.configs().await? {
            let now = in_force == Some(digest);
            give(rows, json!({ "config": digest, "loaded": loaded.rfc3339(), "in_force": now })).await?;
        }
        Ok(())
    }

    /// Without a daemon, the next start takes the file.
    async fn rolled_back(&self, actor: Actor, config: Digest) -> Result<(), Failure> {
        if self.daemon.is_some() {
            self.reload(actor.clone()).await?;
        }
        self.store.commit(Change::Note, actor, Event::ConfigRolledBack { config }).await?;
        Ok(())
    }

    /// The text of one kept config. It holds hashes of passwords, so who reads it is part of the log.
    async fn config(&self, actor: Actor, start: &str, rows: &Rows) -> Result<(), Failure> {
        let start = start.to_ascii_lowercase();
        let kept = self.store.configs().await?;
        let mut meant = kept.iter().filter(|(digest, _)| digest.to_string().starts_with(&start));
        let (digest, loaded) = match (meant.next(), meant.next()) {
            (Some(one), None) => *one,
            (Some(_), Some(_)) => {
                return Err(Failure::Refused(format!("more than one kept config starts with {start}")));
            }
            (None, _) => return Err(Failure::NotFound(format!("no config {start} was in force here"))),
        };
        self.note_reading(actor, None, "config").await?;
        let Some(text) = self.evidence.config(digest).await? else {
            return Err(Failure::NotFound(format!("no config {start} was in force here")));
        };
        give(rows, json!({ "config": digest, "loaded": loaded.rfc3339(), "text": text })).await
    }

    /// The new key is on disk before anything is wrapped under it, and takes the old one's place after.
    /// After a crash in between, one of the two files opens the store.
    async fn rotate_master(&self, actor: Actor, rows: &Rows) -> Result<(), Failure> {
        let next = master::next_file(&self.master_key);
        let key = self.next_key(&next).await?;
        match self.store.rotate_master(key.clone(), actor).await? {
            Commit::Committed(_) => {}
            Commit::Lost => {
                return Err(Failure::Unavailable("a key came in meanwhile; try again".to_owned()));
            }
        }
        let (code, wrap) = recovery::wrap(&key)?;
        recovery::store(&self.master_key.with_file_name(recovery::FILE), &wrap)?;
        let kept_elsewhere = match &self.key_source {
            master::Source::File(path) => {
                master::promote(path)?;
                None
            }
            master::Source::Credential(_) | master::Source::Environment => Some(&next),
        };
        // The one time that the code is shown, to the operator who asked for it.
        give(rows, json!({ "recovery_code": code.expose(), "next_key_file": kept_elsewhere })).await
    }

    /// The key to rotate to, which lies in its file. One that is there already is taken again and never written over: the
    /// answer to its rotation may have been lost, and then it is the only copy of the key in use, or becomes so yet.
    async fn next_key(&self, next: &Path) -> Result<Key, Failure> {
        if let Some(key) = master::load_next(&self.master_key)? {
            self.store.find_master(&key).await?;
            if !self.store.vault().is_master(&key) {
                return Ok(key);
            }
            self.finish_rotation(next)?;
        }
        let key = Key::generate().map_err(|error| Failure::Unavailable(error.to_string()))?;
        master::replace(next, &key).map_err(|error| {
            Failure::Refused(format!("{error}; where the daemon may not write, stop it and type this again as root"))
        })?;
        Ok(key)
    }

    fn finish_rotation(&self, next: &Path) -> Result<(), Failure> {
        match &self.key_source {
            master::Source::File(path) => Ok(master::promote(path)?),
            master::Source::Credential(_) | master::Source::Environment => Err(Failure::Refused(format!(
                "the last rotation is not finished: put the key of {} where the old one came from, restart, \
                 and remove that file",
                next.display()
            ))),
        }
    }

    /// Of the config in force: a reload does not reach what was given at the start.
    fn directory(&self) -> Directory {
        match &self.daemon {
            Some(daemon) => Directory::new(self.store.clone(), &daemon.couriers.borrow().config().routes),
            None => self.directory.clone(),
        }
    }

    fn now(&self) -> Timestamp {
        self.store.clock().now()
    }
}

fn page() -> i64 {
    i64::try_from(PAGE).unwrap_or(i64::MAX)
}

fn selection(
    message: Option<MessageId>,
    client: Option<ClientName>,
    since: Option<Timestamp>,
) -> Result<Selection, Failure> {
    match (message, client) {
        (Some(message), None) => Ok(Selection::Message(message)),
        (None, Some(client)) => Ok(Selection::Client { client, since: since.unwrap_or(Timestamp::from_millis(0)) }),
        (None, None) | (Some(_), Some(_)) => Err(Failure::Refused("name one message, or a client".to_owned())),
    }
}

fn row_of(listed: &Listed) -> Value {
    let methods: Vec<&str> = listed.methods.iter().map(|method| method.name()).collect();
    json!({
        "message": listed.message,
        "job": listed.job,
        "client": listed.client,
        "domain": listed.domain,
        "accepted": listed.accepted.rfc3339(),
        "expires": listed.expires.rfc3339(),
        "attempts": listed.attempts,
        "methods": methods,
        "standing": listed.state,
        "in_delivery": listed.leased.is_some(),
    })
}

/// JSON as it stands in a row of the log; text of a newer version is shown as it is.
fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

pub(super) async fn give(rows: &Rows, row: Value) -> Result<(), Failure> {
    rows.send(row).await.map_err(|_| Failure::Unavailable("the caller went away".to_owned()))
}

fn unknown(message: MessageId) -> Failure {
    Failure::NotFound(format!("no message {message} is known here"))
}

#[expect(clippy::needless_pass_by_value, reason = "stands where map_err gives its error away")]
pub(super) fn unwritable(error: serde_json::Error) -> Failure {
    Failure::Unavailable(format!("a row cannot be written as JSON: {error}"))
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Failure {
        Failure::Unavailable(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Unavailable(error.to_string())
    }
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Failure {
        Failure::Unavailable(error.to_string())
    }
}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Failure {
        let text = error.to_string();
        match error {
            EvidenceError::Unknown(_) | EvidenceError::Erased(_) => Failure::NotFound(text),
            EvidenceError::Unreadable(_)
            | EvidenceError::OtherConfig(_)
            | EvidenceError::Unwritable(_)
            | EvidenceError::NoEntropy(_)
            | EvidenceError::Store(_) => Failure::Unavailable(text),
        }
    }
}
