//! What a client does, right or wrong, in kinds and in words: nothing of a message, nothing that a peer wrote but the domain of a
//! sender that it may not use.

use std::fmt;

use crate::accounts::{Denied, Uncertified};
use crate::intake::Refusal;
use crate::listener::connection::Parting;
use crate::mail::{ClientName, Domain, Malformed, MessageId, Reply};
use crate::net::tls::Unmet;
use crate::queue::Decided;

/// One thing that happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    Connected,
    /// Turned away at the door.
    TurnedAway(Reply),
    /// A proxy did not say whose connection it is.
    NotNamed(String),
    /// TLS stands, in this version.
    Secured(String),
    /// TLS does not come about.
    NotSecured(Unmet),
    /// It took too long over its handshake.
    HandshakeOver,
    /// Something that needs TLS was asked for in clear.
    NoStartTls(Verb),
    /// A password was sent in clear.
    PasswordInClear,
    /// Something that needs a login was asked for without one.
    NoLogin(Verb),
    LoggedIn,
    LoginRefused(Denied),
    /// The certificate that it shows is a client's.
    Certified,
    /// The certificate that it shows is nobody's here.
    NotCertified(Uncertified),
    /// MAIL names a sender that is not the client's; none is the null sender.
    SenderNotAllowed(Option<Domain>),
    /// A command was refused for another reason; the reply is in our words.
    Refused(Verb, Reply),
    Taken(MessageId, Decided),
    NotTaken(Why, Reply),
    Ended(Parting, Heard),
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// From: names somebody at this domain, for whom the client may not speak.
    FromNotAllowed(Domain),
    NoFrom,
    Loop,
    Policy,
    Suspended,
    Malformed(Malformed),
    /// Our fault, or nobody's: it may come again.
    Later,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Helo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Other,
    /// The line was no command.
    NoCommand,
}

/// How far a connection had come when it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heard {
    #[default]
    Nothing,
    /// TLS, and nothing under it.
    Tls,
    Commands,
    /// In the middle of a message.
    Message,
}

impl Verb {
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Helo => "EHLO",
            Verb::StartTls => "STARTTLS",
            Verb::Auth => "AUTH",
            Verb::Mail => "MAIL",
            Verb::Rcpt => "RCPT",
            Verb::Data => "DATA",
            Verb::Other => "a command",
            Verb::NoCommand => "a line that is no command",
        }
    }
}

/// Whether it is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Well,
    Wrong,
}

