//! The servers that are compared: each started in a folder of its own, on addresses of its own, as a submission server
//! whose next hop is the runner's.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use crate::conformance::inbox::Inbox;
use crate::conformance::may_send_as_nobody;
use crate::conformance::small::{Manners, Set, Small};
use crate::conformance::target::{Begun, Login, Target};
use crate::world::authority::{Authority, Kind, credulous_client};
use crate::world::daemon::{Daemon, HOSTNAME, binary, ended, free_address};
use crate::world::{Result, until};

const LOGIN: &str = "ehr";
const PASSWORD: &str = "only-for-the-comparison";
pub const AIOSMTPD: &str = "aiosmtpd==1.4.6";
/// Postfix's own part of a run; packages may have to be fetched for aiosmtpd.
const COMMAND: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Sealpost,
    /// As Debian ships it, with TLS and SASL turned on.
    PostfixStock,
    /// With what its documentation recommends against abuse.
    PostfixHardened,
    Aiosmtpd,
}

pub const ALL: [Server; 4] = [Server::Sealpost, Server::PostfixStock, Server::PostfixHardened, Server::Aiosmtpd];

impl Server {
    pub fn name(self) -> &'static str {
        match self {
            Server::Sealpost => "Sealpost",
            Server::PostfixStock => "Postfix, stock",
            Server::PostfixHardened => "Postfix, hardened",
            Server::Aiosmtpd => "aiosmtpd",
        }
    }
}

/// A server that runs; dropped, it is ended.
#[derive(Debug)]
pub struct Running {
    pub target: std::sync::Arc<Target>,
    what: What,
    _sink: Small,
}

#[derive(Debug)]
enum What {
    Sealpost(Box<Daemon>),
    Postfix(PathBuf),
    Process(Child),
}

impl Drop for Running {
    fn drop(&mut self) {
        // After an error, nothing more can be done than to try.
        match &mut self.what {
            What::Sealpost(daemon) => drop(daemon.stop()),
            What::Postfix(etc) => drop(command(postfix_command(etc, "stop"))),
            What::Process(child) => {
                if let Ok(id) = i32::try_from(child.id()) {
                    kill(Pid::from_raw(id), Signal::SIGTERM).ok();
                }
                ended(child, Duration::from_secs(10)).ok();
            }
        }
    }
}

/// What each server is given.
struct Place {
    folder: PathBuf,
    address: SocketAddr,
    implicit: SocketAddr,
    sink: SocketAddr,
    chain: PathBuf,
    key: PathBuf,
    sink_ca: PathBuf,
}

pub async fn start(server: Server, home: &Path) -> Result<Running> {
    let folder = home.join(server.name().replace([',', ' '], ""));
    fs::create_dir_all(&folder)?;
    let authority = Authority::new("Comparison CA")?;
    let sink_ca = folder.join("sink-ca.pem");
    fs::write(&sink_ca, &authority.pem)?;
    let inbox = Inbox::default();
    let tls = authority.issue("mx.lab.example", Kind::Valid)?.server;
    let set = Set { manners: Manners::Good, tls, inbox: inbox.clone(), begun: Begun::default() };
    let sink = Small::start(free_address()?.ip(), 0, set).await?;
    let (chain, key) = authority.issue(HOSTNAME, Kind::Valid)?.write(&folder, "relay")?;
    let (address, implicit) = (free_address()?, free_address()?);
    let place = Place { folder, address, implicit, sink: sink.address, chain, key, sink_ca };
    let what = match server {
        Server::Sealpost => sealpost(&place)?,
        Server::PostfixStock => postfix(&place, STOCK)?,
        Server::PostfixHardened => postfix(&place, HARDENED)?,
        Server::Aiosmtpd => aiosmtpd(&place)?,
    };
    let target = Target {
        address,
        implicit: (server != Server::Aiosmtpd).then_some(implicit),
        name: HOSTNAME.to_owned(),
        tls: credulous_client()?,
        login: Some(Login { user: LOGIN.to_owned(), password: PASSWORD.to_owned() }),
        from: "ann@clinic.example".to_owned(),
        to: vec!["bob@lab.example".to_owned(), "cy@lab.example".to_owned()],
        inbox: Some(inbox),
        reply: Duration::from_secs(15),
        patience: None,
        begun: Begun::default(),
    };
    let running = Running { target: std::sync::Arc::new(target), what, _sink: sink };
    let listens = || std::net::TcpStream::connect(address).is_ok().then_some(());
    until("the server's port", Duration::from_secs(30), listens).await?;
    Ok(running)
}

