//! `init` makes a set-up that is whole, private and never written over; `check` says what is still missing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::house::House;
use crate::world::authority::{Authority, Kind};
use crate::world::daemon::{Daemon, Printed, binary, free_address, run};

fn sealpost(folder: &Path, arguments: &[&str]) -> Printed {
    let mut command = Command::new(binary().unwrap());
    command.current_dir(folder).args(arguments);
    run(command, folder).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_option_of_init_stands_in_the_config_and_what_is_secret_is_private() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let given = Authority::new("Given CA").unwrap().issue("mail.clinic.example", Kind::Valid).unwrap();
    let (chain, key) = given.write(home, "given").unwrap();
    let options = [
        "init",
        "relay",
        "--hostname",
        "mail.clinic.example",
        "--postmaster",
        "admin@clinic.example",
        "--data-dir",
        "kept",
        "--certificate",
        "given.pem",
        "--key",
        "given.key",
        "--submission",
        "127.0.0.1:1587",
        "--submissions",
        "127.0.0.1:1465",
        "--json",
    ];
    let made: Value = serde_json::from_str(&sealpost(home, &options).good().unwrap()).unwrap();
    assert_eq!(
        (&made["hostname"], &made["postmaster"]),
        (&"mail.clinic.example".into(), &"admin@clinic.example".into())
    );
    assert_eq!(made["listeners"].as_array().unwrap().len(), 2);
    assert!(made["ca"].is_null() && made["recovery_code"].as_str().unwrap().len() >= 32);
    let config = home.join("relay/sealpost.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    for value in ["mail.clinic.example", "admin@clinic.example", "127.0.0.1:1587", "127.0.0.1:1465"] {
        assert!(text.contains(value), "{value} is missing in {text}");
    }
    for path in [&chain, &key, &home.join("kept")] {
        assert!(text.contains(&path.canonicalize().unwrap().display().to_string()), "{} in {text}", path.display());
    }
    for path in [&config, &home.join("relay/master.key")] {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&home.join("kept")), 0o700);
    assert!(!text.contains(made["recovery_code"].as_str().unwrap()));

    // A second one changes nothing.
    let again = sealpost(home, &options);
    assert_eq!(again.status.code(), Some(65));
    assert!(again.err.contains("never overwritten"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&config).unwrap(), text);
}

#[test]
fn init_refuses_what_would_not_work() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let authority = Authority::new("Given CA").unwrap();
    authority.issue("other.example", Kind::Valid).unwrap().write(home, "other").unwrap();
    authority.issue("mail.clinic.example", Kind::Valid).unwrap().write(home, "mail").unwrap();
    std::fs::write(home.join("file"), "").unwrap();
    let name = ["--hostname", "mail.clinic.example"];
    for (more, code, words) in [
        (&["--certificate", "other.pem", "--key", "other.key"][..], 65, "is not for mail.clinic.example"),
        (&["--certificate", "mail.pem", "--key", "other.key"], 65, "is the key of another certificate"),
        (&["--certificate", "mail.key", "--key", "mail.key"], 65, "no certificate is in the file"),
        (&["--certificate", "absent.pem", "--key", "mail.key"], 66, "absent.pem"),
        (&["--certificate", "mail.pem"], 2, "--key"),
        (&["--postmaster", "nobody"], 2, "nobody"),
        (&["--submission", "587"], 2, "587"),
    ] {
        let printed = sealpost(home, &[&["init", "relay"], &name[..], more].concat());
        assert_eq!(printed.status.code(), Some(code), "{more:?}: {}", printed.err);
        assert!(printed.err.contains(words), "{more:?}: {}", printed.err);
        assert!(!home.join("relay/sealpost.toml").exists());
    }
    let under_a_file = sealpost(home, &["init", "file/relay", "--hostname", "mail.clinic.example"]);
    assert_eq!(under_a_file.status.code(), Some(74), "{}", under_a_file.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_is_in_order_and_what_to_do_about_the_rest() {
    let mut house = House::furnish(60, "").await;
    house.dns.set(
        "relay.clinic.example",
        crate::world::dns::Entry { addresses: vec![house.address(1)], ..Default::default() },
    );
    for running in [false, true] {
        if running {
            house.daemon.start().unwrap();
        }
        let printed = house.daemon.run(&["check", "--target", "127.34.60.9"]).unwrap();
        assert_eq!(printed.status.code(), Some(0), "{}", printed.out);
        assert!(printed.out.contains("a stolen disk would then be notifiable"), "{}", printed.out);
    }
    // Without a target, the mail server of the postmaster's domain is tried.
    let printed = house.daemon.run(&["check"]).unwrap();
    assert_eq!(printed.status.code(), Some(0), "{}", printed.out);
    assert!(printed.out.contains("outgoing mail to mx.clinic.example: port 25 takes connections"), "{}", printed.out);
    let rows = house.daemon.json(&["check", "--target", "127.34.60.99"]);
    assert!(rows.is_err(), "a target that does not answer is to be mended: {rows:?}");
    let printed = house.daemon.run(&["check", "--target", "127.34.60.99", "--json"]).unwrap();
    assert_eq!(printed.status.code(), Some(1));
    let rows: Vec<Value> = printed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bad: Vec<&Value> = rows.iter().filter(|row| row["status"] == "fail").collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert!(bad[0]["what"].as_str().unwrap().contains("127.34.60.99") && bad[0]["advice"] != "");
    assert!(rows.len() > 8);
}

#[test]
fn nothing_in_a_data_directory_that_was_open_to_others_is() {
    let home = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::init(&binary().unwrap(), &home.path().join("clinic")).unwrap();
    let data = daemon.folder.join("data");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let door = free_address().unwrap();
    let overlay = format!("[http]\nbind = \"off\"\n[[listener]]\nrole = \"submission\"\nbind = \"{door}\"\n");
    daemon.configure(&overlay).unwrap();
    daemon.start().unwrap();
    assert_eq!(mode(&data), 0o700);
    assert!(daemon.logs().unwrap().contains("was open to others (mode 755)"));
    let made: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(made.iter().any(|path| path.ends_with("bodies")) && made.len() > 2, "{made:?}");
    for path in made {
        assert_eq!(mode(&path) & 0o077, 0, "{} is open to others", path.display());
    }
    assert_eq!(mode(&daemon.folder.join("tls/ca.pem")), 0o644, "whoever sends has to read it");
    daemon.stop().unwrap();
}
