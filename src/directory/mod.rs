//! What is known of recipients: routes from the config, and what earlier deliveries showed of their domains.

mod memory;
mod past;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::clock::Timestamp;
use crate::config::Route;
use crate::mail::{Address, Domain, Envelope};
use crate::policy::{Facts, RecipientFacts};
use crate::store::{Destination, Store, StoreError};

pub use memory::{Sighting, Standing, is_news, remember, standing};
pub use past::Question;

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

    /// In the order of the envelope's recipients. What cannot be found out in time is not known, and the decision says so.
    pub async fn facts(&self, envelope: &Envelope) -> Facts {
        let deadline = Instant::now() + PATIENCE;
        let mut by_domain: HashMap<&Domain, Option<RecipientFacts>> = HashMap::new();
        let mut recipients = Vec::with_capacity(envelope.recipients().len());
        for domain in envelope.recipients().iter().map(Address::domain) {
            let facts = match by_domain.get(domain) {
                Some(known) => known.clone(),
                None => self.facts_by(deadline, domain).await,
            };
            by_domain.insert(domain, facts.clone());
            recipients.push(facts);
        }
        Facts { recipients, ..Facts::default() }
    }

    async fn facts_by(&self, deadline: Instant, domain: &Domain) -> Option<RecipientFacts> {
        match tokio::time::timeout_at(deadline, self.store.destination(domain)).await {
            Ok(Ok(remembered)) => Some(facts_of(domain, &self.routes, remembered)),
            Ok(Err(error)) => {
                warn!(recipient.domain = %domain, store.error = %error, "what is remembered of a domain cannot be read");
                None
            }
            Err(_) => None,
        }
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
    use crate::clock::ManualClock;
    use crate::config::{Database, Onward};
    use crate::crypto::Key;
    use crate::mail::{Assurance, ReversePath};

    #[tokio::test]
    async fn a_store_that_fails_is_not_taken_for_a_domain_without_a_past() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_000)));
        let database = Database { url: "sqlite".into(), body_file_bytes: 1 << 16 };
        let store = Store::open(&database, folder.path(), Key::generate().unwrap(), clock).await.unwrap();
        let directory = Directory::new(store.clone(), &[]);
        let ann = Address::parse("ann@lab.example").unwrap();
        let envelope = Envelope::new(ReversePath::Null, ann, vec![Address::parse("bo@lab.example").unwrap()]);
        let facts = directory.facts(&envelope).await;
        assert!(facts.recipients.len() == 2 && facts.of(0).is_some_and(|facts| facts.tls_seen.is_none()));
        store.close().await;
        let facts = directory.facts(&envelope).await;
        assert!(facts.recipients.len() == 2 && facts.recipients.iter().all(Option::is_none), "{facts:?}");
    }

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
            login: None,
            client_certificate: None,
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
