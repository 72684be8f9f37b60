//! A Postfix in a folder of its own, with logins and TLS: what every one of them needs. What one is for is given.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::User;

use crate::world::Result;
use crate::world::daemon::ended;

/// The longest that one of its own commands may take.
const COMMAND: Duration = Duration::from_secs(60);

/// What a Postfix is to be.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub folder: &'a Path,
    /// Its own name, and the realm of its logins.
    pub name: &'a str,
    pub chain: &'a Path,
    pub key: &'a Path,
    pub user: &'a str,
    pub password: &'a str,
    pub mechanisms: &'a str,
    /// What stands in its main.cf beside what all have.
    pub main: &'a str,
    /// Each port: an address, and options for it.
    pub ports: &'a [String],
}

/// Stops when dropped.
#[derive(Debug)]
pub struct Postfix {
    folder: PathBuf,
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        self.stop().ok();
    }
}

impl Postfix {
    /// Writes all that it needs. `start` starts it.
    pub fn furnish(wanted: &Wanted<'_>) -> Result<Postfix> {
        let postfix = Postfix { folder: wanted.folder.to_owned() };
        // Debian keeps maps in packages of their own; what dynamicmaps.cf.d names is loaded from there.
        for part in ["etc/sasl", "etc/dynamicmaps.cf.d", "spool", "data", "log"] {
            fs::create_dir_all(postfix.path(part))?;
        }
        for file in ["postfix-files", "dynamicmaps.cf"] {
            let found = ["/etc/postfix", "/usr/share/postfix"].map(|place| Path::new(place).join(file));
            let found = found.iter().find(|path| path.exists()).ok_or_else(|| format!("Postfix has no {file}"))?;
            fs::copy(found, postfix.path("etc").join(file))?;
        }
        fs::write(postfix.path("etc/main.cf"), main_cf(wanted))?;
        fs::write(postfix.path("etc/master.cf"), master_cf(wanted.ports))?;
        postfix.offers(wanted.mechanisms)?;
        postfix.add_login(wanted)?;
        let user = User::from_name("postfix")?.ok_or("Postfix is not installed")?;
        for part in ["data", "sasldb2"] {
            chown(postfix.path(part), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        Ok(postfix)
    }

    /// By way of another command, as one that puts it into a control group; or of none.
    pub fn start(&self, through: &[String]) -> Result<()> {
        run(self.command(through, "start"), COMMAND)
    }

    pub fn stop(&self) -> Result<()> {
        run(self.command(&[], "stop"), COMMAND)
    }

    /// The mechanisms of AUTH, from the next process of smtpd on.
    pub fn offers(&self, mechanisms: &str) -> Result<()> {
        let users = self.path("sasldb2");
        let text = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: {mechanisms}\nsasldb_path: {}\n",
            users.display()
        );
        fs::write(self.path("etc/sasl/smtpd.conf"), text)?;
        Ok(())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log/maillog")).unwrap_or_default()
    }

    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.join(part)
    }

    fn add_login(&self, wanted: &Wanted<'_>) -> Result<()> {
        let mut add = Command::new("sh");
        let script = r#"printf %s "$1" | saslpasswd2 -p -c -f "$2" -u "$3" "$4""#;
        add.args(["-c", script, "sh", wanted.password]).arg(self.path("sasldb2")).args([wanted.name, wanted.user]);
        run(add, COMMAND)
            .map_err(|error| format!("AUTH for Postfix needs sasl2-bin and libsasl2-modules: {error}").into())
    }

    fn command(&self, through: &[String], verb: &str) -> Command {
        let etc = self.path("etc").display().to_string();
        let postfix = ["postfix".to_owned(), "-c".to_owned(), etc, verb.to_owned()];
        let mut words = through.iter().chain(&postfix);
        let mut command = Command::new(words.next().map_or("postfix", String::as_str));
        command.args(words);
        command
    }
}

/// Runs to a good end. Postfix's master keeps inherited files open, so output goes nowhere rather than to a pipe.
pub fn run(mut command: Command, limit: Duration) -> Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status = ended(&mut child, limit)?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

fn main_cf(wanted: &Wanted<'_>) -> String {
    let Wanted { folder, name, chain, key, main, .. } = wanted;
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file = {folder}/log/maillog
maillog_file_prefixes = {folder}
meta_directory = {folder}/etc
myhostname = {name}
mydestination =
mynetworks =
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_tls_chain_files = {key}, {chain}
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/etc/sasl
smtpd_sasl_local_domain = {name}
{main}",
        folder = folder.display(),
        chain = chain.display(),
        key = key.display(),
    )
}

fn master_cf(ports: &[String]) -> String {
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
        "discard unix - - n - - discard",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "anvil unix - - n - 1 anvil",
        "scache unix - - n - 1 scache",
        "tlsproxy unix - - n - 0 tlsproxy",
        "postlog unix-dgram n - n - 1 postlogd",
    ];
    let ports = ports.iter().map(|port| {
        let (address, options) = port.split_once(' ').unwrap_or((port, ""));
        format!("{address} inet n - n - - smtpd {options}\n")
    });
    format!("{}{}\n", ports.collect::<String>(), services.join("\n"))
}
