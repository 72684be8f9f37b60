//! Connections that are kept for the next message, addresses that did not answer a short while ago, and those that do not
//! know the BDAT that they offer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;

use crate::clock::Timestamp;
use crate::config::{Certificate, RouteLogin};
use crate::delivery::connection::{Connection, Counted};
use crate::mail::Assurance;
use crate::net::mx::Host;
use crate::net::tls::Trust;

/// How long an address that did not answer is not dialled again.
const DEAD_FOR: Duration = Duration::from_secs(30);
/// How long an address that did not take a chunk is sent DATA. By then somebody may have mended it.
const UNCHUNKED_FOR: Duration = Duration::from_secs(24 * 3600);
/// Addresses of which one thing is remembered.
const MAX_MARKED: usize = 1_000;

/// A connection serves only what it was opened for: the host, its name, what its TLS had to prove, and as whom.
/// The pool belongs to one courier, and so to one config.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) host: Host,
    pub(super) trust: Trust,
    pub(super) floor: Assurance,
    /// Who we are on it.
    pub(super) login: Option<RouteLogin>,
    pub(super) shows: Option<Certificate>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Timestamp,
    _idle: Counted,
}

#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
    leaving: Mutex<Vec<Connection>>,
    dead: Marked,
    unchunked: Marked,
}

/// Addresses of which something is remembered for a time.
#[derive(Debug)]
struct Marked {
    since: Mutex<HashMap<SocketAddr, Timestamp>>,
    lasts: Duration,
}

impl Marked {
    fn new(lasts: Duration) -> Marked {
        Marked { since: Mutex::default(), lasts }
    }

    fn has(&self, address: SocketAddr, now: Timestamp) -> bool {
        self.since().get(&address).is_some_and(|since| now.since(*since) < self.lasts)
    }

    /// With all places taken, the oldest is forgotten: it has been spared for longest.
    fn add(&self, address: SocketAddr, now: Timestamp) {
        let mut all = self.since();
        if all.len() >= MAX_MARKED {
            all.retain(|_, since| now.since(*since) < self.lasts);
        }
        if all.len() >= MAX_MARKED
            && let Some(oldest) = all.iter().min_by_key(|(_, since)| **since).map(|(address, _)| *address)
        {
            all.remove(&oldest);
        }
        all.insert(address, now);
    }

    fn since(&self) -> MutexGuard<'_, HashMap<SocketAddr, Timestamp>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pool {
    fn default() -> Pool {
        Pool {
            idle: Mutex::default(),
            leaving: Mutex::default(),
            dead: Marked::new(DEAD_FOR),
            unchunked: Marked::new(UNCHUNKED_FOR),
        }
    }
}

impl Pool {
    /// The connection that was used last, since the peer has waited for it least.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get_mut(key)?;
        let taken = kept.pop();
        if kept.is_empty() {
            all.remove(key);
        }
        drop(all);
        let idle = taken?;
        counter!("sealpost_delivery_pool_hits_total").increment(1);
        Some(idle.connection)
    }

    /// Keeps a connection for the next message; beyond `most`, only until somebody says QUIT on it.
    pub(super) fn put(&self, key: Key, connection: Connection, (most, now): (usize, Timestamp)) {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().map(Vec::len).sum::<usize>() >= most {
            drop(all);
            return self.leave(connection);
        }
        let idle = Idle { connection, since: now, _idle: Counted::new("idle") };
        all.entry(key).or_default().push(idle);
    }

    /// A connection that has carried enough. The QUIT comes with the next sweep: no message waits for it.
    pub(super) fn leave(&self, connection: Connection) {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// Takes out what leaves, and what has been idle since before `before`.
    pub(super) fn take_leaving(&self, before: Timestamp) -> Vec<Connection> {
        let mut leaving = std::mem::take(&mut *self.leaving.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for kept in all.values_mut() {
            leaving.extend(kept.extract_if(.., |idle| idle.since <= before).map(|idle| idle.connection));
        }
        all.retain(|_, kept| !kept.is_empty());
        leaving
    }

    pub(super) fn did_not_answer(&self, address: SocketAddr, now: Timestamp) {
        self.dead.add(address, now);
    }

    pub(super) fn answered(&self, address: SocketAddr) {
        self.dead.since().remove(&address);
    }

    pub(super) fn forget_the_dead(&self) {
        self.dead.since().clear();
    }

    pub(super) fn is_dead(&self, address: SocketAddr, now: Timestamp) -> bool {
        self.dead.has(address, now)
    }

    pub(super) fn did_not_take_a_chunk(&self, address: SocketAddr, now: Timestamp) {
        self.unchunked.add(address, now);
    }

    pub(super) fn takes_no_chunks(&self, address: SocketAddr, now: Timestamp) -> bool {
        self.unchunked.has(address, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_did_not_answer_is_left_alone_for_a_while() {
        let pool = Pool::default();
        let address = SocketAddr::from(([192, 0, 2, 1], 25));
        let start = Timestamp::from_millis(1_000_000);
        pool.did_not_answer(address, start);
        assert!(pool.is_dead(address, start.plus(DEAD_FOR / 2)));
        assert!(!pool.is_dead(address, start.plus(DEAD_FOR)));
        pool.answered(address);
        assert!(!pool.is_dead(address, start));
        pool.did_not_answer(address, start);
        pool.forget_the_dead();
        assert!(!pool.is_dead(address, start));
    }

    #[test]
    fn an_address_that_did_not_take_a_chunk_is_asked_again_after_a_day() {
        let pool = Pool::default();
        let address = |last| SocketAddr::from(([192, 0, 2, 1], last));
        let start = Timestamp::from_millis(1_000_000);
        pool.did_not_take_a_chunk(address(1), start);
        assert!(pool.takes_no_chunks(address(1), start.plus(UNCHUNKED_FOR / 2)));
        assert!(!pool.takes_no_chunks(address(2), start));
        assert!(!pool.takes_no_chunks(address(1), start.plus(UNCHUNKED_FOR)));
        // The newest is always remembered: it is the one that would fail again and again.
        for port in 2..=u16::try_from(MAX_MARKED).unwrap() + 1 {
            pool.did_not_take_a_chunk(address(port), start.plus(Duration::from_secs(1)));
            assert!(pool.takes_no_chunks(address(port), start.plus(Duration::from_secs(1))));
        }
        assert!(!pool.takes_no_chunks(address(1), start));
        assert_eq!(pool.unchunked.since().len(), MAX_MARKED);
    }
}
