//! What asks the network: names, mail exchangers, and TLS. The only room that names rustls and hickory.

pub mod mx;
mod resolver;
#[cfg(test)]
pub(crate) mod stand_in;
mod stream;
pub mod tls;

pub use resolver::{Exchange, LookupError, Resolver};
pub use stream::Stream;
