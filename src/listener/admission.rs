//! Whether somebody is let in, and how fast a client may go on: the checks that need no word of the dialog.

use std::time::Duration;

use crate::accounts::network_of;
use crate::config::{self, Listener, Rate};
use crate::listener::arrival::{self, Barred, Named, Origin};
use crate::listener::rates::{Claim, Wait};
use crate::listener::room::{Crowded, Place, Standing};
use crate::listener::{Rules, Shared};
use crate::mail::{ClientName, Enhanced, Reply};
use crate::smtp::Submitter;

const MINUTE: Duration = Duration::from_secs(60);

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    Barred(Barred),
    TooFast(Wait),
    Crowded(Crowded),
}

/// What is counted for a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Quota {
    Messages(ClientName),
    Recipients(ClientName),
}

impl Turned {
    pub(super) fn name(self) -> &'static str {
        match self {
            Turned::Barred(barred) => barred.name(),
            Turned::TooFast(_) => "connections_per_minute",
            Turned::Crowded(crowded) => crowded.name(),
        }
    }

    pub(super) fn reply(self) -> Reply {
        match self {
            Turned::Barred(barred) => barred.reply(),
            Turned::Crowded(crowded) => crowded.reply(),
            Turned::TooFast(wait) => {
                let text =
                    format!("too many new connections from your address, try again in {} seconds", wait.seconds());
                Reply::new(421, Enhanced::new(4, 7, 0), text)
            }
        }
    }
}

impl<A> Shared<A> {
    /// A place for a connection, and who it is when its network says so.
    pub(super) fn enter(
        &self,
        (listener, origin): (&Listener, &Origin),
        rules: &Rules,
    ) -> Result<(Place, Option<Submitter>), Turned> {
        let now = self.clock.now();
        if let Some(barred) = arrival::barred(listener, origin, now) {
            return Err(Turned::Barred(barred));
        }
        let (ip, limits) = (origin.ip(), &rules.limits);
        let visitor = self.visitor(listener, origin);
        let standing = match origin.named {
            Named::Client if self.occupancy.knows(ip, now) || self.accounts.is_a_clients(ip) => Standing::Known,
            Named::Client | Named::Nobody => Standing::Stranger,
        };
        if standing == Standing::Stranger {
            let rate = Rate { count: u32::try_from(limits.connections_per_minute).unwrap_or(u32::MAX), per: MINUTE };
            self.knocks.take([(network_of(ip), Claim { rate, count: 1 })], now).map_err(Turned::TooFast)?;
        }
        let place = self.occupancy.enter(ip, standing, limits).map_err(Turned::Crowded)?;
        Ok((place, visitor))
    }

    /// Only an address that is the client's own makes it known.
    fn visitor(&self, listener: &Listener, origin: &Origin) -> Option<Submitter> {
        match origin.named {
            Named::Client if arrival::takes_visitors(listener) => self.accounts.from_network(origin.ip()),
            Named::Client | Named::Nobody => None,
        }
    }

    /// Takes one message for so many recipients off what a client may send now.
    pub(super) fn spend(&self, rules: &Rules, client: &ClientName, recipients: usize) -> Result<(), Reply> {
        let config::Rates { messages, recipients: to } = rules.rates.get(client).copied().unwrap_or_default();
        let message = messages.map(|rate| (Quota::Messages(client.clone()), Claim { rate, count: 1 }));
        let people = to.map(|rate| (Quota::Recipients(client.clone()), Claim { rate, count: recipients }));
        let claims = message.into_iter().chain(people);
        self.quotas.take(claims, self.clock.now()).map_err(|wait| {
            metrics::counter!("sealpost_slowed_total", "client" => client.0.clone()).increment(1);
            let may = [(messages, "messages"), (to, "recipients")];
            let may: Vec<String> =
                may.into_iter().filter_map(|(rate, what)| Some(format!("{what}: {}", rate?))).collect();
            let text = format!("this client may send {}; try again in {} seconds", may.join(", "), wait.seconds());
            // RFC 5321 §4.2.3: 450, the client keeps the message and comes again.
            Reply::new(450, Enhanced::new(4, 7, 0), text)
        })
    }
}
