//! The map of Sealpost: the rooms in order. A room uses rooms on lower floors, and rooms above it in this list on its own floor.

// words: what we talk about. No I/O, no waiting, no choice.
pub mod phi;
pub mod clock;
pub mod mail;
pub mod config;

// rules: pure functions from words to words.
pub mod crypto;
pub mod audit;
pub mod smtp;
pub mod mime;
pub mod classify;
pub mod policy;

// state: what survives a power cut.
pub mod store;
pub mod queue;
pub mod evidence;
pub mod keyring;
pub mod accounts;

// reach: what asks the network.
pub mod net;
pub mod directory;

// flows: one message, end to end.
pub mod notice;
pub mod extract;
pub mod intake;
pub mod delivery;
pub mod retention;

// doors: where the outside comes in.
pub mod control;
pub mod listener;
pub mod wellknown;

// root: what builds the rest.
pub mod telemetry;
pub mod daemon;
pub mod cli;
