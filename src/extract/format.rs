//! Which format octets have, by how they begin: what a sender calls them decides nothing.

/// A format that has a reader in the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Pdf,
}

/// Acrobat takes a PDF whose first line stands within this distance, and so do others.
const PDF_WITHIN: usize = 1024;

impl Format {
    pub(super) fn of(octets: &[u8]) -> Option<Format> {
        let start = &octets[..octets.len().min(PDF_WITHIN)];
        if memchr::memmem::find(start, b"%PDF-").is_some() {
            return Some(Format::Pdf);
        }
        None
    }
}
