//! The primitives: digests, keyed hashes, sealing at rest, signatures, passwords, random names.
//!
//! Everything but the password hash is AWS-LC's; nothing here knows what it protects.

mod derive;
mod digest;
mod password;
mod random;
mod seal;
mod sign;

pub use derive::{equal, pbkdf2_sha256, saslprep};
pub use digest::{Digest, Hasher, hmac_sha256, sha256};
pub use password::{BadHash, Workspace, hash_password, verify_password};
pub use random::{NoEntropy, random, random_u128, token};
pub use seal::{Broken, Key, open, seal};
pub use sign::{BadKey, PublicKey, SigningKey};
