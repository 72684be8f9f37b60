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

/// What a client has proved who it is by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// AUTH PLAIN or LOGIN: the password itself, under TLS.
    Password,
    /// SCRAM-SHA-256 (RFC 7677): that it knows the password, without sending it.
    Scram,
    /// SCRAM-SHA-256-PLUS: the same, and that nobody stands between it and us.
    ScramPlus,
    /// The certificate that it showed in the handshake of TLS.
    Certificate,
    /// Nothing but the network that it connects from.
    Network,
}

impl Proof {
    /// Whether it is one of what RFC 3848 calls authenticated: an address alone is not.
    pub const fn is_login(self) -> bool {
        match self {
            Proof::Password | Proof::Scram | Proof::ScramPlus | Proof::Certificate => true,
            Proof::Network => false,
        }
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
    /// Set once it is known who it is, and so is `proof`.
    pub client: Option<ClientName>,
    pub proof: Option<Proof>,
}
