//! TLS on both sides of Sealpost; the only place that names rustls.

mod certificate;
mod connection;
mod server;
#[cfg(test)]
pub(crate) mod trial;

pub use certificate::{CertificateFacts, TlsError, Validity};
pub(in crate::net) use connection::{Connection, peer_certificates, session};
pub use server::Server;
//! TLS on both sides: 1.2 and 1.3, AEAD suites only.

mod client;
mod judge;
#[cfg(test)]
pub(crate) mod stand_in;

pub use client::{Broken, Client};
pub use judge::{Judged, Trust, TrustError};
