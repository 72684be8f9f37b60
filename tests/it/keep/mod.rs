//! What is kept, for how long, and how it is told and proved: scenarios against the daemon as a child process.
//!
//! A clinic sends through it to partners that take mail, put it off, or refuse it for good while quoting the address.

mod audit_log;
mod canary;
mod daily_digest;
mod erasure;
mod kept_configs;
mod master_key;
mod postgres;
mod restart;
mod root_in_its_place;
mod timers;
mod trace_and_explain;
mod unheard_notice;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::world::authority::{Authority, credulous_client};
use crate::world::behaviour::{Behaviour, Override, Step};
use crate::world::client::{Client, Entry, Mail};
use crate::world::daemon::{Daemon, HOSTNAME, binary, free_address, run};
use crate::world::mx::Mx;
use crate::world::until;

const LOGIN: &str = "ehr";
const PASSWORD: &str = "a pass phrase of the EHR";
const SENDER: &str = "ann@clinic.example";
/// The longest that anything in these scenarios may take.
const SOON: Duration = Duration::from_secs(40);

/// A clinic with its relay, its own mail server, and three partners.
struct Clinic {
    daemon: Daemon,
    submission: SocketAddr,
    http: SocketAddr,
    /// Takes everything for lab.example.
    lab: Mx,
    /// Answers 451 for late.example, quoting the address.
    late: Mx,
    /// Answers 550 for gone.example, quoting the address.
    gone: Mx,
    /// Where the clinic's own people read notices.
    own: Mx,
    folder: TempDir,
}

impl Clinic {
    /// Not started yet; `more` is laid over the config.
    async fn prepare(more: &str) -> Clinic {
        let folder = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::new("Partners' CA").unwrap());
        let ca = folder.path().join("partners.pem");
        std::fs::write(&ca, &authority.pem).unwrap();
        let server =
            async |name: &str, behaviour| Mx::start(name, "127.33.0.1:0", behaviour, &authority).await.unwrap();
        let quoting = |code, text: &str| Behaviour::but(&[Override::reply(Step::Rcpt, code, text)]);
        let lab = server("mx.lab.example", Behaviour::default()).await;
        let late = server("mx.late.example", quoting(451, &format!("4.7.1 {QUOTED} try again later"))).await;
        let gone = server("mx.gone.example", quoting(550, &format!("5.1.1 {QUOTED} no such user"))).await;
        let own = server("mx.clinic.example", Behaviour::default()).await;
        let daemon = Daemon::init(&binary().unwrap(), &folder.path().join("clinic")).unwrap();
        let (submission, http) = (free_address().unwrap(), free_address().unwrap());
        let mut config = format!(
            "[[listener]]\nrole = \"submission\"\nbind = \"{submission}\"\n[http]\nbind = \"{http}\"\n\
             [limits]\ndisk_reserve_bytes = \"1MiB\"\n"
        );
        for (domain, mx) in [("lab", &lab), ("late", &late), ("gone", &gone), ("clinic", &own)] {
            config.push_str(&format!(
                "[[route]]\ndomains = [\"{domain}.example\"]\nhost = \"{}\"\nname = \"mx.{domain}.example\"\n\
                 ca_file = \"{}\"\nonward = \"final\"\n",
                mx.address,
                ca.display()
            ));
        }
        config.push_str(HOLD_RULE);
        daemon.configure(&config).unwrap();
        daemon.configure(more).unwrap();
        daemon.add_client(LOGIN, PASSWORD).unwrap();
        Clinic { daemon, submission, http, lab, late, gone, own, folder }
    }

    async fn open(more: &str) -> Clinic {
        let mut clinic = Clinic::prepare(more).await;
        clinic.daemon.start().unwrap();
        clinic
    }

    fn data(&self) -> PathBuf {
        self.daemon.folder.join("data")
    }

    /// Logs in and hands over one message; gives its id.
    async fn submit(&self, to: &[&str], content: &str) -> String {
        let mut client = self.client().await;
        assert_eq!(client.login(LOGIN, PASSWORD).await.unwrap().code, 235);
        let mail = Mail {
            sender: SENDER.to_owned(),
            recipients: to.iter().map(|&recipient| recipient.to_owned()).collect(),
            content: content.replace('\n', "\r\n").into_bytes(),
        };
        let replies = client.send(&mail).await.unwrap();
        assert!(replies.accepted(), "{:?}", replies.last());
        let id = replies.last().queued().unwrap();
        client.quit().await.unwrap();
        id
    }

    async fn client(&self) -> Client {
        let entry = Entry::StartTls(credulous_client().unwrap(), HOSTNAME.to_owned());
        Client::connect(self.submission, &entry).await.unwrap()
    }

    /// What `queue show` says of the recipients' standings: `queued`, `held`, or the name of the end; sorted.
    fn standings(&self, id: &str) -> Vec<String> {
        let shown = self.daemon.json(&["queue", "show", id]).unwrap();
        let rows = shown.as_array().cloned().unwrap_or_else(|| vec![shown]);
        let words = |row: &Value| {
            let standing = &row["standing"];
            standing["end"].as_str().or(standing["state"].as_str()).unwrap().to_owned()
        };
        let mut standings: Vec<String> = rows.iter().map(words).collect();
        standings.sort_unstable();
        standings
    }

    async fn stands(&self, id: &str, wanted: &[&str]) {
        let what = format!("{id} to stand as {wanted:?}");
        let found = until(&what, SOON, || (self.standings(id) == wanted).then_some(())).await;
        assert!(found.is_ok(), "{found:?}; it is {:?}\n{}", self.standings(id), self.daemon.logs().unwrap());
    }

    /// Accepted = queued + held + ended; gives the counts.
    fn balanced(&self) -> Value {
        let counts = self.daemon.json(&["queue", "count"]).unwrap();
        let number = |value: &Value| value.as_i64().unwrap();
        let ended: i64 = counts["ended"].as_object().unwrap().values().map(number).sum();
        let sum = number(&counts["queued"]) + number(&counts["held"]) + ended;
        assert_eq!(number(&counts["accepted"]), sum, "{counts}");
        assert_eq!(counts["balanced"], true);
        counts
    }

    /// The rows of the audit log that have this event, the oldest first.
    fn events(&self, name: &str) -> Vec<Value> {
        let rows = self.daemon.json(&["audit", "list", "--last", "10000"]).unwrap();
        let all = rows.as_array().unwrap().iter();
        all.filter(|row| row["event"]["event"] == name).cloned().collect()
    }

    /// Waits until the sweep has erased the body.
    async fn erased(&self, id: &str) {
        let gone = || self.events("erased").iter().any(|row| row["event"]["message"] == id).then_some(());
        until(&format!("the erasure of {id}"), SOON, gone).await.unwrap();
    }

    /// Its words in one line, since where they are broken depends on how long the names are.
    fn explained(&self, id: &str) -> String {
        let printed = self.daemon.run(&["explain", id]).unwrap().good().unwrap();
        printed.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn verified(&self) -> String {
        self.daemon.run(&["audit", "verify"]).unwrap().good().unwrap()
    }
}

