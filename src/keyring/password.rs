//! Passwords that others gave us: each in a file of its own, which nobody else may read.

use std::path::Path;

use zeroize::Zeroizing;

use crate::keyring::master::Surroundings;
use crate::keyring::{KeyringError, file};

/// Octets of a password; more is something else.
const MAX_PASSWORD: usize = 1024;

/// Reads a password. One line end behind it does not count.
pub fn read(surroundings: &Surroundings, path: &Path) -> Result<Zeroizing<String>, KeyringError> {
    let bytes = match &surroundings.credentials {
        // The folder is systemd's and closed to others; its files may show a group's bits that are an ACL's mask.
        Some(folder) if path.starts_with(folder) => file::read(path).map(Zeroizing::new)?,
        Some(_) | None => file::read_secret(path)?,
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() || line.len() > MAX_PASSWORD || line.chars().any(char::is_control) {
        return Err(KeyringError::NotAPassword(path.to_owned()));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_password_is_one_line_that_only_we_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("smarthost.password");
        let read_as = |text: &str, mode, surroundings: &Surroundings| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read(surroundings, &path).map(|password| password.to_string())
        };
        let alone = Surroundings::default();
        for text in ["correct horse", "correct horse\n", "correct horse\r\n"] {
            assert_eq!(read_as(text, 0o600, &alone).unwrap(), "correct horse");
        }
        for text in ["", "\n", "two\nlines\n", "a\0b", &"x".repeat(2000)] {
            assert!(matches!(read_as(text, 0o600, &alone), Err(KeyringError::NotAPassword(_))), "{text:?}");
        }
        assert!(matches!(read_as("x", 0o640, &alone), Err(KeyringError::ReadableByOthers { .. })));
        let credentials = Surroundings { credentials: Some(folder.path().to_owned()), variable: None };
        assert_eq!(read_as("x", 0o440, &credentials).unwrap(), "x");
    }
}
