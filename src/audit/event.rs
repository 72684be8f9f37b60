//! What can happen. An event holds random ids, numbers, and words from our own lists: nothing of a person,
//! and nothing that a peer wrote. The network that somebody guessed from is all that is said of a stranger.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::Digest;
use crate::mail::{ClientName, End, JobId, MessageId, Method, Role};

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Sealpost itself, by its clock or its queue.
    System,
    /// A `[[client]]`, by its login.
    Client(ClientName),
    /// Whoever sent the message, by the link in its receipt.
    Sender,
    /// A unix user, by the credentials of the control socket, or of the process that opened the store itself.
    Operator { user: String, uid: u32 },
}

/// Why a message is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCause {
    /// A rule says so.
    Policy,
    /// A policy refusal, for a client that must not be refused.
    AcceptAndHold,
    /// No method of the decision was left.
    MethodsExhausted,
    /// An operator held it.
    Operator,
}

/// Where a job stands after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum JobState {
    /// To be tried (again) at `due`, by `method`.
    Queued {
        method: Method,
        due: Timestamp,
    },
    Held {
        cause: HoldCause,
    },
    Ended {
        end: End,
    },
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The daemon started; `boot` voids the leases of earlier boots.
    Started {
        version: String,
        boot: i64,
    },
    /// The daemon drained and stopped.
    Stopped {
        boot: i64,
    },
    /// This config came into force; its text is kept under the digest.
    ConfigLoaded {
        config: Digest,
    },
    /// An operator went back to a config that had been in force before; where a daemon runs, it was loaded just before this.
    ConfigRolledBack {
        config: Digest,
    },
    /// A message was made durable. `evidence` is a salted commitment to the sealed record.
    Accepted {
        message: MessageId,
        evidence: Digest,
        bytes: u64,
        jobs: Vec<AcceptedJob>,
        /// Set when it came in without TLS: through which kind of listener.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_clear: Option<Role>,
    },
    /// An attempt was made, and this is where its job stands. `evidence` commits to the sealed attempt.
    Settled {
        message: MessageId,
        job: JobId,
        attempt: u32,
        #[serde(flatten)]
        state: JobState,
        evidence: Option<Digest>,
    },
    /// An operator, or a limit of time, changed where a job stands.
    Moved {
        message: MessageId,
        job: JobId,
        #[serde(flatten)]
        state: JobState,
    },
    /// Body and body keys of a message are gone.
    Erased {
        message: MessageId,
    },
    /// Evidence that had lived its six years is gone.
    EvidenceErased {
        message: MessageId,
    },
    /// A client was stopped or let in again.
    ClientSuspended {
        client: ClientName,
    },
    ClientResumed {
        client: ClientName,
    },
    /// Logins were refused: so many since then, of one client's login or of logins that nobody has (then `client` is null),
    /// from one network (null where too many were told apart already).
    LoginsRefused {
        client: Option<ClientName>,
        network: Option<IpAddr>,
        count: u64,
        since: Timestamp,
    },
    /// An operator let logins be heard again that were locked after too many wrong ones: of a client, or from a network.
    LoginsUnlocked {
        client: Option<ClientName>,
        network: Option<IpAddr>,
    },
    /// The master key was replaced, and every epoch key wrapped anew.
    MasterKeyRotated,
    /// A new epoch key came into use.
    EpochStarted {
        epoch: i64,
    },
    /// An epoch key was destroyed, and with it whatever it still sealed.
    EpochDestroyed {
        epoch: i64,
    },
    /// An operator read what is sealed: a trace, an explanation, a held message.
    EvidenceRead {
        message: Option<MessageId>,
        purpose: String,
    },
    /// An export of this log was made.
    Exported {
        rows: u64,
    },
    /// The head of the chain left the machine in a digest.
    HeadPublished {
        seq: i64,
        hash: Digest,
    },
}

/// One job of an accepted message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedJob {
    pub job: JobId,
    #[serde(flatten)]
    pub state: JobState,
}

impl Event {
    /// The message that this event concerns, if it concerns one.
    pub fn message(&self) -> Option<MessageId> {
        match self {
            Event::Accepted { message, .. }
            | Event::Settled { message, .. }
            | Event::Moved { message, .. }
            | Event::Erased { message }
            | Event::EvidenceErased { message } => Some(*message),
            Event::EvidenceRead { message, .. } => *message,
            Event::Started { .. }
            | Event::Stopped { .. }
            | Event::ConfigLoaded { .. }
            | Event::ConfigRolledBack { .. }
            | Event::ClientSuspended { .. }
            | Event::ClientResumed { .. }
            | Event::LoginsRefused { .. }
            | Event::LoginsUnlocked { .. }
            | Event::MasterKeyRotated
            | Event::EpochStarted { .. }
            | Event::EpochDestroyed { .. }
            | Event::Exported { .. }
            | Event::HeadPublished { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_written_flat_with_its_name() {
        let event = Event::Settled {
            message: MessageId::from_parts(Timestamp::from_millis(0), 1),
            job: JobId::from_parts(Timestamp::from_millis(0), 2),
            attempt: 1,
            state: JobState::Ended { end: End::Delivered },
            evidence: None,
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            "{\"event\":\"settled\",\"message\":\"00000000000000000000000001\",\"job\":\"00000000000000000000000002\",\
             \"attempt\":1,\"state\":\"ended\",\"end\":\"delivered\",\"evidence\":null}"
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
