//! `sealpost client list`: who may send, as whom, and what each is known by.

use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;

use crate::cli::client::lockouts::Locked;
use crate::cli::client::{ClientError, read};
use crate::config::Client;

/// One line of `client list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// What the client may prove itself with: password, scram, certificate, network.
    pub known_by: Vec<&'static str>,
    pub profile: &'static str,
    pub senders: Vec<String>,
    pub suspended: bool,
    /// From where its login is not heard now, after too many wrong ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locked: Vec<IpAddr>,
}

pub(super) fn list(path: &Path, locked: &[Locked]) -> Result<Vec<Row>, ClientError> {
    let (_, config) = read(path)?;
    let of = |client: &Client| {
        let own = locked.iter().filter(|locked| locked.client.as_ref() == Some(&client.name));
        own.map(|locked| locked.network).collect()
    };
    let row = |client: &Client| Row {
        client: client.name.0.clone(),
        login: client.login.as_ref().map(|login| login.name.clone()),
        known_by: known_by(client),
        profile: client.profile.name(),
        senders: client.senders.clone(),
        suspended: client.suspended,
        locked: of(client),
    };
    Ok(config.clients.iter().map(row).collect())
}

fn known_by(client: &Client) -> Vec<&'static str> {
    let login = client.login.as_ref();
    let alone = login.is_none() && client.certificates.is_empty();
    let ways = [
        (login.is_some_and(|login| login.password_hash.is_some()), "password"),
        (login.is_some_and(|login| login.scram.is_some()), "scram"),
        (!client.certificates.is_empty(), "certificate"),
        // Beside a login or a certificate, the networks prove nothing: they narrow down where those are taken from.
        (alone, "network"),
    ];
    ways.into_iter().filter_map(|(is, way)| is.then_some(way)).collect()
}

/// `client list` for people.
pub(super) fn tell(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "No client may send yet: `sealpost client add NAME`.\n".to_owned();
    }
    let mut cells = vec![["CLIENT", "LOGIN", "KNOWN BY", "PROFILE", "STATE", "SENDERS"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let login = row.login.clone().unwrap_or_else(|| "-".to_owned());
        let state = if row.suspended { "suspended" } else { "active" };
        let senders = row.senders.join(", ");
        [row.client.clone(), login, row.known_by.join(", "), row.profile.to_owned(), state.to_owned(), senders]
    }));
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths = [0, 1, 2, 3, 4].map(width);
    let mut text = String::new();
    for line in &cells {
        for (cell, width) in line.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(&format!("{}\n", line[5]));
    }
    text
}
