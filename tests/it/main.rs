//! Scenarios with real sockets, one file each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod dialogs;
mod world_self;
//! Scenarios against the real thing, one file each.

mod store_story;
