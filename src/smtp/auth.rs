//! The steps of SASL inside AUTH (RFC 4954): EXTERNAL (RFC 4422), SCRAM (RFC 5802), PLAIN (RFC 4616) and LOGIN. There is no
//! CRAM-MD5: it needs the password kept.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::config;
use crate::mail::{Proof, Reply};
use crate::phi::Phi;
use crate::smtp::Submitter;
use crate::smtp::scram::{Binding, Challenged, First, Outcome, Shown};
use crate::smtp::session::answer;

/// Octets of a login name; more is nobody's.
pub(super) const MAX_LOGIN: usize = 255;
/// Octets of a password.
const MAX_PASSWORD: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    External,
    ScramPlus,
    Scram,
    Plain,
    Login,
}

/// What a connection can be logged in over by.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// RFC 9266: what TLS 1.3 exports for channel binding, where the connection has it.
    pub exporter: Option<[u8; 32]>,
    /// The client that the certificate stands for which was shown in the handshake.
    pub certified: Option<Submitter>,
    pub logins: Logins,
}

/// What the clients of the config have to log in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logins {
    pub passwords: bool,
    pub scram: bool,
}

/// What a client says of itself, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    Password(Credentials),
    Scram(Outcome, Proof),
    /// It has shown a certificate in the handshake, and asks to be who that says.
    Certificate(Submitter),
}

