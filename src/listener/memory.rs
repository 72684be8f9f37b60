//! How much memory messages may take while they come in, and how much of it one client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::mail::ClientName;

/// Octets in one unit of memory: few enough to count in 32 bits, many enough to ask for seldom.
const UNIT: usize = 16 * 1024;

/// The memory that messages may take, in all.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    free: Arc<Semaphore>,
    /// Units that one client may have for several messages. A promise of a large message costs it nothing, so the others
    /// must not be left with none.
    most: usize,
    held: Arc<Mutex<HashMap<ClientName, usize>>>,
}

/// One message's part of it; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Memory,
    client: ClientName,
    permit: OwnedSemaphorePermit,
}

/// There is no memory for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Memory {
    pub(super) fn new(octets: usize) -> Memory {
        let all = (octets / UNIT).min(Semaphore::MAX_PERMITS);
        Memory { free: Arc::new(Semaphore::new(all)), most: all / 2, held: Arc::default() }
    }

    /// A share for a message of so many octets; none waits for one.
    pub(super) fn share(&self, client: &ClientName, octets: usize) -> Result<Share, Full> {
        let permit = self.take((client, 0), units(octets))?;
        Ok(Share { memory: self.clone(), client: client.clone(), permit })
    }

    /// Takes so many units for a message that has `own` already. A client's only message may have all there is.
    fn take(&self, (client, own): (&ClientName, usize), more: u32) -> Result<OwnedSemaphorePermit, Full> {
        let mut held = self.held();
        let has = held.get(client).copied().unwrap_or(0);
        let wants = has + usize::try_from(more).map_err(|_| Full)?;
        if has > own && wants > self.most {
            return Err(Full);
        }
        let permit = self.free.clone().try_acquire_many_owned(more).map_err(|_| Full)?;
        held.insert(client.clone(), wants);
        Ok(permit)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<ClientName, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Lets the message grow to so many octets.
    pub(super) fn grow(&mut self, octets: usize) -> Result<(), Full> {
        let own = self.permit.num_permits();
        let more = units(octets).saturating_sub(u32::try_from(own).unwrap_or(u32::MAX));
        if more > 0 {
            self.permit.merge(self.memory.take((&self.client, own), more)?);
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.memory.held();
        if let Some(has) = held.get_mut(&self.client) {
            *has = has.saturating_sub(self.permit.num_permits());
            if *has == 0 {
                held.remove(&self.client);
            }
        }
    }
}

fn units(octets: usize) -> u32 {
    u32::try_from(octets.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> ClientName {
        ClientName(name.into())
    }

    #[test]
    fn memory_is_shared_out_grown_and_given_back() {
        let memory = Memory::new(10 * UNIT);
        let mut one = memory.share(&client("ehr"), 6 * UNIT).unwrap();
        assert_eq!(memory.share(&client("crm"), 5 * UNIT).err(), Some(Full));
        let two = memory.share(&client("crm"), 1).unwrap();
        assert_eq!(one.grow(10 * UNIT), Err(Full));
        drop(two);
        assert_eq!(one.grow(10 * UNIT), Ok(()));
        assert_eq!(memory.share(&client("crm"), 1).err(), Some(Full));
        drop(one);
        assert!(memory.share(&client("crm"), 10 * UNIT).is_ok());
        assert!(memory.held().is_empty());
    }

    #[test]
    fn one_client_with_many_messages_leaves_half_of_it_to_the_others() {
        let memory = Memory::new(10 * UNIT);
        let mut promised = vec![memory.share(&client("crm"), 3 * UNIT).unwrap()];
        promised.push(memory.share(&client("crm"), 2 * UNIT).unwrap());
        assert_eq!(memory.share(&client("crm"), 1).err(), Some(Full));
        assert_eq!(promised[0].grow(4 * UNIT), Err(Full));
        let others = memory.share(&client("ehr"), 5 * UNIT).unwrap();
        drop(others);
        promised.pop();
        assert_eq!(promised[0].grow(10 * UNIT), Ok(()), "its only message may have all");
    }
}
