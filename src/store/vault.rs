//! The keys: a master key wraps the epochs' keys; a body epoch wraps bodies' keys and seals envelopes; an evidence
//! epoch seals what is kept for six years; the index key makes the keyed hashes by which people and messages are found.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::audit::NodeId;
use crate::clock::Timestamp;
use crate::crypto::{self, Digest, Key, NoEntropy, PublicKey, SigningKey, hmac_sha256};
use crate::mail::JobId;
use crate::store::{NewEpoch, Purpose, StoreError};

/// A sealed value that does not open: altered, moved, or its epoch's key is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open: it was altered, or its key is gone")]
pub struct Broken;

/// Seals and opens. A cheap clone.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<RwLock<Keys>>,
}

struct Keys {
    master: Key,
    epochs: HashMap<i64, Epoch>,
    index: Key,
    signing: Arc<SigningKey>,
}

struct Epoch {
    purpose: Purpose,
    started: Timestamp,
    key: Key,
}

impl Vault {
    pub(crate) fn new(master: Key, index: Key, signing: SigningKey) -> Vault {
        let keys = Keys { master, epochs: HashMap::new(), index, signing: Arc::new(signing) };
        Vault { keys: Arc::new(RwLock::new(keys)) }
    }

    /// The epoch under which bodies' keys are wrapped today.
    pub fn body_epoch(&self) -> i64 {
        self.newest(Purpose::Body).map_or(0, |(id, _)| id)
    }

    /// The epoch under which evidence is sealed this year.
    pub fn evidence_epoch(&self) -> i64 {
        self.newest(Purpose::Evidence).map_or(0, |(id, _)| id)
    }

    /// Seals `plain` for the one place that `place` names.
    pub fn seal_record(&self, epoch: i64, place: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let keys = self.read();
        let epoch = keys.epochs.get(&epoch).ok_or(Broken)?;
        crypto::seal(&epoch.key, place.as_bytes(), plain).map_err(no_entropy)
    }

    pub fn open_record(&self, epoch: i64, place: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let keys = self.read();
        let epoch = keys.epochs.get(&epoch).ok_or(Broken)?;
        Ok(crypto::open(&epoch.key, place.as_bytes(), sealed).map_err(|_| Broken)?)
    }

    /// The name under which `bytes` can be found again by whoever holds this vault, and by nobody else.
    pub fn keyed_hash(&self, purpose: &str, bytes: &[u8]) -> Digest {
        // The length keeps one purpose's text from running into another's bytes.
        let text = [&(purpose.len() as u64).to_be_bytes(), purpose.as_bytes(), bytes].concat();
        // The hash leaves; the key stays sealed.
        hmac_sha256(self.read().index.expose(), &text)
    }

    pub fn wrap_body_key(&self, epoch: i64, job: JobId, key: &Key) -> Result<Vec<u8>, StoreError> {
        // It leaves wrapped.
        self.seal_record(epoch, &body_key_place(job), key.expose())
    }

    pub fn unwrap_body_key(&self, epoch: i64, job: JobId, wrapped: &[u8]) -> Result<Key, StoreError> {
        let bytes = self.open_record(epoch, &body_key_place(job), wrapped)?;
        Ok(Key::from_slice(&bytes).ok_or(Broken)?)
    }

    /// Signs the heads of this node's chain.
    pub fn signing_key(&self) -> Arc<SigningKey> {
        self.read().signing.clone()
    }

    pub fn public_key(&self) -> PublicKey {
        self.read().signing.public()
    }

    pub(crate) fn newest(&self, purpose: Purpose) -> Option<(i64, Timestamp)> {
        let keys = self.read();
        let of_purpose = keys.epochs.iter().filter(|(_, epoch)| epoch.purpose == purpose);
        of_purpose.map(|(id, epoch)| (*id, epoch.started)).max()
    }

    pub(crate) fn knows(&self, epoch: i64) -> bool {
        self.read().epochs.contains_key(&epoch)
    }

