//! The steps of SASL PLAIN (RFC 4616) and LOGIN inside AUTH (RFC 4954). There is no CRAM-MD5: it needs the password kept.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::mail::Reply;
use crate::phi::Phi;
use crate::smtp::session::answer;

/// Octets of a login name; more is nobody's.
const MAX_LOGIN: usize = 255;
/// Octets of a password.
const MAX_PASSWORD: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Login,
}

/// What a client says of itself, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub login: Phi<String>,
    pub password: Phi<Zeroizing<String>>,
}

/// What the next line of the client is awaited as.
#[derive(Clone, Debug)]
pub enum Exchange {
    Plain,
    LoginName,
    LoginPassword { login: Phi<String> },
}

/// What one response leads to.
#[derive(Clone, Debug)]
pub enum Turn {
    Ask(Exchange),
    Verify(Credentials),
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
}

impl Mechanism {
    pub fn from_name(name: &str) -> Option<Mechanism> {
        [("PLAIN", Mechanism::Plain), ("LOGIN", Mechanism::Login)]
            .into_iter()
            .find_map(|(known, mechanism)| known.eq_ignore_ascii_case(name).then_some(mechanism))
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
        };
        answer(code, enhanced, text)
    }
}

impl Exchange {
    /// Begins with the initial response, if the AUTH command carried one.
    pub fn begin(mechanism: Mechanism, initial: Option<&str>) -> Turn {
        let exchange = match mechanism {
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
            // RFC 4616 §2: the client speaks first, so the challenge is empty.
            Exchange::Plain => String::new(),
            Exchange::LoginName => BASE64.encode(b"Username:"),
            Exchange::LoginPassword { .. } => BASE64.encode(b"Password:"),
        };
        Reply::plain(334, text)
    }

    fn take(self, octets: &[u8]) -> Turn {
        let Ok(text) = std::str::from_utf8(octets) else { return Turn::Failed(BadResponse::Malformed) };
        match self {
            Exchange::Plain => plain(text),
            Exchange::LoginName => match login_name(text) {
                Ok(login) => Turn::Ask(Exchange::LoginPassword { login }),
                Err(fault) => Turn::Failed(fault),
            },
            Exchange::LoginPassword { login } => with_password(login, text),
        }
    }
}

/// RFC 4616 §2: authzid NUL authcid NUL passwd.
fn plain(text: &str) -> Turn {
    let mut parts = text.splitn(3, '\0');
    let (Some(acts_as), Some(login), Some(password)) = (parts.next(), parts.next(), parts.next()) else {
        return Turn::Failed(BadResponse::Malformed);
    };
    if !acts_as.is_empty() && acts_as != login {
        return Turn::Failed(BadResponse::ActsForAnother);
    }
    match login_name(login) {
        Ok(login) => with_password(login, password),
        Err(fault) => Turn::Failed(fault),
    }
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

fn with_password(login: Phi<String>, text: &str) -> Turn {
    if text.len() > MAX_PASSWORD {
        return Turn::Failed(BadResponse::TooLong);
    }
    if text.is_empty() || text.contains('\0') {
        return Turn::Failed(BadResponse::Malformed);
    }
    Turn::Verify(Credentials { login, password: Phi::new(Zeroizing::new(text.to_owned())) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_turn(message: &str) -> Turn {
        Exchange::begin(Mechanism::Plain, Some(&BASE64.encode(message.as_bytes())))
    }

    fn verified(turn: &Turn) -> (&str, &str) {
        let Turn::Verify(credentials) = turn else { panic!("{turn:?}") };
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
        let Turn::Ask(exchange) = Exchange::begin(Mechanism::Plain, None) else { panic!() };
        assert_eq!(exchange.challenge().to_wire(), b"334 \r\n");
        assert_eq!(verified(&exchange.respond(b"AG9wZW5lbXIAeA==")), ("openemr", "x"));
    }

    #[test]
    fn login_asks_for_the_name_and_then_for_the_password() {
        let Turn::Ask(name) = Exchange::begin(Mechanism::Login, None) else { panic!() };
        assert_eq!(name.challenge().to_wire(), b"334 VXNlcm5hbWU6\r\n");
        let Turn::Ask(password) = name.respond(BASE64.encode(b"openemr").as_bytes()) else { panic!() };
        assert_eq!(password.challenge().to_wire(), b"334 UGFzc3dvcmQ6\r\n");
        assert_eq!(verified(&password.respond(BASE64.encode(b"x").as_bytes())), ("openemr", "x"));
        assert!(matches!(
            Exchange::begin(Mechanism::Login, Some(&BASE64.encode(b"openemr"))),
            Turn::Ask(Exchange::LoginPassword { .. })
        ));
    }

    #[test]
    fn what_is_no_response_fails_with_its_reason() {
        assert_eq!(failed(&Exchange::Plain.respond(b"*")), BadResponse::Cancelled);
        assert_eq!(failed(&Exchange::Plain.respond(b"not base64")), BadResponse::NotBase64);
        assert_eq!(failed(&Exchange::Plain.respond(b"")), BadResponse::Malformed);
        assert_eq!(failed(&Exchange::begin(Mechanism::Plain, Some("="))), BadResponse::Malformed);
        assert_eq!(failed(&plain_turn("openemr\0x")), BadResponse::Malformed);
        assert_eq!(failed(&plain_turn("\0openemr\0")), BadResponse::Malformed);
        assert_eq!(failed(&plain_turn("\0openemr\0a\0b")), BadResponse::Malformed);
        assert_eq!(failed(&plain_turn("admin\0openemr\0x")), BadResponse::ActsForAnother);
        assert_eq!(failed(&plain_turn(&format!("\0{}\0x", "a".repeat(256)))), BadResponse::TooLong);
        assert_eq!(failed(&plain_turn(&format!("\0a\0{}", "x".repeat(1025)))), BadResponse::TooLong);
    }

    #[test]
    fn credentials_do_not_print() {
        assert!(!format!("{:?}", plain_turn("\0openemr\0correct horse")).contains("horse"));
    }
}
