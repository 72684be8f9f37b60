//! How fast somebody may go on: messages and recipients of a client, connections of a neighbour.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Rate;

/// Of so many it is remembered how fast they were; beyond, the further ones are counted as one.
const MAX_KNOWN: usize = 8192;

/// A bucket of tokens for each key, told by one number: when it will be full again. What is full is forgotten.
#[derive(Debug)]
pub(super) struct Rates<K>(Mutex<Buckets<K>>);

#[derive(Debug)]
struct Buckets<K> {
    /// `None` stands for all beyond `MAX_KNOWN`.
    full_at: HashMap<Option<K>, Nanos>,
    now: Nanos,
}

/// Too fast: not before so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(pub(super) Duration);

/// Nanoseconds since 1970: ten thousand an hour are not whole milliseconds apart.
type Nanos = i128;

/// What somebody wants to take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) rate: Rate,
    pub(super) count: usize,
}

impl Wait {
    /// Whole seconds, and never none: who comes back at once comes too early.
    pub(super) fn seconds(self) -> u64 {
        self.0.as_secs() + 1
    }
}

impl<K> Default for Rates<K> {
    fn default() -> Rates<K> {
        Rates(Mutex::new(Buckets { full_at: HashMap::new(), now: Nanos::MIN }))
    }
}

impl<K: Hash + Eq> Rates<K> {
    /// Takes all that is claimed, or nothing. More at once than the rate has is taken from a full bucket, and waited for
    /// afterwards: a message for too many recipients would never go otherwise.
    pub(super) fn take(&self, claims: impl IntoIterator<Item = (K, Claim)>, now: Timestamp) -> Result<(), Wait> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = buckets.turn_to(Nanos::from(now.millis()) * 1_000_000);
        let mut taken = Vec::new();
        for (key, claim) in claims {
            let key = buckets.place(key);
            let (per, cost) = claim.cost();
            let full = buckets.full_at.get(&key).map_or(now, |full| now.max(*full));
            let wait = full + cost.min(per) - now - per;
            if wait > 0 {
                return Err(Wait(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))));
            }
            taken.push((key, full + cost));
        }
        buckets.full_at.extend(taken);
        Ok(())
    }
}

impl<K: Hash + Eq> Buckets<K> {
    /// A clock that was set back would shut everybody out for as long: what is owed moves with it.
    fn turn_to(&mut self, now: Nanos) -> Nanos {
        let back = self.now.saturating_sub(now);
        if back > 0 && self.now != Nanos::MIN {
            self.full_at.values_mut().for_each(|full| *full -= back);
        }
        self.now = now;
        now
    }

    /// The key under which it is remembered.
    fn place(&mut self, key: K) -> Option<K> {
        let key = Some(key);
        if self.full_at.len() >= MAX_KNOWN && !self.full_at.contains_key(&key) {
            let now = self.now;
            self.full_at.retain(|_, full| *full > now);
        }
        if self.full_at.len() < MAX_KNOWN || self.full_at.contains_key(&key) { key } else { None }
    }
}

impl Claim {
    /// How long the whole bucket takes to fill, and what is claimed of it.
    fn cost(self) -> (Nanos, Nanos) {
        let per = Nanos::try_from(self.rate.per.as_nanos()).unwrap_or(Nanos::MAX);
        let count = Nanos::try_from(self.count).unwrap_or(Nanos::MAX);
        (per, per.saturating_mul(count) / Nanos::from(self.rate.count.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_000);

    fn claim(count: usize, rate: (u32, u64)) -> Claim {
        Claim { rate: Rate { count: rate.0, per: Duration::from_secs(rate.1) }, count }
    }

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_burst_goes_at_once_and_then_one_by_one() {
        let rates = Rates::default();
        let one = |at| rates.take([("ehr", claim(1, (10, 60)))], at);
        for _ in 0..10 {
            assert_eq!(one(NOW), Ok(()));
        }
        assert_eq!(one(NOW), Err(Wait(Duration::from_secs(6))));
        assert_eq!(one(after(5)).map_err(Wait::seconds), Err(2));
        assert_eq!(one(after(6)), Ok(()));
        assert!(one(after(6)).is_err());
        assert_eq!(rates.take([("other", claim(1, (10, 60)))], after(6)), Ok(()));
        for _ in 0..10 {
            assert_eq!(one(after(600)), Ok(()));
        }
        assert!(one(after(600)).is_err());
    }

    #[test]
    fn one_claim_that_fails_takes_nothing_of_the_others() {
        let rates = Rates::default();
        let both =
            |recipients| rates.take([("messages", claim(1, (2, 60))), ("recipients", claim(recipients, (4, 60)))], NOW);
        assert_eq!(both(4), Ok(()));
        assert!(both(1).is_err());
        assert_eq!(rates.take([("messages", claim(1, (2, 60)))], NOW), Ok(()));
        assert!(rates.take([("messages", claim(1, (2, 60)))], NOW).is_err());
    }

    #[test]
    fn more_at_once_than_the_rate_has_goes_when_nothing_went_before_and_is_waited_for() {
        let rates = Rates::default();
        let many = |count, at| rates.take([("ehr", claim(count, (10, 60)))], at);
        assert_eq!(many(30, NOW), Ok(()));
        assert_eq!(many(1, NOW), Err(Wait(Duration::from_secs(126))));
        assert_eq!(many(1, after(126)), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_further_ones_share() {
        let rates = Rates::default();
        for n in 0..MAX_KNOWN {
            rates.take([(n, claim(1, (2, 60)))], NOW).unwrap();
        }
        let late = |at| rates.take([(usize::MAX, claim(1, (2, 60)))], at);
        assert_eq!(late(NOW), Ok(()));
        assert_eq!(rates.take([(usize::MAX - 1, claim(1, (2, 60)))], NOW), Ok(()));
        assert!(late(NOW).is_err());
        assert!(rates.0.lock().unwrap().full_at.len() <= MAX_KNOWN + 1);
        assert_eq!(late(after(61)), Ok(()));
        assert!(rates.0.lock().unwrap().full_at.len() <= 2);
    }

    #[test]
    fn a_clock_that_was_set_back_shuts_nobody_out_for_long() {
        let rates = Rates::default();
        let one = |at| rates.take([("ehr", claim(1, (1, 60)))], at);
        assert_eq!(one(after(86_400)), Ok(()));
        assert_eq!(one(NOW), Err(Wait(Duration::from_secs(60))));
    }
}
