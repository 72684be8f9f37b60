//! How many connections there may be, and whose: when places run out, whoever is known comes before whoever is not.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use tokio_util::sync::CancellationToken;

use crate::accounts::network_of;
use crate::clock::Timestamp;
use crate::config::Limits;
use crate::mail::{Enhanced, Reply};

/// How long somebody is known by an address over which a client has logged in.
const KNOWN: Duration = Duration::from_hours(24);
/// Of so many addresses it is remembered. The one that has been quiet for longest is forgotten first.
const MAX_KNOWN: usize = 4096;

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    InAll,
    FromOneAddress,
}

impl Crowded {
    pub(super) fn name(self) -> &'static str {
        match self {
            Crowded::InAll => "connections",
            Crowded::FromOneAddress => "connections_per_address",
        }
    }

    pub(super) fn reply(self) -> Reply {
        let text = match self {
            Crowded::InAll => "too many connections, try again later",
            Crowded::FromOneAddress => "too many connections from your address, close one first",
        };
        Reply::new(421, Enhanced::new(4, 7, 0), text)
    }
}

/// What is known of somebody who has not said a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A client's network, or one from which a client has logged in lately.
    Known,
    Stranger,
}

/// Who is in.
#[derive(Clone, Debug, Default)]
pub(super) struct Occupancy(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
    /// Whoever could be anybody, the oldest first.
    strangers: BTreeMap<u64, Stranger>,
    next: u64,
    known: HashMap<IpAddr, Timestamp>,
}

#[derive(Debug)]
struct Stranger {
    network: IpAddr,
    out: CancellationToken,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    occupancy: Occupancy,
    network: IpAddr,
    number: u64,
    /// Cancelled when the place was given to somebody else.
    out: CancellationToken,
}

impl Occupancy {
    /// Whether a client has logged in from there lately.
    pub(super) fn knows(&self, peer: IpAddr, now: Timestamp) -> bool {
        self.counts().known.get(&network_of(peer)).is_some_and(|last| now.since(*last) < KNOWN)
    }

    /// Gives a place, if need be that of a stranger.
    pub(super) fn enter(&self, peer: IpAddr, standing: Standing, limits: &Limits) -> Result<Place, Crowded> {
        let network = network_of(peer);
        let mut counts = self.counts();
        let from_there = counts.from(network);
        if from_there >= limits.connections_per_address {
            return Err(Crowded::FromOneAddress);
        }
        if counts.total >= limits.connections {
            let number = counts.whose_place_is_due((network, standing)).ok_or(Crowded::InAll)?;
            counts.turn_out(number);
        }
        let (number, out) = (counts.next, CancellationToken::new());
        counts.next += 1;
        counts.total += 1;
        *counts.by_network.entry(network).or_default() += 1;
        match standing {
            Standing::Known => {}
            Standing::Stranger => drop(counts.strangers.insert(number, Stranger { network, out: out.clone() })),
        }
        gauge!("sealpost_connections_open").increment(1.0);
        Ok(Place { occupancy: self.clone(), network, number, out })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn from(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).copied().unwrap_or(0)
    }

    /// Whom a newcomer takes the place of: for somebody known, the stranger that has sat there for longest; for a
    /// stranger, the oldest of those from one address who hold more places than that newcomer will.
    fn whose_place_is_due(&self, (network, standing): (IpAddr, Standing)) -> Option<u64> {
        let mut oldest = self.strangers.iter();
        match standing {
            Standing::Known => oldest.next().map(|(number, _)| *number),
            Standing::Stranger => {
                let mut held: HashMap<IpAddr, usize> = HashMap::new();
                self.strangers.values().for_each(|stranger| *held.entry(stranger.network).or_default() += 1);
                let most = held.values().copied().max()?;
                let own = held.get(&network).copied().unwrap_or(0);
                let found = oldest.find(|(_, stranger)| held.get(&stranger.network) == Some(&most));
                found.filter(|_| most > own + 1).map(|(number, _)| *number)
            }
        }
    }

    /// The place is free at once; the connection hears of it, and ends.
    fn turn_out(&mut self, number: u64) {
        if let Some(Stranger { network, out }) = self.strangers.remove(&number) {
            self.leave(network);
            out.cancel();
        }
    }

