//! Who may submit: logins, what they are proved by, and the senders they may use.

mod certified;
mod guesses;
mod password;
mod refusals;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::config;
use crate::crypto::{Key, NoEntropy, saslprep};
use crate::mail::{ClientName, Enhanced, Proof, Reply};
use crate::phi::Phi;
use crate::smtp::{Claim, Logins, Shown, Submitter, nobodys};

use guesses::{Guesses, Place};
use password::{Asker, Passwords};
use refusals::Refusals;

pub use certified::Uncertified;
pub use guesses::{Locked, Lockout, Unlock, Whose};
pub use refusals::run as keep_refusals;

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No such login, or a wrong password. Which, is not told.
    Wrong,
    /// The login is right, and may not come from this network. The peer is told that it is wrong.
    Elsewhere,
    /// It knows the password, and is bound to another TLS connection: somebody stands in between.
    Intercepted,
    /// Too many were wrong, from this network.
    Locked,
    /// An operator has suspended the client.
    Suspended,
    /// It cannot be found out now.
    Busy,
    /// The hash in the config is none.
    Unusable,
}

impl Denied {
    pub fn reply(self) -> Reply {
        match self {
            // RFC 4954 §6: 535 5.7.8 for credentials that are wrong, 454 4.7.0 for a failure that passes.
            Denied::Wrong | Denied::Elsewhere | Denied::Intercepted => {
                Reply::new(535, Enhanced::new(5, 7, 8), "the login or the password is wrong")
            }
            Denied::Locked => {
                Reply::new(454, Enhanced::new(4, 7, 0), "too many logins were wrong from your network, try again later")
            }
            Denied::Suspended => Reply::new(454, Enhanced::new(4, 7, 0), "this login is suspended, try again later"),
            Denied::Busy | Denied::Unusable => {
                Reply::new(454, Enhanced::new(4, 7, 0), "logins cannot be checked now, try again later")
            }
        }
    }
}

/// The clients of the config, by login. Holds no password, and keeps none.
#[derive(Debug)]
pub struct Accounts {
    clients: RwLock<Arc<Vec<config::Client>>>,
    passwords: Passwords,
    guesses: Guesses,
    refusals: Refusals,
    /// For the salts of logins that nobody has: they must outlive the process, or a restart would tell them from the others.
    key: Key,
    clock: Arc<dyn Clock>,
}

impl Accounts {
    /// `key` is the same after each start.
    pub fn new(
        clients: Vec<config::Client>,
        lockout: Lockout,
        key: Key,
        clock: Arc<dyn Clock>,
    ) -> Result<Accounts, NoEntropy> {
        Ok(Accounts {
            clients: RwLock::new(Arc::new(clients)),
            passwords: Passwords::new(Arc::clone(&clock))?,
            guesses: Guesses::new(lockout)?,
            refusals: Refusals::default(),
            key,
            clock,
        })
    }

    /// Takes the clients of a new config. Passwords that were right are proved anew.
    pub fn reload(&self, clients: Vec<config::Client>, lockout: Lockout) {
        self.guesses.reload(lockout);
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(clients);
        self.passwords.forget();
    }

    /// What the clients have to log in with. SCRAM is offered once every login can use it, since a program that can prefers
    /// it, and does not try another way when it fails; or where a login has nothing else.
    pub fn logins(&self) -> Logins {
        let clients = self.clients();
        let mut logins = clients.iter().filter_map(|client| client.login.as_ref()).peekable();
        if logins.peek().is_none() {
            return Logins { passwords: true, scram: false };
        }
        let (mut passwords, mut every_scram, mut only_scram) = (false, true, false);
        for login in logins {
            passwords |= login.password_hash.is_some();
            every_scram &= login.scram.is_some();
            only_scram |= login.password_hash.is_none();
        }
        Logins { passwords, scram: every_scram || only_scram }
    }

    /// What a login is held against with SCRAM. One that has nothing of the kind cannot be told from one that has.
    pub fn verifier(&self, login: &Phi<String>, from: IpAddr) -> Result<config::Scram, Denied> {
        let clients = self.clients();
        let client = find(&clients, login);
        let place = self.guesses.place(login, from, client.map(|client| &client.name));
        self.heard(&place).inspect_err(|_| self.note(&place))?;
        let scrams = |client: &config::Client| client.login.as_ref().and_then(|login| login.scram.clone());
        Ok(client.and_then(scrams).unwrap_or_else(|| {
            // The login goes into a keyed hash.
            nobodys(self.key.expose(), login.expose(), clients.iter().find_map(scrams).as_ref())
        }))
    }

    /// Whether this is so, at this moment and from this address. A failure takes its time, and too many are not looked at.
    pub async fn verify(&self, claim: &Claim, from: IpAddr) -> Result<Submitter, Denied> {
        let login = match claim {
            Claim::Password(credentials) => &credentials.login,
            Claim::Scram(outcome, _) => &outcome.login,
            // It was known by its certificate already: there is nothing to guess.
            Claim::Certificate(submitter) => return self.standing(&submitter.name).map(|()| submitter.clone()),
        };
        let client = find(&self.clients(), login).map(|client| client.name.clone());
        let place = self.guesses.place(login, from, client.as_ref());
        let verdict = self.judge(claim, (&place, from)).await;
        match verdict {
            Ok(_) => self.guesses.succeeded(&place, self.clock.now()),
            // 45 CFR 164.312(d): guessing must not be cheap. The delay holds no permit, and falls on the guesser alone.
            Err(Denied::Wrong | Denied::Elsewhere | Denied::Intercepted) => {
                self.note(&place);
                tokio::time::sleep(self.count(&place)).await;
            }
            Err(Denied::Locked) => self.note(&place),
            Err(Denied::Suspended | Denied::Busy | Denied::Unusable) => {}
        }
        verdict
    }

