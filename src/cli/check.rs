//! `sealpost check`: whether the config and what surrounds it let mail in, keep it and carry it on; and what to do.

mod files;
mod reach;
mod rules;

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use serde::Serialize;
use serde_json::json;

use crate::cli::output::{ANSWER_IS_NO, Failed, Format, print_json, print_line};
use crate::cli::reach::{block_on, read_config_telling};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::{Client, Config, Door, Legacy, Onward, RelayTls};
use crate::keyring::master;
use crate::mail::{Assurance, Domain, Method};
use crate::net::mx::{self, Found};
use crate::net::tls::system_roots;
use crate::net::{LookupError, Resolver};

/// What is typed behind `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A mail server to try port 25 of, beside those of the routes; may be given several times; default: the one of the
    /// postmaster's domain
    #[arg(long = "target", value_name = "HOST[:PORT]")]
    targets: Vec<String>,
}

pub(super) fn command(path: &Path, arguments: &Arguments, format: Format) -> Result<ExitCode, Failed> {
    let config = read_config_telling(path, &mut |mistake| {
        if format == Format::Json {
            print_json(&json!({ "line": mistake.line, "key": mistake.key, "mistake": mistake.text }));
        }
    })?;
    let keys = master::Surroundings::of_this_process();
    let findings = block_on(async {
        let resolver = Resolver::new(&config.dns);
        let mut targets = arguments.targets.clone();
        if let (true, Ok(resolver)) = (targets.is_empty(), &resolver) {
            targets.extend(postmasters_exchanger(resolver, &config).await);
        }
        let subject = Subject { config: &config, file: path, keys: &keys, targets: &targets, now: SystemClock.now() };
        run(&subject, async |name| match &resolver {
            Ok(resolver) => ask(resolver, name).await,
            Err(_) => Answer::Silence,
        })
        .await
    })?;
    match format {
        Format::Json => findings.iter().for_each(print_json),
        Format::Text => print_line(tell(&findings).trim_end()),
    }
    Ok(match worst(&findings) {
        Status::Ok | Status::Warn => ExitCode::SUCCESS,
        Status::Fail => ExitCode::from(ANSWER_IS_NO),
    })
}

/// The mail server of whoever is told of held mail: the one that has to be reached in every set-up.
async fn postmasters_exchanger(resolver: &Resolver, config: &Config) -> Option<String> {
    let found = mx::targets(resolver, config.notify.postmaster.domain(), config).await.ok()?;
    match found.found {
        Found::Mx | Found::Implicit | Found::Literal => found.hosts.first().map(|host| host.name.to_string()),
        // Routes are tried anyway.
        Found::Routed(_) => None,
    }
}

async fn ask(resolver: &Resolver, name: &Domain) -> Answer {
    match resolver.addresses(name).await {
        Ok(addresses) => Answer::Addresses(addresses),
        Err(LookupError::NoSuchDomain | LookupError::NoRecords) => Answer::Nothing,
        Err(_) => Answer::Silence,
    }
}

/// The day of this release: a clock that shows an earlier one is wrong.
const RELEASED: Timestamp = Timestamp::from_millis(1_795_478_400_000);

/// 45 CFR 164.316(b)(2)(i): six years.
const SIX_YEARS: Duration = Duration::from_hours(24 * 2191);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    /// It works, and somebody should know.
    Warn,
    /// Mail will not come in, be kept, or go out.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub what: String,
    pub status: Status,
    pub found: String,
    /// What to do; empty when nothing is to be done.
    pub advice: String,
}

impl Finding {
    fn ok(what: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding { what: what.into(), status: Status::Ok, found: found.into(), advice: String::new() }
    }

    fn warn(what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { what: what.into(), status: Status::Warn, found: found.into(), advice: advice.into() }
    }

    fn fail(what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { what: what.into(), status: Status::Fail, found: found.into(), advice: advice.into() }
    }
}

/// What is checked.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// With its paths resolved.
    pub config: &'a Config,
    pub file: &'a Path,
    pub keys: &'a master::Surroundings,
    /// Hosts beside those of routes to which port 25 is tried, as in `mx.lab.example` or `127.0.0.1:2525`.
    pub targets: &'a [String],
    pub now: Timestamp,
}

/// What the resolver said of a host name.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Addresses(Vec<IpAddr>),
    /// It answered that there is no such name, or none with an address.
    Nothing,
    /// It did not answer.
    Silence,
}

