//! The master key, and where it comes from: a systemd credential, the environment, or a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use crate::crypto::Key;
use crate::keyring::KeyringError;
use crate::keyring::file::{self, Access, Present};

/// The name of the systemd credential, as in `LoadCredentialEncrypted=sealpost.master`.
pub const CREDENTIAL: &str = "sealpost.master";

pub const VARIABLE: &str = "SEALPOST_MASTER_KEY";

/// What the process was started with.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// `$CREDENTIALS_DIRECTORY`, which systemd sets for a unit that is given credentials.
    pub credentials: Option<PathBuf>,
    /// `$SEALPOST_MASTER_KEY`
    pub variable: Option<Zeroizing<String>>,
}

impl Surroundings {
    pub fn of_this_process() -> Surroundings {
        Surroundings {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            variable: std::env::var(VARIABLE).ok().map(Zeroizing::new),
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// Where the key was found; `check` says what each is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Can be bound to the machine's TPM.
    Credential(PathBuf),
    Environment,
    /// Lies on the same disk as what it seals: a stolen disk is then a notifiable breach.
    File(PathBuf),
}

/// The first of credential, environment and `file` that is there. One that is there and no good ends the search:
/// going on would open the store with another key than the operator meant.
pub fn load(surroundings: &Surroundings, file: &Path) -> Result<(Key, Source), KeyringError> {
    if let Some(folder) = &surroundings.credentials {
        let path = folder.join(CREDENTIAL);
        // The folder is systemd's and closed to others; its files may show a group's bits that are an ACL's mask.
        match file::read(&path).map(Zeroizing::new) {
            Ok(text) => return Ok((read_key(&text, &path.display().to_string())?, Source::Credential(path))),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(text) = &surroundings.variable {
        return Ok((read_key(text.as_bytes(), VARIABLE)?, Source::Environment));
    }
    match file::read_secret(file) {
        Ok(text) => Ok((read_key(&text, &file.display().to_string())?, Source::File(file.to_owned()))),
        Err(error) if is_absent(&error) => Err(KeyringError::NoMasterKey(file.to_owned())),
        Err(error) => Err(error),
    }
}

/// Makes a new key and its file. A file that is there is kept: with it, all that it seals would be lost.
pub fn create(path: &Path) -> Result<Key, KeyringError> {
    let key = Key::generate()?;
    file::write(path, text_of(&key).as_bytes(), (Access::OwnerOnly, Present::Keep))?;
    Ok(key)
}

/// Puts another key in the place of the one in the file, once the store no longer needs the old one.
pub fn replace(path: &Path, key: &Key) -> Result<(), KeyringError> {
    file::write(path, text_of(key).as_bytes(), (Access::OwnerOnly, Present::Replace))
}

/// Where the next master key lies while everything is wrapped under it anew.
pub fn next_file(path: &Path) -> PathBuf {
    path.with_added_extension("next")
}

/// Reads the next master key, if a rotation was cut short before it took the old one's place.
pub fn load_next(path: &Path) -> Result<Option<Key>, KeyringError> {
    let next = next_file(path);
    match file::read_secret(&next) {
        Ok(text) => read_key(&text, &next.display().to_string()).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the next master key the place of the old one.
pub fn promote(path: &Path) -> Result<(), KeyringError> {
    file::rename(&next_file(path), path)
}

fn text_of(key: &Key) -> Zeroizing<String> {
    // Goes into the file that only its owner may read.
    let mut text = HEXLOWER.encode(key.expose());
    text.push('\n');
    Zeroizing::new(text)
}

fn is_absent(error: &KeyringError) -> bool {
    matches!(error, KeyringError::Read { error, .. } if error.kind() == io::ErrorKind::NotFound)
}

/// 64 hexadecimal digits, or 32 bytes in base64; white space around them does not matter.
fn read_key(text: &[u8], place: &str) -> Result<Key, KeyringError> {
    let text = text.trim_ascii();
    let decoded = match text.len() {
        64 => HEXLOWER_PERMISSIVE.decode(text),
        _ => BASE64.decode(text),
    };
    let bytes = Zeroizing::new(decoded.map_err(|_| KeyringError::NotAKey(place.to_owned()))?);
    Key::from_slice(&bytes).ok_or_else(|| KeyringError::NotAKey(place.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn nothing() -> Surroundings {
        Surroundings::default()
    }

    fn allow(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_made_key_is_read_back_and_only_its_owner_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let made = create(&path).unwrap();
        let (read, source) = load(&nothing(), &path).unwrap();
        assert_eq!(read.expose(), made.expose());
        assert_eq!(source, Source::File(path.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_is_there_is_not_overwritten_unless_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let made = create(&path).unwrap();
        assert!(matches!(create(&path), Err(KeyringError::AlreadyThere(_))));
        assert_eq!(load(&nothing(), &path).unwrap().0.expose(), made.expose());
        let other = Key::generate().unwrap();
        replace(&path, &other).unwrap();
        assert_eq!(load(&nothing(), &path).unwrap().0.expose(), other.expose());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused_with_what_to_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        create(&path).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o660] {
            allow(&path, mode);
            let error = load(&nothing(), &path).unwrap_err();
            assert!(matches!(error, KeyringError::ReadableByOthers { .. }));
            assert!(error.to_string().ends_with(&format!("chmod 600 {}", path.display())), "{error}");
        }
        allow(&path, 0o400);
        assert!(load(&nothing(), &path).is_ok());
    }

    #[test]
    fn a_key_file_of_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        create(&path).unwrap();
        // Only root can give a file away; for anybody else there is no such file to make.
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
            let error = load(&nothing(), &path).unwrap_err();
            assert!(matches!(error, KeyringError::OwnedByOther { owner: 12_345, .. }), "{error}");
        }
    }

    #[test]
    fn the_credential_comes_before_the_environment_and_that_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        create(&path).unwrap();
        let credential = folder.path().join(CREDENTIAL);
        fs::write(&credential, "0a".repeat(32)).unwrap();
        allow(&credential, 0o440);
        let mut surroundings = Surroundings {
            credentials: Some(folder.path().to_owned()),
            variable: Some(Zeroizing::new(BASE64.encode(&[11; 32]))),
        };
        let (key, source) = load(&surroundings, &path).unwrap();
        assert_eq!((key.expose(), source), (&[10; 32], Source::Credential(credential.clone())));
        fs::remove_file(&credential).unwrap();
        let (key, source) = load(&surroundings, &path).unwrap();
        assert_eq!((key.expose(), source), (&[11; 32], Source::Environment));
        surroundings.variable = None;
        assert_eq!(load(&surroundings, &path).unwrap().1, Source::File(path));
    }

    #[test]
    fn a_bad_key_ends_the_search_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        create(&path).unwrap();
        for text in ["", "secret words", &"0g".repeat(32), &"0a".repeat(31)] {
            let variable = Some(Zeroizing::new(text.to_owned()));
            let error = load(&Surroundings { credentials: None, variable }, &path).unwrap_err();
            assert!(matches!(error, KeyringError::NotAKey(_)));
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
    }

    #[test]
    fn without_a_key_the_places_that_were_looked_at_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(&nothing(), &folder.path().join("master.key")).unwrap_err().to_string();
        assert!(
            error.contains("sealpost.master") && error.contains(VARIABLE) && error.contains("master.key"),
            "{error}"
        );
    }
}
