//! Wrong logins, counted by login and network together: the answer waits, then nobody is heard for a while.
//!
//! A stranger who knows a login can lock it for his own network only. Who tries many logins from one network locks that
//! network, except for the logins that have been right from there. Memory is bounded, and gone with the process.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::{held, network_of};
use crate::clock::Timestamp;
use crate::config;
use crate::crypto::{Digest, Key, NoEntropy, hmac_sha256};
use crate::mail::ClientName;
use crate::phi::Phi;

/// How long the first failure's answer waits; each further one waits as much longer, up to `MAX_DELAY`.
pub(super) const DELAY: Duration = Duration::from_secs(1);
pub(super) const MAX_DELAY: Duration = Duration::from_secs(3);
pub(super) const MAX_PLACES: usize = 4096;
const MAX_NETWORKS: usize = 4096;
const MAX_PROVEN: usize = 4096;

/// `[limits] lockout_after` and `lockout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    pub after: usize,
    /// How long a failure counts, and how long nobody is heard once they were too many.
    pub lasts: Duration,
}

impl Lockout {
    pub fn of(limits: &config::Limits) -> Lockout {
        Lockout { after: limits.lockout_after, lasts: limits.lockout }
    }
}

/// A login tried from a network. The name of the login is a keyed hash of it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) login: Digest,
    pub(super) network: IpAddr,
    /// Whose login it is, if it is anybody's.
    pub(super) client: Option<ClientName>,
}

#[derive(Debug)]
pub(super) struct Guesses {
    /// Made anew by each process, and never written anywhere.
    key: Key,
    state: Mutex<State>,
    lockout: Mutex<Lockout>,
}

#[derive(Debug, Default)]
struct State {
    places: HashMap<(IpAddr, Digest), Failures>,
    networks: HashMap<IpAddr, Spray>,
    /// Logins that have been right, with where from and when last.
    proven: HashMap<(IpAddr, Digest), Timestamp>,
}

#[derive(Debug)]
struct Failures {
    count: usize,
    last: Timestamp,
    client: Option<ClientName>,
}

/// The logins that failed from one network, and were never right from there: no more of them than lock it.
#[derive(Debug)]
struct Spray {
    logins: Vec<Digest>,
    last: Timestamp,
}

/// What is locked, for an operator to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    pub whose: Whose,
    pub network: IpAddr,
    pub until: Timestamp,
}

/// Whose login is locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    Client(ClientName),
    /// A login that nobody has. What it is, is not kept.
    Nobodys,
    /// Every login that was never right from there.
    Everybodys,
}

/// What an operator unlocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlock {
    Client(ClientName),
    Network(IpAddr),
}

/// How long the answer to a failure is to wait, and whether this one was one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) wait: Duration,
    pub(super) locks: bool,
}

impl Guesses {
    pub(super) fn new(lockout: Lockout) -> Result<Guesses, NoEntropy> {
        Ok(Guesses { key: Key::generate()?, state: Mutex::default(), lockout: Mutex::new(lockout) })
    }

    pub(super) fn reload(&self, lockout: Lockout) {
        *held(&self.lockout) = lockout;
    }

    fn lockout(&self) -> Lockout {
        *held(&self.lockout)
    }

    pub(super) fn place(&self, login: &Phi<String>, from: IpAddr, client: Option<&ClientName>) -> Place {
        // The login goes into a keyed hash.
        let login = hmac_sha256(self.key.expose(), login.expose().as_bytes());
        Place { login, network: network_of(from), client: client.cloned() }
    }

    /// Until when this login is not heard from there.
    pub(super) fn locked(&self, place: &Place, now: Timestamp) -> Option<Timestamp> {
        let lockout = self.lockout();
        let state = held(&self.state);
        let key = (place.network, place.login);
        let own = state.places.get(&key).filter(|failures| failures.count >= lockout.after).map(|f| f.last);
        let sprayed = state.networks.get(&place.network).filter(|spray| spray.logins.len() >= lockout.after);
        let sprayed = sprayed.filter(|_| !state.proven.contains_key(&key)).map(|spray| spray.last);
        let until = own.max(sprayed)?.plus(lockout.lasts);
        (now < until).then_some(until)
    }

