//! How far a server's certificate proves who it is, and in which words.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::client::verify_server_name;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

use crate::crypto::{self, Digest};
use crate::mail::Assurance;

/// Whose signature counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The system's roots, and those of `delivery.ca_file`.
    Public,
    /// Only the CA of a route's `ca_file`.
    Own(PathBuf),
}

/// Why the trusted roots could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{path}: cannot be read as certificates: {source}")]
    Unreadable { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{path}: holds no certificate that can be a root")]
    Empty { path: PathBuf },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] Error),
}

/// What the certificate of one connection proves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{how}")]
pub struct Judged {
    pub assurance: Assurance,
    /// In words.
    pub how: String,
    pub certificate_sha256: Digest,
    /// What keeps it from more, if something does.
    pub why_not: Option<String>,
}

/// Trusted roots, and what a chain to them proves.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    store: Arc<RootCertStore>,
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The chain as the server sent it.
#[derive(Clone, Copy)]
pub(super) struct Chain<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) intermediates: &'a [CertificateDer<'a>],
}

/// How many authorities the system trusts.
pub fn system_roots() -> usize {
    RootCertStore::empty().add_parsable_certificates(rustls_native_certs::load_native_certs().certs).0
}

impl Roots {
    pub(super) fn public(ca: Option<&Path>, algorithms: WebPkiSupportedAlgorithms) -> Result<Roots, TrustError> {
        let mut store = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        let (taken, _) = store.add_parsable_certificates(system.certs);
        if taken == 0 {
            tracing::warn!("the system has no trusted roots; only those of delivery.ca_file count");
        }
        if let Some(path) = ca {
            add_file(&mut store, path)?;
        }
        Ok(Roots { store: Arc::new(store), trust: Trust::Public, algorithms })
    }

    pub(super) fn own(path: &Path, algorithms: WebPkiSupportedAlgorithms) -> Result<Roots, TrustError> {
        let mut store = RootCertStore::empty();
        add_file(&mut store, path)?;
        Ok(Roots { store: Arc::new(store), trust: Trust::Own(path.to_owned()), algorithms })
    }

    pub(super) fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    pub(super) fn judge(&self, chain: Chain<'_>, name: &ServerName<'_>, now: UnixTime) -> Judged {
        let certificate_sha256 = crypto::sha256(chain.leaf);
        let (assurance, how, why_not) = match self.verify(chain, name, now) {
            Ok(()) => match &self.trust {
                Trust::Public => (Assurance::Valid, format!("valid for {}", name.to_str()), None),
                Trust::Own(_) => {
                    let how = format!("issued by the route's own CA for {}", name.to_str());
                    (Assurance::Authenticated, how, None)
                }
            },
            Err(error) => {
                let why = in_words(&error, chain.leaf, name);
                (Assurance::Encrypted, format!("encrypted, but {why}"), Some(why))
            }
        };
        Judged { assurance, how, certificate_sha256, why_not }
    }

    fn verify(&self, chain: Chain<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
        let leaf = ParsedCertificate::try_from(chain.leaf)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.store, chain.intermediates, now, algorithms)?;
        verify_server_name(&leaf, name)
    }
}

fn add_file(store: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(unreadable)?;
    let (taken, _) = store.add_parsable_certificates(certificates);
    if taken == 0 { Err(TrustError::Empty { path: path.to_owned() }) } else { Ok(()) }
}

fn in_words(error: &Error, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> String {
    let Error::InvalidCertificate(error) = error else { return "its certificate cannot be read".to_owned() };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate does not carry the name {}", name.to_str())
        }
        _ if is_self_signed(leaf) => "its certificate is self-signed".into(),
        CertificateError::UnknownIssuer => "its certificate is from an issuer that is not trusted".into(),
        CertificateError::Revoked => "its certificate was revoked".into(),
        CertificateError::BadEncoding => "its certificate is malformed".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not meant for servers".into()
        }
        _ => "its certificate does not verify".into(),
    }
}

fn is_self_signed(leaf: &CertificateDer<'_>) -> bool {
    x509_parser::parse_x509_certificate(leaf)
        .is_ok_and(|(_, certificate)| certificate.subject().as_raw() == certificate.issuer().as_raw())
}
