//! Which hosts take a domain's mail: a route, its MX records in order, or the domain itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;
use tokio::task::JoinSet;

use crate::config::{Config, Listener, Route, stands_for_all};
use crate::crypto;
use crate::mail::{Domain, Enhanced};
use crate::net::{Exchange, LookupError, Resolver};

/// Hosts of one domain that are tried.
const MAX_HOSTS: usize = 10;
/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 8;

const SMTP: u16 = 25;

/// Where a host is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Name(Domain),
    Address(IpAddr),
}

/// One host to try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    pub at: At,
    pub port: u16,
    /// The name that its certificate must carry.
    pub name: Domain,
}

/// How the hosts were found, and so where they may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Named by MX records; in the order of preference.
    Mx,
    /// RFC 5321 §5.1: without MX records, the domain is its own host.
    Implicit,
    /// An address literal.
    Literal,
    /// A `[[route]]` says so.
    Routed(Box<Route>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// In the order in which they are tried.
    pub hosts: Vec<Host>,
    pub found: Found,
}

/// Why a domain, or one host, cannot be reached for mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    #[error("the domain does not exist")]
    NoSuchDomain,
    #[error("the domain has neither MX nor address records")]
    NoAddress,
    #[error("the mail exchanger has no address")]
    HostWithoutAddress,
    #[error("the domain says that it takes no mail (null MX)")]
    NullMx,
    #[error("we are the domain's best mail exchanger ourselves, and no route says where its mail goes")]
    LoopsBack,
    #[error("the host lies in a private or reserved network that no route and no delivery.allow_networks allows")]
    Forbidden,
    #[error("the name servers gave no usable answer")]
    Unanswered,
}

impl Unroutable {
    /// The code of the bounce; none when asking again later may help.
    pub const fn permanent(self) -> Option<Enhanced> {
        match self {
            // RFC 3463 §3.2, 5.1.2: bad destination system address.
            Unroutable::NoSuchDomain | Unroutable::NoAddress => Some(Enhanced::new(5, 1, 2)),
            // RFC 7505 §5.
            Unroutable::NullMx => Some(Enhanced::new(5, 1, 10)),
            // RFC 3463 §3.5, 5.4.6: routing loop.
            Unroutable::LoopsBack => Some(Enhanced::new(5, 4, 6)),
            Unroutable::Forbidden => Some(Enhanced::new(5, 4, 4)),
            Unroutable::HostWithoutAddress | Unroutable::Unanswered => None,
        }
    }
}

/// The hosts to try for a domain. Their addresses are asked for when it is their turn.
pub async fn targets(resolver: &Resolver, domain: &Domain, config: &Config) -> Result<Targets, Unroutable> {
    if let Some(route) = route_for(domain, &config.routes) {
        return Ok(routed(route));
    }
    if let Some(address) = domain.literal() {
        if is_ours(address, &config.listeners) {
            return Err(Unroutable::LoopsBack);
        }
        let host = Host { at: At::Address(address), port: SMTP, name: domain.clone() };
        return Ok(Targets { hosts: vec![host], found: Found::Literal });
    }
    match resolver.mx(domain).await {
        Ok(exchanges) => {
            let before_us = before_us(in_order(exchanges)?, &config.server.hostname);
            let hosts = not_here(resolver, before_us, &config.listeners).await?;
            Ok(Targets { hosts: hosts.into_iter().map(named).collect(), found: Found::Mx })
        }
        Err(LookupError::NoRecords) if *domain == config.server.hostname => Err(Unroutable::LoopsBack),
        Err(LookupError::NoRecords) => {
            // RFC 5321 §5.1: the domain counts as an MX of preference 0.
            let hosts = not_here(resolver, vec![(0, domain.clone())], &config.listeners).await?;
            Ok(Targets { hosts: hosts.into_iter().map(named).collect(), found: Found::Implicit })
        }
        Err(LookupError::NoSuchDomain) => Err(Unroutable::NoSuchDomain),
        Err(LookupError::Unanswered | LookupError::NotConfigured) => Err(Unroutable::Unanswered),
    }
}

