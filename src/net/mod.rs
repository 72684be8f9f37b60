//! What asks the network, and what carries our side of it.

mod stream;
pub mod tls;

pub use stream::Stream;
