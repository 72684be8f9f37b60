//! Root acts in the place of a daemon that runs as another user and has not started yet: its files stay the daemon's.

use std::os::unix::fs::{MetadataExt, chown};

use super::{Clinic, raw};

#[tokio::test(flavor = "multi_thread")]
async fn what_root_makes_in_data_dir_belongs_to_the_owner_of_data_dir() {
    let clinic = Clinic::prepare("").await;
    // Only root can give a folder away; for anybody else there is no such case.
    if chown(clinic.data(), Some(12_345), Some(12_345)).is_err() {
        return;
    }
    clinic.balanced();
    clinic.verified();
    let files = raw(&clinic.data());
    assert!(files.len() >= 3, "{files:?}");
    for path in files.iter().map(|(path, _)| path.clone()).chain([clinic.data().join("bodies")]) {
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), 12_345, "{}", path.display());
    }
}
