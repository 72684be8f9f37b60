//! Deliveries to scripted servers on real sockets.

mod chunks;
mod exchangers;
mod logins;
mod resumption;
mod run;
mod scenarios;
mod server;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{ManualClock, Timestamp};
use crate::config::{
    Certificate, Config, Database, Delivery, Dns, Door, Http, Limits, Listener, Log, LogFormat, Notify, Onward, Policy,
    Queue, Retention, Route, RouteLogin, Server, Tls,
};
use crate::delivery::{Attempted, Consignment, Courier, NotReady, attempt};
use crate::mail::{Address, Asked, Assurance, Content, Domain, Message, Method, ReversePath, Utf8, WireLimits};
use crate::net::tls::stand_in::{Ca, Identity, Shows};
use crate::smtp::client::{Means, Stage};

pub(super) const MX: &str = "mx.lab.example";
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_000);

pub(super) const BO: &str = "bo@lab.example";
pub(super) const CY: &str = "cy@lab.example";
pub(super) const TAKEN: (Stage, Means) = (Stage::Content, Means::Taken);

/// A CA, and couriers that trust it.
pub(super) struct World {
    ca: Ca,
    folder: tempfile::TempDir,
}

impl World {
    pub(super) fn new() -> World {
        let world = World { ca: Ca::new(), folder: tempfile::tempdir().unwrap() };
        std::fs::write(world.ca_file(), world.ca.pem()).unwrap();
        world
    }

    pub(super) fn identity(&self, shows: Shows) -> Identity {
        self.ca.identity(MX, shows)
    }

    /// A good certificate for another name.
    pub(super) fn identity_of(&self, name: &str) -> Identity {
        self.ca.identity(name, Shows::Valid)
    }

    /// A client certificate in files.
    pub(super) fn certificate(&self, name: &str) -> Certificate {
        self.ca.write(name, self.folder.path())
    }

