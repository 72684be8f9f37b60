//! Why a submission is not accepted, who is to blame, and what is answered.

use crate::evidence::EvidenceError;
use crate::mail::{Domain, Enhanced, Reply};
use crate::queue::QueueError;

/// A submission that was not accepted. What is our own fault is always answered 4xx: the client keeps the message.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The client's fault.
    #[error("nobody has logged in")]
    NotAuthenticated,
    #[error("the client has been suspended or removed since it logged in")]
    ClientGone,
    #[error("the message has no From: that can be read")]
    NoFrom,
    #[error("the client may not use the address in From:")]
    FromNotAllowed(Domain),
    #[error("the message has come through too many servers")]
    Loop,
    /// The operator's decision, for every recipient.
    #[error("policy refuses the message for every recipient")]
    Policy { text: String },
    /// Ours.
    #[error("too much waits to be written")]
    Busy,
    #[error("there is no room left")]
    Full,
    #[error("the message could not be kept: {0}")]
    Unavailable(#[source] Fault),
}

/// What of ours failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("reading the message failed")]
    Reading,
    #[error(transparent)]
    Evidence(EvidenceError),
    #[error(transparent)]
    Queue(QueueError),
    #[error("the queue did not answer in time")]
    Slow,
}

impl Refusal {
    /// What the client is told. RFC 5321 §4.2.1: 4yz asks it to come again, 5yz not to.
    pub fn reply(&self) -> Reply {
        let reply =
            |code, (class, subject, detail), text: &str| Reply::new(code, Enhanced::new(class, subject, detail), text);
        match self {
            // RFC 4954 §6.
            Refusal::NotAuthenticated => reply(530, (5, 7, 0), "authentication required"),
            Refusal::ClientGone => reply(451, (4, 7, 1), "this login is suspended; ask the administrator"),
            Refusal::NoFrom => reply(554, (5, 6, 0), "the message has no From: address that can be read"),
            Refusal::FromNotAllowed(_) => reply(553, (5, 7, 1), "this login may not send from the address in From:"),
            // RFC 5321 §6.3.
            Refusal::Loop => reply(554, (5, 4, 6), "the message has gone round in a loop"),
            Refusal::Policy { text } if text.trim().is_empty() => reply(550, (5, 7, 1), "refused by policy"),
            Refusal::Policy { text } => reply(550, (5, 7, 1), text),
            Refusal::Busy => reply(451, (4, 3, 2), "too busy to take the message now; try again later"),
            Refusal::Full => reply(452, (4, 3, 1), "no room for the message now; try again later"),
            Refusal::Unavailable(_) => reply(451, (4, 3, 0), "the message cannot be kept now; try again later"),
        }
    }

    /// One word for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Refusal::NotAuthenticated => "not_authenticated",
            Refusal::ClientGone => "client_gone",
            Refusal::NoFrom => "no_from",
            Refusal::FromNotAllowed(_) => "from_not_allowed",
            Refusal::Loop => "loop",
            Refusal::Policy { .. } => "policy",
            Refusal::Busy => "busy",
            Refusal::Full => "full",
            Refusal::Unavailable(_) => "unavailable",
        }
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Refusal {
        match error {
            QueueError::Busy => Refusal::Busy,
            QueueError::Full => Refusal::Full,
            // A submission settles no notice; if the queue says otherwise, it is our fault.
            QueueError::Unavailable(_) | QueueError::AlreadyTold => Refusal::Unavailable(Fault::Queue(error)),
        }
    }
}

impl From<EvidenceError> for Refusal {
    fn from(error: EvidenceError) -> Refusal {
        Refusal::Unavailable(Fault::Evidence(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    fn check(refusal: &Refusal, expected: &str) {
        let wire = String::from_utf8(refusal.reply().to_wire()).unwrap();
        assert_eq!(wire.trim_end(), expected, "{}", refusal.name());
    }

    #[test]
    fn each_refusal_has_its_own_codes() {
        check(&Refusal::NotAuthenticated, "530 5.7.0 authentication required");
        check(&Refusal::ClientGone, "451 4.7.1 this login is suspended; ask the administrator");
        check(&Refusal::NoFrom, "554 5.6.0 the message has no From: address that can be read");
        let elsewhere = Domain::parse("elsewhere.example").unwrap();
        check(&Refusal::FromNotAllowed(elsewhere), "553 5.7.1 this login may not send from the address in From:");
        check(&Refusal::Loop, "554 5.4.6 the message has gone round in a loop");
        check(&Refusal::Policy { text: "use the portal".into() }, "550 5.7.1 use the portal");
        check(&Refusal::Policy { text: " ".into() }, "550 5.7.1 refused by policy");
        check(&Refusal::Busy, "451 4.3.2 too busy to take the message now; try again later");
        check(&Refusal::Full, "452 4.3.1 no room for the message now; try again later");
    }

    #[test]
    fn our_own_fault_is_never_answered_for_good() {
        for refusal in [
            QueueError::Busy.into(),
            QueueError::Full.into(),
            QueueError::Unavailable(StoreError::Unavailable("the disk failed".into())).into(),
            QueueError::AlreadyTold.into(),
            Refusal::Unavailable(Fault::Reading),
            Refusal::Unavailable(Fault::Slow),
        ] {
            assert!(refusal.reply().code.is_transient(), "{}", refusal.name());
        }
        check(&Refusal::Unavailable(Fault::Slow), "451 4.3.0 the message cannot be kept now; try again later");
    }
}
