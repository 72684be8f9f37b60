//! The socket itself: newline-delimited JSON over a unix stream that only its owner and root can open.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Uid, User};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::Actor;
use crate::control::protocol::Line;
use crate::control::{Desk, Failure, Request};

/// The socket's name in the data directory.
pub const SOCKET: &str = "control.sock";

/// A request is one line of at most this many octets.
const MAX_REQUEST: u64 = 64 * 1024;
/// How long a caller may take over its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one line of an answer may take to be read by its caller.
const SLOW_READER: Duration = Duration::from_secs(60);

/// Opens the socket. A socket file left by a daemon that was killed is replaced: the caller holds the data directory's lock.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until `drain` is cancelled; requests under way are finished.
pub async fn serve(listener: UnixListener, desk: Arc<Desk>, drain: CancellationToken) {
    let callers = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = drain.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(control.error = %error, "the control socket could not take a caller");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (desk, drain) = (Arc::clone(&desk), drain.clone());
        callers.spawn(async move {
            if let Err(error) = answer(stream, &desk, &drain).await {
                tracing::debug!(control.error = %error, "a caller of the control socket went away");
            }
        });
    }
    callers.close();
    callers.wait().await;
}

async fn answer(stream: UnixStream, desk: &Desk, drain: &CancellationToken) -> io::Result<()> {
    let actor = operator(Uid::from_raw(stream.peer_cred()?.uid()));
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(MAX_REQUEST));
    timeout(PATIENCE, reader.read_line(&mut line)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (rows, mut arriving) = tokio::sync::mpsc::channel(64);
    let work = async {
        match serde_json::from_str::<Request>(&line) {
            Ok(request) if request.is_endless() => {
                tokio::select! {
                    result = desk.perform(actor, request, rows) => result,
                    () = drain.cancelled() => Err(Failure::Unavailable("the daemon is closing".to_owned())),
                    // Nothing more is awaited from the caller but its end.
                    _ = reader.read_u8() => Err(Failure::Unavailable("the caller went away".to_owned())),
                }
            }
            Ok(request) => desk.perform(actor, request, rows).await,
            Err(error) => Err(Failure::Refused(format!("not a request of this version: {error}"))),
        }
    };
    let send = async {
        while let Some(row) = arriving.recv().await {
            write_line(&mut writer, &Line::Row(row)).await?;
        }
        Ok::<_, io::Error>(writer)
    };
    let (result, writer) = tokio::join!(work, send);
    let last = match result {
        Ok(()) => Line::Done,
        Err(failure) => Line::Failed(failure),
    };
    write_line(&mut writer?, &last).await
}

async fn write_line(writer: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    timeout(SLOW_READER, writer.write_all(&text)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

fn operator(uid: Uid) -> Actor {
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    Actor::Operator { user: name.unwrap_or_else(|| format!("uid {uid}")), uid: uid.as_raw() }
}

/// The actor of a command that opens the store itself.
pub fn actor_of_this_process() -> Actor {
    operator(Uid::current())
}

/// The calling side.
#[derive(Debug)]
pub struct Caller {
    stream: BufReader<UnixStream>,
}

impl Caller {
    pub async fn connect(path: &Path) -> io::Result<Caller> {
        Ok(Caller { stream: BufReader::new(UnixStream::connect(path).await?) })
    }

    /// Sends one request, and hands each row to `each` as it comes.
    pub async fn call(mut self, request: &Request, each: &mut (dyn FnMut(Value) + Send)) -> Result<(), Failure> {
        let gone = |error: io::Error| Failure::Unavailable(format!("the daemon stopped answering: {error}"));
        let mut text = serde_json::to_vec(request).map_err(|error| Failure::Refused(error.to_string()))?;
        text.push(b'\n');
        self.stream.write_all(&text).await.map_err(gone)?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await.map_err(gone)? == 0 {
                return Err(Failure::Unavailable("the daemon stopped in the middle of its answer".into()));
            }
            match serde_json::from_str(&line) {
                Ok(Line::Row(row)) => each(row),
                Ok(Line::Done) => return Ok(()),
                Ok(Line::Failed(failure)) => return Err(failure),
                Err(error) => return Err(Failure::Unavailable(format!("the daemon answered something else: {error}"))),
            }
        }
    }
}
