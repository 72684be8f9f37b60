//! How much mail lies in memory on its way to delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Octets of messages that are kept beside the store, from their acceptance until their attempt is settled.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Memory {
    taken: Arc<AtomicUsize>,
}

/// Room for one message; given back when the last of its jobs is done with it.
#[derive(Debug)]
pub(super) struct Share {
    taken: Arc<AtomicUsize>,
    bytes: usize,
}

impl Memory {
    /// Room for so many octets, when there is some.
    pub(super) fn share(&self, bytes: usize) -> Option<Arc<Share>> {
        let add = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= MAX_BYTES);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        Some(Arc::new(Share { taken: self.taken.clone(), bytes }))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_by_the_last_who_holds_it() {
        let memory = Memory::default();
        let all = memory.share(MAX_BYTES).unwrap();
        let another = all.clone();
        drop(all);
        assert!(memory.share(1).is_none());
        drop(another);
        assert!(memory.share(1).is_some());
        assert!(memory.share(usize::MAX).is_none());
    }
}
