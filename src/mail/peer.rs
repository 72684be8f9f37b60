//! Who is submitting: where they connected, how that is protected, and as whom they logged in.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::phi::Phi;

/// What a listener is for, which decides what it demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// RFC 6409: STARTTLS, then AUTH.
    Submission,
    /// RFC 8314: TLS from the first byte, then AUTH.
    Submissions,
    /// For servers that are known by their network.
    Relay,
    /// For devices that know no TLS, until a day that is set.
    Legacy,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Submission, Role::Submissions, Role::Relay, Role::Legacy];

    pub const fn name(self) -> &'static str {
        match self {
            Role::Submission => "submission",
            Role::Submissions => "submissions",
            Role::Relay => "relay",
            Role::Legacy => "legacy",
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
    pub arrival: Arrival,
}

/// How a client came in, beside its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arrival {
    pub protocol: Protocol,
    /// Which proxy told the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
}

/// RFC 5321 §2.2.1: HELO begins SMTP, EHLO the extended one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Smtp,
    #[default]
    Esmtp,
}

/// Who answers for a way in without TLS, and how long it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    pub owner: String,
    /// The beginning of its last day.
    pub until: Timestamp,
}

impl Quarantine {
    pub fn ends(&self) -> Timestamp {
        self.until.plus(Duration::from_hours(24))
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends()
    }
}
