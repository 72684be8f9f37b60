//! Which format octets have, by how they begin: what a sender calls them decides nothing.

/// A format that has a reader in the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Pdf,
    /// Archives, and the office formats that are ones.
    Zip,
    Gzip,
    Tar,
    /// Microsoft's compound files: DOC, XLS, PPT, MSG, and encrypted DOCX.
    Compound,
    Rtf,
    /// winmail.dat.
    Tnef,
    Dicom,
}

/// Acrobat takes a PDF whose first line stands within this distance, and so do others.
const PDF_WITHIN: usize = 1024;

/// How a format begins, and where.
const MARKS: [(usize, &[u8], Format); 10] = [
    (0, b"PK\x03\x04", Format::Zip),
    // An archive with nothing in it, and one that was to be cut in pieces.
    (0, b"PK\x05\x06", Format::Zip),
    (0, b"PK\x07\x08PK", Format::Zip),
    (0, b"\x1f\x8b\x08", Format::Gzip),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Format::Compound),
    (0, b"{\\rtf", Format::Rtf),
    (0, b"\x78\x9f\x3e\x22", Format::Tnef),
    (128, b"DICM", Format::Dicom),
    (257, b"ustar\0", Format::Tar),
    (257, b"ustar  \0", Format::Tar),
];

impl Format {
    pub(super) fn of(octets: &[u8]) -> Option<Format> {
        let marked = |(at, mark, format): &(usize, &[u8], Format)| {
            octets.get(*at..).is_some_and(|rest| rest.starts_with(mark)).then_some(*format)
        };
        let start = &octets[..octets.len().min(PDF_WITHIN)];
        let is_pdf = memchr::memmem::find(start, b"%PDF-").is_some();
        MARKS.iter().find_map(marked).or(is_pdf.then_some(Format::Pdf))
    }
}

/// How pictures begin that mail programs show or cameras and scanners make: PNG, JPEG, GIF, TIFF and BMP.
const PICTURES: [&[u8]; 6] = [b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"BM"];

/// A picture, on which a document may be seen.
pub(super) fn is_picture(octets: &[u8]) -> bool {
    let boxed = |at: usize, mark: &[u8]| octets.get(at..).is_some_and(|rest| rest.starts_with(mark));
    // WebP is in RIFF, and what telephones take in the boxes of ISO 14496-12.
    PICTURES.iter().any(|mark| octets.starts_with(mark))
        || (boxed(0, b"RIFF") && boxed(8, b"WEBP"))
        || (boxed(4, b"ftyp") && [&b"heic"[..], b"heix", b"mif1", b"avif"].iter().any(|kind| boxed(8, kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_how_it_begins() {
        assert_eq!(Format::of(b"%PDF-1.7"), Some(Format::Pdf));
        assert_eq!(Format::of(b"\r\n\r\n%PDF-1.7"), Some(Format::Pdf));
        assert_eq!(Format::of(b"PK\x03\x04%PDF-"), Some(Format::Zip));
        assert_eq!(Format::of(&[&[0; 128][..], b"DICM"].concat()), Some(Format::Dicom));
        assert_eq!(Format::of(&[&[b'a'; 257][..], b"ustar\x0000"].concat()), Some(Format::Tar));
        assert_eq!(Format::of(b"words"), None);
        assert_eq!(Format::of(b""), None);
    }

    #[test]
    fn a_picture_is_known_as_one() {
        assert!(is_picture(b"\xff\xd8\xff\xe0\0\x10JFIF"));
        assert!(is_picture(b"II*\0\x08\0\0\0"));
        assert!(is_picture(b"\0\0\0\x18ftypheic\0\0\0\0"));
        assert!(!is_picture(b"%PDF-1.7"));
        assert!(!is_picture(b""));
    }
}
