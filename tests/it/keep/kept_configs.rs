//! Every config that was in force can be got back by its digest, and a wrong one changes nothing.

use sealpost::crypto::sha256;

use super::{Clinic, SOON, letter, user};
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn every_config_that_was_in_force_is_kept_and_a_wrong_one_changes_nothing() {
    let mut clinic = Clinic::open("").await;
    let first = std::fs::read_to_string(&clinic.daemon.config).unwrap();
    clinic.daemon.configure("[queue]\nexpire = \"3d\"\n").unwrap();
    clinic.daemon.reload().unwrap();
    let second = std::fs::read_to_string(&clinic.daemon.config).unwrap();
    assert_ne!(first, second);
    // The same again is one more row of the log, and no further config.
    clinic.daemon.reload().unwrap();
    assert_eq!(clinic.events("config_loaded").len(), 3);

    let listed = clinic.daemon.json(&["audit", "config"]).unwrap();
    let listed: Vec<&str> = listed.as_array().unwrap().iter().map(|row| row["config"].as_str().unwrap()).collect();
    let digests = [sha256(first.as_bytes()).to_string(), sha256(second.as_bytes()).to_string()];
    assert_eq!(listed, digests);
    for (digest, text) in digests.iter().zip([&first, &second]) {
        // Whole, or as far as `explain` shows it.
        for typed in [&digest[..], &digest[..12]] {
            let printed = clinic.daemon.run(&["audit", "config", typed]).unwrap().good().unwrap();
            assert_eq!(&printed, text);
        }
        assert_eq!(clinic.daemon.json(&["audit", "config", digest]).unwrap()["text"], text.as_str());
    }
    assert!(first.contains("$argon2id$"), "with the hashes of passwords as they stand");
    let read = clinic.events("evidence_read");
    assert_eq!(read.len(), 6);
    for row in read {
        assert_eq!((&row["event"]["purpose"], &row["actor"]["operator"]["user"]), (&"config".into(), &user().into()));
    }
    let none = clinic.daemon.run(&["audit", "config", "0123456789abcdef"]).unwrap();
    assert_eq!(none.status.code(), Some(66), "{}", none.err);
    let wrong = clinic.daemon.run(&["audit", "config", "not-a-digest"]).unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{}", wrong.err);

    // A wrong config keeps the old one in force, and is no part of the log.
    std::fs::write(&clinic.daemon.config, second.replacen("[queue]", "[queue]\nretries = 3", 1)).unwrap();
    clinic.daemon.hang_up().unwrap();
    let refused = || clinic.daemon.logs().ok()?.contains("the old one stays in force").then_some(());
    until("the refusal of the wrong config", SOON, refused).await.unwrap();
    let id = clinic.submit(&["lab@lab.example"], &letter("Results", "Nothing.")).await;
    clinic.lab.wait_for(1, SOON).await.unwrap();
    // Nor does one that cannot be carried out: its certificate is not there.
    let certificate = second.lines().find(|line| line.starts_with("chain = ")).unwrap();
    std::fs::write(&clinic.daemon.config, second.replace(certificate, "chain = \"nowhere.pem\"")).unwrap();
    clinic.daemon.hang_up().unwrap();
    let refused = || clinic.daemon.logs().ok()?.contains("nowhere.pem").then_some(());
    until("the refusal of a config without its certificate", SOON, refused).await.unwrap();
    std::fs::write(&clinic.daemon.config, &second).unwrap();
    assert_eq!(clinic.events("config_loaded").len(), 3);
    assert!(clinic.explained(&id).contains(&digests[1][..12]));
    clinic.stands(&id, &["delivered"]).await;
    clinic.balanced();

    assert!(clinic.daemon.stop().unwrap().success());
    let printed = clinic.daemon.run(&["audit", "config", &digests[0]]).unwrap().good().unwrap();
    assert_eq!(printed, first, "without a daemon as well");
    clinic.verified();
}
