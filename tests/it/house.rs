//! A clinic's relay as a child process, the DNS that it asks, and partners behind recording proxies on port 25, in a
//! network of its own: `127.34.N.0/24`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::world::authority::{Authority, credulous_client};
use crate::world::behaviour::Behaviour;
use crate::world::client::{Client, Entry, Mail};
use crate::world::daemon::{Daemon, HOSTNAME, binary};
use crate::world::dns::{Dns, Entry as Names};
use crate::world::mx::{Delivery, Mx};
use crate::world::proxy::Proxy;
use crate::world::until;

pub(crate) const ANN: &str = "ann@clinic.example";
/// The longest until anything has happened that is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(40);

/// One mail server, and the proxy that keeps what crosses to it.
pub(crate) struct Partner {
    pub(crate) mx: Mx,
    pub(crate) proxy: Proxy,
}

impl Partner {
    pub(crate) fn took(&self) -> Vec<Delivery> {
        self.mx.deliveries()
    }

    /// Nothing but greeting, EHLO, STARTTLS and QUIT crossed in clear; gives how many connections there were.
    pub(crate) fn crossed_cleanly(&self) -> usize {
        let summary = self.proxy.summary();
        assert!(summary.faults.is_empty(), "{}: {:?}", self.mx.name, summary.faults);
        assert!(!self.proxy.saw("@clinic.example") && !self.proxy.saw("MAIL FROM"), "{}", self.mx.name);
        summary.connections
    }
}

pub(crate) struct House {
    pub(crate) net: u8,
    pub(crate) daemon: Daemon,
    pub(crate) dns: Dns,
    pub(crate) authority: Arc<Authority>,
    /// Where the clinic's own people read: senders and postmaster.
    pub(crate) home: Partner,
    pub(crate) login: (String, String),
    pub(crate) folder: tempfile::TempDir,
}

/// What differs from a config as `init` writes it; retries within seconds.
fn overlay(net: u8, dns: &Dns, ca: &str) -> String {
    format!(
        r#"
[[listener]]
role = "submission"
bind = "127.34.{net}.1:587"
[http]
bind = "127.34.{net}.1:9465"
[dns]
servers = ["{}"]
timeout = "2s"
[delivery]
allow_networks = ["127.34.{net}.0/24", "::1/128"]
ca_file = "{ca}"
connect = "3s"
command = "5s"
[queue]
retry = ["1s"]
floor_patience = "1s"
[limits]
disk_reserve_bytes = "1MiB"
"#,
        dns.address
    )
}

impl House {
    /// A house that runs, with more laid over its config.
    pub(crate) async fn open(net: u8, more: &str) -> House {
        let mut house = House::furnish(net, more).await;
        house.daemon.start().unwrap();
        house
    }

