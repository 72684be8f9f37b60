//! Each exit code of docs/reference/cli.md, from the thing that it is for.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::house::{ANN, House};
use crate::world::daemon::{binary, run};

const UNKNOWN: &str = "01M85Z4BZJHG6DQCCPTNA3Q8T3";
/// The user and group nobody.
const NOBODY: u32 = 65_534;

/// The binary, run by somebody who may not read what is forbidden to all: root may, and so becomes nobody.
fn by_a_stranger(house: &House) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(binary().unwrap());
    }
    let copy = house.folder.path().join("sealpost");
    std::fs::copy(binary().unwrap(), &copy).unwrap();
    for folder in [house.folder.path(), &house.daemon.folder] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(copy);
    command.uid(NOBODY).gid(NOBODY);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn each_exit_code_says_one_thing() {
    let mut house = House::open(61, "").await;
    let letter = house.folder.path().join("letter.eml");
    std::fs::write(&letter, "Subject: hello\r\n\r\nhello\r\n").unwrap();
    let letter = letter.display().to_string();
    for (arguments, code) in [
        (&["queue", "count"][..], 0),
        (&["queue", "list"], 0),
        (&["audit", "verify"], 0),
        (&["explain", &letter, "--from", ANN, "--to", "bo@lab.example"], 0),
        (&["trace", "--to", "nobody@lab.example"], 1),
        (&["queue", "release", "--client", "ehr"], 1),
        (&["audit", "match", &letter], 1),
        (&["queue", "show"], 2),
        (&["queue", "show", "not-an-id"], 2),
        (&["queue", "retry"], 2),
        (&["queue", "hold", "--client", "ehr", "--since", "yesterday"], 2),
        (&["frobnicate"], 2),
        (&["explain", &letter, "--from", ANN, "--to", "nobody"], 2),
        (&["trace", "--to", "nobody"], 2),
        (&["client", "add", "ehr"], 65),
        (&["queue", "show", UNKNOWN], 66),
        (&["queue", "cancel", UNKNOWN], 66),
        (&["explain", UNKNOWN], 66),
        (&["client", "suspend", "nobody"], 66),
        (&["audit", "verify", "/absent"], 66),
        (&["classify", "/absent"], 66),
        (&["classify", &letter, "/absent"], 66),
    ] {
        let printed = house.daemon.run(arguments).unwrap();
        assert_eq!(printed.status.code(), Some(code), "{arguments:?}: {}{}", printed.out, printed.err);
        // What went wrong stands on standard error, and nothing stands there that went well.
        assert_eq!(printed.err.is_empty(), code < 2, "{arguments:?}: {}", printed.err);
    }
    // A daemon that has the store, and no socket to ask it by.
    std::fs::remove_file(house.daemon.folder.join("data/control.sock")).unwrap();
    let printed = house.daemon.run(&["queue", "count"]).unwrap();
    assert_eq!(printed.status.code(), Some(69), "{}", printed.err);
    assert_eq!(house.daemon.stop().unwrap().code(), Some(0));
    // Without one, the command opens the store itself.
    assert_eq!(house.daemon.run(&["queue", "count"]).unwrap().status.code(), Some(0));

    std::fs::set_permissions(&house.daemon.config, std::fs::Permissions::from_mode(0o000)).unwrap();
    let mut stranger = by_a_stranger(&house);
    stranger.args(["queue", "count", "--config"]).arg(&house.daemon.config);
    let printed = run(stranger, house.folder.path()).unwrap();
    assert_eq!(printed.status.code(), Some(77), "{}", printed.err);

    std::fs::set_permissions(&house.daemon.config, std::fs::Permissions::from_mode(0o600)).unwrap();
    house.daemon.configure("[queue]\nexpires = \"1h\"").unwrap();
    for command in [&["queue", "count"][..], &["check"], &["serve"], &["client", "list"]] {
        let printed = house.daemon.run(command).unwrap();
        assert_eq!(printed.status.code(), Some(78), "{command:?}: {}", printed.err);
    }
    let mut absent = Command::new(binary().unwrap());
    absent.args(["queue", "count", "--config", "/absent/sealpost.toml"]);
    let printed = run(absent, house.folder.path()).unwrap();
    assert_eq!(printed.status.code(), Some(66));
    assert!(printed.err.contains("`sealpost init FOLDER` makes one"), "{}", printed.err);
}

#[test]
fn completions_are_scripts_that_their_shells_take() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, mark) in [("bash", "complete -F"), ("zsh", "#compdef sealpost"), ("fish", "complete -c sealpost")] {
        let mut command = Command::new(binary().unwrap());
        command.args(["completions", shell]);
        let script = run(command, folder.path()).unwrap().good().unwrap();
        assert!(script.contains(mark), "{shell}");
        for word in ["rotate-master", "explain", "since"] {
            assert!(script.contains(word), "{word} is missing for {shell}");
        }
        let file = folder.path().join(shell);
        std::fs::write(&file, script).unwrap();
        if shell == "bash" {
            let mut check = Command::new("bash");
            check.arg("-n").arg(&file);
            run(check, folder.path()).unwrap().good().unwrap();
        }
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("bash");
    command.args(["-c", r#""$1" completions zsh | head -c 1; exit "${PIPESTATUS[0]}""#, "bash"]).arg(binary().unwrap());
    let printed = run(command, folder.path()).unwrap();
    assert_eq!((printed.status.code(), printed.err.as_str()), (Some(0), ""));
}