    /// What is locked now.
    pub fn locked(&self) -> Vec<Locked> {
        self.guesses.list(self.clock.now())
    }

    /// Hears those again that were locked, and says how many places these were.
    pub fn unlock(&self, what: &Unlock) -> usize {
        self.guesses.unlock(what, self.clock.now())
    }

    fn heard(&self, place: &Place) -> Result<(), Denied> {
        self.guesses.locked(place, self.clock.now()).map_or(Ok(()), |_| Err(Denied::Locked))
    }

    /// Counts a failure, and says how long its answer is to wait.
    fn count(&self, place: &Place) -> Duration {
        let counted = self.guesses.failed(place, self.clock.now());
        if counted.locks {
            let client = place.client.as_ref().map(|client| client.0.as_str());
            tracing::warn!(peer.network = %place.network, client.name = client, "logins locked: too many were wrong");
        }
        counted.wait
    }

    /// For the audit log.
    fn note(&self, place: &Place) {
        self.refusals.add(place.client.as_ref(), place.network, self.clock.now());
    }

    /// Whether a client is still one; `Err` when it has been suspended or removed since it logged in.
    pub fn standing(&self, name: &ClientName) -> Result<(), Denied> {
        match named(&self.clients(), name) {
            Some(client) if !client.suspended => Ok(()),
            Some(_) | None => Err(Denied::Suspended),
        }
    }

    /// The client that an address alone makes known. Of networks within each other, the narrowest says which it is.
    pub fn from_network(&self, address: IpAddr) -> Option<Submitter> {
        let address = address.to_canonical();
        let clients = self.clients();
        let known = clients.iter().filter(|client| client.is_known_by_network());
        let covering = known.flat_map(|client| {
            let networks = client.networks.iter().filter(|network| network.contains(&address));
            networks.map(move |network| (network.prefix_len(), client))
        });
        covering.max_by_key(|(prefix, _)| *prefix).map(|(_, client)| Submitter::of(client, Proof::Network))
    }

    /// Whether an address lies in the networks of some client.
    pub fn is_a_clients(&self, address: IpAddr) -> bool {
        self.clients().iter().any(|client| client.comes_from(address))
    }

    /// The client whose login was tried, whatever came of it. For those who watch; a stranger's text goes nowhere.
    pub fn tried(&self, login: &Phi<String>) -> Option<ClientName> {
        find(&self.clients(), login).map(|client| client.name.clone())
    }

    async fn judge(&self, claim: &Claim, (place, from): (&Place, IpAddr)) -> Result<Submitter, Denied> {
        self.heard(place)?;
        let clients = self.clients();
        let (client, proof) = match claim {
            Claim::Password(credentials) => {
                let client = find(&clients, &credentials.login);
                // Who has a SCRAM verifier only is let in by SCRAM only.
                let hash = client.and_then(|client| client.login.as_ref()?.password_hash.as_deref());
                let known = self.guesses.is_proven(place) || client.is_some_and(|client| client.comes_from(from));
                let asker = if known { Asker::Known } else { Asker::Stranger };
                let right = self.passwords.check((credentials, asker), hash, || self.heard(place)).await?;
                (client.filter(|_| right), Proof::Password)
            }
            Claim::Scram(outcome, proof) => match &outcome.shown {
                // The verifier may have been changed since it was looked up.
                Shown::Knows { .. } => {
                    let own = |client: &&config::Client| {
                        client.login.as_ref().and_then(|login| login.scram.as_ref()) == Some(&outcome.scram)
                    };
                    (find(&clients, &outcome.login).filter(own), *proof)
                }
                Shown::Wrong => (None, *proof),
                Shown::Elsewhere => return Err(Denied::Intercepted),
            },
            Claim::Certificate(submitter) => (named(&clients, &submitter.name), Proof::Certificate),
        };
        let client = client.ok_or(Denied::Wrong)?;
        if !client.networks.is_empty() && !client.comes_from(from) {
            return Err(Denied::Elsewhere);
        }
        // Only who knows the password is told that the client is suspended.
        if client.suspended { Err(Denied::Suspended) } else { Ok(Submitter::of(client, proof)) }
    }

    fn clients(&self) -> Arc<Vec<config::Client>> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The network that one neighbour can be taken to hold: an IPv4 address, or an IPv6 /64.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

fn named<'c>(clients: &'c [config::Client], name: &ClientName) -> Option<&'c config::Client> {
    clients.iter().find(|client| client.name == *name)
}

/// The client with this login, written as in the config, or as SCRAM prepares it.
fn find<'c>(clients: &'c [config::Client], login: &Phi<String>) -> Option<&'c config::Client> {
    // The login is compared, and goes nowhere.
    let login = login.expose();
    let by = |is: &dyn Fn(&str) -> bool| {
        clients.iter().find(|client| client.login.as_ref().is_some_and(|own| is(&own.name)))
    };
    by(&|own| own == login).or_else(|| by(&|own| saslprep(own).as_ref() == Some(login)))
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
