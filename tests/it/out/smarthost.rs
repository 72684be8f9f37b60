//! A smarthost that wants a login: a real Postfix with Cyrus SASL, which knows SCRAM from somebody else's hands.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::User;

use crate::house::{House, SOON};
use crate::world::authority::{Authority, Kind};
use crate::world::daemon::ended;
use crate::world::{Result, until};

const NAME: &str = "smtp.provider.example";
const PASSWORD: &str = "correct horse, battery";

struct Postfix {
    folder: tempfile::TempDir,
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        self.command("stop").ok();
    }
}

/// Postfix's master keeps inherited files open, so output goes nowhere rather than to a pipe.
fn run(mut command: Command) -> Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status = ended(&mut child, Duration::from_secs(60))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

impl Postfix {
    fn start(address: &str, authority: &Authority) -> Result<Postfix> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let postfix = Postfix { folder };
        for part in ["etc/sasl", "etc/dynamicmaps.cf.d", "spool", "data", "log"] {
            fs::create_dir_all(postfix.path(part))?;
        }
        let user = User::from_name("postfix")?.ok_or("Postfix is not installed")?;
        let ids = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
        chown(postfix.path("data"), ids.0, ids.1)?;
        for file in ["postfix-files", "dynamicmaps.cf"] {
            let found = ["/etc/postfix", "/usr/share/postfix"].map(|place| Path::new(place).join(file));
            let found = found.iter().find(|path| path.exists()).ok_or_else(|| format!("Postfix has no {file}"))?;
            fs::copy(found, postfix.path("etc").join(file))?;
        }
        let (chain, key) = authority.issue(NAME, Kind::Valid)?.write(&postfix.path("etc"), "relay")?;
        fs::write(postfix.path("etc/main.cf"), main_cf(postfix.folder.path(), (&chain, &key)))?;
        fs::write(postfix.path("etc/master.cf"), master_cf(address))?;
        let script = r#"printf %s "$1" | saslpasswd2 -p -c -f "$2" -u provider.example clinic"#;
        let mut add = Command::new("sh");
        add.args(["-c", script, "sh", PASSWORD]).arg(postfix.path("sasldb2"));
        run(add)?;
        chown(postfix.path("sasldb2"), ids.0, ids.1)?;
        postfix.offers("SCRAM-SHA-256 PLAIN LOGIN")?;
        postfix.command("start")?;
        Ok(postfix)
    }

    /// From the next connection on.
    fn offers(&self, mechanisms: &str) -> Result<()> {
        let users = self.path("sasldb2");
        let text = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: {mechanisms}\nsasldb_path: {}\n",
            users.display()
        );
        fs::write(self.path("etc/sasl/smtpd.conf"), text)?;
        Ok(())
    }

    fn command(&self, verb: &str) -> Result<()> {
        let mut command = Command::new("postfix");
        command.arg("-c").arg(self.path("etc")).arg(verb);
        run(command)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log/maillog")).unwrap_or_default()
    }
}

/// Takes mail from who is logged in, and throws it away. A process serves one client, so that `offers` holds at once.
fn main_cf(folder: &Path, (chain, key): (&Path, &Path)) -> String {
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file = {folder}/log/maillog
maillog_file_prefixes = {folder}
meta_directory = {folder}/etc
myhostname = {NAME}
mydestination =
mynetworks =
inet_interfaces = all
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
default_transport = discard:
max_use = 1
smtpd_peername_lookup = no
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = {key}, {chain}
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/etc/sasl
smtpd_sasl_local_domain = provider.example
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
",
        folder = folder.display(),
        chain = chain.display(),
        key = key.display(),
    )
}

fn master_cf(address: &str) -> String {
    let services = [
        "pickup unix n - n 60 1 pickup",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "proxymap unix - - n - - proxymap",
        "discard unix - - n - - discard",
        "anvil unix - - n - 1 anvil",
        "postlog unix-dgram n - n - 1 postlogd",
    ];
    format!("{address} inet n - n - - smtpd\n{}\n", services.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_smarthost_takes_our_login_in_each_way_and_a_wrong_password_waits() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("Postfix runs as root only: not tried");
        return;
    }
    let mut house = House::furnish(96, "").await;
    let postfix = Postfix::start("127.34.96.20:587", &house.authority).unwrap();
    let file = house.folder.path().join("smarthost.password");
    let password = |text: &str| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    };
    password(PASSWORD);
    let route = format!(
        "[[route]]\ndomains = [\"lab.example\"]\nhost = \"127.34.96.20:587\"\nname = \"{NAME}\"\nonward = \"final\"\n\
         login = \"clinic\"\npassword_file = \"{}\"\n[delivery]\nidle = \"1s\"\nmessages_per_connection = 1\n",
        file.display()
    );
    house.daemon.configure(&route).unwrap();
    house.daemon.start().unwrap();
    for mechanism in ["SCRAM-SHA-256", "PLAIN", "LOGIN"] {
        let rest = ["SCRAM-SHA-256", "PLAIN", "LOGIN"].into_iter().skip_while(|one| *one != mechanism);
        postfix.offers(&rest.collect::<Vec<_>>().join(" ")).unwrap();
        let id = house.submit(&["bo@lab.example"], mechanism).await;
        assert_eq!(house.settled(&id).await, ["delivered"], "{mechanism}: {}\n{}", house.told(&id), postfix.log());
        let logged = || postfix.log().contains(&format!("sasl_method={mechanism}, sasl_username=clinic")).then_some(());
        until(mechanism, SOON, logged).await.unwrap();
    }
    postfix.offers("SCRAM-SHA-256 PLAIN LOGIN").unwrap();
    password("wrong horse");
    house.daemon.reload().unwrap();
    let id = house.submit(&["bo@lab.example"], "waits").await;
    house.tried(&id, 2).await;
    assert!(house.told(&id).contains("logging in"), "{}", house.told(&id));
    assert!(house.daemon.logs().unwrap().contains("refused our login"));
    let asked = postfix.log().matches("authentication failed").count();
    house.tried(&id, 4).await;
    assert_eq!(
        (asked, postfix.log().matches("authentication failed").count()),
        (1, 1),
        "a provider closes such accounts"
    );
    password(PASSWORD);
    house.daemon.reload().unwrap();
    assert_eq!(house.settled(&id).await, ["delivered"]);
    for secret in ["correct horse", "wrong horse", "Y29ycmVjdCBob3JzZ"] {
        assert!(!house.daemon.logs().unwrap().contains(secret) && !house.told(&id).contains(secret));
        let configs = house.daemon.run(&["audit", "config"]).unwrap().out;
        assert!(!configs.contains(secret));
    }
    house.audited();
}
