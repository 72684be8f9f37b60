//! The audit log read, exported, verified and tampered with, with the daemon running and not.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Clinic, letter, sqlite, user};
use crate::world::daemon::run;

/// What a stranger's verifier says of an export: its exit code and its words.
fn stranger(clinic: &Clinic, export: &Path, head: Option<&Path>) -> (i32, String) {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify_audit.py")).arg(export);
    if let Some(head) = head {
        command.arg("--head").arg(head);
    }
    let printed = run(command, clinic.folder.path()).unwrap();
    (printed.status.code().unwrap(), printed.out + &printed.err)
}

fn export(clinic: &Clinic, name: &str, more: &[&str]) -> PathBuf {
    let file = clinic.folder.path().join(name);
    let line = [&["audit", "export", "--output", file.to_str().unwrap()], more].concat();
    clinic.daemon.run(&line).unwrap().good().unwrap();
    file
}

/// The signed head that ends an export, in a file of its own.
fn head_of(clinic: &Clinic, export: &Path, name: &str) -> PathBuf {
    let file = clinic.folder.path().join(name);
    let text = std::fs::read_to_string(export).unwrap();
    std::fs::write(&file, text.lines().last().unwrap()).unwrap();
    file
}

/// Verifies this machine's log; gives the exit code and the words.
fn verify(clinic: &Clinic, more: &[&str]) -> (i32, String) {
    let printed = clinic.daemon.run(&[&["audit", "verify"], more].concat()).unwrap();
    (printed.status.code().unwrap(), printed.out + &printed.err)
}

