//! The method TLS: walks a domain's hosts until one proves the floor and answers, and never goes below it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::config::{Onward, Route};
use crate::delivery::connection::{Connection, Link, NotOpened, Ourselves};
use crate::delivery::courier::{Attempted, Consignment, Courier, Hop};
use crate::delivery::dial::Race;
use crate::delivery::pool::Key;
use crate::delivery::troubles::Trouble;
use crate::directory::{Sighting, Standing, is_news, remember, standing};
use crate::mail::{Assurance, Content};
use crate::net::mx::{self, Found, Host, Targets, Unroutable};
use crate::net::tls::{Trust, Wanted};
use crate::smtp::client::{Answer, Means, Parcel, Stage};
use crate::store::Destination;

/// Connections that one attempt tries to make, over all hosts and addresses.
const MAX_DIALS: usize = 12;

/// What a host came to, for one recipient or for all.
type Failure = (Hop, Answer);

struct Walk<'a> {
    courier: &'a Courier,
    consignment: &'a Consignment,
    found: &'a Found,
    trust: Trust,
    floor: Assurance,
    route: Option<&'a Route>,
    /// Set while the whole message is out and its answer awaited.
    given: &'a AtomicBool,
    /// For each recipient, what decided; none while another host may still take the message.
    ends: Vec<Option<Failure>>,
    /// For each recipient, the first host that could not carry the message.
    unable: Vec<Option<Failure>>,
    /// Hosts that heard of no recipient.
    failures: Vec<Failure>,
    dials: usize,
}

pub(super) async fn send(
    courier: &Courier,
    consignment: &Consignment,
    (assurance, known): (Assurance, Option<&Destination>),
    given: &AtomicBool,
) -> Attempted {
    let targets = match mx::targets(&courier.resolver, &consignment.domain, &courier.config).await {
        Ok(targets) => targets,
        Err(unroutable) => return Attempted::alike(consignment, not_found(unroutable), Duration::ZERO),
    };
    let (trust, floor) = match &targets.found {
        Found::Routed(route) => match by_route(courier, consignment, route) {
            Ok(trust) => (trust, assurance.max(route.tls)),
            Err(answer) => return Attempted::alike(consignment, answer, Duration::ZERO),
        },
        Found::Mx | Found::Implicit | Found::Literal => (Trust::Public, assurance),
    };
    let names = exchangers(&targets);
    if let Some(words) = stranger(courier, &names, (floor, known)) {
        let answer = Answer::ours(Stage::Resolve, Means::BelowFloor, words);
        let attempted = Attempted::alike(consignment, answer, Duration::ZERO);
        return remembered(courier, attempted, (names, known));
    }
    let mut walk = Walk::new(courier, consignment, (&targets.found, trust, floor), given);
    for host in &targets.hosts {
        walk.try_host(host).await;
        if walk.is_over() {
            break;
        }
    }
    remembered(courier, walk.conclude(), (names, known))
}

/// Whom a route trusts, unless nothing may go over it now.
fn by_route(courier: &Courier, consignment: &Consignment, route: &Route) -> Result<Trust, Answer> {
    if route.onward == Onward::Unknown && consignment.content == Content::Mail {
        let words = "the route does not say what lies behind its host, so it carries notices only";
        return Err(Answer::ours(Stage::Resolve, Means::Unfit, words));
    }
    if route.login.is_some() && courier.troubles.is_paused(&login_of(route), courier.now()) {
        let words = "the next hop refused our login a short while ago, and was not tried again yet";
        return Err(Answer::ours(Stage::Login, Means::Later, words));
    }
    Ok(route.ca_file.clone().map_or(Trust::Public, Trust::Own))
}

/// What the postmaster reads of a login that fails.
fn login_of(route: &Route) -> String {
    let file = route.login.as_ref().map(|login| login.password_file.display().to_string()).unwrap_or_default();
    format!("login at {}:{} with {file}", route.host, route.port)
}

