//! The map of Sealpost: the rooms in order. A room uses rooms on lower floors, and rooms above it in this list on its own floor.

// words: what we talk about. No I/O, no waiting, no choice.
pub mod clock;
pub mod config;
pub mod mail;
pub mod phi;

// rules: pure functions from words to words.
pub mod audit;
pub mod classify;
pub mod crypto;
pub mod mime;
pub mod policy;
pub mod smtp;

// state: what survives a power cut.
pub mod accounts;
pub mod evidence;
pub mod keyring;
pub mod queue;
pub mod store;

// reach: what asks the network.
pub mod directory;
pub mod net;

// flows: one message, end to end.
pub mod delivery;
pub mod intake;
pub mod notice;
pub mod retention;

// doors: where the outside comes in.
pub mod control;
pub mod listener;
pub mod wellknown;

// root: what builds the rest.
pub mod cli;
pub mod daemon;
pub mod telemetry;
