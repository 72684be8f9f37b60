//! The method TLS: walks a domain's hosts until one proves the floor and answers, and never goes below it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Onward;
use crate::delivery::connection::{Connection, Link, NotOpened, dial};
use crate::delivery::courier::{Attempted, Consignment, Courier, Hop};
use crate::delivery::pool::Key;
use crate::directory::{Sighting, Standing, is_news, remember, standing};
use crate::mail::{Assurance, Content};
use crate::net::mx::{self, Found, Host, Targets, Unroutable};
use crate::net::tls::{Trust, Wanted};
use crate::smtp::client::{Answer, Means, Parcel, Stage};
use crate::store::Destination;

/// Connections that one attempt tries to make, over all hosts and addresses.
const MAX_DIALS: usize = 12;

/// A host that did not take the message.
type Failure = (Hop, Answer);

struct Walk<'a> {
    courier: &'a Courier,
    consignment: &'a Consignment,
    found: &'a Found,
    trust: Trust,
    floor: Assurance,
    failures: Vec<Failure>,
    dials: usize,
}

pub(super) async fn send(
    courier: &Courier,
    consignment: &Consignment,
    (assurance, known): (Assurance, Option<&Destination>),
) -> Attempted {
    let targets = match mx::targets(&courier.resolver, &consignment.domain, &courier.config).await {
        Ok(targets) => targets,
        Err(unroutable) => return Attempted::alike(consignment, not_found(unroutable), Duration::ZERO),
    };
    let (trust, floor) = match &targets.found {
        Found::Routed { onward: Onward::Unknown, .. } if consignment.content == Content::Mail => {
            let words = "the route does not say what lies behind its host, so it carries notices only";
            let answer = Answer::ours(Stage::Resolve, Means::Unfit, words);
            return Attempted::alike(consignment, answer, Duration::ZERO);
        }
        Found::Routed { floor, ca_file, .. } => {
            (ca_file.clone().map_or(Trust::Public, Trust::Own), assurance.max(*floor))
        }
        Found::Mx | Found::Implicit | Found::Literal => (Trust::Public, assurance),
    };
    let names = exchangers(&targets);
    if let Some(words) = stranger(courier, &names, (floor, known)) {
        let answer = Answer::ours(Stage::Resolve, Means::BelowFloor, words);
        let attempted = Attempted::alike(consignment, answer, Duration::ZERO);
        return remembered(courier, attempted, (names, known));
    }
    let found = &targets.found;
    let mut walk = Walk { courier, consignment, found, trust, floor, failures: Vec::new(), dials: 0 };
    for host in &targets.hosts {
        if let Some(attempted) = walk.try_host(host).await {
            return remembered(courier, attempted, (names, known));
        }
    }
    let (hop, answer) = conclude(&walk.failures);
    let attempted = Attempted { hop, ..Attempted::alike(consignment, answer, Duration::ZERO) };
    remembered(courier, attempted, (names, known))
}

impl Walk<'_> {
    /// The answers of this host; none when another one is to be asked.
    async fn try_host(&mut self, host: &Host) -> Option<Attempted> {
        if let Some(attempted) = self.reuse(host).await {
            return Some(attempted);
        }
        let allowed = &self.courier.config.delivery.allow_networks;
        let addresses = match mx::addresses(&self.courier.resolver, host, self.found, allowed).await {
            Ok(addresses) => addresses,
            Err(unroutable) => {
                self.failures.push((hop(host, None, Link::default()), not_found(unroutable)));
                return None;
            }
        };
        for address in addresses {
            match self.connect(host, address).await {
                Ok(connection) => return Some(self.carry(host, connection).await),
                Err(NotOpened { answer, link }) => self.failures.push((hop(host, Some(address), link), answer)),
            }
        }
        None
    }

    /// Over a kept connection; none when there is none, or when it had died while it was kept.
    async fn reuse(&self, host: &Host) -> Option<Attempted> {
        let kept = self.courier.pool.take(&self.key(host))?;
        let connection = kept.ready(&self.courier.config.delivery).await?;
        let attempted = self.carry(host, connection).await;
        (!died_while_kept(&attempted.answers)).then_some(attempted)
    }

    async fn connect(&mut self, host: &Host, address: SocketAddr) -> Result<Connection, NotOpened> {
        let courier = self.courier;
        let bare = |answer| NotOpened { answer, link: Link::default() };
        if courier.pool.is_dead(address, courier.now()) {
            let words = "the host did not answer a short while ago, and was not tried again yet";
            return Err(bare(Answer::ours(Stage::Connect, Means::Later, words)));
        }
        if self.dials >= MAX_DIALS {
            return Err(bare(Answer::ours(Stage::Connect, Means::Later, "too many hosts were tried in one attempt")));
        }
        self.dials += 1;
        let limits = &courier.config.delivery;
        let tcp = dial(address, limits.connect).await.map_err(|answer| {
            courier.pool.did_not_answer(address, courier.now());
            bare(answer)
        })?;
        courier.pool.answered(address);
        let wanted = Wanted { name: &host.name, trust: &self.trust, floor: self.floor };
        let ours = (&courier.tls, &courier.config.server.hostname);
        Connection::open((tcp, address), ours, wanted, limits).await
    }

    async fn carry(&self, host: &Host, mut connection: Connection) -> Attempted {
        let consignment = self.consignment;
        let parcel = Parcel {
            sender: &consignment.sender,
            recipients: &consignment.recipients,
            message: &consignment.message,
            utf8: consignment.utf8,
        };
        let answers = self.courier.carry(&mut connection, &parcel).await;
        let hop = hop(host, Some(connection.address), connection.link.clone());
        self.courier.keep(self.key(host), connection);
        Attempted { answers, hop, seen: None, took: Duration::ZERO }
    }

    fn key(&self, host: &Host) -> Key {
        Key { host: host.clone(), trust: self.trust.clone(), floor: self.floor }
    }
}

