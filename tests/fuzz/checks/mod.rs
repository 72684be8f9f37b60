//! What must hold for any input whatever. `make fuzz` looks for inputs that break one of these; `tests/corpora.rs` tries those
//! that were found, and the corpora, with every `make test`.

#![allow(dead_code, unreachable_pub, reason = "each fuzz target uses one of them, the test of the corpora all")]

pub mod address;
pub mod audit;
pub mod classify;
pub mod config;
pub mod decoder;
pub mod dialog;
pub mod extract;
pub mod mime;
pub mod proxy;
pub mod replies;
pub mod session;
pub mod wishes;

/// A check, by the name of its corpus.
pub type Check = (&'static str, fn(&[u8]));

pub const ALL: &[Check] = &[
    ("address", address::check),
    ("audit", audit::check),
    ("classify", classify::check),
    ("config", config::check),
    ("decoder", decoder::check),
    ("dialog", dialog::check),
    ("extract_archive", extract::check),
    ("extract_compound", extract::check),
    ("extract_dicom", extract::check),
    ("extract_office", extract::office),
    ("extract_pdf", extract::check),
    ("extract_rtf", extract::check),
    ("extract_tnef", extract::check),
    ("mime", mime::check),
    ("proxy", proxy::check),
    ("replies", replies::check),
    ("session", session::check),
    ("wishes", wishes::check),
];
