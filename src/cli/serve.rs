//! `sealpost serve`: runs the daemon until SIGTERM.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::output::Failed;
use crate::cli::reach;
use crate::clock::SystemClock;
use crate::daemon::{self, StartError};
use crate::store::StoreError;
use crate::telemetry;

pub(super) fn run(path: &Path) -> Result<ExitCode, Failed> {
    let loaded = reach::load_config(path)?;
    telemetry::install_log(&loaded.config.log).map_err(|error| Failed::Config(error.to_string()))?;
    telemetry::install_panic_hook();
    let metrics = telemetry::install_metrics().map_err(|error| Failed::Unavailable(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let running = daemon::run(path.to_owned(), loaded, Arc::new(SystemClock), metrics);
    match runtime.block_on(running) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(not_started(&error)),
    }
}

fn not_started(error: &StartError) -> Failed {
    let text = error.to_string();
    match error {
        StartError::Tls(_) | StartError::Delivery(_) | StartError::Keyring(_) => Failed::Config(text),
        StartError::Store(StoreError::InUse) => {
            Failed::Unavailable(format!("{text}: a daemon is running already, or a command is at work"))
        }
        StartError::Io { .. } | StartError::Listen(_) => Failed::Io(text),
        StartError::Store(_) | StartError::Evidence(_) | StartError::NoEntropy(_) => Failed::Unavailable(text),
    }
}
