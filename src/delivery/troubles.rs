//! What somebody has to mend at a next hop, told in the postmaster's daily report for as long as it lasts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{error, info};

use crate::clock::Timestamp;

/// How long a login that was refused is not tried again: a provider closes an account at which many fail.
const PAUSE: Duration = Duration::from_secs(5 * 60);
/// More than anybody reads.
const MAX_TROUBLES: usize = 100;

/// Both texts are our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub name: String,
    pub advice: String,
}

#[derive(Debug)]
struct Lasting {
    advice: String,
    /// None when an operator wants it tried at once.
    last: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub struct Troubles {
    lasting: Mutex<BTreeMap<String, Lasting>>,
    changed: Notify,
}

impl Troubles {
    pub(super) fn begin(&self, trouble: Trouble, now: Timestamp) {
        let Trouble { name, advice } = trouble;
        let mut lasting = self.lasting();
        if lasting.len() >= MAX_TROUBLES && !lasting.contains_key(&name) {
            return;
        }
        let before = lasting.insert(name.clone(), Lasting { advice: advice.clone(), last: Some(now) });
        drop(lasting);
        if before.is_none_or(|before| before.advice != advice) {
            error!(trouble.name = name, "{name}: {advice}");
            self.changed.notify_one();
        }
    }

    pub(super) fn end(&self, name: &str) {
        if self.lasting().remove(name).is_some() {
            info!(trouble.name = name, "{name}: in order again");
            self.changed.notify_one();
        }
    }

    /// Whether it is too early to try again what failed.
    pub(super) fn is_paused(&self, name: &str, now: Timestamp) -> bool {
        self.lasting().get(name).and_then(|lasting| lasting.last).is_some_and(|last| now.since(last) < PAUSE)
    }

    pub(super) fn try_at_once(&self) {
        self.lasting().values_mut().for_each(|lasting| lasting.last = None);
    }

    pub fn list(&self) -> Vec<Trouble> {
        let told =
            |(name, lasting): (&String, &Lasting)| Trouble { name: name.clone(), advice: lasting.advice.clone() };
        self.lasting().iter().map(told).collect()
    }

    /// Waits until the list is another.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lasting(&self) -> MutexGuard<'_, BTreeMap<String, Lasting>> {
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_lasts_until_it_ends_and_is_not_tried_again_at_once() {
        let (troubles, now) = (Troubles::default(), Timestamp::from_millis(1_000_000));
        let trouble = Trouble { name: "login at smtp.provider.example".into(), advice: "mend it".into() };
        troubles.begin(trouble.clone(), now);
        assert_eq!(troubles.list(), *std::slice::from_ref(&trouble));
        assert!(troubles.is_paused(&trouble.name, now.plus(PAUSE / 2)));
        assert!(!troubles.is_paused(&trouble.name, now.plus(PAUSE)) && !troubles.is_paused("another", now));
        troubles.try_at_once();
        assert!(!troubles.is_paused(&trouble.name, now));
        assert_eq!(troubles.list(), *std::slice::from_ref(&trouble), "it lasts all the same");
        troubles.end(&trouble.name);
        assert_eq!(troubles.list(), []);
    }
}
