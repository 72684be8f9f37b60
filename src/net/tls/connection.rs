//! A connection under TLS, and what was negotiated on it.

use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::mail::TlsSession;
use crate::net::Stream;

pub(in crate::net) type Connection = TlsStream<TcpStream>;

/// The protocol version and the suite, by the names that IANA gives them.
pub(in crate::net) fn session(connection: &Connection) -> Option<TlsSession> {
    let (_, common) = connection.get_ref();
    let version = match common.protocol_version()? {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let suite = common.negotiated_cipher_suite()?.suite();
    // rustls writes TLS13_AES_256_GCM_SHA384 where RFC 8446 §B.4 writes TLS_AES_256_GCM_SHA384.
    let suite = format!("{suite:?}").replacen("TLS13_", "TLS_", 1);
    Some(TlsSession { version, suite })
}

/// RFC 9266 §4: what both ends of a connection under TLS 1.3 can export, and nobody in between. Under TLS 1.2 that holds
/// only with an extension that not every client has, so it is not offered there.
pub(in crate::net) fn channel_binding(connection: &Connection) -> Option<[u8; 32]> {
    let (_, common) = connection.get_ref();
    common.protocol_version().filter(|version| *version == ProtocolVersion::TLSv1_3)?;
    let (label, out) = (b"EXPORTER-Channel-Binding", [0; 32]);
    match connection {
        TlsStream::Client(stream) => stream.get_ref().1.export_keying_material(out, label, Some(b"")).ok(),
        TlsStream::Server(stream) => stream.get_ref().1.export_keying_material(out, label, Some(b"")).ok(),
    }
}

/// The certificates that the other side has shown, its own first.
pub(in crate::net) fn peer_chain(connection: &Connection) -> &[CertificateDer<'static>] {
    connection.get_ref().1.peer_certificates().unwrap_or_default()
}

impl From<tokio_rustls::server::TlsStream<TcpStream>> for Stream {
    fn from(stream: tokio_rustls::server::TlsStream<TcpStream>) -> Stream {
        Stream::secured(TlsStream::Server(stream))
    }
}

impl From<tokio_rustls::client::TlsStream<TcpStream>> for Stream {
    fn from(stream: tokio_rustls::client::TlsStream<TcpStream>) -> Stream {
        Stream::secured(TlsStream::Client(stream))
    }
}
