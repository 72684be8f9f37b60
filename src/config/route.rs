//! `[[route]]`: where mail for some domains goes, instead of to their MX.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::config::Certificate;
use crate::config::reader::{Absent, Seen, Table};
use crate::config::value;
use crate::mail::{Assurance, Domain};

/// What lies behind a smarthost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Onward {
    /// It is the recipients' own server.
    Final,
    /// It relays on, and enforces TLS at our floor when it does.
    Enforced,
    /// Not known: carries notices and end-to-end sealed mail only.
    #[default]
    Unknown,
}

/// `[[route]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `lab.example`, `*.lab.example`, `*`.
    pub domains: Vec<String>,
    pub host: String,
    pub port: u16,
    /// The name that the certificate must carry.
    pub name: Domain,
    pub tls: Assurance,
    pub ca_file: Option<PathBuf>,
    pub onward: Onward,
    pub login: Option<RouteLogin>,
    /// Shown to this next hop alone.
    pub client_certificate: Option<Certificate>,
}

/// Whom we log in as at a next hop. The password stands in a file of its own: a config is kept as evidence.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RouteLogin {
    pub name: String,
    pub password_file: PathBuf,
}

/// A next hop as it is written: the port is 25 where there is none.
struct NextHop {
    host: String,
    port: u16,
    /// Absent for an address, which no public certificate carries.
    name: Option<Domain>,
}

pub(super) fn read_all(root: &mut Table<'_, '_>) -> Vec<Route> {
    let mut covered = Seen::default();
    root.tables("route", |table| {
        let domains = domains(table, &mut covered);
        let next_hop = table.required("host", next_hop);
        let name_line = table.line_of("name");
        let name_given = table.has("name");
        let name = table.optional("name", value::domain);
        let tls_line = table.line_of("tls");
        let tls = table.setting("tls", |written| tls(written).map(Some));
        let ca_file = table.optional("ca_file", value::path);
        let onward = table.setting("onward", onward);
        let login = login(table);
        let client_certificate = client_certificate(table);
        let (NextHop { host, port, name: own }, tls) = (next_hop?, tls?);
        if own.is_none() && !name_given && tls > Assurance::Encrypted {
            let text =
                "is missing: write the name that the certificate of this address carries, or tls = \"encrypted\"";
            table.mistake(name_line, "name", text);
        }
        let proves = login.is_some() || client_certificate.is_some();
        if proves && tls == Assurance::Encrypted {
            let text =
                "write \"valid\" or \"authenticated\": we prove who we are only to a host that has proved it first";
            table.mistake(tls_line, "tls", text);
        }
        let name = name.or(own).or_else(|| Domain::parse(&literal(&host)).ok())?;
        Some(Route { domains, host, port, name, tls, ca_file, onward, login, client_certificate })
    })
}

/// One without the other is a mistake.
fn login(table: &mut Table<'_, '_>) -> Option<RouteLogin> {
    let written = ["login", "password_file"].map(|key| (key, table.has(key), table.line_of(key)));
    let name = table.optional("login", login_name);
    let password_file = table.optional("password_file", value::path);
    if let [(key, true, line), (other, false, _)] | [(other, false, _), (key, true, line)] = written {
        table.mistake(line, key, format!("stands alone: write {other} beside it"));
    }
    Some(RouteLogin { name: name?, password_file: password_file? })
}

fn login_name(written: &DeValue<'_>) -> Result<String, String> {
    value::text(written).and_then(|name| match name.len() {
        0..=255 => Ok(name),
        _ => Err("write at most 255 octets".into()),
    })
}

fn client_certificate(table: &mut Table<'_, '_>) -> Option<Certificate> {
    let given = table.has("client_certificate");
    table.table("client_certificate", |inner| {
        if !given {
            return None;
        }
        let chain = inner.required("chain", value::path);
        let key = inner.required("key", value::path);
        Some(Certificate { chain: chain?, key: key? })
    })
}

/// The patterns of one route; one that an earlier route has is a mistake, since only one of them could ever be used.
fn domains(table: &mut Table<'_, '_>, covered: &mut Seen) -> Vec<String> {
    let given = table.filled("domains", Absent::Mistake, value::domain_pattern);
    for domain in &given {
        if let Some(first) = covered.earlier(&domain.value, domain.line) {
            let text = format!("{} goes elsewhere by line {first} already: leave it in one route", domain.value);
            table.mistake(domain.line, "domains", text);
        }
    }
    given.into_iter().map(|domain| domain.value).collect()
}

fn next_hop(written: &DeValue<'_>) -> Result<NextHop, String> {
    let wanted = "write a host with or without a port, as in \"mx.lab.example\", \"10.0.0.9:2525\" or \"[::1]:25\"";
    let text = value::text(written)?;
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(NextHop { host: address.to_string(), port: 25, name: None });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or(wanted)?),
        None => (text.as_str(), 25),
    };
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(NextHop { host: address.to_string(), port, name: None });
    }
    let name = Domain::parse(host).ok().filter(|name| name.literal().is_none()).ok_or(wanted)?;
    Ok(NextHop { host: name.to_string(), port, name: Some(name) })
}

fn literal(host: &str) -> String {
    if host.contains(':') { format!("[IPv6:{host}]") } else { format!("[{host}]") }
}

fn tls(written: &DeValue<'_>) -> Result<Assurance, String> {
    value::one_of(written, Assurance::ALL.map(|level| (level.name(), level)))
}

fn onward(written: &DeValue<'_>) -> Result<Onward, String> {
    let words = [("final", Onward::Final), ("enforced", Onward::Enforced), ("unknown", Onward::Unknown)];
    value::one_of(written, words)
}

/// The name may be somebody's mail address.
impl fmt::Debug for RouteLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteLogin").field("password_file", &self.password_file).finish_non_exhaustive()
    }
}
