//! One process holds a data directory: a lock that the kernel takes back when the process ends, however it ends.

use std::fs::{File, OpenOptions};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::store::StoreError;
use crate::store::body::broken_disk;

pub(crate) struct DataDirLock {
    _held: Flock<File>,
}

impl DataDirLock {
    pub(crate) fn take(data_dir: &Path) -> Result<DataDirLock, StoreError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(data_dir.join("lock"))
            .map_err(|error| broken_disk("opening data_dir/lock", &error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(DataDirLock { _held: held }),
            Err((_, Errno::EWOULDBLOCK)) => Err(StoreError::InUse),
            Err((_, error)) => Err(StoreError::Unavailable(format!("locking data_dir/lock: {}", error.desc()))),
        }
    }
}
