//! The master key replaced, lost, and taken from elsewhere, without anything that is kept being lost.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Clinic, letter};
use crate::world::daemon::{Printed, binary, run};

struct Files {
    key: PathBuf,
    next: PathBuf,
}

fn files(clinic: &Clinic) -> Files {
    let key = clinic.daemon.folder.join("master.key");
    Files { next: clinic.daemon.folder.join("master.key.next"), key }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A copy keeps its mode: a key that others may read is refused.
fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

/// Rotates; gives the recovery code that was printed.
fn rotate(clinic: &Clinic) -> String {
    let printed = clinic.daemon.run(&["keys", "rotate-master"]).unwrap().good().unwrap();
    let code = printed.lines().map(str::trim).find(|line| line.len() == 39 && line.matches('-').count() == 7);
    code.unwrap_or_else(|| panic!("no code in {printed}")).to_owned()
}

fn recover(clinic: &Clinic, code: &str) -> Printed {
    let mut command = Command::new("sh");
    command.args(["-c", r#"printf '%s\n' "$2" | "$1" keys recover --config "$3""#, "sh"]);
    command.arg(binary().unwrap()).arg(code).arg(&clinic.daemon.config);
    run(command, clinic.folder.path()).unwrap()
}

/// A message held under the keys of now.
async fn hold_one(clinic: &Clinic) -> String {
    let id = clinic.submit(&["old@held.example"], &letter("Held", "Kept under the key of that day.")).await;
    clinic.stands(&id, &["held"]).await;
    id
}

/// What was sealed before opens still: the evidence and, by way of a delivery, the body.
async fn opens(clinic: &Clinic, id: &str) {
    assert!(clinic.explained(id).contains("To old@held.example"));
    clinic.verified();
    clinic.balanced();
    let delivered = clinic.submit(&["lab@lab.example"], &letter("Results", "Nothing.")).await;
    clinic.stands(&delivered, &["delivered"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_is_replaced_while_the_daemon_runs_and_while_it_does_not() {
    let mut clinic = Clinic::open("").await;
    let Files { key, next } = files(&clinic);
    let id = hold_one(&clinic).await;
    for running in [true, false] {
        if !running {
            assert!(clinic.daemon.stop().unwrap().success());
        }
        let old = clinic.folder.path().join("old.key");
        copy(&key, &old);
        let code = rotate(&clinic);
        assert_ne!(read(&key), read(&old));
        assert!(!next.exists());
        if running {
            opens(&clinic, &id).await;
            clinic.daemon.kill().unwrap();
        }
        // The old key opens nothing any more.
        let new = clinic.folder.path().join("new.key");
        copy(&key, &new);
        copy(&old, &key);
        let refused = clinic.daemon.start().unwrap_err().to_string();
        assert!(refused.contains("this master key does not open the keys"), "{refused}");
        // Lost altogether, it comes back from the paper.
        std::fs::remove_file(&key).unwrap();
        let wrong = recover(&clinic, "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF-GGGG-HHHH");
        assert_eq!(wrong.status.code(), Some(65), "{}", wrong.err);
        assert!(!key.exists());
        recover(&clinic, &code).good().unwrap();
        assert_eq!(read(&key), read(&new));
        clinic.daemon.start().unwrap();
        opens(&clinic, &id).await;
    }
    assert_eq!(clinic.events("master_key_rotated").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_cut_short_on_either_side_of_its_commit_leaves_a_key_that_opens() {
    let mut clinic = Clinic::open("").await;
    let Files { key, next } = files(&clinic);
    let id = hold_one(&clinic).await;
    let before = clinic.folder.path().join("before.key");
    copy(&key, &before);
    rotate(&clinic);
    clinic.daemon.kill().unwrap();
    // Behind the commit, before the new key took the old one's place.
    std::fs::rename(&key, &next).unwrap();
    copy(&before, &key);
    let new = read(&next);
    clinic.daemon.start().unwrap();
    assert_eq!(read(&key), new, "the next key took its place");
    assert!(!next.exists());
    opens(&clinic, &id).await;
    // Before the commit: the next key seals nothing yet.
    clinic.daemon.kill().unwrap();
    copy(&before, &next);
    clinic.daemon.start().unwrap();
    assert_eq!(read(&key), new);
    opens(&clinic, &id).await;
    rotate(&clinic);
    assert!(!next.exists());
    assert_eq!(read(&key), read(&before), "a key that lies there may be in use yet: it is taken, not written over");
    clinic.daemon.kill().unwrap();
    clinic.daemon.start().unwrap();
    opens(&clinic, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_the_environment_or_a_credential_is_replaced_without_a_moment_in_which_it_could_be_lost() {
    let mut clinic = Clinic::prepare("").await;
    let Files { key, next } = files(&clinic);
    let credentials = clinic.folder.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let variable = |text: &str| vec![("SEALPOST_MASTER_KEY".to_owned(), text.trim().to_owned())];
    clinic.daemon.environment = variable(&read(&key));
    std::fs::remove_file(&key).unwrap();
    clinic.daemon.start().unwrap();
    let id = hold_one(&clinic).await;

    let printed = clinic.daemon.run(&["keys", "rotate-master"]).unwrap().good().unwrap();
    assert!(printed.contains(&format!("The new key lies in {}", next.display())), "{printed}");
    let new = read(&next);
    // A second one would write over the only copy of the key in use.
    let again = clinic.daemon.run(&["keys", "rotate-master"]).unwrap();
    assert_eq!(again.status.code(), Some(65), "{}", again.out);
    assert!(again.err.contains("the last rotation is not finished"), "{}", again.err);
    assert_eq!(read(&next), new);
    opens(&clinic, &id).await;

    // Started again before anybody moved the new key: it is found.
    clinic.daemon.kill().unwrap();
    clinic.daemon.start().unwrap();
    opens(&clinic, &id).await;
    assert!(!key.exists() && read(&next) == new);

    // Moved to where the old one was; and from there into a credential of systemd.
    clinic.daemon.kill().unwrap();
    clinic.daemon.environment = variable(&new);
    std::fs::remove_file(&next).unwrap();
    clinic.daemon.start().unwrap();
    opens(&clinic, &id).await;
    clinic.daemon.kill().unwrap();
    std::fs::write(credentials.join("sealpost.master"), &new).unwrap();
    let folder = credentials.to_str().unwrap().to_owned();
    clinic.daemon.environment = vec![("CREDENTIALS_DIRECTORY".to_owned(), folder)];
    clinic.daemon.start().unwrap();
    opens(&clinic, &id).await;
    rotate(&clinic);
    assert_ne!(read(&next), new);
    opens(&clinic, &id).await;
    // Without any key nothing starts, and the places are named.
    clinic.daemon.kill().unwrap();
    clinic.daemon.environment.clear();
    let refused = clinic.daemon.start().unwrap_err().to_string();
    assert!(refused.contains("there is no master key"), "{refused}");
}
