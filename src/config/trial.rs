//! What of `[policy]` is for trying it: the file of cases.

use std::path::PathBuf;

use crate::config::client::Clients;
use crate::config::reader::{Absent, Given, Table};
use crate::config::value;
use crate::mail::ClientName;

/// How policy is tried before it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// The file of cases that must pass before a config comes into force.
    pub tests: Option<PathBuf>,
    /// Clients of whose mail it is only reported what would become of it.
    pub observer: Vec<ClientName>,
}

impl Trial {
    /// Its keys stand in `[policy]` itself.
    pub(super) fn read(policy: &mut Table<'_, '_>, clients: &Clients) -> Trial {
        let tests = policy.optional("tests", value::path);
        let mut observer = Vec::new();
        for Given { line, value: name } in policy.filled("observer", Absent::Nothing, value::text) {
            clients.check(policy, (line, "observer"), &name);
            observer.push(ClientName(name));
        }
        Trial { tests, observer }
    }
}
