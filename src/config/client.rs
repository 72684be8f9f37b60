//! `[[client]]`: who may send, and as whom.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use toml::de::DeValue;

use crate::config::guard::Care;
use crate::config::listener::Tls;
use crate::config::login::{Certified, Login, certified};
use crate::config::profile::Profile;
use crate::config::rate::Rates;
use crate::config::reader::{Absent, Seen, Table};
use crate::config::value::{self, nearest};
use crate::mail::ClientName;

/// What a client is answered when policy refuses its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefusal {
    Reject,
    AcceptAndHold,
}

/// `[[client]]`. `Debug` shows only its name.
#[derive(Clone)]
pub struct Client {
    pub name: ClientName,
    pub profile: Profile,
    pub login: Option<Login>,
    /// Client certificates of which each stands for this client, with or without a login beside them.
    pub certificates: Vec<Certified>,
    /// Patterns for MAIL FROM and From: `ann@clinic.example`, `*@clinic.example`, `*@*.clinic.example`; `<>` for the
    /// null sender.
    pub senders: Vec<String>,
    /// Patterns for MAIL FROM alone.
    pub return_paths: Vec<String>,
    /// With a login or a certificate: when not empty, that is taken from these networks only. Without either, they are
    /// what the client is known by, at listeners that ask for no login.
    pub networks: Vec<IpNet>,
    pub on_refusal: OnRefusal,
    pub rates: Rates,
    /// Whether tags and control headers are believed of a client that is known by its network alone.
    pub trust_headers: bool,
    /// Whether its senders get a receipt for every message.
    pub receipt: bool,
    /// Whether its users may opt out of protection, with a reason.
    pub may_opt_out: Permission,
    pub care: Care,
    /// A suspended client's login is answered 4xx.
    pub suspended: bool,
}

/// The clients, and every name that is written, so that a rule about a client with a mistake is not called wrong too.
pub(super) struct Clients {
    pub(super) all: Vec<Client>,
    pub(super) names: BTreeSet<String>,
}

impl Clients {
    /// Notes a mistake where no client has this name.
    pub(super) fn check(&self, table: &mut Table<'_, '_>, (line, key): (usize, &str), name: &str) {
        if self.names.contains(name) {
            return;
        }
        let text = match nearest(name, self.names.iter().map(String::as_str)) {
            Some(near) => format!("no [[client]] has this name; did you mean \"{near}\"?"),
            None => "no [[client]] has this name: add the client, or take the name out".to_owned(),
        };
        table.mistake(line, key, text);
    }
}

/// Whether the people behind a client may opt out of protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permission {
    Granted,
    #[default]
    NotGranted,
}

fn permission(written: &DeValue<'_>) -> Result<Permission, String> {
    value::flag(written).map(|granted| if granted { Permission::Granted } else { Permission::NotGranted })
}

pub(super) fn read_all(root: &mut Table<'_, '_>, tls: &Tls) -> Clients {
    let mut seen = [Seen::default(), Seen::default(), Seen::default(), Seen::default()];
    let all = root.tables("client", |table| {
        let [names, logins, certified, visitors] = &mut seen;
        let name_line = table.line_of("name");
        let name = table.required("name", name);
        if let Some(first) = name.as_ref().and_then(|name| names.earlier(name, name_line)) {
            let text = format!("the client on line {first} has this name already: choose another");
            table.mistake(name_line, "name", text);
        }
        let before = table.mistakes();
        let login = login(table, logins);
        let certificates = certificates(table, certified, tls);
        let networks_line = table.line_of("networks");
        let networks = table.list("networks", Absent::Default, value::network);
        if login.is_none() && certificates.is_empty() && networks.is_empty() && table.mistakes() == before {
            let text = "is missing, and so is every other way to know this client: write login with password_hash and \
                        scram, or certificate, or networks";
            table.mistake(table.line, "login", text);
        }
        if login.is_none() && certificates.is_empty() {
            alone(table, &networks, (visitors, networks_line));
        }
        let profile = table.setting("profile", profile);
        let senders = table.filled("senders", Absent::Mistake, sender);
        let senders = senders.into_iter().map(|given| given.value).collect();
        let return_paths = return_paths(table, profile);
        let on_refusal = table.optional("on_refusal", on_refusal).unwrap_or(profile.on_refusal());
        let rates = Rates::read(table);
        let trust_headers = table.setting("trust_headers", value::flag);
        let receipt = table.setting("receipt", value::flag);
        let may_opt_out = table.setting("may_opt_out", permission);
        let care = Care::read(table, profile);
        let suspended = table.setting("suspended", value::flag);
        Some(Client {
            name: ClientName(name?),
            profile,
            login,
            certificates,
            senders,
            return_paths,
            networks,
            on_refusal,
            rates,
            trust_headers,
            receipt,
            may_opt_out,
            care,
            suspended,
        })
    });
    let [names, ..] = seen;
    Clients { all, names: names.into_values().collect() }
}

