//! The map.

pub mod store;
pub mod mail;
