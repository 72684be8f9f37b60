//! What tests of TLS need: certificates in files, and a client that trusts them.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config;
use crate::net::Stream;

#[derive(Debug)]
pub(crate) struct Trial {
    folder: tempfile::TempDir,
    pub(super) roots: RootCertStore,
}

impl Trial {
    pub(crate) fn new() -> Trial {
        Trial { folder: tempfile::tempdir().unwrap(), roots: RootCertStore::empty() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub(super) fn certificate(
        &mut self,
        host: &str,
        algorithm: &'static rcgen::SignatureAlgorithm,
    ) -> config::Certificate {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().self_signed(&key).unwrap();
        self.roots.add(certificate.der().clone()).unwrap();
        let name = format!("{host}-{}", self.roots.len());
        config::Certificate {
            chain: self.write(&format!("{name}.pem"), &certificate.pem()),
            key: self.write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }

    /// A `[tls]` table with one certificate for `host`.
    pub(crate) fn tls(&mut self, host: &str) -> config::Tls {
        config::Tls { certificates: vec![self.certificate(host, &rcgen::PKCS_ECDSA_P256_SHA256)], client_ca_file: None }
    }

    /// The client's side of a handshake.
    pub(crate) async fn connect(&self, stream: TcpStream, host: &str) -> std::io::Result<Stream> {
        let both = [&rustls::version::TLS13, &rustls::version::TLS12];
        let connector = TlsConnector::from(Arc::new(client(&self.roots, &both)));
        connector.connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await.map(Stream::from)
    }
}

pub(super) fn client(roots: &RootCertStore, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth()
}
