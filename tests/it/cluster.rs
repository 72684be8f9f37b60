//! A throw-away PostgreSQL cluster on a unix socket.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Stopped by its own pid when dropped.
pub(crate) struct Cluster {
    server: Child,
    pub(crate) url: String,
    folder: tempfile::TempDir,
}

const BINARIES: &str = "/usr/lib/postgresql/15/bin";

impl Cluster {
    pub(crate) fn start() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let root = nix::unistd::Uid::effective().is_root();
        if root {
            // initdb refuses to run as root.
            let owned = Command::new("chown").arg("postgres:postgres").arg(folder.path()).status().unwrap();
            assert!(owned.success());
        }
        let data = folder.path().join("cluster");
        let made = as_postgres(root, "initdb")
            .args(["--auth=trust", "--username=postgres", "--no-sync", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb");
        let server = as_postgres(root, "postgres")
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "max_connections=30", "-k"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("postgres://postgres@localhost/postgres?host={}", folder.path().display());
        let cluster = Cluster { server, url, folder };
        cluster.await_ready();
        cluster
    }

    /// A further database; gives its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        let made = Command::new(format!("{BINARIES}/createdb"))
            .args(["-U", "postgres", "-h"])
            .arg(self.folder.path())
            .arg(name)
            .status()
            .unwrap();
        assert!(made.success(), "createdb");
        self.url.replace("/postgres?", &format!("/{name}?"))
    }

    fn await_ready(&self) {
        for _ in 0..300 {
            let ready = Command::new(format!("{BINARIES}/pg_isready"))
                .args(["-q", "-U", "postgres", "-h"])
                .arg(self.folder.path())
                .status()
                .unwrap();
            if ready.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("PostgreSQL did not start within 30 seconds");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.server.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT);
        let _ = self.server.wait();
    }
}

fn as_postgres(root: bool, binary: &str) -> Command {
    let binary = format!("{BINARIES}/{binary}");
    if !root {
        return Command::new(binary);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(binary);
    command
}