impl Happening {
    /// One word for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Happening::Connected => "connected",
            Happening::TurnedAway(_) => "turned_away",
            Happening::NotNamed(_) => "not_named",
            Happening::Secured(_) => "tls",
            Happening::NotSecured(Unmet::Distrusted(_)) => "certificate_not_trusted",
            Happening::NotSecured(Unmet::TooOld(_)) => "tls_too_old",
            Happening::NotSecured(_) | Happening::HandshakeOver => "tls_failed",
            Happening::NoStartTls(_) => "no_starttls",
            Happening::PasswordInClear => "password_in_clear",
            Happening::NoLogin(_) => "no_login",
            Happening::LoggedIn => "logged_in",
            Happening::LoginRefused(_) => "login_refused",
            Happening::Certified => "certificate_accepted",
            Happening::NotCertified(_) => "certificate_refused",
            Happening::SenderNotAllowed(_) => "sender_not_allowed",
            Happening::Refused(..) => "command_refused",
            Happening::Taken(..) => "message_accepted",
            Happening::NotTaken(..) => "message_refused",
            Happening::Ended(..) => "disconnected",
        }
    }

    pub fn tone(&self) -> Tone {
        match self {
            Happening::Connected
            | Happening::Secured(_)
            | Happening::LoggedIn
            | Happening::Certified
            | Happening::Taken(..) => Tone::Well,
            Happening::Ended(Parting::Said | Parting::Draining, _)
            | Happening::Ended(Parting::Gone, Heard::Commands) => Tone::Well,
            Happening::TurnedAway(_)
            | Happening::NotNamed(_)
            | Happening::NotSecured(_)
            | Happening::HandshakeOver
            | Happening::NoStartTls(_)
            | Happening::PasswordInClear
            | Happening::NoLogin(_)
            | Happening::LoginRefused(_)
            | Happening::NotCertified(_)
            | Happening::SenderNotAllowed(_)
            | Happening::Refused(..)
            | Happening::NotTaken(..)
            | Happening::Ended(..) => Tone::Wrong,
        }
    }

    /// What happened, for people.
    pub fn tell(&self, client: Option<&ClientName>) -> String {
        let who = client.map_or("this login", |client| &client.0);
        match self {
            Happening::Connected => "connected".into(),
            Happening::TurnedAway(reply) => format!("was turned away: {}", words(reply)),
            Happening::NotNamed(fault) => format!("was hung up on: {fault}"),
            Happening::Secured(version) => format!("speaks {version}"),
            Happening::NotSecured(unmet) => unmet_words(*unmet),
            Happening::HandshakeOver => "began no TLS in time".into(),
            Happening::NoStartTls(verb) => format!("says {} without STARTTLS, in clear", verb.name()),
            Happening::PasswordInClear => "sent a password in clear, before STARTTLS".into(),
            Happening::NoLogin(verb) => format!("says {} without having logged in", verb.name()),
            Happening::LoggedIn => format!("logged in as {who}"),
            Happening::LoginRefused(denied) => login_words(*denied).into(),
            Happening::Certified => format!("shows the certificate of {who}"),
            Happening::NotCertified(why) => format!("shows a certificate that is not taken: {why}"),
            Happening::SenderNotAllowed(Some(domain)) => {
                format!("may not send as this person at {domain}: MAIL FROM is none of the senders of {who}")
            }
            Happening::SenderNotAllowed(None) => format!("may not send as nobody: MAIL FROM:<> is no sender of {who}"),
            Happening::Refused(verb, reply) => format!("says {}, and is answered {}", verb.name(), words(reply)),
            Happening::Taken(id, decided) => format!("sent a message: taken as {id}, {decided}"),
            Happening::NotTaken(why, reply) => {
                format!("sent a message, and is answered {}: {}", code(reply), why.words(who))
            }
            Happening::Ended(parting, heard) => ended_words(*parting, *heard).into(),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Happening::TurnedAway(reply) if reply.code.is_permanent() => {
                "docs/operate/listeners.md says which listener is for what"
            }
            Happening::TurnedAway(_) => "have it close what it no longer uses, or raise the limit in [limits]",
            Happening::NotNamed(_) => "have the proxy speak the PROXY protocol, or take it out of proxy_from",
            Happening::NotSecured(unmet) => return unmet_advice(*unmet),
            Happening::HandshakeOver => {
                "TLS comes first on this port: set SSL/TLS in the program, or use 587 with STARTTLS"
            }
            Happening::NoStartTls(_) => "set encryption to STARTTLS in the program",
            Happening::PasswordInClear => {
                "set encryption to STARTTLS, then change the password: sealpost client passwd NAME"
            }
            Happening::NoLogin(_) => "type a user name and a password into the program",
            Happening::LoginRefused(denied) => login_advice(*denied),
            Happening::NotCertified(_) => {
                "docs/operate/clients.md says which certificates are taken, and what renews them"
            }
            Happening::SenderNotAllowed(_) | Happening::NotTaken(Why::FromNotAllowed(_), _) => {
                "set the sender in the program, or add it to senders in the client's [[client]]"
            }
            Happening::NotTaken(why, _) => return why.advice(),
            Happening::Ended(parting, heard) => return ended_advice(*parting, *heard),
            Happening::Refused(verb, reply) => return refused_advice(*verb, reply),
            Happening::Connected
            | Happening::Secured(_)
            | Happening::LoggedIn
            | Happening::Certified
            | Happening::Taken(..) => return None,
        })
    }
}

impl Why {
    pub(super) fn of(refusal: &Refusal) -> Why {
        match refusal {
            Refusal::FromNotAllowed(domain) => Why::FromNotAllowed(domain.clone()),
            Refusal::NoFrom => Why::NoFrom,
            Refusal::Loop => Why::Loop,
            Refusal::Policy { .. } => Why::Policy,
            Refusal::ClientGone | Refusal::NotAuthenticated => Why::Suspended,
            Refusal::Busy | Refusal::Full | Refusal::Unavailable(_) => Why::Later,
        }
    }

