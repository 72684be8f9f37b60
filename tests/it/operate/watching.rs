//! `client watch` shows live what real clients do wrong, and what to do about it, and nothing of what they send.

#![cfg(test)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::clinic::{Clinic, PASSWORD, SOON, letter, mail, queued};
use crate::world::authority::{Authority, credulous_client};
use crate::world::behaviour::Behaviour;
use crate::world::client::{Client, Entry};
use crate::world::daemon::{HOSTNAME, binary, ended};
use crate::world::until;

/// Nothing of it may be shown.
const SECRET: &str = "xanthoma";

/// A running `sealpost client watch`.
struct Watcher {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Watcher {
    /// Starts, and waits until the daemon has let it in.
    fn start(clinic: &Clinic, arguments: &[&str]) -> Watcher {
        let mut command = Command::new(binary().unwrap());
        command.args(["client", "watch"]).args(arguments).arg("--config").arg(&clinic.daemon.config);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        errors.read_line(&mut told).unwrap();
        assert!(told.starts_with("Watching "), "{told}");
        let (lines, out) = (Arc::new(Mutex::new(Vec::new())), BufReader::new(child.stdout.take().unwrap()));
        let kept = Arc::clone(&lines);
        // Ends when the child does.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
            drop(errors);
        });
        Watcher { child, lines }
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for a row of JSON in which every one of these stands.
    async fn sees(&self, parts: &[&str]) -> Value {
        let find = || {
            let lines = self.lines.lock().unwrap();
            let found = lines.iter().find(|line| parts.iter().all(|part| line.contains(part)))?;
            serde_json::from_str(found).ok()
        };
        match until(&parts.join(", "), SOON, find).await {
            Ok(row) => row,
            Err(error) => panic!("{error}:\n{}", self.text()),
        }
    }
}

