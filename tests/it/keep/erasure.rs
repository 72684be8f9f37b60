//! What was erased cannot be given back by a raw copy of the disk and the keys of today.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::{Clinic, SOON, holds, letter, mails, raw, sqlite};
use crate::world::until;

const SHORT: &str = "[retention]\nsweep = \"1s\"\n[database]\nbody_file_bytes = \"8KiB\"\n";

/// The octets that a statement shows as hexadecimal digits, one row a line.
fn octets(clinic: &Clinic, statement: &str) -> Vec<Vec<u8>> {
    let text = sqlite(&clinic.data().join("sealpost.db"), statement);
    let rows = text.lines().filter(|line| !line.is_empty());
    rows.map(|line| data_encoding::HEXUPPER.decode(line.as_bytes()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_copy_with_the_keys_of_today_does_not_give_an_erased_body_back() {
    let mut clinic = Clinic::open(SHORT).await;
    // Held first, so that what is sealed can be looked at before it goes.
    let small = clinic.submit(&["old@held.example"], &letter("Small", "A body in a row.")).await;
    let large = clinic.submit(&["old@held.example"], &letter("Large", &"A body in a file.\n".repeat(2_000))).await;
    mails(&clinic.own, "A message is held here", 2).await;
    let row = octets(&clinic, &format!("select hex(sealed) from body where message = '{small}'")).remove(0);
    assert!(row.len() > 100);
    let keys = octets(&clinic, &format!("select hex(wrapped_key) from job where message in ('{small}', '{large}')"));
    let envelopes = octets(&clinic, &format!("select hex(envelope) from job where message in ('{small}', '{large}')"));
    assert_eq!((keys.len(), envelopes.len()), (2, 2));
    let in_file = |octets: &[u8]| octets.len() > 30_000;
    let file = raw(&clinic.data().join("bodies")).into_iter().find(|(_, octets)| in_file(octets)).unwrap();
    let data = clinic.data();
    let found = |what: &[u8]| raw(&data).iter().any(|(_, octets)| holds(octets, what));
    // A page of the database holds at most 4 KiB of a row in one piece.
    let pieces = |of: &[u8]| [of[..60].to_vec(), of[of.len() - 60..].to_vec()];
    for kept in keys.iter().chain(&pieces(&row)).chain(&pieces(&file.1)) {
        assert!(found(kept), "while it is held it is there");
    }

    for id in [&small, &large] {
        clinic.daemon.run(&["queue", "cancel", id]).unwrap().good().unwrap();
        clinic.erased(id).await;
    }
    let lost = keys.iter().cloned().chain(envelopes).chain(pieces(&row)).chain(pieces(&file.1)).collect::<Vec<_>>();
    let gone = || (!lost.iter().any(|what| found(what))).then_some(());
    until("the last trace of both bodies to go, log and free pages included", SOON, gone).await.unwrap();
    assert!(!file.0.exists());
    clinic.balanced();

    // A crash right behind the erasure brings nothing back.
    clinic.daemon.kill().unwrap();
    assert!(gone().is_some(), "after a kill");
    clinic.daemon.start().unwrap();
    assert!(clinic.explained(&small).contains("The message itself was erased"));
    assert_eq!(clinic.standings(&large), ["cancelled"]);
    clinic.balanced();
    clinic.verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_in_the_way_of_one_sweep_does_not_keep_the_erased_in_the_log_for_good() {
    let clinic = Clinic::open(SHORT).await;
    let id = clinic.submit(&["old@held.example"], &letter("Small", "A body in a row.")).await;
    mails(&clinic.own, "A message is held here", 1).await;
    let key = octets(&clinic, &format!("select hex(wrapped_key) from job where message = '{id}'")).remove(0);
    // Somebody looks at the database, as a backup does, and holds on to what it sees.
    let mut reader = Command::new("sqlite3")
        .arg(clinic.data().join("sealpost.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = reader.stdin.take().unwrap();
    input.write_all(b"begin;\nselect count(*) from job;\n").unwrap();
    let mut seen = String::new();
    BufReader::new(reader.stdout.take().unwrap()).read_line(&mut seen).unwrap();
    clinic.daemon.run(&["queue", "cancel", &id]).unwrap().good().unwrap();
    clinic.erased(&id).await;
    let in_the_way = || clinic.daemon.logs().ok()?.contains("kept the write-ahead log from being cut").then_some(());
    until("a sweep that could not cut the log", SOON, in_the_way).await.unwrap();
    let data = clinic.data();
    let found = || raw(&data).iter().any(|(_, octets)| holds(octets, &key));
    assert!(found(), "as long as somebody reads it");
    drop(input);
    assert!(reader.wait().unwrap().success());
    until("the next sweep to cut the log", SOON, || (!found()).then_some(())).await.unwrap();
    clinic.balanced();
}
