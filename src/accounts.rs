//! Who may submit: logins, their passwords, and the senders they may use.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::crypto::{Digest, Key, NoEntropy, Workspace, hash_password, hmac_sha256, token};
use crate::mail::{ClientName, Enhanced, Proof, Reply};
use crate::smtp::{Credentials, Submitter};

/// Hashes that run at once: each takes 19 MiB, and there are two for a small machine.
const HASHES: usize = 2;
/// How long a login waits for its turn to be hashed.
const TURN: Duration = Duration::from_secs(20);
/// How long a password that was right needs no hash.
const REMEMBERED: Duration = Duration::from_secs(300);
const MAX_REMEMBERED: usize = 1024;
/// How long a failure counts.
const FAILURE_COUNTS: Duration = Duration::from_secs(900);
const MAX_FAILURES: usize = 4096;
/// How long the first failure's answer waits; each further one waits as much longer, up to `MAX_DELAY`.
const DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(3);

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No such login, a wrong password, or a network that it may not come from. Which, is not told.
    Wrong,
    /// An operator has suspended the client.
    Suspended,
    /// It cannot be found out now.
    Busy,
    /// The hash in the config is none.
    Unusable,
}

impl Denied {
    pub fn reply(self) -> Reply {
        match self {
            // RFC 4954 §6: 535 5.7.8 for credentials that are wrong, 454 4.7.0 for a failure that passes.
            Denied::Wrong => Reply::new(535, Enhanced::new(5, 7, 8), "the login or the password is wrong"),
            Denied::Suspended => Reply::new(454, Enhanced::new(4, 7, 0), "this login is suspended, try again later"),
            Denied::Busy | Denied::Unusable => {
                Reply::new(454, Enhanced::new(4, 7, 0), "logins cannot be checked now, try again later")
            }
        }
    }
}

