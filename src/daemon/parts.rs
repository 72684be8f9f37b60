//! The running daemon: its rooms, what a reload swaps in them, and the order in which they stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use sd_notify::NotifyState;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{self, Accounts, Lockout};
use crate::audit::{Actor, Event};
use crate::clock::Clock;
use crate::config::{Client, Config};
use crate::control::{self, Desk, Failure, Reload};
use crate::crypto::{Digest, Key};
use crate::daemon::signals::{Signals, Wish};
use crate::daemon::watch::run as self_checks;
use crate::daemon::{ConfigError, Loaded, StartError, open_store, read_config};
use crate::delivery::{self, Courier};
use crate::directory::Directory;
use crate::evidence::Evidence;
use crate::intake::{self, Intake};
use crate::listener::{self, Disk, DiskCheck, Shared};
use crate::net::tls;
use crate::notice::{self, FailedCheck, Notices};
use crate::queue::Queue;
use crate::retention;
use crate::store::{Change, Store};
use crate::telemetry::Metrics;
use crate::wellknown::{self, Answers, Readiness};

/// How long deliveries, notices and the sweep may take to end once mail is no longer taken.
const DRAIN: Duration = Duration::from_secs(30);
/// How often the gauges of the queue are measured.
const MEASURE: Duration = Duration::from_secs(15);

/// What a reload swaps, room by room.
struct Parts {
    path: PathBuf,
    store: Store,
    clock: Arc<dyn Clock>,
    accounts: Arc<Accounts>,
    intake: Arc<Intake>,
    shared: Arc<Shared>,
    notices: Arc<Notices>,
    tls: Arc<tls::Server>,
    couriers: watch::Sender<Arc<Courier>>,
    /// The digest of the config in force.
    config: watch::Sender<Digest>,
    /// As at the start; what cannot be swapped is compared with it.
    running: Config,
    /// As of the last reload.
    clients: Vec<Client>,
}

/// Runs until it is told to stop.
pub async fn run(path: PathBuf, loaded: Loaded, clock: Arc<dyn Clock>, metrics: Metrics) -> Result<(), StartError> {
    let mut signals = Signals::listen()?;
    let config = loaded.config.clone();
    let (store, key_source) = open_store(&config, Arc::clone(&clock)).await?;
    keep_config(&store, &loaded, Actor::System).await?;
    // There is no older config to go on with, and no mail taken at all would be worse than mail by a policy that was in use.
    if let Err(failed) = tried_out(&loaded.config).await {
        tracing::error!(policy.tests = %failed, "the policy tests fail; mail is taken by this config all the same");
    }
    let (reload, mut reloads) = mpsc::channel::<Reload>(4);
    let (checks, failed_checks) = watch::channel(Vec::<FailedCheck>::new());
    let mut desk = Desk::new(store.clone(), &config, key_source);
    let mut parts = Parts::build(path, &loaded, (&store, &desk.queue), failed_checks)?;
    desk.daemon = Some(control::Daemon {
        reload,
        couriers: parts.couriers.subscribe(),
        accounts: Arc::clone(&parts.accounts),
        watch: parts.shared.watch(),
        config: parts.config.subscribe(),
    });

    let mail = CancellationToken::new();
    let rest = CancellationToken::new();
    let (doors, rooms) = (TaskTracker::new(), TaskTracker::new());
    open_doors(&parts, &doors, &mail).await?;
    start_rooms(&parts, &desk, &rooms, &rest);
    rooms.spawn(self_checks(parts.couriers.subscribe(), Arc::clone(&parts.clock), checks, rest.clone()));
    let desk = Arc::new(desk);
    open_house(&parts, &desk, metrics, (&rooms, &rest)).await?;
    started(&store).await?;

    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Drain => break,
                Wish::Reload => drop(parts.reload(Actor::System).await),
            },
            Some(Reload { by, answer }) = reloads.recv() => {
                // Who asked may have gone; the reload is done all the same.
                let _ = answer.send(parts.reload(by).await);
            }
        }
    }
    drain((mail, doors), (rest, rooms)).await;
    store.commit(Change::Note, Actor::System, Event::Stopped { boot: store.boot() }).await?;
    tracing::info!("stopped");
    drop(desk);
    drop(parts);
    store.close().await;
    Ok(())
}

