//! One connection, in clear or under TLS, read and written alike.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::mail::TlsSession;
use crate::net::tls::{self, Connection};

pub struct Stream(Carrier);

enum Carrier {
    Clear(TcpStream),
    Tls(Box<Connection>),
}

impl Stream {
    pub fn clear(stream: TcpStream) -> Stream {
        Stream(Carrier::Clear(stream))
    }

    pub(in crate::net) fn secured(connection: Connection) -> Stream {
        Stream(Carrier::Tls(Box::new(connection)))
    }

    /// The bare connection, to put TLS on; `None` when it carries TLS already.
    pub fn into_clear(self) -> Option<TcpStream> {
        match self.0 {
            Carrier::Clear(stream) => Some(stream),
            Carrier::Tls(_) => None,
        }
    }

    /// What was negotiated; `None` in clear.
    pub fn tls_session(&self) -> Option<TlsSession> {
        match &self.0 {
            Carrier::Clear(_) => None,
            Carrier::Tls(connection) => tls::session(connection),
        }
    }

    pub(in crate::net) fn connection(&self) -> Option<&Connection> {
        match &self.0 {
            Carrier::Clear(_) => None,
            Carrier::Tls(connection) => Some(connection),
        }
    }

    /// What a login can be bound to (RFC 9266); `None` in clear and under TLS 1.2.
    pub fn channel_binding(&self) -> Option<[u8; 32]> {
        match &self.0 {
            Carrier::Clear(_) => None,
            Carrier::Tls(connection) => tls::channel_binding(connection),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Carrier::Tls(connection) => Pin::new(connection.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Carrier::Clear(stream) => Pin::new(stream).poll_write(cx, buf),
            Carrier::Tls(connection) => Pin::new(connection.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Tls(connection) => Pin::new(connection.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Tls(connection) => Pin::new(connection.as_mut()).poll_shutdown(cx),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Carrier::Clear(_) => f.write_str("Stream(clear)"),
            Carrier::Tls(_) => f.write_str("Stream(tls)"),
        }
    }
}
