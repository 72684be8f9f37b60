//! One side of an SMTP connection: lines and replies over plain TCP or TLS, each step within a time limit.

use std::sync::Arc;

use regex::bytes::Regex;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::world::{Result, STEP};

/// Beyond what Sealpost takes, so that its own limit is the one that is met.
const MAX_LINE: u64 = 256 * 1024;
const MAX_REPLY_LINES: usize = 100;
const BUFFER: usize = 64 * 1024;

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What TLS agreed on: the protocol version, the suite and the peer's certificate (DER), in rustls's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    pub version: String,
    pub suite: String,
    pub certificate: Option<Vec<u8>>,
}

/// A reply with its code and the text of each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    pub fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" / "))
    }

    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// The id that a 250 names.
    pub fn queued(&self) -> Option<String> {
        let text = self.text();
        let (_, id) = text.rsplit_once("queued as ").filter(|_| self.code == 250)?;
        Some(id.trim().to_owned())
    }
}

pub struct Wire {
    stream: BufReader<Box<dyn Duplex>>,
    pub security: Option<Security>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("security", &self.security).finish_non_exhaustive()
    }
}

impl Wire {
    pub fn plain(stream: TcpStream) -> Result<Wire> {
        stream.set_nodelay(true)?;
        Ok(Wire { stream: BufReader::with_capacity(BUFFER, Box::new(stream)), security: None })
    }

    /// Speaks TLS from here on, as the server. Bytes that came before the handshake make it fail.
    pub async fn accept_tls(self, config: Arc<ServerConfig>) -> Result<Wire> {
        let stream = self.nothing_waiting()?;
        let tls = timeout(STEP, TlsAcceptor::from(config).accept(stream)).await??;
        let security = security(tls.get_ref().1);
        Ok(Wire { stream: BufReader::with_capacity(BUFFER, Box::new(tls)), security })
    }

    /// Speaks TLS from here on, as the client.
    pub async fn connect_tls(self, config: Arc<ClientConfig>, name: &str) -> Result<Wire> {
        let stream = self.nothing_waiting()?;
        let name = ServerName::try_from(name.to_owned())?;
        let tls = timeout(STEP, TlsConnector::from(config).connect(name, stream)).await??;
        let security = security(tls.get_ref().1);
        Ok(Wire { stream: BufReader::with_capacity(BUFFER, Box::new(tls)), security })
    }

    fn nothing_waiting(self) -> Result<Box<dyn Duplex>> {
        if !self.stream.buffer().is_empty() {
            return Err("bytes were sent in clear behind STARTTLS".into());
        }
        Ok(self.stream.into_inner())
    }

    /// The next line without its line end; `None` when the peer has closed.
    pub async fn line(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        if !self.raw_line(&mut line).await? {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line);
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Appends the next line with its line end; false when the peer has closed.
    pub async fn raw_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        let mut limited = (&mut self.stream).take(MAX_LINE);
        let count = timeout(STEP, limited.read_until(b'\n', line)).await??;
        if count as u64 == MAX_LINE {
            return Err("a line without an end".into());
        }
        Ok(count > 0)
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(STEP, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await??;
        Ok(())
    }

    /// Reads one reply of any number of lines (RFC 5321 §4.2.1).
    pub async fn reply(&mut self) -> Result<Reply> {
        let mut lines = Vec::new();
        for _ in 0..MAX_REPLY_LINES {
            let line = self.line().await?.ok_or("the peer closed instead of a reply")?;
            let (code, rest) = line.split_at_checked(3).ok_or_else(|| format!("not a reply line: {line}"))?;
            let code: u16 = code.parse()?;
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                return Ok(Reply { code, lines });
            }
        }
        Err("a reply without an end".into())
    }

    /// Reads a message up to the line with a single dot, and takes the added dots off (RFC 5321 §4.5.2).
    pub async fn message(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let start = content.len();
            if !self.raw_line(&mut content).await? {
                return Err("the peer closed within a message".into());
            }
            if content[start..] == *b".\r\n" {
                content.truncate(start);
                return Ok(content);
            }
            if content[start] == b'.' {
                content.remove(start);
            }
            if content.len() > limit {
                return Err("a message over the limit".into());
            }
        }
    }

    /// Reads so many octets.
    pub async fn octets(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut octets = vec![0; count];
        timeout(STEP, self.stream.read_exact(&mut octets)).await??;
        Ok(octets)
    }

    /// Reads a message into `content` in large pieces, dots as they came, for a server that only counts.
    pub async fn bulk(&mut self, content: &mut Vec<u8>, end: &Regex) -> Result<()> {
        loop {
            let searched = content.len().saturating_sub(4);
            let piece = timeout(STEP, self.stream.fill_buf()).await??;
            if piece.is_empty() {
                return Err("the peer closed within a message".into());
            }
            let (before, count) = (content.len(), piece.len());
            content.extend_from_slice(piece);
            let found = end.find_at(content, searched).map(|found| found.end());
            self.stream.consume(found.map_or(count, |end| end - before));
            if let Some(end) = found {
                content.truncate(end);
                return Ok(());
            }
        }
    }

    /// Closes in both directions; a peer that is already gone is no fault.
    pub async fn close(mut self) {
        timeout(STEP, self.stream.shutdown()).await.ok();
    }
}

fn security(session: &tokio_rustls::rustls::CommonState) -> Option<Security> {
    Some(Security {
        version: format!("{:?}", session.protocol_version()?),
        suite: format!("{:?}", session.negotiated_cipher_suite()?.suite()),
        certificate: session.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.to_vec()),
    })
}

/// A message as it goes behind DATA: dots doubled, and the closing line.
pub fn with_dots(content: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(content.len() + 64);
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    if !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}
