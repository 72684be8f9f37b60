//! `[server]`, `[notify]`, `[http]` and `[log]`: who this machine is, and whom it tells.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::config::listener::{Listener, collide};
use crate::config::reader::Table;
use crate::config::value;
use crate::mail::{Address, Domain};

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// The name in the greeting, in EHLO and in trace headers.
    pub hostname: Domain,
    pub data_dir: PathBuf,
    /// Where the master key is when it is neither a systemd credential nor in the environment.
    pub master_key: PathBuf,
    /// What the links in our notices begin with, without the slash at the end.
    pub public_url: Option<String>,
}

impl Server {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Server> {
        let data_dir = table.setting("data_dir", value::path);
        let master_key = table.setting("master_key", value::path);
        let public_url = table.optional("public_url", public_url);
        let hostname = table.required("hostname", value::domain)?;
        Some(Server { hostname, data_dir, master_key, public_url })
    }
}

/// Whoever reads a link on its way can take a message back, so it goes over TLS; on this machine itself it need not.
fn public_url(written: &DeValue<'_>) -> Result<String, String> {
    const WRONG: &str = "write where people reach this machine, as in \"https://mail.clinic.example\"";
    let url = value::text(written)?;
    let url = url.strip_suffix('/').unwrap_or(&url);
    let (scheme, rest) = url.split_once("://").ok_or(WRONG)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]/".contains(&byte);
    if rest.is_empty() || !rest.bytes().all(plain) {
        return Err(WRONG.into());
    }
    let authority = rest.split('/').next().unwrap_or(rest);
    let here = authority.parse::<SocketAddr>().is_ok_and(|socket| socket.ip().is_loopback());
    match scheme {
        "https" => Ok(url.to_owned()),
        "http" if here => Ok(url.to_owned()),
        "http" => Err("write https: who reads such a link on its way can take messages back".into()),
        _ => Err(WRONG.into()),
    }
}

/// `[notify]`
#[derive(Clone, Debug)]
pub struct Notify {
    /// Who is told of holds, expiries and failed checks, and gets the daily digest.
    pub postmaster: Address,
    /// From: of what we write ourselves; default `postmaster@` the host name.
    pub from: Address,
    /// Local hour (UTC) of the daily digest, 0 to 23.
    pub digest_hour: u8,
}

impl Notify {
    pub(super) fn read(table: &mut Table<'_, '_>, hostname: Option<&Domain>) -> Option<Notify> {
        let digest_hour = table.setting("digest_hour", value::hour);
        let from = table.optional("from", value::address);
        let postmaster = table.required("postmaster", value::address)?;
        let from = from.or_else(|| Address::parse(&format!("postmaster@{}", hostname?)).ok())?;
        Some(Notify { postmaster, from, digest_hour })
    }
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub bind: Option<SocketAddr>,
    /// Where the page is served on which a sender takes a message back.
    pub public_bind: Option<SocketAddr>,
}

impl Http {
    pub(super) fn read(table: &mut Table<'_, '_>, listeners: &[Listener]) -> Http {
        let line = table.line_of("bind");
        let bind = table.setting("bind", value::socket_or_off);
        if bind.is_some_and(|bind| listeners.iter().any(|listener| collide(bind, listener.bind))) {
            table.mistake(line, "bind", "a listener has this port already: give one of them another");
        }
        let line = table.line_of("public_bind");
        let public_bind = table.setting("public_bind", value::socket_or_off);
        let taken = |public: SocketAddr| {
            bind.is_some_and(|bind| collide(public, bind))
                || listeners.iter().any(|listener| collide(public, listener.bind))
        };
        if public_bind.is_some_and(taken) {
            table.mistake(line, "public_bind", "something else has this port already: give one of them another");
        }
        Http { bind, public_bind }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// A `tracing` filter, such as `info` or `sealpost::delivery=debug,info`.
    pub filter: String,
}

impl Log {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Log {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        Log {
            format: table.setting("format", |written| value::one_of(written, formats)),
            filter: table.setting("filter", value::text),
        }
    }
}
