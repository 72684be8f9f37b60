//! The servers that are compared: each started in a folder of its own, on addresses of its own, as a submission server
//! whose next hop is the runner's.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::conformance::inbox::Inbox;
use crate::conformance::sealpost;
use crate::conformance::small::{Manners, Set, Small};
use crate::conformance::target::{Begun, Login, Target};
use crate::world::authority::{Authority, Kind, credulous_client};
use crate::world::daemon::{Daemon, HOSTNAME, ended, free_address};
use crate::world::postfix::{Postfix, Wanted, run};
use crate::world::{Result, until};

const LOGIN: &str = "ehr";
const PASSWORD: &str = "only-for-the-comparison";
pub const AIOSMTPD: &str = "aiosmtpd==1.4.6";
/// The packages of aiosmtpd may have to be fetched.
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
    Postfix(Postfix),
    Process(Child),
}

impl Drop for Running {
    fn drop(&mut self) {
        // After an error, nothing more can be done than to try.
        match &mut self.what {
            What::Sealpost(daemon) => drop(daemon.stop()),
            What::Postfix(postfix) => drop(postfix.stop()),
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
    let mut daemon = sealpost::sealpost(&sealpost::Wanted {
        folder: &place.folder.join("clinic"),
        ports: [place.address, place.implicit],
        sink: place.sink,
        sink_ca: &place.sink_ca,
        user: LOGIN,
        password: PASSWORD,
    })?;
    daemon.start()?;
    Ok(What::Sealpost(Box::new(daemon)))
}

fn postfix(place: &Place, variant: &str) -> Result<What> {
    let Place { folder, chain, key, .. } = place;
    let postfix = Postfix::furnish(&Wanted {
        folder,
        name: HOSTNAME,
        chain,
        key,
        user: LOGIN,
        password: PASSWORD,
        mechanisms: "PLAIN LOGIN",
        main: &format!("{}{variant}", main_cf(place.sink)),
        ports: &[place.address.to_string(), format!("{} -o smtpd_tls_wrappermode=yes", place.implicit)],
    })?;
    let senders = format!("/@clinic\\.example$/ {LOGIN}@{HOSTNAME}\n/^<?>?$/ {LOGIN}@{HOSTNAME}\n");
    fs::write(postfix.path("etc/senders"), senders)?;
    postfix.start(&[])?;
    Ok(What::Postfix(postfix))
}

/// Nobody is trusted for the network that it comes from, and everything goes to the runner; the rest is as it comes.
fn main_cf(sink: SocketAddr) -> String {
    format!(
        "inet_interfaces = 127.0.0.1
relayhost = [{}]:{}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_tls_security_level = may
smtp_tls_security_level = may
",
        sink.ip(),
        sink.port(),
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

fn aiosmtpd(place: &Place) -> Result<What> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/conformance-venv");
    if !venv.join("bin/python").exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&venv);
        run(make, COMMAND)?;
    }
    let mut install = Command::new(venv.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", AIOSMTPD]);
    run(install, COMMAND)?;
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
