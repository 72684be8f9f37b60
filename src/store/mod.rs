//! The only SQL: one group-committing writer, the reads, the bodies, and the keys that seal them.

use crate::audit::{Actor, Entry, Event, Head, SignedHead};
use crate::clock::Timestamp;
use crate::crypto::Digest;
use crate::mail::{JobId, MessageId};

/// Sealed evidence of one message, as it is kept. Made by `evidence`.
#[derive(Clone, Debug)]
pub struct SealedEvidence {
    pub message: MessageId,
    /// The evidence epoch whose key seals it.
    pub epoch: i64,
    pub sealed: Vec<u8>,
    /// Salted commitment to the record; stands in `Event::Accepted`.
    pub commitment: Digest,
    /// Keyed hashes of the folded addresses of everybody named in the envelope.
    pub people: Vec<Digest>,
    /// Keyed hash of the Message-ID field's value.
    pub message_id: Option<Digest>,
    /// Keyed digest of the content as it was received.
    pub content: Digest,
}

/// Sealed evidence of one attempt.
#[derive(Clone, Debug)]
pub struct SealedAttempt {
    pub epoch: i64,
    pub sealed: Vec<u8>,
    pub commitment: Digest,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database or the disk cannot take or give anything now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}