    fn words(&self, who: &str) -> String {
        match self {
            Why::FromNotAllowed(domain) => {
                format!("From: names somebody at {domain} who is none of the senders of {who}")
            }
            Why::NoFrom => "it has no From: that can be read".into(),
            Why::Loop => "it has come through too many servers, and goes round in a loop".into(),
            Why::Policy => "a rule of [policy] refuses it for every recipient".into(),
            Why::Suspended => "the client has been suspended or removed".into(),
            Why::Malformed(fault) => format!("it is broken, with {fault}"),
            Why::Later => "it cannot be taken now".into(),
        }
    }

    fn advice(&self) -> Option<&'static str> {
        match self {
            Why::FromNotAllowed(_) => None,
            Why::NoFrom => Some("set a sender in the program"),
            Why::Loop => Some("see that what is sent from here does not come back to be sent again"),
            Why::Policy => Some("sealpost explain FILE says which rule"),
            Why::Suspended => Some("sealpost client resume NAME"),
            Why::Malformed(Malformed::TooLarge | Malformed::HeaderTooLarge | Malformed::LineTooLong) => {
                Some("see [limits] in the config")
            }
            Why::Malformed(Malformed::BareCr | Malformed::BareLf | Malformed::Nul) => {
                Some("have the program end each line in CRLF; sending it again as it is brings the same answer")
            }
            Why::Later => Some("look at the log: journalctl -u sealpost"),
        }
    }
}

fn unmet_words(unmet: Unmet) -> String {
    match unmet {
        Unmet::Distrusted(alert) => format!("does not trust our certificate (TLS alert {alert}), and hung up"),
        Unmet::TooOld(Some(version)) => format!("speaks {version} only, which is too old to be let in"),
        Unmet::TooOld(None) => "speaks no version of TLS that is let in: 1.2 and 1.3 are".into(),
        Unmet::NothingInCommon => "shares no cipher suite with us".into(),
        Unmet::NotTls => "does not speak TLS where it must".into(),
        Unmet::Gone => "hung up in the middle of the TLS handshake".into(),
        Unmet::Alert(alert) => format!("gave up the TLS handshake (TLS alert {alert})"),
        Unmet::Broken => "failed in the TLS handshake".into(),
    }
}

fn unmet_advice(unmet: Unmet) -> Option<&'static str> {
    const TRUST: &str = "give it tls/ca.pem to trust, or use a certificate of a public authority; the server name typed into \
                         it must be the one in the certificate: docs/operate/trust.md";
    match unmet {
        // Many programs hang up without saying why.
        Unmet::Distrusted(_) | Unmet::Gone => Some(TRUST),
        Unmet::TooOld(_) => Some("update the program, or what it takes its TLS from (Java, OpenSSL, .NET)"),
        Unmet::NothingInCommon => Some("update the program: it needs an ECDHE suite with AES-GCM or ChaCha20"),
        Unmet::NotTls => Some("set SSL/TLS in the program for port 465, or STARTTLS for port 587"),
        Unmet::Alert(_) | Unmet::Broken => None,
    }
}

fn login_words(denied: Denied) -> &'static str {
    match denied {
        Denied::Wrong => "was refused: wrong user name or password",
        Denied::Elsewhere => "was refused: the login is right, and may not be used from this network",
        Denied::Intercepted => "was refused: it was bound to another TLS connection, so somebody stands in between",
        Denied::Locked => "was not looked at: too many were wrong, from this network",
        Denied::Suspended => "was refused: the client is suspended",
        Denied::Busy => "was not let in now: too many logins are being checked",
        Denied::Unusable => "was not let in: the password_hash in the config is none",
    }
}

fn login_advice(denied: Denied) -> &'static str {
    match denied {
        Denied::Wrong => "type both anew; sealpost client passwd NAME makes another password",
        Denied::Elsewhere => "add the network to networks in its [[client]], if it is to come from there",
        Denied::Intercepted => "see which proxy or filter takes its TLS apart, and let it pass",
        Denied::Locked => "put the password right, then sealpost client unlock NAME",
        Denied::Suspended => "sealpost client resume NAME",
        Denied::Busy => "it may try again",
        Denied::Unusable => "sealpost client passwd NAME",
    }
}

/// The replies that an office meets, and that something in the config changes.
fn refused_advice(verb: Verb, reply: &Reply) -> Option<&'static str> {
    match (verb, reply.code.value()) {
        (Verb::Mail, 550) => Some(
            "type a user name and a password into it; or, for a server without a login, write its address into networks of a \
             [[client]]: docs/operate/listeners.md",
        ),
        (Verb::Rcpt | Verb::Data, 450) => {
            Some("a program that keeps its mail tries again; or raise the rate in its [[client]]")
        }
        _ => None,
    }
}