async fn started(store: &Store) -> Result<(), StartError> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    store.commit(Change::Note, Actor::System, Event::Started { version, boot: store.boot() }).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), boot = store.boot(), "ready");
    tell_systemd(&[NotifyState::Ready]);
    Ok(())
}

/// Mail stops first: whoever was answered 250 is kept already, whatever happens to the rest.
async fn drain(mail: (CancellationToken, TaskTracker), rest: (CancellationToken, TaskTracker)) {
    tracing::info!("draining");
    tell_systemd(&[NotifyState::Stopping]);
    for (token, tracker) in [mail, rest] {
        token.cancel();
        tracker.close();
        if tokio::time::timeout(DRAIN + listener::DRAIN, tracker.wait()).await.is_err() {
            tracing::warn!("some work did not end in time, and is cut; nothing that was accepted is lost");
        }
    }
}

/// Every config that comes into force is kept under its digest, and is part of the log.
async fn keep_config(store: &Store, loaded: &Loaded, by: Actor) -> Result<(), StartError> {
    let text = Evidence::new(store.clone()).seal_config(&loaded.text, store.clock().now())?;
    let event = Event::ConfigLoaded { config: text.digest };
    store.commit(Change::ConfigLoaded(text), by, event).await?;
    Ok(())
}

/// Who may send no longer, or again, is part of the log, with the name of whoever changed it.
async fn note_clients(store: &Store, (old, new): (&[Client], &[Client]), by: &Actor) -> Result<(), StartError> {
    for client in new {
        let before = old.iter().any(|old| old.name == client.name && old.suspended);
        let name = client.name.clone();
        let event = match (before, client.suspended) {
            (false, true) => Event::ClientSuspended { client: name },
            (true, false) => Event::ClientResumed { client: name },
            (true, true) | (false, false) => continue,
        };
        store.commit(Change::Note, by.clone(), event).await?;
    }
    Ok(())
}

/// What the accounts name things by: the same after each start, and on each node of one store.
fn accounts_key(store: &Store) -> Key {
    Key::new(store.vault().keyed_hash("accounts", b"").0)
}

impl Parts {
    fn build(
        path: PathBuf,
        loaded: &Loaded,
        (store, queue): (&Store, &Queue),
        checks: watch::Receiver<Vec<FailedCheck>>,
    ) -> Result<Parts, StartError> {
        let config = &loaded.config;
        let clock = Arc::clone(store.clock());
        let accounts = Arc::new(Accounts::new(
            config.clients.clone(),
            Lockout::of(&config.limits),
            accounts_key(store),
            Arc::clone(&clock),
        )?);
        let evidence = Evidence::new(store.clone());
        let rooms = intake::Rooms { queue: queue.clone(), evidence: evidence.clone(), clock: Arc::clone(&clock) };
        let intake = Arc::new(Intake::new(rooms, decided_by(store, loaded)));
        let rooms = notice::Rooms { queue: queue.clone(), evidence, store: store.clone(), clock: Arc::clone(&clock) };
        let doors = listener::Rooms {
            accounts: Arc::clone(&accounts),
            intake: Arc::clone(&intake),
            clock: Arc::clone(&clock),
            disk: disk_check(config),
        };
        let shared = Shared::new(config, doors);
        let courier = Courier::new(Arc::new(config.clone()), Arc::clone(&clock))?;
        Ok(Parts {
            path,
            store: store.clone(),
            clock,
            accounts,
            intake,
            shared: Arc::new(shared),
            notices: Arc::new(Notices::new(rooms, config, checks)),
            tls: Arc::new(tls::Server::load(&config.tls, &config.clients)?),
            couriers: watch::Sender::new(Arc::new(courier)),
            config: watch::Sender::new(loaded.digest),
            running: config.clone(),
            clients: config.clients.clone(),
        })
    }

    /// Takes a new config, or keeps the old one and says what is wrong with the new.
    async fn reload(&mut self, by: Actor) -> Result<(), Failure> {
        tell_systemd(&[NotifyState::Reloading, monotonic()]);
        let result = self.take_config(by).await;
        match &result {
            Ok(()) => tracing::info!("the new config is in force"),
            Err(failure) => {
                tracing::error!(config.error = %failure, "the new config is wrong; the old one stays in force");
            }
        }
        tell_systemd(&[NotifyState::Ready]);
        result
    }

