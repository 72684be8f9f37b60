//! The octets of one connection: lines in, replies out, and no more of either in memory than has to be.

use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use metrics::counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::mail::Reply;
use crate::net::Stream;

/// Octets asked for at once.
const CHUNK: usize = 16 * 1024;
/// Octets of replies that may wait for the input to be drained.
const MAX_WAITING: usize = 16 * 1024;
/// How a handshake of TLS begins: a record of type 22, in version 3.
const HANDSHAKE: &[u8] = &[22, 3];
/// How long a peer is heard out after the last reply.
const LINGER: Duration = Duration::from_secs(2);
/// Octets that it is heard out for.
const MAX_DROPPED: usize = 1024 * 1024;

/// `Debug` shows nothing that crossed it: a line may hold a password.
pub(super) struct Wire {
    stream: Stream,
    input: BytesMut,
    output: Vec<u8>,
    /// How long the peer may take to let a reply in.
    patience: Duration,
}

/// Why the peer cannot be read or written any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Gone,
    Late,
}

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoLine {
    Lost(Lost),
    TooLong,
    /// It ended in a bare line feed.
    BareLf,
    /// A handshake of TLS, where a line was awaited.
    Tls,
}

impl Wire {
    pub(super) fn new(stream: Stream, patience: Duration) -> Wire {
        Wire { stream, input: BytesMut::new(), output: Vec::new(), patience }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The bare connection; `None` when there is input that was sent ahead, or TLS already.
    pub(super) fn into_clear(self) -> Option<tokio::net::TcpStream> {
        if self.input.is_empty() { self.stream.into_clear() } else { None }
    }

    /// What was sent and not yet read.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.input
    }

    /// Takes so many octets off what was sent.
    pub(super) fn advance(&mut self, octets: usize) {
        drop(self.input.split_to(octets.min(self.input.len())));
    }

    /// Takes a reply, to be sent with those of the other commands that came together (RFC 2920 §3.2).
    pub(super) fn reply(&mut self, reply: &Reply) {
        counter!("sealpost_replies_total", "class" => class(reply)).increment(1);
        self.output.extend_from_slice(&reply.to_wire());
    }

    /// Sends the replies that wait.
    pub(super) async fn flush(&mut self) -> Result<(), Lost> {
        if self.output.is_empty() {
            return Ok(());
        }
        // Given up half-way, no reply is sent twice.
        let output = std::mem::take(&mut self.output);
        let sending = async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        };
        match timeout(self.patience, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Lost::Gone),
            Err(_) => Err(Lost::Late),
        }
    }

    /// Sends the replies that wait, unless there is another command to answer with them.
    pub(super) async fn flush_when_drained(&mut self) -> Result<(), Lost> {
        if self.input.contains(&b'\n') && self.output.len() < MAX_WAITING { Ok(()) } else { self.flush().await }
    }

    /// The next line, without its CRLF. Given up half-way, it loses nothing.
    pub(super) async fn line(&mut self, limit: usize, deadline: Instant) -> Result<BytesMut, NoLine> {
        loop {
            // RFC 8446 §5.1: no command begins like a record. Who sends one waits for an answer in TLS, and would wait in vain.
            if self.input.starts_with(HANDSHAKE) {
                return Err(NoLine::Tls);
            }
            if let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
                let mut line = self.input.split_to(end + 1);
                // RFC 5321 §2.3.8: a line ends in CRLF. Guessing at other ends is how commands are smuggled.
                if !line.ends_with(b"\r\n") {
                    return Err(NoLine::BareLf);
                }
                if line.len() > limit {
                    return Err(NoLine::TooLong);
                }
                line.truncate(end - 1);
                return Ok(line);
            }
            if self.input.len() >= limit {
                return Err(NoLine::TooLong);
            }
            self.read(deadline).await.map_err(NoLine::Lost)?;
        }
    }

    /// Waits for more input.
    pub(super) async fn read(&mut self, deadline: Instant) -> Result<(), Lost> {
        self.input.reserve(CHUNK);
        match timeout_at(deadline, self.stream.read_buf(&mut self.input)).await {
            Ok(Ok(0) | Err(_)) => Err(Lost::Gone),
            Ok(Ok(_)) => Ok(()),
            Err(_) => Err(Lost::Late),
        }
    }

    /// Sends what waits, says that nothing more will come, and lets the peer hear it. Whether it does is its own affair.
    pub(super) async fn close(mut self) {
        // Who lets no reply in keeps its connection for no longer than who says nothing more.
        self.patience = self.patience.min(LINGER);
        if self.flush().await.is_err() || timeout(LINGER, self.stream.shutdown()).await.is_err() {
            return;
        }
        // Closed with input unread, TCP resets the connection, and takes the last reply with it.
        let deadline = Instant::now() + LINGER;
        let mut dropped = 0;
        while dropped < MAX_DROPPED {
            self.input.clear();
            if self.read(deadline).await.is_err() {
                return;
            }
            dropped += self.input.len();
        }
    }
}

fn class(reply: &Reply) -> &'static str {
    match reply.code.value() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({:?})", self.stream)
    }
}
