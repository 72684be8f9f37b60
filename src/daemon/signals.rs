//! What the outside says to the daemon: SIGTERM and SIGINT drain it, SIGHUP reloads it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::daemon::StartError;

/// What was asked for by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Drain,
    Reload,
}

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Signals, StartError> {
        let on =
            |kind| signal(kind).map_err(|error| StartError::Io { what: "listening for signals".to_owned(), error });
        Ok(Signals {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Drain,
            _ = self.interrupt.recv() => Wish::Drain,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
