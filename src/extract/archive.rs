//! Files in files: ZIP, gzip, tar. Each one inside is read as if it had come by itself; its name is a part too.

use std::io::{Cursor, ErrorKind, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use crate::extract::reading::{Place, Reading};
use crate::extract::{Unread, office};
use crate::mime::Unreadable;
use crate::phi::Phi;

pub(super) type Zip = ZipArchive<Cursor<Bytes>>;

/// The type of what only its name tells something of.
const UNTOLD: &str = "application/octet-stream";
/// What may stand between the directory and its end (APPNOTE §4.3.14 and §4.3.15).
const ZIP64_END: usize = 76;
/// The header of a tar file's member, and what its data are filled up to (POSIX pax).
const TAR_BLOCK: usize = 512;

pub(super) fn zip(reading: &mut Reading<'_>, at: Place<'_>, octets: Bytes) {
    let listed = listed(&octets);
    let Ok(mut archive) = ZipArchive::new(Cursor::new(octets)) else {
        return reading.unreadable(at.path, at.media_type, Unreadable::Broken);
    };
    // Of two entries of the same name, programs differ in which they show; the crate knows of one.
    if listed != Some(archive.len()) {
        reading.unreadable(&at.below("rest"), at.media_type, Unreadable::Broken);
    }
    // Nothing, as it says: another program may find something in it.
    if archive.is_empty() {
        return reading.unreadable(at.path, at.media_type, Unreadable::Broken);
    }
    if let Some(kind) = office::Kind::of(&archive) {
        return office::read(reading, at, (kind, &mut archive));
    }
    for number in 0..archive.len() {
        if let Err(why) = reading.one_more() {
            return reading.unreadable(&at.below("more"), at.media_type, why);
        }
        entry(reading, at, &mut archive, number);
    }
}

/// How many entries the archive says it has, if there are as many in its directory; none when there are too many for this
/// field (APPNOTE §4.4.22), which only a larger archive than can be sent has.
fn listed(octets: &[u8]) -> Option<usize> {
    let end = memchr::memmem::rfind(octets, b"PK\x05\x06")?;
    let last = octets.get(end..)?;
    let count = usize::from(u16::from_le_bytes(*last.get(10..)?.first_chunk()?));
    let size = u32::from_le_bytes(*last.get(12..)?.first_chunk()?) as usize;
    let directory = &octets[end.saturating_sub(size.saturating_add(ZIP64_END))..end];
    (memchr::memmem::find_iter(directory, b"PK\x01\x02").count() == count).then_some(count)
}

fn entry(reading: &mut Reading<'_>, at: Place<'_>, archive: &mut Zip, number: usize) {
    let path = at.below(&(number + 1).to_string());
    // What the directory says, which is there for encrypted entries too.
    let (name, encrypted, folder) = match archive.by_index_raw(number) {
        Ok(entry) => (name_of(&entry), entry.encrypted(), entry.is_dir()),
        Err(_) => (String::new(), false, false),
    };
    reading.name(&path, &name);
    if folder {
        return;
    }
    if encrypted {
        return reading.unreadable(&path, UNTOLD, Unreadable::Encrypted);
    }
    match unpack(reading, archive, number) {
        Ok(octets) => inner(reading, at, &path, (name, octets)),
        Err(why) => reading.unreadable(&path, UNTOLD, why),
    }
}

pub(super) fn name_of<R: Read>(entry: &ZipFile<'_, R>) -> String {
    entry.name().map_or_else(|_| String::from_utf8_lossy(entry.name_raw()).into_owned(), std::borrow::Cow::into_owned)
}

/// One entry's octets, within what it may grow to.
pub(super) fn unpack(reading: &mut Reading<'_>, archive: &mut Zip, number: usize) -> Result<Bytes, Unreadable> {
    let entry = archive.by_index(number).map_err(|error| match error {
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => Unreadable::NoReader,
        ZipError::InvalidPassword => Unreadable::Encrypted,
        ZipError::Io(_)
        | ZipError::InvalidArchive(_)
        | ZipError::FileNotFound
        | ZipError::DecompressedSizeLimitExceeded { .. }
        | ZipError::DecompressedSizeUnknown => Unreadable::Broken,
        _ => Unreadable::Broken,
    })?;
    let packed = usize::try_from(entry.compressed_size()).unwrap_or(usize::MAX);
    all(reading, entry, packed)
}

/// Reads to the end, but no further than what came packed may grow to.
fn all(reading: &mut Reading<'_>, source: impl Read, packed: usize) -> Result<Bytes, Unreadable> {
    let most = reading.may_grow_to(packed);
    let mut octets = Vec::new();
    source.take(most as u64 + 1).read_to_end(&mut octets).map_err(|error| match error.kind() {
        ErrorKind::Unsupported => Unreadable::NoReader,
        _ => Unreadable::Broken,
    })?;
    reading.unpacked(packed, octets.len())?;
    Ok(octets.into())
}

fn inner(reading: &mut Reading<'_>, at: Place<'_>, path: &str, (name, octets): (String, Bytes)) {
    let unread = Unread { media_type: UNTOLD.to_owned(), name: Some(Phi::new(name)), octets: Phi::new(octets) };
    reading.inner(path, &unread, at.depth + 1);
}

pub(super) fn gzip(reading: &mut Reading<'_>, at: Place<'_>, octets: Bytes) {
    let packed = octets.len();
    let source = MultiGzDecoder::new(Cursor::new(octets));
    let name = source.header().and_then(|header| header.filename()).map(String::from_utf8_lossy);
    let name = name.map(std::borrow::Cow::into_owned).unwrap_or_default();
    let path = at.below("1");
    reading.name(&path, &name);
    match all(reading, source, packed) {
        Ok(octets) => inner(reading, at, &path, (name, octets)),
        Err(why) => reading.unreadable(&path, UNTOLD, why),
    }
}

/// POSIX ustar; the long names of its extensions are members of their own here, and so are read as text.
pub(super) fn tar(reading: &mut Reading<'_>, at: Place<'_>, octets: &Bytes) {
    let (mut from, mut number) = (0, 0_usize);
    while let Some(header) = octets.get(from..from + TAR_BLOCK).filter(|header| header[0] != 0) {
        if let Err(why) = reading.one_more() {
            return reading.unreadable(&at.below("more"), at.media_type, why);
        }
        number += 1;
        let path = at.below(&number.to_string());
        let name = String::from_utf8_lossy(header[..100].split(|octet| *octet == 0).next().unwrap_or_default());
        reading.name(&path, &name);
        let start = from + TAR_BLOCK;
        let end = tar_size(&header[124..136]).and_then(|size| start.checked_add(size));
        let Some((end, member)) = end.and_then(|end| Some((end, octets.get(start..end)?))) else {
            return reading.unreadable(&path, UNTOLD, Unreadable::Broken);
        };
        if !member.is_empty() || name.is_empty() {
            inner(reading, at, &path, (name.into_owned(), octets.slice_ref(member)));
        }
        from = end.next_multiple_of(TAR_BLOCK);
    }
    // Zeros end it; whatever stands there else, another program may find.
    if octets.get(from..).unwrap_or_default().iter().any(|octet| *octet != 0) {
        reading.unreadable(&at.below("rest"), at.media_type, Unreadable::Broken);
    }
}

/// Octal digits, or the GNU form of large numbers.
fn tar_size(field: &[u8]) -> Option<usize> {
    if field[0] & 0x80 != 0 {
        let octets = field[4..].iter().fold(0_u64, |size, octet| size << 8 | u64::from(*octet));
        return usize::try_from(octets).ok();
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    usize::from_str_radix(if digits.is_empty() { "0" } else { digits }, 8).ok()
}
