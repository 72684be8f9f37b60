//! Bodies: each sealed under its own key, small ones in a row, large ones in a file.
//!
//! A sealed body is a run of chunks, each sealed for its number and for whether it is the last,
//! so that a body that was cut, lengthened or put in another order does not open.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::crypto::{self, Key, NoEntropy};
use crate::mail::MessageId;
use crate::store::{Body, Broken, StoreError};

/// Plain octets in one chunk.
const CHUNK: usize = 64 * 1024;
/// What sealing adds to a chunk: the nonce and the tag.
const OVERHEAD: usize = 28;

/// The key of one body.
pub type BodyKey = Key;

pub(crate) struct Bodies {
    folder: PathBuf,
    file_bytes: usize,
    /// Files whose row is not committed yet, which no sweep may take for left-overs.
    arriving: Mutex<HashSet<MessageId>>,
    /// How many files were made.
    made: AtomicU64,
    names: Mutex<Names>,
}

/// What became of the names of the files that were made, counted in the order in which they were.
#[derive(Default)]
struct Names {
    /// Up to this one they are on disk, or were given up.
    flushed: u64,
    /// Up to this one those not on disk then are given up: the kernel reports a failed flush of the folder once, to one of
    /// those who flush it, and drops what it could not write for all of them.
    lost: u64,
}

impl Bodies {
    /// Opens the folder, and makes it when it is not there.
    pub(crate) fn open(folder: PathBuf, file_bytes: usize) -> Result<Bodies, StoreError> {
        fs::create_dir_all(&folder).map_err(|error| broken_disk("making data_dir/bodies", &error))?;
        Ok(Bodies { folder, file_bytes, arriving: Mutex::default(), made: AtomicU64::new(0), names: Mutex::default() })
    }

    pub(crate) fn fits_a_row(&self, length: usize) -> bool {
        length < self.file_bytes
    }

    /// Seals a body, and where it is large makes its file durable before anybody can refer to it.
    pub(crate) fn keep(&self, message: MessageId, key: &Key, plain: &[u8]) -> Result<Body, StoreError> {
        let sealed = seal(message, key, plain).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        if self.fits_a_row(plain.len()) {
            return Ok(Body::Row(sealed));
        }
        self.arriving().insert(message);
        match self.write(message, &sealed) {
            Ok(()) => Ok(Body::File),
            Err(error) => {
                // A flush that failed is not tried again: this file is given up, and the sender tries later.
                self.forget(message);
                Err(broken_disk("writing a body", &error))
            }
        }
    }

    /// The row of an arriving file was committed.
    pub(crate) fn arrived(&self, message: MessageId) {
        self.arriving().remove(&message);
    }

    /// The row of an arriving file was not committed, or the file itself could not be written.
    pub(crate) fn forget(&self, message: MessageId) {
        // A file that stays behind is found by the next sweep; without its key it says nothing.
        let _ = self.remove(message);
        self.arriving().remove(&message);
    }

    pub(crate) fn read(&self, message: MessageId) -> Result<Vec<u8>, StoreError> {
        fs::read(self.path(message)).map_err(|error| broken_disk("reading a body", &error))
    }

    pub(crate) fn remove(&self, message: MessageId) -> Result<(), StoreError> {
        match fs::remove_file(self.path(message)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(broken_disk("removing a body", &error)),
        }
    }

    /// The files that lie here and are not on their way in.
    pub(crate) fn settled(&self) -> Result<Vec<MessageId>, StoreError> {
        let entries = fs::read_dir(&self.folder).map_err(|error| broken_disk("listing data_dir/bodies", &error))?;
        let arriving = self.arriving();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.parse().ok()).filter(|id| !arriving.contains(id)).collect())
    }

    fn write(&self, message: MessageId, sealed: &[u8]) -> io::Result<()> {
        let mut file = File::create_new(self.path(message))?;
        let number = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        file.write_all(sealed)?;
        file.sync_all()?;
        self.flush_name(number, || File::open(&self.folder)?.sync_all())
    }

    /// Makes the name of the file of this number durable; who flushed meanwhile may have done so already.
    fn flush_name(&self, number: u64, flush: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if number <= names.lost {
            return Err(io::Error::other("the folder could not be flushed"));
        }
        if number <= names.flushed {
            return Ok(());
        }
        let made = self.made.load(Ordering::SeqCst);
        match flush() {
            Ok(()) => names.flushed = made,
            Err(error) => {
                names.lost = made;
                return Err(error);
            }
        }
        Ok(())
    }

    fn path(&self, message: MessageId) -> PathBuf {
        self.folder.join(message.to_string())
    }

    fn arriving(&self) -> std::sync::MutexGuard<'_, HashSet<MessageId>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the system said of a file, in our words: its own may name the path.
