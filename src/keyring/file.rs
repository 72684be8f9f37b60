//! Files that hold keys: written whole or not at all, and read only when nobody else can.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto;
use crate::keyring::KeyringError;

/// Far above any key or chain; whatever is larger is something else.
const MAX_BYTES: u64 = 1024 * 1024;

/// Who may read what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    OwnerOnly,
    Everybody,
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Present {
    Keep,
    Replace,
}

/// Writes a file so that after a crash it is there whole, or not at all.
pub(super) fn write(path: &Path, bytes: &[u8], (access, present): (Access, Present)) -> Result<(), KeyringError> {
    let temporary = path.with_added_extension(crypto::token()?);
    let written = write_and_move(&temporary, bytes, (access, present, path));
    if written.is_err() {
        // Best effort: the error that is reported is the first one.
        drop(fs::remove_file(&temporary));
    }
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyringError::AlreadyThere(path.to_owned()),
        _ => KeyringError::Write { path: path.to_owned(), error },
    })
}

/// Gives a file another's name, and makes that last.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), KeyringError> {
    fs::rename(from, to)
        .and_then(|()| File::open(folder_of(to))?.sync_all())
        .map_err(|error| KeyringError::Write { path: to.to_owned(), error })
}

fn write_and_move(temporary: &Path, bytes: &[u8], to: (Access, Present, &Path)) -> io::Result<()> {
    let (access, present, path) = to;
    let mode = match access {
        Access::OwnerOnly => 0o600,
        Access::Everybody => 0o644,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(temporary)?;
    // A mode at the opening is cut by the umask.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    match present {
        // A link, unlike a rename, fails when the name is taken.
        Present::Keep => {
            fs::hard_link(temporary, path)?;
            fs::remove_file(temporary)?;
        }
        Present::Replace => fs::rename(temporary, path)?,
    }
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Reads a file that only we, or root, can read and change.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let mut file = open(path)?;
    // Asked of the open file, so that nobody can put another one in its place in between.
    let about = file.metadata().map_err(|error| unreadable(path, error))?;
    let mode = about.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyringError::ReadableByOthers { path: path.to_owned(), mode });
    }
    let us = nix::unistd::geteuid().as_raw();
    if about.uid() != us && about.uid() != 0 {
        return Err(KeyringError::OwnedByOther { path: path.to_owned(), owner: about.uid(), us });
    }
    read_open(&mut file, path).map(Zeroizing::new)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, KeyringError> {
    read_open(&mut open(path)?, path)
}

fn open(path: &Path) -> Result<File, KeyringError> {
    File::open(path).map_err(|error| unreadable(path, error))
}

fn read_open(file: &mut File, path: &Path) -> Result<Vec<u8>, KeyringError> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: io::Error) -> KeyringError {
    KeyringError::Read { path: path.to_owned(), error }
}
