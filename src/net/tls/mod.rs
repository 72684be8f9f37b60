//! TLS on both sides of Sealpost; the only place that names rustls.

mod certificate;
mod connection;
mod server;

pub use certificate::{CertificateFacts, TlsError, Validity};
pub(in crate::net) use connection::{Connection, peer_certificates, session};
pub use server::Server;
