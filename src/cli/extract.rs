//! `sealpost extract`: the child that reads attachments. The daemon and `classify` start it; nobody types it.

use std::process::ExitCode;

use clap::Args;

use crate::cli::output::Failed;
use crate::extract::{self, Share};

/// What is handed to the child.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Bytes of memory that it may use
    memory: u64,
    /// Seconds of a processor that it may use
    cpu: u64,
}

pub(super) fn command(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let share = Share { memory_bytes: arguments.memory, cpu_seconds: arguments.cpu };
    extract::serve(share)?;
    Ok(ExitCode::SUCCESS)
}
