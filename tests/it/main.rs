//! Scenarios with real sockets, one file each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod cluster;
mod dialogs;
mod disk;
mod each_io_call_fails;
mod failed_flush_is_not_trusted;
mod kept;
mod killed_under_load;
mod power_cut_anywhere;
mod store_story;
mod world_self;
