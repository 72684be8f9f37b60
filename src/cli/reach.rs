//! How a command reaches what is kept: through the daemon's control socket, or, when no daemon runs, by opening the store itself.

use std::future::Future;
use std::io;
use std::path::Path;

use serde_json::Value;

use crate::cli::output::Failed;
use crate::config::{self, Config};
use crate::control::{Caller, Desk, Request, SOCKET, actor_of_this_process};
use crate::daemon;

/// Reads and checks the config; every mistake of it is told at once.
pub(super) fn read_config(path: &Path) -> Result<Config, Failed> {
    load_config(path).map(|loaded| loaded.config)
}

/// The same, and each mistake is also given away as it is, for programs.
pub(super) fn read_config_telling(path: &Path, each: &mut dyn FnMut(&config::Mistake)) -> Result<Config, Failed> {
    daemon::read_config(path).map(|loaded| loaded.config).map_err(|error| {
        if let daemon::ConfigError::Mistakes(mistakes) = &error {
            mistakes.iter().for_each(each);
        }
        unusable(path, error)
    })
}

pub(super) fn load_config(path: &Path) -> Result<daemon::Loaded, Failed> {
    daemon::read_config(path).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: daemon::ConfigError) -> Failed {
    match error {
        daemon::ConfigError::Read(error) if error.kind() == io::ErrorKind::NotFound => Failed::NotFound(format!(
            "{}: there is no config: `sealpost init FOLDER` makes one, and --config names one elsewhere",
            path.display()
        )),
        daemon::ConfigError::Read(error) => Failed::file(path, &error),
        daemon::ConfigError::Mistakes(mistakes) => Failed::Config(mistakes_in(path, &mistakes)),
    }
}

fn mistakes_in(path: &Path, mistakes: &[config::Mistake]) -> String {
    let noun = if mistakes.len() == 1 { "mistake" } else { "mistakes" };
    let mut text = format!("{}: {} {noun}", path.display(), mistakes.len());
    for mistake in mistakes {
        text.push_str(&format!("\n  {mistake}"));
    }
    text
}

/// Asks the daemon, or acts in its place under the name of the user who typed the command.
pub(super) fn ask(config: &Config, request: &Request, each: &mut (dyn FnMut(Value) + Send)) -> Result<(), Failed> {
    block_on(async {
        match Caller::connect(&config.server.data_dir.join(SOCKET)).await {
            Ok(caller) => Ok(caller.call(request, each).await?),
            Err(error) if nobody_listens(&error) => act(config, request, each).await,
            Err(error) => Err(unreachable(&config.server.data_dir, &error)),
        }
    })?
}

/// Whether a daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Running {
    Yes,
    No,
}

/// Asks the running daemon for what is its alone; without one, there is nothing to ask for.
pub(super) fn ask_running(
    config: &Config,
    request: &Request,
    each: &mut (dyn FnMut(Value) + Send),
) -> Result<Running, Failed> {
    ask_running_at(&config.server.data_dir, request, each)
}

/// The same, when no more is known than where the daemon keeps its data.
pub(super) fn ask_running_at(
    data_dir: &Path,
    request: &Request,
    each: &mut (dyn FnMut(Value) + Send),
) -> Result<Running, Failed> {
    block_on(async {
        match Caller::connect(&data_dir.join(SOCKET)).await {
            Ok(caller) => {
                caller.call(request, each).await?;
                Ok(Running::Yes)
            }
            Err(error) if nobody_listens(&error) => Ok(Running::No),
            Err(error) => Err(unreachable(data_dir, &error)),
        }
    })?
}

/// Asks the daemon, for what no command can do in its place.
pub(super) fn ask_daemon(
    config: &Config,
    request: &Request,
    each: &mut (dyn FnMut(Value) + Send),
) -> Result<(), Failed> {
    block_on(async {
        let caller = Caller::connect(&config.server.data_dir.join(SOCKET)).await.map_err(|error| {
            if nobody_listens(&error) {
                Failed::Unavailable("no daemon runs here: start it first (systemctl start sealpost)".to_owned())
            } else {
                unreachable(&config.server.data_dir, &error)
            }
        })?;
        Ok(caller.call(request, each).await?)
    })?
}

/// Why a daemon that runs cannot be asked.
fn unreachable(data_dir: &Path, error: &io::Error) -> Failed {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Failed::NotPermitted(format!(
            "{}: only root and the daemon's own user may ask the daemon; try sudo",
            data_dir.display()
        ));
    }
    Failed::Unavailable(format!("the daemon cannot be reached: {error}"))
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

async fn act(config: &Config, request: &Request, each: &mut (dyn FnMut(Value) + Send)) -> Result<(), Failed> {
    let (store, desk) = daemon::desk(config).await.map_err(|error| Failed::Unavailable(error.to_string()))?;
    let (rows, mut arriving) = tokio::sync::mpsc::channel(64);
    let print = async {
        while let Some(row) = arriving.recv().await {
            each(row);
        }
    };
    let (result, ()) = tokio::join!(desk.perform(actor_of_this_process(), request.clone(), rows), print);
    drop::<Desk>(desk);
    store.close().await;
    Ok(result?)
}

/// Runs what a command waits for on one thread.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work))
}

/// Has a running daemon read its config again; says so, and says when there is none to ask.
pub(super) fn reload(path: &Path) -> Result<(), Failed> {
    let config = read_config(path)?;
    block_on(async {
        match Caller::connect(&config.server.data_dir.join(SOCKET)).await {
            Ok(caller) => {
                caller.call(&Request::Reload, &mut |_| {}).await?;
                eprintln!("The running daemon has taken the new config.");
                Ok(())
            }
            Err(error) if nobody_listens(&error) => Ok(()),
            Err(error) => Err(Failed::Unavailable(format!("the daemon could not be told to reload: {error}"))),
        }
    })?
}
