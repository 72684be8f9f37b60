//! A small mail server: as the next hop it keeps what it gets; as a fool it is wrong on purpose, so that every case is
//! seen to fail somewhere.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::conformance::inbox::{Delivery, Inbox};
use crate::conformance::target::Begun;
use crate::world::wire::Duplex;
use crate::world::{Result, STEP};

const MAX_INPUT: usize = 128 * 1024 * 1024;
/// How long a client may be silent.
const IDLE: Duration = Duration::from_secs(120);

static TRUE_END: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?-u)(?:\A|\r\n)\.\r\n").ok());
/// What some server or other has taken for the end of data.
static ANY_END: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?-u)(?:\A|[\r\n]\x00?)\.\x00?(?:\r\x00?\n|\n|\r)").ok());

/// What it does once a case has begun its own part. Until then it is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manners {
    Good,
    /// 250 to every line.
    Yes,
    /// 500 to every line.
    No,
    /// No reply at all.
    Mute,
    /// Closes at the first line.
    Gone,
    /// Takes everything in any order, and sees the end of data in everything that looks like one, and where a client left.
    Lax,
    /// The same, and offers little.
    Bare,
}

pub const FOOLS: [Manners; 6] = [Manners::Yes, Manners::No, Manners::Gone, Manners::Lax, Manners::Bare, Manners::Mute];

impl Manners {
    fn is_lax(self) -> bool {
        matches!(self, Manners::Lax | Manners::Bare)
    }
}

/// What a server needs to be started.
#[derive(Clone, Debug)]
pub struct Set {
    pub manners: Manners,
    pub tls: Arc<ServerConfig>,
    pub inbox: Inbox,
    pub begun: Begun,
}

/// Stops when dropped.
#[derive(Debug)]
pub struct Small {
    pub address: SocketAddr,
    pub implicit: SocketAddr,
    serving: [JoinHandle<()>; 2],
}

impl Drop for Small {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Clear,
    Implicit,
}

impl Small {
    pub async fn start(own: IpAddr, port: u16, set: Set) -> Result<Small> {
        let clear = TcpListener::bind((own, port)).await?;
        let implicit = TcpListener::bind((own, 0)).await?;
        let (address, implicit_address) = (clear.local_addr()?, implicit.local_addr()?);
        let serving = [
            tokio::spawn(serve(clear, Entry::Clear, set.clone())),
            tokio::spawn(serve(implicit, Entry::Implicit, set)),
        ];
        Ok(Small { address, implicit: implicit_address, serving })
    }
}

async fn serve(listener: TcpListener, entry: Entry, set: Set) {
    let mut talks = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, peer)) = listener.accept() => {
                let set = set.clone();
                talks.spawn(async move {
                    // What a client makes of it is the client's affair.
                    Talk::new(stream, peer, set).run(entry).await.ok();
                });
            }
            Some(_) = talks.join_next() => {}
        }
    }
}

struct Talk {
    stream: Option<Box<dyn Duplex>>,
    input: Vec<u8>,
    peer: SocketAddr,
    set: Set,
    secure: bool,
    delivery: Delivery,
    chunks: Vec<u8>,
}

impl Talk {
    fn new(stream: TcpStream, peer: SocketAddr, set: Set) -> Talk {
        Talk {
            stream: Some(Box::new(stream)),
            input: Vec::new(),
            peer,
            set,
            secure: false,
            delivery: Delivery::default(),
            chunks: Vec::new(),
        }
    }

    fn manners(&self) -> Manners {
        if self.set.begun.has(self.peer.port()) { self.set.manners } else { Manners::Good }
    }

