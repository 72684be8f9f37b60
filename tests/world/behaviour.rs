//! What a scripted mail server does, as plain data.

use std::collections::BTreeSet;

use crate::world::authority::Kind;

const MAX_MESSAGE: usize = 64 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Banner,
    Ehlo,
    StartTls,
    Mail,
    Rcpt,
    Data,
    /// A BDAT line; its octets are then not read, as by a server that does not know it.
    Bdat,
    /// The end of the message, by DATA or by BDAT.
    EndOfData,
}

/// What is done at a step instead of the right thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Reply(u16, String),
    Disconnect,
    /// At the end of data: keeps the message, then disconnects without a reply.
    TakeThenDisconnect,
    Hang,
}

/// Which occurrences of a step are overridden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Always,
    First(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub step: Step,
    pub act: Act,
    pub times: Times,
    /// At RCPT: only for this recipient.
    pub recipient: Option<String>,
}

impl Override {
    pub fn reply(step: Step, code: u16, text: &str) -> Override {
        Override { step, act: Act::Reply(code, text.to_owned()), times: Times::Always, recipient: None }
    }

    pub fn act(step: Step, act: Act) -> Override {
        Override { step, act, times: Times::Always, recipient: None }
    }

    pub fn first(self, count: u32) -> Override {
        Override { times: Times::First(count), ..self }
    }

    pub fn to(self, recipient: &str) -> Override {
        Override { recipient: Some(recipient.to_owned()), ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    With(Kind),
    NotOffered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extension {
    Pipelining,
    Chunking,
    EightBitMime,
    SmtpUtf8,
    EnhancedStatusCodes,
    Dsn,
    /// Under TLS only.
    RequireTls,
    /// What LIMITS announces, as in `RCPTMAX=2`; nothing is enforced.
    Limits(&'static str),
    Size(usize),
}

#[derive(Clone, Debug)]
pub struct Behaviour {
    pub tls: Tls,
    /// How many times each sender and recipient pair is answered 451 first.
    pub greylist: u32,
    pub extensions: BTreeSet<Extension>,
    pub overrides: Vec<Override>,
}

impl Default for Behaviour {
    /// A good server: valid certificate, takes everything, all extensions but CHUNKING.
    fn default() -> Behaviour {
        use Extension::{EightBitMime, EnhancedStatusCodes, Pipelining, Size, SmtpUtf8};
        Behaviour {
            tls: Tls::With(Kind::Valid),
            greylist: 0,
            extensions: BTreeSet::from([Pipelining, EightBitMime, SmtpUtf8, EnhancedStatusCodes, Size(MAX_MESSAGE)]),
            overrides: Vec::new(),
        }
    }
}

impl Behaviour {
    pub fn tls(tls: Tls) -> Behaviour {
        Behaviour { tls, ..Behaviour::default() }
    }

    pub fn greylisting(times: u32) -> Behaviour {
        Behaviour { greylist: times, ..Behaviour::default() }
    }

    /// CHUNKING as well, so that messages come by BDAT.
    pub fn chunking() -> Behaviour {
        let mut behaviour = Behaviour::default();
        behaviour.extensions.insert(Extension::Chunking);
        behaviour
    }

    /// A good server that also offers these.
    pub fn offering(more: &[Extension]) -> Behaviour {
        let mut behaviour = Behaviour::default();
        behaviour.extensions.extend(more);
        behaviour
    }

    pub fn but(overrides: &[Override]) -> Behaviour {
        Behaviour { overrides: overrides.to_vec(), ..Behaviour::default() }
    }
}
