//! Lock-outs of the running daemon: who is not heard after too many wrong logins, and hearing them again.

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::accounts::Unlock;
use crate::cli::output::{Failed, Format, print_json, print_line};
use crate::cli::reach;
use crate::control::Request;
use crate::mail::ClientName;

/// A login that is not heard from a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Locked {
    pub(super) whose: String,
    pub(super) client: Option<ClientName>,
    pub(super) network: IpAddr,
    pub(super) until: String,
}

impl Locked {
    fn tell(&self) -> String {
        let Locked { whose, client, network, until } = self;
        match (client, whose.as_str()) {
            (Some(client), _) => format!("{client} from {network}, until {until}"),
            (None, "everybody") => format!("every login that was never right from {network}, until {until}"),
            (None, _) => format!("a login that nobody has, from {network}, until {until}"),
        }
    }
}

/// What is locked; nothing, where no daemon runs or it may not be asked.
pub(super) fn known(path: &Path) -> Vec<Locked> {
    let mut locked = Vec::new();
    let asked = reach::read_config(path).and_then(|config| {
        reach::ask_running(&config, &Request::Locked, &mut |row| locked.extend(serde_json::from_value(row).ok()))
    });
    // Who may not ask the daemon may still read the config, and is shown what stands there.
    asked.map_or(Vec::new(), |_| locked)
}

pub(super) fn tell(locked: &[Locked]) -> String {
    if locked.is_empty() {
        return String::new();
    }
    let lines: String = locked.iter().map(|locked| format!("  {}\n", locked.tell())).collect();
    format!(
        "Not heard now, after too many wrong logins:\n{lines}\
         Put the password right in the program; then sealpost client unlock NAME, or --network ADDRESS, hears it at once.\n"
    )
}

pub(super) fn list(path: &Path, format: Format) -> Result<(), Failed> {
    let config = reach::read_config(path)?;
    let mut locked: Vec<Locked> = Vec::new();
    reach::ask_running(&config, &Request::Locked, &mut |row| locked.extend(serde_json::from_value(row).ok()))?;
    match format {
        Format::Json => locked.iter().for_each(print_json),
        Format::Text if locked.is_empty() => print_line("Everybody is heard."),
        Format::Text => print_line(tell(&locked).trim_end()),
    }
    Ok(())
}

pub(super) fn unlock(path: &Path, what: Unlock, format: Format) -> Result<(), Failed> {
    let config = reach::read_config(path)?;
    if let Unlock::Client(name) = &what
        && !config.clients.iter().any(|client| client.name == *name)
    {
        return Err(Failed::NotFound(format!("no client is called {name}: see `sealpost client list`")));
    }
    let mut unlocked = 0;
    let running = reach::ask_running(&config, &Request::Unlock { what }, &mut |row| {
        unlocked = row["unlocked"].as_u64().unwrap_or_default();
    })?;
    match (format, running) {
        (Format::Json, _) => print_json(&serde_json::json!({ "unlocked": unlocked })),
        (Format::Text, reach::Running::No) => print_line("No daemon runs, and so nothing is locked."),
        (Format::Text, reach::Running::Yes) if unlocked == 0 => print_line("Nothing of it was locked."),
        (Format::Text, reach::Running::Yes) => print_line(format!("Heard again: {unlocked} that were locked.")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_told_with_what_ends_it() {
        assert_eq!(tell(&[]), "");
        let (client, network) = (Some(ClientName("ehr".into())), "192.0.2.7".parse().unwrap());
        let told = tell(&[Locked { whose: "client".into(), client, network, until: "2026-11-24T12:04:48Z".into() }]);
        assert!(told.contains("  ehr from 192.0.2.7, until 2026-11-24T12:04:48Z\n"), "{told}");
        assert!(told.contains("sealpost client unlock NAME, or --network ADDRESS"), "{told}");
    }
}
