//! Scenarios with real sockets, one file each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod cluster;
mod dialogs;
mod kept;
mod killed_under_load;
mod store_story;
mod world_self;
