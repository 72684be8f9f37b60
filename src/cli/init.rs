//! `sealpost init DIR`: a set-up that runs as it is, and what to do next, in plain words.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::output::{Failed, Format, print_json};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::{self, Certificate, Door, Listener, Mistake};
use crate::keyring::authority::{self, Authority};
use crate::keyring::certificate::{self, KeyMatch};
use crate::keyring::recovery::Code;
use crate::keyring::{KeyringError, master, recovery};
use crate::mail::{Address, BadDomain, Domain, Role};

/// What is typed behind `init`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder to make, as in /etc/sealpost
    folder: PathBuf,
    /// The name that clients connect to; default: the machine's full name
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Domain::parse(text))]
    hostname: Option<Domain>,
    /// Who is told of held mail and failed checks; default: postmaster at the host's domain
    #[arg(long, value_name = "ADDRESS", value_parser = |text: &str| Address::parse(text))]
    postmaster: Option<Address>,
    /// Where queue, evidence and log are kept; default: `data` in the folder
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A certificate chain of your own (PEM); default: one from a local CA made for the purpose
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Where STARTTLS submission listens, as in 0.0.0.0:587; default: port 587, or 2587 where this user may not bind it
    #[arg(long, value_name = "ADDRESS:PORT")]
    submission: Option<SocketAddr>,
    /// Where submission with implicit TLS listens, as in 0.0.0.0:465; default: port 465 or 2465. When only one of the
    /// two is given, only that one listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    submissions: Option<SocketAddr>,
}

pub(super) fn command(arguments: Arguments, format: Format) -> Result<ExitCode, Failed> {
    let Arguments { folder, hostname, postmaster, data_dir, certificate, key, submission, submissions } = arguments;
    let certificate = certificate.zip(key).map(|(chain, key)| Certificate { chain, key });
    let bound = |door, bind: Option<SocketAddr>| bind.map(|bind| Listener::new(door, bind));
    let listeners =
        bound(Door::Submission, submission).into_iter().chain(bound(Door::Submissions, submissions)).collect();
    let options = Options { folder, hostname, postmaster, data_dir, certificate, listeners };
    let made = run(&options, SystemClock.now())?;
    match format {
        Format::Json => print_json(&made.json()),
        Format::Text => made.print(&mut io::stdout()).map_err(|error| Failed::Io(error.to_string()))?,
    }
    Ok(ExitCode::SUCCESS)
}

impl From<InitError> for Failed {
    fn from(error: InitError) -> Failed {
        let text = error.to_string();
        match error {
            InitError::AlreadyThere(_)
            | InitError::NoHostname(_)
            | InitError::NoPostmaster
            | InitError::OtherName { .. }
            | InitError::KeyDiffers { .. }
            | InitError::Mistakes(_) => Failed::Data(text),
            InitError::Path { path, error } => Failed::file(&path, &error),
            InitError::Keyring(KeyringError::Read { path, error } | KeyringError::Write { path, error }) => {
                Failed::file(&path, &error)
            }
            InitError::Keyring(
                KeyringError::BadCertificate(_) | KeyringError::NoCertificate | KeyringError::BadPrivateKey,
            ) => Failed::Data(text),
            InitError::Keyring(_) | InitError::NotPrinted(_) => Failed::Io(text),
        }
    }
}

/// What was asked for; everything but the folder has a good default.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub folder: PathBuf,
    /// Default: the machine's full name.
    pub hostname: Option<Domain>,
    /// Default: `postmaster@` the domain that the host lies in.
    pub postmaster: Option<Address>,
    /// Default: `data` in the folder.
    pub data_dir: Option<PathBuf>,
    /// Default: one made by a CA of our own, for the host's names and addresses.
    pub certificate: Option<Certificate>,
    /// Default: 587 and 465 where this user may bind them, 2587 and 2465 elsewhere.
    pub listeners: Vec<Listener>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    #[error("{} is there already: a set-up is never overwritten. Choose another folder, or remove it yourself", .0.display())]
    AlreadyThere(PathBuf),
    #[error("this machine has no usable host name ({0}): give one, as in --hostname relay.clinic.example")]
    NoHostname(BadDomain),
    #[error("no mailbox follows from the host name: give one, as in --postmaster it@clinic.example")]
    NoPostmaster,
    #[error("{} is not for {hostname}, but for {}", path.display(), names.join(", "))]
    OtherName { path: PathBuf, hostname: Domain, names: Vec<String> },
    #[error("{} is the key of another certificate than {}", key.display(), chain.display())]
    KeyDiffers { chain: PathBuf, key: PathBuf },
    #[error("cannot use {}: {error}", path.display())]
    Path { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error("these values make no config: {}", .0.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<Mistake>),
    #[error("cannot print the recovery code, without which a lost master key is lost for good: {0}")]
    NotPrinted(io::Error),
}

