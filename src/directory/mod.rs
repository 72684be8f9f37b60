//! What is known of recipients: routes from the config, and what earlier deliveries showed of their domains.

mod memory;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Route;
use crate::mail::{Domain, Envelope};
use crate::policy::{Facts, RecipientFacts};
use crate::store::{Destination, Store, StoreError};

pub use memory::{STRANGER_FOR, Sighting, Standing, is_news, remember, standing};

/// How long a decision waits for facts. What is not known by then is not known.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct Directory {
    store: Store,
    routes: Arc<[Route]>,
}

impl Directory {
    pub fn new(store: Store, routes: &[Route]) -> Directory {
        Directory { store, routes: routes.into() }
    }

    /// In the order of the envelope's recipients.
    pub async fn facts(&self, envelope: &Envelope) -> Facts {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut recipients: Vec<RecipientFacts> = Vec::with_capacity(envelope.recipients().len());
        for recipient in envelope.recipients() {
            let domain = recipient.domain();
            if let Some(known) = recipients.iter().find(|facts| facts.domain == *domain) {
                recipients.push(known.clone());
                continue;
            }
            let remembered = tokio::time::timeout_at(deadline, self.store.destination(domain)).await;
            let remembered = match remembered {
                Ok(Ok(remembered)) => remembered,
                // Not known is a fact, too: the decision is made without it.
                Ok(Err(_)) | Err(_) => None,
            };
            recipients.push(facts_of(domain, &self.routes, remembered));
        }
        Facts { recipients }
    }

    pub async fn remembered(&self, domain: &Domain) -> Result<Option<Destination>, StoreError> {
        self.store.destination(domain).await
    }
}

fn facts_of(domain: &Domain, routes: &[Route], remembered: Option<Destination>) -> RecipientFacts {
    let routed = routes.iter().any(|route| route.domains.iter().any(|pattern| domain.matches(pattern)));
    let seen = |known: &Destination| Some((known.best?, Timestamp::rfc3339(known.seen)));
    RecipientFacts {
        domain: domain.clone(),
        routed,
        tls_seen: remembered.as_ref().and_then(seen),
        mx_seen: remembered.map(|known| known.mx).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Onward;
    use crate::mail::Assurance;

    #[test]
    fn facts_name_the_route_and_what_is_remembered() {
        let domain = Domain::parse("path.lab.example").unwrap();
        let route = Route {
            domains: vec!["*.lab.example".into()],
            host: "mx.lab.example".into(),
            port: 25,
            name: Domain::parse("mx.lab.example").unwrap(),
            tls: Assurance::Valid,
            ca_file: None,
            onward: Onward::Final,
        };
        let known = Destination {
            mx: vec!["mx.lab.example".into()],
            best: Some(Assurance::Valid),
            seen: Timestamp::from_millis(0),
            newcomers: None,
            lower: None,
        };
        let facts = facts_of(&domain, std::slice::from_ref(&route), Some(known));
        assert!(facts.routed);
        assert_eq!(facts.tls_seen, Some((Assurance::Valid, "1970-01-01T00:00:00.000Z".into())));
        assert_eq!(facts.mx_seen, ["mx.lab.example"]);
        let unknown = facts_of(&Domain::parse("other.example").unwrap(), &[route], None);
        assert!(!unknown.routed && unknown.tls_seen.is_none() && unknown.mx_seen.is_empty());
    }
}