    /// Whether this login has been right from there.
    pub(super) fn is_proven(&self, place: &Place) -> bool {
        held(&self.state).proven.contains_key(&(place.network, place.login))
    }

    pub(super) fn succeeded(&self, place: &Place, now: Timestamp) {
        let mut state = held(&self.state);
        let key = (place.network, place.login);
        state.places.remove(&key);
        if let Some(spray) = state.networks.get_mut(&place.network) {
            spray.logins.retain(|login| *login != place.login);
        }
        if state.proven.len() >= MAX_PROVEN && !state.proven.contains_key(&key) {
            // The one that was right longest ago gives way; only who knows a password gets this far.
            let oldest = state.proven.iter().min_by_key(|(_, last)| **last).map(|(key, _)| *key);
            oldest.and_then(|oldest| state.proven.remove(&oldest));
        }
        state.proven.insert(key, now);
    }

    pub(super) fn failed(&self, place: &Place, now: Timestamp) -> Counted {
        let lockout = self.lockout();
        let mut state = held(&self.state);
        let sprays = state.count_login(place, lockout, now);
        let old = |last: Timestamp| now.since(last) >= lockout.lasts;
        if state.places.len() >= MAX_PLACES {
            state.places.retain(|_, failures| !old(failures.last));
        }
        let key = (place.network, place.login);
        if state.places.len() >= MAX_PLACES && !state.places.contains_key(&key) {
            // Somebody guesses from everywhere at once: everybody waits longest, and memory stays bounded.
            return Counted { wait: MAX_DELAY, locks: sprays };
        }
        let failures = state.places.entry(key).or_insert(Failures { count: 0, last: now, client: None });
        if old(failures.last) {
            failures.count = 0;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now, client: place.client.clone() };
        let times = u32::try_from(failures.count).unwrap_or(u32::MAX);
        let wait = DELAY.saturating_mul(times).min(MAX_DELAY);
        Counted { wait, locks: sprays || failures.count == lockout.after }
    }

    pub(super) fn list(&self, now: Timestamp) -> Vec<Locked> {
        let lockout = self.lockout();
        let state = held(&self.state);
        let until = |last: Timestamp| Some(last.plus(lockout.lasts)).filter(|until| now < *until);
        let places = state.places.iter().filter(|(_, failures)| failures.count >= lockout.after);
        let places = places.filter_map(|((network, _), failures)| {
            let whose = failures.client.clone().map_or(Whose::Nobodys, Whose::Client);
            Some(Locked { whose, network: *network, until: until(failures.last)? })
        });
        let networks = state.networks.iter().filter(|(_, spray)| spray.logins.len() >= lockout.after);
        let networks = networks.filter_map(|(network, spray)| {
            Some(Locked { whose: Whose::Everybodys, network: *network, until: until(spray.last)? })
        });
        let mut all: Vec<_> = places.chain(networks).collect();
        all.sort_by(|one, other| (&one.whose, one.network).cmp(&(&other.whose, other.network)));
        all
    }

    /// Forgets failures, and says how many places were locked by them.
    pub(super) fn unlock(&self, what: &Unlock, now: Timestamp) -> usize {
        let before = self.list(now).len();
        let mut state = held(&self.state);
        match what {
            Unlock::Client(name) => state.places.retain(|_, failures| failures.client.as_ref() != Some(name)),
            Unlock::Network(address) => {
                let network = network_of(*address);
                state.places.retain(|(from, _), _| *from != network);
                state.networks.remove(&network);
            }
        }
        drop(state);
        before - self.list(now).len()
    }
}

