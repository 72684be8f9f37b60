//! What a client did before, found out for one message: few questions, each about few rows, and all within one wait.

use std::collections::BTreeSet;

use tracing::warn;

use crate::clock::Timestamp;
use crate::crypto::Digest;
use crate::directory::{Directory, PATIENCE};
use crate::evidence::{Evidence, EvidenceError};
use crate::mail::{Address, ClientName, Domain, Envelope};
use crate::policy::{Alike, Letter, Past};

/// Recipients of one message that are asked about; whoever writes to more at once writes to a list.
const ASKED: usize = 100;
/// The domains of a client that a recipient's is compared with.
const DOMAINS: usize = 300;
/// Messages to one recipient that are counted; more are a burst in any case.
const COUNTED: usize = 1_000;
/// People of an earlier message that are looked through.
const PEOPLE: usize = 1_000;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub client: &'a ClientName,
    pub envelope: &'a Envelope,
    pub letter: &'a Letter,
    /// Whether there is health information in it, and somebody is on guard for it.
    pub guarded: bool,
    /// By what a copy of it is known, and since when one counts.
    pub likeness: Option<(Digest, Timestamp)>,
    /// Since when messages to one recipient are counted.
    pub burst_since: Option<Timestamp>,
}

impl Directory {
    /// Empty where it cannot be found out in time, as far as it cannot.
    pub async fn past(&self, question: Question<'_>) -> Past {
        let mut past = Past::default();
        match tokio::time::timeout(PATIENCE, self.find(&mut past, question)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(store.error = %error, "what a client did before cannot be read"),
            Err(_) => warn!("what a client did before could not be found out in time"),
        }
        past
    }

    async fn find(&self, past: &mut Past, question: Question<'_>) -> Result<(), EvidenceError> {
        let Question { client, envelope, letter: _, guarded, likeness, burst_since } = question;
        if let Some((likeness, since)) = likeness {
            let alike = self.store.alike(likeness, since).await?;
            past.alike = alike.map(|(message, at)| Alike { message, at });
        }
        if guarded {
            self.find_habits(past, question).await?;
        }
        // The longest question comes last.
        if let Some(since) = burst_since {
            past.lately = self.lately(client, envelope, since).await?;
        }
        Ok(())
    }

    async fn find_habits(&self, past: &mut Past, question: Question<'_>) -> Result<(), EvidenceError> {
        let Question { client, envelope, letter, .. } = question;
        let asked = || envelope.recipients().iter().take(ASKED);
        past.domains = self.store.domains_written(client, DOMAINS).await?;
        // However seldom: what was written to is no slip.
        let rare: BTreeSet<&Domain> = asked().map(Address::domain).collect();
        let rare: Vec<&Domain> = rare.into_iter().filter(|domain| past.times(domain) == 0).collect();
        past.domains.extend(self.store.times_domains(client, &rare).await?);
        let people: Vec<Digest> = asked().map(|to| self.store.correspondent(to)).collect();
        past.written = self.store.times_written(client, &people).await?;
        past.took_part = self.took_part(envelope, letter).await?;
        Ok(())
    }

    async fn lately(
        &self,
        client: &ClientName,
        envelope: &Envelope,
        since: Timestamp,
    ) -> Result<Vec<u64>, EvidenceError> {
        let evidence = Evidence::new(self.store.clone());
        let mut lately = Vec::new();
        for recipient in envelope.recipients().iter().take(ASKED) {
            let [to, _] = evidence.names_of(recipient);
            lately.push(self.store.sent_since(client, to, (since, COUNTED)).await?);
        }
        Ok(lately)
    }

    /// For each recipient whether a message that is answered went to them or came from them.
    async fn took_part(&self, envelope: &Envelope, letter: &Letter) -> Result<Vec<bool>, EvidenceError> {
        let evidence = Evidence::new(self.store.clone());
        let mut people = BTreeSet::new();
        for id in &letter.answers {
            // It goes into a keyed hash.
            let Some(message) = evidence.newest_with_message_id(id.expose()).await? else { continue };
            match self.store.people_of(message, PEOPLE).await? {
                Some(more) => people.extend(more),
                // A list: whoever answers it knows that they answer many.
                None => return Ok(Vec::new()),
            }
        }
        if people.is_empty() {
            return Ok(Vec::new());
        }
        let known = |to| evidence.names_of(to).iter().any(|name| people.contains(name));
        Ok(envelope.recipients().iter().take(ASKED).map(known).collect())
    }
}
