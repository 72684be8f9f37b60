//! Who is let in, who is not, and what that costs.

use zeroize::Zeroizing;

use super::password::{HASHES, REMEMBERED};
use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::config::{Client, Login, OnRefusal, Profile};
use crate::crypto::hash_password;
use crate::smtp::{Credentials, Outcome, verifier};

const LOCKOUT: Lockout = Lockout { after: 10, lasts: Duration::from_secs(900) };
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
        receipt: false,
        may_opt_out: config::Permission::NotGranted,
        care: config::Care::default(),
        suspended: false,
    }
}

fn credentials(login: &str, password: &str) -> Credentials {
    Credentials { login: Phi::new(login.into()), password: Phi::new(Zeroizing::new(password.into())) }
}

fn claim(login: &str, password: &str) -> Claim {
    Claim::Password(credentials(login, password))
}

fn accounts(client: Client) -> (Accounts, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_007)));
    (Accounts::new(vec![client], LOCKOUT, Key::new([7; 32]), clock.clone()).unwrap(), clock)
}

/// The judgement alone, without the wait that follows a failure.
async fn judge(accounts: &Accounts, claim: &Claim, from: IpAddr) -> Result<Submitter, Denied> {
    let login = match claim {
        Claim::Password(credentials) => credentials.login.clone(),
        Claim::Scram(outcome, _) => outcome.login.clone(),
        Claim::Certificate(_) => Phi::default(),
    };
    let place = accounts.guesses.place(&login, from, None);
    accounts.judge(claim, (&place, from)).await
}

async fn check(accounts: &Accounts, login: &str, password: &str) -> Result<String, Denied> {
    let verdict = judge(accounts, &claim(login, password), HERE).await;
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
    assert!((1..=HASHES).contains(&held(&accounts.passwords.workspaces).len()));
}

#[tokio::test]
async fn whoever_was_right_from_there_does_not_wait_behind_a_crowd_of_guessers() {
    const CROWD: u8 = 40;
    let (accounts, clock) = accounts(client("correct horse"));
    let accounts = Arc::new(accounts);
    assert!(accounts.verify(&claim("openemr", "correct horse"), HERE).await.is_ok());
    // Too long ago to be let in without a hash.
    clock.advance(REMEMBERED);
    let done = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for last in 0..CROWD {
        let (accounts, done) = (Arc::clone(&accounts), Arc::clone(&done));
        tokio::spawn(async move {
            let guess = judge(&accounts, &claim("openemr", "guess"), [198, 51, 100, last].into()).await;
            done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(guess, Err(Denied::Wrong));
        });
    }
    // All of them stand in line.
    tokio::task::yield_now().await;
    assert_eq!(check(&accounts, "openemr", "correct horse").await, Ok("openemr".into()));
    let before = done.load(std::sync::atomic::Ordering::Relaxed);
    assert!(before < usize::from(CROWD) / 2, "{before} guesses came first");
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
    let login = claim("openemr", "x");
    assert!(judge(&accounts, &login, from("192.0.2.7")).await.is_ok());
    assert!(judge(&accounts, &login, from("::ffff:192.0.2.7")).await.is_ok());
    assert_eq!(judge(&accounts, &login, from("192.0.2.77")).await, Err(Denied::Elsewhere));
    // Whoever guesses is not told that the password was right.
    assert_eq!(Denied::Elsewhere.reply(), Denied::Wrong.reply());
    let wrong = claim("openemr", "y");
    assert_eq!(judge(&accounts, &wrong, from("192.0.2.77")).await, Err(Denied::Wrong));
}

#[tokio::test]
async fn a_right_password_is_remembered_for_a_while_and_not_beyond_a_reload() {
    let (accounts, clock) = accounts(client("x"));
    let tag = |accounts: &Accounts| {
        let login = accounts.clients()[0].login.clone().unwrap();
        accounts.passwords.tag(&credentials("openemr", "x"), &login.password_hash.unwrap())
    };
    check(&accounts, "openemr", "x").await.unwrap();
    let since = clock.now();
    assert_eq!(held(&accounts.passwords.remembered).get(&tag(&accounts)), Some(&since));
    clock.advance(REMEMBERED);
    check(&accounts, "openemr", "x").await.unwrap();
    assert_eq!(held(&accounts.passwords.remembered).get(&tag(&accounts)), Some(&clock.now()));
    accounts.reload(vec![client("y")], LOCKOUT);
    assert!(held(&accounts.passwords.remembered).is_empty());
    assert_eq!(check(&accounts, "openemr", "x").await, Err(Denied::Wrong));
    assert_eq!(check(&accounts, "openemr", "y").await, Ok("openemr".into()));
    accounts.reload(vec![], LOCKOUT);
    assert_eq!(check(&accounts, "openemr", "y").await, Err(Denied::Wrong));
}

#[tokio::test]
async fn a_failure_is_answered_late_and_forgotten_after_a_success() {
    let (accounts, _) = accounts(client("x"));
    let before = std::time::Instant::now();
    accounts.verify(&claim("openemr", "wrong"), HERE).await.unwrap_err();
    assert!(before.elapsed() >= guesses::DELAY);
    accounts.verify(&claim("openemr", "x"), HERE).await.unwrap();
    let place = accounts.guesses.place(&Phi::new("openemr".into()), HERE, None);
    assert_eq!(accounts.count(&place), guesses::DELAY);
}

