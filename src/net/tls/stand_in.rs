//! The server side of TLS for scripted servers in tests: a CA made on the spot, and good and bad certificates.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config;

/// What a scripted server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Valid,
    SelfSigned,
    WrongName,
    Expired,
    /// Until the end of 24 November 2026.
    EndsSoon,
}

pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

#[derive(Clone)]
pub(crate) struct Identity(TlsAcceptor);

impl Ca {
    pub(crate) fn new() -> Ca {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "A CA made for one test");
        Ca(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of this CA in files: the chain, and its key.
    pub(crate) fn write(&self, name: &str, folder: &Path) -> config::Certificate {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let files = ["pem", "key"].map(|ending| folder.join(format!("{name}.{ending}")));
        std::fs::write(&files[0], certificate.pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        let [chain, key] = files;
        config::Certificate { chain, key }
    }

    pub(crate) fn identity(&self, name: &str, shows: Shows) -> Identity {
        let key = KeyPair::generate().unwrap();
        let name = if shows == Shows::WrongName { "other.example" } else { name };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if shows == Shows::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        if shows == Shows::EndsSoon {
            params.not_after = date_time_ymd(2026, 11, 25);
        }
        let certificate = match shows {
            Shows::SelfSigned => params.self_signed(&key).unwrap(),
            Shows::Valid | Shows::WrongName | Shows::Expired | Shows::EndsSoon => {
                params.signed_by(&key, &self.0).unwrap()
            }
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(self.asks_for_one())
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Identity(TlsAcceptor::from(Arc::new(config)))
    }
}

impl Ca {
    /// Each client is asked for a certificate, and may have none.
    fn asks_for_one(&self) -> Arc<dyn ClientCertVerifier> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.allow_unauthenticated().build().unwrap()
    }
}

impl Identity {
    pub(crate) async fn accept(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.0.accept(tcp).await
    }
}
