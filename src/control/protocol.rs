//! What can be asked: one JSON line in, rows of JSON lines out, and a last line that says how it went.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::accounts::Unlock;
use crate::clock::Timestamp;
use crate::crypto::Digest;
use crate::mail::{ClientName, MessageId};

/// One request. Addresses travel in it as text: the socket is the machine's own, and is never logged. `Debug` shows none.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// Version, node, and how many recipients stand where.
    Status,
    /// Reads the config anew, as SIGHUP does.
    Reload,
    QueueList {
        client: Option<ClientName>,
        limit: u32,
    },
    QueueShow {
        message: MessageId,
    },
    QueueMove {
        step: Move,
        message: Option<MessageId>,
        client: Option<ClientName>,
        since: Option<Timestamp>,
    },
    Trace {
        find: Find,
    },
    Explain {
        message: MessageId,
    },
    /// What is remembered of the recipients' servers: `explain FILE` decides with it.
    Facts {
        recipients: Vec<String>,
    },
    /// The records of what a client, or everybody, has sent since: policy is tried on them. The first row says how many
    /// messages there may be.
    Records {
        client: Option<ClientName>,
        since: Timestamp,
        purpose: Purpose,
    },
    AuditList {
        message: Option<MessageId>,
        last: u32,
    },
    /// The rows of an export, each a line of the format in docs/reference/audit-format.md.
    AuditExport {
        message: Option<MessageId>,
    },
    /// Which messages had exactly one of these contents.
    AuditMatch {
        contents: Vec<Digest>,
    },
    /// The configs that were in force, or the text of the one whose digest starts so.
    Configs {
        digest: Option<String>,
    },
    /// The file of the config holds this kept one again: it is taken, and the audit log says who went back to it.
    RolledBack {
        config: Digest,
    },
    /// Logins that are not heard now, since too many were wrong.
    Locked,
    /// Hear them again.
    Unlock {
        what: Unlock,
    },
    RotateMaster,
    /// Shows what this client does, or everybody, as it happens: for so many seconds, or so many times, or until the caller
    /// hangs up.
    Watch {
        client: Option<ClientName>,
        seconds: Option<u64>,
        count: Option<u64>,
    },
}

impl Request {
    /// Whether the answer may take very long, or never end by itself.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self, Request::Watch { .. } | Request::Records { .. })
    }
}

/// What records are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Compat,
    Replay,
    Report,
}

impl Purpose {
    /// As the audit log names it.
    pub const fn name(self) -> &'static str {
        match self {
            Purpose::Compat => "compat",
            Purpose::Replay => "replay",
            Purpose::Report => "report",
        }
    }
}

/// How a message is looked for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Find {
    /// Sent to this address.
    To(String),
    /// With this Message-ID.
    MessageId(String),
}

/// What an operator does to what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    Hold,
    Release,
    Cancel,
    Retry,
}

/// Why a request was not done, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "failure", content = "text")]
pub enum Failure {
    #[error("{0}")]
    NotFound(String),
    /// What was asked for makes no sense, or cannot be done to this.
    #[error("{0}")]
    Refused(String),
    /// The store or the daemon cannot do it now.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Config(String),
}

/// A line of the answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Row(serde_json::Value),
    Done,
    Failed(Failure),
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[request]")
    }
}

impl fmt::Debug for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}
