//! Copies that come in at the same instant: each waits until the one before it is kept, and finds it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::crypto::Digest;
use crate::intake::{KEPT_WITHIN, Refusal};

/// What messages are like that this node looks at and does not have yet.
#[derive(Debug, Default)]
pub(super) struct Twins {
    inside: Mutex<HashSet<Digest>>,
    left: Notify,
}

/// The only one of its likeness, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    twins: &'a Twins,
    likeness: Digest,
}

impl Twins {
    /// Waits until nothing that is alike is under way any more; what is like nothing waits for nothing.
    pub(super) async fn turn(&self, likeness: Option<Digest>) -> Result<Option<Turn<'_>>, Refusal> {
        let Some(likeness) = likeness else { return Ok(None) };
        // Whoever is inside is kept within this time, or is not.
        let turn = tokio::time::timeout(KEPT_WITHIN, self.enter(likeness)).await;
        turn.map(Some).map_err(|_| Refusal::Busy)
    }

    async fn enter(&self, likeness: Digest) -> Turn<'_> {
        loop {
            // Made first, so that nobody leaves unseen between the look and the wait.
            let left = self.left.notified();
            if self.inside.lock().unwrap_or_else(PoisonError::into_inner).insert(likeness) {
                return Turn { twins: self, likeness };
            }
            left.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.twins.inside.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.likeness);
        self.twins.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::sha256;

    #[tokio::test]
    async fn of_what_is_alike_one_is_looked_at_at_a_time() {
        let twins = Twins::default();
        let (one, other) = (Some(sha256(b"one")), Some(sha256(b"other")));
        assert!(matches!(twins.turn(None).await, Ok(None)));
        let Ok(Some(first)) = twins.turn(one).await else { panic!("nobody is inside") };
        let Ok(Some(_other)) = twins.turn(other).await else { panic!("nobody like it is inside") };
        assert!(tokio::time::timeout(Duration::from_millis(50), twins.turn(one)).await.is_err());
        let (second, ()) = tokio::join!(twins.turn(one), async { drop(first) });
        assert!(matches!(second, Ok(Some(_))));
        drop(second);
        let inside: Vec<_> = twins.inside.lock().unwrap().iter().copied().map(Some).collect();
        assert_eq!(inside, [other], "what has left is forgotten");
    }
}
