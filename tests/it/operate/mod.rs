//! What an operator types, reads and signals, against the real binary.

mod clients;
mod drain;
mod exit_codes;
mod monitoring;
mod queue_commands;
mod reload;
mod service_manager;
mod set_up;
mod watching;
mod wrong_config;