    async fn run(mut self, entry: Entry) -> Result<()> {
        if entry == Entry::Implicit {
            self.handshake().await?;
        }
        match self.manners() {
            Manners::Good | Manners::Lax | Manners::Bare => self.write("220 small.example ESMTP\r\n").await?,
            Manners::Yes => self.write("250 yes\r\n").await?,
            Manners::No => self.write("500 no\r\n").await?,
            Manners::Mute => {}
            Manners::Gone => return Ok(()),
        }
        while let Some(line) = self.line().await? {
            let going = match self.manners() {
                Manners::Good | Manners::Lax | Manners::Bare => self.command(&line).await?,
                Manners::Yes => self.reply("250 2.0.0 yes").await?,
                Manners::No => self.reply("500 5.5.2 no").await?,
                Manners::Mute => true,
                Manners::Gone => false,
            };
            if !going {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn command(&mut self, line: &str) -> Result<bool> {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => self.hello().await,
            "STARTTLS" => {
                self.reply("220 2.0.0 go ahead").await?;
                self.handshake().await?;
                Ok(true)
            }
            "AUTH" => self.reply("235 2.7.0 you are whom you say").await,
            "MAIL" => {
                self.delivery.mail = line.to_owned();
                self.reply("250 2.1.0 ok").await
            }
            "RCPT" => {
                self.delivery.recipients.push(line.to_owned());
                self.reply("250 2.1.5 ok").await
            }
            "DATA" => self.data().await,
            "BDAT" => self.chunk(line).await,
            "RSET" => {
                self.reset();
                self.reply("250 2.0.0 ok").await
            }
            "QUIT" => {
                self.reply("221 2.0.0 bye").await?;
                Ok(self.manners().is_lax())
            }
            _ => self.reply("250 2.0.0 ok").await,
        }
    }

    async fn hello(&mut self) -> Result<bool> {
        let mut offers = "250-small.example\r\n".to_owned();
        if !self.secure || self.manners().is_lax() {
            offers.push_str("250-STARTTLS\r\n");
        }
        offers.push_str("250-AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS\r\n");
        for offer in [
            "PIPELINING",
            "8BITMIME",
            "SMTPUTF8",
            "CHUNKING",
            "BINARYMIME",
            "DSN",
            "REQUIRETLS",
            "SIZE 67108864",
            "LIMITS RCPTMAX=1000 MAILMAX=100",
        ] {
            if self.set.manners != Manners::Bare {
                offers.push_str(&format!("250-{offer}\r\n"));
            }
        }
        offers.push_str("250 ENHANCEDSTATUSCODES\r\n");
        self.write(&offers).await?;
        Ok(true)
    }

    async fn data(&mut self) -> Result<bool> {
        self.reply("354 go on").await?;
        let mut searched = 0;
        let (start, used) = loop {
            let end = if self.manners().is_lax() { &*ANY_END } else { &*TRUE_END };
            let end = end.as_ref().ok_or("the end of data has no pattern")?;
            if let Some(found) = end.find_at(&self.input, searched) {
                break (found.start(), found.end());
            }
            searched = self.input.len().saturating_sub(5);
            if !self.read().await? {
                if self.manners().is_lax() {
                    let content = std::mem::take(&mut self.input);
                    self.keep(content);
                }
                return Ok(false);
            }
        };
        let mut content: Vec<u8> = self.input.drain(..used).collect();
        content.truncate(start);
        if !content.is_empty() {
            content.extend_from_slice(b"\r\n");
        }
        match self.manners() {
            Manners::Good | Manners::Lax | Manners::Bare => {
                self.keep(unstuffed(&content));
                self.reply("250 2.0.0 taken").await
            }
            Manners::Yes => self.reply("250 2.0.0 yes").await,
            Manners::No => self.reply("500 5.5.2 no").await,
            Manners::Mute => Ok(true),
            Manners::Gone => Ok(false),
        }
    }

    /// RFC 3030 §2.
    async fn chunk(&mut self, line: &str) -> Result<bool> {
        let mut words = line.split(' ').skip(1);
        let size: usize = words.next().and_then(|size| size.parse().ok()).unwrap_or_default();
        while self.input.len() < size.min(MAX_INPUT) {
            if !self.read().await? {
                if self.manners().is_lax() {
                    let content = std::mem::take(&mut self.input);
                    self.keep(content);
                }
                return Ok(false);
            }
        }
        let chunk: Vec<u8> = self.input.drain(..size.min(self.input.len())).collect();
        self.chunks.extend(chunk);
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST")) {
            let content = std::mem::take(&mut self.chunks);
            self.keep(content);
        }
        self.reply("250 2.0.0 taken").await
    }

    fn keep(&mut self, content: Vec<u8>) {
        let delivery = std::mem::take(&mut self.delivery);
        self.set.inbox.take(Delivery { content, ..delivery });
    }

    fn reset(&mut self) {
        self.delivery = Delivery::default();
        self.chunks.clear();
    }

    /// What was read ahead is kept over the handshake: a good client has sent nothing, and a fool runs it.
    async fn handshake(&mut self) -> Result<()> {
        let stream = self.stream.take().ok_or("the connection is gone")?;
        let tls = timeout(STEP, TlsAcceptor::from(Arc::clone(&self.set.tls)).accept(stream)).await??;
        self.stream = Some(Box::new(tls));
        self.secure = true;
        Ok(())
    }

    async fn line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    async fn read(&mut self) -> Result<bool> {
        let stream = self.stream.as_mut().ok_or("the connection is gone")?;
        // A client that broke off is gone like one that closed.
        let count = timeout(IDLE, stream.read_buf(&mut self.input)).await?.unwrap_or_default();
        if self.input.len() > MAX_INPUT {
            return Err("too much input".into());
        }
        Ok(count > 0)
    }

    async fn reply(&mut self, text: &str) -> Result<bool> {
        self.write(&format!("{text}\r\n")).await?;
        Ok(true)
    }

    async fn write(&mut self, text: &str) -> Result<()> {
        let stream = self.stream.as_mut().ok_or("the connection is gone")?;
        timeout(STEP, async {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await
        })
        .await??;
        Ok(())
    }
}

/// RFC 5321 §4.5.2.
fn unstuffed(content: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        plain.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    plain
}
