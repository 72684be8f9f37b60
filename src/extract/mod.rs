//! Attachments as text. The readers of formats run in a child process that can reach nothing; what they cannot read is
//! unreadable, with the reason, and never an error of the message.

mod archive;
mod charset;
mod child;
mod dicom;
mod format;
mod frame;
mod office;
mod ole;
mod parent;
mod pdf;
mod reading;
mod rtf;
mod sandbox;
mod sheets;
mod tnef;
mod xml;

#[cfg(test)]
mod archive_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod office_tests;
#[cfg(test)]
mod pdf_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod windows_tests;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::mime::{File, Part};
use crate::phi::Phi;

pub use child::serve;
pub use parent::{Allowance, Readers};
pub use sandbox::Share;

/// How much work reading one file may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How deep archives may lie in archives.
    pub depth: usize,
    /// Files, sheets and the like.
    pub parts: usize,
    /// How many times its packed size a file may grow to.
    pub ratio: usize,
    /// Unpacked octets and text, each in all.
    pub bytes: usize,
}

impl Budget {
    /// A part may have a name, which is a part too, and say that something else of it cannot be read.
    fn most_parts(&self) -> usize {
        self.parts.saturating_mul(4).saturating_add(16)
    }
}

/// A file, and what was said of it.
#[derive(Clone, Debug)]
pub struct Unread {
    pub media_type: String,
    pub name: Option<Phi<String>>,
    pub octets: Phi<Bytes>,
}

/// Reads one file in this very process, which is for the child and for tests. The paths of the parts count from the file:
/// empty for itself, `2.sheet1` for the first sheet of an archive's second file.
pub fn read(unread: &Unread, budget: &Budget) -> Vec<Part> {
    let mut reading = reading::Reading::new(budget);
    reading.file("", unread, 0);
    reading.finish()
}

/// Whether there is a reader for any of them, and so something to start a child for.
pub fn any_readable(files: &[File]) -> bool {
    // Only how they begin is looked at.
    files.iter().any(|file| format::Format::of(file.octets.expose()).is_some())
}
