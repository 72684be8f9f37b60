//! Intake.

pub use crate::mail::Address;
