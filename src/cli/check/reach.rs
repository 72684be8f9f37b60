//! What is reached, and from where: our ports, the resolver, the database, and port 25 of others.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tokio::net::TcpStream;

use crate::cli::check::{Answer, Finding, Subject};
use crate::config::Config;
use crate::mail::Domain;

const CONNECT: Duration = Duration::from_secs(5);

pub(super) fn ports(config: &Config) -> Vec<Finding> {
    let serving = is_serving(&config.server.data_dir);
    let listeners = config.listeners.iter().map(|listener| (listener.role().name(), listener.bind));
    let all = listeners.chain(config.http.bind.map(|bind| ("http", bind)));
    all.map(|(role, bind)| port(role, bind, serving)).collect()
}

fn port(role: &str, bind: SocketAddr, serving: Serving) -> Finding {
    let what = format!("port {bind} ({role})");
    let Err(error) = TcpListener::bind(bind) else { return Finding::ok(what, "free") };
    match (error.kind(), serving) {
        (ErrorKind::AddrInUse, Serving::Yes) => Finding::ok(what, "taken, and Sealpost is running here"),
        (ErrorKind::AddrInUse, Serving::No) => {
            let advice = format!("see who has it: ss -ltnp sport = :{}; stop that, or bind another", bind.port());
            Finding::fail(what, "another program has it", advice)
        }
        (ErrorKind::PermissionDenied, _) => Finding::fail(
            what,
            "this user may not bind a port below 1024",
            "start it by systemd, whose unit may (CAP_NET_BIND_SERVICE), or bind 2587 or 2465",
        ),
        (ErrorKind::AddrNotAvailable, _) => {
            Finding::fail(what, "this machine has no such address", "bind one that `ip address` shows, or 0.0.0.0")
        }
        (_, _) => Finding::fail(what, error.to_string(), "bind another address or port"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serving {
    Yes,
    No,
}

/// The daemon holds this lock for as long as it runs. A shared lock, given back at once, does not disturb it.
pub(super) fn is_serving(data_dir: &Path) -> Serving {
    let Ok(file) = File::open(data_dir.join("lock")) else { return Serving::No };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Serving::Yes,
        Ok(_) | Err(_) => Serving::No,
    }
}

pub(super) async fn names(config: &Config, resolve: &impl AsyncFn(&Domain) -> Answer) -> Vec<Finding> {
    let hostname = &config.server.hostname;
    let what = format!("host name {hostname}");
    if hostname.literal().is_some() {
        let advice = "give the machine a name in DNS: many partners refuse mail from a bare address";
        return vec![Finding::warn(what, "an address, not a name", advice)];
    }
    match resolve(hostname).await {
        Answer::Addresses(addresses) => {
            let list: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
            vec![Finding::ok("resolver", "answers"), Finding::ok(what, format!("resolves to {}", list.join(", ")))]
        }
        Answer::Nothing => vec![
            Finding::ok("resolver", "answers"),
            Finding::warn(
                what,
                "does not resolve",
                "add an A or AAAA record, and the reverse one: senders connect by it, and partners look it up",
            ),
        ],
        Answer::Silence => vec![Finding::fail(
            "resolver",
            "gives no answer",
            "see [dns] servers, or /etc/resolv.conf, and whether port 53 is open: no partner can be found without it",
        )],
    }
}

pub(super) async fn database(config: &Config, resolve: &impl AsyncFn(&Domain) -> Answer) -> Finding {
    let Some((host, port)) = server_of(&config.database.url) else {
        return Finding::ok("database", "SQLite, in the data directory");
    };
    match connect(&host, port, resolve).await {
        Ok(()) => Finding::ok("database", format!("{host} port {port} takes connections")),
        Err(found) => Finding::fail(
            "database",
            format!("{host} port {port}: {found}"),
            "see [database] url, and whether PostgreSQL runs there and lets this machine in (listen_addresses, pg_hba.conf)",
        ),
    }
}

/// The host and port of a `postgres://` url, by TCP; none for SQLite.
fn server_of(url: &str) -> Option<(String, u16)> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    let server = if server.is_empty() { "localhost" } else { server };
    Some(host_and_port(server, 5432))
}

/// Port 25 is tried only where the config sends mail by name, or where the operator asked.
pub(super) async fn outgoing(subject: &Subject<'_>, resolve: &impl AsyncFn(&Domain) -> Answer) -> Vec<Finding> {
    let routes = subject.config.routes.iter().map(|route| (route.host.clone(), (route.host.clone(), route.port)));
    let targets = subject.targets.iter().map(|target| (target.clone(), host_and_port(target, 25)));
    let mut findings = Vec::new();
    for (shown, (host, port)) in routes.chain(targets) {
        let what = format!("outgoing mail to {shown}");
        findings.push(match connect(&host, port, resolve).await {
            Ok(()) => Finding::ok(what, format!("port {port} takes connections")),
            Err(found) => Finding::fail(
                what,
                format!("port {port}: {found}"),
                "open outgoing TCP to it in your firewall; where the provider blocks port 25, use a [[route]]",
            ),
        });
    }
    if findings.is_empty() {
        let advice = "name a partner's mail server to try it: sealpost check --target mx.partner.example";
        findings.push(Finding::warn("outgoing mail", "port 25 was not tried", advice));
    }
    findings
}

/// Connects to the first address that answers, and says nothing.
async fn connect(host: &str, port: u16, resolve: &impl AsyncFn(&Domain) -> Answer) -> Result<(), String> {
    let addresses = match (host, host.parse()) {
        (_, Ok(address)) => vec![address],
        ("localhost", _) => vec![IpAddr::from([127, 0, 0, 1])],
        (_, Err(_)) => {
            let name = Domain::parse(host).map_err(|bad| bad.to_string())?;
            match resolve(&name).await {
                Answer::Addresses(addresses) => addresses,
                Answer::Nothing => return Err("the name does not resolve".into()),
                Answer::Silence => return Err("the resolver gives no answer".into()),
            }
        }
    };
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect((address, port))).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no answer within {} s", CONNECT.as_secs()),
        }
    }
    Err(last)
}

/// `mx.lab.example`, `127.0.0.1:2525`, `[::1]:25`, `::1`.
fn host_and_port(text: &str, default: u16) -> (String, u16) {
    let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
    if bare(text).parse::<IpAddr>().is_ok() {
        return (bare(text), default);
    }
    match text.rsplit_once(':').map(|(host, port)| (bare(host), port.parse())) {
        Some((host, Ok(port))) => (host, port),
        Some((_, Err(_))) | None => (text.to_owned(), default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_with_and_without_its_port() {
        for (text, host, port) in [
            ("mx.lab.example", "mx.lab.example", 25),
            ("mx.lab.example:2525", "mx.lab.example", 2525),
            ("127.0.0.1:26", "127.0.0.1", 26),
            ("[::1]:26", "::1", 26),
            ("::1", "::1", 25),
        ] {
            assert_eq!(host_and_port(text, 25), (host.to_owned(), port), "{text}");
        }
    }

    #[test]
    fn the_database_server_is_read_without_its_password() {
        let server = |url| server_of(url);
        assert_eq!(server("sqlite"), None);
        assert_eq!(server("postgres://u:p@ss@db.example/x"), Some(("db.example".to_owned(), 5432)));
        assert_eq!(server("postgres://u:p@[::1]:5433/x?sslmode=disable"), Some(("::1".to_owned(), 5433)));
        assert_eq!(server("postgres:///x"), Some(("localhost".to_owned(), 5432)));
    }
}
