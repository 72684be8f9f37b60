//! How many may be in, and how much they may carry: connections in all and per neighbour, memory for messages.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::accounts::network_of;
use crate::config::Limits;
use crate::mail::{Enhanced, Reply};

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

/// Who is in.
#[derive(Clone, Debug, Default)]
pub(super) struct Occupancy(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    occupancy: Occupancy,
    network: IpAddr,
}

impl Occupancy {
    pub(super) fn enter(&self, peer: IpAddr, limits: &Limits) -> Result<Place, Crowded> {
        let network = network_of(peer);
        let mut counts = self.counts();
        if counts.total >= limits.connections {
            return Err(Crowded::InAll);
        }
        let from_there = counts.by_network.get(&network).copied().unwrap_or(0);
        if from_there >= limits.connections_per_address {
            return Err(Crowded::FromOneAddress);
        }
        counts.total += 1;
        counts.by_network.insert(network, from_there + 1);
        gauge!("sealpost_connections_open").increment(1.0);
        Ok(Place { occupancy: self.clone(), network })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.occupancy.counts();
        counts.total = counts.total.saturating_sub(1);
        if let Some(from_there) = counts.by_network.get_mut(&self.network) {
            *from_there = from_there.saturating_sub(1);
            if *from_there == 0 {
                counts.by_network.remove(&self.network);
            }
        }
        gauge!("sealpost_connections_open").decrement(1.0);
    }
}

/// Octets in one unit of memory: few enough to count in 32 bits, many enough to ask for seldom.
const UNIT: usize = 16 * 1024;

/// The memory that messages may take, in all.
#[derive(Debug)]
pub(super) struct Memory(Arc<Semaphore>);

/// One message's part of it; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
}

/// There is no memory for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Memory {
    pub(super) fn new(octets: usize) -> Memory {
        Memory(Arc::new(Semaphore::new((octets / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// A share for a message of so many octets; none waits for one.
    pub(super) fn share(&self, octets: usize) -> Result<Share, Full> {
        let permit = self.0.clone().try_acquire_many_owned(units(octets)).map_err(|_| Full)?;
        Ok(Share { memory: self.0.clone(), permit })
    }
}

impl Share {
    /// Lets the message grow to so many octets.
    pub(super) fn grow(&mut self, octets: usize) -> Result<(), Full> {
        let held = u32::try_from(self.permit.num_permits()).unwrap_or(u32::MAX);
        let more = units(octets).saturating_sub(held);
        if more > 0 {
            self.permit.merge(self.memory.clone().try_acquire_many_owned(more).map_err(|_| Full)?);
        }
        Ok(())
    }
}

fn units(octets: usize) -> u32 {
    u32::try_from(octets.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out_grown_and_given_back() {
        let memory = Memory::new(10 * UNIT);
        let mut one = memory.share(6 * UNIT).unwrap();
        assert_eq!(memory.share(5 * UNIT).err(), Some(Full));
        let two = memory.share(1).unwrap();
        assert_eq!(one.grow(10 * UNIT), Err(Full));
        drop(two);
        assert_eq!(one.grow(10 * UNIT), Ok(()));
        assert_eq!(memory.share(1).err(), Some(Full));
        drop(one);
        assert!(memory.share(10 * UNIT).is_ok());
    }
}