/// The addresses of one of the hosts, those that may not be reached left out.
pub async fn addresses(
    resolver: &Resolver,
    host: &Host,
    found: &Found,
    allowed: &[IpNet],
) -> Result<Vec<SocketAddr>, Unroutable> {
    let all = match &host.at {
        At::Address(address) => vec![*address],
        At::Name(name) => resolver.addresses(name).await.map_err(|error| no_address(error, found))?,
    };
    let reachable: Vec<_> = by_turns(all)
        .into_iter()
        .filter(|address| matches!(found, Found::Routed(_)) || may_reach(*address, allowed))
        .map(|address| SocketAddr::new(address, host.port))
        .take(MAX_ADDRESSES)
        .collect();
    if reachable.is_empty() { Err(Unroutable::Forbidden) } else { Ok(reachable) }
}

/// The route whose pattern names the domain most closely; the first of several alike.
pub fn route_for<'a>(domain: &Domain, routes: &'a [Route]) -> Option<&'a Route> {
    let closeness = |route: &Route| {
        let fitting = route.domains.iter().filter(|pattern| domain.matches(pattern));
        fitting.map(|pattern| (!pattern.starts_with('*'), pattern.len())).max()
    };
    // `max_by_key` gives the last of several alike, hence the reversal.
    let fitting = routes.iter().rev().filter_map(|route| Some((closeness(route)?, route)));
    fitting.max_by_key(|(closeness, _)| *closeness).map(|(_, route)| route)
}

fn routed(route: &Route) -> Targets {
    let bare = route.host.trim_start_matches('[').trim_end_matches(']');
    let at = match (bare.parse(), Domain::parse(&route.host)) {
        (Ok(address), _) => At::Address(address),
        (Err(_), Ok(name)) => At::Name(name),
        // The config refuses such a host; the name that its certificate must carry is the only other one there is.
        (Err(_), Err(_)) => At::Name(route.name.clone()),
    };
    let host = Host { at, port: route.port, name: route.name.clone() };
    Targets { hosts: vec![host], found: Found::Routed(Box::new(route.clone())) }
}

fn named(name: Domain) -> Host {
    Host { at: At::Name(name.clone()), port: SMTP, name }
}

/// With their preferences, each host once.
fn in_order(exchanges: Vec<Exchange>) -> Result<Vec<(u16, Domain)>, Unroutable> {
    // RFC 7505 §3: a null MX stands alone.
    if exchanges.iter().all(|exchange| exchange.host.is_none()) {
        return Err(Unroutable::NullMx);
    }
    let mut named: Vec<_> =
        exchanges.into_iter().filter_map(|exchange| Some((exchange.preference, tie_break(), exchange.host?))).collect();
    // RFC 5321 §5.1: hosts of one preference are tried in a random order, to spread the load.
    named.sort();
    let mut hosts: Vec<(u16, Domain)> = Vec::new();
    for (preference, _, host) in named {
        if !hosts.iter().any(|(_, known)| *known == host) {
            hosts.push((preference, host));
        }
    }
    Ok(hosts)
}

/// RFC 5321 §5.1: when we are in the list, only hosts preferred to us may be tried, or the mail would come back.
fn before_us(mut hosts: Vec<(u16, Domain)>, own: &Domain) -> Vec<(u16, Domain)> {
    let ours = hosts.iter().filter(|(_, host)| host == own).map(|(preference, _)| *preference).min();
    hosts.retain(|(preference, _)| ours.is_none_or(|ours| *preference < ours));
    hosts.truncate(MAX_HOSTS);
    hosts
}

/// The same for a host under another name whose address is one where we take mail from other servers ourselves.
async fn not_here(
    resolver: &Resolver,
    mut hosts: Vec<(u16, Domain)>,
    listeners: &[Listener],
) -> Result<Vec<Domain>, Unroutable> {
    if listeners.iter().any(|listener| listener.bind.port() == SMTP) {
        let mut looking = JoinSet::new();
        for (preference, host) in hosts.clone() {
            let resolver = resolver.clone();
            looking.spawn(async move { (preference, resolver.addresses(&host).await.unwrap_or_default()) });
        }
        let found = looking.join_all().await;
        let here = found.iter().filter(|(_, addresses)| addresses.iter().any(|address| is_ours(*address, listeners)));
        let ours = here.map(|(preference, _)| *preference).min();
        hosts.retain(|(preference, _)| ours.is_none_or(|ours| *preference < ours));
    }
    if hosts.is_empty() {
        return Err(Unroutable::LoopsBack);
    }
    Ok(hosts.into_iter().map(|(_, host)| host).collect())
}

