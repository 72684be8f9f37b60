//! `[[listener]]` and `[tls]`: the doors, and the certificates that they show.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::reader::Table;
use crate::config::value;
use crate::mail::{LineEnds, Role};

/// `[tls]`
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificates: Vec<Certificate>,
    /// The authorities whose client certificates are judged by the names in them.
    pub client_ca_file: Option<PathBuf>,
}

/// `[[tls.certificate]]`
#[derive(Clone, Debug)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// `[[listener]]`
#[derive(Clone, Debug)]
pub struct Listener {
    pub role: Role,
    pub bind: SocketAddr,
    pub line_ends: LineEnds,
}

impl Listener {
    /// With nothing written but what must be.
    pub fn new(role: Role, bind: SocketAddr) -> Listener {
        Listener { role, bind, line_ends: LineEnds::Strict }
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

pub(super) fn read_all(root: &mut Table<'_, '_>) -> Vec<Listener> {
    let (line, before) = (root.line_of("listener"), root.mistakes());
    let roles = [Role::Submission, Role::Submissions].map(|role| (role.name(), role));
    let mut bound: Vec<(SocketAddr, usize)> = Vec::new();
    let listeners = root.tables("listener", |table| {
        let line = table.line_of("bind");
        let role = table.required("role", |written| value::one_of(written, roles));
        let bind = table.required("bind", value::socket)?;
        if let Some((_, first)) = bound.iter().find(|(other, _)| collide(bind, *other)) {
            let text = format!("the listener on line {first} has this port already: give one of them another");
            table.mistake(line, "bind", text);
        }
        bound.push((bind, line));
        let line_ends = line_ends(table, role);
        Some(Listener { role: role?, bind, line_ends })
    });
    if listeners.is_empty() && root.mistakes() == before {
        let text = "is missing: write [[listener]] with role = \"submission\" and bind = \"0.0.0.0:587\"";
        root.mistake(line, "listener", text);
    }
    listeners
}

/// Programs of one's own may send line ends that are none. What another server passes on is not put right: it has been
/// read by that server already, and read otherwise.
fn line_ends(table: &mut Table<'_, '_>, role: Option<Role>) -> LineEnds {
    let line = table.line_of("line_ends");
    let words = [LineEnds::Strict, LineEnds::Normalise].map(|line_ends| (line_ends.name(), line_ends));
    let line_ends = table.optional("line_ends", |written| value::one_of(written, words)).unwrap_or_default();
    let from_programs = match role {
        Some(Role::Submission | Role::Submissions) | None => true,
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
    // On Linux `[::]` takes the port on IPv4 as well, unless told otherwise.
    let takes = |all: SocketAddr, of: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || of.is_ipv4());
    one.port() == other.port() && (one.ip() == other.ip() || takes(one, other) || takes(other, one))
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