/// What was made.
#[derive(Debug)]
pub(super) struct Made {
    pub config: PathBuf,
    pub hostname: Domain,
    pub postmaster: Address,
    pub data_dir: PathBuf,
    pub listeners: Vec<Listener>,
    /// The certificate that senders must trust, unless one was given.
    pub ca: Option<PathBuf>,
    /// Shown once, and kept nowhere.
    pub recovery: Code,
}

/// Makes the set-up. The config is written last, so that a folder with a config is whole.
pub(super) fn run(options: &Options, now: Timestamp) -> Result<Made, InitError> {
    let folder = std::path::absolute(&options.folder).map_err(|error| at(&options.folder, error))?;
    let config = folder.join("sealpost.toml");
    let master_key = folder.join("master.key");
    if let Some(path) = [&config, &master_key].into_iter().find(|path| path.exists()) {
        return Err(InitError::AlreadyThere(path.clone()));
    }
    let hostname = match &options.hostname {
        Some(hostname) => hostname.clone(),
        None => Domain::parse(&machine_name()).map_err(InitError::NoHostname)?,
    };
    let postmaster = options.postmaster.clone().or_else(|| postmaster_of(&hostname)).ok_or(InitError::NoPostmaster)?;
    let certificate = options.certificate.as_ref().map(|given| checked(given, &hostname)).transpose()?;
    let listeners = if options.listeners.is_empty() { default_listeners() } else { options.listeners.clone() };
    // Where it was given, it starts where the operator stands; in the config, paths start at its folder.
    let given = options.data_dir.as_ref().map(|path| std::path::absolute(path).map_err(|error| at(path, error)));
    let data_dir = given.transpose()?.unwrap_or_else(|| "data".into());
    let made_here = certificate.is_none();
    let certificate =
        certificate.unwrap_or_else(|| Certificate { chain: "tls/chain.pem".into(), key: "tls/key.pem".into() });
    let text =
        text(&Values { hostname: &hostname, postmaster: &postmaster, data_dir: &data_dir }, &certificate, &listeners);
    config::parse(&text).map_err(InitError::Mistakes)?;

    let data_dir = folder.join(data_dir);
    make_folder(&folder)?;
    make_folder(&data_dir)?;
    let tls = folder.join("tls");
    if made_here {
        let authority = Authority::create(hostname.as_str(), now)?;
        let leaf = authority.issue(&names(&hostname), now)?;
        make_folder(&tls)?;
        authority.write(&tls, &leaf)?;
    }
    let (recovery, wrap) = recovery::wrap(&master::create(&master_key)?)?;
    recovery::store(&folder.join(recovery::FILE), &wrap)?;
    super::client::replace_file(&config, &text).map_err(|error| at(&config, error))?;
    hand_over(&folder, &data_dir).map_err(|error| at(&folder, error))?;
    let ca = made_here.then(|| tls.join(authority::CA_CERTIFICATE));
    Ok(Made { config, hostname, postmaster, data_dir, listeners, ca, recovery })
}

