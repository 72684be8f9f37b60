//! Logging in to a next hop (RFC 4954): by SCRAM-SHA-256, PLAIN or LOGIN, the first of these that it offers.
//!
//! This is reached from a connection under TLS whose certificate proved the host's name, and from no other.

use std::fmt;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::mail::Reply;
use crate::smtp::client::scram::{self, Proved};
use crate::smtp::client::{Answer, Means, Said, Secured, Stage};

/// RFC 5321 §4.5.3.1.4: a command line has up to 512 octets, CRLF included.
const MAX_COMMAND: usize = 512;

/// A user name and its password. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    name: String,
    password: Zeroizing<String>,
}

/// In the order in which we choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    /// RFC 7677. The password itself is not sent, and the host proves that it knows it too.
    ScramSha256,
    /// RFC 4616.
    Plain,
    /// Never standardised, and all that some old hosts have.
    Login,
}

/// AUTH is out, or a response of ours; `Secured` waits behind it.
#[derive(Debug)]
pub struct LoggingIn {
    secured: Secured,
    awaits: Awaits,
}

/// What the next reply is awaited as.
enum Awaits {
    /// 334, and this is sent behind it.
    Challenge {
        response: Zeroizing<Vec<u8>>,
        then: Box<Awaits>,
    },
    ServerFirst {
        login: Login,
        sent: scram::First,
    },
    ServerFinal {
        expected: scram::ServerProof,
    },
    /// 235, and nothing else.
    Accepted,
}

/// A step further, or there.
#[derive(Debug)]
pub enum Admitted {
    Ready(Secured),
    Waiting(Said<LoggingIn>),
}

impl Login {
    pub fn new(name: String, password: Zeroizing<String>) -> Login {
        Login { name, password }
    }

    /// SCRAM prepares names and passwords (RFC 5802 §2.2), which leaves ASCII as it is; others are sent as they are.
    fn is_ascii(&self) -> bool {
        self.name.is_ascii() && self.password.is_ascii()
    }
}

/// Says AUTH on a connection that is proved; `reply` is the one to EHLO under TLS.
pub(super) fn begin(secured: Secured, reply: &Reply, login: Login) -> Result<Admitted, Answer> {
    let Some(mechanism) = choose(reply, &login) else {
        let words = "the next hop offers no login that we know (SCRAM-SHA-256, PLAIN, LOGIN), and its route has one";
        return Err(Answer::ours(Stage::Login, Means::Later, words));
    };
    let (send, awaits) = match mechanism {
        Mechanism::ScramSha256 => {
            let sent = scram::First::new(&login.name).ok_or_else(no_entropy)?;
            (command("SCRAM-SHA-256", sent.message()), Awaits::ServerFirst { login, sent })
        }
        Mechanism::Plain => plain(&login),
        Mechanism::Login => {
            let password =
                Awaits::Challenge { response: line(login.password.as_bytes()), then: Box::new(Awaits::Accepted) };
            let name = Awaits::Challenge { response: line(login.name.as_bytes()), then: Box::new(password) };
            (b"AUTH LOGIN\r\n".to_vec(), name)
        }
    };
    Ok(Admitted::Waiting(Said { state: LoggingIn { secured, awaits }, send }))
}

fn plain(login: &Login) -> (Vec<u8>, Awaits) {
    let message = Zeroizing::new(format!("\0{}\0{}", login.name, login.password.as_str()));
    let whole = command("PLAIN", message.as_bytes());
    if whole.len() <= MAX_COMMAND {
        return (whole, Awaits::Accepted);
    }
    // RFC 4954 §4: what does not fit into the command waits for the challenge.
    let awaits = Awaits::Challenge { response: line(message.as_bytes()), then: Box::new(Awaits::Accepted) };
    (b"AUTH PLAIN\r\n".to_vec(), awaits)
}

