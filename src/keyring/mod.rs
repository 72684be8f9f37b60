//! Our own keys and certificates: the master key and its recovery, the local certificate authority, and what a
//! certificate says.

pub mod authority;
pub mod certificate;
mod file;
pub mod master;
pub mod password;
pub mod recovery;

use std::io;
use std::path::PathBuf;

use crate::crypto::NoEntropy;

/// Why a key or certificate cannot be used, and what to type where typing helps.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error(
        "there is no master key: no credential {credential}, no {variable}, no file {file}; \
         `sealpost init` makes one",
        credential = master::CREDENTIAL,
        variable = master::VARIABLE,
        file = .0.display()
    )]
    NoMasterKey(PathBuf),
    #[error("{} can be read by others than its owner (mode {mode:04o}): chmod 600 {}", path.display(), path.display())]
    ReadableByOthers { path: PathBuf, mode: u32 },
    #[error(
        "{} belongs to user {owner}, neither to us (user {us}) nor to root: chown {us} {}",
        path.display(), path.display()
    )]
    OwnedByOther { path: PathBuf, owner: u32, us: u32 },
    #[error("{0} does not hold a key: 64 hexadecimal digits, or 32 bytes in base64, are expected")]
    NotAKey(String),
    #[error("{} is there already, and is not overwritten", .0.display())]
    AlreadyThere(PathBuf),
    #[error("{} does not hold a password: one line of text is expected", .0.display())]
    NotAPassword(PathBuf),
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("a recovery code has 32 letters and digits, A to Z and 2 to 7, in groups of four; this one has {0}")]
    CodeMistyped(usize),
    #[error("a recovery code has only the letters A to Z and the digits 2 to 7; this one also has {0:?}")]
    CodeLetter(char),
    #[error("this is not the recovery code of this wrap, or the wrap was altered")]
    CodeWrong,
    #[error("this is not a recovery wrap as `sealpost init` writes it")]
    NotAWrap,
    #[error("{0:?} is neither a host name nor an IP address that a certificate can carry")]
    BadName(String),
    #[error("a certificate needs at least one name")]
    NoName,
    #[error("the certificate authority has expired; make a new one and have the senders trust it")]
    AuthorityExpired,
    #[error("certificate {0} of the chain cannot be read")]
    BadCertificate(usize),
    #[error("no certificate is in the file")]
    NoCertificate,
    #[error("no private key that we know is in the file: RSA, ECDSA P-256, P-384, P-521 or Ed25519, not encrypted")]
    BadPrivateKey,
    #[error("the certificate could not be made: {0}")]
    NotMade(rcgen::Error),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}
