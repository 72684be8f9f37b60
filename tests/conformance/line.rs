//! The client's end of the wire, which reads replies as strictly as they are to be written.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::world::Result;
use crate::world::wire::Duplex;

const MAX_REPLY: usize = 64 * 1024;
const MAX_REPLY_LINES: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// What stands behind the code, line by line.
    pub lines: Vec<String>,
    /// The longest line, code and line end included.
    pub longest: usize,
}

impl Reply {
    /// The first word, where an enhanced code stands.
    pub fn word(&self) -> &str {
        self.lines.first().and_then(|line| line.split(' ').next()).unwrap_or_default()
    }
}

/// What came instead of, or as, a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Reply(Reply),
    Closed,
    Nothing,
    /// Something that is no reply (RFC 5321 4.2), and why.
    Malformed(String),
}

pub struct Line {
    stream: Box<dyn Duplex>,
    input: Vec<u8>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl Line {
    pub fn new(stream: TcpStream) -> Result<Line> {
        stream.set_nodelay(true)?;
        Ok(Line { stream: Box::new(stream), input: Vec::new() })
    }

    /// TLS from here on. What came in clear before it is a fault of the server's.
    pub async fn secured(self, config: &Arc<ClientConfig>, name: &str, limit: Duration) -> Result<Line> {
        if !self.input.is_empty() {
            return Err("the server sent octets in clear behind its answer to STARTTLS".into());
        }
        let name = ServerName::try_from(name.to_owned())?;
        let stream = timeout(limit, TlsConnector::from(Arc::clone(config)).connect(name, self.stream)).await??;
        Ok(Line { stream: Box::new(stream), input: Vec::new() })
    }

    /// Sends; a server that does not listen any longer has closed, and is found out by the next read.
    pub async fn send(&mut self, octets: &[u8], limit: Duration) {
        let sending = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        timeout(limit, sending).await.ok();
    }

    pub async fn reply(&mut self, limit: Duration) -> Heard {
        let deadline = Instant::now() + limit;
        let mut reply = Reply { code: 0, lines: Vec::new(), longest: 0 };
        while reply.lines.len() < MAX_REPLY_LINES {
            let line = match self.line(deadline).await {
                Ok(line) => line,
                Err(Heard::Closed) if !reply.lines.is_empty() => {
                    return Heard::Malformed("the connection was closed within a reply".into());
                }
                Err(heard) => return heard,
            };
            match take(&mut reply, &line) {
                Ok(true) => return Heard::Reply(reply),
                Ok(false) => {}
                Err(fault) => return Heard::Malformed(format!("{fault}: {line:?}")),
            }
        }
        Heard::Malformed("a reply without an end".into())
    }

    /// Whether the server closes within the limit. What it still says is read over, and given.
    pub async fn closes(&mut self, limit: Duration) -> (bool, Vec<String>) {
        let deadline = Instant::now() + limit;
        let mut said = std::mem::take(&mut self.input);
        let mut piece = [0; 4096];
        let closed = loop {
            match timeout_at(deadline, self.stream.read(&mut piece)).await {
                Ok(Ok(0) | Err(_)) => break true,
                Ok(Ok(count)) if said.len() < MAX_REPLY => said.extend_from_slice(&piece[..count]),
                Ok(Ok(_)) | Err(_) => break false,
            }
        };
        (closed, said.split(|octet| *octet == b'\n').map(|line| line.escape_ascii().to_string()).collect())
    }

    /// The next line without its CRLF.
    async fn line(&mut self, deadline: Instant) -> std::result::Result<String, Heard> {
        loop {
            if let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let Some(text) = line.strip_suffix(b"\r\n") else {
                    return Err(Heard::Malformed("a reply line without CRLF".into()));
                };
                return String::from_utf8(text.to_vec())
                    .map_err(|_| Heard::Malformed("a reply that is not UTF-8".into()));
            }
            if self.input.len() > MAX_REPLY {
                return Err(Heard::Malformed("a reply line without an end".into()));
            }
            let mut piece = [0; 4096];
            match timeout_at(deadline, self.stream.read(&mut piece)).await {
                Ok(Ok(0) | Err(_)) if self.input.is_empty() => return Err(Heard::Closed),
                Ok(Ok(0) | Err(_)) => return Err(Heard::Malformed("the connection was closed within a line".into())),
                Ok(Ok(count)) => self.input.extend_from_slice(&piece[..count]),
                Err(_) => return Err(Heard::Nothing),
            }
        }
    }
}

/// Adds a line to a reply, and says whether it was the last (RFC 5321 4.2 and 4.2.1).
fn take(reply: &mut Reply, line: &str) -> std::result::Result<bool, &'static str> {
    let (code, rest) = line.split_at_checked(3).ok_or("no reply line")?;
    let code: u16 = code.parse().map_err(|_| "no reply code")?;
    if !(200..=599).contains(&code) {
        return Err("no reply code of SMTP");
    }
    if !reply.lines.is_empty() && reply.code != code {
        return Err("another code within one reply");
    }
    reply.code = code;
    reply.longest = reply.longest.max(line.len() + 2);
    reply.lines.push(rest.get(1..).unwrap_or_default().to_owned());
    match rest.bytes().next() {
        None | Some(b' ') => Ok(true),
        Some(b'-') => Ok(false),
        Some(_) => Err("neither a space nor a dash behind the code"),
    }
}
