//! A `sealpost` of our own: made by `init` in a folder, started as a child process, told to stop, reload or die by
//! its process id, and asked by its own subcommands.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table};

use crate::world::Result;

const READY: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(40);
const COMMAND: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(20);
pub const HOSTNAME: &str = "relay.clinic.example";
pub const POSTMASTER: &str = "it@clinic.example";

/// The binary that cargo built for this test, or the one beside the folder that this program runs from;
/// `SEALPOST` in the environment goes first.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SEALPOST") {
        return Ok(PathBuf::from(path));
    }
    if let Some(path) = option_env!("CARGO_BIN_EXE_sealpost") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(3).map(|folder| folder.join("sealpost")).find(|path| path.is_file());
    found.ok_or_else(|| "no sealpost binary; build it, or name it in SEALPOST".into())
}

/// What a subcommand printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Printed {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Printed {
    /// The output, when the command ended well.
    pub fn good(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.out);
        }
        Err(format!("{}: {}{}", self.status, self.out, self.err).into())
    }
}

/// A folder with a config, and the daemon that may run on it. Dropped, it kills its child.
///
/// Its steps block the thread: a test in which a mail server has to answer meanwhile runs on
/// `#[tokio::test(flavor = "multi_thread")]`.
#[derive(Debug)]
pub struct Daemon {
    binary: PathBuf,
    pub folder: PathBuf,
    pub config: PathBuf,
    child: Option<Child>,
    notify: UnixDatagram,
    pub environment: Vec<(String, String)>,
    /// A command that `serve` is started through, and that becomes it by `exec`.
    pub through: Vec<String>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        self.kill().ok();
    }
}

impl Daemon {
    /// `sealpost init` in a folder that does not exist yet.
    pub fn init(binary: &Path, folder: &Path) -> Result<Daemon> {
        let folder_text = folder.to_string_lossy();
        let arguments = ["init", folder_text.as_ref(), "--hostname", HOSTNAME, "--postmaster", POSTMASTER];
        let mut command = Command::new(binary);
        command.args(arguments);
        let parent = folder.parent().ok_or("init needs a folder with a parent")?;
        run(command, parent)?.good()?;
        let socket = folder.join("notify");
        let notify = UnixDatagram::bind(&socket)?;
        notify.set_read_timeout(Some(TICK))?;
        Ok(Daemon {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            config: folder.join("sealpost.toml"),
            child: None,
            notify,
            environment: Vec::new(),
            through: Vec::new(),
        })
    }

    /// Lays TOML over the config: keys replace keys table by table, and arrays of tables replace whole arrays.
    pub fn configure(&self, overlay: &str) -> Result<()> {
        let text = overlaid(&std::fs::read_to_string(&self.config)?, overlay)?;
        std::fs::write(&self.config, text)?;
        Ok(())
    }

