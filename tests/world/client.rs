//! A client that submits mail and keeps every reply.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use data_encoding::BASE64;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use crate::world::wire::{Reply, Wire, with_dots};
use crate::world::{Result, STEP};

/// How a connection becomes private.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Not at all; for tests of what is refused in clear.
    Clear,
    /// STARTTLS, with the name that the certificate must carry.
    StartTls(Arc<ClientConfig>, String),
    /// TLS from the first byte (RFC 8314).
    Implicit(Arc<ClientConfig>, String),
}

#[derive(Debug)]
pub struct Client {
    wire: Wire,
    pub greeting: Reply,
    /// The EHLO keywords with their parameters, in upper case.
    pub extensions: Vec<String>,
}

/// One message with its envelope.
#[derive(Clone, Debug)]
pub struct Mail {
    pub sender: String,
    pub recipients: Vec<String>,
    pub content: Vec<u8>,
}

/// The replies to one message, as far as it got.
#[derive(Clone, Debug)]
pub struct Replies {
    pub mail: Reply,
    pub recipients: Vec<Reply>,
    pub data: Option<Reply>,
    pub end: Option<Reply>,
}

impl Replies {
    pub fn accepted(&self) -> bool {
        self.end.as_ref().is_some_and(|reply| reply.code == 250)
    }

    /// The last reply that came.
    pub fn last(&self) -> &Reply {
        self.end.as_ref().or(self.data.as_ref()).or(self.recipients.last()).unwrap_or(&self.mail)
    }
}

impl Client {
    pub async fn connect(address: SocketAddr, entry: &Entry) -> Result<Client> {
        Client::over(timeout(STEP, TcpStream::connect(address)).await??, entry).await
    }

    /// Connects from an address of this machine.
    pub async fn connect_from(source: IpAddr, address: SocketAddr, entry: &Entry) -> Result<Client> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        Client::over(timeout(STEP, socket.connect(address)).await??, entry).await
    }

    /// Goes on over a connection that stands.
    pub async fn over(stream: TcpStream, entry: &Entry) -> Result<Client> {
        let mut wire = Wire::plain(stream)?;
        if let Entry::Implicit(config, name) = entry {
            wire = wire.connect_tls(Arc::clone(config), name).await?;
        }
        let greeting = wire.reply().await?;
        let mut client = Client { wire, greeting, extensions: Vec::new() };
        if client.greeting.code != 220 {
            return Ok(client);
        }
        client.hello().await?;
        if let Entry::StartTls(config, name) = entry {
            client = client.start_tls(config, name).await?;
        }
        Ok(client)
    }

    pub async fn hello(&mut self) -> Result<Reply> {
        let reply = self.command("EHLO ehr.clinic.example").await?;
        self.extensions = reply.lines.iter().skip(1).map(|line| line.to_uppercase()).collect();
        Ok(reply)
    }

    pub async fn start_tls(mut self, config: &Arc<ClientConfig>, name: &str) -> Result<Client> {
        let reply = self.command("STARTTLS").await?;
        if reply.code != 220 {
            return Err(format!("STARTTLS refused: {}", reply.text()).into());
        }
        self.wire = self.wire.connect_tls(Arc::clone(config), name).await?;
        self.hello().await?;
        Ok(self)
    }

    pub fn offers(&self, keyword: &str) -> bool {
        self.extensions.iter().any(|line| line.split(' ').next() == Some(keyword))
    }

    pub async fn login(&mut self, user: &str, password: &str) -> Result<Reply> {
        let response = BASE64.encode(format!("\0{user}\0{password}").as_bytes());
        self.command(&format!("AUTH PLAIN {response}")).await
    }

    /// Sends one line and reads its reply.
    pub async fn command(&mut self, line: &str) -> Result<Reply> {
        self.write(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Sends several lines at once and reads as many replies (RFC 2920).
    pub async fn pipeline(&mut self, lines: &[&str]) -> Result<Vec<Reply>> {
        self.write(format!("{}\r\n", lines.join("\r\n")).as_bytes()).await?;
        let mut replies = Vec::new();
        for _ in lines {
            replies.push(self.reply().await?);
        }
        Ok(replies)
    }

    /// Sends one message step by step; stops at a refused sender, when no recipient is left, or at a refused DATA.
    pub async fn send(&mut self, mail: &Mail) -> Result<Replies> {
        let reply = self.command(&format!("MAIL FROM:<{}>", mail.sender)).await?;
        let mut replies = Replies { mail: reply, recipients: Vec::new(), data: None, end: None };
        if !replies.mail.is_positive() {
            return Ok(replies);
        }
        for recipient in &mail.recipients {
            replies.recipients.push(self.command(&format!("RCPT TO:<{recipient}>")).await?);
        }
        if !replies.recipients.iter().any(Reply::is_positive) {
            return Ok(replies);
        }
        let data = self.command("DATA").await?;
        let go = data.code == 354;
        replies.data = Some(data);
        if go {
            self.write(&with_dots(&mail.content)).await?;
            replies.end = Some(self.reply().await?);
        }
        Ok(replies)
    }

    /// Sends one message in one go, its content in chunks of at most so many octets (RFC 3030); `end` answers the last.
    pub async fn send_in_chunks(&mut self, mail: &Mail, octets: usize) -> Result<Replies> {
        let mut wire = format!("MAIL FROM:<{}>\r\n", mail.sender).into_bytes();
        for recipient in &mail.recipients {
            wire.extend_from_slice(format!("RCPT TO:<{recipient}>\r\n").as_bytes());
        }
        let chunks: Vec<&[u8]> = mail.content.chunks(octets).collect();
        for (at, chunk) in chunks.iter().enumerate() {
            let last = if at + 1 == chunks.len() { " LAST" } else { "" };
            wire.extend_from_slice(format!("BDAT {}{last}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
        }
        self.write(&wire).await?;
        let reply = self.reply().await?;
        let mut replies = Replies { mail: reply, recipients: Vec::new(), data: None, end: None };
        for _ in &mail.recipients {
            replies.recipients.push(self.reply().await?);
        }
        for _ in &chunks {
            replies.data = replies.end.replace(self.reply().await?);
        }
        Ok(replies)
    }

    /// Sends bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.wire.write(bytes).await
    }

    pub async fn reply(&mut self) -> Result<Reply> {
        self.wire.reply().await
    }

    /// Whether the server has closed the connection; waits for it within the time limit of a step.
    pub async fn closed(&mut self) -> bool {
        match self.wire.line().await {
            Ok(line) => line.is_none(),
            Err(error) => error.is::<std::io::Error>(),
        }
    }

    pub fn tls_version(&self) -> Option<&str> {
        self.wire.security.as_ref().map(|security| security.version.as_str())
    }

    pub async fn quit(mut self) -> Result<Reply> {
        let reply = self.command("QUIT").await?;
        self.wire.close().await;
        Ok(reply)
    }
}
