//! The audit log: what happened, who did it, and the chain that shows when a row was altered, dropped or added.

mod chain;
mod event;

pub use chain::{Entry, Head, NodeId, Row, SignedHead, link};
pub use event::{AcceptedJob, Actor, Event, HoldCause, JobState};
