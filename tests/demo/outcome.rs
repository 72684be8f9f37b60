//! What Sealpost says of a message: the JSON of `sealpost explain ID --json`, as far as the table needs it.

use serde::Deserialize;

use crate::letters::Expected;
use crate::world::Result;
use crate::world::daemon::Daemon;

/// The story of one message.
#[derive(Debug, Deserialize)]
struct Story {
    findings: Vec<Finding>,
    recipients: Vec<Recipient>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Recipient {
    address: String,
    /// `queued`, `held`, or the name of the end.
    state: String,
    /// The method in use, or the one that worked.
    #[serde(default)]
    method: Option<String>,
    /// One sentence.
    #[serde(default)]
    why: String,
    #[serde(default)]
    attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    #[serde(default)]
    tls_version: Option<String>,
    /// How the certificate was judged, as a level.
    #[serde(default)]
    assurance: Option<String>,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Told {
    pub recipient: String,
    pub found: String,
    pub method: String,
    pub tls: String,
    pub state: String,
    pub why: String,
}

impl Told {
    pub fn is_settled(&self) -> bool {
        let settled = [Expected::Delivered, Expected::Held, Expected::Bounced, Expected::Expired, Expected::Refused];
        settled.iter().any(|state| state.name() == self.state)
    }
}

/// What is told of each recipient of a message.
pub fn of(daemon: &Daemon, id: &str) -> Result<Vec<Told>> {
    let story: Story = serde_json::from_value(daemon.json(&["explain", id])?)?;
    let mut kinds: Vec<String> = story.findings.into_iter().map(|finding| finding.kind.to_lowercase()).collect();
    kinds.sort();
    kinds.dedup();
    let found = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(" ") };
    Ok(story.recipients.into_iter().map(|recipient| told(recipient, &found)).collect())
}

fn told(recipient: Recipient, found: &str) -> Told {
    let last = recipient.attempts.last();
    let version = last.and_then(|attempt| attempt.tls_version.clone());
    let level = last.and_then(|attempt| attempt.assurance.clone());
    let tls = match (version, level) {
        (Some(version), Some(level)) => format!("{} {level}", version.trim_start_matches("TLSv").replace('_', ".")),
        (Some(version), None) => version,
        (None, _) => "-".to_owned(),
    };
    Told {
        recipient: recipient.address,
        found: found.to_owned(),
        method: recipient.method.unwrap_or_else(|| "-".to_owned()),
        tls,
        state: recipient.state,
        why: recipient.why,
    }
}
