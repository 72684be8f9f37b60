//! Our side of TLS as a server: which certificate is shown to whom, and what is negotiated.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::clock::Timestamp;
use crate::config;
use crate::mail::ShownCertificate;
use crate::net::Stream;
use crate::net::tls::certificate::{Loaded, TlsError, load};
use crate::net::tls::peer_chain;
use crate::net::tls::shown::{AnyClient, Authorities};

/// Accepts TLS. What it shows can be changed while it runs; connections that stand keep what they have.
#[derive(Debug)]
pub struct Server {
    current: RwLock<Arc<Current>>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    authorities: Authorities,
}

/// The certificates, in the order of the config.
#[derive(Debug)]
struct Shown(Vec<Loaded>);

impl Server {
    /// Clients are asked for a certificate where one of them has one.
    pub fn load(tls: &config::Tls, clients: &[config::Client]) -> Result<Server, TlsError> {
        let asks = clients.iter().any(|client| !client.certificates.is_empty());
        // Of TLS 1.2 rustls knows ECDHE with AEAD only, which is what NIST SP 800-52r2 §3.3.1 asks for.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let authorities = Authorities::load(tls.client_ca_file.as_deref(), &provider)?;
        let verifier: Arc<dyn ClientCertVerifier> =
            if asks { Arc::new(AnyClient(Arc::clone(&provider))) } else { WebPkiClientVerifier::no_client_auth() };
        let config = Arc::new(server_config(tls, provider, verifier)?);
        Ok(Server { current: RwLock::new(Arc::new(Current { config, authorities })) })
    }

    /// Shows what `next` has loaded, from the next handshake on.
    pub fn replace(&self, next: &Server) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next.current();
    }

    /// The handshake. How long it may take is for the caller to say.
    pub async fn accept(&self, stream: TcpStream) -> Result<Stream, TlsError> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current().config));
        acceptor.accept(stream).await.map(Stream::from).map_err(TlsError::Handshake)
    }

    /// The certificate that the client of a connection has shown; `None` without one, or where it cannot be read.
    pub fn shown(&self, stream: &Stream, now: Timestamp) -> Option<ShownCertificate> {
        self.current().authorities.judge(peer_chain(stream.connection()?), now)
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn server_config(
    tls: &config::Tls,
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, TlsError> {
    if tls.certificates.is_empty() {
        return Err(TlsError::NoneConfigured);
    }
    let loaded: Result<Vec<_>, _> = tls.certificates.iter().map(|certificate| load(certificate, &provider)).collect();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Setup)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Shown(loaded?)));
    // A client that connects for each message resumes, and spares both sides the signature.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Setup)?;
    Ok(config)
}