fn login(table: &mut Table<'_, '_>, seen: &mut Seen) -> Option<Login> {
    let line = table.line_of("login");
    let login = Login::read(table);
    if let Some(first) = login.as_ref().and_then(|login| seen.earlier(&login.name, line)) {
        table.mistake(line, "login", format!("the client on line {first} has this login already: choose another"));
    }
    login
}

/// A network that is all two clients are known by would be both. Of one within another, the narrower goes first.
fn alone(table: &mut Table<'_, '_>, networks: &[IpNet], (seen, line): (&mut Seen, usize)) {
    for network in networks {
        let least = if network.addr().is_ipv4() { 8 } else { 32 };
        if network.prefix_len() < least {
            let text = "is too wide to make anybody known: without a login, everybody in there may send as this client";
            table.mistake(line, "networks", text);
        }
        if let Some(first) = seen.earlier(&network.trunc().to_string(), line) {
            let text = format!("the client on line {first} is known by the same network already: narrow one of them");
            table.mistake(line, "networks", text);
        }
    }
}

fn certificates(table: &mut Table<'_, '_>, seen: &mut Seen, tls: &Tls) -> Vec<Certified> {
    let mut certificates = Vec::new();
    for given in table.filled("certificate", Absent::Nothing, certified) {
        if let Some(first) = seen.earlier(&given.value.to_string(), given.line) {
            let text = format!("the same stands on line {first} already: one certificate is one client");
            table.mistake(given.line, "certificate", text);
        }
        match &given.value {
            Certified::Name(_) if tls.client_ca_file.is_none() => {
                let text = "a name is worth what its issuer is: write tls.client_ca_file as well";
                table.mistake(given.line, "certificate", text);
            }
            Certified::Name(_) | Certified::Certificate(_) | Certified::Key(_) => {}
        }
        certificates.push(given.value);
    }
    certificates
}

/// Client names stand in logs and events, so they are plain words.
fn name(written: &DeValue<'_>) -> Result<String, String> {
    let name = value::text(written)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.len() <= 64 && name.bytes().all(plain) {
        Ok(name)
    } else {
        Err("write at most 64 letters, digits, dots, dashes and underscores".into())
    }
}

fn sender(written: &DeValue<'_>) -> Result<String, String> {
    match value::text(written) {
        Ok(text) if text == "<>" => Ok(text),
        Ok(_) | Err(_) => value::address_pattern(written),
    }
}

fn return_paths(table: &mut Table<'_, '_>, profile: Profile) -> Vec<String> {
    let written = table.has("return_paths");
    let given = table.list("return_paths", Absent::Nothing, value::address_pattern);
    if written { given } else { profile.return_paths().iter().map(|&pattern| pattern.to_owned()).collect() }
}

fn profile(written: &DeValue<'_>) -> Result<Profile, String> {
    value::one_of(written, Profile::ALL.map(|profile| (profile.name(), profile)))
}

fn on_refusal(written: &DeValue<'_>) -> Result<OnRefusal, String> {
    value::one_of(written, [("reject", OnRefusal::Reject), ("accept-and-hold", OnRefusal::AcceptAndHold)])
}

impl Client {
    /// Whether its networks are all that it is known by.
    pub fn is_known_by_network(&self) -> bool {
        self.login.is_none() && self.certificates.is_empty()
    }

    /// Whether an address lies in its networks.
    pub fn comes_from(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}
