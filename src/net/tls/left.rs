//! Why a client left a handshake with us, as far as an operator can do something about it.

use std::io;

use rustls::{AlertDescription, Error};

use crate::net::tls::TlsError;

/// How a handshake in which we are the server came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The client said that our certificate is not good enough for it.
    Distrusting,
    /// It went away without a word. Many do so that do not trust our certificate.
    Silently,
    /// There was no TLS to be had with it.
    Otherwise,
}

impl TlsError {
    pub fn left(&self) -> Left {
        let TlsError::Handshake(error) = self else { return Left::Otherwise };
        let Some(fault) = error.get_ref().and_then(|source| source.downcast_ref::<Error>()) else {
            return silently(error);
        };
        // RFC 8446 §6.2: what an alert about a certificate may be.
        match fault {
            Error::AlertReceived(
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnsupportedCertificate,
            ) => Left::Distrusting,
            _ => Left::Otherwise,
        }
    }
}

fn silently(error: &io::Error) -> Left {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Left::Silently,
        _ => Left::Otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_about_the_certificate_is_told_from_every_other_end() {
        let left = |error: Error| TlsError::Handshake(io::Error::new(io::ErrorKind::InvalidData, error)).left();
        assert_eq!(left(Error::AlertReceived(AlertDescription::UnknownCA)), Left::Distrusting);
        assert_eq!(left(Error::AlertReceived(AlertDescription::CertificateUnknown)), Left::Distrusting);
        assert_eq!(left(Error::AlertReceived(AlertDescription::ProtocolVersion)), Left::Otherwise);
        assert_eq!(left(Error::HandshakeNotComplete), Left::Otherwise);
        assert_eq!(TlsError::Handshake(io::ErrorKind::UnexpectedEof.into()).left(), Left::Silently);
        assert_eq!(TlsError::Handshake(io::ErrorKind::ConnectionReset.into()).left(), Left::Silently);
        assert_eq!(TlsError::NoneConfigured.left(), Left::Otherwise);
    }
}
