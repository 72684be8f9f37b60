//! The certificate that a client has shown, as far as it says who the client is.

use crate::mail::Domain;

/// Its key is the client's: that was proved in the handshake. Whom it stands for is for `accounts` to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    /// SHA-256 of the whole of it.
    pub whole: [u8; 32],
    /// SHA-256 of its public key, as SubjectPublicKeyInfo.
    pub key: [u8; 32],
    pub validity: Validity,
    pub issuer: Issuer,
}

/// Whether a certificate holds at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    NotYet,
    Now,
    Expired,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// An authority in `tls.client_ca_file`, which vouches for these names.
    Trusted(Vec<Domain>),
    /// Anybody. What names it carries says nothing.
    Unknown,
}
