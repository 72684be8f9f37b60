//! A full disk, no memory, and a store that is busy or broken are our own faults: 4xx, never 5xx, and never a false 250.

#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::clinic::{Clinic, letter, queued};
use crate::world::behaviour::Behaviour;
use crate::world::client::Client;

const LAB: &str = "results@lab.example";

/// Another program at the database, until its input ends.
const LOCKS: &str = r#"
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
for statement in sys.argv[2].split(";"):
    database.execute(statement)
print("done", flush=True)
sys.stdin.read()
"#;

struct AtTheDatabase(Child);

impl AtTheDatabase {
    fn run(data: &Path, statements: &str) -> AtTheDatabase {
        let mut python = Command::new("python3");
        python.args(["-c", LOCKS]).arg(data.join("sealpost.db")).arg(statements);
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "done\n", "{statements}");
        AtTheDatabase(child)
    }

    fn leave(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

async fn check(clinic: &Clinic, expected: &str) {
    let told = clinic.submit("ehr", &[LAB], &letter("fault", "x")).await.text();
    assert!(told.starts_with(expected), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_below_its_reserve_is_452_before_the_message_crosses() {
    let config = "[limits]\ndisk_reserve_bytes = \"1000000TiB\"\n";
    let clinic = Clinic::open(&[], config).await;
    let mut client = clinic.login("ehr").await;
    for line in ["MAIL FROM:<ann@clinic.example>", "RCPT TO:<results@lab.example>"] {
        assert_eq!(client.command(line).await.unwrap().code, 250);
    }
    let told = client.command("DATA").await.unwrap().text();
    assert!(told.starts_with("452 4.3.1 the disk is nearly full"), "{told}");
    assert_eq!(client.command("NOOP").await.unwrap().code, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_busy_or_broken_is_4xx_and_what_was_refused_is_not_there() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let data = clinic.daemon.folder.join("data");
    let first = queued(&clinic.submit("ehr", &[LAB], &letter("before", "x")).await);
    clinic.stands(&first, &[("lab.example", "delivered")]).await;

    let busy = AtTheDatabase::run(&data, "begin immediate");
    check(&clinic, "45").await;
    busy.leave();
    let next = queued(&clinic.submit("ehr", &[LAB], &letter("between", "x")).await);
    clinic.stands(&next, &[("lab.example", "delivered")]).await;

    AtTheDatabase::run(&data, "alter table job rename to job_hidden").leave();
    check(&clinic, "451 4.3.0").await;
    AtTheDatabase::run(&data, "alter table job_hidden rename to job").leave();
    let last = queued(&clinic.submit("ehr", &[LAB], &letter("after", "x")).await);
    clinic.stands(&last, &[("lab.example", "delivered")]).await;

    let subjects: Vec<_> = clinic.taken("lab.example", 3).await.iter().map(|taken| taken.header("subject")).collect();
    assert_eq!(subjects, ["before", "between", "after"].map(|subject| Some(subject.to_owned())));
    let verified = clinic.daemon.run(&["audit", "verify"]).unwrap();
    assert!(verified.status.success(), "{}{}", verified.out, verified.err);
    let counted = clinic.daemon.json(&["queue", "count"]).unwrap();
    assert_eq!((&counted["accepted"], &counted["balanced"]), (&3.into(), &true.into()));
}

async fn at_data(clinic: &Clinic, parameters: &str) -> (Client, u16) {
    let mut client = clinic.login("ehr").await;
    client.command(&format!("MAIL FROM:<ann@clinic.example>{parameters}")).await.unwrap();
    client.command("RCPT TO:<results@lab.example>").await.unwrap();
    let reply = client.command("DATA").await.unwrap();
    (client, reply.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_taken_is_452_until_it_is_given_back() {
    let config = "[limits]\nmessage_bytes = \"256KiB\"\nmemory_bytes = \"512KiB\"\nheader_bytes = \"64KiB\"\n";
    // One client may have half of it.
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], config).await;
    let (mut large, code) = at_data(&clinic, " SIZE=200000").await;
    assert_eq!(code, 354);
    let (mut refused, code) = at_data(&clinic, " SIZE=100000").await;
    assert_eq!(code, 452);
    assert_eq!(refused.command("NOOP").await.unwrap().code, 250, "and the client may come again");
    // It says nothing of its size, is let begin, and grows beyond what is left.
    let (mut grows, code) = at_data(&clinic, "").await;
    assert_eq!(code, 452, "64 KiB to begin with are not there either");
    large.write(&[&letter("large", "x")[..], b".\r\n"].concat()).await.unwrap();
    assert_eq!(large.reply().await.unwrap().code, 250);
    grows.command("MAIL FROM:<ann@clinic.example>").await.unwrap();
    grows.command("RCPT TO:<results@lab.example>").await.unwrap();
    assert_eq!(grows.command("DATA").await.unwrap().code, 354);
    let (mut other, code) = at_data(&clinic, " SIZE=150000").await;
    assert_eq!(code, 354);
    let text = "x".repeat(70) + "\r\n";
    grows.write(&[&letter("grows", "x")[..], text.repeat(2_500).as_bytes(), b".\r\n"].concat()).await.unwrap();
    let told = grows.reply().await.unwrap().text();
    assert!(told.starts_with("452 4.3.1 no memory"), "{told}");
    other.write(&[&letter("other", "x")[..], b".\r\n"].concat()).await.unwrap();
    assert_eq!(other.reply().await.unwrap().code, 250);
    assert_eq!(clinic.taken("lab.example", 2).await.len(), 2);
}
