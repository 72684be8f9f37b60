//! AUTH in the dialog: from the command to a client that is known, or to one that is refused.

use crate::config;
use crate::mail::{Proof, Reply};
use crate::phi::Phi;
use crate::smtp::session::replies::{answer, ehlo_first, starttls_first};
use crate::smtp::session::{Base, Cover, Greeting, Session, State, Step};
use crate::smtp::{BadResponse, Exchange, First, Mechanism, Submitter, Turn};

/// A challenge was sent.
#[derive(Debug)]
pub struct Authenticating {
    base: Base,
    helo: Greeting,
    exchange: Exchange,
}

/// SCRAM has begun, and the login is being looked up.
#[derive(Debug)]
pub struct LookingUp {
    base: Base,
    helo: Greeting,
    first: First,
    proof: Proof,
}

/// What a client says of itself is being checked.
#[derive(Debug)]
pub struct Verifying {
    base: Base,
    helo: Greeting,
    server_final: Option<String>,
}

impl Session {
    pub(super) fn auth(self, mechanism: Mechanism, initial: Option<&Phi<String>>) -> Step {
        let Session { base, state } = self;
        let helo = match (base.cover, state) {
            (Cover::Offered, state) => return Session { base, state }.refuse(starttls_first()),
            // RFC 4954 §4: after a successful AUTH, and within a transaction, another one is refused.
            (Cover::Stands | Cover::Never, State::LoggedIn { helo, transaction: None, .. })
                if base.visitor.is_some() =>
            {
                helo
            }
            (Cover::Stands | Cover::Never, state @ (State::LoggedIn { .. } | State::Chunking { .. })) => {
                return Session { base, state }.refuse(answer(503, (5, 5, 1), "logged in already"));
            }
            (Cover::Stands | Cover::Never, State::Open(Some(helo))) => helo,
            (Cover::Stands | Cover::Never, state) => return Session { base, state }.refuse(ehlo_first()),
        };
        match helo {
            Greeting::Ehlo(_) => {
                // The response leaves its wrapper to be decoded into one of its own.
                let turn = Exchange::begin(mechanism, initial.map(|text| text.expose().as_str()), &base.channel);
                turned(base, helo, turn)
            }
            Greeting::Helo(_) => {
                let state = base.welcome(helo);
                Session { base, state }.refuse(ehlo_first())
            }
        }
    }
}

impl Authenticating {
    /// Takes one line of the exchange, without its CRLF.
    pub fn respond(self, line: &[u8]) -> Step {
        let Authenticating { base, helo, exchange } = self;
        turned(base, helo, exchange.respond(line))
    }
}

impl LookingUp {
    /// This is what the login is held against, whether there is such a login or not.
    pub fn found(self, scram: config::Scram) -> Step {
        let LookingUp { base, helo, first, proof } = self;
        match Exchange::challenged(first, proof, scram) {
            Some(exchange) => turned(base, helo, Turn::Ask(exchange)),
            None => {
                let state = base.welcome(helo);
                Session { base, state }.reply(answer(454, (4, 7, 0), "logins cannot be checked now, try again later"))
            }
        }
    }

    pub fn refused(self, reply: Reply) -> Step {
        let state = self.base.welcome(self.helo);
        Session { base: self.base, state }.refuse(reply)
    }
}

impl Verifying {
    pub fn accepted(self, submitter: Submitter) -> Step {
        let turn = match self.server_final {
            Some(server_final) => Turn::Ask(Exchange::ScramEnd { server_final, submitter }),
            None => Turn::Done(submitter),
        };
        turned(self.base, self.helo, turn)
    }

    pub fn refused(self, reply: Reply) -> Step {
        let state = self.base.welcome(self.helo);
        Session { base: self.base, state }.refuse(reply)
    }
}

fn turned(base: Base, helo: Greeting, turn: Turn) -> Step {
    match turn {
        Turn::Ask(exchange) => Step::Challenge(exchange.challenge(), Authenticating { base, helo, exchange }),
        Turn::LookUp(first, proof) => Step::LookUp(first.login.clone(), LookingUp { base, helo, first, proof }),
        Turn::Verify(claim) => {
            let server_final = claim.server_final();
            Step::Verify(claim, Verifying { base, helo, server_final })
        }
        Turn::Done(submitter) => {
            // It is known by more than how it came: nothing leads back from here.
            let base = Base { visitor: None, ..base };
            let state = State::LoggedIn { helo, submitter, transaction: None };
            // RFC 4954 §6: 235 2.7.0.
            Session { base, state }.reply(answer(235, (2, 7, 0), "logged in"))
        }
        Turn::Failed(fault) => {
            let state = base.welcome(helo);
            let session = Session { base, state };
            match fault {
                // Changing one's mind is no error.
                BadResponse::Cancelled => session.reply(fault.reply()),
                BadResponse::NotBase64
                | BadResponse::Malformed
                | BadResponse::TooLong
                | BadResponse::ActsForAnother
                | BadResponse::NotOffered
                | BadResponse::Downgraded => session.refuse(fault.reply()),
            }
        }
    }
}