/// The clients of the config, by login. Holds no password, and keeps none.
#[derive(Debug)]
pub struct Accounts {
    clients: RwLock<Arc<Vec<config::Client>>>,
    hashing: Semaphore,
    /// One for each hash that runs, once it has run.
    workspaces: Mutex<Vec<Workspace>>,
    /// Checked when there is no such login, so that this takes as long as a wrong password does.
    nobodys_hash: String,
    /// For naming things in memory; made anew by each process, and never written anywhere.
    key: Key,
    remembered: Mutex<HashMap<Digest, Timestamp>>,
    failures: Mutex<HashMap<Digest, Failures>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Accounts {
    pub fn new(clients: Vec<config::Client>, clock: Arc<dyn Clock>) -> Result<Accounts, NoEntropy> {
        Ok(Accounts {
            clients: RwLock::new(Arc::new(clients)),
            hashing: Semaphore::new(HASHES),
            workspaces: Mutex::default(),
            nobodys_hash: hash_password(&token()?)?,
            key: Key::generate()?,
            remembered: Mutex::default(),
            failures: Mutex::default(),
            clock,
        })
    }

    /// Takes the clients of a new config. Passwords that were right are proved anew.
    pub fn reload(&self, clients: Vec<config::Client>) {
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(clients);
        held(&self.remembered).clear();
    }

    /// Whether these are a client's, at this moment and from this address. A failure takes its time.
    pub async fn verify(&self, credentials: &Credentials, from: IpAddr) -> Result<Submitter, Denied> {
        let verdict = self.judge(credentials, from).await;
        let place = self.place(credentials, from);
        match verdict {
            Ok(_) => {
                held(&self.failures).remove(&place);
            }
            // 45 CFR 164.312(d): guessing must not be cheap. The delay holds no permit, and falls on the guesser alone.
            Err(Denied::Wrong) => tokio::time::sleep(self.count_failure(place)).await,
            Err(Denied::Suspended | Denied::Busy | Denied::Unusable) => {}
        }
        verdict
    }

    /// Whether a client is still one; `Err` when it has been suspended or removed since it logged in.
    pub fn standing(&self, name: &ClientName) -> Result<(), Denied> {
        let clients = self.clients();
        match clients.iter().find(|client| client.name == *name) {
            Some(client) if !client.suspended => Ok(()),
            Some(_) | None => Err(Denied::Suspended),
        }
    }

    /// The client that an address alone makes known. Of networks within each other, the narrowest says which it is.
    pub fn from_network(&self, address: IpAddr) -> Option<Submitter> {
        let address = address.to_canonical();
        let clients = self.clients();
        let known = clients.iter().filter(|client| client.is_known_by_network());
        let covering = known.flat_map(|client| {
            let networks = client.networks.iter().filter(|network| network.contains(&address));
            networks.map(move |network| (network.prefix_len(), client))
        });
        covering.max_by_key(|(prefix, _)| *prefix).map(|(_, client)| Submitter::of(client, Proof::Network))
    }

    /// Whether an address lies in the networks of some client.
    pub fn is_a_clients(&self, address: IpAddr) -> bool {
        self.clients().iter().any(|client| client.comes_from(address))
    }

    async fn judge(&self, credentials: &Credentials, from: IpAddr) -> Result<Submitter, Denied> {
        let clients = self.clients();
        // The login is compared, and goes nowhere.
        let named = |login: &config::Login| login.name == *credentials.login.expose();
        let client = clients.iter().find(|client| client.login.as_ref().is_some_and(named));
        // Who has a SCRAM verifier only is let in by SCRAM only.
        let hash = client.and_then(|client| client.login.as_ref()?.password_hash.as_ref());
        let client = client.filter(|_| hash.is_some());
        let hash = hash.unwrap_or(&self.nobodys_hash);
        if !self.is_password(credentials, hash).await? {
            return Err(Denied::Wrong);
        }
        let client = client.ok_or(Denied::Wrong)?;
        let from = from.to_canonical();
        if !client.networks.is_empty() && !client.networks.iter().any(|network| network.contains(&from)) {
            return Err(Denied::Wrong);
        }
        // Only who knows the password is told that the client is suspended.
        if client.suspended { Err(Denied::Suspended) } else { Ok(Submitter::of(client, Proof::Password)) }
    }

    async fn is_password(&self, credentials: &Credentials, hash: &str) -> Result<bool, Denied> {
        let tag = self.tag(credentials, hash);
        if self.remembers(&tag) {
            return Ok(true);
        }
        let turn = tokio::time::timeout(TURN, self.hashing.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Denied::Busy) };
        // Who opens a hundred connections at once has been proved right by the first of them.
        if self.remembers(&tag) {
            return Ok(true);
        }
        // The password goes to the hash, and is wiped behind it.
        let password = credentials.password.expose().clone();
        let hash = hash.to_owned();
        let mut workspace = held(&self.workspaces).pop().unwrap_or_default();
        let hashing = tokio::task::spawn_blocking(move || (workspace.verify(&password, &hash), workspace));
        let checked = hashing.await.map(|(verdict, workspace)| {
            held(&self.workspaces).push(workspace);
            verdict
        });
        match checked {
            Ok(Ok(true)) => {
                self.remember(tag);
                Ok(true)
            }
            Ok(Ok(false)) => Ok(false),
            Ok(Err(_)) => Err(Denied::Unusable),
            Err(_) => Err(Denied::Busy),
        }
    }

    fn remembers(&self, tag: &Digest) -> bool {
        let now = self.clock.now();
        held(&self.remembered).get(tag).is_some_and(|since| now.since(*since) < REMEMBERED)
    }