fn sealpost(place: &Place) -> Result<What> {
    let mut daemon = Daemon::init(&binary()?, &place.folder.join("clinic"))?;
    daemon.configure(&format!(
        r#"
[[listener]]
role = "submission"
bind = "{}"
[[listener]]
role = "submissions"
bind = "{}"
[[route]]
domains = ["lab.example"]
host = "{}"
name = "mx.lab.example"
ca_file = "{}"
onward = "final"
[http]
bind = "off"
"#,
        place.address,
        place.implicit,
        place.sink,
        place.sink_ca.display()
    ))?;
    daemon.add_client(LOGIN, PASSWORD)?;
    may_send_as_nobody(&daemon.config)?;
    daemon.start()?;
    Ok(What::Sealpost(Box::new(daemon)))
}

fn postfix(place: &Place, variant: &str) -> Result<What> {
    let etc = place.folder.join("etc");
    for part in ["etc/sasl", "spool", "data", "log"] {
        fs::create_dir_all(place.folder.join(part))?;
    }
    let user = User::from_name("postfix")?.ok_or("Postfix is not installed")?;
    chown(place.folder.join("data"), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    for file in ["postfix-files", "dynamicmaps.cf"] {
        let found = ["/etc/postfix", "/usr/share/postfix"].map(|folder| Path::new(folder).join(file));
        let found = found.iter().find(|path| path.exists()).ok_or_else(|| format!("Postfix has no {file}"))?;
        fs::copy(found, etc.join(file))?;
    }
    fs::create_dir_all(etc.join("dynamicmaps.cf.d"))?;
    fs::write(etc.join("main.cf"), format!("{}{variant}", main_cf(place)))?;
    fs::write(etc.join("master.cf"), master_cf(place))?;
    fs::write(etc.join("senders"), format!("/@clinic\\.example$/ {LOGIN}@{HOSTNAME}\n/^<?>?$/ {LOGIN}@{HOSTNAME}\n"))?;
    let users = place.folder.join("sasldb2");
    let sasl = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\nsasldb_path: ";
    fs::write(etc.join("sasl/smtpd.conf"), format!("{sasl}{}\n", users.display()))?;
    let mut add = Command::new("sh");
    let script = r#"printf %s "$1" | saslpasswd2 -p -c -f "$2" -u relay.clinic.example "$3""#;
    add.args(["-c", script, "sh", PASSWORD]).arg(&users).arg(LOGIN);
    command(add)?;
    chown(&users, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    command(postfix_command(&etc, "start"))?;
    Ok(What::Postfix(etc))
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

/// Nobody is trusted for the network that it comes from, and everything goes to the runner; the rest is as it comes.
fn main_cf(place: &Place) -> String {
    let Place { folder, sink, chain, key, .. } = place;
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
alias_maps =
alias_database =
relayhost = [{ip}]:{port}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key}, {chain}
smtp_tls_security_level = may
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/etc/sasl
smtpd_sasl_local_domain = relay.clinic.example
",
        folder = folder.display(),
        ip = sink.ip(),
        port = sink.port(),
        chain = chain.display(),
        key = key.display(),
    )
}

/// Nothing beside what a submission server cannot do without.
const STOCK: &str = "";

const HARDENED: &str = "smtpd_tls_auth_only = yes
smtpd_tls_mandatory_protocols = >=TLSv1.2
smtpd_tls_protocols = >=TLSv1.2
smtpd_sasl_security_options = noanonymous
smtpd_helo_required = yes
disable_vrfy_command = yes
strict_rfc821_envelopes = yes
smtpd_forbid_unauth_pipelining = yes
smtpd_forbid_bare_newline = yes
smtpd_forbid_bare_newline_exclusions =
smtpd_data_restrictions = reject_unauth_pipelining
smtpd_sender_login_maps = regexp:${config_directory}/senders
smtpd_sender_restrictions = reject_sender_login_mismatch
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = reject_non_fqdn_recipient, permit_sasl_authenticated, reject
";

fn master_cf(place: &Place) -> String {
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
    format!(
        "{} inet n - n - - smtpd\n{} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n{}\n",
        place.address,
        place.implicit,
        services.join("\n")
    )
}

fn aiosmtpd(place: &Place) -> Result<What> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/conformance-venv");
    if !venv.join("bin/python").exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&venv);
        command(make)?;
    }
    let mut install = Command::new(venv.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", AIOSMTPD]);
    command(install)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/aiosmtpd_relay.py");
    let log = fs::File::create(place.folder.join("log"))?;
    let child = Command::new(venv.join("bin/python"))
        .arg(script)
        .args([place.address.ip().to_string(), place.address.port().to_string()])
        .args([place.sink.ip().to_string(), place.sink.port().to_string()])
        .args([&place.chain, &place.key])
        .args([LOGIN, PASSWORD])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(What::Process(child))
}
