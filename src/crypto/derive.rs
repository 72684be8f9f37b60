//! PBKDF2: a key from a password, by as much work as is asked for.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;

use crate::crypto::Digest;

/// RFC 8018 §5.2 with HMAC-SHA-256; RFC 5802 §2.2 calls it Hi().
pub fn pbkdf2_sha256(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Digest {
    let mut derived = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut derived);
    Digest(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // RFC 7914 §11.
        let once = pbkdf2_sha256(b"passwd", b"salt", NonZeroU32::MIN);
        assert_eq!(once.to_string(), "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    }
}
