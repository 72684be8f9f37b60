//! `[[listener]]` and `[tls]`: the doors, and the certificates that they show.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeValue;

use crate::config::Client;
use crate::config::reader::{Absent, Given, Table};
use crate::config::value;
use crate::mail::{LineEnds, Quarantine, Role};

/// `[tls]`
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificates: Vec<Certificate>,
    /// The authorities whose client certificates are judged by the names in them.
    pub client_ca_file: Option<PathBuf>,
}

/// `[[tls.certificate]]`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// `[[listener]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub door: Door,
    pub bind: SocketAddr,
    pub line_ends: LineEnds,
    /// Who says with the PROXY protocol whose connection it passes on, and is believed.
    pub proxy_from: Vec<IpNet>,
}

/// What a listener is for, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    Submission,
    Submissions,
    Relay(RelayTls),
    Legacy(Legacy),
}

/// Whether a server that relays may do so in clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelayTls {
    #[default]
    Required,
    Optional,
}

/// A way in without TLS, for devices that know none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// Who may connect: single addresses, or networks not much larger.
    pub networks: Vec<IpNet>,
    pub reason: String,
    pub quarantine: Quarantine,
}

/// The listeners, and the networks that must be some client's, with their lines.
pub(super) struct Listeners {
    pub(super) all: Vec<Listener>,
    pinned: Vec<Given<IpNet>>,
}

impl Listener {
    /// With nothing written but what must be.
    pub fn new(door: Door, bind: SocketAddr) -> Listener {
        Listener { door, bind, line_ends: LineEnds::Strict, proxy_from: Vec::new() }
    }

    pub const fn role(&self) -> Role {
        match self.door {
            Door::Submission => Role::Submission,
            Door::Submissions => Role::Submissions,
            Door::Relay(_) => Role::Relay,
            Door::Legacy(_) => Role::Legacy,
        }
    }

    pub fn legacy(&self) -> Option<&Legacy> {
        match &self.door {
            Door::Legacy(legacy) => Some(legacy),
            Door::Submission | Door::Submissions | Door::Relay(_) => None,
        }
    }
}

impl Tls {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Tls {
        let (line, before) = (table.line_of("certificate"), table.mistakes());
        let client_ca_file = table.optional("client_ca_file", value::path);
        let certificates = table.tables("certificate", |table| {
            let chain = table.required("chain", value::path);
            let key = table.required("key", value::path);
            Some(Certificate { chain: chain?, key: key? })
        });
        if certificates.is_empty() && table.mistakes() == before {
            let text = "is missing: write [[tls.certificate]] with chain and key, or let `sealpost init` make one";
            table.mistake(line, "certificate", text);
        }
        Tls { certificates, client_ca_file }
    }
}

pub(super) fn read_all(root: &mut Table<'_, '_>) -> Listeners {
    let (line, before) = (root.line_of("listener"), root.mistakes());
    let mut bound: Vec<(SocketAddr, usize)> = Vec::new();
    let mut pinned = Vec::new();
    let all = root.tables("listener", |table| {
        let line = table.line_of("bind");
        let role = table.required("role", |written| value::one_of(written, Role::ALL.map(|role| (role.name(), role))));
        let bind = table.required("bind", value::socket)?;
        if let Some((_, first)) = bound.iter().find(|(other, _)| collide(bind, *other)) {
            let text = format!("the listener on line {first} has this port already: give one of them another");
            table.mistake(line, "bind", text);
        }
        bound.push((bind, line));
        let line_ends = line_ends(table, role);
        let door = door(table, role, bind, &mut pinned);
        let proxy_from = table.list("proxy_from", Absent::Default, proxy);
        Some(Listener { door: door?, bind, line_ends, proxy_from })
    });
    if all.is_empty() && root.mistakes() == before {
        let text = "is missing: write [[listener]] with role = \"submission\" and bind = \"0.0.0.0:587\"";
        root.mistake(line, "listener", text);
    }
    Listeners { all, pinned }
}

impl Listeners {
    /// What may come in without TLS is somebody's, so that there is a client to stop.
    pub(super) fn check_owned(&self, root: &mut Table<'_, '_>, clients: &[Client]) {
        for Given { line, value } in &self.pinned {
            if !clients.iter().flat_map(|client| &client.networks).any(|network| network.contains(value)) {
                let text = "lies in the networks of no client: write it into networks of the [[client]] whose it is";
                root.mistake(*line, "listener.networks", text);
            }
        }
    }
}