pub(super) fn broken_disk(doing: &'static str, error: &io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::StorageFull {
        return StoreError::Full(doing);
    }
    StoreError::Unavailable(format!("{doing}: {}", error.kind()))
}

pub(crate) fn seal(message: MessageId, key: &Key, plain: &[u8]) -> Result<Vec<u8>, NoEntropy> {
    let mut sealed = Vec::with_capacity(plain.len() + (plain.len() / CHUNK + 1) * OVERHEAD);
    let count = plain.len().div_ceil(CHUNK).max(1);
    for number in 0..count {
        let chunk = &plain[number * CHUNK..plain.len().min((number + 1) * CHUNK)];
        sealed.extend(crypto::seal(key, &place(message, number, count), chunk)?);
    }
    Ok(sealed)
}

pub(crate) fn open(message: MessageId, key: &Key, sealed: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut plain = Vec::with_capacity(sealed.len());
    let count = sealed.len().div_ceil(CHUNK + OVERHEAD).max(1);
    for number in 0..count {
        let from = number * (CHUNK + OVERHEAD);
        let chunk = &sealed[from..sealed.len().min(from + CHUNK + OVERHEAD)];
        plain.extend(crypto::open(key, &place(message, number, count), chunk).map_err(|_| Broken)?);
    }
    Ok(plain)
}

fn place(message: MessageId, number: usize, count: usize) -> Vec<u8> {
    let end = if number + 1 == count { "last" } else { "more" };
    format!("body {message} {number} {end}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn id(random: u128) -> MessageId {
        MessageId::from_parts(Timestamp::from_millis(1), random)
    }

    #[test]
    fn a_body_of_any_length_opens_again() {
        let key = Key::generate().unwrap();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7] {
            let plain = vec![7; length];
            let sealed = seal(id(1), &key, &plain).unwrap();
            assert_eq!(open(id(1), &key, &sealed).unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn a_body_cut_lengthened_reordered_or_of_another_message_does_not_open() {
        let key = Key::generate().unwrap();
        let sealed = seal(id(1), &key, &vec![7; 3 * CHUNK]).unwrap();
        let chunk = CHUNK + OVERHEAD;
        assert_eq!(open(id(1), &key, &sealed[..2 * chunk]), Err(Broken));
        let longer = [&sealed[..], &sealed[2 * chunk..]].concat();
        assert_eq!(open(id(1), &key, &longer), Err(Broken));
        let swapped = [&sealed[chunk..2 * chunk], &sealed[..chunk], &sealed[2 * chunk..]].concat();
        assert_eq!(open(id(1), &key, &swapped), Err(Broken));
        assert_eq!(open(id(2), &key, &sealed), Err(Broken));
        assert_eq!(open(id(1), &key, b""), Err(Broken));
    }

    #[test]
    fn a_flush_of_the_folder_that_failed_gives_up_every_name_that_it_was_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let bodies = Bodies::open(folder.path().join("bodies"), 1).unwrap();
        let made = |count| bodies.made.store(count, Ordering::SeqCst);
        let good = || Ok(());
        made(2);
        bodies.flush_name(1, good).unwrap();
        // It was made before that flush, which wrote its name as well.
        bodies.flush_name(2, || panic!("a second flush for nothing")).unwrap();
        made(5);
        bodies.flush_name(4, || Err(io::Error::other("EIO"))).unwrap_err();
        // The kernel would tell these that all is well.
        bodies.flush_name(3, good).unwrap_err();
        bodies.flush_name(5, good).unwrap_err();
        made(6);
        bodies.flush_name(6, good).unwrap();
        bodies.flush_name(3, good).unwrap_err();
    }

    #[test]
    fn a_large_body_lies_in_a_file_and_a_small_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let bodies = Bodies::open(folder.path().join("bodies"), 100).unwrap();
        let key = Key::generate().unwrap();
        assert!(matches!(bodies.keep(id(1), &key, &[7; 99]).unwrap(), Body::Row(_)));
        assert!(matches!(bodies.keep(id(2), &key, &[7; 100]).unwrap(), Body::File));
        assert_eq!(bodies.settled().unwrap(), []);
        bodies.arrived(id(2));
        assert_eq!(bodies.settled().unwrap(), [id(2)]);
        assert_eq!(open(id(2), &key, &bodies.read(id(2)).unwrap()).unwrap(), [7; 100]);
        bodies.remove(id(2)).unwrap();
        assert!(bodies.read(id(2)).is_err());
    }
}
