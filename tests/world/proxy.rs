//! A proxy between the relay and a mail server that keeps what crosses, and judges whether anything that
//! belongs under TLS crossed in clear.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::world::{Result, STEP};

/// Bytes kept per direction of a connection. More makes the judgement "not judged", which counts as a fault.
const MAX_RECORDED: usize = 16 * 1024 * 1024;

/// What one connection carried.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub to_server: Vec<u8>,
    pub to_client: Vec<u8>,
    pub truncated: bool,
}

/// What a stranger on the wire could have read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The commands that crossed in clear.
    pub commands: Vec<String>,
    pub reached_tls: bool,
    /// What should not have been there.
    pub faults: Vec<String>,
}

/// The judgements of all connections, summed.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub connections: usize,
    pub under_tls: usize,
    pub faults: Vec<String>,
}

/// Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    recordings: Arc<Mutex<Vec<Arc<Mutex<Recording>>>>>,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Proxy {
    /// Listens on an address such as `127.0.0.5:25` and passes everything on to the target.
    pub async fn start(bind: &str, target: SocketAddr) -> Result<Proxy> {
        let listener = TcpListener::bind(bind).await?;
        let address = listener.local_addr()?;
        let recordings = Arc::new(Mutex::new(Vec::new()));
        let serving = tokio::spawn(serve(listener, target, Arc::clone(&recordings)));
        Ok(Proxy { address, recordings, serving })
    }

    pub fn recordings(&self) -> Vec<Recording> {
        lock(&self.recordings).iter().map(|recording| lock(recording).clone()).collect()
    }

    pub fn summary(&self) -> Summary {
        let judgements: Vec<Judgement> = self.recordings().iter().map(judge).collect();
        Summary {
            connections: judgements.len(),
            under_tls: judgements.iter().filter(|judgement| judgement.reached_tls).count(),
            faults: judgements.into_iter().flat_map(|judgement| judgement.faults).collect(),
        }
    }

    /// Whether a text crossed readably in any connection.
    pub fn saw(&self, text: &str) -> bool {
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        self.recordings().iter().any(|recording| has(&recording.to_server) || has(&recording.to_client))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, target: SocketAddr, recordings: Arc<Mutex<Vec<Arc<Mutex<Recording>>>>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let recording = Arc::new(Mutex::new(Recording::default()));
                lock(&recordings).push(Arc::clone(&recording));
                connections.spawn(pass_on(client, target, recording));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass_on(client: TcpStream, target: SocketAddr, recording: Arc<Mutex<Recording>>) {
    // A target that does not answer looks to the relay as one that closes at once.
    let Ok(Ok(server)) = timeout(STEP, TcpStream::connect(target)).await else { return };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = copy(from_client, to_server, |bytes| keep(&recording, bytes, |kept| &mut kept.to_server));
    let down = copy(from_server, to_client, |bytes| keep(&recording, bytes, |kept| &mut kept.to_client));
    tokio::join!(up, down);
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, keep: impl Fn(&[u8])) {
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        keep(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    to.shutdown().await.ok();
}

fn keep(recording: &Mutex<Recording>, bytes: &[u8], direction: impl Fn(&mut Recording) -> &mut Vec<u8>) {
    let mut recording = lock(recording);
    let kept = direction(&mut recording);
    if kept.len() + bytes.len() > MAX_RECORDED {
        recording.truncated = true;
        return;
    }
    kept.extend_from_slice(bytes);
}

/// Reads one connection as a stranger would. Clear are the greeting, EHLO, STARTTLS and QUIT with their replies;
/// behind the 220 to STARTTLS there are only TLS records.
pub fn judge(recording: &Recording) -> Judgement {
    let mut judgement = Judgement::default();
    if recording.truncated {
        judgement.faults.push("more was sent than the proxy keeps: not judged".to_owned());
        return judgement;
    }
    let mut client = Clear { rest: &recording.to_server };
    let mut server = Clear { rest: &recording.to_client };
    server.reply();
    while let Some(line) = client.line() {
        let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
        judgement.commands.push(line.clone());
        if !["EHLO", "HELO", "STARTTLS", "QUIT"].contains(&verb.as_str()) {
            judgement.faults.push(format!("{verb} crossed in clear"));
        }
        let code = server.reply();
        if verb == "STARTTLS" && code == Some(220) {
            judgement.reached_tls = true;
            judgement.faults.extend(not_tls(client.rest).map(|fault| format!("to the server: {fault}")));
            judgement.faults.extend(not_tls(server.rest).map(|fault| format!("to the client: {fault}")));
            return judgement;
        }
    }
    if !client.rest.is_empty() {
        judgement.faults.push("a line without an end crossed in clear".to_owned());
    }
    judgement
}

/// The clear part of one direction.
struct Clear<'a> {
    rest: &'a [u8],
}

impl Clear<'_> {
    fn line(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        let (line, rest) = self.rest.split_at(end + 1);
        self.rest = rest;
        Some(String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The code of the next reply, however many lines it has.
    fn reply(&mut self) -> Option<u16> {
        while let Some(line) = self.line() {
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.get(..3)?.parse().ok();
            }
        }
        None
    }
}

/// The first thing that is not a TLS record (RFC 8446 §5.1); a record cut off by the end is one.
pub fn not_tls(mut bytes: &[u8]) -> Option<String> {
    while let [kind, rest @ ..] = bytes {
        let length = match rest {
            _ if !(0x14..=0x17).contains(kind) => {
                return Some(format!("a byte 0x{kind:02x} where a TLS record starts"));
            }
            [0x03, 0x00..=0x04, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            [0x03, 0x00..=0x04] | [0x03] | [0x03, 0x00..=0x04, _] | [] => return None,
            [..] => return Some("a TLS record of no known version".to_owned()),
        };
        // RFC 8446 §5.2 and RFC 5246 §6.2.3: a protected record holds at most 2^14 + 2048 bytes.
        if length > (1 << 14) + 2048 {
            return Some(format!("a TLS record of {length} bytes"));
        }
        bytes = bytes.get(5 + length..).unwrap_or_default();
    }
    None
}