fn ended_words(parting: Parting, heard: Heard) -> &'static str {
    match (parting, heard) {
        (Parting::Said, _) => "said goodbye",
        (Parting::Gone, Heard::Message) => "hung up in the middle of a message: nothing of it was kept",
        (Parting::Gone, Heard::Nothing | Heard::Tls) => "hung up without a word",
        (Parting::Gone, Heard::Commands) => "hung up",
        (Parting::Idle, _) => "was cut off: it said nothing for too long",
        (Parting::SessionOver, _) => "was cut off: its connection has lasted as long as one may",
        (Parting::LoginOver, _) => "was cut off: it did not log in in time",
        (Parting::DataOver, _) => "was cut off: its message came too slowly, and nothing of it was kept",
        (Parting::LineTooLong, _) => "was cut off: a command line is too long",
        (Parting::BareLf, _) => "was cut off: a command line ends in a bare line feed instead of CRLF",
        (Parting::SpokeFirst, _) => "was cut off: it spoke before the greeting",
        (Parting::TlsTooSoon, _) => "was cut off: it begins TLS at once, on a port where STARTTLS comes first",
        (Parting::Foreign, _) => "was cut off: it speaks HTTP",
        (Parting::Injected, _) => "was cut off: it sent commands in clear behind STARTTLS",
        (Parting::SentUnasked, _) => "was cut off: it sent a message without waiting for the 354",
        (Parting::NoTls | Parting::Distrusted, _) => "is gone, since there is no TLS",
        (Parting::Silent, Heard::Tls) => "hung up behind the TLS handshake, without a word",
        (Parting::Silent, _) => "hung up in the TLS handshake, without a word",
        (Parting::Crowded, _) => "was cut off: its place was needed for somebody who is known",
        (Parting::Changed, _) => "was asked to connect again: its settings have changed since it came in",
        (Parting::Draining, _) => "was asked to come again: the server is closing",
    }
}

fn ended_advice(parting: Parting, heard: Heard) -> Option<&'static str> {
    match (parting, heard) {
        (Parting::Silent, _) => unmet_advice(Unmet::Gone),
        (Parting::Gone, Heard::Nothing | Heard::Tls) => {
            Some("a port check does so; so does a program that wanted TLS at once")
        }
        (Parting::SpokeFirst | Parting::TlsTooSoon, _) => {
            Some("set STARTTLS in the program for this port, or SSL/TLS for port 465")
        }
        (Parting::BareLf, _) => Some("have the program end each line in CRLF"),
        (Parting::Idle | Parting::SessionOver | Parting::LoginOver | Parting::DataOver, _) => {
            Some("see [limits] in the config")
        }
        (Parting::Gone, Heard::Commands | Heard::Message)
        | (
            Parting::Said
            | Parting::LineTooLong
            | Parting::Foreign
            | Parting::Injected
            | Parting::SentUnasked
            | Parting::NoTls
            | Parting::Distrusted
            | Parting::Draining
            | Parting::Crowded
            | Parting::Changed,
            _,
        ) => None,
    }
}

/// A reply of ours as it was said, its lines in one.
fn words(reply: &Reply) -> String {
    format!("{} {}", code(reply), reply.lines().join(" "))
}

fn code(reply: &Reply) -> impl fmt::Display {
    match reply.enhanced {
        Some(enhanced) => format!("{} {enhanced}", reply.code),
        None => reply.code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Enhanced;

    #[test]
    fn a_refusal_that_the_config_changes_says_what_to_write() {
        let advice = |verb, code, enhanced| Happening::Refused(verb, Reply::new(code, enhanced, "no")).advice();
        let stranger = advice(Verb::Mail, 550, Enhanced::new(5, 7, 1)).unwrap();
        assert!(stranger.contains("networks of a [[client]]"), "{stranger}");
        let often = advice(Verb::Data, 450, Enhanced::new(4, 7, 0)).unwrap();
        assert!(often.contains("rate"), "{often}");
        assert_eq!(advice(Verb::Rcpt, 503, Enhanced::new(5, 5, 1)), None);
    }
}
