//! `[[listener]]` and `[tls]`: the doors, and the certificates that they show.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::reader::Table;
use crate::config::value;
use crate::mail::Role;

/// `[tls]`
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificates: Vec<Certificate>,
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
}

impl Tls {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Tls {
        if !table.has("certificate") {
            let text = "is missing: write [[tls.certificate]] with chain and key, or let `sealpost init` make one";
            table.mistake(table.line, "certificate", text);
        }
        let certificates = table.tables("certificate", |table| {
            let chain = table.required("chain", value::path);
            let key = table.required("key", value::path);
            Some(Certificate { chain: chain?, key: key? })
        });
        Tls { certificates }
    }
}

pub(super) fn read_all(root: &mut Table<'_, '_>) -> Vec<Listener> {
    if !root.has("listener") {
        let text = "is missing: write [[listener]] with role = \"submission\" and bind = \"0.0.0.0:587\"";
        root.mistake(1, "listener", text);
    }
    let roles = [Role::Submission, Role::Submissions].map(|role| (role.name(), role));
    let mut bound: Vec<(SocketAddr, usize)> = Vec::new();
    root.tables("listener", |table| {
        let line = table.line_of("bind");
        let role = table.required("role", |written| value::one_of(written, roles));
        let bind = table.required("bind", value::socket)?;
        if let Some((_, first)) = bound.iter().find(|(other, _)| collide(bind, *other)) {
            let text = format!("the listener on line {first} has this port already: give one of them another");
            table.mistake(line, "bind", text);
        }
        bound.push((bind, line));
        Some(Listener { role: role?, bind })
    })
}

/// Whether the second of two binds would fail: one port, and one address or an address that stands for all.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (one.ip() == other.ip() || (all && one.is_ipv4() == other.is_ipv4()))
}