/// Looks at everything. No address is contacted but the resolver, the database, the routes' hosts and
/// the targets.
pub(super) async fn run(subject: &Subject<'_>, resolve: impl AsyncFn(&Domain) -> Answer) -> Vec<Finding> {
    let mut findings = files::config(subject);
    findings.extend(settings(subject.config));
    findings.extend(listeners(subject.config, subject.now));
    findings.extend(rules::policy(subject.config));
    findings.push(clock(subject.now));
    findings.extend(files::certificates(subject));
    findings.extend(files::proofs(subject));
    findings.push(authorities(subject.config, system_roots()));
    findings.push(files::master_key(subject));
    findings.extend(files::data_dir(subject.config));
    findings.extend(reach::ports(subject.config));
    findings.extend(reach::names(subject.config, &resolve).await);
    findings.push(reach::database(subject.config, &resolve).await);
    findings.extend(reach::outgoing(subject, &resolve).await);
    findings
}

/// The worst of all, which decides the exit code.
pub(super) fn worst(findings: &[Finding]) -> Status {
    findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok)
}

/// For people; `--json` prints the findings themselves.
pub(super) fn tell(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { what, status, found, advice } in findings {
        let mark = match status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        text.push_str(&format!("{mark}  {what}: {found}\n"));
        if !advice.is_empty() {
            text.push_str(&format!("      -> {advice}\n"));
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    text.push_str(&match (count(Status::Fail), count(Status::Warn)) {
        (0, 0) => "All is well.\n".to_owned(),
        (0, warned) => format!("It will work; {warned} to look at.\n"),
        (failed, warned) => format!("{failed} to mend, {warned} to look at.\n"),
    });
    text
}

/// Without any, no partner's certificate counts as valid, and all mail is held.
fn authorities(config: &Config, system: usize) -> Finding {
    let what = "trusted authorities";
    match (system, &config.delivery.ca_file) {
        (0, None) => Finding::fail(what, "the system has none", "apt-get install ca-certificates"),
        (0, Some(own)) => Finding::warn(
            what,
            format!("only those of {}", own.display()),
            "apt-get install ca-certificates, if partners have certificates of public authorities",
        ),
        (count, _) => Finding::ok(what, format!("{count} of the system's")),
    }
}

/// What is allowed, and should be meant.
fn settings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.clients.is_empty() {
        findings.push(Finding::warn("clients", "there is none", "sealpost client add NAME lets a program send"));
    }
    findings.extend(without_scram(&config.clients));
    for route in config.routes.iter().filter(|route| route.onward == Onward::Unknown) {
        findings.push(Finding::warn(
            format!("route to {}", route.host),
            "what lies behind it is unknown, so it carries only notices and mail sealed end to end",
            "write onward = \"final\" or \"enforced\" in its [[route]] when you know it to be so",
        ));
    }
    let encrypted = Method::Tls(Assurance::Encrypted);
    if config.policy.default.contains(&encrypted) || config.policy.secure.contains(&encrypted) {
        findings.push(Finding::warn(
            "policy",
            "tls:encrypted is enough, and accepts whoever poses as the recipient's server",
            "take it out of [policy], and write rules for the partners that need it",
        ));
    }
    if config.retention.evidence < SIX_YEARS {
        findings.push(Finding::warn(
            "retention",
            "evidence is destroyed before six years are over",
            "45 CFR 164.316(b)(2)(i) asks for six years: take evidence out of [retention], or know why not",
        ));
    }
    findings
}

/// SCRAM is offered once every login can use it: who keeps it from being offered, once others could.
fn without_scram(clients: &[Client]) -> Option<Finding> {
    let logins = clients.iter().filter_map(|client| Some((client, client.login.as_ref()?)));
    let (with, without): (Vec<_>, Vec<_>) = logins.partition(|(_, login)| login.scram.is_some());
    let offered = with.iter().any(|(_, login)| login.password_hash.is_none());
    if with.is_empty() || without.is_empty() {
        return None;
    }
    let names: Vec<_> = without.iter().map(|(client, _)| client.name.to_string()).collect();
    let told = if offered {
        "SCRAM is offered, and whoever prefers it cannot log in without scram"
    } else {
        "SCRAM is offered once every login has scram; so far, passwords are sent"
    };
    let names = names.join(", ");
    Some(Finding::warn("logins", format!("{told}: missing for {names}"), "sealpost client passwd NAME writes it"))
}

/// Every way in without TLS, and when it ends; and listeners that nobody can use.
fn listeners(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for client in config.clients.iter().filter(|client| client.is_known_by_network()) {
        for network in client.networks.iter().filter(|network| is_a_crowd(network)) {
            findings.push(Finding::warn(
                format!("client {}", client.name),
                format!("all of {network} may send as it without a login"),
                "where others send from there too, as from a provider's servers, give it a login or a certificate",
            ));
        }
    }
    for listener in &config.listeners {
        let what = format!("{} listener {}", listener.role().name(), listener.bind);
        match &listener.door {
            Door::Submission | Door::Submissions => {}
            Door::Relay(tls) => {
                if !config.clients.iter().any(Client::is_known_by_network) {
                    let found = "no client is known by its networks, so each must log in here";
                    let advice = "write a [[client]] with networks, and without login and certificate";
                    findings.push(Finding::warn(what.clone(), found, advice));
                }
                if *tls == RelayTls::Optional {
                    let found = "it takes mail without TLS, and health information may cross the network in clear";
                    findings.push(Finding::warn(
                        what,
                        found,
                        "take out tls = \"optional\" once its servers say STARTTLS",
                    ));
                }
            }
            Door::Legacy(Legacy { quarantine, .. }) => {
                let day = quarantine.until.date();
                let owner = &quarantine.owner;
                findings.push(if quarantine.is_over(now) {
                    let advice = format!("take it out, or have {owner} answer for another day: write it as until");
                    Finding::fail(what, format!("its last day was {day}, and it refuses everything"), advice)
                } else {
                    let advice = format!("give its devices TLS before {day}, or have {owner} answer for another day");
                    Finding::warn(what, format!("it stands open without TLS until {day}"), advice)
                });
            }
        }
    }
    findings
}

/// More addresses of the internet than one sender has.
fn is_a_crowd(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 24 && !network.addr().is_private(),
        IpNet::V6(network) => network.prefix_len() < 48 && !network.addr().is_unique_local(),
    }
}

