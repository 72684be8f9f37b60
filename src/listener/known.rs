//! What of the config lets a client in. When that changes, whoever came in by it before has to come in again.

use std::fmt;

use ipnet::IpNet;

use crate::config::{Certified, Client, Login};

/// `Debug` shows nothing of it.
#[derive(PartialEq, Eq)]
pub(super) struct Known {
    login: Option<Login>,
    certificates: Vec<Certified>,
    networks: Vec<IpNet>,
    senders: Vec<String>,
    return_paths: Vec<String>,
}

impl Known {
    pub(super) fn of(client: &Client) -> Known {
        let Client { login, certificates, networks, senders, return_paths, .. } = client.clone();
        Known { login, certificates, networks, senders, return_paths }
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known")
    }
}
