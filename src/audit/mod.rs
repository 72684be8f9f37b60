//! The audit log: what happened, who did it, and the chain that shows when a row was altered, dropped or added.

mod chain;
mod event;
mod export;
mod verify;

pub use chain::{Entry, Head, NodeId, Row, SignedHead, link};
pub use event::{AcceptedJob, Actor, Event, HoldCause, JobState};
pub use export::{MAX_LINE_BYTES, Show, export, first_line, head_line, row_line};
pub use verify::{Broken, Proof, Verifier, verify};