impl Made {
    /// Says what was made, and what to do next. It shows the recovery code.
    pub(super) fn print(&self, out: &mut dyn io::Write) -> Result<(), InitError> {
        out.write_all(self.words().as_bytes()).and_then(|()| out.flush()).map_err(InitError::NotPrinted)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "config": self.config,
            "hostname": self.hostname,
            // The operator's own mailbox, shown to the operator who gave it.
            "postmaster": self.postmaster.expose(),
            "data_dir": self.data_dir,
            "listeners": self.listeners.iter().map(|listener| {
                json!({ "role": listener.role().name(), "bind": listener.bind.to_string() })
            }).collect::<Vec<_>>(),
            "ca": self.ca,
            // The one time that the code is shown.
            "recovery_code": self.recovery.expose(),
        })
    }

    fn words(&self) -> String {
        let config = self.config.display();
        // The operator's own mailbox, shown to the operator who gave it.
        let postmaster = self.postmaster.expose();
        let ports: Vec<_> = self.listeners.iter().map(|listener| listener.bind.port().to_string()).collect();
        let mut words = format!(
            "Sealpost is set up for {hostname}; {postmaster} is told of held mail and failed checks.\n\
             Config: {config}\n\
             Data:   {data}\n\n\
             RECOVERY CODE   {code}\n\
             Print it and lock it away, not on this machine: it is shown this once. With it and the file {wrap}\n\
             the master key can be made again; without either, a lost key means lost mail and lost evidence.\n\n\
             Next:\n\
             1. Let a program send as anybody of your domain, under a password of its own:\n\
             \u{20}  sealpost client add openemr --profile openemr --sender '*@{domain}' --config {config}\n\
             2. Let it reach this machine, from your own network only: TCP port {ports}.\n\
             \u{20}  Let this machine reach TCP port 25 of others.\n",
            hostname = self.hostname,
            domain = self.postmaster.domain(),
            data = self.data_dir.display(),
            // The one time that the code is shown.
            code = self.recovery.expose(),
            wrap = recovery::FILE,
            ports = ports.join(" and "),
        );
        if !self.hostname.as_str().contains('.') {
            words = format!(
                "NOTE: {} is a name without a domain, and partners refuse mail from it: set [server] hostname, or \
                 init again with --hostname.\n\n{words}",
                self.hostname
            );
        }
        // Writing to a String cannot fail.
        let _ = match &self.ca {
            Some(ca) => writeln!(
                words,
                "3. Have the sending machines trust this relay's own authority: copy {ca} to them\n   \
                 and import it (docs/operate/trust.md says how on Windows, Linux and Java).\n   \
                 Keep tls/ca.key away from everybody: who has it can pose as this relay.",
                ca = ca.display()
            ),
            None => writeln!(words, "3. The certificate is yours: renew it in time; `sealpost check` watches its end."),
        };
        // The unit reads this config and no other.
        let by_unit = self.config == Path::new("/etc/sealpost/sealpost.toml") && nix::unistd::geteuid().is_root();
        let start = if by_unit {
            "systemctl enable --now sealpost (docs/operate/install.md)".to_owned()
        } else {
            format!("sealpost serve --config {config}")
        };
        let _ = write!(
            words,
            "4. See what is still missing:   sealpost check --config {config}\n\
             5. Start:                       {start}\n"
        );
        words
    }
}

fn at(path: &Path, error: io::Error) -> InitError {
    InitError::Path { path: path.to_owned(), error }
}

/// A folder that is there keeps its mode; `check` says when it is too open.
fn make_folder(path: &Path) -> Result<(), InitError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| at(path, error))
}

/// What root makes in a folder of the service's user is that user's, but for the keys that the service need not read
/// itself: systemd hands it the master key, and the authority's key is for new certificates only.
fn hand_over(folder: &Path, data_dir: &Path) -> io::Result<()> {
    let about = fs::metadata(folder)?;
    if !nix::unistd::geteuid().is_root() || about.uid() == 0 {
        return Ok(());
    }
    for path in handed_over(folder, data_dir)? {
        std::os::unix::fs::lchown(path, Some(about.uid()), Some(about.gid()))?;
    }
    Ok(())
}

fn handed_over(folder: &Path, data_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = vec![data_dir.to_owned()];
    for folder in [folder, &folder.join("tls")].into_iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
    }
    let kept = [Some(OsStr::new("master.key")), Some(OsStr::new(authority::CA_KEY))];
    paths.retain(|path| !kept.contains(&path.file_name()));
    Ok(paths)
}

