//! Argon2id password hashes (RFC 9106) as PHC strings.
//!
//! One hash takes 19 MiB and some 20 ms of one core; who calls bounds how many run at once.

use argon2::password_hash::{Output, PasswordHash, PasswordHasher, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::crypto::{NoEntropy, random};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Argon2id hash, as `sealpost client passwd` writes it")]
pub struct BadHash;

pub fn hash_password(password: &str) -> Result<String, NoEntropy> {
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(|_| NoEntropy)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|_| NoEntropy)?;
    Ok(hash.to_string())
}

/// Whether the password is the one behind the hash.
pub fn verify_password(password: &str, hash: &str) -> Result<bool, BadHash> {
    Workspace::default().verify(password, hash)
}

/// The memory that a hash is made in, kept for the next one. Given back after each hash, it stays with the allocator's
/// arena of the thread that ran it, and guessers make a process of hundreds of megabytes.
#[derive(Default)]
pub struct Workspace(Vec<Block>);

impl Workspace {
    /// Whether the password is the one behind the hash. A hash of another kind, or one so costly
    /// that it could exhaust the machine, is refused.
    pub fn verify(&mut self, password: &str, hash: &str) -> Result<bool, BadHash> {
        let parsed = PasswordHash::new(hash).map_err(|_| BadHash)?;
        let cost = Params::try_from(&parsed).map_err(|_| BadHash)?;
        if parsed.algorithm != argon2::ARGON2ID_IDENT || cost.m_cost() > 256 * 1024 || cost.t_cost() > 16 {
            return Err(BadHash);
        }
        let (salt, expected) = parsed.salt.zip(parsed.hash).ok_or(BadHash)?;
        let version = parsed.version.map_or(Ok(Version::default()), Version::try_from).map_err(|_| BadHash)?;
        let mut salt_octets = [0; Salt::MAX_LENGTH];
        let salt = salt.decode_b64(&mut salt_octets).map_err(|_| BadHash)?;
        self.0.resize(self.0.len().max(cost.block_count()), Block::default());
        let argon = Argon2::new(Algorithm::Argon2id, version, cost);
        // The comparison of two outputs takes the same time wherever they differ.
        let got = Output::init_with(expected.len(), |octets| {
            Ok(argon.hash_password_into_with_memory(password.as_bytes(), salt, octets, &mut self.0)?)
        });
        got.map(|got| got == expected).map_err(|_| BadHash)
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workspace({} KiB)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::PasswordVerifier;

    #[test]
    fn a_password_is_known_by_its_hash() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert_eq!(verify_password("correct horse", &hash), Ok(true));
        assert_eq!(verify_password("wrong", &hash), Ok(false));
        assert!(Argon2::default().verify_password(b"correct horse", &PasswordHash::new(&hash).unwrap()).is_ok());
        assert_eq!(verify_password("correct horse", "$6$rounds=1$x$y"), Err(BadHash));
        assert_eq!(verify_password("correct horse", &hash.replace("m=19456", "m=19456000")), Err(BadHash));
    }

    #[test]
    fn a_workspace_serves_one_hash_after_another() {
        let hashes = ["correct horse", "battery staple"].map(|password| hash_password(password).unwrap());
        let mut workspace = Workspace::default();
        for _ in 0..2 {
            assert_eq!(workspace.verify("correct horse", &hashes[0]), Ok(true));
            assert_eq!(workspace.verify("correct horse", &hashes[1]), Ok(false));
            assert_eq!(format!("{workspace:?}"), "Workspace(19456 KiB)");
        }
    }
}
