//! TLS on both sides of Sealpost; the only place that names rustls.

mod certificate;
mod connection;
mod server;
#[cfg(test)]
pub(crate) mod trial;

pub use certificate::{CertificateFacts, TlsError, Validity};
pub(in crate::net) use connection::{Connection, peer_certificates, session};
pub use server::Server;
