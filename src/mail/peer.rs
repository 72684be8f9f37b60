//! Who is submitting: where they connected, how that is protected, and as whom they logged in.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::phi::Phi;

/// What a listener is for, which decides what it demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// RFC 6409: STARTTLS, then AUTH.
    Submission,
    /// RFC 8314: TLS from the first byte, then AUTH.
    Submissions,
}

impl Role {
    pub const fn name(self) -> &'static str {
        match self {
            Role::Submission => "submission",
            Role::Submissions => "submissions",
        }
    }
}

/// The name of a `[[client]]` in the config.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientName(pub String);

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was negotiated on a connection that carries TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSession {
    /// As in `TLSv1.3`.
    pub version: String,
    /// The IANA name of the suite.
    pub suite: String,
}

/// The submitting side of one connection, as the door saw it.
#[derive(Clone, Debug)]
pub struct Peer {
    pub role: Role,
    pub address: SocketAddr,
    /// The peer's own words after EHLO or HELO.
    pub helo: Phi<String>,
    pub tls: Option<TlsSession>,
    /// Set once AUTH has succeeded.
    pub client: Option<ClientName>,
}
