//! Why a connection ends, and the last word about it: to the client, and in the log.

use crate::listener::connection::reply;
use crate::listener::wire::Lost;
use crate::mail::Reply;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The dialog came to its end, and the last reply is said.
    Said,
    /// The peer went away.
    Gone,
    Idle,
    SessionOver,
    LoginOver,
    DataOver,
    LineTooLong,
    BareLf,
    SpokeFirst,
    /// It begins TLS where STARTTLS comes first.
    TlsTooSoon,
    /// It speaks HTTP.
    Foreign,
    /// Commands were sent behind STARTTLS, to be run under a protection that they came without.
    Injected,
    /// A message was sent without waiting for the 354 that it did not get.
    SentUnasked,
    NoTls,
    /// It said in the handshake that it does not trust our certificate.
    Distrusted,
    /// It went away within the handshake or right behind it, without a word.
    Silent,
    Draining,
    /// Its place was given to somebody who is known, or has none yet.
    Crowded,
    /// What the client is known by has changed since it came in.
    Changed,
}

impl Parting {
    pub(super) fn name(self) -> &'static str {
        match self {
            Parting::Said => "said",
            Parting::Gone => "gone",
            Parting::Idle => "idle",
            Parting::SessionOver => "session_over",
            Parting::LoginOver => "login_over",
            Parting::DataOver => "data_over",
            Parting::LineTooLong => "line_too_long",
            Parting::BareLf => "bare_lf",
            Parting::SpokeFirst => "spoke_first",
            Parting::TlsTooSoon => "tls_too_soon",
            Parting::Foreign => "foreign",
            Parting::Injected => "injected",
            Parting::SentUnasked => "sent_unasked",
            Parting::NoTls => "no_tls",
            Parting::Distrusted => "certificate_not_trusted",
            Parting::Silent => "silent_within_tls",
            Parting::Draining => "draining",
            Parting::Crowded => "crowded",
            Parting::Changed => "changed",
        }
    }

    /// For the log: what an operator may do something about has words of its own.
    pub(super) fn words(self) -> &'static str {
        match self {
            Parting::Distrusted => {
                "connection ended: the client does not trust our certificate; give it tls/ca.pem to trust, and have it call \
                 this server by the name in the certificate"
            }
            Parting::Silent => "connection ended: the client left TLS without a word; it may not trust our certificate",
            Parting::Said
            | Parting::Gone
            | Parting::Idle
            | Parting::SessionOver
            | Parting::LoginOver
            | Parting::DataOver
            | Parting::LineTooLong
            | Parting::BareLf
            | Parting::SpokeFirst
            | Parting::TlsTooSoon
            | Parting::Foreign
            | Parting::Injected
            | Parting::SentUnasked
            | Parting::NoTls
            | Parting::Draining
            | Parting::Crowded
            | Parting::Changed => "connection ended",
        }
    }

    /// The last word, where there is one to be said.
    pub(super) fn reply(self) -> Option<Reply> {
        let (code, enhanced, text) = match self {
            // RFC 5321 §3.8: 421 before a connection is closed that the client has not closed.
            Parting::Idle => (421, (4, 4, 2), "no command came in time"),
            Parting::SessionOver => (421, (4, 4, 2), "the connection has lasted as long as one may"),
            Parting::LoginOver => (421, (4, 7, 0), "nobody logged in over this connection in time"),
            Parting::DataOver => (421, (4, 4, 2), "the message did not come in time"),
            Parting::Draining => (421, (4, 3, 2), "the server is closing, try again later"),
            Parting::Crowded => (421, (4, 7, 0), "the place is needed for somebody else, try again later"),
            Parting::Changed => (421, (4, 7, 0), "the settings of this client have changed, connect again"),
            Parting::SentUnasked => (421, (4, 5, 0), "wait for 354 before sending a message"),
            Parting::LineTooLong => (500, (5, 5, 6), "the line is too long"),
            Parting::BareLf => (500, (5, 5, 2), "a line ends in CRLF"),
            // RFC 5321 §4.3.1: the client waits for the greeting.
            Parting::SpokeFirst => (554, (5, 5, 1), "wait for the greeting before speaking"),
            Parting::Said
            | Parting::Gone
            | Parting::TlsTooSoon
            | Parting::Foreign
            | Parting::Injected
            | Parting::NoTls
            | Parting::Distrusted
            | Parting::Silent => return None,
        };
        Some(reply(code, enhanced, text))
    }
}

impl From<Lost> for Parting {
    fn from(lost: Lost) -> Parting {
        match lost {
            // Who lets no reply in is not told so.
            Lost::Gone | Lost::Late => Parting::Gone,
        }
    }
}
