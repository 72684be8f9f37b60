//! The relays under test, each in a folder and a control group of its own: Sealpost, and a Postfix instance with the
//! same durability, AUTH and TLS demands. Only processes that were started here are ended.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use nix::unistd::{User, chown};

use crate::meter::Group;
use crate::world::authority::Authority;
use crate::world::daemon::{Daemon, ended, free_address};
use crate::world::{Result, until};

pub const LOGIN: &str = "load";
pub const PASSWORD: &str = "invented-for-the-benchmark";
const COMMAND: Duration = Duration::from_secs(60);

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
    Postfix(PathBuf),
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
            What::Postfix(etc) => command(postfix_command(&etc, "stop")),
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
    let etc = folder.join("etc");
    for part in ["etc/sasl", "spool", "data", "log"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let user = User::from_name("postfix")?.ok_or("Postfix is not installed")?;
    chown(&folder.join("data"), Some(user.uid), Some(user.gid))?;
    for file in ["postfix-files", "dynamicmaps.cf"] {
        let found = ["/etc/postfix", "/usr/share/postfix"].map(|place| Path::new(place).join(file));
        let found = found.iter().find(|path| path.exists()).ok_or_else(|| format!("Postfix has no {file}"))?;
        fs::copy(found, etc.join(file))?;
    }
    // Debian keeps maps in packages of their own; what is named there is loaded from there.
    fs::create_dir_all(etc.join("dynamicmaps.cf.d"))?;
    let identity = place.authority.issue("relay.clinic.example", crate::world::authority::Kind::Valid)?;
    let (chain, key) = identity.write(&etc, "relay")?;
    fs::write(etc.join("main.cf"), main_cf(folder, place, (&chain, &key)))?;
    fs::write(etc.join("master.cf"), master_cf(address))?;
    let users = folder.join("sasldb2");
    fs::write(
        etc.join("sasl/smtpd.conf"),
        format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\nsasldb_path: {}\n",
            users.display()
        ),
    )?;
    add_user(&users)?;
    chown(&users, Some(user.uid), Some(user.gid))?;
    let group = Group::new("postfix")?;
    let entrance = group.entrance();
    let mut start = Command::new(&entrance[0]);
    start.args(&entrance[1..]).args(["postfix", "-c"]).arg(&etc).arg("start");
    command(start)?;
    Ok(Running { address, group: Some(group), what: What::Postfix(etc) })
}

fn add_user(users: &Path) -> Result<()> {
    let mut add = Command::new("sh");
    let script = r#"printf %s "$1" | saslpasswd2 -p -c -f "$2" -u relay.clinic.example "$3""#;
    add.args(["-c", script, "sh", PASSWORD]).arg(users).arg(LOGIN);
    command(add).map_err(|error| format!("AUTH for Postfix needs sasl2-bin and libsasl2-modules: {error}").into())
}

fn postfix_command(etc: &Path, verb: &str) -> Command {
    let mut command = Command::new("postfix");
    command.arg("-c").arg(etc).arg(verb);
    command
}

/// Runs to a good end. Postfix's master keeps inherited files open, so output goes nowhere rather than to a pipe.
fn command(mut command: Command) -> Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status = ended(&mut child, COMMAND)?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

/// Postfix as an experienced hand would set it up for this load: no artificial delays, enough processes, twenty
/// connections to the next hop, and TLS connections that are used again.
fn main_cf(folder: &Path, place: &Place, (chain, key): (&Path, &Path)) -> String {
    let sink = format!("[{}]:{}", place.sink.ip(), place.sink.port());
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file = {folder}/log/maillog
maillog_file_prefixes = {folder}
meta_directory = {folder}/etc
myhostname = relay.clinic.example
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
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
smtpd_tls_chain_files = {key}, {chain}
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/etc/sasl
smtpd_sasl_local_domain = relay.clinic.example
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = sink.example
smtp_tls_CAfile = {ca}
smtp_tls_connection_reuse = yes
",
        folder = folder.display(),
        chain = chain.display(),
        key = key.display(),
        ca = place.ca.display(),
    )
}

fn master_cf(address: SocketAddr) -> String {
    let services = [
        "pickup unix n - n 60 1 pickup",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "verify unix - - n - 1 verify",
        "flush unix n - n 1000? 0 flush",
        "proxymap unix - - n - - proxymap",
        "smtp unix - - n - - smtp",
        "relay unix - - n - - smtp",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "anvil unix - - n - 1 anvil",
        "scache unix - - n - 1 scache",
        "tlsproxy unix - - n - 0 tlsproxy",
        "postlog unix-dgram n - n - 1 postlogd",
    ];
    format!("{address} inet n - n - - smtpd\n{}\n", services.join("\n"))
}
