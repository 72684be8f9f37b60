//! Passwords against their Argon2id hashes: no more than two at once, one of them a stranger's, and none twice in five minutes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

use crate::accounts::{Denied, held};
use crate::clock::{Clock, Timestamp};
use crate::crypto::{Digest, Key, NoEntropy, Workspace, hash_password, hmac_sha256, token};
use crate::smtp::Credentials;

/// Hashes that run at once: each takes 19 MiB, and there are two for a small machine.
pub(super) const HASHES: usize = 2;
/// How long a login waits for its turn to be hashed.
const TURN: Duration = Duration::from_secs(20);
/// How long a password that was right needs no hash.
pub(super) const REMEMBERED: Duration = Duration::from_secs(300);
const MAX_REMEMBERED: usize = 1024;

/// Who waits for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A login that has been right from there, or whose client has that network.
    Known,
    Stranger,
}

#[derive(Debug)]
pub(super) struct Passwords {
    hashing: Semaphore,
    /// All but one of them. Where strangers queue up to guess, whoever is known does not wait behind them.
    strangers: Semaphore,
    /// One for each hash that runs, once it has run.
    pub(super) workspaces: Mutex<Vec<Workspace>>,
    /// Checked when there is no such login, so that this takes as long as a wrong password does.
    nobodys_hash: String,
    /// For naming what is remembered; made anew by each process, and never written anywhere.
    key: Key,
    pub(super) remembered: Mutex<HashMap<Digest, Timestamp>>,
    clock: Arc<dyn Clock>,
}

impl Passwords {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Result<Passwords, NoEntropy> {
        Ok(Passwords {
            hashing: Semaphore::new(HASHES),
            strangers: Semaphore::new(HASHES - 1),
            workspaces: Mutex::default(),
            nobodys_hash: hash_password(&token()?)?,
            key: Key::generate()?,
            remembered: Mutex::default(),
            clock,
        })
    }

    /// Passwords that were right are proved anew.
    pub(super) fn forget(&self) {
        held(&self.remembered).clear();
    }

    /// Whether this is the password behind the hash; without one it is not, and takes as long. What waited for its turn asks
    /// `still` whether it may have it.
    pub(super) async fn check(
        &self,
        (credentials, asker): (&Credentials, Asker),
        hash: Option<&str>,
        still: impl Fn() -> Result<(), Denied>,
    ) -> Result<bool, Denied> {
        let (hash, known) = (hash.unwrap_or(&self.nobodys_hash), hash.is_some());
        let tag = self.tag(credentials, hash);
        if self.remembers(&tag) {
            return Ok(known);
        }
        let Ok(Ok(_turn)) = tokio::time::timeout(TURN, self.turn(asker)).await else { return Err(Denied::Busy) };
        // Who opens a hundred connections at once has been proved right by the first of them, or locked out.
        if self.remembers(&tag) {
            return Ok(known);
        }
        still()?;
        // The password goes to the hash, and is wiped behind it.
        let password = credentials.password.expose().clone();
        let hash = hash.to_owned();
        let mut workspace = held(&self.workspaces).pop().unwrap_or_default();
        let hashing = tokio::task::spawn_blocking(move || (workspace.verify(&password, &hash), workspace));
        let checked = hashing.await.map(|(verdict, workspace)| {
            held(&self.workspaces).push(workspace);
            verdict
        });
        match checked {
            Ok(Ok(true)) => {
                self.remember(tag);
                Ok(known)
            }
            Ok(Ok(false)) => Ok(false),
            Ok(Err(_)) => Err(Denied::Unusable),
            Err(_) => Err(Denied::Busy),
        }
    }

    async fn turn(&self, asker: Asker) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>), AcquireError> {
        let among_strangers = match asker {
            Asker::Known => None,
            Asker::Stranger => Some(self.strangers.acquire().await?),
        };
        Ok((among_strangers, self.hashing.acquire().await?))
    }

    fn remembers(&self, tag: &Digest) -> bool {
        let now = self.clock.now();
        held(&self.remembered).get(tag).is_some_and(|since| now.since(*since) < REMEMBERED)
    }

    fn remember(&self, tag: Digest) {
        let now = self.clock.now();
        let mut remembered = held(&self.remembered);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, since| now.since(*since) < REMEMBERED);
        }
        if remembered.len() < MAX_REMEMBERED {
            remembered.insert(tag, now);
        }
    }

    /// The name of these credentials against this hash. A password changed in the config has another name.
    pub(super) fn tag(&self, credentials: &Credentials, hash: &str) -> Digest {
        // Both go into a keyed hash, whose key dies with the process.
        let (login, password) = (credentials.login.expose(), credentials.password.expose());
        let mut text = zeroize::Zeroizing::new(Vec::with_capacity(hash.len() + login.len() + password.len() + 2));
        // None of the three can hold a NUL, so two triples never read alike.
        for part in [hash, login, password] {
            text.extend_from_slice(part.as_bytes());
            text.push(0);
        }
        // The hash is kept instead of what was typed; the key lives as long as the process.
        hmac_sha256(self.key.expose(), &text)
    }
}