impl Claim {
    /// The login that is claimed; a certificate needs none.
    pub fn login(&self) -> Option<&Phi<String>> {
        match self {
            Claim::Password(credentials) => Some(&credentials.login),
            Claim::Scram(outcome, _) => Some(&outcome.login),
            Claim::Certificate(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub login: Phi<String>,
    pub password: Phi<Zeroizing<String>>,
}

/// What the next line of the client is awaited as.
#[derive(Clone, Debug)]
pub enum Exchange {
    External(Submitter),
    Plain,
    LoginName,
    LoginPassword {
        login: Phi<String>,
    },
    ScramFirst(Binding),
    ScramFinal(Box<Challenged>, Proof),
    /// The client has been let in, and is shown that we know its verifier before it goes on.
    ScramEnd {
        server_final: String,
        submitter: Submitter,
    },
}

/// What one response leads to.
#[derive(Clone, Debug)]
pub enum Turn {
    Ask(Exchange),
    /// What is this login's password checked against?
    LookUp(First, Proof),
    Verify(Claim),
    Done(Submitter),
    Failed(BadResponse),
}

/// Why a response is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadResponse {
    Cancelled,
    NotBase64,
    Malformed,
    TooLong,
    /// The client asked to act as somebody else.
    ActsForAnother,
    /// This connection has not what the mechanism needs.
    NotOffered,
    /// Somebody took SCRAM-SHA-256-PLUS out of what we offered.
    Downgraded,
}

impl Mechanism {
    const ALL: [Mechanism; 5] =
        [Mechanism::External, Mechanism::ScramPlus, Mechanism::Scram, Mechanism::Plain, Mechanism::Login];

    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::External => "EXTERNAL",
            Mechanism::ScramPlus => "SCRAM-SHA-256-PLUS",
            Mechanism::Scram => "SCRAM-SHA-256",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    pub fn from_name(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

impl Channel {
    /// The mechanisms that EHLO names, the strongest first.
    pub fn offers(&self) -> impl Iterator<Item = Mechanism> {
        let Logins { passwords, scram } = self.logins;
        Mechanism::ALL.into_iter().filter(move |mechanism| match mechanism {
            // RFC 4422 appendix A.1: offered where the connection says who it is.
            Mechanism::External => self.certified.is_some(),
            Mechanism::ScramPlus => scram && self.exporter.is_some(),
            Mechanism::Scram => scram,
            Mechanism::Plain | Mechanism::Login => passwords,
        })
    }

    /// How SCRAM without -PLUS is taken here.
    fn unbound(&self) -> Binding {
        if self.offers().any(|offered| offered == Mechanism::ScramPlus) {
            Binding::Declined
        } else {
            Binding::NotOffered
        }
    }
}

impl Claim {
    /// What is still to be said to a client that is let in.
    pub(super) fn server_final(&self) -> Option<String> {
        match self {
            Claim::Password(_) | Claim::Certificate(_) => None,
            Claim::Scram(outcome, _) => match &outcome.shown {
                Shown::Knows { server_final } => Some(server_final.clone()),
                Shown::Wrong | Shown::Elsewhere => None,
            },
        }
    }
}

impl BadResponse {
    pub fn reply(self) -> Reply {
        let (code, enhanced, text) = match self {
            // RFC 4954 §4: "*" cancels, and what cannot be decoded fails, both with 501.
            BadResponse::Cancelled => (501, (5, 7, 0), "authentication cancelled"),
            BadResponse::NotBase64 => (501, (5, 5, 2), "the response is not base64"),
            BadResponse::Malformed => (501, (5, 5, 2), "the response is not one of this mechanism"),
            // RFC 4954 §6: 500 5.5.6 for an exchange line that is too long.
            BadResponse::TooLong => (500, (5, 5, 6), "the login or the password is too long"),
            BadResponse::ActsForAnother => (535, (5, 7, 8), "a login can act for itself only"),
            // RFC 4954 §4: 504 for a mechanism that is not supported.
            BadResponse::NotOffered => (504, (5, 5, 4), "this mechanism is not offered"),
            BadResponse::Downgraded => (535, (5, 7, 8), "SCRAM-SHA-256-PLUS is offered here, somebody hid it from you"),
        };
        answer(code, enhanced, text)
    }
}

impl Exchange {
    /// Begins with the initial response, if the AUTH command carried one.
    pub fn begin(mechanism: Mechanism, initial: Option<&str>, channel: &Channel) -> Turn {
        let exchange = match mechanism {
            Mechanism::External => match &channel.certified {
                Some(certified) => Exchange::External(certified.clone()),
                None => return Turn::Failed(BadResponse::NotOffered),
            },
            Mechanism::ScramPlus => match channel.exporter {
                Some(exported) => Exchange::ScramFirst(Binding::Exporter(exported)),
                None => return Turn::Failed(BadResponse::NotOffered),
            },
            Mechanism::Scram => Exchange::ScramFirst(channel.unbound()),
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Login => Exchange::LoginName,
        };
        match initial {
            None => Turn::Ask(exchange),
            // RFC 4954 §4: a lone "=" is an initial response of no octets.
            Some("=") => exchange.take(b""),
            Some(initial) => exchange.respond(initial.as_bytes()),
        }
    }

    /// Sets the client the task that its verifier makes; `None` without entropy.
    pub fn challenged(first: First, proof: Proof, scram: config::Scram) -> Option<Exchange> {
        Some(Exchange::ScramFinal(Box::new(first.challenge(scram).ok()?), proof))
    }

    /// Takes one line of the client, without its CRLF.
    pub fn respond(self, line: &[u8]) -> Turn {
        if line == b"*" {
            return Turn::Failed(BadResponse::Cancelled);
        }
        match BASE64.decode(line) {
            Ok(octets) => self.take(&Zeroizing::new(octets)),
            Err(_) => Turn::Failed(BadResponse::NotBase64),
        }
    }

    /// The server's challenge (RFC 4954 §4: 334 and base64).
    pub fn challenge(&self) -> Reply {
        let text = match self {
            // RFC 4616 §2, RFC 5802 §5, RFC 4422 appendix A: the client speaks first, so the challenge is empty.
            Exchange::External(_) | Exchange::Plain | Exchange::ScramFirst(_) => String::new(),
            Exchange::LoginName => BASE64.encode(b"Username:"),
            Exchange::LoginPassword { .. } => BASE64.encode(b"Password:"),
            Exchange::ScramFinal(challenged, _) => BASE64.encode(challenged.message().as_bytes()),
            // RFC 4954 §4: 235 carries no data, so what SCRAM says last is one more challenge.
            Exchange::ScramEnd { server_final, .. } => BASE64.encode(server_final.as_bytes()),
        };
        Reply::plain(334, text)
    }

    fn take(self, octets: &[u8]) -> Turn {
        let Ok(text) = std::str::from_utf8(octets) else { return Turn::Failed(BadResponse::Malformed) };
        let turn = match self {
            // RFC 4422 appendix A.2: whom it wants to act as; nothing, for whoever it is.
            Exchange::External(certified) if text.is_empty() || text == certified.name.0 => {
                Ok(Turn::Verify(Claim::Certificate(certified)))
            }
            Exchange::External(_) => Err(BadResponse::ActsForAnother),
            Exchange::Plain => plain(text),
            Exchange::LoginName => login_name(text).map(|login| Turn::Ask(Exchange::LoginPassword { login })),
            Exchange::LoginPassword { login } => with_password(login, text),
            Exchange::ScramFirst(binding) => {
                let proof = match binding {
                    Binding::Exporter(_) => Proof::ScramPlus,
                    Binding::Declined | Binding::NotOffered => Proof::Scram,
                };
                First::parse(text, binding).map(|first| Turn::LookUp(first, proof))
            }
            Exchange::ScramFinal(challenged, proof) => {
                challenged.finish(text).map(|outcome| Turn::Verify(Claim::Scram(outcome, proof)))
            }
            Exchange::ScramEnd { submitter, .. } if text.is_empty() => Ok(Turn::Done(submitter)),
            Exchange::ScramEnd { .. } => Err(BadResponse::Malformed),
        };
        turn.unwrap_or_else(Turn::Failed)
    }
}

/// RFC 4616 §2: authzid NUL authcid NUL passwd.
fn plain(text: &str) -> Result<Turn, BadResponse> {
    let mut parts = text.splitn(3, '\0');
    let (Some(acts_as), Some(login), Some(password)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(BadResponse::Malformed);
    };
    if !acts_as.is_empty() && acts_as != login {
        return Err(BadResponse::ActsForAnother);
    }
    with_password(login_name(login)?, password)
}

fn login_name(text: &str) -> Result<Phi<String>, BadResponse> {
    if text.len() > MAX_LOGIN {
        return Err(BadResponse::TooLong);
    }
    if text.is_empty() || text.contains('\0') {
        return Err(BadResponse::Malformed);
    }
    Ok(Phi::new(text.to_owned()))
}

fn with_password(login: Phi<String>, text: &str) -> Result<Turn, BadResponse> {
    if text.len() > MAX_PASSWORD {
        return Err(BadResponse::TooLong);
    }
    if text.is_empty() || text.contains('\0') {
        return Err(BadResponse::Malformed);
    }
    let password = Phi::new(Zeroizing::new(text.to_owned()));
    Ok(Turn::Verify(Claim::Password(Credentials { login, password })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(mechanism: Mechanism, initial: Option<&str>) -> Turn {
        Exchange::begin(mechanism, initial, &Channel::default())
    }

    fn plain_turn(message: &str) -> Turn {
        begin(Mechanism::Plain, Some(&BASE64.encode(message.as_bytes())))
    }

    fn verified(turn: &Turn) -> (&str, &str) {
        let Turn::Verify(Claim::Password(credentials)) = turn else { panic!("{turn:?}") };
        (credentials.login.expose(), credentials.password.expose())
    }

    fn failed(turn: &Turn) -> BadResponse {
        let Turn::Failed(fault) = turn else { panic!("{turn:?}") };
        *fault
    }

    #[test]
    fn plain_gives_the_login_and_the_password() {
        assert_eq!(verified(&plain_turn("\0openemr\0correct horse")), ("openemr", "correct horse"));
        assert_eq!(verified(&plain_turn("openemr\0openemr\0x")), ("openemr", "x"));
        let Turn::Ask(exchange) = begin(Mechanism::Plain, None) else { panic!() };
        assert_eq!(exchange.challenge().to_wire(), b"334 \r\n");
        assert_eq!(verified(&exchange.respond(b"AG9wZW5lbXIAeA==")), ("openemr", "x"));
    }

    #[test]
    fn login_asks_for_the_name_and_then_for_the_password() {
        let Turn::Ask(name) = begin(Mechanism::Login, None) else { panic!() };
        assert_eq!(name.challenge().to_wire(), b"334 VXNlcm5hbWU6\r\n");
        let Turn::Ask(password) = name.respond(BASE64.encode(b"openemr").as_bytes()) else { panic!() };
        assert_eq!(password.challenge().to_wire(), b"334 UGFzc3dvcmQ6\r\n");
        assert_eq!(verified(&password.respond(BASE64.encode(b"x").as_bytes())), ("openemr", "x"));
        assert!(matches!(
            begin(Mechanism::Login, Some(&BASE64.encode(b"openemr"))),
            Turn::Ask(Exchange::LoginPassword { .. })
        ));
    }

    #[test]
    fn what_is_no_response_fails_with_its_reason() {
        assert_eq!(failed(&Exchange::Plain.respond(b"*")), BadResponse::Cancelled);
        assert_eq!(failed(&Exchange::Plain.respond(b"not base64")), BadResponse::NotBase64);
        assert_eq!(failed(&Exchange::Plain.respond(b"")), BadResponse::Malformed);
        assert_eq!(failed(&begin(Mechanism::Plain, Some("="))), BadResponse::Malformed);
        assert_eq!(failed(&plain_turn("openemr\0x")), BadResponse::Malformed);
        assert_eq!(failed(&plain_turn("\0openemr\0")), BadResponse::Malformed);
        assert_eq!(failed(&plain_turn("\0openemr\0a\0b")), BadResponse::Malformed);
        assert_eq!(failed(&plain_turn("admin\0openemr\0x")), BadResponse::ActsForAnother);
        assert_eq!(failed(&plain_turn(&format!("\0{}\0x", "a".repeat(256)))), BadResponse::TooLong);
        assert_eq!(failed(&plain_turn(&format!("\0a\0{}", "x".repeat(1025)))), BadResponse::TooLong);
    }

    #[test]
    fn scram_is_offered_where_somebody_has_a_verifier_and_plus_where_tls_can_be_bound_to() {
        let offers = |exporter, passwords, scram| {
            let channel = Channel { exporter, certified: None, logins: Logins { passwords, scram } };
            channel.offers().map(Mechanism::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(offers(Some([0; 32]), true, true), "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN");
        assert_eq!(offers(None, true, true), "SCRAM-SHA-256 PLAIN LOGIN");
        assert_eq!(offers(Some([0; 32]), true, false), "PLAIN LOGIN");
        assert_eq!(offers(None, false, true), "SCRAM-SHA-256");
        assert_eq!(failed(&begin(Mechanism::ScramPlus, None)), BadResponse::NotOffered);
    }

    #[test]
    fn scram_asks_to_be_looked_up_proves_itself_and_ends_with_an_empty_response() {
        let initial = BASE64.encode(b"n,,n=openemr,r=nonce");
        let Turn::LookUp(first, Proof::Scram) = begin(Mechanism::Scram, Some(&initial)) else { panic!() };
        assert_eq!(first.login.expose(), "openemr");
        let scram = crate::smtp::scram::nobodys(&[0; 32], "openemr", None);
        let exchange = Exchange::challenged(first, Proof::Scram, scram).unwrap();
        let challenge = String::from_utf8(exchange.challenge().to_wire()).unwrap();
        let told = BASE64.decode(challenge.trim_end().strip_prefix("334 ").unwrap().as_bytes()).unwrap();
        let told = String::from_utf8(told).unwrap();
        let nonce = told.strip_prefix("r=").and_then(|told| told.split(',').next()).unwrap();
        let proof = BASE64.encode(&[0; 32]);
        let last = BASE64.encode(format!("c=biws,r={nonce},p={proof}").as_bytes());
        let Turn::Verify(claim) = exchange.clone().respond(last.as_bytes()) else { panic!() };
        assert!(claim.server_final().is_none() && matches!(claim, Claim::Scram(_, Proof::Scram)));
        assert_eq!(failed(&exchange.respond(b"*")), BadResponse::Cancelled);
        let end = Exchange::ScramEnd { server_final: "v=x".into(), submitter: submitter(Proof::Scram) };
        assert_eq!(end.challenge().to_wire(), b"334 dj14\r\n");
        assert!(matches!(end.clone().respond(b""), Turn::Done(_)));
        assert_eq!(failed(&end.clone().respond(b"*")), BadResponse::Cancelled);
        assert_eq!(failed(&end.respond(b"dj14")), BadResponse::Malformed);
    }

    fn submitter(proof: Proof) -> Submitter {
        let nobody = || crate::smtp::Senders(Vec::new());
        Submitter { name: crate::mail::ClientName("ehr".into()), senders: nobody(), return_paths: nobody(), proof }
    }

    #[test]
    fn external_is_offered_to_who_has_shown_a_certificate_and_lets_it_act_for_itself_only() {
        let channel = Channel { certified: Some(submitter(Proof::Certificate)), ..Channel::default() };
        assert_eq!(channel.offers().collect::<Vec<_>>(), [Mechanism::External]);
        let begin = |initial: Option<&str>| Exchange::begin(Mechanism::External, initial, &channel);
        let as_itself =
            |turn: &Turn| matches!(turn, Turn::Verify(Claim::Certificate(client)) if client.name.0 == "ehr");
        assert!(as_itself(&begin(Some("="))));
        assert!(as_itself(&begin(Some(&BASE64.encode(b"ehr")))));
        let Turn::Ask(exchange) = begin(None) else { panic!() };
        assert_eq!(exchange.challenge().to_wire(), b"334 \r\n");
        assert!(as_itself(&exchange.respond(b"")));
        assert_eq!(failed(&begin(Some(&BASE64.encode(b"admin")))), BadResponse::ActsForAnother);
        assert_eq!(failed(&Exchange::begin(Mechanism::External, None, &Channel::default())), BadResponse::NotOffered);
    }

    #[test]
    fn credentials_do_not_print() {
        assert!(!format!("{:?}", plain_turn("\0openemr\0correct horse")).contains("horse"));
    }
}
