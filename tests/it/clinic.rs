//! A clinic for scenarios: a running Sealpost with both listeners, two clients, and partners' mail servers behind routes.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::Value;

use crate::world::authority::{Authority, credulous_client};
use crate::world::behaviour::Behaviour;
use crate::world::client::{Client, Entry, Mail};
use crate::world::daemon::{Daemon, HOSTNAME, Printed, binary, run};
use crate::world::mx::{Delivery, Mx};
use crate::world::until;
use crate::world::wire::Reply;

pub(crate) const PASSWORD: &str = "only-for-the-scenarios";
/// The longest that anything here may take to come about.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) static HASH: LazyLock<String> = LazyLock::new(|| sealpost::crypto::hash_password(PASSWORD).unwrap());
static SCRAM: LazyLock<String> = LazyLock::new(|| sealpost::smtp::verifier(PASSWORD).unwrap().unwrap().to_string());
static CLINICS: AtomicU8 = AtomicU8::new(1);

/// Two clients log in with `PASSWORD`: `ehr` is a standard one, `openemr` is accepted and held. Both may send as anybody
/// at clinic.example.
pub(crate) struct Clinic {
    pub(crate) daemon: Daemon,
    /// STARTTLS.
    pub(crate) submission: SocketAddr,
    /// TLS from the first byte.
    pub(crate) submissions: SocketAddr,
    partners: Vec<(String, Mx)>,
    /// Holds all of it, and is gone with it.
    _home: tempfile::TempDir,
}

impl Clinic {
    /// Partners are domains with what their server does; the config is laid over the one that `init` wrote.
    pub(crate) async fn open(partners: &[(&str, Behaviour)], config: &str) -> Clinic {
        let home = tempfile::tempdir().unwrap();
        let own = own_address();
        let daemon = Daemon::init(&binary().unwrap(), &home.path().join("clinic")).unwrap();
        let (partners, routes) = meet(partners, own, home.path()).await;
        // The partners' ports are taken by now, so none of them can be one of these.
        let [submission, submissions] = free(own);
        for part in [&doors(submission, submissions), &routes, config] {
            daemon.configure(part).unwrap();
        }
        let mut clinic = Clinic { daemon, submission, submissions, partners, _home: home };
        clinic.daemon.start().unwrap();
        clinic
    }

    /// Lays other limits over the config, for the connections to come.
    pub(crate) fn limits(&mut self, limits: &str) {
        self.daemon.configure(&format!("[limits]\n{limits}\n")).unwrap();
        self.daemon.reload().unwrap();
    }

    pub(crate) fn partner(&self, domain: &str) -> &Mx {
        &self.partners.iter().find(|(name, _)| name == domain).unwrap().1
    }

