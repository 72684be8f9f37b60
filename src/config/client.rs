//! `[[client]]`: who may send, and as whom.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;
use toml::de::DeValue;

use crate::config::reader::{Absent, Seen, Table};
use crate::config::value;
use crate::mail::ClientName;

/// What a kind of client needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    #[default]
    Standard,
    /// Sends whole batches again on a 5xx, so policy refusals are accepted and held.
    OpenEmr,
}

impl Profile {
    pub const ALL: [Profile; 2] = [Profile::Standard, Profile::OpenEmr];

    pub const fn name(self) -> &'static str {
        match self {
            Profile::Standard => "standard",
            Profile::OpenEmr => "openemr",
        }
    }

    /// What policy refusals are answered, where the client's table does not say.
    pub const fn on_refusal(self) -> OnRefusal {
        match self {
            Profile::Standard => OnRefusal::Reject,
            Profile::OpenEmr => OnRefusal::AcceptAndHold,
        }
    }
}

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
    pub login: String,
    /// A PHC string, `$argon2id$…`.
    pub password_hash: String,
    /// Patterns for MAIL FROM and From: `ann@clinic.example`, `*@clinic.example`, `*@*.clinic.example`; `<>` for the
    /// null sender.
    pub senders: Vec<String>,
    /// When not empty, logins are taken from these networks only.
    pub networks: Vec<IpNet>,
    pub on_refusal: OnRefusal,
    /// A suspended client's login is answered 4xx.
    pub suspended: bool,
}

/// The clients, and every name that is written, so that a rule about a client with a mistake is not called wrong too.
pub(super) struct Clients {
    pub(super) all: Vec<Client>,
    pub(super) names: BTreeSet<String>,
}

pub(super) fn read_all(root: &mut Table<'_, '_>) -> Clients {
    let (mut names, mut logins) = (Seen::default(), Seen::default());
    let all = root.tables("client", |table| {
        let name_line = table.line_of("name");
        let login_line = table.line_of("login");
        let name = table.required("name", name);
        let login = table.required("login", value::text);
        if let Some(first) = name.as_ref().and_then(|name| names.earlier(name, name_line)) {
            table.mistake(
                name_line,
                "name",
                format!("the client on line {first} has this name already: choose another"),
            );
        }
        if let Some(first) = login.as_ref().and_then(|login| logins.earlier(login, login_line)) {
            table.mistake(
                login_line,
                "login",
                format!("the client on line {first} has this login already: choose another"),
            );
        }
        let password_hash = table.required("password_hash", argon2id);
        let profile = table.setting("profile", profile);
        let senders = table.filled("senders", Absent::Mistake, sender);
        let senders = senders.into_iter().map(|given| given.value).collect();
        let networks = table.list("networks", Absent::Default, value::network);
        let on_refusal = table.optional("on_refusal", on_refusal).unwrap_or(profile.on_refusal());
        let suspended = table.setting("suspended", value::flag);
        let (name, login, password_hash) = (ClientName(name?), login?, password_hash?);
        Some(Client { name, profile, login, password_hash, senders, networks, on_refusal, suspended })
    });
    Clients { all, names: names.into_values().collect() }
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

fn profile(written: &DeValue<'_>) -> Result<Profile, String> {
    value::one_of(written, Profile::ALL.map(|profile| (profile.name(), profile)))
}

fn on_refusal(written: &DeValue<'_>) -> Result<OnRefusal, String> {
    value::one_of(written, [("reject", OnRefusal::Reject), ("accept-and-hold", OnRefusal::AcceptAndHold)])
}

/// The shape only: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
fn argon2id(written: &DeValue<'_>) -> Result<String, String> {
    let hash = value::text(written)?;
    let fields: Vec<&str> = hash.split('$').collect();
    let whole = matches!(fields.as_slice(), ["", "argon2id", "v=19", cost, salt, digest]
        if cost.starts_with("m=") && salt.len() >= 8 && digest.len() >= 16);
    if whole { Ok(hash) } else { Err("write an Argon2id hash: `sealpost client passwd NAME` does it for you".into()) }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}
