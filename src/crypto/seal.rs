//! Sealing at rest: AES-256-GCM under a random 96-bit nonce.
//!
//! A sealed value is `nonce (12) || ciphertext || tag (16)`. A key seals at most 2^32 values
//! (NIST SP 800-38D §8.3); keys here seal one body, or live for one epoch, and stay far below.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::crypto::{NoEntropy, random};

/// A 256-bit key, wiped when dropped. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub fn generate() -> Result<Key, NoEntropy> {
        random().map(Key::new)
    }

    pub fn new(bytes: [u8; 32]) -> Key {
        Key(Zeroizing::new(bytes))
    }

    pub fn from_slice(bytes: &[u8]) -> Option<Key> {
        bytes.try_into().ok().map(Key::new)
    }

    /// The key itself, to be wrapped under another one.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

/// The sealed value was altered, cut, sealed under another key, or sealed for another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open: it was altered, or belongs to another key or place")]
pub struct Broken;

/// Seals `plain` for the one place that `place` names: a value moved elsewhere does not open.
pub fn seal(key: &Key, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, NoEntropy> {
    let nonce: [u8; NONCE_LEN] = random()?;
    let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    // A key of 32 bytes is always a key, and a slice in memory is never too long for GCM.
    let cipher = cipher(key).ok_or(NoEntropy)?;
    let tag = cipher
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut sealed[NONCE_LEN..])
        .map_err(|_| NoEntropy)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

pub fn open(key: &Key, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Broken> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Broken)?;
    let mut plain = rest.to_vec();
    let cipher = cipher(key).ok_or(Broken)?;
    let length = cipher
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut plain)
        .map_err(|_| Broken)?
        .len();
    plain.truncate(length);
    Ok(plain)
}

fn cipher(key: &Key) -> Option<LessSafeKey> {
    // The cipher takes the key itself, and keeps its own copy for as long as the call.
    UnboundKey::new(&AES_256_GCM, key.expose()).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_again_and_shows_nothing() {
        let key = Key::generate().unwrap();
        let sealed = seal(&key, b"body 1", b"Maribel Quist, MRN 4411").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"Maribel"));
        assert_eq!(open(&key, b"body 1", &sealed).unwrap(), b"Maribel Quist, MRN 4411");
        assert_eq!(format!("{key:?}"), "[key]");
    }

    #[test]
    fn altered_cut_moved_or_under_another_key_it_does_not_open() {
        let key = Key::generate().unwrap();
        let sealed = seal(&key, b"body 1", b"text").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(open(&key, b"body 1", &altered), Err(Broken));
            assert_eq!(open(&key, b"body 1", &sealed[..at]), Err(Broken));
        }
        assert_eq!(open(&key, b"body 2", &sealed), Err(Broken));
        assert_eq!(open(&Key::generate().unwrap(), b"body 1", &sealed), Err(Broken));
    }
}
