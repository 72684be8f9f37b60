//! What is told of a new client: where its program connects to, and what it is known by.

use super::{NewClient, NewLogin};
use crate::config::{Config, Door, Listener};

/// What is typed into the program that sends.
pub(super) fn server(config: &Config, new: &NewClient) -> String {
    let ports: Vec<String> = config.listeners.iter().filter(|door| suits(door, new)).map(port).collect();
    let host = &config.server.hostname;
    if ports.is_empty() {
        return format!("{host}; no listener takes it yet, docs/operate/listeners.md says which it needs");
    }
    format!("{host}, {}", ports.join(", or "))
}

/// How it proves who it is, where it has no password to show.
pub(super) fn known_by(new: &NewClient) -> Option<String> {
    match new.login {
        NewLogin::AsNamed | NewLogin::Other(_) => None,
        NewLogin::Without if new.certificates.is_empty() => {
            Some(format!("its network, {}; it needs no password", new.networks.join(", ")))
        }
        NewLogin::Without => Some("its certificate, which it has to show; it needs no password".into()),
    }
}

/// Who is known by a network alone comes in where nobody has to log in, and who has more, where that counts.
fn suits(listener: &Listener, new: &NewClient) -> bool {
    let by_network = matches!(new.login, NewLogin::Without) && new.certificates.is_empty();
    match &listener.door {
        Door::Submission | Door::Submissions => !by_network,
        Door::Relay(_) => by_network,
        // Anybody else is turned away there.
        Door::Legacy(legacy) => {
            by_network && legacy.networks.iter().any(|network| new.networks.iter().any(|ours| within(network, ours)))
        }
    }
}

fn within(pinned: &ipnet::IpNet, written: &str) -> bool {
    let address = || written.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
    written
        .parse::<ipnet::IpNet>()
        .or_else(|_| address())
        .is_ok_and(|ours| ours.contains(pinned) || pinned.contains(&ours))
}

fn port(listener: &Listener) -> String {
    let tls = match listener.door {
        Door::Submission | Door::Relay(_) => "with STARTTLS",
        Door::Submissions => "with TLS",
        Door::Legacy(_) => "without TLS",
    };
    let through = if listener.proxy_from.is_empty() { "" } else { " through its load balancer" };
    format!("port {} {tls}{through}", listener.bind.port())
}