    /// The local CA that `init` made: what an EHR has to trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.daemon.folder.join("tls/ca.pem")
    }

    /// A connection behind STARTTLS, with nobody logged in.
    pub(crate) async fn stranger(&self) -> Client {
        let entry = Entry::StartTls(credulous_client().unwrap(), HOSTNAME.to_owned());
        Client::connect(self.submission, &entry).await.unwrap()
    }

    pub(crate) async fn login(&self, user: &str) -> Client {
        let mut client = self.stranger().await;
        let reply = client.login(user, PASSWORD).await.unwrap();
        assert_eq!(reply.code, 235, "{}", reply.text());
        client
    }

    /// Sends as `ann@clinic.example`, and gives the last reply.
    pub(crate) async fn submit(&self, user: &str, recipients: &[&str], content: &[u8]) -> Reply {
        let mut client = self.login(user).await;
        let replies = client.send(&mail(recipients, content)).await.unwrap();
        let last = replies.last().clone();
        client.quit().await.unwrap();
        last
    }

    /// What `explain` tells of a message.
    pub(crate) fn story(&self, id: &str) -> Value {
        self.daemon.json(&["explain", id]).unwrap()
    }

    /// Where each recipient of a message stands, by domain: `queued`, `held` and why, or the end.
    pub(crate) fn standing(&self, id: &str) -> BTreeMap<String, String> {
        let rows = match self.daemon.json(&["queue", "show", id]).unwrap() {
            Value::Array(rows) => rows,
            row => vec![row],
        };
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let state = |standing: &Value| match standing["state"].as_str().unwrap() {
            "held" => format!("held {}", word(&standing["cause"])),
            "ended" => word(&standing["end"]),
            state => state.to_owned(),
        };
        rows.iter().map(|row| (word(&row["domain"]), state(&row["standing"]))).collect()
    }

    /// Waits until every recipient of a message stands as is said, by domain.
    pub(crate) async fn stands(&self, id: &str, expected: &[(&str, &str)]) {
        let expected: BTreeMap<String, String> =
            expected.iter().map(|&(domain, state)| (domain.to_owned(), state.to_owned())).collect();
        let end = tokio::time::Instant::now() + SOON;
        loop {
            let standing = self.standing(id);
            if standing == expected {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{standing:?} instead of {expected:?}\n{}", self.story(id));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a partner has taken so many messages.
    pub(crate) async fn taken(&self, domain: &str, count: usize) -> Vec<Delivery> {
        self.partner(domain).wait_for(count, SOON).await.unwrap()
    }

    /// Waits until a partner has taken messages for so many recipients in all.
    pub(crate) async fn reached(&self, domain: &str, recipients: usize) -> Vec<Delivery> {
        let taken = || {
            let taken = self.partner(domain).deliveries();
            (taken.iter().map(|delivery| delivery.recipients.len()).sum::<usize>() >= recipients).then_some(taken)
        };
        until(&format!("{recipients} recipients at {domain}"), SOON, taken).await.unwrap()
    }

    /// Waits until the log holds a text so many times.
    pub(crate) async fn logged(&self, text: &str, times: usize) {
        let count = || (self.daemon.logs().ok()?.matches(text).count() >= times).then_some(());
        until(text, SOON, count).await.unwrap();
    }

    /// Runs a program that is not ours, in the clinic's folder.
    pub(crate) fn run(&self, command: Command) -> Printed {
        run(command, &self.daemon.folder).unwrap()
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.daemon.folder.join(name);
        std::fs::write(&file, content).unwrap();
        file
    }
}

pub(crate) fn mail(recipients: &[&str], content: &[u8]) -> Mail {
    Mail {
        sender: "ann@clinic.example".to_owned(),
        recipients: recipients.iter().map(|&recipient| recipient.to_owned()).collect(),
        content: content.to_vec(),
    }
}

/// A message that needs no edit but the trace header.
pub(crate) fn letter(subject: &str, body: &str) -> Vec<u8> {
    format!(
        "From: Ann Lee <ann@clinic.example>\r\nTo: undisclosed:;\r\nSubject: {subject}\r\n\
         Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <{subject:.8}.1@clinic.example>\r\n\r\n{body}\r\n"
    )
    .into_bytes()
}

/// The number in the queue that a 250 told.
pub(crate) fn queued(reply: &Reply) -> String {
    reply.queued().unwrap_or_else(|| panic!("{}", reply.text()))
}

/// What was delivered behind the trace header that was put in front.
pub(crate) fn behind_trace(content: &[u8]) -> &[u8] {
    assert!(content.starts_with(b"Received: from client by relay.clinic.example\r\n\t"));
    let mut end = 0;
    for line in content.split_inclusive(|byte| *byte == b'\n').take(3) {
        end += line.len();
    }
    &content[end..]
}

/// Starts the partners' servers, and gives the routes to them.
async fn meet(partners: &[(&str, Behaviour)], own: Ipv4Addr, home: &Path) -> (Vec<(String, Mx)>, String) {
    let authority = Arc::new(Authority::new("Partners' CA").unwrap());
    let ca = home.join("partners-ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let mut routes = format!("[delivery]\nca_file = \"{}\"\n", ca.display());
    let mut met = Vec::new();
    for (domain, behaviour) in partners {
        let name = format!("mx.{domain}");
        let mx = Mx::start(&name, &format!("{own}:0"), behaviour.clone(), &authority).await.unwrap();
        let host = mx.address;
        let route = format!("domains = [\"{domain}\"]\nhost = \"{host}\"\nname = \"{name}\"\nonward = \"final\"");
        writeln!(routes, "[[route]]\n{route}").unwrap();
        met.push(((*domain).to_owned(), mx));
    }
    (met, routes)
}

fn doors(submission: SocketAddr, submissions: SocketAddr) -> String {
    let (hash, scram) = (HASH.as_str(), SCRAM.as_str());
    format!(
        r#"
[[listener]]
role = "submission"
bind = "{submission}"
[[listener]]
role = "submissions"
bind = "{submissions}"
[[client]]
name = "ehr"
login = "ehr"
password_hash = "{hash}"
scram = "{scram}"
senders = ["*@clinic.example"]
[[client]]
name = "openemr"
profile = "openemr"
login = "openemr"
password_hash = "{hash}"
scram = "{scram}"
senders = ["*@clinic.example"]
[http]
bind = "off"
[queue]
retry = ["1h"]
"#
    )
}

/// An address of this test's own, so that no other test takes a port between its choice and its use.
pub(crate) fn own_address() -> Ipv4Addr {
    let process = u8::try_from(std::process::id() % 250).unwrap();
    Ipv4Addr::new(127, 32, process, CLINICS.fetch_add(1, Ordering::Relaxed))
}

/// Two ports that nobody has.
pub(crate) fn free(address: Ipv4Addr) -> [SocketAddr; 2] {
    let both = [(); 2].map(|()| TcpListener::bind((address, 0)).unwrap());
    both.map(|listener| listener.local_addr().unwrap())
}