impl<'a> Walk<'a> {
    fn new(
        courier: &'a Courier,
        consignment: &'a Consignment,
        (found, trust, floor): (&'a Found, Trust, Assurance),
        given: &'a AtomicBool,
    ) -> Walk<'a> {
        let nothing = vec![None; consignment.recipients.len()];
        let (ends, unable, failures) = (nothing.clone(), nothing, Vec::new());
        let route = match found {
            Found::Routed(route) => Some(route.as_ref()),
            Found::Mx | Found::Implicit | Found::Literal => None,
        };
        Walk { courier, consignment, found, trust, floor, route, given, ends, unable, failures, dials: MAX_DIALS }
    }

    fn is_over(&self) -> bool {
        self.ends.iter().all(Option::is_some)
    }

    async fn try_host(&mut self, host: &Host) {
        if self.reuse(host).await {
            return;
        }
        let courier = self.courier;
        let allowed = &courier.config.delivery.allow_networks;
        let addresses = match mx::addresses(&courier.resolver, host, self.found, allowed).await {
            Ok(addresses) => addresses,
            Err(unroutable) => return self.fail((host, None), NotOpened::bare(not_found(unroutable))),
        };
        let now = courier.now();
        let (dead, live): (Vec<_>, Vec<_>) =
            addresses.into_iter().partition(|address| courier.pool.is_dead(*address, now));
        for address in dead {
            let words = "the host did not answer a short while ago, and was not tried again yet";
            self.fail((host, Some(address)), NotOpened::bare(Answer::ours(Stage::Connect, Means::Later, words)));
        }
        let mut waiting = VecDeque::from(live);
        // Bounded: each turn uses up one of the dials.
        while let Some((address, tcp)) = self.dial(host, &mut waiting).await {
            match self.open(host, (tcp, address)).await {
                Ok(connection) => {
                    self.carry(host, connection).await;
                    return;
                }
                Err(refused) => self.fail((host, Some(address)), refused),
            }
        }
        if !waiting.is_empty() {
            let answer = Answer::ours(Stage::Connect, Means::Later, "too many hosts were tried in one attempt");
            self.fail((host, None), NotOpened::bare(answer));
        }
    }

    /// The next of a host's addresses that answers.
    async fn dial(&mut self, host: &Host, waiting: &mut VecDeque<SocketAddr>) -> Option<(SocketAddr, TcpStream)> {
        let courier = self.courier;
        let patience = courier.config.delivery.connect;
        let mut race = Race { waiting: std::mem::take(waiting), dials: &mut self.dials, patience };
        let (won, failed) = race.run().await;
        *waiting = race.waiting;
        for (address, answer) in failed {
            courier.pool.did_not_answer(address, courier.now());
            self.fail((host, Some(address)), NotOpened::bare(answer));
        }
        courier.pool.answered(won.as_ref()?.0);
        won
    }

    async fn open(&self, host: &Host, dialled: (TcpStream, SocketAddr)) -> Result<Connection, NotOpened> {
        let courier = self.courier;
        let login = self.route.and_then(|route| courier.login(route.login.as_ref()?));
        let ours = Ourselves { tls: &courier.tls, hostname: &courier.config.server.hostname, login };
        let shows = self.route.and_then(|route| route.client_certificate.as_ref());
        let wanted = Wanted { name: &host.name, trust: &self.trust, floor: self.floor, shows };
        let opened = Connection::open(dialled, ours, wanted, &courier.config.delivery).await;
        if let Some(route) = self.route.filter(|route| route.login.is_some()) {
            note_login(courier, route, &opened);
        }
        opened
    }

    fn fail(&mut self, (host, address): (&Host, Option<SocketAddr>), NotOpened { answer, link }: NotOpened) {
        self.failures.push((hop(host, address, link), answer));
    }

    /// Over a kept connection. False when there is none, or when it had died while it was kept.
    async fn reuse(&mut self, host: &Host) -> bool {
        let Some(kept) = self.courier.pool.take(&self.key(host)) else { return false };
        let Some(connection) = kept.ready(&self.courier.config.delivery).await else { return false };
        self.carry(host, connection).await == Carried::Heard
    }

