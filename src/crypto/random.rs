//! Entropy from the operating system.

use aws_lc_rs::rand;
use data_encoding::BASE64URL_NOPAD;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoEntropy;

pub fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

pub fn random_u128() -> Result<u128, NoEntropy> {
    random().map(u128::from_le_bytes)
}

/// 256 random bits as 43 characters that may stand in a URL.
pub fn token() -> Result<String, NoEntropy> {
    Ok(BASE64URL_NOPAD.encode(&random::<32>()?))
}
