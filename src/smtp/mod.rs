//! The two SMTP dialogs as pure state machines: ours as a server, ours as a client.

mod auth;
pub mod client;
mod command;
mod data;
mod path;
mod proxy;
mod scram;
mod session;
mod submitter;
mod transaction;

pub use auth::{BadResponse, Channel, Claim, Credentials, Exchange, Logins, Mechanism, Turn};
pub use command::{Chunk, Command, Mail, Syntax};
pub use data::{Decoder, Feed};
pub use path::Recipient;
pub use proxy::{BadProxyHeader, Proxied, ProxyHeader};
pub use scram::{First, Outcome, Shown, nobodys, verifier};
pub use session::{
    Answering, Authenticating, Chunked, Chunking, Entrance, LookingUp, Receiving, Securing, Session, Settings, Step,
    Verifying,
};
pub use submitter::{Senders, Submitter};
pub use transaction::Transaction;