    /// Hands the message over for everybody who has no answer yet.
    async fn carry(&mut self, host: &Host, mut connection: Connection) -> Carried {
        let consignment = self.consignment;
        let open: Vec<usize> = (0..self.ends.len()).filter(|at| self.ends[*at].is_none()).collect();
        let recipients: Vec<_> = open.iter().map(|at| consignment.recipients[*at].clone()).collect();
        let wishes: Vec<_> = open.iter().filter_map(|at| consignment.wishes.get(*at).cloned()).collect();
        let parcel = Parcel {
            sender: &consignment.sender,
            recipients: &recipients,
            message: &consignment.message,
            utf8: consignment.utf8,
            asked: &consignment.asked,
            wishes: &wishes,
        };
        let kept = connection.carried > 0;
        let answers = self.courier.carry(&mut connection, &parcel, self.given).await;
        let hop = hop(host, Some(connection.address), connection.link.clone());
        self.courier.keep(self.key(host), connection);
        if kept && died_while_kept(&answers) {
            return Carried::Unheard;
        }
        for (at, answer) in open.into_iter().zip(answers) {
            // RFC 5321 §5.1: what one host of the domain cannot carry, another one may.
            let slot = if answer.is_of_the_host() { &mut self.unable[at] } else { &mut self.ends[at] };
            slot.get_or_insert((hop.clone(), answer));
        }
        Carried::Heard
    }

    /// An answer for every recipient.
    fn conclude(self) -> Attempted {
        let Walk { ends, unable, failures, .. } = self;
        let told = ends.into_iter().zip(unable).map(|(end, unable)| match (end, unable) {
            (Some(end), _) => end,
            (None, Some(unable)) => conclude(&[failures.as_slice(), &[unable]].concat()),
            (None, None) => conclude(&failures),
        });
        let (hops, answers) = told.unzip();
        Attempted { answers, hops, seen: None, took: Duration::ZERO }
    }

    fn key(&self, host: &Host) -> Key {
        let route = self.route;
        Key {
            host: host.clone(),
            trust: self.trust.clone(),
            floor: self.floor,
            login: route.and_then(|route| route.login.clone()),
            shows: route.and_then(|route| route.client_certificate.clone()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Carried {
    Heard,
    /// The connection had ended before it heard of the message.
    Unheard,
}

/// A login that is refused for good is for somebody to mend; one that cannot be checked now mends itself.
fn note_login(courier: &Courier, route: &Route, opened: &Result<Connection, NotOpened>) {
    match opened {
        Ok(_) => courier.troubles.end(&login_of(route)),
        Err(NotOpened { answer, .. }) if answer.stage == Stage::Login => {
            if answer.reply.as_ref().is_some_and(|reply| !reply.code.is_permanent()) {
                return;
            }
            let code = answer.reply.as_ref().map(|reply| format!(" ({})", reply.code)).unwrap_or_default();
            let advice = format!(
                "{}{code}: set login and the password right and reload; mail that goes this way waits",
                answer.words
            );
            courier.troubles.begin(Trouble { name: login_of(route), advice }, courier.now());
        }
        Err(_) => {}
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
        Found::Literal | Found::Routed(_) => Vec::new(),
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
    let judged = attempted.hops.iter().filter_map(|hop| hop.link.judged.as_ref());
    let level = judged.map(|judged| judged.assurance).max();
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
/// could, the floor is unmet when none of them met it. That a host cannot carry the message decides when there is no
/// other: one that is away for the moment, or whose TLS may be mended, may carry it.
fn conclude(failures: &[Failure]) -> Failure {
    let reached = |(_, answer): &&Failure| answer.stage > Stage::Connect;
    let later = |(_, answer): &&Failure| answer.means == Means::Later;
    let below = |(_, answer): &&Failure| answer.means == Means::BelowFloor;
    let telling = failures
        .iter()
        .find(|failure| reached(failure) && later(failure))
        .or_else(|| failures.iter().find(|failure| reached(failure) && below(failure)))
        .or_else(|| failures.iter().find(later))
        .or_else(|| failures.iter().find(reached))
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

    #[test]
    fn that_one_host_cannot_carry_it_decides_only_when_no_other_may() {
        let unable = (Stage::Mail, Means::Refused);
        for other in
            [(Stage::Connect, Means::Later), (Stage::Greeting, Means::Later), (Stage::Hello, Means::BelowFloor)]
        {
            check(&[unable, other], other);
        }
        check(&[(Stage::Resolve, Means::Refused), unable], unable);
        check(&[unable, (Stage::Mail, Means::Unfit)], unable);
    }
}