impl State {
    /// Counts one more login that failed from this network; true when it is the one that locks the network.
    fn count_login(&mut self, place: &Place, lockout: Lockout, now: Timestamp) -> bool {
        if self.proven.contains_key(&(place.network, place.login)) {
            return false;
        }
        if self.networks.len() >= MAX_NETWORKS {
            self.networks.retain(|_, spray| now.since(spray.last) < lockout.lasts);
        }
        if self.networks.len() >= MAX_NETWORKS && !self.networks.contains_key(&place.network) {
            return false;
        }
        let spray = self.networks.entry(place.network).or_insert(Spray { logins: Vec::new(), last: now });
        if now.since(spray.last) >= lockout.lasts {
            spray.logins.clear();
        }
        spray.last = now;
        if spray.logins.len() >= lockout.after || spray.logins.contains(&place.login) {
            return false;
        }
        spray.logins.push(place.login);
        spray.logins.len() == lockout.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKOUT: Lockout = Lockout { after: 5, lasts: Duration::from_secs(900) };
    const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_007);

    fn guesses() -> Guesses {
        Guesses::new(LOCKOUT).unwrap()
    }

    fn place(guesses: &Guesses, login: &str, last: u8) -> Place {
        guesses.place(&Phi::new(login.into()), [192, 0, 2, last].into(), None)
    }

    #[test]
    fn each_failure_is_answered_later_than_the_one_before_and_one_locks() {
        let guesses = guesses();
        let ehr = place(&guesses, "ehr", 7);
        let counted: Vec<_> = (0..6).map(|_| guesses.failed(&ehr, NOW)).collect();
        let waits: Vec<_> = counted.iter().map(|counted| counted.wait.as_secs()).collect();
        assert_eq!(waits, [1, 2, 3, 3, 3, 3]);
        let locks: Vec<_> = counted.iter().map(|counted| counted.locks).collect();
        assert_eq!(locks, [false, false, false, false, true, false]);
        assert_eq!(guesses.failed(&place(&guesses, "ehr", 8), NOW).wait, DELAY);
        assert_eq!(guesses.failed(&ehr, NOW.plus(LOCKOUT.lasts)), Counted { wait: DELAY, locks: false });
    }

    #[test]
    fn many_logins_from_one_network_lock_it_but_for_those_that_were_right_from_there() {
        let guesses = guesses();
        let ehr = place(&guesses, "ehr", 7);
        guesses.succeeded(&ehr, NOW);
        for n in 0..5 {
            let locked = guesses.locked(&place(&guesses, "new", 7), NOW).is_some();
            assert!(!locked, "after {n}");
            guesses.failed(&place(&guesses, &format!("guess-{n}"), 7), NOW);
            // A password that was changed and is still tried counts against its own login only.
            guesses.failed(&ehr, NOW);
        }
        assert_eq!(guesses.locked(&place(&guesses, "new", 7), NOW), Some(NOW.plus(LOCKOUT.lasts)));
        assert_eq!(guesses.locked(&place(&guesses, "new", 8), NOW), None);
        guesses.succeeded(&ehr, NOW);
        assert_eq!(guesses.locked(&ehr, NOW), None);
        assert_eq!(guesses.list(NOW).len(), 1);
        let network = Unlock::Network([192, 0, 2, 7].into());
        assert_eq!(guesses.unlock(&network, NOW), 1);
        assert_eq!(guesses.locked(&place(&guesses, "new", 7), NOW), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let guesses = guesses();
        for n in 0..MAX_PLACES + 100 {
            let network = IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
            let login = Phi::new(format!("guess-{n}"));
            guesses.failed(&guesses.place(&login, network, None), NOW);
            guesses.succeeded(&guesses.place(&Phi::new(format!("right-{n}")), network, None), NOW);
        }
        let state = held(&guesses.state);
        assert_eq!((state.places.len(), state.networks.len()), (MAX_PLACES, MAX_NETWORKS));
        assert_eq!(state.proven.len(), MAX_PROVEN);
        drop(state);
        let more = guesses.place(&Phi::new("more".into()), [203, 0, 113, 1].into(), None);
        assert_eq!(guesses.failed(&more, NOW).wait, MAX_DELAY);
        assert_eq!(guesses.failed(&more, NOW.plus(LOCKOUT.lasts)).wait, DELAY);
    }
}