    fn remember(&self, tag: Digest) {
        let now = self.clock.now();
        let mut remembered = held(&self.remembered);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, since| now.since(*since) < REMEMBERED);
        }
        if remembered.len() < MAX_REMEMBERED {
            remembered.insert(tag, now);
        }
    }

    /// Counts a failure, and says how long its answer is to wait.
    fn count_failure(&self, place: Digest) -> Duration {
        let now = self.clock.now();
        let mut failures = held(&self.failures);
        if failures.len() >= MAX_FAILURES {
            failures.retain(|_, failed| now.since(failed.last) < FAILURE_COUNTS);
        }
        if failures.len() >= MAX_FAILURES && !failures.contains_key(&place) {
            // Somebody guesses from everywhere at once: everybody waits longest, and memory stays bounded.
            return MAX_DELAY;
        }
        let failed = failures.entry(place).or_insert(Failures { count: 0, last: now });
        if now.since(failed.last) >= FAILURE_COUNTS {
            failed.count = 0;
        }
        *failed = Failures { count: failed.count.saturating_add(1), last: now };
        DELAY.saturating_mul(failed.count).min(MAX_DELAY)
    }

    /// The name of these credentials against this hash. A password changed in the config has another name.
    fn tag(&self, credentials: &Credentials, hash: &str) -> Digest {
        // Both go into a keyed hash, whose key dies with the process.
        let (login, password) = (credentials.login.expose(), credentials.password.expose());
        let mut text = zeroize::Zeroizing::new(Vec::with_capacity(hash.len() + login.len() + password.len() + 2));
        // None of the three can hold a NUL, so two triples never read alike.
        for part in [hash, login, password] {
            text.extend_from_slice(part.as_bytes());
            text.push(0);
        }
        // The hash is kept instead of what was typed; the key lives as long as the process.
        hmac_sha256(self.key.expose(), &text)
    }

    /// The name of a login tried from a network.
    fn place(&self, credentials: &Credentials, from: IpAddr) -> Digest {
        // The login goes into a keyed hash.
        let text = format!("{} {}", network_of(from), credentials.login.expose());
        hmac_sha256(self.key.expose(), text.as_bytes())
    }

    fn clients(&self) -> Arc<Vec<config::Client>> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The network that one neighbour can be taken to hold: an IPv4 address, or an IPv6 /64.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::clock::ManualClock;
    use crate::config::{Client, Login, OnRefusal, Profile};
    use crate::phi::Phi;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn login(password_hash: String) -> Login {
        Login { name: "openemr".into(), password_hash: Some(password_hash), scram: None }
    }

    fn client(password: &str) -> Client {
        Client {
            name: ClientName("openemr".into()),
            profile: Profile::Standard,
            return_paths: Vec::new(),
            login: Some(login(hash_password(password).unwrap())),
            certificates: vec![],
            senders: vec!["*@clinic.example".into()],
            networks: vec![],
            on_refusal: OnRefusal::Reject,
            rates: config::Rates::default(),
            trust_headers: false,
            suspended: false,
        }
    }

    fn credentials(login: &str, password: &str) -> Credentials {
        Credentials { login: Phi::new(login.into()), password: Phi::new(Zeroizing::new(password.into())) }
    }

    fn accounts(client: Client) -> (Accounts, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_007)));
        (Accounts::new(vec![client], clock.clone()).unwrap(), clock)
    }

    /// The judgement alone, without the wait that follows a failure.
    async fn check(accounts: &Accounts, login: &str, password: &str) -> Result<String, Denied> {
        let verdict = accounts.judge(&credentials(login, password), HERE).await;
        verdict.map(|submitter| submitter.name.0)
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_login_is_let_in() {
        let (accounts, _) = accounts(client("correct horse"));
        assert_eq!(check(&accounts, "openemr", "correct horse").await, Ok("openemr".into()));
        assert_eq!(check(&accounts, "openemr", "wrong").await, Err(Denied::Wrong));
        assert_eq!(check(&accounts, "nobody", "correct horse").await, Err(Denied::Wrong));
        assert_eq!(check(&accounts, "OPENEMR", "correct horse").await, Err(Denied::Wrong));
    }

    #[tokio::test]
    async fn guessers_share_the_memory_of_two_hashes() {
        let (accounts, _) = accounts(client("correct horse"));
        let guess = |password: &'static str| check(&accounts, "openemr", password);
        let all = tokio::join!(guess("one"), guess("two"), guess("three"), guess("four"), guess("five"));
        assert_eq!(
            all,
            (Err(Denied::Wrong), Err(Denied::Wrong), Err(Denied::Wrong), Err(Denied::Wrong), Err(Denied::Wrong))
        );
        assert!((1..=HASHES).contains(&held(&accounts.workspaces).len()));
    }

    #[tokio::test]
    async fn a_suspended_client_is_told_so_only_with_its_password() {
        let (accounts, _) = accounts(Client { suspended: true, ..client("correct horse") });
        assert_eq!(check(&accounts, "openemr", "correct horse").await, Err(Denied::Suspended));
        assert_eq!(check(&accounts, "openemr", "wrong").await, Err(Denied::Wrong));
        assert_eq!(accounts.standing(&ClientName("openemr".into())), Err(Denied::Suspended));
        assert_eq!(Denied::Suspended.reply().code.value(), 454);
    }

    #[tokio::test]
    async fn a_hash_that_is_none_is_no_fault_of_the_client() {
        let (accounts, _) = accounts(Client { login: Some(login("x".into())), ..client("x") });
        assert_eq!(check(&accounts, "openemr", "x").await, Err(Denied::Unusable));
        assert_eq!(Denied::Unusable.reply().code.value(), 454);
    }

    #[tokio::test]
    async fn a_client_without_a_password_is_not_let_in_by_one() {
        let scram_only = Login { password_hash: None, ..login("x".into()) };
        for without in [Some(scram_only), None] {
            let (accounts, _) = accounts(Client { login: without, ..client("x") });
            for password in ["", "x"] {
                assert_eq!(check(&accounts, "openemr", password).await, Err(Denied::Wrong));
            }
        }
    }

    #[tokio::test]
    async fn a_login_may_be_bound_to_its_networks() {
        let bound = Client { networks: vec!["192.0.2.0/28".parse().unwrap()], ..client("x") };
        let (accounts, _) = accounts(bound);
        let from = |address: &str| address.parse::<IpAddr>().unwrap();
        let login = credentials("openemr", "x");
        assert!(accounts.judge(&login, from("192.0.2.7")).await.is_ok());
        assert!(accounts.judge(&login, from("::ffff:192.0.2.7")).await.is_ok());
        assert_eq!(accounts.judge(&login, from("192.0.2.77")).await, Err(Denied::Wrong));
    }

    #[tokio::test]
    async fn a_right_password_is_remembered_for_a_while_and_not_beyond_a_reload() {
        let (accounts, clock) = accounts(client("x"));
        let tag = |accounts: &Accounts| {
            let login = accounts.clients()[0].login.clone().unwrap();
            accounts.tag(&credentials("openemr", "x"), &login.password_hash.unwrap())
        };
        check(&accounts, "openemr", "x").await.unwrap();
        let since = clock.now();
        assert_eq!(held(&accounts.remembered).get(&tag(&accounts)), Some(&since));
        clock.advance(REMEMBERED);
        check(&accounts, "openemr", "x").await.unwrap();
        assert_eq!(held(&accounts.remembered).get(&tag(&accounts)), Some(&clock.now()));
        accounts.reload(vec![client("y")]);
        assert!(held(&accounts.remembered).is_empty());
        assert_eq!(check(&accounts, "openemr", "x").await, Err(Denied::Wrong));
        assert_eq!(check(&accounts, "openemr", "y").await, Ok("openemr".into()));
        accounts.reload(vec![]);
        assert_eq!(check(&accounts, "openemr", "y").await, Err(Denied::Wrong));
    }

    #[tokio::test]
    async fn each_failure_is_answered_later_than_the_one_before() {
        let (accounts, clock) = accounts(client("x"));
        let place = accounts.place(&credentials("openemr", "?"), HERE);
        let waits: Vec<_> = (0..5).map(|_| accounts.count_failure(place).as_secs()).collect();
        assert_eq!(waits, [1, 2, 3, 3, 3]);
        let elsewhere = accounts.place(&credentials("openemr", "?"), "192.0.2.8".parse().unwrap());
        assert_eq!(accounts.count_failure(elsewhere), DELAY);
        clock.advance(FAILURE_COUNTS);
        assert_eq!(accounts.count_failure(place), DELAY);
    }

    #[tokio::test]
    async fn a_failure_is_answered_late_and_forgotten_after_a_success() {
        let (accounts, _) = accounts(client("x"));
        let before = std::time::Instant::now();
        accounts.verify(&credentials("openemr", "wrong"), HERE).await.unwrap_err();
        assert!(before.elapsed() >= DELAY);
        accounts.verify(&credentials("openemr", "x"), HERE).await.unwrap();
        assert!(held(&accounts.failures).is_empty());
    }

    #[test]
    fn what_is_remembered_of_failures_is_bounded() {
        let (accounts, _) = accounts(client("x"));
        for n in 0..MAX_FAILURES + 100 {
            accounts.count_failure(accounts.place(&credentials(&format!("guess-{n}"), "?"), HERE));
        }
        assert_eq!(held(&accounts.failures).len(), MAX_FAILURES);
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one() {
        let one: IpAddr = "2001:db8:1:2:3::4".parse().unwrap();
        let other: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
        assert_eq!(network_of(one), network_of(other));
        assert_ne!(network_of(HERE), network_of("192.0.2.8".parse().unwrap()));
    }
}
