//! Where submissions come in: the sockets, how many there may be, and the way from a connection to the intake.

mod admission;
mod arrival;
mod connection;
mod happening;
mod known;
mod memory;
mod rates;
mod room;
mod watch;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::{self, Config, Limits};
use crate::intake::Intake;
use crate::mail::{ClientName, Envelope, Message, MessageId, Peer, Reply, Role};
use crate::net::tls;
use crate::queue::{Decided, Receipt};
use crate::smtp::Settings;

pub use happening::{Happening, Heard, Tone, Verb, Why};
pub use watch::{Seen, Told, Watch, Watching, Who};

use admission::{Quota, Turned};
use arrival::Origin;
use connection::Connection;
use known::Known;
use memory::Memory;
use rates::{Claim, Rates};
use room::Occupancy;

/// How long connections may take to finish their message once the house closes.
pub const DRAIN: Duration = Duration::from_secs(60);
/// Connections of proxies that have not yet said whose they are; a proxy says it at once.
const MAX_UNNAMED: usize = 1024;
/// How much is said of those who are turned away: the counter in the metrics has them all.
const WORDS: Claim = Claim { rate: config::Rate { count: 60, per: Duration::from_secs(60) }, count: 1 };
/// How long the loop rests when the system gives it no connection (out of file descriptors).
const REST: Duration = Duration::from_millis(100);

/// Who takes messages. One thing does; tests put another in its place.
pub trait Accepts: fmt::Debug + Send + Sync + 'static {
    /// Says that the message is kept. The 250 is built from one, so it cannot come early.
    type Receipt: Send + 'static;

    fn accept(
        &self,
        envelope: Envelope,
        message: Message,
        peer: Peer,
    ) -> impl Future<Output = Result<Self::Receipt, Refused>> + Send;

    fn id(receipt: &Self::Receipt) -> MessageId;

    fn decided(receipt: &Self::Receipt) -> Decided;
}

/// What is answered when a message is not taken, and why, for those who watch.
#[derive(Clone, Debug)]
pub struct Refused {
    pub reply: Reply,
    pub why: Why,
}

impl Accepts for Intake {
    type Receipt = Receipt;

    async fn accept(&self, envelope: Envelope, message: Message, peer: Peer) -> Result<Receipt, Refused> {
        let kept = Intake::accept(self, envelope, message, peer).await;
        kept.map_err(|refusal| Refused { reply: refusal.reply(), why: Why::of(&refusal) })
    }

    fn id(receipt: &Receipt) -> MessageId {
        receipt.id()
    }

    fn decided(receipt: &Receipt) -> Decided {
        receipt.decided()
    }
}

/// Whether the disk has room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Enough,
    /// Less than `limits.disk_reserve_bytes` are free.
    Short,
}

/// How the disk is asked.
pub type DiskCheck = Box<dyn Fn() -> Disk + Send + Sync>;

/// The rooms behind the listeners.
pub struct Rooms<A = Intake> {
    pub accounts: Arc<Accounts>,
    pub intake: Arc<A>,
    pub clock: Arc<dyn Clock>,
    pub disk: DiskCheck,
}

/// What all listeners have in common.
pub struct Shared<A = Intake> {
    accounts: Arc<Accounts>,
    intake: Arc<A>,
    clock: Arc<dyn Clock>,
    disk: DiskCheck,
    rules: RwLock<Arc<Rules>>,
    memory: Memory,
    occupancy: Occupancy,
    /// How fast clients send, and neighbours connect.
    quotas: Rates<Quota>,
    knocks: Rates<IpAddr>,
    /// How much the log says of whoever is turned away.
    words: Rates<()>,
    unsaid: AtomicU64,
    watch: Arc<Watch>,
}

/// What a connection goes by. It keeps those that it began with.
#[derive(Debug)]
struct Rules {
    settings: Arc<Settings>,
    limits: Limits,
    rates: HashMap<ClientName, config::Rates>,
    known: HashMap<ClientName, Known>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {bind}: {source}")]
    Bind { bind: SocketAddr, source: io::Error },
}