/// Whether a listener of ours is what answers at this address, at the port of an MX.
fn is_ours(address: IpAddr, listeners: &[Listener]) -> bool {
    let serves = |bind| bind == address || (stands_for_all(bind, address) && is_of_this_machine(address));
    listeners.iter().any(|listener| listener.bind.port() == SMTP && serves(listener.bind.ip()))
}

/// Only its own addresses can be bound.
fn is_of_this_machine(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// RFC 8305 §4: IPv6 and IPv4 take turns, so that no family can keep the other from being tried.
fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let count = addresses.len();
    let (first, second): (Vec<_>, Vec<_>) = {
        let leading = addresses.first().is_some_and(IpAddr::is_ipv6);
        addresses.into_iter().partition(|address| address.is_ipv6() == leading)
    };
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    (0..count).flat_map(|_| [first.next(), second.next()]).flatten().collect()
}

fn tie_break() -> u64 {
    // Without entropy the order is the one of the names, which is as good.
    crypto::random().map_or(0, u64::from_le_bytes)
}

fn no_address(error: LookupError, found: &Found) -> Unroutable {
    match (error, found) {
        (LookupError::NoSuchDomain | LookupError::NoRecords, Found::Implicit) => Unroutable::NoAddress,
        (LookupError::NoSuchDomain | LookupError::NoRecords, Found::Mx | Found::Literal | Found::Routed(_)) => {
            Unroutable::HostWithoutAddress
        }
        (LookupError::Unanswered | LookupError::NotConfigured, _) => Unroutable::Unanswered,
    }
}

fn may_reach(address: IpAddr, allowed: &[IpNet]) -> bool {
    is_public(address) || allowed.iter().any(|network| network.contains(&address))
}

/// Whether an address belongs to the public internet (RFC 6890 and the registries that follow it).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [first, second, third, _] = v4.octets();
    let reserved = match first {
        0 | 10 | 127 | 224..=255 => true,
        // RFC 6598: shared address space of carriers.
        100 => (64..128).contains(&second),
        169 => second == 254,
        172 => (16..32).contains(&second),
        192 => second == 168 || (second == 0 && matches!(third, 0 | 2)) || (second == 88 && third == 99),
        198 => matches!(second, 18 | 19) || (second == 51 && third == 100),
        203 => second == 0 && third == 113,
        _ => false,
    };
    !reserved
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [first, second, ..] = v6.segments();
    // Global unicast is 2000::/3; Teredo (2001::/32), ORCHID (2001:10::/28, 2001:20::/28) and documentation are in it.
    let global = first & 0xe000 == 0x2000;
    let special = first == 0x2001 && (second == 0 || matches!(second & 0xfff0, 0x10 | 0x20) || second == 0x0db8);
    global && !special && first != 0x3fff
}

