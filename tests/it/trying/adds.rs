//! What rules add is in the message that arrives, in the copy for the archive and in what `explain` tells; and marks of other
//! products are counted.

use super::{CHART, Clinic, letter, queued};
use crate::clinic::behind_trace;
use crate::world::behaviour::Behaviour;

const RULES: &str = r#"
[policy]
default = ["tls:valid"]
[[policy.group]]
name = "labs"
file = "labs.txt"
[[policy.rule]]
name = "health information is filed"
when = { phi = true, recipient_group = ["labs"] }
footer = "Please answer safely."
add_headers = { "X-Clinic-Class" = "phi" }
archive = "archive@filing.example"
part2_notice = true
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_add_arrives_and_is_told() {
    let partners = ["lab.example", "filing.example"].map(|domain| (domain, Behaviour::default()));
    let mut clinic = Clinic::open(&partners, "").await;
    clinic.file("labs.txt", b"# whom we know\nlab.example\n");
    clinic.daemon.configure(RULES).unwrap();
    clinic.daemon.reload().unwrap();

    let id =
        queued(&clinic.submit("ehr", &["results@lab.example"], &letter("Maribel Quist, MRN 00482913", CHART)).await);
    clinic.stands(&id, &[("lab.example", "delivered"), ("filing.example", "delivered")]).await;
    let arrived = clinic.taken("lab.example", 1).await.remove(0);
    let filed = clinic.taken("filing.example", 1).await.remove(0);
    assert_eq!(filed.recipients, ["archive@filing.example"]);
    assert_eq!(filed.content, arrived.content, "the archive has what the recipient has");
    let text = String::from_utf8(behind_trace(&arrived.content).to_vec()).unwrap();
    let expected = format!(
        "X-Clinic-Class: phi\r\nFrom: Ann Lee <ann@clinic.example>\r\nTo: undisclosed:;\r\nSubject: Secure message {id}\r\n\
         Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <Maribel .1@clinic.example>\r\n\r\n\
         Subject: Maribel Quist, MRN 00482913\r\n\r\n{CHART}\r\n\r\nPlease answer safely.\r\n\r\n\
         42 CFR part 2 prohibits unauthorized use or disclosure of these records.\r\n"
    );
    assert_eq!(text, expected);
    let told = clinic.daemon.run(&["explain", &id]).unwrap().good().unwrap();
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "The rule \"health information is filed\" adds X-Clinic-Class; puts a footer under it; sends a copy to the archive",
        "subject moved to the top of the text",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    // What the file held is kept with the config.
    let listed = clinic.daemon.json(&["audit", "config"]).unwrap();
    let kept = |row: &serde_json::Value| {
        let digest = row["config"].as_str().unwrap();
        clinic.daemon.run(&["audit", "config", digest]).unwrap().good().unwrap().contains("# lab.example")
    };
    assert!(listed.as_array().unwrap().iter().any(kept), "{listed}");

    for (subject, expected) in [("[Send Secure] lunch", "lunch"), ("+encrypt+ lunch", ""), ("lunch", "lunch")] {
        let id =
            queued(&clinic.submit("ehr", &["results@lab.example"], &letter(subject, "Shall we have lunch?")).await);
        let state = if expected.is_empty() { "held methods_exhausted" } else { "delivered" };
        clinic.stands(&id, &[("lab.example", state)]).await;
    }
    let rows = clinic.daemon.json(&["policy", "compat", "--since", "1h"]).unwrap();
    let row = |at: usize| {
        (
            rows[at]["product"].clone(),
            rows[at]["mark"].clone(),
            rows[at]["client"].clone(),
            rows[at]["messages"].clone(),
        )
    };
    assert_eq!(row(0), ("cisco".into(), "[send secure]".into(), "ehr".into(), 1.into()));
    assert_eq!(row(1), ("luxsci".into(), "+encrypt+".into(), "ehr".into(), 1.into()));
    let text = clinic.daemon.run(&["policy", "compat"]).unwrap().good().unwrap();
    assert!(text.contains("1  cisco [send secure], through ehr, last on 20") && text.contains("Nobody used"), "{text}");

    let log = clinic.daemon.json(&["audit", "list"]).unwrap().to_string();
    assert_eq!((log.matches("\"compat\"").count(), log.matches("\"replay\"").count()), (2, 0), "{log}");

    // The copy is no recipient of the sender's: tried anew, nothing changes.
    let summary = clinic.daemon.json(&["policy", "replay"]).unwrap();
    assert_eq!(
        (&summary["recipients"], &summary["changed"], &summary["by_another_rule"]),
        (&4.into(), &0.into(), &0.into())
    );
}