    /// A house whose daemon is not started yet.
    pub(crate) async fn furnish(net: u8, more: &str) -> House {
        let folder = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::new("Partners' CA").unwrap());
        let ca = folder.path().join("partners-ca.pem");
        std::fs::write(&ca, &authority.pem).unwrap();
        let dns = Dns::start(&format!("127.34.{net}.53:0")).await.unwrap();
        let daemon = Daemon::init(&binary().unwrap(), &folder.path().join("relay")).unwrap();
        daemon.configure(&overlay(net, &dns, &ca.display().to_string())).unwrap();
        daemon.configure(more).unwrap();
        let added = daemon.json(&["client", "add", "ehr", "--sender", "*@clinic.example"]).unwrap();
        let word = |key: &str| added[key].as_str().unwrap().to_owned();
        let login = (word("login"), word("password"));
        let home = start(net, 9, "mx.clinic.example", (&authority, Behaviour::default())).await;
        let house = House { net, daemon, dns, authority, home, login, folder };
        house.dns.mail_domain("clinic.example", "mx.clinic.example", house.address(9));
        house
    }

    pub(crate) fn address(&self, last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 34, self.net, last))
    }

    /// A mail server at an address of this house's network, under a name of its own; no MX names it yet.
    pub(crate) async fn host(&self, last: u8, name: &str, behaviour: Behaviour) -> Partner {
        self.dns.set(name, Names { addresses: vec![self.address(last)], ..Names::default() });
        start(self.net, last, name, (&self.authority, behaviour)).await
    }

    /// A domain with one MX, `mx.DOMAIN`.
    pub(crate) async fn partner(&self, last: u8, domain: &str, behaviour: Behaviour) -> Partner {
        let name = format!("mx.{domain}");
        let partner = self.host(last, &name, behaviour).await;
        self.dns.mail_domain(domain, &name, self.address(last));
        partner
    }

    pub(crate) fn mx(&self, domain: &str, hosts: &[(u16, &str)]) {
        let mx = hosts.iter().map(|(preference, host)| (*preference, (*host).to_owned())).collect();
        self.dns.set(domain, Names { mx, ..Names::default() });
    }

    /// A session of the EHR, logged in.
    pub(crate) async fn client(&self) -> Client {
        let entry = Entry::StartTls(credulous_client().unwrap(), HOSTNAME.to_owned());
        let mut client = Client::connect((self.address(1), 587).into(), &entry).await.unwrap();
        let reply = client.login(&self.login.0, &self.login.1).await.unwrap();
        assert_eq!(reply.code, 235, "{}", reply.text());
        client
    }

    /// Submits from Ann; gives the id that the 250 names.
    pub(crate) async fn submit(&self, recipients: &[&str], subject: &str) -> String {
        let mut client = self.client().await;
        let id = send(&mut client, &letter(ANN, recipients, subject)).await;
        client.quit().await.unwrap();
        id
    }

    /// The rows of `queue show`, one for each recipient.
    pub(crate) fn rows(&self, id: &str) -> Vec<Value> {
        match self.daemon.json(&["queue", "show", id]).unwrap() {
            Value::Array(rows) => rows,
            row => vec![row],
        }
    }

    /// Waits until no recipient is queued any more; gives how each stands: the end, or `held:CAUSE`.
    pub(crate) async fn settled(&self, id: &str) -> Vec<String> {
        let done = || {
            let rows = self.rows(id);
            rows.iter().all(|row| row["standing"]["state"] != "queued").then(|| rows.iter().map(standing).collect())
        };
        let ended = until(&format!("the end of {id}"), SOON, done).await;
        ended.unwrap_or_else(|error| panic!("{error}\n{}", self.daemon.logs().unwrap()))
    }

    /// Waits until the only recipient of a message was tried so often.
    pub(crate) async fn tried(&self, id: &str, times: u64) -> Value {
        let tried = || self.rows(id).into_iter().find(|row| row["attempts"].as_u64() >= Some(times));
        until(&format!("attempt {times} of {id}"), SOON, tried).await.unwrap()
    }

    /// What `explain` tells of a message, in words.
    pub(crate) fn told(&self, id: &str) -> String {
        self.daemon.run(&["explain", id]).unwrap().good().unwrap()
    }

    /// Waits until the clinic's own server has a notice with this in its content, and gives it.
    pub(crate) async fn notice(&self, with: &str) -> Delivery {
        let find = || {
            let all = self.home.took();
            all.into_iter().find(|delivery| delivery.sender.is_empty() && text(delivery).contains(with))
        };
        until(&format!("a notice with {with:?}"), SOON, find).await.unwrap()
    }

    /// The log is a whole chain, and everybody who was accepted is somewhere.
    pub(crate) fn audited(&self) {
        self.daemon.run(&["audit", "verify"]).unwrap().good().unwrap();
        self.daemon.run(&["queue", "count"]).unwrap().good().unwrap();
    }
}

async fn start(net: u8, last: u8, name: &str, (authority, behaviour): (&Arc<Authority>, Behaviour)) -> Partner {
    let mx = Mx::start(name, "127.0.0.1:0", behaviour, authority).await.unwrap();
    let proxy = Proxy::start(&format!("127.34.{net}.{last}:25"), mx.address).await.unwrap();
    Partner { mx, proxy }
}

pub(crate) fn standing(row: &Value) -> String {
    let standing = &row["standing"];
    match standing["state"].as_str() {
        Some("ended") => standing["end"].as_str().unwrap().to_owned(),
        Some("held") => format!("held:{}", standing["cause"].as_str().unwrap()),
        _ => "queued".to_owned(),
    }
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.content).into_owned()
}

pub(crate) fn letter(sender: &str, recipients: &[&str], subject: &str) -> Mail {
    let to = recipients.join(", ");
    let content =
        format!("From: {ANN}\r\nTo: {to}\r\nSubject: {subject}\r\nX-World-Tag: {subject}\r\n\r\nSee you at noon.\r\n");
    Mail {
        sender: sender.to_owned(),
        recipients: recipients.iter().map(|&recipient| recipient.to_owned()).collect(),
        content: content.into_bytes(),
    }
}

/// Sends one message, and gives the id that the 250 names.
pub(crate) async fn send(client: &mut Client, mail: &Mail) -> String {
    let replies = client.send(mail).await.unwrap();
    assert!(replies.accepted(), "{}", replies.last().text());
    replies.last().queued().unwrap()
}

/// One message from Ann with parameters of MAIL, and of RCPT for each recipient; gives the id that the 250 names.
pub(crate) async fn ask(house: &House, mail: &str, recipients: &[(&str, &str)], content: &[u8]) -> String {
    let mut client = house.client().await;
    let mut lines = vec![format!("MAIL FROM:<{ANN}>{mail}")];
    lines.extend(recipients.iter().map(|(address, wishes)| format!("RCPT TO:<{address}>{wishes}")));
    for line in lines {
        let reply = client.command(&line).await.unwrap();
        assert_eq!(reply.code, 250, "{line}: {}", reply.text());
    }
    assert_eq!(client.command("DATA").await.unwrap().code, 354);
    client.write(&[content, b".\r\n"].concat()).await.unwrap();
    let reply = client.reply().await.unwrap();
    assert_eq!(reply.code, 250, "{}", reply.text());
    client.quit().await.unwrap();
    reply.queued().unwrap()
}
