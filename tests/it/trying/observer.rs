//! A copy of a clinic's mail is observed: decided and reported, and neither sent nor held nor refused.

use super::{CHART, Clinic, letter};
use crate::world::behaviour::Behaviour;

const RULES: &str = r#"
[policy]
default = ["tls:valid"]
observer = ["openemr"]
[[policy.rule]]
name = "no charts to free mail"
when = { recipient_domain = ["freemail.example"], phi = true }
reject = "health data is not sent to free mail"
[[policy.rule]]
name = "charts are looked at"
when = { recipient_domain = ["lab.example"], phi = true }
hold = "look first"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_observed_is_decided_and_reported_and_nothing_else() {
    let domains = ["clinic.example", "lab.example", "freemail.example"];
    let mut clinic = Clinic::open(&domains.map(|domain| (domain, Behaviour::default())), RULES).await;
    let mut ids = Vec::new();
    for (to, text) in [
        (vec!["bo@lab.example", "cy@freemail.example"], CHART),
        (vec!["cy@freemail.example"], CHART),
        (vec!["cy@freemail.example"], "Shall we have lunch at noon?"),
    ] {
        let reply = clinic.submit("openemr", &to, &letter("a note", text)).await;
        assert_eq!(reply.code, 250, "{}", reply.text());
        let text = reply.text();
        ids.push(text.split_once("observed, and not sent, as ").unwrap().1.trim().to_owned());
    }
    clinic.stands(&ids[0], &[("lab.example", "observed"), ("freemail.example", "observed")]).await;
    let told = clinic.daemon.run(&["explain", &ids[0]]).unwrap().good().unwrap();
    assert!(told.contains("It was only observed") && told.contains("\"charts are looked at\" decided"), "{told}");

    let told = clinic.daemon.run(&["policy", "report"]).unwrap().good().unwrap();
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "3 messages for 4 recipients were observed",
        "With health information: 2",
        "With health information: 2. 2 would be held: health data is not sent to free mail, by \"no charts to free mail\"",
        "1 would be held: look first, by \"charts are looked at\" (1 with health information)",
        "1 would be sent by tls:valid, by \"default\" (0 with health information)",
        "to lab.example 1",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let rows = clinic.daemon.json(&["policy", "report", "--since", "1h"]).unwrap();
    assert_eq!(rows[0]["would_be"]["outcome"], "held", "{rows}");
    assert_eq!(clinic.daemon.json(&["policy", "report", "--client", "ehr"]).unwrap()["messages"], 0);
    // Who read what was kept is in the log, with what it was read for.
    let log = clinic.daemon.json(&["audit", "list"]).unwrap().to_string();
    assert_eq!((log.matches("\"report\"").count(), log.matches("\"replay\"").count()), (3, 0), "{log}");
    // The same config would have decided the same: replay reads what was observed as well.
    let replayed = clinic.daemon.json(&["policy", "replay", "--since", "1h"]).unwrap();
    assert_eq!((&replayed["messages"], &replayed["changed"]), (&3.into(), &0.into()), "{replayed}");

    // Nobody got anything, and no notice of it: a message behind them from a client that is carried arrives alone.
    let id = super::queued(&clinic.submit("ehr", &["cy@freemail.example"], &letter("lunch", "At noon?")).await);
    clinic.stands(&id, &[("freemail.example", "delivered")]).await;
    let taken = domains.map(|domain| clinic.partner(domain).deliveries().len());
    assert_eq!(taken, [0, 0, 1]);

    // No longer observed, it is carried.
    clinic.daemon.configure("[policy]\nobserver = [\"ehr\"]\n").unwrap();
    clinic.daemon.reload().unwrap();
    let id = super::queued(&clinic.submit("openemr", &["bo@lab.example"], &letter("chart", CHART)).await);
    clinic.stands(&id, &[("lab.example", "held policy")]).await;
}
