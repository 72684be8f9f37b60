//! Plays the conformance suite against a mail server, or against several side by side. `make conformance` runs it.

#![allow(unreachable_pub, reason = "a program exports nothing")]

#[path = "mod.rs"]
mod conformance;
#[path = "../world/mod.rs"]
mod world;

mod page;
mod servers;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::conformance::case::{folder, read_all};
use crate::conformance::inbox::Inbox;
use crate::conformance::report;
use crate::conformance::small::{Manners, Set, Small};
use crate::conformance::target::{Begun, Login, Target};
use crate::world::Result;
use crate::world::authority::{Authority, Kind, credulous_client};

#[derive(Parser, Debug)]
#[command(about = "Plays the conformance suite of tests/dialogs against a mail server")]
struct Arguments {
    /// The server and its port that starts in clear, such as mx.example.org:587.
    #[arg(required_unless_present = "table")]
    target: Option<String>,
    /// Its port with TLS from the first octet.
    #[arg(long)]
    implicit: Option<String>,
    /// The login. The password is read from PASSWORD in the environment.
    #[arg(long)]
    user: Option<String>,
    /// The authority of its certificate, in PEM; without it any certificate is taken.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Whom the login may send as.
    #[arg(long, default_value = "ann@clinic.example")]
    from: String,
    /// One or two mailboxes that it takes mail for.
    #[arg(long, value_delimiter = ',', default_value = "bob@lab.example,cy@lab.example")]
    to: Vec<String>,
    /// Take what it delivers at this address. Route the domain of --to here first.
    #[arg(long)]
    sink: Option<SocketAddr>,
    /// How long to wait for a reply, in seconds.
    #[arg(long, default_value_t = 10)]
    wait: u64,
    /// Play the cases about slow clients too, and wait so many seconds.
    #[arg(long)]
    patience: Option<u64>,
    /// Cases at the same time.
    #[arg(long, default_value_t = 8)]
    at_once: usize,
    /// Only cases whose file or title has this.
    #[arg(long)]
    only: Option<String>,
    /// Every case with its dialog, as JSON.
    #[arg(long)]
    json: bool,
    /// Start Sealpost, Postfix and aiosmtpd on this machine, play all, and write docs/reference/conformance.md.
    #[arg(long)]
    table: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (&arguments.target, arguments.table) {
        (Some(target), false) => one(&arguments, target),
        _ => page::write(arguments.at_once),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn one(arguments: &Arguments, host: &str) -> Result<ExitCode> {
    let mut cases = read_all(&folder())?;
    if let Some(only) = &arguments.only {
        cases.retain(|case| case.file.contains(only) || case.title.contains(only));
    }
    let sink = sink(arguments.sink).await?;
    let target = target(arguments, host, sink.as_ref().map(|(_, inbox)| inbox.clone())).await?;
    let verdicts = conformance::run(&cases, &Arc::new(target), arguments.at_once).await?;
    let told = if arguments.json {
        serde_json::to_string_pretty(&report::json(&verdicts))? + "\n"
    } else {
        report::text(&verdicts)
    };
    std::io::stdout().write_all(told.as_bytes())?;
    Ok(if verdicts.iter().any(report::is_bad) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn sink(address: Option<SocketAddr>) -> Result<Option<(Small, Inbox)>> {
    let Some(address) = address else { return Ok(None) };
    let tls = Authority::new("Sink CA")?.issue("sink.example", Kind::Valid)?.server;
    let inbox = Inbox::default();
    let set = Set { manners: Manners::Good, tls, inbox: inbox.clone(), begun: Begun::default() };
    Ok(Some((Small::start(address.ip(), address.port(), set).await?, inbox)))
}

async fn target(arguments: &Arguments, host: &str, inbox: Option<Inbox>) -> Result<Target> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let implicit = match &arguments.implicit {
        Some(host) => Some(resolved(host).await?),
        None => None,
    };
    let login = match &arguments.user {
        Some(user) => {
            let password = std::env::var("PASSWORD").map_err(|_| "a login needs PASSWORD in the environment")?;
            Some(Login { user: user.clone(), password })
        }
        None => None,
    };
    Ok(Target {
        address: resolved(host).await?,
        implicit,
        name: name.to_owned(),
        tls: match &arguments.ca {
            Some(file) => trusting(file)?,
            None => credulous_client()?,
        },
        login,
        from: arguments.from.clone(),
        to: arguments.to.clone(),
        inbox,
        reply: Duration::from_secs(arguments.wait),
        patience: arguments.patience.map(Duration::from_secs),
        begun: Begun::default(),
    })
}

async fn resolved(host: &str) -> Result<SocketAddr> {
    tokio::net::lookup_host(host).await?.next().ok_or_else(|| format!("{host} has no address").into())
}

fn trusting(file: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