    fn leave(&mut self, network: IpAddr) {
        self.total = self.total.saturating_sub(1);
        if let Some(from_there) = self.by_network.get_mut(&network) {
            *from_there = from_there.saturating_sub(1);
            if *from_there == 0 {
                self.by_network.remove(&network);
            }
        }
    }

    fn remember(&mut self, network: IpAddr, now: Timestamp) {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&network) {
            let oldest = self.known.iter().min_by_key(|(_, last)| **last).map(|(network, _)| *network);
            oldest.map(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(network, now);
    }
}

impl Place {
    /// Ends when the place has been given to somebody else.
    pub(super) fn out(&self) -> CancellationToken {
        self.out.clone()
    }

    /// A client has logged in over it: it is nobody's to take, and the next connection from there is known.
    pub(super) fn is_a_clients(&self, now: Timestamp) {
        let mut counts = self.occupancy.counts();
        counts.strangers.remove(&self.number);
        counts.remember(self.network, now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.occupancy.counts();
        // Who was turned out has left already.
        if !self.out.is_cancelled() {
            counts.strangers.remove(&self.number);
            counts.leave(self.network);
        }
        gauge!("sealpost_connections_open").decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_000);

    fn limits(connections: usize, connections_per_address: usize) -> Limits {
        Limits { connections, connections_per_address, ..crate::listener::tests::limits() }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn enter(house: &Occupancy, last: u8, standing: Standing) -> Result<Place, Crowded> {
        house.enter(address(last), standing, &limits(4, 3))
    }

    #[test]
    fn somebody_known_takes_the_place_of_the_oldest_stranger() {
        let house = Occupancy::default();
        let places: Vec<Place> = (1..=4).map(|last| enter(&house, last, Standing::Stranger).unwrap()).collect();
        assert_eq!(enter(&house, 5, Standing::Stranger).err(), Some(Crowded::InAll));
        let known = enter(&house, 9, Standing::Known).unwrap();
        assert!(places[0].out().is_cancelled() && !places[1].out().is_cancelled());
        drop(places);
        assert_eq!(house.counts().total, 1, "who was turned out leaves once");
        drop(known);
        assert!(house.counts().by_network.is_empty());
    }

    #[test]
    fn nobody_takes_the_place_of_a_client() {
        let house = Occupancy::default();
        let places: Vec<Place> = (1..=4).map(|last| enter(&house, last, Standing::Stranger).unwrap()).collect();
        places.iter().for_each(|place| place.is_a_clients(NOW));
        assert_eq!(enter(&house, 9, Standing::Known).err(), Some(Crowded::InAll));
        assert!(places.iter().all(|place| !place.out().is_cancelled()));
    }

    #[test]
    fn among_strangers_places_go_to_whoever_has_fewest() {
        let house = Occupancy::default();
        let greedy: Vec<Place> = (0..3).map(|_| enter(&house, 1, Standing::Stranger).unwrap()).collect();
        let _second = enter(&house, 2, Standing::Stranger).unwrap();
        assert_eq!(enter(&house, 1, Standing::Stranger).err(), Some(Crowded::FromOneAddress));
        let _third = enter(&house, 3, Standing::Stranger).unwrap();
        assert!(greedy[0].out().is_cancelled());
        assert_eq!(enter(&house, 2, Standing::Stranger).err(), Some(Crowded::InAll), "two each are fair");
        assert!(!greedy[1].out().is_cancelled());
    }

    #[test]
    fn an_address_is_known_for_a_day_behind_a_login_and_so_many_are_remembered() {
        let house = Occupancy::default();
        enter(&house, 1, Standing::Stranger).unwrap().is_a_clients(NOW);
        assert!(house.knows(address(1), NOW.plus(Duration::from_hours(23))));
        assert!(!house.knows(address(1), NOW.plus(KNOWN)));
        assert!(!house.knows(address(2), NOW));
        for n in 0..u32::try_from(MAX_KNOWN).unwrap() {
            house.counts().remember(IpAddr::from((n + 1).to_be_bytes()), NOW.plus(Duration::from_secs(1)));
        }
        assert_eq!(house.counts().known.len(), MAX_KNOWN);
        assert!(!house.knows(address(1), NOW));
    }
}
