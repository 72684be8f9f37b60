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

const GROUPED: &str = r#"
[policy]
default = ["tls:valid"]
[[policy.group]]
name = "labs"
file = "labs.txt"
[[policy.rule]]
name = "charts are looked at"
when = { recipient_group = ["labs"], phi = true }
hold = "look first"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_leads_past_what_a_groups_file_holds() {
    let mut clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    clinic.file("labs.txt", b"# whom we know\nlab.example\n");
    clinic.daemon.configure(GROUPED).unwrap();
    clinic.daemon.reload().unwrap();
    let good = std::fs::read_to_string(&clinic.daemon.config).unwrap();
    let run = |clinic: &Clinic, arguments: &[&str]| clinic.daemon.run(arguments).unwrap().good().unwrap();
    assert!(run(&clinic, &["policy", "diff"]).contains("nothing differs"));
    let kept = clinic.daemon.json(&["audit", "config"]).unwrap();
    let in_force = kept.as_array().unwrap().iter().find(|row| row["in_force"] == true).unwrap();
    let digest = in_force["config"].as_str().unwrap().to_owned();

    // The file alone says something else.
    clinic.file("labs.txt", b"lab.example\npayer.example\n");
    let told = run(&clinic, &["policy", "diff"]);
    let line = "members from file: was [\"lab.example\"], is [\"lab.example\", \"payer.example\"]";
    assert!(told.contains("~ [[policy.group]] labs") && told.contains(line), "{told}");
    std::fs::write(&clinic.daemon.config, good.replace("hold = \"look first\"", "deliver = [\"tls:valid\"]")).unwrap();
    clinic.daemon.reload().unwrap();
    let other = std::fs::read_to_string(&clinic.daemon.config).unwrap();
    let printed = clinic.daemon.run(&["policy", "rollback", &digest[..8]]).unwrap();
    assert_eq!(printed.status.code(), Some(78), "{}", printed.err);
    assert!(printed.err.contains("has changed since") && printed.err.contains("\"labs\""), "{}", printed.err);
    assert_eq!(std::fs::read_to_string(&clinic.daemon.config).unwrap(), other);

    // With the file as it was, the way is open, and what was in force is not called unknown.
    clinic.file("labs.txt", b"# whom we know\nlab.example\n");
    clinic.daemon.reload().unwrap();
    let told = run(&clinic, &["policy", "rollback", &digest[..8]]);
    assert!(told.contains("is back in") && !told.contains(".replaced"), "{told}");
    assert_eq!(std::fs::read_to_string(&clinic.daemon.config).unwrap(), good);
    let kept = clinic.daemon.json(&["audit", "config"]).unwrap();
    let in_force: Vec<_> = kept.as_array().unwrap().iter().filter(|row| row["in_force"] == true).collect();
    assert!(in_force.len() == 1 && in_force[0]["config"] == digest.as_str(), "{kept}");
    let id = queued(&clinic.submit("ehr", &["bo@lab.example"], &letter("chart", CHART)).await);
    clinic.stands(&id, &[("lab.example", "held policy")]).await;

    // A file with mistakes is left behind as well, while the daemon knows the way.
    let unknown = good.replace("[policy]\n", "[policy]\nno_such_key = 1\n");
    let torn = format!("{good}[[policy.rule\n");
    for wrong in [&unknown, &torn] {
        std::fs::write(&clinic.daemon.config, wrong).unwrap();
        let diff = clinic.daemon.run(&["policy", "diff"]).unwrap();
        if wrong == &unknown {
            assert!(diff.out.contains("(which has mistakes)") && diff.out.contains("no_such_key: 1"), "{}", diff.out);
            assert!(!diff.out.contains("members from file"), "{}", diff.out);
        } else {
            assert_eq!(diff.status.code(), Some(78), "{}", diff.err);
        }
        let told = run(&clinic, &["policy", "rollback", &digest[..8]]);
        assert!(told.contains("is back in") && told.contains(".replaced"), "{told}");
        assert_eq!(std::fs::read_to_string(&clinic.daemon.config).unwrap(), good);
        assert_eq!(std::fs::read_to_string(clinic.daemon.config.with_added_extension("replaced")).unwrap(), *wrong);
    }
    clinic.daemon.stop().unwrap();
    std::fs::write(&clinic.daemon.config, torn).unwrap();
    let printed = clinic.daemon.run(&["policy", "rollback", &digest[..8]]).unwrap();
    assert_eq!(printed.status.code(), Some(78), "{}", printed.err);
    assert!(printed.err.contains("No daemon runs") && printed.err.contains("mistake"), "{}", printed.err);
}