/// The full name: what the kernel says, or what /etc/hosts calls the same host, if only that has a domain.
fn machine_name() -> String {
    let name = nix::sys::utsname::uname().map(|names| names.nodename().to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    if name.contains('.') {
        return name;
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    full_name(&name, &hosts).unwrap_or(name)
}

fn full_name(name: &str, hosts: &str) -> Option<String> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut of_this_host = lines.filter(|line| line.split_whitespace().skip(1).any(|alias| alias == name));
    let full = of_this_host.find_map(|line| {
        line.split_whitespace().skip(1).find(|alias| alias.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    });
    full.map(str::to_owned)
}

/// `postmaster@clinic.example` for `relay.clinic.example`; the host itself where nothing lies above it.
fn postmaster_of(hostname: &Domain) -> Option<Address> {
    let domain = match hostname.as_str().split_once('.') {
        Some((_, above)) if above.contains('.') => above,
        Some(_) | None => hostname.as_str(),
    };
    Address::parse(&format!("postmaster@{domain}")).ok()
}

/// What senders may call this machine: its name, and the address that it has in its network.
fn names(hostname: &Domain) -> Vec<String> {
    let own = hostname.literal().map_or_else(|| hostname.to_string(), |address| address.to_string());
    let mut names = vec![own, "localhost".to_owned(), "127.0.0.1".to_owned()];
    if let Some(address) = address_in_network() {
        names.push(address.to_string());
    }
    names
}

/// Connecting a UDP socket sends nothing; it only has the kernel choose the address to send from.
fn address_in_network() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // RFC 5737: this network is for documentation, and routed like the internet.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_loopback())
}

fn checked(given: &Certificate, hostname: &Domain) -> Result<Certificate, InitError> {
    let read = |path: &Path| {
        let path = path.canonicalize().map_err(|error| at(path, error))?;
        let bytes = fs::read(&path).map_err(|error| at(&path, error))?;
        Ok::<_, InitError>((path, bytes))
    };
    let (chain, chain_bytes) = read(&given.chain)?;
    let (key, key_bytes) = read(&given.key)?;
    let certificate = certificate::read(&chain_bytes)?;
    if !certificate.covers(hostname) {
        return Err(InitError::OtherName { path: chain, hostname: hostname.clone(), names: certificate.names });
    }
    match certificate.key_match(&key_bytes)? {
        KeyMatch::Matches => Ok(Certificate { chain, key }),
        KeyMatch::Differs => Err(InitError::KeyDiffers { chain, key }),
    }
}

fn default_listeners() -> Vec<Listener> {
    let ports = if may_bind_low_ports() { [587, 465] } else { [2587, 2465] };
    let listener = |(door, port)| Listener::new(door, SocketAddr::from(([0, 0, 0, 0], port)));
    [Door::Submission, Door::Submissions].into_iter().zip(ports).map(listener).collect()
}

fn may_bind_low_ports() -> bool {
    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
    let start: u16 = start.and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    nix::unistd::geteuid().is_root() || start <= 465
}

struct Values<'a> {
    hostname: &'a Domain,
    postmaster: &'a Address,
    data_dir: &'a Path,
}