/// The mark that the partners' replies quote.
const QUOTED: &str = "<quoted-zebrafinch@elsewhere.example>";

const HOLD_RULE: &str = r#"
[[policy.rule]]
name = "Nothing to the old practice"
when = { recipient_domain = ["held.example"] }
hold = "the practice has moved"
"#;

/// Waits until so many mails came to this server whose content has the text.
async fn mails(mx: &Mx, text: &str, count: usize) -> Vec<String> {
    let find = || {
        let all = mx.deliveries().into_iter().map(|mail| String::from_utf8_lossy(&mail.content).into_owned());
        let found: Vec<String> = all.filter(|mail| mail.contains(text)).collect();
        (found.len() >= count).then_some(found)
    };
    until(&format!("{count} mails with {text:?} at {}", mx.name), SOON, find).await.unwrap()
}

/// Every file below a folder with its octets; one that goes away meanwhile is left out.
fn raw(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(raw(&path));
        } else if let Ok(octets) = std::fs::read(&path) {
            found.push((path, octets));
        }
    }
    found
}

fn holds(octets: &[u8], what: &[u8]) -> bool {
    !what.is_empty() && octets.windows(what.len()).any(|window| window == what)
}

/// One statement on the daemon's database, by a program that is not ours.
fn sqlite(database: &Path, statement: &str) -> String {
    let mut command = Command::new("sqlite3");
    command.arg(database).arg("-cmd").arg(".timeout 10000").arg(statement);
    run(command, database.parent().unwrap()).unwrap().good().unwrap()
}

/// The unix user that these tests run as.
fn user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap();
    user.map_or_else(|| format!("uid {}", nix::unistd::Uid::effective()), |user| user.name)
}

fn letter(subject: &str, body: &str) -> String {
    format!("From: Ann <{SENDER}>\nTo: undisclosed-recipients:;\nSubject: {subject}\n\n{body}\n")
}
