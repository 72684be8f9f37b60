//! Shows an operator what clients do, as they do it: whose a connection is, as far as that is known, and what to do.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::config::Client;
use crate::control::{Desk, Failure};
use crate::listener::{Happening, Seen, Told, Tone, Who};
use crate::mail::ClientName;

/// What is to be shown, and for how long.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// This client, and those who may be it; none is everybody.
    pub(super) client: Option<ClientName>,
    pub(super) within: Option<Duration>,
    pub(super) count: Option<u64>,
}

/// How a connection came to be taken for a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KnownBy {
    Login,
    /// The user name of a login that failed.
    TriedLogin,
    /// The client's `networks`, which are all that it needs.
    Networks,
    /// It showed a certificate of the client.
    Certificate,
    /// It comes from the `networks` of one client only, which has yet to log in.
    LikelyNetworks,
}

impl KnownBy {
    const fn name(self) -> &'static str {
        match self {
            KnownBy::Login => "login",
            KnownBy::TriedLogin => "tried_login",
            KnownBy::Networks => "networks",
            KnownBy::Certificate => "certificate",
            KnownBy::LikelyNetworks => "likely_networks",
        }
    }
}

impl Desk {
    /// Goes on until the time is up, enough was shown, or the caller goes away.
    pub(super) async fn watch(&self, asked: Asked, rows: &mpsc::Sender<Value>) -> Result<(), Failure> {
        match asked.within {
            // That the time is up is no failure.
            Some(within) => tokio::time::timeout(within, self.show_happenings(&asked, rows)).await.unwrap_or(Ok(())),
            None => self.show_happenings(&asked, rows).await,
        }
    }

    async fn show_happenings(&self, asked: &Asked, rows: &mpsc::Sender<Value>) -> Result<(), Failure> {
        let Some(daemon) = &self.daemon else {
            return Err(Failure::Unavailable("no daemon runs here that could be watched".to_owned()));
        };
        let busy = || Failure::Unavailable("as many watch already as may".to_owned());
        let mut watching = daemon.watch.begin().ok_or_else(busy)?;
        let gone = |_| Failure::Unavailable("the caller went away".to_owned());
        rows.send(json!({ "watching": asked.client })).await.map_err(gone)?;
        let mut left = asked.count;
        while left != Some(0) {
            let row = match watching.next().await {
                None => return Err(Failure::Unavailable("the daemon is closing".to_owned())),
                Some(Told::Missed(missed)) => json!({ "missed": missed }),
                Some(Told::Seen(seen)) => {
                    // Taken anew each time: a client may be added, or its networks changed, while it is watched.
                    let courier = daemon.couriers.borrow().clone();
                    let clients = &courier.config().clients;
                    if !is_asked_for(&seen, asked.client.as_ref(), clients) {
                        continue;
                    }
                    left = left.map(|left| left - 1);
                    row(&seen, clients)
                }
            };
            rows.send(row).await.map_err(gone)?;
        }
        Ok(())
    }
}

/// A stranger is shown with the client that it may be: one from the client's networks, or, where the client names none,
/// one from nobody else's.
fn is_asked_for(seen: &Seen, wanted: Option<&ClientName>, clients: &[Client]) -> bool {
    let Some(wanted) = wanted else { return true };
    if let Some(client) = seen.who.client() {
        return client == wanted;
    }
    let mut bound = clients.iter().filter(|client| !client.networks.is_empty());
    match bound.clone().find(|client| client.name == *wanted) {
        Some(client) => is_from(client, seen.peer),
        None => !bound.any(|client| is_from(client, seen.peer)),
    }
}

fn is_from(client: &Client, peer: IpAddr) -> bool {
    client.comes_from(peer)
}