    /// Starts `serve` and waits until it says that it is ready (sd_notify).
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Err("it runs already".into());
        }
        self.forget_notices();
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let mut line: Vec<OsString> = self.through.iter().map(OsString::from).collect();
        line.extend([self.binary.clone().into(), "serve".into(), "--config".into(), self.config.clone().into()]);
        let child = Command::new(&line[0])
            .args(&line[1..])
            .env("NOTIFY_SOCKET", self.folder.join("notify"))
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        self.wait_ready()
    }

    /// SIGHUP, and waits until the new config is in use.
    pub fn reload(&mut self) -> Result<()> {
        self.forget_notices();
        self.signal(Signal::SIGHUP)?;
        self.wait_ready()
    }

    /// SIGHUP without waiting, for a config that will be refused.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::SIGHUP)
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let mut child = self.child.take().ok_or("it does not run")?;
        let status = ended(&mut child, STOP);
        if status.is_err() {
            child.kill()?;
            child.wait()?;
        }
        status
    }

    /// SIGKILL: no drain, no flush.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it wrote so far, of all its starts.
    pub fn logs(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.log_file())?)
    }

    /// Runs a subcommand with `--config`.
    pub fn run(&self, arguments: &[&str]) -> Result<Printed> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--config").arg(&self.config);
        run(command, &self.folder)
    }

    /// `client add`, for all senders of the clinic. It reads the password from its standard input, so that it stands in
    /// no process list.
    pub fn add_client(&self, login: &str, password: &str) -> Result<()> {
        let script = r#"printf '%s\n' "$PASSWORD" | "$1" client add "$2" --sender '*@clinic.example' --password-stdin --config "$3""#;
        let mut add = Command::new("sh");
        add.args(["-c", script, "sh"]).arg(&self.binary).arg(login).arg(&self.config).env("PASSWORD", password);
        run(add, &self.folder)?.good()?;
        Ok(())
    }

    /// Runs a subcommand with `--json`; gives its one document, or its lines as an array.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = arguments.to_vec();
        all.push("--json");
        let text = self.run(&all)?.good()?;
        if let Ok(value) = serde_json::from_str(&text) {
            return Ok(value);
        }
        let lines: std::result::Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        Ok(Value::Array(lines?))
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().ok_or("it does not run")?;
        kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        Ok(())
    }

    fn forget_notices(&self) {
        let mut notice = [0; 1024];
        while self.notify.recv(&mut notice).is_ok() {}
    }

    fn wait_ready(&mut self) -> Result<()> {
        let end = Instant::now() + READY;
        let mut notice = [0; 1024];
        while Instant::now() < end {
            if let Ok(count) = self.notify.recv(&mut notice)
                && notice[..count].split(|&byte| byte == b'\n').any(|line| line == b"READY=1")
            {
                return Ok(());
            }
            let ended = self.child.as_mut().ok_or("it does not run")?.try_wait()?;
            if let Some(status) = ended {
                self.child = None;
                return Err(format!("sealpost ended with {status}:\n{}", self.logs()?).into());
            }
        }
        Err(format!("sealpost was not ready after {} s:\n{}", READY.as_secs(), self.logs()?).into())
    }
}

/// The text with the overlay's keys in place of its own.
pub fn overlaid(text: &str, overlay: &str) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let overlay: DocumentMut = overlay.parse()?;
    lay_over(document.as_table_mut(), overlay.as_table());
    Ok(document.to_string())
}

fn lay_over(under: &mut Table, over: &Table) {
    for (key, item) in over {
        match (under.get_mut(key), item) {
            (Some(Item::Table(under)), Item::Table(over)) => lay_over(under, over),
            _ => {
                let mut item = item.clone();
                // A position of the other document would scatter the tables.
                if let Item::Table(table) = &mut item {
                    table.set_position(None);
                }
                under.insert(key, item);
            }
        }
    }
}

/// Runs to the end within the time limit, with the output in files, so that a full pipe blocks nobody.
pub fn run(mut command: Command, folder: &Path) -> Result<Printed> {
    let out = tempfile::NamedTempFile::new_in(folder)?;
    let err = tempfile::NamedTempFile::new_in(folder)?;
    let mut child = command.stdin(Stdio::null()).stdout(out.reopen()?).stderr(err.reopen()?).spawn()?;
    let status = match ended(&mut child, COMMAND) {
        Ok(status) => status,
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(format!("{command:?}: {error}").into());
        }
    };
    let read = |file: &Path| -> Result<String> { Ok(String::from_utf8_lossy(&std::fs::read(file)?).into_owned()) };
    Ok(Printed { status, out: read(out.path())?, err: read(err.path())? })
}

pub fn ended(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > end {
            return Err(format!("not ended after {} s", limit.as_secs()).into());
        }
        sleep(TICK);
    }
}

/// An address for a listener that the config must name. Each has an IP address of its own: on 127.0.0.1 a connection
/// of somebody else could take the port for its own end before the listener does.
pub fn free_address() -> Result<SocketAddr> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let given = GIVEN.fetch_add(1, Ordering::Relaxed);
    let own = 64 + u8::try_from(std::process::id() % 60)?;
    let address = Ipv4Addr::new(127, own, u8::try_from(given / 250)?, u8::try_from(given % 250 + 1)?);
    Ok(TcpListener::bind((address, 0))?.local_addr()?)
}