    /// Makes the next epoch's key, wrapped under the master key. It is not used before it is committed and admitted.
    pub(crate) fn next_epoch(&self, id: i64, purpose: Purpose, started: Timestamp) -> Result<NewEpoch, StoreError> {
        let key = Key::generate().map_err(no_entropy)?;
        Ok(NewEpoch { id, purpose, wrapped: wrap_epoch(&self.read().master, id, &key)?, started })
    }

    pub(crate) fn admit(&self, epoch: &NewEpoch) -> Result<(), StoreError> {
        let mut keys = self.write();
        let key = unwrap_epoch(&keys.master, epoch.id, &epoch.wrapped)?;
        if epoch.purpose == Purpose::Index {
            keys.index = key.clone();
        }
        keys.epochs.insert(epoch.id, Epoch { purpose: epoch.purpose, started: epoch.started, key });
        Ok(())
    }

    pub(crate) fn drop_epoch(&self, epoch: i64) {
        self.write().epochs.remove(&epoch);
    }

    pub(crate) fn master(&self) -> Key {
        self.read().master.clone()
    }

    /// Whether everything is wrapped under this key at present.
    pub fn is_master(&self, key: &Key) -> bool {
        self.read().master.expose() == key.expose()
    }

    pub(crate) fn replace_master(&self, master: Key) {
        self.write().master = master;
    }

    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

pub(crate) fn no_entropy(error: NoEntropy) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// The place of a job's sealed envelope.
pub(crate) fn envelope_place(job: JobId) -> String {
    format!("envelope {job}")
}

fn body_key_place(job: JobId) -> String {
    format!("body key {job}")
}

fn epoch_place(id: i64) -> String {
    format!("epoch {id}")
}

pub(crate) fn wrap_epoch(master: &Key, id: i64, key: &Key) -> Result<Vec<u8>, StoreError> {
    // It leaves wrapped.
    crypto::seal(master, epoch_place(id).as_bytes(), key.expose()).map_err(no_entropy)
}

pub(crate) fn unwrap_epoch(master: &Key, id: i64, wrapped: &[u8]) -> Result<Key, StoreError> {
    let bytes = crypto::open(master, epoch_place(id).as_bytes(), wrapped).map_err(|_| StoreError::WrongMasterKey)?;
    Key::from_slice(&bytes).ok_or(StoreError::WrongMasterKey)
}

pub(crate) fn wrap_seed(master: &Key, node: &NodeId, seed: &[u8]) -> Result<Vec<u8>, StoreError> {
    crypto::seal(master, format!("seed {node}").as_bytes(), seed).map_err(no_entropy)
}

pub(crate) fn unwrap_seed(master: &Key, node: &NodeId, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    crypto::open(master, format!("seed {node}").as_bytes(), sealed).map_err(|_| StoreError::WrongMasterKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        let signing = SigningKey::from_seed(&[7; 32]).unwrap();
        let vault = Vault::new(Key::generate().unwrap(), Key::generate().unwrap(), signing);
        let epoch = vault.next_epoch(4, Purpose::Body, Timestamp::from_millis(0)).unwrap();
        vault.admit(&epoch).unwrap();
        vault
    }

    #[test]
    fn a_destroyed_epoch_opens_nothing_any_more() {
        let vault = vault();
        let sealed = vault.seal_record(4, "envelope 1", b"ann@clinic.example").unwrap();
        assert_eq!(vault.open_record(4, "envelope 1", &sealed).unwrap(), b"ann@clinic.example");
        assert_eq!(vault.open_record(4, "envelope 2", &sealed), Err(StoreError::Broken(Broken)));
        vault.drop_epoch(4);
        assert_eq!(vault.open_record(4, "envelope 1", &sealed), Err(StoreError::Broken(Broken)));
    }

    #[test]
    fn a_keyed_hash_belongs_to_its_purpose() {
        let vault = vault();
        assert_eq!(vault.keyed_hash("person", b"a"), vault.keyed_hash("person", b"a"));
        assert_ne!(vault.keyed_hash("person", b"a"), vault.keyed_hash("persona", b""));
    }
}
