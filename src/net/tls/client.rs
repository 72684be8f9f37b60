//! TLS towards a next hop: one handshake, judged on this very connection, refused when it is below the floor.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, HandshakeKind, OtherError, SignatureScheme, version,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::clock::Clock;
use crate::config::{self, Certificate};
use crate::mail::{Assurance, Domain};
use crate::net::Stream;
use crate::net::tls::certificate::{TlsError, load};
use crate::net::tls::judge::{Chain, Judged, Roots, Trust, TrustError};
use crate::net::tls::sessions::Sessions;

/// What stands behind a judgement when the host did not show its certificate on this very connection.
const RESUMED: &str = ", in a session of the last hour that was resumed";

/// Why there is no connection under TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("{}", .0.how)]
    BelowFloor(Judged),
    #[error("TLS cannot be agreed on: {0}")]
    Disagreed(String),
    #[error("the connection was lost during the TLS handshake")]
    Lost,
    #[error("the trusted roots of this route are not loaded")]
    NotLoaded,
}

/// Why there is no TLS towards next hops under a config.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the trusted roots are not ready: {0}")]
    Trust(#[from] TrustError),
    #[error("a client_certificate is not ready: {0}")]
    Certificate(#[from] TlsError),
}

/// What a connection must prove, and to whom; and who we are, where its route has that proved too.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub name: &'a Domain,
    pub trust: &'a Trust,
    pub floor: Assurance,
    pub shows: Option<&'a Certificate>,
}

/// The client side of TLS for one config. Sessions are resumed per name, within one context.
#[derive(Clone)]
pub struct Client {
    contexts: Arc<HashMap<Terms, Context>>,
    clock: Arc<dyn Clock>,
}

/// Connections on different terms have nothing in common, least of all sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Terms {
    trust: Trust,
    floor: Assurance,
    shows: Option<Certificate>,
}

#[derive(Clone)]
struct Context {
    roots: Roots,
    sessions: Arc<Sessions>,
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("contexts", &self.contexts.len()).finish_non_exhaustive()
    }
}

impl Client {
    pub fn load(config: &config::Config, clock: Arc<dyn Clock>) -> Result<Client, ClientError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let public = Roots::public(config.delivery.ca_file.as_deref(), algorithms)?;
        let mut all = vec![(Trust::Public, None, public.clone(), None)];
        for route in &config.routes {
            let (trust, roots) = match &route.ca_file {
                Some(path) => (Trust::Own(path.clone()), Roots::own(path, algorithms)?),
                None => (Trust::Public, public.clone()),
            };
            let shows = route.client_certificate.clone();
            let key = shows.as_ref().map(|certificate| load(certificate, &provider)).transpose()?;
            all.push((trust, shows, roots, key.map(|loaded| loaded.key)));
        }
        let mut contexts = HashMap::new();
        for (trust, shows, roots, key) in all {
            for floor in Assurance::ALL {
                let gate = Gate { roots: roots.clone(), floor };
                let sessions = Arc::new(Sessions::new(clock.clone()));
                let mut config = client_config(&provider, gate, (clock.clone(), key.clone()))?;
                config.resumption = Resumption::store(sessions.clone());
                let terms = Terms { trust: trust.clone(), floor, shows: shows.clone() };
                let config = Arc::new(config);
                contexts.insert(terms, Context { roots: roots.clone(), sessions, config });
            }
        }
        Ok(Client { contexts: Arc::new(contexts), clock })
    }

    /// Shakes hands as a client of `wanted.name`. What comes back has met the floor.
    pub async fn connect(&self, stream: TcpStream, wanted: Wanted<'_>) -> Result<(Stream, Judged), Broken> {
        let Wanted { name, trust, floor, shows } = wanted;
        let terms = Terms { trust: trust.clone(), floor, shows: shows.cloned() };
        let context = self.contexts.get(&terms).ok_or(Broken::NotLoaded)?;
        let name = server_name(name)?;
        let connector = TlsConnector::from(context.config.clone());
        let tls = connector.connect(name.clone(), stream).await.map_err(|error| broken(&error))?;
        let (_, session) = tls.get_ref();
        let chain = session.peer_certificates().unwrap_or_default();
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(Broken::Disagreed("the server has no certificate".into()));
        };
        // A resumed session is judged again, now, by the certificate that it began with: rustls keeps the chain with the
        // session, and does not ask the verifier.
        let mut judged = context.roots.judge(Chain { leaf, intermediates }, &name, unix_time(self.clock.as_ref()));
        match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => judged.how.push_str(RESUMED),
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => {
                context.sessions.proved(&name);
            }
        }
        if judged.assurance < floor {
            return Err(Broken::BelowFloor(judged));
        }
        Ok((Stream::from(tls), judged))
    }
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    gate: Gate,
    (clock, key): (Arc<dyn Clock>, Option<Arc<CertifiedKey>>),
) -> Result<ClientConfig, TrustError> {
    // Every suite that rustls knows for these two versions is AEAD.
    let config = ClientConfig::builder_with_details(provider.clone(), Arc::new(Now(clock)))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(gate));
    // RFC 8446 §4.4.2: it is shown behind the server's own, and that has met the floor by then.
    let mut config = match key {
        Some(key) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => config.with_no_client_auth(),
    };
    config.enable_sni = true;
    Ok(config)
}

fn server_name(name: &Domain) -> Result<ServerName<'static>, Broken> {
    match name.literal() {
        Some(address) => Ok(ServerName::IpAddress(address.into())),
        None => ServerName::try_from(name.to_string())
            .map_err(|_| Broken::Disagreed("the server's name cannot stand in a certificate".into())),
    }
}

fn broken(error: &std::io::Error) -> Broken {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return Broken::Lost };
    if let Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = tls
        && let Some(judged) = inner.downcast_ref::<Judged>()
    {
        return Broken::BelowFloor(judged.clone());
    }
    let words = match tls {
        Error::AlertReceived(alert) => format!("the server sent the alert {alert:?}"),
        Error::PeerIncompatible(_) => "no version, suite or group of TLS in common".into(),
        Error::InvalidCertificate(_) => "the server's certificate or signature is malformed".into(),
        _ => "the server does not follow the protocol".into(),
    };
    Broken::Disagreed(words)
}

/// Lets a handshake pass when the certificate proves at least the floor.
#[derive(Debug)]
struct Gate {
    roots: Roots,
    floor: Assurance,
}

impl ServerCertVerifier for Gate {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.roots.judge(Chain { leaf, intermediates }, name, now);
        if judged.assurance >= self.floor {
            return Ok(ServerCertVerified::assertion());
        }
        // The judgement travels in the error, so that the evidence can name the certificate that was refused.
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(judged)))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, self.roots.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, self.roots.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.roots.algorithms().supported_schemes()
    }
}

/// Our clock, as rustls asks for the time.
#[derive(Debug)]
struct Now(Arc<dyn Clock>);

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.as_ref()))
    }
}

fn unix_time(clock: &dyn Clock) -> UnixTime {
    let millis = u64::try_from(clock.now().millis()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_millis(millis))
}
