//! What a client did before, found out for one message: few questions, each about few rows, and all within one wait.

use std::collections::BTreeSet;

use tracing::warn;

use crate::crypto::Digest;
use crate::directory::{Directory, PATIENCE};
use crate::evidence::{Evidence, EvidenceError};
use crate::mail::{ClientName, Envelope};
use crate::policy::{Letter, Past};

/// Recipients of one message that are asked about; whoever writes to more at once writes to a list.
const ASKED: usize = 100;
/// The domains of a client that a recipient's is compared with.
const DOMAINS: usize = 300;
/// People of an earlier message that are looked through.
const PEOPLE: usize = 1_000;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub client: &'a ClientName,
    pub envelope: &'a Envelope,
    pub letter: &'a Letter,
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
        let Question { client, envelope, letter } = question;
        past.domains = self.store.domains_written(client, DOMAINS).await?;
        let people: Vec<Digest> =
            envelope.recipients().iter().take(ASKED).map(|to| self.store.correspondent(to)).collect();
        past.written = self.store.times_written(client, &people).await?;
        past.took_part = self.took_part(envelope, letter).await?;
        Ok(())
    }

    /// For each recipient whether a message that is answered went to them or came from them.
    async fn took_part(&self, envelope: &Envelope, letter: &Letter) -> Result<Vec<bool>, EvidenceError> {
        let evidence = Evidence::new(self.store.clone());
        let mut people = BTreeSet::new();
        for id in &letter.answers {
            // It goes into a keyed hash.
            let Some(message) = evidence.find_message_id(id.expose()).await?.first().copied() else { continue };
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
