//! What differs between two configs is told in words, and one step leads back to any that was in force.

use sealpost::crypto::sha256;

use super::{CHART, Clinic, letter, queued};
use crate::world::behaviour::Behaviour;

const RULES: &str = r#"
[policy]
default = ["tls:valid"]
[[policy.rule]]
name = "charts are looked at"
when = { recipient_domain = ["lab.example"], phi = true }
hold = "look first"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn one_step_leads_back_to_a_config_that_was_in_force_with_the_name_of_who_took_it() {
    let partners = ["clinic.example", "lab.example"].map(|domain| (domain, Behaviour::default()));
    let mut clinic = Clinic::open(&partners, RULES).await;
    let good = std::fs::read_to_string(&clinic.daemon.config).unwrap();
    let digest = sha256(good.as_bytes()).to_string();
    let run = |clinic: &Clinic, arguments: &[&str]| clinic.daemon.run(arguments).unwrap().good().unwrap();
    assert!(run(&clinic, &["policy", "diff"]).contains("nothing differs"));

    std::fs::write(&clinic.daemon.config, good.replace("hold = \"look first\"", "deliver = [\"tls:valid\"]")).unwrap();
    let told = run(&clinic, &["policy", "diff"]);
    for part in ["(in force) to", "~ rule \"charts are looked at\"", "hold: was \"look first\", is no longer written"] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(told.contains("it protects less") && !told.contains("argon2id"), "{told}");
    clinic.daemon.reload().unwrap();
    assert_eq!(run(&clinic, &["policy", "diff", &digest[..8]]).matches("it protects less").count(), 2);
    let id = queued(&clinic.submit("ehr", &["bo@lab.example"], &letter("chart", CHART)).await);
    clinic.stands(&id, &[("lab.example", "delivered")]).await;

    // Somebody edits further, and never loads it.
    let edited = std::fs::read_to_string(&clinic.daemon.config).unwrap() + "# half an idea\n";
    std::fs::write(&clinic.daemon.config, &edited).unwrap();
    let told = run(&clinic, &["policy", "rollback", &digest[..8]]);
    assert!(told.contains("is back in") && told.contains(".replaced"), "{told}");
    assert_eq!(std::fs::read_to_string(&clinic.daemon.config).unwrap(), good);
    assert_eq!(std::fs::read_to_string(clinic.daemon.config.with_added_extension("replaced")).unwrap(), edited);
    let id = queued(&clinic.submit("ehr", &["bo@lab.example"], &letter("chart", CHART)).await);
    clinic.stands(&id, &[("lab.example", "held policy")]).await;

    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let log = clinic.daemon.json(&["audit", "list"]).unwrap();
    let rows = log.as_array().unwrap();
    let back = rows.iter().find(|row| row["event"]["event"] == "config_rolled_back").unwrap();
    assert_eq!((&back["event"]["config"], &back["actor"]["operator"]["user"]), (&digest.as_str().into(), &user.into()));
    let kept = clinic.daemon.json(&["audit", "config"]).unwrap();
    let in_force: Vec<_> = kept.as_array().unwrap().iter().filter(|row| row["in_force"] == true).collect();
    assert!(in_force.len() == 1 && in_force[0]["config"] == digest.as_str(), "{kept}");

    // What cannot be taken leaves the file as it is.
    std::fs::rename(clinic.daemon.folder.join("tls/chain.pem"), clinic.daemon.folder.join("tls/away.pem")).unwrap();
    let second = kept[1]["config"].as_str().unwrap();
    let printed = clinic.daemon.run(&["policy", "rollback", second]).unwrap();
    assert_eq!(printed.status.code(), Some(78), "{}", printed.err);
    assert!(printed.err.contains("is as it was"), "{}", printed.err);
    assert_eq!(std::fs::read_to_string(&clinic.daemon.config).unwrap(), good);
    assert_eq!(clinic.daemon.run(&["policy", "rollback", "0123456789"]).unwrap().status.code(), Some(66));
    clinic.daemon.stop().unwrap();
    let printed = clinic.daemon.run(&["policy", "diff"]).unwrap();
    assert_eq!(printed.status.code(), Some(69), "{}", printed.err);
}