    async fn take_config(&mut self, by: Actor) -> Result<(), Failure> {
        let loaded = read_config(&self.path).map_err(wrong)?;
        let config = &loaded.config;
        tried_out(config).await?;
        // Everything that can fail comes first, so that no half of a config is ever in force.
        let courier = Courier::new(Arc::new(config.clone()), Arc::clone(&self.clock))
            .map_err(|error| Failure::Config(format!("[delivery]: {error}")))?;
        let tls =
            tls::Server::load(&config.tls, &config.clients).map_err(|error| Failure::Config(error.to_string()))?;
        let unavailable = |error: StartError| Failure::Unavailable(error.to_string());
        keep_config(&self.store, &loaded, by.clone()).await.map_err(unavailable)?;
        note_clients(&self.store, (&self.clients, &config.clients), &by).await.map_err(unavailable)?;
        self.clients.clone_from(&config.clients);
        self.tls.replace(&tls);
        self.accounts.reload(config.clients.clone(), Lockout::of(&config.limits));
        self.intake.reload(decided_by(&self.store, &loaded));
        self.shared.reload(config);
        self.notices.reload(config);
        self.couriers.send_replace(Arc::new(courier));
        self.config.send_replace(loaded.digest);
        self.warn_of_restart(config);
        Ok(())
    }

    fn warn_of_restart(&self, new: &Config) {
        let waiting = waiting_for_restart(&self.running, new).join(", ");
        if !waiting.is_empty() {
            tracing::warn!(config.keys = waiting, "some of what changed comes into force with a restart: {waiting}");
        }
    }
}

/// What differs and is built once, at the start.
fn waiting_for_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("server.data_dir", old.server.data_dir != new.server.data_dir),
        ("server.master_key", old.server.master_key != new.server.master_key),
        ("[[listener]]", old.listeners != new.listeners),
        ("limits.memory_bytes", old.limits.memory_bytes != new.limits.memory_bytes),
        ("limits.disk_reserve_bytes", old.limits.disk_reserve_bytes != new.limits.disk_reserve_bytes),
        ("[queue]", old.queue != new.queue),
        ("[database]", old.database.url != new.database.url),
        ("database.body_file_bytes", old.database.body_file_bytes != new.database.body_file_bytes),
        ("[retention]", old.retention != new.retention),
        ("[http]", old.http != new.http),
        ("[log]", old.log != new.log),
    ];
    changed.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

fn decided_by<'a>(store: &Store, loaded: &'a Loaded) -> intake::Loaded<'a> {
    let directory = Directory::new(store.clone(), &loaded.config.routes);
    intake::Loaded { config: &loaded.config, digest: loaded.digest, directory }
}

/// Runs the policy tests that a config names, away from the threads that take mail.
async fn tried_out(config: &Config) -> Result<(), Failure> {
    let config = config.clone();
    match tokio::task::spawn_blocking(move || intake::trial::try_out(&config)).await {
        Ok(result) => result.map_err(Failure::Config),
        Err(_) => Err(Failure::Unavailable("the policy tests ended badly".to_owned())),
    }
}

fn wrong(error: ConfigError) -> Failure {
    match error {
        ConfigError::Read(error) => Failure::Config(format!("the config cannot be read: {error}")),
        ConfigError::Mistakes(mistakes) => {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Failure::Config(lines.join("; "))
        }
    }
}

async fn open_doors(parts: &Parts, doors: &TaskTracker, mail: &CancellationToken) -> Result<(), StartError> {
    for wanted in &parts.running.listeners {
        let bound = listener::bind(wanted).await?;
        tracing::info!(listener.role = wanted.role().name(), listener.bind = %wanted.bind, "listening");
        doors.spawn(bound.serve(Arc::clone(&parts.tls), Arc::clone(&parts.shared), mail.clone()));
    }
    Ok(())
}

