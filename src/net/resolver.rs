//! Names to mail exchangers and addresses, with answers that say whether asking again may help.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::config;
use crate::mail::Domain;

/// Queries sent before giving up within the configured time.
const ATTEMPTS: u32 = 2;

/// One MX record. No host stands for the null MX's root name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub preference: u16,
    pub host: Option<Domain>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("the domain does not exist")]
    NoSuchDomain,
    #[error("the domain has no such record")]
    NoRecords,
    #[error("the name servers gave no usable answer")]
    Unanswered,
    #[error("the resolver could not be set up from the system's configuration")]
    NotConfigured,
}

#[derive(Clone)]
pub struct Resolver {
    inner: TokioResolver,
    timeout: Duration,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Resolver {
    pub fn new(dns: &config::Dns) -> Result<Resolver, LookupError> {
        let mut builder = if dns.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|_| LookupError::NotConfigured)?
        } else {
            let servers = dns.servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = dns.timeout / ATTEMPTS;
        options.attempts = ATTEMPTS as usize;
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        let inner = builder.build().map_err(|_| LookupError::NotConfigured)?;
        Ok(Resolver { inner, timeout: dns.timeout })
    }

    pub async fn mx(&self, domain: &Domain) -> Result<Vec<Exchange>, LookupError> {
        let lookup = self.bounded(self.inner.lookup(absolute(domain), RecordType::MX)).await?;
        let records = || lookup.answers().iter().filter(|record| record.record_type() == RecordType::MX);
        let exchanges: Vec<_> = records().filter_map(|record| exchange(&record.data)).collect();
        // RFC 5321 §5.1: where there are MX records and none of them can be used, the domain's own address is not tried.
        match (exchanges.is_empty(), records().next()) {
            (false, _) => Ok(exchanges),
            (true, Some(_)) => Err(LookupError::Unanswered),
            (true, None) => Err(LookupError::NoRecords),
        }
    }

    /// IPv6 and IPv4, in the order of RFC 6724's default: IPv6 first.
    pub async fn addresses(&self, host: &Domain) -> Result<Vec<IpAddr>, LookupError> {
        let lookup = self.bounded(self.inner.lookup_ip(absolute(host))).await?;
        Ok(lookup.iter().collect())
    }

    async fn bounded<T>(&self, ask: impl Future<Output = Result<T, NetError>>) -> Result<T, LookupError> {
        match tokio::time::timeout(self.timeout, ask).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_nx_domain() => Err(LookupError::NoSuchDomain),
            Ok(Err(error)) if error.is_no_records_found() => Err(LookupError::NoRecords),
            Ok(Err(_)) | Err(_) => Err(LookupError::Unanswered),
        }
    }
}

/// With the root's dot, so that no search domain is tried behind it.
fn absolute(domain: &Domain) -> String {
    format!("{domain}.")
}

fn exchange(data: &RData) -> Option<Exchange> {
    let RData::MX(mx) = data else { return None };
    if mx.exchange.is_root() {
        return Some(Exchange { preference: mx.preference, host: None });
    }
    let name = mx.exchange.to_ascii();
    let host = Domain::parse(name.trim_end_matches('.')).ok()?;
    Some(Exchange { preference: mx.preference, host: Some(host) })
}

fn name_server(address: &std::net::SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stand_in::NameServer;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    async fn resolver() -> Resolver {
        let names = NameServer::new()
            .mx("lab.example", 10, "mx.lab.example")
            .address("mx.lab.example", "192.0.2.7")
            .address("mx.lab.example", "2001:db8::7")
            .mx("null.example", 0, ".")
            .mx("odd.example", 10, "mx-.example")
            .address("bare.example", "192.0.2.8");
        Resolver::new(&names.start().await).unwrap()
    }

    #[tokio::test]
    async fn exchangers_and_all_addresses_are_found() {
        let resolver = resolver().await;
        let mx = resolver.mx(&domain("lab.example")).await.unwrap();
        assert_eq!(mx, [Exchange { preference: 10, host: Some(domain("mx.lab.example")) }]);
        let addresses = resolver.addresses(&domain("mx.lab.example")).await.unwrap();
        assert_eq!(addresses, ["2001:db8::7".parse::<IpAddr>().unwrap(), "192.0.2.7".parse().unwrap()]);
        let null = resolver.mx(&domain("null.example")).await.unwrap();
        assert_eq!(null, [Exchange { preference: 0, host: None }]);
    }

    #[tokio::test]
    async fn a_domain_whose_exchangers_have_no_usable_name_is_not_its_own_host() {
        let resolver = resolver().await;
        assert_eq!(resolver.mx(&domain("odd.example")).await, Err(LookupError::Unanswered));
    }

    #[tokio::test]
    async fn an_answer_says_whether_asking_again_may_help() {
        let resolver = resolver().await;
        assert_eq!(resolver.mx(&domain("nobody.example")).await, Err(LookupError::NoSuchDomain));
        assert_eq!(resolver.mx(&domain("bare.example")).await, Err(LookupError::NoRecords));
        assert_eq!(resolver.mx(&domain("x.broken.example")).await, Err(LookupError::Unanswered));
        assert_eq!(resolver.addresses(&domain("nobody.example")).await, Err(LookupError::NoSuchDomain));
        assert_eq!(resolver.addresses(&domain("lab.example")).await, Err(LookupError::NoRecords));
    }
}
