//! The cases that an admin keeps beside the config: run by hand, and before each reload, which they can stop.

use super::{CHART, Clinic, letter, queued};
use crate::world::behaviour::Behaviour;

const RULES: &str = r#"
[policy]
tests = "policy-tests.toml"
default = ["tls:valid"]
[[policy.rule]]
name = "charts are looked at"
when = { recipient_domain = ["lab.example"], phi = true }
hold = "look first"
"#;
const CASES: &str = r#"
[[case]]
name = "A chart to the lab is held"
client = "ehr"
from = "ann@clinic.example"
to = ["bo@lab.example"]
file = "mail/chart.eml"
expect = { action = "hold", rule = "charts are looked at", phi = true, kinds = ["MRN"] }

[[case]]
name = "Lunch goes its way"
to = ["bo@lab.example", "cy@other.example"]
message = """
From: ann@clinic.example
Subject: lunch

Shall we have lunch at noon?
"""
expect = { action = "deliver", method = "tls:valid", rule = "default", phi = false }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_breaks_a_case_is_refused_and_says_which() {
    let partners = ["clinic.example", "lab.example"].map(|domain| (domain, Behaviour::default()));
    let mut clinic = Clinic::open(&partners, "").await;
    std::fs::create_dir(clinic.daemon.folder.join("mail")).unwrap();
    clinic.file("mail/chart.eml", &letter("chart", CHART));
    clinic.file("policy-tests.toml", CASES.as_bytes());
    clinic.daemon.configure(RULES).unwrap();
    clinic.daemon.reload().unwrap();
    let passed = clinic.daemon.run(&["policy", "test"]).unwrap().good().unwrap();
    assert!(passed.contains("pass  A chart to the lab is held") && passed.contains("2 cases: all pass"), "{passed}");
    let good = std::fs::read_to_string(&clinic.daemon.config).unwrap();

    // The rule covers another domain by a slip of the pen.
    std::fs::write(
        &clinic.daemon.config,
        good.replace("recipient_domain = [\"lab.example\"]", "recipient_domain = [\"lap.example\"]"),
    )
    .unwrap();
    let printed = clinic.daemon.run(&["policy", "test"]).unwrap();
    assert_eq!(printed.status.code(), Some(1), "{}{}", printed.out, printed.err);
    for part in [
        "FAIL  A chart to the lab is held (line 2)",
        "for bo@lab.example",
        "- action: hold",
        "+ action: deliver",
        "it did not match: it needs that the recipient's domain fits one of the patterns",
        "2 cases: 1 fail",
    ] {
        assert!(printed.out.contains(part), "{part}\n{}", printed.out);
    }
    let printed = clinic.daemon.run(&["policy", "test", "--json"]).unwrap();
    let row: serde_json::Value = serde_json::from_str(printed.out.lines().next().unwrap()).unwrap();
    assert_eq!((&row["passed"], &row["wrong"][0]["found"]), (&false.into(), &"deliver".into()));

    clinic.daemon.hang_up().unwrap();
    clinic.logged("1 of 2 policy tests fail", 1).await;
    let logs = clinic.daemon.logs().unwrap();
    assert!(logs.contains("A chart to the lab is held") && logs.contains("the old one stays in force"), "{logs}");
    assert!(!logs.contains("Quist") && !logs.contains("bo@"), "{logs}");
    // Whoever asks for the reload is told the same.
    let printed = clinic.daemon.run(&["client", "suspend", "openemr"]).unwrap();
    assert_eq!(printed.status.code(), Some(78), "{}", printed.err);
    assert!(printed.err.contains("A chart to the lab is held") && printed.err.contains("action is deliver, not hold"));
    let id = queued(&clinic.submit("ehr", &["bo@lab.example"], &letter("chart", CHART)).await);
    clinic.stands(&id, &[("lab.example", "held policy")]).await;

    // A file that is gone proves nothing, and stops a reload as well.
    std::fs::write(&clinic.daemon.config, &good).unwrap();
    std::fs::remove_file(clinic.daemon.folder.join("policy-tests.toml")).unwrap();
    clinic.daemon.hang_up().unwrap();
    clinic.logged("the policy tests in", 1).await;
    // A start has no older config to keep: it takes mail, and says what fails.
    clinic.daemon.stop().unwrap();
    clinic.daemon.start().unwrap();
    clinic.logged("mail is taken by this config all the same", 1).await;
    clinic.file("policy-tests.toml", CASES.as_bytes());
    clinic.daemon.reload().unwrap();
}