fn start_rooms(parts: &Parts, desk: &Desk, rooms: &TaskTracker, rest: &CancellationToken) {
    let directory = Directory::new(parts.store.clone(), &parts.running.routes);
    let worker = delivery::Desk { queue: desk.queue.clone(), evidence: desk.evidence.clone(), directory };
    rooms.spawn(delivery::run(worker, parts.couriers.subscribe(), rest.clone()));
    let (notices, until) = (Arc::clone(&parts.notices), rest.clone());
    rooms.spawn(async move { notices.run(until).await });
    rooms.spawn(retention::run(parts.store.clone(), parts.running.retention.clone(), rest.clone()));
    rooms.spawn(accounts::keep_refusals(Arc::clone(&parts.accounts), parts.store.clone(), rest.clone()));
    rooms.spawn(measure(desk.queue.clone(), rest.clone()));
}

/// Opens the operator's door and the one for monitoring.
async fn open_house(
    parts: &Parts,
    desk: &Arc<Desk>,
    metrics: Metrics,
    (rooms, rest): (&TaskTracker, &CancellationToken),
) -> Result<(), StartError> {
    let socket = parts.running.server.data_dir.join(control::SOCKET);
    let listener =
        control::bind(&socket).map_err(|error| StartError::Io { what: socket.display().to_string(), error })?;
    rooms.spawn(control::serve(listener, Arc::clone(desk), rest.clone()));
    open_pages(parts, desk, (rooms, rest)).await?;
    let Some(bind) = parts.running.http.bind else { return Ok(()) };
    let http = wellknown::bind(bind)
        .await
        .map_err(|error| StartError::Io { what: format!("[http] cannot listen on {bind}"), error })?;
    let disk = disk_check(&parts.running);
    let answers = Answers {
        ready: Arc::new(move || match disk() {
            Disk::Enough => Readiness::Ready,
            Disk::Short => Readiness::NotReady("the disk is nearly full; new mail is answered 4xx".to_owned()),
        }),
        metrics: Arc::new(move || metrics.render()),
    };
    let until = rest.clone();
    rooms.spawn(async move {
        if let Err(error) = wellknown::serve(http, answers, until).await {
            tracing::error!(http.error = %error, "monitoring is no longer answered");
        }
    });
    Ok(())
}

/// Opens the door at which senders take messages back.
async fn open_pages(
    parts: &Parts,
    desk: &Arc<Desk>,
    (rooms, rest): (&TaskTracker, &CancellationToken),
) -> Result<(), StartError> {
    let Some(bind) = parts.running.http.public_bind else { return Ok(()) };
    let socket = wellknown::bind(bind)
        .await
        .map_err(|error| StartError::Io { what: format!("[http] cannot listen on {bind}"), error })?;
    let pages = wellknown::Pages::new(desk.queue.clone(), desk.evidence.clone(), Arc::clone(&parts.clock));
    let until = rest.clone();
    rooms.spawn(async move {
        if let Err(error) = wellknown::serve_pages(socket, pages, until).await {
            tracing::error!(http.error = %error, "no message can be taken back by its link any more");
        }
    });
    Ok(())
}

/// Keeps the gauges of what waits.
async fn measure(queue: Queue, until: CancellationToken) {
    loop {
        match queue.counts().await {
            Ok(counts) => {
                metrics::gauge!("sealpost_jobs", "state" => "queued").set(jobs(counts.queued));
                metrics::gauge!("sealpost_jobs", "state" => "held").set(jobs(counts.held));
                metrics::gauge!("sealpost_jobs_balanced").set(if counts.are_balanced() { 1.0 } else { 0.0 });
            }
            Err(error) => tracing::warn!(store.error = %error, "the queue could not be counted"),
        }
        tokio::select! {
            () = until.cancelled() => return,
            () = tokio::time::sleep(MEASURE) => {}
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; 2^53 jobs are out of reach")]
fn jobs(count: i64) -> f64 {
    count as f64
}

fn disk_check(config: &Config) -> DiskCheck {
    let folder = config.server.data_dir.clone();
    let reserve = config.limits.disk_reserve_bytes;
    Box::new(move || if free_bytes(&folder).is_some_and(|free| free < reserve) { Disk::Short } else { Disk::Enough })
}

/// What is free for us. A disk that cannot be asked will say so when it is written to.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let about = statvfs(folder).ok()?;
    about.blocks_available().checked_mul(about.fragment_size())
}

fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(notify.error = %error, "the service manager could not be told");
    }
}

/// systemd wants the time with RELOADING=1 (sd_notify(3)).
fn monotonic() -> NotifyState<'static> {
    NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Status("reloading"))
}
