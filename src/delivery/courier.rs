//! What carries a message to a next hop under one config: resolver, TLS, kept connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, Timestamp};
use crate::config::{Config, Route, RouteLogin};
use crate::delivery::connection::{Connection, Link};
use crate::delivery::lanes::Limits;
use crate::delivery::pool::{Key, Pool};
use crate::delivery::tls;
use crate::delivery::troubles::Troubles;
use crate::keyring::KeyringError;
use crate::keyring::master::Surroundings;
use crate::keyring::password;
use crate::mail::{Address, Asked, Content, Domain, Message, Method, ReversePath, Utf8, Wishes};
use crate::net::tls::{Client, ClientError};
use crate::net::{LookupError, Resolver, mx};
use crate::smtp::client::{Answer, Login, Means, Parcel, Stage};
use crate::store::Destination;

/// Why nothing can be delivered under a config.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("the resolver is not ready: {0}")]
    Resolver(#[from] LookupError),
    #[error(transparent)]
    Tls(#[from] ClientError),
    #[error("the password of a route is not ready: {0}")]
    Password(#[from] KeyringError),
}

/// One per config: with a new config comes a new courier, and so an empty pool.
#[derive(Debug)]
pub struct Courier {
    pub(super) config: Arc<Config>,
    pub(super) resolver: Resolver,
    pub(super) tls: Client,
    pub(super) pool: Pool,
    logins: HashMap<RouteLogin, Login>,
    pub(super) troubles: Arc<Troubles>,
    clock: Arc<dyn Clock>,
}

/// One message on its way to recipients of one domain.
#[derive(Clone, Debug)]
pub struct Consignment {
    pub sender: ReversePath,
    pub domain: Domain,
    /// Answered in this order.
    pub recipients: Vec<Address>,
    /// What the sender asked for each of them, in this order, and for all.
    pub wishes: Vec<Wishes>,
    pub asked: Asked,
    pub utf8: Utf8,
    pub method: Method,
    pub content: Content,
    pub message: Message,
}

/// The host that decided, and what was seen of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// Empty when none was found.
    pub host: String,
    pub address: Option<SocketAddr>,
    pub link: Link,
}

/// How an attempt went.
#[derive(Clone, Debug)]
pub struct Attempted {
    /// One for each recipient.
    pub answers: Vec<Answer>,
    /// The host that gave each answer.
    pub hops: Vec<Hop>,
    /// What is to be remembered of the destination from now on.
    pub seen: Option<Destination>,
    pub took: Duration,
}

/// Tries once. Bounded by the lease: what takes longer may already be somebody else's.
pub async fn attempt(courier: &Courier, consignment: &Consignment, known: Option<&Destination>) -> Attempted {
    let start = Instant::now();
    // Whether the whole message is out and its answer awaited.
    let given = AtomicBool::new(false);
    let sending = match consignment.method {
        Method::Tls(assurance) => tls::send(courier, consignment, (assurance, known), &given),
        Method::Pgp | Method::Smime | Method::Portal => {
            let words = format!("{} is not available on this installation", consignment.method);
            let answer = Answer::ours(Stage::Resolve, Means::Unfit, words);
            return Attempted::alike(consignment, answer, start.elapsed());
        }
    };
    let patience = courier.config.queue.lease * 2 / 3;
    match tokio::time::timeout(patience, Box::pin(sending)).await {
        Ok(sent) => Attempted { took: start.elapsed(), ..sent },
        Err(_) => {
            let means = if given.load(Ordering::Relaxed) { Means::Unanswered } else { Means::Later };
            let answer = Answer::ours(Stage::Content, means, "the attempt took longer than its lease allows");
            Attempted::alike(consignment, answer, start.elapsed())
        }
    }
}

impl Attempted {
    /// The same answer for everybody.
    pub(super) fn alike(consignment: &Consignment, answer: Answer, took: Duration) -> Attempted {
        let count = consignment.recipients.len();
        Attempted { answers: vec![answer; count], hops: vec![Hop::default(); count], seen: None, took }
    }
}

impl Courier {
    pub fn new(config: Arc<Config>, clock: Arc<dyn Clock>) -> Result<Courier, NotReady> {
        let resolver = Resolver::new(&config.dns)?;
        let tls = Client::load(&config, clock.clone())?;
        let logins = logins(&config)?;
        Ok(Courier { config, resolver, tls, pool: Pool::default(), logins, troubles: Arc::default(), clock })
    }

    /// What is to be mended at next hops.
    pub fn troubles(&self) -> &Arc<Troubles> {
        &self.troubles
    }

    pub(super) fn login(&self, of: &RouteLogin) -> Option<&Login> {
        self.logins.get(of)
    }

    /// The config that is in force as long as this courier is.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn limits(&self) -> Limits {
        let delivery = &self.config.delivery;
        Limits { total: delivery.connections, per_destination: delivery.connections_per_destination }
    }

    pub(super) fn route(&self, domain: &Domain) -> Option<&Route> {
        mx::route_for(domain, &self.config.routes)
    }

    /// Whose lane a domain's mail waits in: its route's host, or its own.
    pub(super) fn destination(&self, domain: &Domain) -> String {
        match self.route(domain) {
            Some(route) => format!("{}:{}", route.host, route.port),
            None => domain.to_string(),
        }
    }

    /// One transaction: an answer for each recipient. A host that once did not know the BDAT it offers is sent DATA.
    pub(super) async fn carry(
        &self,
        connection: &mut Connection,
        parcel: &Parcel<'_>,
        given: &AtomicBool,
    ) -> Vec<Answer> {
        if self.pool.takes_no_chunks(connection.address, self.now()) {
            connection.without_chunks();
        }
        let answers = connection.carry(parcel, &self.config.delivery, given).await;
        if connection.misunderstood() {
            self.pool.did_not_take_a_chunk(connection.address, self.now());
        }
        answers
    }

    /// Keeps a connection for the next message, if it is worth it.
    pub(super) fn keep(&self, key: Key, connection: Connection) {
        let delivery = &self.config.delivery;
        if !connection.is_usable() {
            return;
        }
        if connection.carried >= connection.most_transactions().min(delivery.messages_per_connection) {
            return self.pool.leave(connection);
        }
        self.pool.put(key, connection, (delivery.connections, self.now()));
    }

    /// Has hosts that did not answer, or refused a login, tried again at once.
    pub fn forget_the_dead(&self) {
        self.pool.forget_the_dead();
        self.troubles.try_at_once();
    }

    /// Says QUIT on what was idle for too long.
    pub(super) async fn sweep(&self) {
        part(self.pool.take_leaving(self.now().minus(self.config.delivery.idle))).await;
    }

    /// Says QUIT on everything that is idle.
    pub(super) async fn close(&self) {
        part(self.pool.take_leaving(self.now())).await;
    }
}

/// The passwords are read once, with the config.
fn logins(config: &Config) -> Result<HashMap<RouteLogin, Login>, KeyringError> {
    let surroundings = Surroundings::of_this_process();
    let read = |login: &RouteLogin| {
        let password = password::read(&surroundings, &login.password_file)?;
        Ok((login.clone(), Login::new(login.name.clone(), password)))
    };
    config.routes.iter().filter_map(|route| route.login.as_ref()).map(read).collect()
}

async fn part(connections: Vec<Connection>) {
    let mut quits: tokio::task::JoinSet<()> = connections.into_iter().map(Connection::quit).collect();
    while quits.join_next().await.is_some() {}
}