impl LoggingIn {
    pub fn on(self, reply: Reply) -> Result<Admitted, Answer> {
        let LoggingIn { secured, awaits } = self;
        let (send, awaits) = match (reply.code.value(), awaits) {
            (235, Awaits::Accepted) => return Ok(Admitted::Ready(secured)),
            (334, Awaits::Challenge { response, then }) => (response.to_vec(), *then),
            (334, Awaits::ServerFirst { login, sent }) => {
                let Proved { message, expected } = sent.prove(&challenge(&reply)?, &login.password).map_err(strange)?;
                (line(message.as_bytes()).to_vec(), Awaits::ServerFinal { expected })
            }
            (334, Awaits::ServerFinal { expected }) => {
                expected.check(&challenge(&reply)?).map_err(strange)?;
                // RFC 4954 §4: the last challenge of the mechanism is answered by an empty response.
                (b"\r\n".to_vec(), Awaits::Accepted)
            }
            (235, _) => return Err(strange(scram::Strange::Unproved)),
            _ => return Err(refused(reply)),
        };
        Ok(Admitted::Waiting(Said { state: LoggingIn { secured, awaits }, send }))
    }
}

/// The strongest that is offered and that this login can use.
fn choose(reply: &Reply, login: &Login) -> Option<Mechanism> {
    let offered: Vec<String> = reply.lines().iter().skip(1).flat_map(|line| mechanisms(line)).collect();
    let has = |name: &str| offered.iter().any(|offered| offered == name);
    let all = [
        (Mechanism::ScramSha256, has("SCRAM-SHA-256") && login.is_ascii()),
        (Mechanism::Plain, has("PLAIN")),
        (Mechanism::Login, has("LOGIN")),
    ];
    all.into_iter().find_map(|(mechanism, usable)| usable.then_some(mechanism))
}

/// `AUTH PLAIN LOGIN`, and `AUTH=PLAIN LOGIN` as servers wrote it before RFC 2554.
fn mechanisms(line: &str) -> Vec<String> {
    let upper = line.to_ascii_uppercase();
    let rest = upper.strip_prefix("AUTH ").or_else(|| upper.strip_prefix("AUTH="));
    rest.into_iter().flat_map(str::split_ascii_whitespace).map(str::to_owned).collect()
}

fn command(mechanism: &str, initial: &[u8]) -> Vec<u8> {
    let mut command = format!("AUTH {mechanism} ").into_bytes();
    command.extend_from_slice(&line(initial));
    command
}

fn line(response: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut line = BASE64.encode(response).into_bytes();
    line.extend_from_slice(b"\r\n");
    Zeroizing::new(line)
}

fn challenge(reply: &Reply) -> Result<String, Answer> {
    let text = reply.lines().first().map(String::as_str).unwrap_or_default();
    let decoded = BASE64.decode(text.trim().as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| strange(scram::Strange::Malformed))
}

/// RFC 4954 §6: whatever refuses a login is mended by somebody, here or there, and the message waits for that.
fn refused(reply: Reply) -> Answer {
    let words = match reply.code.value() {
        535 => "the next hop refused our login: the user name or the password is wrong, or the account is closed",
        534 => "the next hop wants a stronger way to log in than it offers to us",
        454 | 432 | 421 => "the next hop cannot check logins at present",
        _ => "the next hop refused our login",
    };
    Answer { words: words.into(), ..Answer::from_reply(Stage::Login, Means::Later, reply) }
}

fn strange(strange: scram::Strange) -> Answer {
    Answer::ours(Stage::Login, Means::Later, strange.to_string())
}

