//! Certificates of clients: asked for, never required, and judged once the handshake is over, so that the log can say what
//! is wrong with one, and its client may still log in by other means.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::mail::{Domain, Issuer, ShownCertificate, Validity};
use crate::net::tls::certificate::{TlsError, read_chain};

/// Takes any certificate in the handshake, once the client has proved that the key is its own.
#[derive(Debug)]
pub(super) struct AnyClient(pub(super) Arc<CryptoProvider>);

/// Whose word on the names in a certificate counts: nobody's, without `tls.client_ca_file`.
#[derive(Debug)]
pub(super) struct Authorities(Option<Arc<dyn ClientCertVerifier>>);

impl Authorities {
    pub(super) fn load(file: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Authorities, TlsError> {
        let Some(file) = file else { return Ok(Authorities(None)) };
        let bad = || TlsError::BadCertificate { file: file.to_owned() };
        let mut roots = RootCertStore::empty();
        for certificate in read_chain(file)? {
            roots.add(certificate).map_err(|_| bad())?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        Ok(Authorities(Some(verifier.map_err(|_| bad())?)))
    }

    /// What a chain says of its client; `None` where it cannot be read.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Option<ShownCertificate> {
        let (leaf, intermediates) = chain.split_first()?;
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let moment = |time: x509_parser::time::ASN1Time| Timestamp::from_millis(time.timestamp().saturating_mul(1000));
        let validity = match (moment(parsed.validity().not_before), moment(parsed.validity().not_after)) {
            (begins, _) if now < begins => Validity::NotYet,
            (_, ends) if now > ends => Validity::Expired,
            _ => Validity::Now,
        };
        let vouched = self.0.as_ref().is_some_and(|authorities| {
            let seconds = std::time::Duration::from_millis(u64::try_from(now.millis()).unwrap_or_default());
            authorities.verify_client_cert(leaf, intermediates, UnixTime::since_unix_epoch(seconds)).is_ok()
        });
        Some(ShownCertificate {
            whole: sha256(leaf).0,
            key: sha256(parsed.public_key().raw).0,
            validity,
            issuer: if vouched { Issuer::Trusted(names(&parsed)) } else { Issuer::Unknown },
        })
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<Domain> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Domain::parse(name).ok(),
        _ => None,
    });
    names.collect()
}

impl ClientCertVerifier for AnyClient {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// RFC 8446 §4.2.4: none named, so that a client with a certificate of its own making shows it too.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // It is judged behind the handshake, by `Authorities` and `accounts`.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
