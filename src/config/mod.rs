//! The config: one typed tree, one type per table, and the mistakes that a text can hold.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::mail::{Address, Assurance, ClientName, Domain, Method, Role};
use crate::phi::Kind;

/// A whole config, checked: every value has its type, and what refers to something refers to what exists.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: Server,
    pub notify: Notify,
    pub tls: Tls,
    pub listeners: Vec<Listener>,
    pub clients: Vec<Client>,
    pub routes: Vec<Route>,
    pub policy: Policy,
    pub limits: Limits,
    pub queue: Queue,
    pub delivery: Delivery,
    pub dns: Dns,
    pub database: Database,
    pub retention: Retention,
    pub http: Http,
    pub log: Log,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// The name in the greeting, in EHLO and in trace headers.
    pub hostname: Domain,
    pub data_dir: PathBuf,
    /// Where the master key is when it is neither a systemd credential nor in the environment.
    pub master_key: PathBuf,
}

/// `[notify]`
#[derive(Clone, Debug)]
pub struct Notify {
    /// Who is told of holds, expiries and failed checks, and gets the daily digest.
    pub postmaster: Address,
    /// From: of what we write ourselves; default `postmaster@` the host name.
    pub from: Address,
    /// Local hour (UTC) of the daily digest, 0 to 23.
    pub digest_hour: u8,
}

/// `[tls]`
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificates: Vec<Certificate>,
}

/// `[[tls.certificate]]`
#[derive(Clone, Debug)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// `[[listener]]`
#[derive(Clone, Debug)]
pub struct Listener {
    pub role: Role,
    pub bind: SocketAddr,
}

/// What a kind of client needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Standard,
    /// Sends whole batches again on a 5xx, so policy refusals are accepted and held.
    OpenEmr,
}

/// What a client is answered when policy refuses its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefusal {
    Reject,
    AcceptAndHold,
}

/// `[[client]]`
#[derive(Clone, Debug)]
pub struct Client {
    pub name: ClientName,
    pub profile: Profile,
    pub login: String,
    /// A PHC string, `$argon2id$…`.
    pub password_hash: String,
    /// Patterns for MAIL FROM and From: `ann@clinic.example`, `*@clinic.example`, `*@*.clinic.example`.
    pub senders: Vec<String>,
    /// When not empty, logins are taken from these networks only.
    pub networks: Vec<IpNet>,
    pub on_refusal: OnRefusal,
    /// A suspended client's login is answered 4xx.
    pub suspended: bool,
}

/// What lies behind a smarthost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// It is the recipients' own server.
    Final,
    /// It relays on, and enforces TLS at our floor when it does.
    Enforced,
    /// Not known: carries notices and end-to-end sealed mail only.
    Unknown,
}

/// `[[route]]`
#[derive(Clone, Debug)]
pub struct Route {
    /// `lab.example`, `*.lab.example`, `*`.
    pub domains: Vec<String>,
    pub host: String,
    pub port: u16,
    /// The name that the certificate must carry.
    pub name: Domain,
    pub tls: Assurance,
    pub ca_file: Option<PathBuf>,
    pub onward: Onward,
}

/// `[policy]`
#[derive(Clone, Debug)]
pub struct Policy {
    pub default: Vec<Method>,
    pub rules: Vec<Rule>,
    /// Subject tags that ask for protection, without the brackets' case mattering: `[secure]`, `[encrypt]`.
    pub tags: Vec<String>,
    /// The methods that a tag or `X-Sealpost-Secure: yes` asks for.
    pub secure: Vec<Method>,
}

/// `[[policy.rule]]`
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub when: When,
    pub then: Then,
}

/// All conditions given must hold; a list holds when one of its entries does.
#[derive(Clone, Debug, Default)]
pub struct When {
    pub client: Vec<ClientName>,
    /// Address patterns, as in `Client::senders`.
    pub sender: Vec<String>,
    pub recipient: Vec<String>,
    pub recipient_domain: Vec<String>,
    pub phi: Option<bool>,
    pub kinds: Vec<Kind>,
    /// Whether the sender asked for protection by a tag, a control header or a sensitivity.
    pub marked: Option<bool>,
}

#[derive(Clone, Debug)]
pub enum Then {
    /// `deliver = [...]`, with `last = "hold"` or `"undeliverable"`.
    Deliver(Vec<Method>, Last),
    /// `hold = "why"`
    Hold(String),
    /// `reject = "text"`
    Reject(String),
}

/// What becomes of a message when its list of methods runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    Hold,
    Undeliverable,
}

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    pub message_bytes: usize,
    pub header_bytes: usize,
    pub line_bytes: usize,
    pub command_bytes: usize,
    pub recipients: usize,
    pub connections: usize,
    pub connections_per_address: usize,
    pub messages_per_connection: usize,
    pub errors_per_connection: usize,
    pub idle: Duration,
    pub session: Duration,
    pub data: Duration,
    /// Bytes of messages that may be in memory before new ones are answered 4xx.
    pub memory_bytes: usize,
    /// Free disk below which new messages are answered 4xx.
    pub disk_reserve_bytes: u64,
    pub mime_depth: usize,
    pub mime_parts: usize,
    /// How many times its encoded size a part may grow to when decoded.
    pub mime_ratio: usize,
    /// Decoded bytes of one message that are read in all.
    pub mime_bytes: usize,
}

/// `[queue]`
#[derive(Clone, Debug)]
pub struct Queue {
    /// Waits between attempts; the last repeats.
    pub retry: Vec<Duration>,
    pub expire: Duration,
    /// When a sender is told that a message is late.
    pub delay_notice: Duration,
    /// How long a floor may stay unmet before the next method is tried.
    pub floor_patience: Duration,
    /// How long a held message is kept before it expires.
    pub hold_expire: Duration,
    pub lease: Duration,
}

/// `[delivery]`
#[derive(Clone, Debug)]
pub struct Delivery {
    pub connections: usize,
    pub connections_per_destination: usize,
    pub messages_per_connection: usize,
    pub idle: Duration,
    pub connect: Duration,
    pub command: Duration,
    pub data: Duration,
    /// Private and loopback networks that an MX may lie in.
    pub allow_networks: Vec<IpNet>,
    /// Trusted roots beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// `[dns]`
#[derive(Clone, Debug)]
pub struct Dns {
    /// Empty: the system's resolvers.
    pub servers: Vec<SocketAddr>,
    pub timeout: Duration,
}

/// `[database]`
#[derive(Clone, Debug)]
pub struct Database {
    /// `sqlite`, or `postgres://…`.
    pub url: String,
    /// Bodies from this size on lie in files of their own.
    pub body_file_bytes: usize,
}

/// `[retention]`
#[derive(Clone, Debug)]
pub struct Retention {
    /// Evidence and audit (45 CFR 164.316(b)(2)(i): six years).
    pub evidence: Duration,
    pub sweep: Duration,
}

/// `[http]`
#[derive(Clone, Debug)]
pub struct Http {
    pub bind: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    pub format: LogFormat,
    /// A `tracing` filter, such as `info` or `sealpost::delivery=debug,info`.
    pub filter: String,
}
