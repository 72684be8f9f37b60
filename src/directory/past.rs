//! What a client did before, found out for one message: few questions, each about few rows, and all within one wait.

use tracing::warn;

use crate::crypto::Digest;
use crate::directory::{Directory, PATIENCE};
use crate::mail::{ClientName, Envelope};
use crate::policy::Past;
use crate::store::StoreError;

/// Recipients of one message that are asked about; whoever writes to more at once writes to a list.
const ASKED: usize = 100;
/// The domains of a client that a recipient's is compared with.
const DOMAINS: usize = 300;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub client: &'a ClientName,
    pub envelope: &'a Envelope,
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

    async fn find(&self, past: &mut Past, question: Question<'_>) -> Result<(), StoreError> {
        let Question { client, envelope } = question;
        past.domains = self.store.domains_written(client, DOMAINS).await?;
        let people: Vec<Digest> =
            envelope.recipients().iter().take(ASKED).map(|to| self.store.correspondent(to)).collect();
        past.written = self.store.times_written(client, &people).await?;
        Ok(())
    }
}
