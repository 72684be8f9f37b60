//! Where submissions come in: the sockets, how many there may be, and the way from a connection to the intake.

mod connection;
mod room;
mod wire;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::accounts::Accounts;
use crate::config::{self, Config, Limits};
use crate::intake::Intake;
use crate::mail::{Envelope, LineEnds, Message, MessageId, Peer, Reply, Role};
use crate::net::tls;
use crate::queue::Receipt;
use crate::smtp::Settings;

use connection::Connection;
use room::{Crowded, Memory, Occupancy};

/// How long connections may take to finish their message once the house closes.
pub const DRAIN: Duration = Duration::from_secs(60);
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
    ) -> impl Future<Output = Result<Self::Receipt, Reply>> + Send;

    fn id(receipt: &Self::Receipt) -> MessageId;
}

impl Accepts for Intake {
    type Receipt = Receipt;

    async fn accept(&self, envelope: Envelope, message: Message, peer: Peer) -> Result<Receipt, Reply> {
        Intake::accept(self, envelope, message, peer).await.map_err(|refusal| refusal.reply())
    }

    fn id(receipt: &Receipt) -> MessageId {
        receipt.id()
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

/// What all listeners have in common.
pub struct Shared<A = Intake> {
    accounts: Arc<Accounts>,
    intake: Arc<A>,
    disk: DiskCheck,
    rules: RwLock<Arc<Rules>>,
    memory: Memory,
    occupancy: Occupancy,
}

/// What a connection goes by. It keeps those that it began with.
#[derive(Debug)]
struct Rules {
    settings: Arc<Settings>,
    limits: Limits,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {bind}: {source}")]
    Bind { bind: SocketAddr, source: io::Error },
}

impl Rules {
    fn of(config: &Config) -> Rules {
        Rules { settings: Arc::new(Settings::of(config)), limits: config.limits.clone() }
    }
}

impl<A: Accepts> Shared<A> {
    pub fn new(config: &Config, accounts: Arc<Accounts>, intake: Arc<A>, disk: DiskCheck) -> Shared<A> {
        Shared {
            accounts,
            intake,
            disk,
            rules: RwLock::new(Arc::new(Rules::of(config))),
            memory: Memory::new(config.limits.memory_bytes),
            occupancy: Occupancy::default(),
        }
    }

    /// Takes a new config for the connections to come. How much memory there is stays as it was at the start.
    pub fn reload(&self, config: &Config) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rules::of(config));
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
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
    role: Role,
    line_ends: LineEnds,
    socket: TcpListener,
}

/// Takes the port, so that a start with a port in use fails before anything else begins.
pub async fn bind(listener: &config::Listener) -> Result<Bound, ListenError> {
    let config::Listener { role, bind, line_ends } = *listener;
    let socket = TcpListener::bind(bind).await.map_err(|source| ListenError::Bind { bind, source })?;
    Ok(Bound { role, line_ends, socket })
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
        let Bound { role, line_ends, socket } = self;
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                () = drain.cancelled() => break,
                Some(ended) = open.join_next() => told(ended),
                accepted = socket.accept() => match accepted {
                    Ok((stream, address)) => {
                        if let Some(connection) = admit((stream, address), (role, line_ends), &shared) {
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

/// Lets a connection in, or turns it away with the reason.
fn admit<A: Accepts>(
    (stream, address): (TcpStream, SocketAddr),
    (role, line_ends): (Role, LineEnds),
    shared: &Arc<Shared<A>>,
) -> Option<Connection<A>> {
    let rules = shared.rules();
    let peer_ip = address.ip().to_canonical();
    match shared.occupancy.enter(peer_ip, &rules.limits) {
        Ok(place) => {
            counter!("sealpost_connections_total", "role" => role.name()).increment(1);
            // Without this, the reply to each command waits for the acknowledgement of the one before.
            if let Err(error) = stream.set_nodelay(true) {
                warn!(peer.ip = %peer_ip, socket.error = %error, "TCP_NODELAY cannot be set");
            }
            Some(Connection { stream, role, line_ends, address, place, rules, shared: shared.clone() })
        }
        Err(crowded) => {
            counter!("sealpost_connections_refused_total", "reason" => crowded.name()).increment(1);
            warn!(peer.ip = %peer_ip, connection.refused = crowded.name(), "connection turned away");
            turn_away(&stream, role, crowded);
            None
        }
    }
}

/// One try to say why, which waits for nobody. Before a handshake of TLS nothing can be said.
fn turn_away(stream: &TcpStream, role: Role, crowded: Crowded) {
    match role {
        Role::Submission => drop(stream.try_write(&crowded.reply().to_wire())),
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
