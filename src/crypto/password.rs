//! Argon2id password hashes (RFC 9106) as PHC strings.
//!
//! One hash takes 19 MiB and some 20 ms of one core; who calls bounds how many run at once.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, Params};

use crate::crypto::{NoEntropy, random};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Argon2id hash, as `sealpost client passwd` writes it")]
pub struct BadHash;

pub fn hash_password(password: &str) -> Result<String, NoEntropy> {
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(|_| NoEntropy)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|_| NoEntropy)?;
    Ok(hash.to_string())
}

/// Whether the password is the one behind the hash. A hash of another kind, or one so costly
/// that it could exhaust the machine, is refused.
pub fn verify_password(password: &str, hash: &str) -> Result<bool, BadHash> {
    let parsed = PasswordHash::new(hash).map_err(|_| BadHash)?;
    let cost = Params::try_from(&parsed).map_err(|_| BadHash)?;
    if parsed.algorithm != argon2::ARGON2ID_IDENT || cost.m_cost() > 256 * 1024 || cost.t_cost() > 16 {
        return Err(BadHash);
    }
    Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert_eq!(verify_password("correct horse", &hash), Ok(true));
        assert_eq!(verify_password("wrong", &hash), Ok(false));
        assert_eq!(verify_password("correct horse", "$6$rounds=1$x$y"), Err(BadHash));
        assert_eq!(verify_password("correct horse", &hash.replace("m=19456", "m=19456000")), Err(BadHash));
    }
}