fn no_entropy() -> Answer {
    Answer::ours(Stage::Login, Means::Later, "the operating system gave no random bytes for a login")
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl fmt::Debug for Awaits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Awaits::Challenge { .. } => "Challenge",
            Awaits::ServerFirst { .. } => "ServerFirst",
            Awaits::ServerFinal { .. } => "ServerFinal",
            Awaits::Accepted => "Accepted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Assurance, Domain};
    use crate::smtp::client::tests::reply;
    use crate::smtp::client::{Handshake, Terms};

    fn login() -> Login {
        Login::new("ann".into(), Zeroizing::new("correct horse".into()))
    }

    fn proved(offers: &str, assurance: Assurance) -> Result<Admitted, Answer> {
        let handshake = Handshake { hostname: Domain::parse("relay.clinic.example").unwrap() };
        let terms = Terms { floor: Assurance::Encrypted, login: Some(login()) };
        handshake.judged(assurance, terms).unwrap().state.on(reply(offers))
    }

    /// Plays a login; gives what was sent, and how it ended.
    fn play(offers: &str, replies: &[&str]) -> (Vec<String>, Result<(), Answer>) {
        let mut said = Vec::new();
        let mut step = proved(offers, Assurance::Valid);
        let mut replies = replies.iter();
        loop {
            match step {
                Ok(Admitted::Ready(_)) => return (said, Ok(())),
                Err(answer) => return (said, Err(answer)),
                Ok(Admitted::Waiting(Said { state, send })) => {
                    said.push(String::from_utf8(send).unwrap().trim_end_matches("\r\n").to_owned());
                    step = state.on(reply(replies.next().unwrap()));
                }
            }
        }
    }

    #[test]
    fn a_password_is_not_told_to_a_host_that_did_not_prove_its_name() {
        let answer = proved("250-mx|250 AUTH PLAIN", Assurance::Encrypted).unwrap_err();
        assert_eq!((answer.stage, answer.means), (Stage::Login, Means::BelowFloor));
    }

    #[test]
    fn the_first_that_is_offered_is_used() {
        let plain = "AUTH PLAIN AGFubgBjb3JyZWN0IGhvcnNl";
        assert_eq!(play("250-mx|250 AUTH LOGIN PLAIN", &["235 ok"]), (vec![plain.into()], Ok(())));
        assert_eq!(play("250-mx|250 AUTH=PLAIN", &["235 ok"]), (vec![plain.into()], Ok(())));
        let (said, end) = play("250-mx|250 auth login", &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"]);
        assert_eq!((said.join(" ").as_str(), end), ("AUTH LOGIN YW5u Y29ycmVjdCBob3JzZQ==", Ok(())));
        let (said, _) = play("250-mx|250 AUTH PLAIN SCRAM-SHA-256", &["535 no"]);
        assert!(said[0].starts_with("AUTH SCRAM-SHA-256 "), "{said:?}");
    }

    #[test]
    fn every_refusal_waits_for_somebody() {
        for (offers, replies) in [
            ("250-mx|250 SIZE 1", &[][..]),
            ("250-mx|250 AUTH CRAM-MD5", &[]),
            ("250-mx|250 AUTH PLAIN", &["535 5.7.8 no"]),
            ("250-mx|250 AUTH PLAIN", &["454 4.7.0 later"]),
            ("250-mx|250 AUTH PLAIN", &["334 more"]),
            ("250-mx|250 AUTH PLAIN", &["250 what"]),
            ("250-mx|250 AUTH LOGIN", &["235 already"]),
            ("250-mx|250 AUTH SCRAM-SHA-256", &["235 come in"]),
            ("250-mx|250 AUTH SCRAM-SHA-256", &["334 ?"]),
        ] {
            let (_, end) = play(offers, replies);
            let answer = end.unwrap_err();
            assert_eq!((answer.stage, answer.means), (Stage::Login, Means::Later), "{offers} {replies:?}");
        }
    }

    #[test]
    fn a_long_password_waits_for_the_challenge() {
        let login = Login::new("ann".into(), Zeroizing::new("x".repeat(500)));
        let (command, awaits) = plain(&login);
        assert_eq!((command.as_slice(), format!("{awaits:?}").as_str()), (&b"AUTH PLAIN\r\n"[..], "Challenge"));
        assert_eq!(format!("{login:?}"), "Login");
    }
}
