//! Why a client's handshake with us came to nothing, in the few kinds that somebody can do something about.

use std::io;

use rustls::{AlertDescription, Error, PeerIncompatible};
use tokio::net::TcpStream;

use crate::net::tls::TlsError;

/// What went wrong in a handshake in which we are the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// The client said that our certificate is not good enough; this is its alert (RFC 8446 §6.2).
    Distrusted(&'static str),
    /// It speaks no version of TLS that is spoken here; the newest that it named, where it could be seen.
    TooOld(Option<&'static str>),
    /// It shares no suite, group or signature with us.
    NothingInCommon,
    /// It did not speak TLS at all.
    NotTls,
    /// It went away without a word.
    Gone,
    /// It gave up with another alert.
    Alert(&'static str),
    /// Anything else, which is more likely a fault in a program than in a setting.
    Broken,
}

/// Octets of a record that tell which version a ClientHello names: its type, its length, and the handshake's own.
const HELLO: usize = 11;

/// The newest version that a ClientHello of an old kind names, without taking it off the stream. What has not all come is
/// not waited for.
pub async fn old_version(stream: &TcpStream) -> Option<&'static str> {
    let mut hello = [0; HELLO];
    let seen = stream.peek(&mut hello).await.ok()?;
    named(hello.get(..seen)?)
}

fn named(hello: &[u8]) -> Option<&'static str> {
    // RFC 8446 §5.1: a record of type 22 holds a handshake; §4: 1 is a ClientHello, and its version follows its length.
    match hello {
        [22, 3, _, _, _, 1, _, _, _, 3, minor] => match minor {
            0 => Some("SSL 3.0"),
            1 => Some("TLS 1.0"),
            2 => Some("TLS 1.1"),
            // RFC 8446 §4.1.2: the newer ones are named elsewhere.
            _ => None,
        },
        _ => None,
    }
}

impl TlsError {
    /// What of a failed handshake is worth telling. `offered` is what `old_version` saw.
    pub fn unmet(&self, offered: Option<&'static str>) -> Unmet {
        match self {
            TlsError::Handshake(error) => unmet(error, offered),
            TlsError::NoneConfigured
            | TlsError::Unreadable { .. }
            | TlsError::NotPem { .. }
            | TlsError::NoCertificate { .. }
            | TlsError::BadCertificate { .. }
            | TlsError::NoKey { .. }
            | TlsError::BadKey { .. }
            | TlsError::KeyMismatch { .. }
            | TlsError::Setup(_) => Unmet::Broken,
        }
    }
}

fn unmet(error: &io::Error, offered: Option<&'static str>) -> Unmet {
    let Some(fault) = error.get_ref().and_then(|source| source.downcast_ref::<Error>()) else {
        return Unmet::Gone;
    };
    match fault {
        Error::AlertReceived(alert) => alerted(*alert, offered),
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => Unmet::TooOld(offered),
        // A ClientHello of an old version lacks what the newer ones must have, and may be refused for that first.
        Error::PeerIncompatible(_) if offered.is_some() => Unmet::TooOld(offered),
        Error::PeerIncompatible(_) => Unmet::NothingInCommon,
        Error::InvalidMessage(_) => Unmet::NotTls,
        _ => Unmet::Broken,
    }
}

fn alerted(alert: AlertDescription, offered: Option<&'static str>) -> Unmet {
    match alert {
        AlertDescription::UnknownCA => Unmet::Distrusted("unknown_ca"),
        AlertDescription::BadCertificate => Unmet::Distrusted("bad_certificate"),
        AlertDescription::CertificateUnknown => Unmet::Distrusted("certificate_unknown"),
        AlertDescription::CertificateExpired => Unmet::Distrusted("certificate_expired"),
        AlertDescription::CertificateRevoked => Unmet::Distrusted("certificate_revoked"),
        AlertDescription::UnsupportedCertificate => Unmet::Distrusted("unsupported_certificate"),
        AlertDescription::ProtocolVersion => Unmet::TooOld(offered),
        AlertDescription::HandshakeFailure => Unmet::Alert("handshake_failure"),
        AlertDescription::InsufficientSecurity => Unmet::Alert("insufficient_security"),
        AlertDescription::AccessDenied => Unmet::Alert("access_denied"),
        AlertDescription::DecryptError => Unmet::Alert("decrypt_error"),
        AlertDescription::IllegalParameter => Unmet::Alert("illegal_parameter"),
        AlertDescription::UserCanceled | AlertDescription::CloseNotify => Unmet::Gone,
        _ => Unmet::Alert("another"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_version_is_read_from_a_client_hello_and_from_nothing_else() {
        let hello = |minor: u8| [22, 3, 1, 0, 99, 1, 0, 0, 95, 3, minor];
        for (minor, name) in [(0, Some("SSL 3.0")), (1, Some("TLS 1.0")), (2, Some("TLS 1.1")), (3, None)] {
            assert_eq!(named(&hello(minor)), name);
        }
        assert_eq!(named(b"EHLO a.exam"), None);
        assert_eq!(named(&hello(1)[..10]), None);
    }

    #[test]
    fn a_failed_handshake_is_told_by_what_can_be_done_about_it() {
        let check = |error: Error, expected| {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(TlsError::Handshake(error).unmet(None), expected);
        };
        check(Error::AlertReceived(AlertDescription::UnknownCA), Unmet::Distrusted("unknown_ca"));
        check(Error::AlertReceived(AlertDescription::UnrecognisedName), Unmet::Alert("another"));
        check(Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled), Unmet::TooOld(None));
        check(Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon), Unmet::NothingInCommon);
        check(Error::HandshakeNotComplete, Unmet::Broken);
        assert_eq!(TlsError::Handshake(io::ErrorKind::UnexpectedEof.into()).unmet(None), Unmet::Gone);
        assert_eq!(TlsError::NoneConfigured.unmet(None), Unmet::Broken);
    }
}