impl Rules {
    fn of(config: &Config) -> Rules {
        let rates = config.clients.iter().map(|client| (client.name.clone(), client.rates));
        let known = config.clients.iter().map(|client| (client.name.clone(), Known::of(client)));
        Rules {
            settings: Arc::new(Settings::of(config)),
            limits: config.limits.clone(),
            rates: rates.collect(),
            known: known.collect(),
        }
    }
}

impl<A: Accepts> Shared<A> {
    pub fn new(config: &Config, rooms: Rooms<A>) -> Shared<A> {
        Shared::with(Rules::of(config), rooms)
    }

    fn with(rules: Rules, rooms: Rooms<A>) -> Shared<A> {
        let Rooms { accounts, intake, clock, disk } = rooms;
        Shared {
            accounts,
            intake,
            watch: Arc::new(Watch::new(clock.clone())),
            clock,
            disk,
            memory: Memory::new(rules.limits.memory_bytes),
            rules: RwLock::new(Arc::new(rules)),
            occupancy: Occupancy::default(),
            quotas: Rates::default(),
            knocks: Rates::default(),
            words: Rates::default(),
            unsaid: AtomicU64::new(0),
        }
    }

    /// Where to see what clients do.
    pub fn watch(&self) -> Arc<Watch> {
        self.watch.clone()
    }

    /// Takes a new config for the connections to come. How much memory there is stays as it was at the start.
    pub fn reload(&self, config: &Config) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rules::of(config));
    }

    /// Counts whoever is turned away, and says it as long as it is not too many: a crowd at the door must not fill the disk
    /// with log lines.
    fn tell_of(&self, (peer_ip, refused): (IpAddr, &'static str), why: &dyn fmt::Display) {
        counter!("sealpost_connections_refused_total", "reason" => refused).increment(1);
        match self.words.take([((), WORDS)], self.clock.now()) {
            Ok(()) => {
                let unsaid = self.unsaid.swap(0, Ordering::Relaxed);
                warn!(peer.ip = %peer_ip, connection.refused = refused, connections.unsaid = unsaid, "{why}");
            }
            Err(_) => drop(self.unsaid.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<A> fmt::Debug for Rooms<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

impl<A> fmt::Debug for Shared<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("occupancy", &self.occupancy).finish_non_exhaustive()
    }
}

/// A socket that listens and does not yet answer.
#[derive(Debug)]
pub struct Bound {
    listener: Arc<config::Listener>,
    socket: TcpListener,
}

/// Takes the port, so that a start with a port in use fails before anything else begins.
pub async fn bind(listener: &config::Listener) -> Result<Bound, ListenError> {
    let bind = listener.bind;
    let socket = TcpListener::bind(bind).await.map_err(|source| ListenError::Bind { bind, source })?;
    Ok(Bound { listener: Arc::new(listener.clone()), socket })
}

/// Listens until `drain`, and then until the messages in hand are done.
pub async fn serve<A: Accepts>(
    listener: config::Listener,
    tls: Arc<tls::Server>,
    shared: Arc<Shared<A>>,
    drain: CancellationToken,
) -> Result<(), ListenError> {
    bind(&listener).await?.serve(tls, shared, drain).await;
    Ok(())
}

impl Bound {
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until `drain`, and then waits for the messages in hand.
    pub async fn serve<A: Accepts>(self, tls: Arc<tls::Server>, shared: Arc<Shared<A>>, drain: CancellationToken) {
        let Bound { listener, socket } = self;
        let role = listener.role();
        let unnamed = Arc::new(Semaphore::new(MAX_UNNAMED));
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                () = drain.cancelled() => break,
                Some(ended) = open.join_next() => told(ended),
                accepted = socket.accept() => match accepted {
                    Ok((stream, address)) => {
                        let knock = Knock { stream, listener: listener.clone(), shared: shared.clone() };
                        if arrival::is_proxy(&listener, address) {
                            if let Some(turn) = knock.turn(&unnamed, address) {
                                open.spawn(knock.behind_proxy((address, turn), tls.clone(), drain.clone()));
                            }
                        } else if let Some(connection) = knock.admit(Origin::direct(address)) {
                            open.spawn(connection.run(tls.clone(), drain.clone()));
                        }
                    }
                    Err(error) => {
                        warn!(listener.role = role.name(), socket.error = %error, "no connection could be accepted");
                        tokio::time::sleep(REST).await;
                    }
                },
            }
        }
        drop(socket);
        finish(open).await;
        info!(listener.role = role.name(), "listener closed");
    }
}

