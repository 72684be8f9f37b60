//! Ed25519 signatures (RFC 8032), for the heads of the audit chain.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::crypto::{NoEntropy, random};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key")]
pub struct BadKey;

/// Signs; made from a 32-byte seed that the store keeps sealed.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    pub fn generate_seed() -> Result<Zeroizing<[u8; 32]>, NoEntropy> {
        random().map(Zeroizing::new)
    }

    pub fn from_seed(seed: &[u8]) -> Result<SigningKey, BadKey> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(SigningKey).map_err(|_| BadKey)
    }

    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }

    pub fn public(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[signing key]")
    }
}

/// Verifies; written in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub fn parse(base64: &str) -> Result<PublicKey, BadKey> {
        let bytes = BASE64.decode(base64.as_bytes()).map_err(|_| BadKey)?;
        bytes.try_into().map(PublicKey).map_err(|_| BadKey)
    }

    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_verifies() {
        let seed = SigningKey::generate_seed().unwrap();
        let key = SigningKey::from_seed(&*seed).unwrap();
        let signature = key.sign(b"head 7");
        let public = PublicKey::parse(&key.public().to_string()).unwrap();
        assert!(public.verifies(b"head 7", &signature));
        assert!(!public.verifies(b"head 8", &signature));
        assert_eq!(PublicKey::parse("AAAA"), Err(BadKey));
    }
}
