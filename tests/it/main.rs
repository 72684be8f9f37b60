//! Scenarios with real sockets, one file each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a scenario fails by panicking")]

#[path = "../conformance/mod.rs"]
mod conformance;
#[path = "../world/mod.rs"]
mod world;

mod attachments;
mod auth_corners;
mod byte_for_byte;
mod client_certificates;
mod clients_as_they_are;
mod clinic;
mod cluster;
mod conformance_suite;
mod dialogs;
mod difficult_messages;
mod disk;
mod doors;
mod each_io_call_fails;
mod failed_flush_is_not_trusted;
mod kept;
mod killed_under_load;
mod power_cut_anywhere;
mod explained_before;
mod limits;
mod line_ends;
mod locked_out;
mod logging_in;
mod marks;
mod mistakes;
mod no_way_left;
mod one_message_three_ways;
mod other_peoples_clients;
mod our_own_faults;
mod queue_in_any_order;
mod restuffed;
mod profiles;
mod scram;
mod smuggling;
mod keep;
mod hostile;
mod house;
mod in_chunks;
mod operate;
mod out;
mod store_story;
mod suspended;
mod tls_on_offer;
mod trying;
mod two_chains;
mod world_self;
