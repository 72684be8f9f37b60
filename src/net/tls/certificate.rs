//! Our certificates as they are loaded from files: each mistake names the file, and says what is wrong in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config;
use crate::mail::Domain;

/// Why TLS cannot be set up, or did not come about.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("there is no [[tls.certificate]] in the config; a listener needs one")]
    NoneConfigured,
    #[error("{file} cannot be read: {source}")]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("{file} is not PEM text")]
    NotPem { file: PathBuf },
    #[error("{file} holds no certificate")]
    NoCertificate { file: PathBuf },
    #[error("{file} holds a certificate that cannot be read")]
    BadCertificate { file: PathBuf },
    #[error("{file} holds no private key")]
    NoKey { file: PathBuf },
    #[error("{file} holds a private key of a kind that TLS cannot use here")]
    BadKey { file: PathBuf },
    #[error("the key in {key} is not the one of the certificate in {chain}")]
    KeyMismatch { chain: PathBuf, key: PathBuf },
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
    #[error("the handshake failed: {0}")]
    Handshake(std::io::Error),
}

/// A certificate ready to be shown.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The names it is for, as they stand in it.
    names: Vec<String>,
    pub(super) key: Arc<CertifiedKey>,
}

impl Loaded {
    /// Whether a client that asks for `name` is shown the right certificate.
    pub(super) fn covers(&self, name: &str) -> bool {
        // RFC 9525 §6.3: a star stands for one label, the leftmost.
        let labels = name.split('.').count();
        let Ok(name) = Domain::parse(name) else { return false };
        self.names.iter().any(|own| name.matches(own) && own.split('.').count() == labels)
    }
}

pub(super) fn load(certificate: &config::Certificate, provider: &CryptoProvider) -> Result<Loaded, TlsError> {
    let config::Certificate { chain: chain_file, key: key_file } = certificate;
    let chain = read_chain(chain_file)?;
    let names = names(chain_file, &chain)?;
    let signer = provider
        .key_provider
        .load_private_key(read_key(key_file)?)
        .map_err(|_| TlsError::BadKey { file: key_file.clone() })?;
    let key = CertifiedKey::new(chain, signer);
    key.keys_match().map_err(|_| TlsError::KeyMismatch { chain: chain_file.clone(), key: key_file.clone() })?;
    Ok(Loaded { names, key: Arc::new(key) })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })
}

pub(super) fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|_| TlsError::NotPem { file: file.to_owned() })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { file: file.to_owned() });
    }
    Ok(chain)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = zeroize::Zeroizing::new(read(file)?);
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { file: file.to_owned() },
        _ => TlsError::NotPem { file: file.to_owned() },
    })
}

fn names(file: &Path, chain: &[CertificateDer<'static>]) -> Result<Vec<String>, TlsError> {
    let bad = || TlsError::BadCertificate { file: file.to_owned() };
    let leaf = chain.first().ok_or_else(bad)?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| bad())?;
    let alternatives = leaf.subject_alternative_name().map_err(|_| bad())?;
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Ok(names.collect())
}
