//! The two SMTP dialogs as pure state machines: ours as a server, ours as a client.

pub mod client;