impl ResolvesServerCert for Shown {
    /// The first certificate whose key the client can check and that is for the name it asked for;
    /// else the first whose key it can check: what a name is worth is for the client to say.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let usable = |loaded: &&Loaded| loaded.key.key.choose_scheme(hello.signature_schemes()).is_some();
        let named = |loaded: &&Loaded| hello.server_name().is_some_and(|name| loaded.covers(name));
        let best = self.0.iter().filter(usable).find(named).or_else(|| self.0.iter().find(usable));
        best.map(|loaded| loaded.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    use rustls::{ClientConfig, HandshakeKind};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::net::tls::trial::{Trial, client};

    /// Connects for `host`, and gives the server's stream with the certificate that the client was shown.
    async fn meet(server: &Server, client: ClientConfig, host: &str) -> (Stream, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let host = ServerName::try_from(host.to_owned()).unwrap();
        let asks = async {
            let stream = TcpStream::connect(address).await.unwrap();
            let mut stream = TlsConnector::from(Arc::new(client)).connect(host, stream).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
        };
        let answers = async {
            let mut stream = server.accept(listener.accept().await.unwrap().0).await.unwrap();
            stream.read_u8().await.unwrap();
            stream
        };
        tokio::join!(answers, asks)
    }

    fn der(certificate: &config::Certificate) -> Vec<u8> {
        CertificateDer::from_pem_file(&certificate.chain).unwrap().to_vec()
    }

    #[tokio::test]
    async fn a_session_is_told_by_its_iana_names() {
        let mut files = Trial::new();
        let certificate = files.certificate("relay.clinic.example", &PKCS_ECDSA_P256_SHA256);
        let server = Server::load(&config::Tls { certificates: vec![certificate], client_ca_file: None }, &[]).unwrap();
        for (version, name) in [(&rustls::version::TLS12, "TLSv1.2"), (&rustls::version::TLS13, "TLSv1.3")] {
            let (stream, _) = meet(&server, client(&files.roots, &[version]), "relay.clinic.example").await;
            let session = stream.tls_session().unwrap();
            assert_eq!(session.version, name);
            assert!(session.suite.starts_with("TLS_") && !session.suite.contains("TLS13"), "{}", session.suite);
        }
    }

    #[tokio::test]
    async fn a_client_that_comes_again_resumes() {
        let mut trial = Trial::new();
        let server = Server::load(&trial.tls("relay.clinic.example"), &[]).unwrap();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let connector = TlsConnector::from(Arc::new(client(&trial.roots, &[version])));
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let asks = async {
                    let stream = TcpStream::connect(address).await.unwrap();
                    let host = ServerName::try_from("relay.clinic.example").unwrap();
                    let mut stream = connector.connect(host, stream).await.unwrap();
                    // The tickets of TLS 1.3 come with what is read behind the handshake.
                    stream.read_u8().await.unwrap();
                    stream.get_ref().1.handshake_kind()
                };
                let answers = async {
                    let mut stream = server.accept(listener.accept().await.unwrap().0).await.unwrap();
                    stream.write_all(b"x").await.unwrap();
                    stream.flush().await.unwrap();
                    stream
                };
                kinds.push(tokio::join!(answers, asks).1.unwrap());
            }
            assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
        }
    }

    #[test]
    fn every_suite_is_forward_secret_and_authenticated() {
        for suite in aws_lc_rs::default_provider().cipher_suites {
            let name = format!("{:?}", suite.suite());
            assert!(name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_"), "{name}");
            assert!(name.contains("_GCM_") || name.contains("CHACHA20_POLY1305"), "{name}");
        }
    }

    #[tokio::test]
    async fn the_certificate_follows_the_name_and_the_keys_that_the_client_can_check() {
        let mut files = Trial::new();
        let ecdsa = files.certificate("relay.clinic.example", &PKCS_ECDSA_P256_SHA256);
        let rsa = files.certificate("relay.clinic.example", &PKCS_RSA_SHA256);
        let other = files.certificate("mail.lab.example", &PKCS_ECDSA_P256_SHA256);
        let all = vec![ecdsa.clone(), rsa.clone(), other.clone()];
        let server = Server::load(&config::Tls { certificates: all, client_ca_file: None }, &[]).unwrap();
        let both = [&rustls::version::TLS13, &rustls::version::TLS12];
        let (_, shown) = meet(&server, client(&files.roots, &both), "relay.clinic.example").await;
        assert_eq!(shown, der(&ecdsa));
        let (_, shown) = meet(&server, client(&files.roots, &both), "mail.lab.example").await;
        assert_eq!(shown, der(&other));
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("ECDHE_RSA"));
        let only_rsa = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(files.roots.clone())
            .with_no_client_auth();
        let (_, shown) = meet(&server, only_rsa, "relay.clinic.example").await;
        assert_eq!(shown, der(&rsa));
    }

    #[tokio::test]
    async fn the_next_handshake_shows_the_certificate_that_took_the_place() {
        let mut files = Trial::new();
        let old = files.certificate("relay.clinic.example", &PKCS_ECDSA_P256_SHA256);
        let new = files.certificate("relay.clinic.example", &PKCS_ECDSA_P256_SHA256);
        let server = Server::load(&config::Tls { certificates: vec![old.clone()], client_ca_file: None }, &[]).unwrap();
        assert!(Server::load(&config::Tls { certificates: vec![], client_ca_file: None }, &[]).is_err());
        let both = [&rustls::version::TLS13, &rustls::version::TLS12];
        assert_eq!(meet(&server, client(&files.roots, &both), "relay.clinic.example").await.1, der(&old));
        server.replace(
            &Server::load(&config::Tls { certificates: vec![new.clone()], client_ca_file: None }, &[]).unwrap(),
        );
        assert_eq!(meet(&server, client(&files.roots, &both), "relay.clinic.example").await.1, der(&new));
    }

    fn mistake(chain: &Path, key: &Path) -> String {
        let certificate = config::Certificate { chain: chain.to_owned(), key: key.to_owned() };
        let folder = chain.parent().unwrap().display().to_string() + "/";
        let error =
            Server::load(&config::Tls { certificates: vec![certificate], client_ca_file: None }, &[]).unwrap_err();
        error.to_string().replace(&folder, "")
    }

    #[test]
    fn each_mistake_names_its_file() {
        let mut files = Trial::new();
        let one = files.certificate("one.example", &PKCS_ECDSA_P256_SHA256);
        let two = files.certificate("two.example", &PKCS_ECDSA_P256_SHA256);
        let empty = files.write("empty.pem", "nothing here\n");
        let broken = files.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
        let odd = files.write("odd.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let badkey = files.write("bad.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        assert!(mistake(&files.path("gone.pem"), &one.key).starts_with("gone.pem cannot be read: No such file"));
        assert_eq!(mistake(&empty, &one.key), "empty.pem holds no certificate");
        assert_eq!(mistake(&broken, &one.key), "broken.pem is not PEM text");
        assert_eq!(mistake(&odd, &one.key), "odd.pem holds a certificate that cannot be read");
        assert_eq!(mistake(&one.chain, &empty), "empty.pem holds no private key");
        let unusable = "bad.key holds a private key of a kind that TLS cannot use here";
        assert_eq!(mistake(&one.chain, &badkey), unusable);
        let mismatch = "the key in two.example-2.key is not the one of the certificate in one.example-1.pem";
        assert_eq!(mistake(&one.chain, &two.key), mismatch);
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let mut files = Trial::new();
        let certificate = files.certificate("*.clinic.example", &PKCS_ECDSA_P256_SHA256);
        let loaded = load(&certificate, &aws_lc_rs::default_provider()).unwrap();
        assert!(loaded.covers("relay.clinic.example"));
        assert!(!loaded.covers("a.relay.clinic.example") && !loaded.covers("clinic.example"));
    }
}