fn clock(now: Timestamp) -> Finding {
    if now < RELEASED {
        return Finding::fail(
            "clock",
            format!("it shows {now}, which is before this Sealpost was released"),
            "set it, and keep it set: timedatectl set-ntp true",
        );
    }
    Finding::ok("clock", format!("{now}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::init;
    use crate::config;

    const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_000);

    /// A set-up as `init` makes it, with the listeners on ports that nobody has.
    struct SetUp {
        _folder: tempfile::TempDir,
        made: init::Made,
        config: Config,
    }

    fn set_up() -> SetUp {
        let folder = tempfile::tempdir().unwrap();
        let options = init::Options {
            folder: folder.path().join("relay"),
            hostname: Some(Domain::parse("relay.clinic.example").unwrap()),
            ..init::Options::default()
        };
        let made = init::run(&options, NOW).unwrap();
        let text = std::fs::read_to_string(&made.config).unwrap();
        let mut config = config::parse(&text).unwrap().resolve(made.config.parent().unwrap());
        for listener in &mut config.listeners {
            listener.bind = free_port();
        }
        config.http.bind = Some(free_port());
        config.limits.disk_reserve_bytes = 1;
        SetUp { _folder: folder, made, config }
    }

    fn free_port() -> std::net::SocketAddr {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    async fn check(set_up: &SetUp, targets: &[String], now: Timestamp) -> Vec<Finding> {
        let keys = master::Surroundings::default();
        let subject = Subject { config: &set_up.config, file: &set_up.made.config, keys: &keys, targets, now };
        run(&subject, async |name| match name.as_str() {
            "silent.example" => Answer::Silence,
            "absent.example" => Answer::Nothing,
            _ => Answer::Addresses(vec![IpAddr::from([127, 0, 0, 1])]),
        })
        .await
    }

    fn status<'f>(findings: &'f [Finding], what: &str) -> (Status, &'f str) {
        let finding = findings.iter().filter(|finding| finding.what.starts_with(what)).max_by_key(|found| found.status);
        let finding = finding.unwrap_or_else(|| panic!("{what} is not among {findings:#?}"));
        (finding.status, &finding.found)
    }

    #[tokio::test]
    async fn a_fresh_set_up_works_and_says_what_is_still_to_do() {
        let set_up = set_up();
        let findings = check(&set_up, &[], NOW).await;
        assert_eq!(worst(&findings), Status::Warn, "{}", tell(&findings));
        assert_eq!(status(&findings, "clients").0, Status::Warn);
        assert_eq!(status(&findings, "outgoing mail").0, Status::Warn);
        assert_eq!(status(&findings, "certificate").0, Status::Ok);
        assert_eq!(status(&findings, "host name").0, Status::Ok);
        assert_eq!(status(&findings, "data directory").0, Status::Ok);
    }

    #[test]
    fn who_keeps_scram_from_being_offered_is_named() {
        let text = |logins: &[(&str, bool, bool)]| {
            let mut text = std::fs::read_to_string(set_up().made.config).unwrap();
            for (name, hash, scram) in logins {
                text +=
                    &format!("[[client]]\nname = \"{name}\"\nlogin = \"{name}\"\nsenders = [\"*@clinic.example\"]\n");
                if *hash {
                    text += "password_hash = \"$argon2id$v=19$m=19456,t=2,p=1$writtenBy$sealpostClientPasswd\"\n";
                }
                if *scram {
                    text += &format!("scram = \"{}\"\n", crate::smtp::verifier("only for tests").unwrap().unwrap());
                }
            }
            text
        };
        let found = |logins: &[(&str, bool, bool)]| {
            let clients = config::parse(&text(logins)).unwrap().clients;
            without_scram(&clients).map(|finding| finding.found)
        };
        assert_eq!(found(&[("a", true, false)]), None);
        assert_eq!(found(&[("a", true, true)]), None);
        let told = found(&[("a", true, true), ("b", true, false)]).unwrap();
        assert!(told.contains("passwords are sent: missing for b"), "{told}");
        let told = found(&[("a", false, true), ("b", true, false)]).unwrap();
        assert!(told.contains("cannot log in without scram: missing for b"), "{told}");
    }

    #[tokio::test]
    async fn a_master_key_on_the_same_disk_makes_a_stolen_disk_notifiable() {
        let findings = check(&set_up(), &[], NOW).await;
        let (status, found) = status(&findings, "master key");
        assert_eq!(status, Status::Warn);
        assert!(found.contains("same disk"), "{found}");
        assert!(tell(&findings).contains("a stolen disk would then be notifiable"));
    }

    #[tokio::test]
    async fn what_fails_says_what_to_do() {
        let mut set_up = set_up();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        set_up.config.listeners[0].bind = taken.local_addr().unwrap();
        set_up.config.server.hostname = Domain::parse("absent.example").unwrap();
        set_up.config.limits.disk_reserve_bytes = u64::MAX;
        std::fs::remove_file(&set_up.config.server.master_key).unwrap();
        let findings = check(&set_up, &[], Timestamp::from_millis(0)).await;
        for what in ["port", "certificate", "free disk", "master key", "clock"] {
            assert_eq!(status(&findings, what).0, Status::Fail, "{what} in {}", tell(&findings));
        }
        assert_eq!(status(&findings, "host name").0, Status::Warn);
        assert!(findings.iter().all(|finding| finding.status == Status::Ok || !finding.advice.is_empty()));
    }

    #[tokio::test]
    async fn a_port_that_the_running_sealpost_has_is_in_order() {
        let mut set_up = set_up();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        set_up.config.listeners[0].bind = taken.local_addr().unwrap();
        let lock = std::fs::File::create(set_up.config.server.data_dir.join("lock")).unwrap();
        let held = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(status(&check(&set_up, &[], NOW).await, "port").0, Status::Ok);
        drop(held);
        assert_eq!(status(&check(&set_up, &[], NOW).await, "port").0, Status::Fail);
    }

    #[tokio::test]
    async fn a_master_key_that_only_the_running_sealpost_has_is_not_missed() {
        let set_up = set_up();
        std::fs::remove_file(&set_up.config.server.master_key).unwrap();
        assert_eq!(status(&check(&set_up, &[], NOW).await, "master key").0, Status::Fail);
        let lock = std::fs::File::create(set_up.config.server.data_dir.join("lock")).unwrap();
        let _held = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(status(&check(&set_up, &[], NOW).await, "master key").0, Status::Ok);
    }

    #[tokio::test]
    async fn a_resolver_that_says_nothing_is_a_failure() {
        let mut set_up = set_up();
        set_up.config.server.hostname = Domain::parse("silent.example").unwrap();
        assert_eq!(status(&check(&set_up, &[], NOW).await, "resolver").0, Status::Fail);
    }

    #[tokio::test]
    async fn targets_are_connected_to_and_nothing_is_said_to_them() {
        let set_up = set_up();
        let mx = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let targets = [format!("mx.lab.example:{}", mx.local_addr().unwrap().port()), free_port().to_string()];
        let findings = check(&set_up, &targets, NOW).await;
        assert_eq!(status(&findings, &format!("outgoing mail to {}", targets[0])).0, Status::Ok);
        assert_eq!(status(&findings, &format!("outgoing mail to {}", targets[1])).0, Status::Fail);
        let (mut connection, _) = mx.accept().unwrap();
        let mut said = Vec::new();
        std::io::Read::read_to_end(&mut connection, &mut said).unwrap();
        assert!(said.is_empty());
    }

    #[tokio::test]
    async fn a_certificate_that_ends_soon_or_carries_another_name_is_told() {
        let mut set_up = set_up();
        let late = NOW.plus(Duration::from_hours(24 * 815));
        assert_eq!(status(&check(&set_up, &[], late).await, "certificate").0, Status::Warn);
        set_up.config.server.hostname = Domain::parse("mail.clinic.example").unwrap();
        let findings = check(&set_up, &[], NOW).await;
        let (status, found) = status(&findings, "certificate");
        assert_eq!(status, Status::Fail);
        assert!(found.contains("relay.clinic.example"), "{found}");
    }

    #[tokio::test]
    async fn a_key_that_others_can_read_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let set_up = set_up();
        let key = &set_up.config.tls.certificates[0].key;
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let findings = check(&set_up, &[], NOW).await;
        assert_eq!(status(&findings, "certificate").0, Status::Fail);
        assert!(tell(&findings).contains("chmod 600"));
    }

    #[test]
    fn a_way_in_without_tls_is_told_while_it_stands_and_fails_behind_its_last_day() {
        let mut config = crate::config::parse(include_str!("../../config/examples/clinic.toml")).unwrap();
        let until = Timestamp::parse_date("2027-03-31").unwrap();
        let legacy = Legacy {
            networks: vec!["10.20.0.7/32".parse().unwrap()],
            reason: "old scanner".into(),
            quarantine: crate::mail::Quarantine { owner: "it@clinic.example".into(), until },
        };
        config.listeners = vec![
            config::Listener::new(Door::Legacy(legacy), "127.0.0.1:2525".parse().unwrap()),
            config::Listener::new(Door::Relay(RelayTls::Optional), "127.0.0.1:25".parse().unwrap()),
        ];
        let mut provider = config.clients[0].clone();
        (provider.login, provider.networks) = (None, vec!["198.51.0.0/16".parse().unwrap()]);
        config.clients = vec![provider];
        let status = |now| listeners(&config, now).iter().map(|found| found.status).collect::<Vec<_>>();
        assert_eq!(status(until), [Status::Warn; 3], "the crowd, the legacy listener, and clear text");
        assert_eq!(status(until.plus(Duration::from_hours(24))), [Status::Warn, Status::Fail, Status::Warn]);
    }

    #[test]
    fn a_machine_that_trusts_nobody_is_told_before_all_mail_is_held() {
        let mut config = crate::config::parse(include_str!("../../config/examples/clinic.toml")).unwrap();
        let status = |config: &Config, system| authorities(config, system).status;
        assert_eq!((status(&config, 0), status(&config, 140)), (Status::Fail, Status::Ok));
        config.delivery.ca_file = Some("partners-ca.pem".into());
        assert_eq!(status(&config, 0), Status::Warn);
    }

    #[tokio::test]
    async fn what_we_prove_ourselves_with_is_looked_at() {
        let mut set_up = set_up();
        let folder = set_up.made.config.parent().unwrap().to_owned();
        let text = "[[route]]\ndomains = [\"lab.example\"]\nhost = \"127.35.0.1:9\"\nname = \"smtp.provider.example\"\n\
                    onward = \"final\"\nlogin = \"clinic\"\npassword_file = \"smarthost.password\"\n\
                    client_certificate = { chain = \"tls/chain.pem\", key = \"tls/key.pem\" }\n";
        let whole = std::fs::read_to_string(&set_up.made.config).unwrap() + text;
        set_up.config.routes = config::parse(&whole).unwrap().resolve(&folder).routes;
        let file = folder.join("smarthost.password");
        for (written, mode, status) in
            [(None, 0, Status::Fail), (Some("x\n"), 0o644, Status::Fail), (Some("x\n"), 0o600, Status::Ok)]
        {
            if let Some(text) = written {
                std::fs::write(&file, text).unwrap();
                std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            }
            let findings = check(&set_up, &[], NOW).await;
            let found = |what: &str| findings.iter().find(|finding| finding.what.starts_with(what)).unwrap().status;
            assert_eq!(found("password for 127.35.0.1"), status, "{mode:o}");
            assert_eq!(found("client certificate"), Status::Ok);
        }
    }
}
