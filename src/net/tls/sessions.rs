//! TLS sessions that can be resumed towards next hops: few, and none for long.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::NamedGroup;
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

use crate::clock::{Clock, Timestamp};

/// Hosts whose sessions are kept, within one context.
const MAX_HOSTS: usize = 256;
/// Tickets that rustls keeps of one host.
const MAX_TICKETS: usize = 8;
/// How long after a whole handshake its sessions are resumed. Each resumption brings new tickets, so without this a host that
/// has lost its key, or its certificate to a revocation, could go on for ever without showing either.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// The sessions of one context: one trust, one floor, one certificate of ours.
pub(super) struct Sessions {
    kept: ClientSessionMemoryCache,
    /// When each host last proved that it holds the key of its certificate.
    proved: Mutex<HashMap<ServerName<'static>, Timestamp>>,
    clock: Arc<dyn Clock>,
}

impl Sessions {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Sessions {
        Sessions { kept: ClientSessionMemoryCache::new(MAX_HOSTS), proved: Mutex::default(), clock }
    }

    /// Notes a whole handshake.
    pub(super) fn proved(&self, name: &ServerName<'static>) {
        let now = self.clock.now();
        let mut proved = self.all();
        if proved.len() >= MAX_HOSTS {
            proved.retain(|_, at| now.since(*at) < MAX_AGE);
        }
        if proved.len() >= MAX_HOSTS {
            // Whoever is forgotten shakes hands once more.
            proved.clear();
        }
        proved.insert(name.clone(), now);
    }

    fn is_fresh(&self, name: &ServerName<'_>) -> bool {
        let now = self.clock.now();
        self.all().get(name).is_some_and(|at| *at <= now && now.since(*at) < MAX_AGE)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ServerName<'static>, Timestamp>> {
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.kept.set_kx_hint(name, group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept.kx_hint(name)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.kept.set_tls12_session(name, session);
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        if self.is_fresh(name) {
            return self.kept.tls12_session(name);
        }
        self.kept.remove_tls12_session(&name.to_owned());
        None
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.kept.remove_tls12_session(name);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.kept.insert_tls13_ticket(name, ticket);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if self.is_fresh(name) {
            return self.kept.take_tls13_ticket(name);
        }
        for _ in 0..MAX_TICKETS {
            self.kept.take_tls13_ticket(name)?;
        }
        None
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({} hosts)", self.all().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_proof_ages_and_their_number_is_bounded() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
        let sessions = Sessions::new(clock.clone());
        let name = |at: usize| ServerName::try_from(format!("mx{at}.lab.example")).unwrap();
        assert!(!sessions.is_fresh(&name(0)));
        sessions.proved(&name(0));
        assert!(sessions.is_fresh(&name(0)) && !sessions.is_fresh(&name(1)));
        clock.advance(MAX_AGE);
        assert!(!sessions.is_fresh(&name(0)));
        for at in 0..3 * MAX_HOSTS {
            sessions.proved(&name(at));
            assert!(sessions.all().len() <= MAX_HOSTS && sessions.is_fresh(&name(at)));
        }
    }
}
