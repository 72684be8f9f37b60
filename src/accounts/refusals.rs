//! Logins that were refused, for the audit log: one event for a client, a network and a while, however many they were.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::accounts::{Accounts, held};
use crate::audit::{Actor, Event};
use crate::clock::Timestamp;
use crate::mail::ClientName;
use crate::store::{Change, Store};

/// How long refusals are gathered, from the first one on, before they are told.
const WINDOW: Duration = Duration::from_secs(600);
/// How often is looked for what is due.
const EVERY: Duration = Duration::from_secs(30);
/// Clients and networks that are told apart at the same time; what is beyond is told in one event.
const MAX_TOLD_APART: usize = 256;

/// Whose login, if anybody's, and from where; neither when too many are told apart already.
type From = (Option<ClientName>, Option<IpAddr>);

#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<From, Gathered>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gathered {
    count: u64,
    since: Timestamp,
}

impl Refusals {
    pub(super) fn add(&self, client: Option<&ClientName>, network: IpAddr, now: Timestamp) {
        self.gather((client.cloned(), Some(network)), Gathered { count: 1, since: now });
    }

    fn gather(&self, from: From, more: Gathered) {
        let mut gathered = held(&self.0);
        let full = gathered.len() >= MAX_TOLD_APART && !gathered.contains_key(&from);
        let from = if full { (None, None) } else { from };
        let entry = gathered.entry(from).or_insert(Gathered { count: 0, since: more.since });
        entry.count = entry.count.saturating_add(more.count);
        entry.since = entry.since.min(more.since);
    }

    /// Takes out what has been gathered for long enough, or all of it.
    fn take(&self, due: impl Fn(&Gathered) -> bool) -> Vec<(From, Gathered)> {
        held(&self.0).extract_if(|_, gathered| due(gathered)).collect()
    }

    /// Writes down what is taken; what cannot be written waits for the next time.
    async fn keep(&self, store: &Store, taken: Vec<(From, Gathered)>) {
        let mut failed = None;
        for (from, gathered) in taken {
            let (client, network) = from.clone();
            let event = Event::LoginsRefused { client, network, count: gathered.count, since: gathered.since };
            if failed.is_none() {
                failed = store.commit(Change::Note, Actor::System, event).await.err();
            }
            if failed.is_some() {
                self.gather(from, gathered);
            }
        }
        if let Some(error) = failed {
            tracing::error!(store.error = %error, "refused logins could not be written into the audit log yet");
        }
    }
}

/// Tells the audit log of refused logins, until `until`, and then of those that are left.
pub async fn run(accounts: Arc<Accounts>, store: Store, until: CancellationToken) {
    let refusals = &accounts.refusals;
    loop {
        tokio::select! {
            () = until.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
        let now = store.clock().now();
        refusals.keep(&store, refusals.take(|gathered| now.since(gathered.since) >= WINDOW)).await;
    }
    refusals.keep(&store, refusals.take(|_| true)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_007);

    fn client() -> ClientName {
        ClientName("ehr".into())
    }

    fn network(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn refusals_are_gathered_by_client_and_network_until_they_are_due() {
        let refusals = Refusals::default();
        for _ in 0..3 {
            refusals.add(Some(&client()), network(7), NOW);
        }
        refusals.add(Some(&client()), network(8), NOW.plus(WINDOW));
        refusals.add(None, network(7), NOW.plus(WINDOW));
        let now = NOW.plus(WINDOW);
        let due = refusals.take(|gathered| now.since(gathered.since) >= WINDOW);
        assert_eq!(due, [((Some(client()), Some(network(7))), Gathered { count: 3, since: NOW })]);
        assert_eq!(refusals.take(|_| true).len(), 2);
    }

    #[test]
    fn what_is_told_apart_is_bounded_and_the_rest_is_counted_all_the_same() {
        let refusals = Refusals::default();
        for n in 0..MAX_TOLD_APART + 50 {
            refusals.add(Some(&ClientName(format!("client-{n}"))), network(7), NOW);
        }
        let all = refusals.take(|_| true);
        assert_eq!(all.len(), MAX_TOLD_APART + 1);
        assert_eq!(all.iter().map(|(_, gathered)| gathered.count).sum::<u64>(), MAX_TOLD_APART as u64 + 50);
        let rest = all.iter().find(|(from, _)| *from == (None, None)).unwrap();
        assert_eq!(rest.1.count, 50);
    }
}
