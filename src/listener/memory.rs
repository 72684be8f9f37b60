//! How much memory messages may take while they come in.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