/// So many wrong tries, without their waits.
fn fail(accounts: &Accounts, (login, from): (&str, IpAddr), times: usize) {
    let client = find(&accounts.clients(), &Phi::new(login.into())).map(|client| client.name.clone());
    let place = accounts.guesses.place(&Phi::new(login.into()), from, client.as_ref());
    for _ in 0..times {
        accounts.count(&place);
    }
}

#[tokio::test]
async fn who_guessed_too_often_is_not_heard_and_costs_no_hash() {
    let (accounts, clock) = accounts(Client { login: Some(both("x")), ..client("x") });
    fail(&accounts, ("openemr", HERE), 10);
    let before = std::time::Instant::now();
    assert_eq!(accounts.verify(&claim("openemr", "wrong"), HERE).await.map(drop), Err(Denied::Locked));
    assert_eq!(accounts.verify(&claim("openemr", "x"), HERE).await.map(drop), Err(Denied::Locked));
    assert!(before.elapsed() < guesses::DELAY && held(&accounts.passwords.workspaces).is_empty());
    assert_eq!(accounts.verifier(&Phi::new("openemr".into()), HERE), Err(Denied::Locked));
    assert_eq!(Denied::Locked.reply().code.value(), 454);
    let elsewhere = "192.0.2.8".parse().unwrap();
    assert!(accounts.verify(&claim("openemr", "x"), elsewhere).await.is_ok(), "a stranger cannot lock it elsewhere");
    clock.advance(LOCKOUT.lasts);
    assert!(accounts.verify(&claim("openemr", "x"), HERE).await.is_ok());
}

#[tokio::test]
async fn an_operator_sees_what_is_locked_and_unlocks_it() {
    let (accounts, clock) = accounts(client("x"));
    fail(&accounts, ("openemr", HERE), 10);
    fail(&accounts, ("nobody", HERE), 10);
    let until = clock.now().plus(LOCKOUT.lasts);
    let locked = |whose| Locked { whose, network: HERE, until };
    let openemr = ClientName("openemr".into());
    assert_eq!(accounts.locked(), [locked(Whose::Client(openemr.clone())), locked(Whose::Nobodys)]);
    assert_eq!(accounts.unlock(&Unlock::Client(openemr)), 1);
    assert!(accounts.verify(&claim("openemr", "x"), HERE).await.is_ok());
    assert_eq!(accounts.unlock(&Unlock::Network(HERE)), 1);
    assert_eq!(accounts.locked(), []);
}

#[test]
fn neighbours_in_one_ipv6_network_are_one() {
    let one: IpAddr = "2001:db8:1:2:3::4".parse().unwrap();
    let other: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
    assert_eq!(network_of(one), network_of(other));
    assert_ne!(network_of(HERE), network_of("192.0.2.8".parse().unwrap()));
}

fn both(password: &str) -> Login {
    Login { scram: verifier(password).unwrap(), ..login(hash_password(password).unwrap()) }
}

#[test]
fn scram_is_offered_once_every_login_can_use_it() {
    let logins = |logins: &[Login]| {
        let clients = logins.iter().map(|login| Client { login: Some(login.clone()), ..client("x") }).collect();
        let (accounts, _) = accounts(client("x"));
        accounts.reload(clients, LOCKOUT);
        let Logins { passwords, scram } = accounts.logins();
        (passwords, scram)
    };
    let both = both("x");
    let only_hash = Login { scram: None, ..both.clone() };
    let only_scram = Login { password_hash: None, ..both.clone() };
    assert_eq!(logins(&[]), (true, false));
    assert_eq!(logins(std::slice::from_ref(&only_hash)), (true, false));
    assert_eq!(logins(std::slice::from_ref(&both)), (true, true));
    assert_eq!(logins(&[both.clone(), only_hash.clone()]), (true, false));
    assert_eq!(logins(std::slice::from_ref(&only_scram)), (false, true));
    assert_eq!(logins(&[only_scram, only_hash]), (true, true));
}

#[tokio::test]
async fn who_has_no_verifier_is_held_against_one_that_looks_like_the_others() {
    let known = Login { name: "\u{2168}-ehr".into(), ..both("x") };
    let (accounts, _) = accounts(Client { login: Some(known.clone()), ..client("x") });
    let verifier = |login: &str| accounts.verifier(&Phi::new(login.into()), HERE).unwrap();
    // SCRAM sends the login as SASLprep writes it.
    assert_eq!(Some(verifier("IX-ehr")), known.scram);
    let nobody = verifier("nobody");
    assert_eq!(nobody, verifier("nobody"));
    let known = verifier("IX-ehr");
    assert_eq!((nobody.iterations, nobody.salt.len()), (known.iterations, known.salt.len()));
    let claim = |scram: &crate::config::Scram, login: &str| {
        let shown = Shown::Knows { server_final: String::new() };
        Claim::Scram(Outcome { login: Phi::new(login.into()), scram: scram.clone(), shown }, Proof::Scram)
    };
    assert_eq!(judge(&accounts, &claim(&nobody, "nobody"), HERE).await.map(drop), Err(Denied::Wrong));
    assert_eq!(judge(&accounts, &claim(&nobody, "IX-ehr"), HERE).await.map(drop), Err(Denied::Wrong));
    assert_eq!(judge(&accounts, &claim(&known, "IX-ehr"), HERE).await.unwrap().proof, Proof::Scram);
    let (shown, login) = (Shown::Elsewhere, Phi::new("IX-ehr".into()));
    let elsewhere = Claim::Scram(Outcome { login, scram: known, shown }, Proof::ScramPlus);
    assert_eq!(judge(&accounts, &elsewhere, HERE).await.map(drop), Err(Denied::Intercepted));
}
