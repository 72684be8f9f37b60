//! TLS on both sides: 1.2 and 1.3, AEAD suites only. The only place that names rustls.

mod certificate;
mod client;
mod connection;
mod judge;
mod server;
mod sessions;
mod shown;
#[cfg(test)]
pub(crate) mod stand_in;
#[cfg(test)]
pub(crate) mod trial;
mod unmet;

pub use certificate::TlsError;
pub use client::{Broken, Client, ClientError, Wanted};
pub(in crate::net) use connection::{Connection, channel_binding, peer_chain, session};
pub use judge::{Judged, Trust, TrustError, system_roots};
pub use server::Server;
pub use unmet::{Unmet, old_version};
