//! The relays under test, each in a folder and a control group of its own: Sealpost, and a Postfix instance with the
//! same durability, AUTH and TLS demands. Only processes that were started here are ended.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use crate::meter::Group;
use crate::world::authority::{Authority, Kind};
use crate::world::daemon::{Daemon, HOSTNAME, free_address};
use crate::world::postfix::{Postfix, Wanted};
use crate::world::{Result, until};

pub const LOGIN: &str = "load";
pub const PASSWORD: &str = "invented-for-the-benchmark";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Relay {
    Sealpost,
    Postfix,
    /// Source to sink, without a relay: what the harness itself costs.
    Direct,
}

impl Relay {
    pub const fn name(self) -> &'static str {
        match self {
            Relay::Sealpost => "Sealpost",
            Relay::Postfix => "Postfix",
            Relay::Direct => "no relay",
        }
    }
}

/// What the relays are given.
#[derive(Debug)]
pub struct Place {
    pub folder: PathBuf,
    pub sink: SocketAddr,
    /// The authority of the sink's certificate.
    pub ca: PathBuf,
    pub authority: Authority,
    pub sealpost: PathBuf,
}

/// A relay that runs; dropped, it is ended.
#[derive(Debug)]
pub struct Running {
    pub address: SocketAddr,
    pub group: Option<Group>,
    what: What,
}

#[derive(Debug)]
enum What {
    Sealpost(Box<Daemon>),
    Postfix(Postfix),
    Direct,
}

impl Drop for Running {
    fn drop(&mut self) {
        // After an error, nothing more can be done than to try.
        self.end().ok();
    }
}

impl Running {
    pub async fn start(relay: Relay, place: &Place) -> Result<Running> {
        let folder = place.folder.join(relay.name());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let running = match relay {
            Relay::Direct => Running { address: place.sink, group: None, what: What::Direct },
            Relay::Sealpost => sealpost(&folder, place)?,
            Relay::Postfix => postfix(&folder, place)?,
        };
        let listens = || std::net::TcpStream::connect(running.address).is_ok().then_some(());
        until("the relay's port", Duration::from_secs(30), listens).await?;
        Ok(running)
    }

    /// Ends the relay and waits until its group is empty.
    pub async fn stop(mut self) -> Result<()> {
        self.end()?;
        let Some(group) = &self.group else { return Ok(()) };
        until("the end of the relay", Duration::from_secs(20), || group.is_empty().then_some(())).await
    }

    fn end(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.what, What::Direct) {
            What::Sealpost(mut daemon) => daemon.stop().map(|_| ()),
            What::Postfix(postfix) => postfix.stop(),
            What::Direct => Ok(()),
        }
    }
}

fn sealpost(folder: &Path, place: &Place) -> Result<Running> {
    let (address, http) = (free_address()?, free_address()?);
    let mut daemon = Daemon::init(&place.sealpost, folder)?;
    let hash = sealpost::crypto::hash_password(PASSWORD)?;
    let (sink, ca) = (place.sink, place.ca.display());
    daemon.configure(&format!(
        r#"
[[listener]]
role = "submission"
bind = "{address}"
[[client]]
name = "load"
login = "{LOGIN}"
password_hash = "{hash}"
senders = ["*@clinic.example"]
[[route]]
domains = ["sink.example"]
host = "{sink}"
name = "sink.example"
tls = "valid"
ca_file = "{ca}"
onward = "final"
[limits]
connections = 400
connections_per_address = 400
[delivery]
connections_per_destination = 20
[retention]
sweep = "5s"
[http]
bind = "{http}"
"#
    ))?;
    let group = Group::new("sealpost")?;
    daemon.through = group.entrance();
    daemon.start()?;
    Ok(Running { address, group: Some(group), what: What::Sealpost(Box::new(daemon)) })
}

fn postfix(folder: &Path, place: &Place) -> Result<Running> {
    let address = free_address()?;
    fs::create_dir_all(folder)?;
    let (chain, key) = place.authority.issue(HOSTNAME, Kind::Valid)?.write(folder, "relay")?;
    let postfix = Postfix::furnish(&Wanted {
        folder,
        name: HOSTNAME,
        chain: &chain,
        key: &key,
        user: LOGIN,
        password: PASSWORD,
        mechanisms: "PLAIN",
        main: &main_cf(place),
        ports: &[address.to_string()],
    })?;
    let group = Group::new("postfix")?;
    postfix.start(&group.entrance())?;
    Ok(Running { address, group: Some(group), what: What::Postfix(postfix) })
}

/// Postfix as an experienced hand would set it up for this load: no artificial delays, enough processes, twenty
/// connections to the next hop, and TLS connections that are used again.
fn main_cf(place: &Place) -> String {
    format!(
        "inet_interfaces = 127.0.0.1
local_recipient_maps =
relayhost = {sink}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
message_size_limit = 52428800
mailbox_size_limit = 0
in_flow_delay = 0
default_process_limit = 300
smtpd_client_connection_count_limit = 0
default_destination_concurrency_limit = 20
initial_destination_concurrency = 20
smtp_connection_cache_destinations = {sink}
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = sink.example
smtp_tls_CAfile = {ca}
smtp_tls_connection_reuse = yes
",
        sink = format_args!("[{}]:{}", place.sink.ip(), place.sink.port()),
        ca = place.ca.display(),
    )
}