/// Reads what only some roles have. What another role has is no setting of this one.
fn door(
    table: &mut Table<'_, '_>,
    role: Option<Role>,
    bind: SocketAddr,
    pinned: &mut Vec<Given<IpNet>>,
) -> Option<Door> {
    let role = role?;
    for key in ["networks", "owner", "reason", "until", "exposed"] {
        foreign(table, (role, Role::Legacy), key);
    }
    foreign(table, (role, Role::Relay), "tls");
    match role {
        Role::Submission => Some(Door::Submission),
        Role::Submissions => Some(Door::Submissions),
        Role::Relay => {
            let words = [("required", RelayTls::Required), ("optional", RelayTls::Optional)];
            Some(Door::Relay(table.optional("tls", |written| value::one_of(written, words)).unwrap_or_default()))
        }
        Role::Legacy => {
            let line = table.line_of("bind");
            let exposed = table.optional("exposed", value::flag).unwrap_or(false);
            if !exposed && !is_inside(bind.ip()) {
                let text =
                    "without TLS, listen on a loopback or private address; or write exposed = true, and know why";
                table.mistake(line, "bind", text);
            }
            let given = table.filled("networks", Absent::Mistake, few);
            let networks = given.iter().map(|given| given.value).collect();
            pinned.extend(given);
            let (owner, reason) = (table.required("owner", value::text), table.required("reason", value::text));
            let until = table.required("until", value::date);
            Some(Door::Legacy(Legacy {
                networks,
                reason: reason?,
                quarantine: Quarantine { owner: owner?, until: until? },
            }))
        }
    }
}

/// A setting of another role is said to be one, instead of being called unknown.
fn foreign(table: &mut Table<'_, '_>, (role, only): (Role, Role), key: &'static str) {
    if role != only && table.has(key) {
        let line = table.line_of(key);
        table.optional(key, |_| Ok(()));
        table.mistake(line, key, format!("is for role = \"{}\" only: take it out", only.name()));
    }
}

/// Few enough to be known one by one.
fn few(written: &DeValue<'_>) -> Result<IpNet, String> {
    no_wider_than(written, (24, 120), "write single addresses, or networks of at most 256, as in \"10.20.0.7\"")
}

fn proxy(written: &DeValue<'_>) -> Result<IpNet, String> {
    let text = "write the addresses of your proxies, as in \"10.0.0.5/32\": whoever is in there may pose as anybody";
    no_wider_than(written, (16, 64), text)
}

fn no_wider_than(written: &DeValue<'_>, (ipv4, ipv6): (u8, u8), text: &str) -> Result<IpNet, String> {
    let network = value::network(written)?;
    let least = match network {
        IpNet::V4(_) => ipv4,
        IpNet::V6(_) => ipv6,
    };
    if network.prefix_len() < least { Err(text.to_owned()) } else { Ok(network.trunc()) }
}

/// Whether an address can be reached from this machine or its own networks only.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Programs of one's own may send line ends that are none. What another server passes on is not put right: it has been
/// read by that server already, and read otherwise.
fn line_ends(table: &mut Table<'_, '_>, role: Option<Role>) -> LineEnds {
    let line = table.line_of("line_ends");
    let words = [LineEnds::Strict, LineEnds::Normalise].map(|line_ends| (line_ends.name(), line_ends));
    let line_ends = table.optional("line_ends", |written| value::one_of(written, words)).unwrap_or_default();
    let from_programs = match role {
        Some(Role::Submission | Role::Submissions | Role::Legacy) | None => true,
        Some(Role::Relay) => false,
    };
    if line_ends == LineEnds::Normalise && !from_programs {
        let text =
            "\"normalise\" is for programs that submit: another server's line ends are refused when they are none";
        table.mistake(line, "line_ends", text);
    }
    line_ends
}

/// Whether the second of two binds would fail: one port, and an address that is the other's or stands for it too.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let takes = |all: IpAddr, of: IpAddr| all == of || stands_for_all(all, of);
    one.port() == other.port() && (takes(one.ip(), other.ip()) || takes(other.ip(), one.ip()))
}

/// Whether a bind is to every address of the kind that this one is of.
pub fn stands_for_all(bind: IpAddr, of: IpAddr) -> bool {
    // On Linux `[::]` takes the port on IPv4 as well, unless told otherwise.
    bind.is_unspecified() && (bind.is_ipv6() || of.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_all_takes_the_port_of_each() {
        let collide = |one: &str, other: &str| collide(one.parse().unwrap(), other.parse().unwrap());
        for (one, other) in [
            ("127.0.0.1:25", "127.0.0.1:25"),
            ("0.0.0.0:25", "10.0.0.1:25"),
            ("10.0.0.1:25", "[::]:25"),
            ("[::]:25", "0.0.0.0:25"),
            ("[::1]:25", "[::]:25"),
        ] {
            assert!(collide(one, other), "{one} {other}");
        }
        for (one, other) in [("127.0.0.1:25", "127.0.0.2:25"), ("0.0.0.0:25", "0.0.0.0:26"), ("0.0.0.0:25", "[::1]:25")]
        {
            assert!(!collide(one, other), "{one} {other}");
        }
    }
}
