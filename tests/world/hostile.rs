//! A mail server that plays a script of moves on each connection, however wrong, and remembers what it could read in
//! clear and how many whole messages it was given.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use crate::world::Result;
use crate::world::proxy::not_tls;

/// Far beyond every patience of a relay under test.
const IDLE: Duration = Duration::from_secs(30);
/// The pause between two octets that drip.
const DRIP: Duration = Duration::from_millis(300);
const MAX_READ: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug)]
pub enum Move {
    Say(Vec<u8>),
    /// One octet at a time, slowly.
    Drip(Vec<u8>),
    /// The same again and again.
    Flood(&'static [u8], usize),
    /// Waits for a line that begins so, whatever comes before it.
    Hear(&'static str),
    /// Waits for any octets.
    HearAny,
    /// The handshake.
    Tls,
    /// Waits for the end of data, and counts a copy.
    Content,
    /// Says nothing until the peer leaves.
    Idle,
    /// RST.
    Reset,
    /// Ends TCP alone, without the close_notify of TLS.
    Cut,
}

#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub connections: usize,
    /// What each connection carried in clear, from the peer.
    pub clear: Vec<Vec<u8>>,
    /// Whole messages, answered or not.
    pub copies: usize,
}

/// Stops when dropped.
#[derive(Debug)]
pub struct Hostile {
    memory: Arc<Mutex<Memory>>,
    serving: JoinHandle<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Hostile {
    pub async fn start(bind: &str, script: Vec<Move>, tls: Arc<ServerConfig>) -> Result<Hostile> {
        let listener = TcpListener::bind(bind).await?;
        let memory = Arc::new(Mutex::new(Memory::default()));
        let serving = tokio::spawn(serve(listener, script, tls, Arc::clone(&memory)));
        Ok(Hostile { memory, serving })
    }

    pub fn memory(&self) -> Memory {
        lock(&self.memory).clone()
    }
}

/// What of a connection's clear part should not have been there: all but EHLO, STARTTLS, QUIT and, behind STARTTLS, TLS.
pub fn clear_faults(mut clear: &[u8]) -> Vec<String> {
    let mut starttls = false;
    let mut faults = Vec::new();
    while let Some(first) = clear.first() {
        if !first.is_ascii_uppercase() {
            let fault = if starttls { not_tls(clear) } else { Some("no command, and no STARTTLS before it".into()) };
            faults.extend(fault);
            return faults;
        }
        let end = clear.iter().position(|byte| *byte == b'\n').map_or(clear.len(), |end| end + 1);
        let (line, rest) = clear.split_at(end);
        let line = String::from_utf8_lossy(line);
        match line.trim_end().split(' ').next() {
            Some("EHLO" | "QUIT") => {}
            Some("STARTTLS") => starttls = true,
            _ => faults.push(format!("in clear: {line}")),
        }
        clear = rest;
    }
    faults
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, script: Vec<Move>, tls: Arc<ServerConfig>, memory: Arc<Mutex<Memory>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                stream.set_nodelay(true).ok();
                let place = {
                    let mut memory = lock(&memory);
                    memory.connections += 1;
                    memory.clear.push(Vec::new());
                    memory.clear.len() - 1
                };
                let player = Player { carrier: Carrier::Clear(stream), unread: Vec::new(), place, memory: Arc::clone(&memory) };
                let (script, tls) = (script.clone(), Arc::clone(&tls));
                // A peer that leaves in the middle is what this is about.
                connections.spawn(async move { player.play(script, tls).await.ok(); });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

enum Carrier {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Within a handshake.
    Gone,
}

struct Player {
    carrier: Carrier,
    unread: Vec<u8>,
    place: usize,
    memory: Arc<Mutex<Memory>>,
}

impl Player {
    async fn play(mut self, script: Vec<Move>, tls: Arc<ServerConfig>) -> Result<()> {
        for step in script {
            match step {
                Move::Say(bytes) => self.write(&bytes).await?,
                Move::Drip(bytes) => {
                    for byte in bytes {
                        self.write(&[byte]).await?;
                        sleep(DRIP).await;
                    }
                }
                Move::Flood(bytes, times) => {
                    for _ in 0..times {
                        self.write(bytes).await?;
                    }
                }
                Move::Hear(verb) => self.hear(verb).await?,
                Move::HearAny => self.read().await?,
                Move::Tls => {
                    let Carrier::Clear(stream) = std::mem::replace(&mut self.carrier, Carrier::Gone) else { continue };
                    let accepted = timeout(IDLE, TlsAcceptor::from(Arc::clone(&tls)).accept(stream)).await??;
                    self.carrier = Carrier::Tls(Box::new(accepted));
                }
                Move::Content => {
                    let end = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"\r\n.\r\n");
                    while !end(&self.unread) {
                        self.read().await?;
                    }
                    self.unread.clear();
                    lock(&self.memory).copies += 1;
                }
                Move::Idle => while self.read().await.is_ok() {},
                Move::Reset => {
                    self.tcp().ok_or("the connection is gone")?.set_zero_linger()?;
                    return Ok(());
                }
                Move::Cut => return Ok(()),
            }
        }
        if let Carrier::Tls(tls) = &mut self.carrier {
            tls.shutdown().await?;
        }
        Ok(())
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.carrier {
            Carrier::Clear(stream) => Some(stream),
            Carrier::Tls(tls) => Some(tls.get_ref().0),
            Carrier::Gone => None,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let write = async {
            match &mut self.carrier {
                Carrier::Clear(stream) => stream.write_all(bytes).await,
                Carrier::Tls(tls) => {
                    tls.write_all(bytes).await?;
                    tls.flush().await
                }
                Carrier::Gone => Ok(()),
            }
        };
        timeout(IDLE, write).await??;
        Ok(())
    }

    async fn hear(&mut self, verb: &str) -> Result<()> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                if line.to_ascii_uppercase().starts_with(verb.as_bytes()) {
                    return Ok(());
                }
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        let mut bytes = vec![0; 64 * 1024];
        let read = async {
            match &mut self.carrier {
                Carrier::Clear(stream) => stream.read(&mut bytes).await,
                Carrier::Tls(tls) => tls.read(&mut bytes).await,
                Carrier::Gone => Ok(0),
            }
        };
        let count = timeout(IDLE, read).await??;
        if count == 0 || self.unread.len() > MAX_READ {
            return Err("the peer left".into());
        }
        if matches!(self.carrier, Carrier::Clear(_)) {
            lock(&self.memory).clear[self.place].extend_from_slice(&bytes[..count]);
        }
        self.unread.extend_from_slice(&bytes[..count]);
        Ok(())
    }
}
