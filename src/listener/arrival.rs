//! Who a new connection comes from, and whether it may come in at all: what is known before the first word is said.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::clock::Timestamp;
use crate::config::{Door, Listener};
use crate::mail::{Arrival, Enhanced, Reply};
use crate::smtp::{BadProxyHeader, Entrance, Proxied, ProxyHeader, Submitter};

/// How long a proxy may take to say whose connection it passes on. It sends that with the connection itself.
const PROXY_HEADER: Duration = Duration::from_secs(10);

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The client's address, or the proxy's own where there is no other.
    pub(super) address: SocketAddr,
    pub(super) proxy: Option<IpAddr>,
    pub(super) named: Named,
}

/// Whether the address is the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Client,
    /// A proxy speaks for itself, or for somebody whose address it does not know.
    Nobody,
}

/// Why nobody knows whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoHeader {
    #[error("the proxy sent a wrong header: {0}")]
    Bad(#[from] BadProxyHeader),
    #[error("the proxy sent no header in time")]
    Late,
    #[error("the proxy closed the connection before its header was whole")]
    Gone,
}

impl Origin {
    pub(super) fn direct(address: SocketAddr) -> Origin {
        Origin { address, proxy: None, named: Named::Client }
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.address.ip().to_canonical()
    }

    /// Reads the header of a proxy, and no octet behind it: the client's TLS may follow at once.
    pub(super) async fn proxied(stream: &mut TcpStream, proxy: SocketAddr) -> Result<Origin, NoHeader> {
        let deadline = Instant::now() + PROXY_HEADER;
        let mut octets = Vec::new();
        loop {
            let more = match ProxyHeader::read(&octets)? {
                ProxyHeader::Whole(proxied) => return Ok(Origin::behind(proxy, proxied)),
                ProxyHeader::Wants(more) => more,
            };
            let had = octets.len();
            octets.resize(had + more, 0);
            match timeout_at(deadline, stream.read(&mut octets[had..])).await {
                Ok(Ok(0) | Err(_)) => return Err(NoHeader::Gone),
                Ok(Ok(read)) => octets.truncate(had + read),
                Err(_) => return Err(NoHeader::Late),
            }
        }
    }

    fn behind(proxy: SocketAddr, proxied: Proxied) -> Origin {
        let via = Some(proxy.ip().to_canonical());
        match proxied {
            Proxied::Client(address) => Origin { address, proxy: via, named: Named::Client },
            Proxied::Nobody => Origin { address: proxy, proxy: via, named: Named::Nobody },
        }
    }
}

/// Whether a proxy's header is due on a connection.
pub(super) fn is_proxy(listener: &Listener, address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    listener.proxy_from.iter().any(|network| network.contains(&ip))
}

/// Why a listener is not for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barred {
    /// A legacy listener, and an address that is not one of its own.
    OtherAddress,
    /// A legacy listener whose time is over.
    Over(Timestamp),
}

impl Barred {
    pub(super) fn name(self) -> &'static str {
        match self {
            Barred::OtherAddress => "legacy_address",
            Barred::Over(_) => "legacy_over",
        }
    }

    /// RFC 5321 §3.1: 554 in place of the greeting.
    pub(super) fn reply(self) -> Reply {
        let text = match self {
            Barred::OtherAddress => "your address may not connect here, ask the administrator".to_owned(),
            Barred::Over(until) => {
                format!("nothing is taken here without TLS since {}, ask the administrator", until.date())
            }
        };
        Reply::new(554, Enhanced::new(5, 7, 1), text)
    }
}

/// Whether a listener is for this address, at this moment.
pub(super) fn barred(listener: &Listener, origin: &Origin, now: Timestamp) -> Option<Barred> {
    let legacy = listener.legacy()?;
    let is_own = || legacy.networks.iter().any(|network| network.contains(&origin.ip()));
    if origin.named == Named::Nobody || !is_own() {
        return Some(Barred::OtherAddress);
    }
    over(listener, now)
}

/// Whether the time of a legacy listener is over.
pub(super) fn over(listener: &Listener, now: Timestamp) -> Option<Barred> {
    let quarantine = &listener.legacy()?.quarantine;
    quarantine.is_over(now).then(|| Barred::Over(quarantine.ends()))
}

/// What the dialog begins with.
pub(super) fn entrance(listener: &Listener, visitor: Option<Submitter>) -> Entrance {
    match listener.door {
        Door::Submission => Entrance::Submission,
        Door::Submissions => Entrance::Submissions,
        Door::Relay(tls) => Entrance::Relay { tls, visitor },
        Door::Legacy(_) => Entrance::Legacy { visitor },
    }
}

/// What the evidence keeps of the way in; the protocol is told by the dialog.
pub(super) fn arrival(listener: &Listener, origin: &Origin) -> Arrival {
    let quarantine = listener.legacy().map(|legacy| legacy.quarantine.clone());
    Arrival { proxy: origin.proxy, quarantine, ..Arrival::default() }
}

/// Whether a listener takes anybody without a login.
pub(super) fn takes_visitors(listener: &Listener) -> bool {
    match listener.door {
        Door::Relay(_) | Door::Legacy(_) => true,
        Door::Submission | Door::Submissions => false,
    }
}
