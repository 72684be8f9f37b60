//! Builds the rooms, starts them in their order, reloads, and drains. The only place that knows everything.

mod parts;
mod signals;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, Mistake};
use crate::control::Desk;
use crate::crypto::{Digest, sha256};
use crate::keyring::{KeyringError, master};
use crate::store::{Store, StoreError};

pub use parts::run;
pub use watch::{RENEW_BEFORE, WARN_OF_END};

/// A config as it was read, and the digest that names it in the evidence.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// As it is kept: `config::apart` splits off what the groups' files hold.
    pub text: String,
    pub digest: Digest,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("the config has {} mistakes", .0.len())]
    Mistakes(Vec<Mistake>),
}

/// A longer list belongs into a directory.
const MAX_GROUP_BYTES: u64 = 8 << 20;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tls(#[from] crate::net::tls::TlsError),
    #[error(transparent)]
    Listen(#[from] crate::listener::ListenError),
    #[error("[delivery]: {0}")]
    Delivery(#[from] crate::delivery::NotReady),
    #[error(transparent)]
    Evidence(#[from] crate::evidence::EvidenceError),
    #[error(transparent)]
    NoEntropy(#[from] crate::crypto::NoEntropy),
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
}

/// Reads a config, with its paths taken from the folder that it lies in.
pub fn read_config(path: &Path) -> Result<Loaded, ConfigError> {
    let text = std::fs::read_to_string(path)?;
    let config = config::parse(&text).map_err(ConfigError::Mistakes)?;
    let folder = std::path::absolute(path)?.parent().map(Path::to_owned).unwrap_or_default();
    let mut config = config.resolve(&folder);
    let text = with_groups(&mut config, text).map_err(|mistake| ConfigError::Mistakes(vec![mistake]))?;
    let digest = sha256(text.as_bytes());
    Ok(Loaded { config, text, digest })
}

/// Reads the files that groups name. What they hold decides mail too, so it is kept as evidence behind the config's own
/// text, as comments.
fn with_groups(config: &mut Config, mut text: String) -> Result<String, Mistake> {
    for group in &mut config.policy.groups {
        let Some(file) = &group.file else { continue };
        let members = match std::fs::metadata(file) {
            Ok(found) if found.len() > MAX_GROUP_BYTES => return Err(group.unreadable("it is larger than 8 MiB")),
            Ok(_) => std::fs::read_to_string(file),
            Err(error) => Err(error),
        };
        let members = members.map_err(|error| group.unreadable(&error.to_string()))?;
        group.add_members(&members)?;
        config::keep_members(&mut text, &group.name, &members);
    }
    Ok(text)
}

/// Opens the store with the master key, or with the next one when a rotation was cut short.
pub async fn open_store(config: &Config, clock: Arc<dyn Clock>) -> Result<(Store, master::Source), StartError> {
    let file = &config.server.master_key;
    let (key, source) = master::load(&master::Surroundings::of_this_process(), file)?;
    let folder: PathBuf = config.server.data_dir.clone();
    match Store::open(&config.database, &folder, key, Arc::clone(&clock)).await {
        Err(StoreError::WrongMasterKey) => {
            let Some(next) = master::load_next(file)? else { return Err(StoreError::WrongMasterKey.into()) };
            let store = Store::open(&config.database, &folder, next, clock).await?;
            if let master::Source::File(path) = &source {
                master::promote(path)?;
            }
            Ok((store, source))
        }
        opened => Ok((opened?, source)),
    }
}

/// What a command works with when no daemon runs.
pub async fn desk(config: &Config) -> Result<(Store, Desk), StartError> {
    let (store, source) = open_store(config, Arc::new(SystemClock)).await?;
    let desk = Desk::new(store.clone(), config, source);
    Ok((store, desk))
}