async fn trusting_nobody_we_know(address: SocketAddr) {
    let other = Authority::new("Somebody else's CA").unwrap().client().unwrap();
    assert!(Client::connect(address, &Entry::StartTls(other, HOSTNAME.to_owned())).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_does_wrong_before_its_login_is_told_with_what_to_do() {
    let clinic = Clinic::open(&[], "").await;
    let watcher = Watcher::start(&clinic, &["ehr", "--json"]);
    let mut clear = Client::connect(clinic.submission, &Entry::Clear).await.unwrap();
    watcher.sees(&[r#""happening":"connected""#, r#""client":null"#, r#""listener":"submission""#]).await;
    clear.command(&format!("MAIL FROM:<{SECRET}@clinic.example>")).await.unwrap();
    let row = watcher.sees(&["no_starttls", "says MAIL without STARTTLS"]).await;
    assert_eq!((row["well"].as_bool(), row["peer"].is_string()), (Some(false), true));
    clear.login(SECRET, SECRET).await.unwrap();
    watcher.sees(&["password_in_clear", "change the password"]).await;
    drop(clear);
    trusting_nobody_we_know(clinic.submission).await;
    watcher.sees(&["certificate_not_trusted", "TLS alert", "ca.pem", "trust.md"]).await;

    // Clients of other people: one that speaks TLS 1.0 only, and one that trusts its system's authorities.
    let s_client = |arguments: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.arg("s_client").args(arguments).arg("-connect").arg(clinic.submissions.to_string());
        clinic.run(openssl)
    };
    s_client(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    watcher.sees(&["tls_too_old", "speaks TLS 1.1 only", r#""listener":"submissions""#]).await;
    s_client(&["-verify_return_error"]);
    watcher.sees(&["certificate_not_trusted", "unknown_ca", r#""listener":"submissions""#]).await;

    let mut early = TcpStream::connect(clinic.submissions).await.unwrap();
    early.write_all(b"EHLO ehr.clinic.example\r\n").await.unwrap();
    watcher.sees(&["tls_failed", "does not speak TLS where it must", "465"]).await;
    let mut late = Client::connect(clinic.submission, &Entry::Clear).await.unwrap();
    late.write(&[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]).await.unwrap();
    assert!(late.closed().await, "it would wait for an answer in TLS in vain");
    watcher.sees(&["it begins TLS at once", "STARTTLS"]).await;
    assert!(!watcher.text().contains(SECRET), "{}", watcher.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_does_with_its_login_and_its_messages_is_told_and_nothing_of_them() {
    let rule = "[limits]\nmessage_bytes = \"64KiB\"\n\
                [[policy.rule]]\nname = \"never\"\nwhen = { recipient_domain = [\"never.example\"] }\nreject = \"no\"\n";
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], rule).await;
    let watcher = Watcher::start(&clinic, &["ehr", "--json"]);
    let mut stranger = clinic.stranger().await;
    stranger.login(SECRET, PASSWORD).await.unwrap();
    watcher.sees(&["login_refused", "wrong user name or password", r#""client":null"#]).await;
    stranger.login("ehr", SECRET).await.unwrap();
    watcher.sees(&["login_refused", r#""client":"ehr""#, r#""known_by":"tried_login""#]).await;
    let mut client = clinic.login("ehr").await;
    watcher.sees(&["logged_in", "logged in as ehr"]).await;
    client.command(&format!("MAIL FROM:<{SECRET}@elsewhere.example>")).await.unwrap();
    watcher.sees(&["sender_not_allowed", "at elsewhere.example", "senders"]).await;
    client.command("BOGUS").await.unwrap();
    watcher.sees(&["command_refused", "500 5.5.2"]).await;

    let lab = format!("{SECRET}@lab.example");
    let sent = client.send(&mail(&[&lab], &letter(SECRET, SECRET))).await.unwrap();
    let row = watcher.sees(&["message_accepted", "1 recipient: 1 to be delivered"]).await;
    assert_eq!(row["message"], queued(sent.last()));
    let forged = String::from_utf8(letter(SECRET, "x")).unwrap().replace("ann@clinic", "xanthoma@forged");
    client.send(&mail(&[&lab], forged.as_bytes())).await.unwrap();
    watcher.sees(&["message_refused", "553 5.7.1", "somebody at forged.example"]).await;
    client.send(&mail(&[&format!("{SECRET}@never.example")], &letter(SECRET, "x"))).await.unwrap();
    watcher.sees(&["message_refused", "550 5.7.1", "a rule of [policy]"]).await;
    client.send(&mail(&[&lab], &letter(SECRET, &"x\r\n".repeat(30_000)))).await.unwrap();
    watcher.sees(&["message_refused", "over its size limit"]).await;
    client.send(&mail(&[&lab], b"Subject: x\n\nxanthoma\r\n")).await.unwrap();
    watcher.sees(&["message_refused", "a line feed without a carriage return", "CRLF"]).await;
    watcher.sees(&["disconnected", "said goodbye"]).await;
    let mut client = clinic.login("ehr").await;
    for line in ["MAIL FROM:<ann@clinic.example>", "RCPT TO:<results@lab.example>", "DATA"] {
        client.command(line).await.unwrap();
    }
    client.write(b"Subject: x\r\n").await.unwrap();
    drop(client);
    watcher.sees(&["in the middle of a message: nothing of it was kept", r#""known_by":"login""#]).await;
    assert!(!watcher.text().contains(SECRET), "{}", watcher.text());
    assert!(!clinic.daemon.logs().unwrap().contains(SECRET));
    // Another client's doings are not this one's.
    let other = clinic.login("openemr").await;
    other.quit().await.unwrap();
    assert!(!watcher.text().contains("logged in as openemr"));
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_from_elsewhere_too_slow_and_too_many_are_told() {
    let mut clinic = Clinic::open(&[], "").await;
    let text = std::fs::read_to_string(&clinic.daemon.config).unwrap();
    let bound = text.replacen("name = \"ehr\"", "name = \"ehr\"\nnetworks = [\"127.200.0.0/16\"]", 1);
    std::fs::write(&clinic.daemon.config, &bound).unwrap();
    clinic.daemon.run(&["client", "suspend", "openemr"]).unwrap().good().unwrap();
    clinic.limits("idle = \"1s\"\nconnections_per_address = 2");
    let watcher = Watcher::start(&clinic, &["--all", "--json"]);
    let mut client = clinic.stranger().await;
    client.login("ehr", PASSWORD).await.unwrap();
    watcher.sees(&["login_refused", "may not be used from this network", "networks in its [[client]]"]).await;
    client.login("openemr", PASSWORD).await.unwrap();
    watcher.sees(&["login_refused", "suspended", "sealpost client resume"]).await;
    watcher.sees(&["disconnected", "it said nothing for too long"]).await;
    let _two = [(); 2].map(|()| std::net::TcpStream::connect(clinic.submission).unwrap());
    let turned_away = async || {
        let third = TcpStream::connect(clinic.submission).await.unwrap();
        watcher.lines.lock().unwrap().iter().any(|line| line.contains("turned_away")).then_some(third)
    };
    let end = tokio::time::Instant::now() + SOON;
    while turned_away().await.is_none() {
        assert!(tokio::time::Instant::now() < end, "{}", watcher.text());
    }
    watcher.sees(&["turned_away", "too many connections from your address", "[limits]"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_by_count_by_time_by_its_caller_and_with_the_daemon() {
    let mut clinic = Clinic::open(&[], "").await;
    let mut counted = Watcher::start(&clinic, &["ehr", "--count", "3"]);
    let client = clinic.login("ehr").await;
    assert!(ended(&mut counted.child, SOON).unwrap().success());
    // What it printed may still be on its way.
    let three = || Some(counted.text()).filter(|text| text.lines().count() == 3);
    let text = until("three lines", SOON, three).await.unwrap();
    assert!(text.contains("Z + unknown from 127.") && text.contains("] connected\n"), "{text}");
    assert!(text.contains("speaks TLSv1.3\n") && text.ends_with("logged in as ehr"), "{text}");
    client.quit().await.unwrap();

    let nothing = clinic.daemon.run(&["client", "watch", "ehr", "--for", "1s"]).unwrap();
    assert_eq!(nothing.status.code(), Some(1), "{}{}", nothing.out, nothing.err);
    let nobody = clinic.daemon.run(&["client", "watch", "nobody"]).unwrap();
    assert_eq!(nobody.status.code(), Some(66), "{}", nobody.err);
    assert_eq!(clinic.daemon.run(&["client", "watch"]).unwrap().status.code(), Some(2));

    // Each gives its place back when its caller is gone: more come after one another than may watch at once.
    for _ in 0..20 {
        let mut watcher = Watcher::start(&clinic, &["--all"]);
        kill(Pid::from_raw(watcher.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        ended(&mut watcher.child, SOON).unwrap();
        drop(watcher);
    }
    let mut last = Watcher::start(&clinic, &["--all"]);
    clinic.daemon.stop().unwrap();
    assert_eq!(ended(&mut last.child, SOON).unwrap().code(), Some(69));
    let none = clinic.daemon.run(&["client", "watch", "ehr"]).unwrap();
    assert_eq!(none.status.code(), Some(69));
    assert!(none.err.contains("no daemon runs here"), "{}", none.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_reads_nothing_slows_no_mail_and_is_told_what_it_missed() {
    let clinic = Clinic::open(&[], "[limits]\nerrors_per_connection = 100000\n").await;
    let mut command = Command::new(binary().unwrap());
    command.args(["client", "watch", "ehr", "--json", "--config"]).arg(&clinic.daemon.config);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut told).unwrap();
    let entry = Entry::StartTls(credulous_client().unwrap(), HOSTNAME.to_owned());
    let mut client = Client::connect(clinic.submission, &entry).await.unwrap();
    let lines = ["NONSENSE"; 90];
    for _ in 0..60 {
        for reply in client.pipeline(&lines).await.unwrap() {
            assert_eq!(reply.code, 500);
        }
    }
    // What lies in pipes and sockets is read first; then comes how many were missed.
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut missed = 0;
    let mut line = String::new();
    while missed == 0 {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended");
        missed = serde_json::from_str::<Value>(&line).unwrap()["missed"].as_u64().unwrap_or(0);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).ok();
    assert!(missed < 60 * 90);
}
