//! What a client did before, as far as it was found out: plain data, looked up by `directory` in bounded time.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::mail::{Domain, MessageId};

/// Empty where nothing could be found out, which is no reason to be concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// How often the client's mail reached each recipient, in the order of the envelope; behind its end nobody knows.
    pub written: Vec<u64>,
    /// The domains that its mail reached most often, and how often.
    pub domains: Vec<(Domain, u64)>,
    /// Whether each recipient had a part in the message that this one answers; empty where that one is not known here.
    pub took_part: Vec<bool>,
    /// The same message, accepted a short while ago.
    pub alike: Option<Alike>,
    /// How many messages the client sent to each recipient a short while ago; empty where nobody asked.
    pub lately: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alike {
    pub message: MessageId,
    pub at: Timestamp,
}

impl Past {
    /// How often the client's mail reached a domain, among those that it reaches most often.
    pub fn times(&self, domain: &Domain) -> u64 {
        self.domains.iter().find(|(known, _)| known == domain).map_or(0, |(_, times)| *times)
    }
}
