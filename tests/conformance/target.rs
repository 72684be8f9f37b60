//! The server that the cases are played against, and what the runner knows of it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_rustls::rustls::ClientConfig;

use crate::conformance::inbox::Inbox;
use crate::conformance::words::Words;

#[derive(Debug)]
pub struct Target {
    /// The port that starts in clear.
    pub address: SocketAddr,
    /// The port with TLS from the first octet.
    pub implicit: Option<SocketAddr>,
    /// The name that its certificate carries.
    pub name: String,
    pub tls: Arc<ClientConfig>,
    pub login: Option<Login>,
    pub from: String,
    /// One or two mailboxes that it takes mail for.
    pub to: Vec<String>,
    /// Where what it delivers arrives, if the runner can look there.
    pub inbox: Option<Inbox>,
    /// How long to wait for a reply.
    pub reply: Duration,
    /// How long it may let an idle or slow client hang on, for the cases about that.
    pub patience: Option<Duration>,
    /// For servers of our own that behave until the runner's part is over.
    pub begun: Begun,
}

#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl Target {
    pub fn words(&self, id: String) -> Words {
        let to = self.to.first().cloned().unwrap_or_default();
        let to2 = self.to.get(1).cloned().unwrap_or_else(|| match to.rsplit_once('@') {
            Some((local, domain)) => format!("{local}2@{domain}"),
            None => format!("{to}2"),
        });
        let login = self.login.clone().unwrap_or_else(|| Login { user: "nobody".into(), password: "none".into() });
        Words {
            from: self.from.clone(),
            to,
            to2,
            login: login.user,
            password: login.password,
            id,
            server: String::new(),
        }
    }

    /// Whether the target is such that a case makes sense: `login`, `sink`, `implicit`, `patience`.
    pub fn has(&self, need: &str) -> bool {
        match need {
            "login" => self.login.is_some(),
            "sink" => self.inbox.is_some(),
            "implicit" => self.implicit.is_some(),
            "patience" => self.patience.is_some(),
            _ => false,
        }
    }
}

/// The clients (by their port) whose case has begun its own part.
#[derive(Clone, Debug, Default)]
pub struct Begun(Arc<Mutex<HashSet<u16>>>);

impl Begun {
    pub fn tell(&self, port: u16) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
    }

    pub fn has(&self, port: u16) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&port)
    }
}
