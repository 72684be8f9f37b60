//! What the scenarios about "250 means kept" share: a relay before one mail server, tagged letters, and who was told what.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::world::authority::{Authority, credulous_client};
use crate::world::behaviour::Behaviour;
use crate::world::client::{Client, Entry, Mail};
use crate::world::daemon::{Daemon, HOSTNAME, binary, ended};
use crate::world::mx::{Mx, TAG};
use crate::world::{Result, until};

const LOGIN: &str = "ehr";
const PASSWORD: &str = "only-for-this-scenario";
const ATTACHED: Duration = Duration::from_secs(20);

/// A daemon that is not started yet, and the only mail server that it delivers to.
pub(crate) struct Relay {
    pub(crate) daemon: Daemon,
    pub(crate) sink: Mx,
    pub(crate) address: SocketAddr,
    entry: Entry,
    _home: TempDir,
}

impl Relay {
    /// `host` is an address of this scenario's own; `overlay` goes over the config at last.
    pub(crate) async fn init(host: &str, behaviour: Behaviour, overlay: &str) -> Result<Relay> {
        let home = tempfile::tempdir()?;
        let authority = Arc::new(Authority::new("Sink CA")?);
        let sink = Mx::start("mx.partner.example", &format!("{host}:0"), behaviour, &authority).await?;
        let ca = home.path().join("sink-ca.pem");
        std::fs::write(&ca, &authority.pem)?;
        let address = TcpListener::bind((host, 0))?.local_addr()?;
        let daemon = Daemon::init(&binary()?, &home.path().join("relay"))?;
        let (sink_address, name) = (sink.address, &sink.name);
        let ca = ca.display();
        daemon.configure(&format!(
            r#"
[[listener]]
role = "submission"
bind = "{address}"
[[route]]
domains = ["partner.example", "clinic.example"]
host = "{sink_address}"
name = "{name}"
tls = "valid"
ca_file = "{ca}"
onward = "final"
[queue]
retry = ["1s"]
[http]
bind = "off"
"#
        ))?;
        daemon.configure(overlay)?;
        daemon.add_client(LOGIN, PASSWORD)?;
        let entry = Entry::StartTls(credulous_client()?, HOSTNAME.to_owned());
        Ok(Relay { daemon, sink, address, entry, _home: home })
    }

    /// Where to submit, for a task that outlives a borrow.
    pub(crate) fn door(&self) -> Door {
        Door { address: self.address, entry: self.entry.clone() }
    }

    pub(crate) fn counts(&self) -> Result<Counts> {
        let count = self.daemon.json(&["queue", "count"])?;
        let number = |value: &Value| value.as_i64().ok_or("not a number in `queue count`");
        Ok(Counts {
            accepted: number(&count["accepted"])?,
            queued: number(&count["queued"])?,
            held: number(&count["held"])?,
            balanced: count["balanced"].as_bool().ok_or("no `balanced` in `queue count`")?,
        })
    }

    /// The chain is whole; gives how many rows are proved.
    pub(crate) fn verified_rows(&self) -> Result<i64> {
        let verdict = self.daemon.json(&["audit", "verify"])?;
        if verdict["verified"] != Value::Bool(true) {
            return Err(format!("the chain is broken: {verdict}").into());
        }
        verdict["proof"]["rows"].as_i64().ok_or_else(|| "no rows in `audit verify`".into())
    }

    /// Waits until nothing is queued or held any more.
    pub(crate) async fn emptied(&self, limit: Duration) -> Result<Counts> {
        until("an empty queue", limit, || self.counts().ok().filter(|counts| counts.queued + counts.held == 0)).await
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) accepted: i64,
    pub(crate) queued: i64,
    pub(crate) held: i64,
    pub(crate) balanced: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    entry: Entry,
}

impl Door {
    /// A session that has logged in.
    pub(crate) async fn open(&self) -> Result<Client> {
        let mut client = Client::connect(self.address, &self.entry).await?;
        let login = client.login(LOGIN, PASSWORD).await?;
        if login.code != 235 {
            return Err(format!("the login was answered {}", login.text()).into());
        }
        Ok(client)
    }
}

/// A letter that is known again by its tag, of about this many octets.
pub(crate) fn letter(tag: &str, octets: usize) -> Mail {
    let mut content = format!(
        "{TAG}: {tag}\r\nFrom: ann@clinic.example\r\nTo: bo@partner.example\r\nSubject: {tag}\r\n\
         Date: Tue, 24 Nov 2026 05:00:00 +0000\r\nMessage-ID: <{tag}@clinic.example>\r\n\r\n"
    );
    while content.len() < octets {
        content.push_str("The appointment stands as it was agreed on the telephone.\r\n");
    }
    Mail {
        sender: "ann@clinic.example".to_owned(),
        recipients: vec!["bo@partner.example".to_owned()],
        content: content.into_bytes(),
    }
}

/// What the clients were told, letter by letter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Answered 250.
    pub(crate) kept: BTreeSet<String>,
    /// Answered 4xx.
    pub(crate) later: BTreeSet<String>,
    /// Offered, and the connection was gone before the answer.
    pub(crate) unheard: BTreeSet<String>,
}

impl Told {
    pub(crate) fn join(&mut self, mut other: Told) {
        self.kept.append(&mut other.kept);
        self.later.append(&mut other.later);
        self.unheard.append(&mut other.unheard);
    }
}

/// Numbers that look random and come again with the same seed (xorshift64*, Vigna 2016).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % bound
    }
}

/// Whether processes may be traced here; says so when not.
pub(crate) fn strace_usable() -> bool {
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let why = match tried {
        Ok(tried) if tried.status.success() => return true,
        Ok(tried) => String::from_utf8_lossy(&tried.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    println!("SKIPPED: strace cannot trace here: {why}");
    false
}

/// An strace that is attached to a running daemon. Dropped, it lets go.
pub(crate) struct Tracer {
    child: Child,
}

impl Tracer {
    /// Follows every thread of the process, and waits until it does.
    pub(crate) async fn attach(process: u32, output: &Path, arguments: &[String]) -> Result<Tracer> {
        let said = output.with_added_extension("err");
        let mut command = Command::new("strace");
        command.args(["-f", "-o"]).arg(output).args(arguments).args(["-p", &process.to_string()]);
        let child = command.stdin(Stdio::null()).stderr(File::create(&said)?).spawn()?;
        let tracer = Tracer { child };
        let attached = || std::fs::read_to_string(&said).ok().filter(|text| text.contains(" attached"));
        until("strace to attach", ATTACHED, attached).await?;
        Ok(tracer)
    }

    /// Lets go, and waits until it has.
    pub(crate) fn detach(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            // On SIGTERM strace lets its processes run on untraced; after SIGKILL they might not.
            kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
            ended(&mut self.child, ATTACHED)?;
        }
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        self.end().ok();
    }
}