fn match_file(clinic: &Clinic, name: &str, content: &str) -> (i32, String) {
    let file = clinic.folder.path().join(name);
    std::fs::write(&file, content).unwrap();
    let printed = clinic.daemon.run(&["audit", "match", file.to_str().unwrap()]).unwrap();
    (printed.status.code().unwrap(), printed.out)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_exported_and_verified_whether_the_daemon_runs_or_not() {
    let mut clinic = Clinic::open("").await;
    let content = letter("Results", "Nothing of note.\n.\nThe end.");
    let one = clinic.submit(&["lab@lab.example"], &content).await;
    let other = clinic.submit(&["old@held.example"], &letter("Other", "Nothing.")).await;
    clinic.stands(&one, &["delivered"]).await;
    clinic.stands(&other, &["held"]).await;
    clinic.daemon.run(&["queue", "cancel", &other]).unwrap().good().unwrap();

    for running in [true, false] {
        if !running {
            assert!(clinic.daemon.stop().unwrap().success());
        }
        let all = export(&clinic, &format!("all-{running}.jsonl"), &[]);
        let (code, words) = stranger(&clinic, &all, None);
        assert_eq!(code, 0, "{words}");
        let head = head_of(&clinic, &all, &format!("head-{running}.json"));
        assert_eq!(stranger(&clinic, &all, Some(&head)).0, 0);
        let printed = clinic.daemon.run(&["audit", "verify", all.to_str().unwrap(), "--head", head.to_str().unwrap()]);
        assert!(printed.unwrap().good().unwrap().contains("nothing up to row"));
        let (code, words) = verify(&clinic, &["--head", head.to_str().unwrap()]);
        assert_eq!(code, 0, "{words}");
        assert!(words.starts_with("The log is whole: proved up to row"), "{words}");

        // One message's rows, and of the others the hashes alone.
        let part = export(&clinic, &format!("part-{running}.jsonl"), &["--message", &one]);
        let text = std::fs::read_to_string(&part).unwrap();
        assert!(text.contains(&one) && !text.contains(&other));
        assert!(text.lines().skip(1).any(|line| !line.contains("\"event\"")), "the others are hidden");
        assert_eq!(stranger(&clinic, &part, Some(&head)).0, 0);
        let printed = clinic.daemon.run(&["audit", "verify", part.to_str().unwrap()]).unwrap().good().unwrap();
        assert!(printed.contains("rows shown"), "{printed}");

        // The file with CRLF as it went over the wire, and as an editor saves it.
        for (name, copy, code) in [
            ("lf.eml", content.clone(), 0),
            ("crlf.eml", content.replace('\n', "\r\n"), 0),
            ("other.eml", content.replace("note", "Note"), 1),
        ] {
            let (found, words) = match_file(&clinic, name, &copy);
            assert_eq!((found, words.contains(&one)), (code, code == 0), "{name}: {words}");
        }
        clinic.balanced();
    }

    // Who did it: the client, Sealpost, and the person at the keyboard.
    let rows = clinic.daemon.json(&["audit", "list", "--message", &other]).unwrap();
    let actors: Vec<&serde_json::Value> = rows.as_array().unwrap().iter().map(|row| &row["actor"]).collect();
    assert_eq!(actors.first().unwrap()["client"], "ehr", "{actors:?}");
    assert_eq!(actors.last().unwrap()["operator"]["user"], user().as_str(), "{actors:?}");
    for event in ["exported", "moved"] {
        for row in clinic.events(event) {
            assert_eq!(row["actor"]["operator"]["user"], user().as_str(), "{row}");
        }
    }
    let text = clinic.daemon.run(&["audit", "list"]).unwrap().good().unwrap();
    assert!(text.lines().any(|line| line.contains(&user()) && line.contains("exported")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_altered_or_cut_in_the_database_is_named() {
    let mut clinic = Clinic::open("").await;
    let id = clinic.submit(&["lab@lab.example"], &letter("Results", "Nothing.")).await;
    clinic.stands(&id, &["delivered"]).await;
    let kept = export(&clinic, "kept.jsonl", &[]);
    let head = head_of(&clinic, &kept, "head.json");
    let row = clinic.events("settled")[0]["seq"].as_i64().unwrap();
    let database = clinic.data().join("sealpost.db");
    let whole = clinic.folder.path().join("whole.db");
    for running in [true, false] {
        if !running {
            assert!(clinic.daemon.stop().unwrap().success());
        }
        let event = sqlite(&database, &format!("select event from event where seq = {row}"));
        let event = event.trim_end();
        sqlite(
            &database,
            &format!("update event set event = replace(event, 'delivered', 'cancelled') where seq = {row}"),
        );
        let (code, words) = verify(&clinic, &[]);
        assert_eq!(code, 1, "{words}");
        assert!(words.contains(&format!("row {row} has a wrong hash")), "{words}");
        let tampered = export(&clinic, &format!("tampered-{running}.jsonl"), &[]);
        let (code, theirs) = stranger(&clinic, &tampered, None);
        assert_eq!(code, 1, "{theirs}");
        assert!(theirs.contains(&row.to_string()), "{theirs}");
        // The story does not agree with a log that was altered.
        assert_eq!(clinic.daemon.run(&["explain", &id]).unwrap().status.code(), Some(0));
        sqlite(&database, &format!("update event set event = '{event}' where seq = {row}"));
        assert_eq!(verify(&clinic, &["--head", head.to_str().unwrap()]).0, 0);
    }

    // A whole tail that is cut leaves a log that is whole in itself; a head that left the machine shows it.
    std::fs::copy(&database, &whole).unwrap();
    sqlite(&database, &format!("delete from event where seq >= {row}"));
    let (code, words) = verify(&clinic, &[]);
    assert_eq!(code, 0, "{words}");
    assert!(words.contains("that no rows were cut from the end is not proved"), "{words}");
    let (code, words) = verify(&clinic, &["--head", head.to_str().unwrap()]);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("NOT whole"), "{words}");
    let cut = export(&clinic, "cut.jsonl", &[]);
    assert_eq!(stranger(&clinic, &cut, None).0, 0);
    assert_eq!(stranger(&clinic, &cut, Some(&head)).0, 1);

    // A row taken out of the middle.
    std::fs::copy(&whole, &database).unwrap();
    sqlite(&database, &format!("delete from event where seq = {row}"));
    let (code, words) = verify(&clinic, &[]);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains(&format!("row {row} is missing")), "{words}");
}