    /// Ann's login, with this as her password.
    pub(super) fn login(&self, password: &str) -> RouteLogin {
        let password_file = self.folder.path().join(format!("{password}.password"));
        std::fs::write(&password_file, password).unwrap();
        std::fs::set_permissions(&password_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        RouteLogin { name: "ann".into(), password_file }
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A courier that knows each domain's host.
    pub(super) fn courier(&self, routes: &[(&str, SocketAddr)]) -> Courier {
        self.courier_with(routes.iter().map(|(domain, address)| route(domain, *address)).collect())
    }

    pub(super) fn courier_with(&self, routes: Vec<Route>) -> Courier {
        courier_of(config(routes, self.ca_file()))
    }

    /// A courier whose attempts may take a second, whatever its waits are.
    pub(super) fn courier_in_haste(&self, routes: Vec<Route>) -> Courier {
        let mut config = config(routes, self.ca_file());
        config.queue.lease = Duration::from_millis(1500);
        courier_of(config)
    }

    /// A courier whose clock can be moved.
    pub(super) fn courier_by(&self, clock: Arc<ManualClock>, routes: Vec<Route>) -> Courier {
        Courier::new(Arc::new(config(routes, self.ca_file())), clock).unwrap()
    }

    pub(super) fn try_courier(&self, routes: Vec<Route>) -> Result<Courier, NotReady> {
        Courier::new(Arc::new(config(routes, self.ca_file())), Arc::new(ManualClock::at(NOW)))
    }

    /// A courier that asks a name server, and may reach `networks`.
    pub(super) fn courier_asking(&self, dns: Dns, networks: &[&str]) -> Courier {
        courier_of(self.asking(dns, networks))
    }

    /// The same beside a listener of ours.
    pub(super) fn courier_at(&self, bind: &str, dns: Dns, networks: &[&str]) -> Courier {
        let mut config = self.asking(dns, networks);
        config.listeners = vec![Listener::new(Door::Submission, bind.parse().unwrap())];
        courier_of(config)
    }

    fn asking(&self, dns: Dns, networks: &[&str]) -> Config {
        let mut config = config(Vec::new(), self.ca_file());
        config.dns = dns;
        config.delivery.allow_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        config
    }
}

fn courier_of(config: Config) -> Courier {
    Courier::new(Arc::new(config), Arc::new(ManualClock::at(NOW))).unwrap()
}

pub(super) fn route(domain: &str, address: SocketAddr) -> Route {
    Route {
        domains: vec![domain.to_owned()],
        host: address.ip().to_string(),
        port: address.port(),
        name: Domain::parse(MX).unwrap(),
        tls: Assurance::Encrypted,
        ca_file: None,
        onward: Onward::Final,
        login: None,
        client_certificate: None,
    }
}

pub(super) fn mail(to: &[&str], method: &str) -> Consignment {
    mail_of(to, method, "Subject: x\r\n\r\n.one\r\ntwo\r\n")
}

pub(super) fn mail_of(to: &[&str], method: &str, text: &str) -> Consignment {
    let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 20, line_bytes: 1 << 20 };
    let recipients: Vec<_> = to.iter().map(|text| Address::parse(text).unwrap()).collect();
    Consignment {
        sender: ReversePath::Mailbox(Address::parse("ann@clinic.example").unwrap()),
        domain: recipients[0].domain().clone(),
        recipients,
        wishes: Vec::new(),
        asked: Asked::default(),
        utf8: Utf8::NotDeclared,
        method: method.parse::<Method>().unwrap(),
        content: Content::Mail,
        message: Message::parse(text.as_bytes().to_vec(), &limits).unwrap(),
    }
}

/// Tries once, with nothing remembered.
pub(super) async fn deliver(courier: &Courier, consignment: &Consignment) -> Attempted {
    attempt(courier, consignment, None).await
}

/// What came of it for each recipient.
pub(super) fn told(attempted: &Attempted) -> Vec<(Stage, Means)> {
    attempted.answers.iter().map(|answer| (answer.stage, answer.means)).collect()
}

/// What came of it for the only recipient.
pub(super) fn only_told(attempted: &Attempted) -> (Stage, Means) {
    told(attempted)[0]
}

fn config(routes: Vec<Route>, ca_file: PathBuf) -> Config {
    let second = Duration::from_secs(1);
    Config {
        server: Server {
            hostname: Domain::parse("relay.clinic.example").unwrap(),
            data_dir: PathBuf::new(),
            master_key: PathBuf::new(),
            public_url: None,
        },
        notify: Notify {
            postmaster: Address::parse("it@clinic.example").unwrap(),
            from: Address::parse("postmaster@relay.clinic.example").unwrap(),
            digest_hour: 6,
        },
        tls: Tls { certificates: Vec::new(), client_ca_file: None },
        listeners: Vec::new(),
        clients: Vec::new(),
        routes,
        policy: Policy {
            default: vec![Method::Tls(Assurance::Valid)],
            rules: Vec::new(),
            tags: Vec::new(),
            secure: Vec::new(),
            trial: crate::config::Trial::default(),
            guard: crate::config::Guard::default(),
        },
        limits: limits(second),
        queue: Queue {
            retry: vec![second * 60],
            expire: second * 86_400,
            delay_notice: second * 3600,
            floor_patience: second * 900,
            hold_expire: second * 86_400,
            lease: second * 60,
        },
        delivery: Delivery {
            connections: 20,
            connections_per_destination: 2,
            messages_per_connection: 3,
            idle: second * 10,
            connect: second,
            command: second * 2,
            data: second * 2,
            allow_networks: Vec::new(),
            ca_file: Some(ca_file),
        },
        dns: Dns { servers: vec![SocketAddr::from(([127, 0, 0, 1], 9))], timeout: second },
        database: Database { url: "sqlite".into(), body_file_bytes: 65_536 },
        retention: Retention { evidence: second, sweep: second },
        http: Http { bind: None, public_bind: None },
        log: Log { format: LogFormat::Text, filter: "info".into() },
    }
}

fn limits(second: Duration) -> Limits {
    Limits {
        message_bytes: 1 << 20,
        header_bytes: 1 << 16,
        line_bytes: 1000,
        command_bytes: 512,
        recipients: 100,
        connections: 10,
        connections_per_address: 10,
        connections_per_minute: 1,
        messages_per_connection: 10,
        errors_per_connection: 10,
        lockout_after: 10,
        lockout: second,
        idle: second,
        session: second,
        login: second,
        data: second,
        memory_bytes: 1 << 20,
        disk_reserve_bytes: 0,
        mime_depth: 10,
        mime_parts: 10,
        mime_ratio: 10,
        mime_bytes: 1 << 20,
        extract_time: Duration::from_secs(20),
        extract_memory: 1 << 30,
        archive_depth: 5,
    }
}