/// Somebody at the door.
struct Knock<A> {
    stream: TcpStream,
    listener: Arc<config::Listener>,
    shared: Arc<Shared<A>>,
}

impl<A: Accepts> Knock<A> {
    /// Beyond so many, the proxy does not say whose they are, and nobody waits for it.
    fn turn(&self, unnamed: &Arc<Semaphore>, proxy: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let turn = unnamed.clone().try_acquire_owned().ok();
        if turn.is_none() {
            self.shared.tell_of((proxy.ip().to_canonical(), "proxy_unnamed"), &"connection turned away");
        }
        turn
    }

    /// Hears from the proxy who it is, and goes on with that.
    async fn behind_proxy(
        mut self,
        (proxy, turn): (SocketAddr, OwnedSemaphorePermit),
        tls: Arc<tls::Server>,
        drain: CancellationToken,
    ) {
        let named = tokio::select! {
            () = drain.cancelled() => return,
            named = Origin::proxied(&mut self.stream, proxy) => named,
        };
        drop(turn);
        match named {
            Ok(origin) => {
                if let Some(connection) = self.admit(origin) {
                    connection.run(tls, drain).await;
                }
            }
            Err(fault) => {
                let proxy_ip = proxy.ip().to_canonical();
                let watched = self.shared.watch.connection(self.listener.role(), proxy_ip);
                watched.tell(|| Happening::NotNamed(fault.to_string()));
                self.shared.tell_of((proxy_ip, "proxy_header"), &fault);
            }
        }
    }

    /// Lets a connection in, or turns it away with the reason.
    fn admit(self, origin: Origin) -> Option<Connection<A>> {
        let Knock { stream, listener, shared } = self;
        let rules = shared.rules();
        let peer_ip = origin.ip();
        let mut watched = shared.watch.connection(listener.role(), peer_ip);
        match shared.enter((&listener, &origin), &rules) {
            Ok((place, visitor)) => {
                counter!("sealpost_connections_total", "role" => listener.role().name()).increment(1);
                // Without this, the reply to each command waits for the acknowledgement of the one before.
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(peer.ip = %peer_ip, socket.error = %error, "TCP_NODELAY cannot be set");
                }
                watched.who = visitor.as_ref().map_or(Who::Stranger, |visitor| Who::Visitor(visitor.name.clone()));
                watched.tell(|| Happening::Connected);
                Some(Connection { stream, listener, origin, visitor, place, rules, shared, watched })
            }
            Err(turned) => {
                shared.tell_of((peer_ip, turned.name()), &"connection turned away");
                watched.tell(|| Happening::TurnedAway(turned.reply()));
                turn_away(&stream, listener.role(), turned);
                None
            }
        }
    }
}

/// One try to say why, which waits for nobody. Before a handshake of TLS nothing can be said.
fn turn_away(stream: &TcpStream, role: Role, turned: Turned) {
    match role {
        Role::Submission | Role::Relay | Role::Legacy => drop(stream.try_write(&turned.reply().to_wire())),
        Role::Submissions => {}
    }
}

async fn finish(mut open: JoinSet<()>) {
    let all = async {
        while let Some(ended) = open.join_next().await {
            told(ended);
        }
    };
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        warn!(connections.count = open.len(), "connections were cut, their time to finish is over");
        open.shutdown().await;
    }
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        // What a panic says may quote what it choked on.
        error!(connection.panicked = error.is_panic(), "a connection ended by a fault of ours");
    }
}

#[cfg(test)]
mod tests;
