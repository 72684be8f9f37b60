//! Keys from passwords (PBKDF2, RFC 8018 §5.2), passwords in one form (SASLprep, RFC 4013), and a comparison that tells nothing.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, pbkdf2};

use crate::crypto::Digest;

/// PBKDF2 over HMAC-SHA-256, 32 octets.
pub fn pbkdf2_sha256(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Digest {
    let mut out = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut out);
    Digest(out)
}

/// Whether both are the same, in a time that does not depend on where they differ.
pub fn equal(one: &Digest, other: &Digest) -> bool {
    constant_time::verify_slices_are_equal(&one.0, &other.0).is_ok()
}

/// A login or a password as both sides must write it before it is hashed; `None` when it holds what may not be in one.
pub fn saslprep(text: &str) -> Option<String> {
    stringprep::saslprep(text).ok().filter(|text| !text.is_empty()).map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // RFC 7914 §11.
        let one = pbkdf2_sha256(b"passwd", b"salt", NonZeroU32::MIN);
        assert!(one.to_string().starts_with("55ac046e56e3089fec1691c22544b605"));
        assert!(equal(&one, &Digest(one.0)) && !equal(&one, &Digest::ZERO));
    }

    #[test]
    fn one_word_written_two_ways_is_prepared_alike() {
        // RFC 4013 §3.
        for (written, prepared) in
            [("I\u{ad}X", Some("IX")), ("user", Some("user")), ("\u{aa}", Some("a")), ("\u{2168}", Some("IX"))]
        {
            assert_eq!(saslprep(written).as_deref(), prepared);
        }
        for prohibited in ["\u{7}", "\u{627}1", ""] {
            assert_eq!(saslprep(prohibited), None);
        }
    }
}