fn text(values: &Values<'_>, certificate: &Certificate, listeners: &[Listener]) -> String {
    let path = |path: &Path| quoted(&path.to_string_lossy());
    let mut text = format!(
        "# The config of this relay. docs/reference/config.md has every setting; what is not written here has its default.\n\
         # After a change: sealpost check, then have the running one read it again (systemctl reload sealpost).\n\
         # Who may send stands at the end: one [[client]] each, written by `sealpost client add`.\n\n\
         [server]\n\
         # The name of this machine, as partners and senders see it.\n\
         hostname = {hostname}\n\
         # Queue, evidence and audit log. Paths without a leading slash start at this folder.\n\
         data_dir = {data_dir}\n\n\
         [notify]\n\
         # Who is told of held and expired messages and of failed checks. Somebody must read this mailbox.\n\
         postmaster = {postmaster}\n\n\
         # What the listeners show to senders.\n\
         [[tls.certificate]]\n\
         chain = {chain}\n\
         key = {key}\n",
        hostname = quoted(values.hostname.as_str()),
        data_dir = path(values.data_dir),
        // The config is where this address lives.
        postmaster = quoted(values.postmaster.expose()),
        chain = path(&certificate.chain),
        key = path(&certificate.key),
    );
    for listener in listeners {
        let why = match listener.role() {
            Role::Submission => "Mail comes in here: STARTTLS, then a login.",
            Role::Submissions => "Mail comes in here: TLS from the first byte, then a login.",
            Role::Relay => "Mail comes in here: STARTTLS, from networks of clients or behind a login.",
            Role::Legacy => "Mail comes in here without TLS.",
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n# {why}\n[[listener]]\nrole = \"{role}\"\nbind = \"{bind}\"\n",
            role = listener.role().name(),
            bind = listener.bind
        );
    }
    text
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_000);

    fn options(folder: &Path) -> Options {
        Options {
            folder: folder.join("relay"),
            hostname: Some(Domain::parse("relay.clinic.example").unwrap()),
            ..Options::default()
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_set_up_is_whole_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let made = run(&options(folder.path()), NOW).unwrap();
        let text = fs::read_to_string(&made.config).unwrap();
        let config = config::parse(&text).unwrap().resolve(made.config.parent().unwrap());
        assert_eq!(config.server.hostname.as_str(), "relay.clinic.example");
        assert_eq!(config.notify.postmaster.expose(), "postmaster@clinic.example");
        assert_eq!(config.server.data_dir, made.data_dir);
        assert_eq!(config.listeners.len(), 2);
        assert_eq!(mode(&config.server.master_key), 0o600);
        assert_eq!((mode(made.config.parent().unwrap()), mode(&made.data_dir)), (0o700, 0o700));
        let chain = certificate::read(&fs::read(&config.tls.certificates[0].chain).unwrap()).unwrap();
        assert!(chain.covers(&config.server.hostname));
        let key = fs::read(&config.tls.certificates[0].key).unwrap();
        assert_eq!(chain.key_match(&key).unwrap(), KeyMatch::Matches);
    }

    #[test]
    fn the_keys_that_the_service_need_not_read_stay_with_root() {
        let folder = tempfile::tempdir().unwrap();
        let made = run(&options(folder.path()), NOW).unwrap();
        let relay = folder.path().join("relay");
        let mut paths: Vec<_> = handed_over(&relay, &made.data_dir)
            .unwrap()
            .iter()
            .map(|path| path.strip_prefix(&relay).unwrap().to_string_lossy().into_owned())
            .collect();
        paths.sort();
        paths.dedup();
        let expected = ["data", "recovery.wrap", "sealpost.toml", "tls", "tls/ca.pem", "tls/chain.pem", "tls/key.pem"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn the_recovery_code_is_printed_and_opens_the_wrap_beside_the_config() {
        let folder = tempfile::tempdir().unwrap();
        let made = run(&options(folder.path()), NOW).unwrap();
        let mut printed = Vec::new();
        made.print(&mut printed).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let code = printed.lines().find_map(|line| line.strip_prefix("RECOVERY CODE")).unwrap().trim();
        let wrap = fs::read_to_string(made.config.with_file_name(recovery::FILE)).unwrap();
        let key = recovery::recover(&wrap, code).unwrap();
        let (kept, _) =
            master::load(&master::Surroundings::default(), &made.config.with_file_name("master.key")).unwrap();
        assert_eq!(key.expose(), kept.expose());
        for said in ["client add", "sealpost check", "sealpost serve", "ca.pem", "port 25"] {
            assert!(printed.contains(said), "{said} is not in:\n{printed}");
        }
    }

    #[test]
    fn a_name_without_a_domain_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = |hostname| {
            let options = Options {
                folder: folder.path().join(hostname),
                hostname: Some(Domain::parse(hostname).unwrap()),
                ..Options::default()
            };
            run(&options, NOW).unwrap().words().contains("NOTE: ")
        };
        assert!(told("0b9f3a") && !told("relay.clinic.example"));
    }

    #[test]
    fn a_set_up_that_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let made = run(&options(folder.path()), NOW).unwrap();
        let before = fs::read(&made.config).unwrap();
        assert!(matches!(run(&options(folder.path()), NOW), Err(InitError::AlreadyThere(_))));
        fs::remove_file(&made.config).unwrap();
        assert!(
            matches!(run(&options(folder.path()), NOW), Err(InitError::AlreadyThere(path)) if path.ends_with("master.key"))
        );
        assert!(!before.is_empty() && !made.config.exists());
    }

    #[test]
    fn a_given_certificate_is_used_where_it_lies_and_must_carry_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create("clinic.example", NOW).unwrap();
        let leaf = authority.issue(&["relay.clinic.example".to_owned()], NOW).unwrap();
        let given = Certificate { chain: folder.path().join("c.pem"), key: folder.path().join("k.pem") };
        fs::write(&given.chain, &leaf.chain).unwrap();
        fs::write(&given.key, leaf.key.as_bytes()).unwrap();
        let mut options = Options { certificate: Some(given.clone()), ..options(folder.path()) };
        options.hostname = Some(Domain::parse("mail.clinic.example").unwrap());
        assert!(matches!(run(&options, NOW), Err(InitError::OtherName { .. })));
        assert!(!options.folder.exists());
        options.hostname = Some(Domain::parse("relay.clinic.example").unwrap());
        let made = run(&options, NOW).unwrap();
        let config = config::parse(&fs::read_to_string(&made.config).unwrap()).unwrap();
        assert_eq!(config.tls.certificates[0].chain, given.chain.canonicalize().unwrap());
        assert!(made.ca.is_none() && !made.config.with_file_name("tls").exists());
    }

    #[test]
    fn the_full_name_comes_from_the_hosts_file_when_the_kernel_has_the_short_one() {
        let hosts =
            "127.0.0.1 localhost\n# 10.0.0.1 relay.old.example relay\n10.20.0.5 relay.clinic.example relay # here\n";
        assert_eq!(full_name("relay", hosts).as_deref(), Some("relay.clinic.example"));
        assert_eq!(full_name("rel", hosts), None);
    }

    #[test]
    fn the_postmaster_is_of_the_domain_that_the_host_lies_in() {
        for (host, postmaster) in [
            ("relay.clinic.example", "postmaster@clinic.example"),
            ("clinic.example", "postmaster@clinic.example"),
            ("relay", "postmaster@relay"),
        ] {
            assert_eq!(postmaster_of(&Domain::parse(host).unwrap()).unwrap().expose(), postmaster);
        }
    }
}