fn hop(host: &Host, address: Option<SocketAddr>, link: Link) -> Hop {
    Hop { host: host.name.to_string(), address, link }
}

/// The names that MX records gave, or the domain's own; nothing to remember where an operator or a literal decides.
fn exchangers(targets: &Targets) -> Vec<String> {
    match targets.found {
        Found::Mx | Found::Implicit => {
            let mut names: Vec<_> = targets.hosts.iter().map(|host| host.name.to_string()).collect();
            // The order in which they are tried is partly chance, and nothing to remember.
            names.sort();
            names
        }
        Found::Literal | Found::Routed { .. } => Vec::new(),
    }
}

/// Why these hosts cannot count as valid, whatever certificate they show.
fn stranger(courier: &Courier, names: &[String], (floor, known): (Assurance, Option<&Destination>)) -> Option<String> {
    if names.is_empty() || floor < Assurance::Valid {
        return None;
    }
    // Without DANE or MTA-STS, an MX found by name can be valid at best.
    let standing: Standing = standing(known, names, Assurance::Valid, courier.now());
    standing.words()
}

fn remembered(
    courier: &Courier,
    attempted: Attempted,
    (names, known): (Vec<String>, Option<&Destination>),
) -> Attempted {
    if names.is_empty() {
        return attempted;
    }
    let level = attempted.hop.link.judged.as_ref().map(|judged| judged.assurance);
    let seen = remember(known.cloned(), Sighting { mx: names, level }, courier.now());
    Attempted { seen: Some(seen).filter(|seen| is_news(known, seen)), ..attempted }
}

fn not_found(unroutable: Unroutable) -> Answer {
    match unroutable.permanent() {
        Some(code) => Answer::ours(Stage::Resolve, Means::Refused, unroutable.to_string()).enhanced(code),
        None => Answer::ours(Stage::Resolve, Means::Later, unroutable.to_string()),
    }
}

/// A kept connection that the peer had closed, or closes with 421, before it heard of this message.
fn died_while_kept(answers: &[Answer]) -> bool {
    answers.iter().all(|answer| {
        let bye = answer.reply.as_ref().is_none_or(|reply| reply.code.value() == 421);
        answer.stage == Stage::Mail && answer.means == Means::Later && bye
    })
}

/// What all the failures come to. Hosts that could not be reached say nothing about the floor; among those that
/// could, the floor is unmet when none of them met it.
fn conclude(failures: &[Failure]) -> Failure {
    let reached = |(_, answer): &&Failure| answer.stage > Stage::Connect;
    let telling = failures
        .iter()
        .find(|failure| reached(failure) && failure.1.means != Means::BelowFloor)
        .or_else(|| failures.iter().find(reached))
        // Nobody was reached: as long as one host may come back, it is worth trying again.
        .or_else(|| failures.iter().find(|(_, answer)| answer.means == Means::Later))
        .or_else(|| failures.first());
    telling.cloned().unwrap_or_else(|| {
        let answer = Answer::ours(Stage::Connect, Means::Later, "no host could be tried");
        (Hop::default(), answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failures: &[(Stage, Means)], expected: (Stage, Means)) {
        let failure = |(stage, means): &(Stage, Means)| (Hop::default(), Answer::ours(*stage, *means, ""));
        let (_, answer) = conclude(&failures.iter().map(failure).collect::<Vec<_>>());
        assert_eq!((answer.stage, answer.means), expected);
    }

    #[test]
    fn the_floor_is_unmet_when_no_reachable_host_met_it() {
        let below = (Stage::Handshake, Means::BelowFloor);
        let (dead, busy) = ((Stage::Connect, Means::Later), (Stage::Greeting, Means::Later));
        check(&[dead, below], below);
        check(&[below, (Stage::Hello, Means::BelowFloor)], below);
        check(&[below, busy], busy);
        check(&[dead], dead);
        check(&[], dead);
    }

    #[test]
    fn one_host_that_may_come_back_is_reason_to_try_again() {
        let forbidden = (Stage::Resolve, Means::Refused);
        check(&[forbidden, (Stage::Connect, Means::Later)], (Stage::Connect, Means::Later));
        check(&[forbidden], forbidden);
    }
}