/// The IPv4 address inside a mapped (`::ffff:0:0/96`), translated (`64:ff9b::/96`) or 6to4 (`2002::/16`) one.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(v4) = v6.to_ipv4_mapped() {
        return Some(v4);
    }
    match v6.octets() {
        [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        [0x20, 0x02, a, b, c, d, ..] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Door, Onward};
    use crate::mail::Assurance;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn mx(preference: u16, host: &str) -> Exchange {
        Exchange { preference, host: (host != ".").then(|| domain(host)) }
    }

    fn order(exchanges: &[Exchange]) -> Result<Vec<String>, Unroutable> {
        let hosts = before_us(in_order(exchanges.to_vec())?, &domain("relay.clinic.example"));
        Ok(hosts.iter().map(|(_, host)| host.to_string()).collect())
    }

    fn route(domains: &[&str], host: &str) -> Route {
        Route {
            domains: domains.iter().map(|pattern| (*pattern).to_owned()).collect(),
            host: host.to_owned(),
            port: 2526,
            name: domain("mx.lab.example"),
            tls: Assurance::Valid,
            ca_file: None,
            onward: Onward::Final,
            login: None,
            client_certificate: None,
        }
    }

    #[test]
    fn hosts_are_tried_by_preference_and_each_once() {
        let exchanges = [mx(20, "b.lab.example"), mx(10, "a.lab.example"), mx(30, "a.lab.example")];
        assert_eq!(order(&exchanges).unwrap(), ["a.lab.example", "b.lab.example"]);
    }

    #[test]
    fn hosts_of_one_preference_change_places() {
        let exchanges = [mx(10, "a.lab.example"), mx(10, "b.lab.example")];
        let firsts: std::collections::HashSet<_> = (0..200).map(|_| order(&exchanges).unwrap()[0].clone()).collect();
        assert_eq!(firsts.len(), 2);
    }

    #[test]
    fn a_null_mx_takes_no_mail() {
        assert_eq!(order(&[mx(0, ".")]), Err(Unroutable::NullMx));
        assert_eq!(Unroutable::NullMx.permanent(), Some(Enhanced::new(5, 1, 10)));
        assert_eq!(order(&[mx(0, "."), mx(5, "a.lab.example")]).unwrap(), ["a.lab.example"]);
    }

    #[test]
    fn our_own_name_in_the_list_cuts_it_there() {
        let exchanges = [mx(10, "a.lab.example"), mx(20, "relay.clinic.example"), mx(30, "c.lab.example")];
        assert_eq!(order(&exchanges).unwrap(), ["a.lab.example"]);
        let all = [mx(10, "relay.clinic.example"), mx(10, "b.lab.example"), mx(20, "c.lab.example")];
        assert_eq!(order(&all).unwrap(), [""; 0], "one of the same preference may send it back as well");
    }

    #[test]
    fn only_a_listener_at_the_port_of_an_mx_makes_an_address_ours() {
        let listener = |bind: &str| Listener::new(Door::Submission, bind.parse().unwrap());
        let ours = |address: &str, bind| is_ours(address.parse().unwrap(), &[listener(bind)]);
        assert!(ours("127.35.2.1", "127.35.2.1:25") && ours("127.35.2.1", "0.0.0.0:25") && ours("::1", "[::]:25"));
        assert!(!ours("127.35.2.1", "127.35.2.1:587"), "somebody else answers at port 25 there");
        assert!(!ours("127.35.2.2", "127.35.2.1:25") && !ours("192.0.2.1", "0.0.0.0:25"));
        assert!(!ours("::1", "0.0.0.0:25"));
    }

    #[test]
    fn the_two_kinds_of_address_take_turns() {
        let addresses = |text: &str| text.split(' ').map(|one| one.parse().unwrap()).collect::<Vec<IpAddr>>();
        let all = addresses("::1 ::2 ::3 192.0.2.1 192.0.2.2");
        assert_eq!(by_turns(all), addresses("::1 192.0.2.1 ::2 192.0.2.2 ::3"));
        assert_eq!(by_turns(addresses("192.0.2.1 ::1 ::2")), addresses("192.0.2.1 ::1 ::2"));
    }

    #[test]
    fn the_number_of_hosts_is_bounded() {
        let many: Vec<_> = (0..50).map(|n| mx(n, &format!("m{n}.lab.example"))).collect();
        assert_eq!(order(&many).unwrap().len(), MAX_HOSTS);
    }

    #[test]
    fn the_closest_pattern_decides_the_route() {
        let routes = [
            route(&["*"], "a.example"),
            route(&["*.lab.example"], "b.example"),
            route(&["x.lab.example"], "c.example"),
            route(&["*.x.lab.example", "*.lab.example"], "d.example"),
        ];
        let host = |name: &str| route_for(&domain(name), &routes).map(|route| route.host.as_str());
        assert_eq!(host("x.lab.example"), Some("c.example"));
        assert_eq!(host("y.lab.example"), Some("b.example"));
        assert_eq!(host("y.x.lab.example"), Some("d.example"));
        assert_eq!(host("lab.example"), Some("a.example"));
        assert_eq!(route_for(&domain("lab.example"), &routes[1..]).map(|route| &route.host), None);
    }

    #[test]
    fn a_routes_host_is_an_address_or_a_name() {
        let at = |host| routed(&route(&["*"], host)).hosts[0].at.clone();
        assert_eq!(at("127.0.0.1"), At::Address([127, 0, 0, 1].into()));
        assert_eq!(at("[::1]"), At::Address(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(at("mx.lab.example"), At::Name(domain("mx.lab.example")));
    }

    #[test]
    fn private_and_reserved_addresses_are_out_of_reach() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!may_reach(text.parse().unwrap(), &[]), "{text}");
        }
        for text in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8"] {
            assert!(may_reach(text.parse().unwrap(), &[]), "{text}");
        }
        assert!(may_reach([10, 1, 2, 3].into(), &["10.1.0.0/16".parse().unwrap()]));
    }
}