fn whose<'a>(seen: &'a Seen, clients: &'a [Client]) -> Option<(&'a ClientName, KnownBy)> {
    match &seen.who {
        Who::LoggedIn(client) => Some((client, KnownBy::Login)),
        Who::Visitor(client) => Some((client, KnownBy::Networks)),
        Who::Certified(client) => Some((client, KnownBy::Certificate)),
        Who::Tried(client) => Some((client, KnownBy::TriedLogin)),
        Who::Stranger => {
            let mut near = clients.iter().filter(|client| is_from(client, seen.peer));
            match (near.next(), near.next()) {
                (Some(only), None) => Some((&only.name, KnownBy::LikelyNetworks)),
                (Some(_), Some(_)) | (None, _) => None,
            }
        }
    }
}

fn row(seen: &Seen, clients: &[Client]) -> Value {
    let whose = whose(seen, clients);
    let client = whose.map(|(client, _)| client);
    let message = match &seen.what {
        Happening::Taken(id, _) => Some(id),
        _ => None,
    };
    json!({
        "time": seen.at.rfc3339(),
        "connection": seen.connection,
        "listener": seen.role.name(),
        "peer": seen.peer,
        "client": client,
        "known_by": whose.map(|(_, by)| by.name()),
        "happening": seen.what.name(),
        "well": seen.what.tone() == Tone::Well,
        "message": message,
        "text": seen.what.tell(client),
        "advice": seen.what.advice(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::config;
    use crate::mail::Role;

    /// Clients with these names and networks, as a config says it.
    fn clients(named: &[(&str, &str)]) -> Vec<Client> {
        let mut text = include_str!("../../config/examples/clinic.toml").to_owned();
        for (name, networks) in named {
            let hash = "$argon2id$v=19$m=19456,t=2,p=1$writtenBy$sealpostClientPasswd";
            text.push_str(&format!(
                "[[client]]\nname = \"{name}\"\nlogin = \"{name}\"\npassword_hash = \"{hash}\"\n\
                 senders = [\"*@clinic.example\"]\nnetworks = [{networks}]\n"
            ));
        }
        config::parse(&text).unwrap().clients
    }

    fn seen(peer: &str, who: Who) -> Seen {
        Seen {
            at: Timestamp::from_millis(1_795_493_220_000),
            connection: 3,
            role: Role::Submission,
            peer: peer.parse().unwrap(),
            who,
            what: Happening::Connected,
        }
    }

    #[test]
    fn a_stranger_is_shown_to_whoever_watches_the_client_that_it_may_be() {
        let clients = clients(&[("lab", r#""10.0.0.0/24""#), ("ehr", ""), ("billing", r#""10.0.9.0/24""#)]);
        let asked = |peer: &str, who: Who, wanted: &str| {
            is_asked_for(&seen(peer, who), Some(&ClientName(wanted.into())), &clients)
        };
        assert!(asked("10.0.0.7", Who::Stranger, "lab"));
        assert!(!asked("10.0.1.7", Who::Stranger, "lab"));
        assert!(asked("10.0.1.7", Who::Stranger, "ehr"));
        assert!(!asked("10.0.9.7", Who::Stranger, "ehr"), "that is billing's network");
        let tried = Who::Tried(ClientName("ehr".into()));
        assert!(asked("10.0.9.7", tried.clone(), "ehr") && !asked("10.0.0.7", tried, "lab"));
        assert!(is_asked_for(&seen("192.0.2.1", Who::Stranger), None, &clients));
    }

    #[test]
    fn a_row_says_whose_it_is_and_how_that_is_known() {
        let clients = clients(&[("lab", r#""10.0.0.0/24""#), ("ehr", r#""10.0.0.0/16""#)]);
        let told = |peer: &str, who: Who| {
            let row = row(&seen(peer, who), &clients);
            (row["client"].clone(), row["known_by"].clone())
        };
        assert_eq!(told("10.0.1.7", Who::Stranger), (json!("ehr"), json!("likely_networks")));
        assert_eq!(told("10.0.0.7", Who::Stranger), (Value::Null, Value::Null), "it may be either");
        assert_eq!(told("192.0.2.1", Who::LoggedIn(ClientName("lab".into()))), (json!("lab"), json!("login")));
    }
}
