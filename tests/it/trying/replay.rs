//! Another policy is tried on past mail: with the one in force nothing changes, and with another one exactly what it changes.

use serde_json::Value;

use super::{CHART, Clinic, letter, queued};
use crate::world::behaviour::Behaviour;

const RULES: &str = r#"
[policy]
default = ["tls:valid"]
secure = ["tls:authenticated"]
[[policy.rule]]
name = "no charts to free mail"
when = { recipient_domain = ["freemail.example"], phi = true }
reject = "health data is not sent to free mail"
[[policy.rule]]
name = "what cannot be read is looked at"
when = { kinds = ["UNREADABLE"] }
hold = "a file that nobody could read"
"#;

fn attached() -> Vec<u8> {
    b"From: Ann Lee <ann@clinic.example>\r\nTo: undisclosed:;\r\nSubject: Re: [secure] scan\r\nMIME-Version: 1.0\r\n\
      Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee the file\r\n--b\r\n\
      Content-Type: application/x-scan; name=quist.scn\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n"
        .to_vec()
}

fn rows(clinic: &Clinic, arguments: &[&str]) -> (Vec<Value>, Value) {
    let all = [&["policy", "replay"], arguments].concat();
    let mut rows = match clinic.daemon.json(&all).unwrap() {
        Value::Array(rows) => rows,
        row => vec![row],
    };
    let summary = rows.pop().unwrap();
    (rows, summary)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_config_changes_what_it_says_and_the_same_one_nothing() {
    let domains = ["clinic.example", "lab.example", "freemail.example", "other.example"];
    let clinic = Clinic::open(&domains.map(|domain| (domain, Behaviour::default())), RULES).await;
    let to = ["results@lab.example", "maribel@freemail.example", "bo@other.example"];
    let mut ids = Vec::new();
    for content in [
        letter("lunch", "Shall we have lunch at noon?"),
        letter("chart", CHART),
        letter("[secure] x", CHART),
        attached(),
    ] {
        ids.push(queued(&clinic.submit("ehr", &to, &content).await));
    }
    ids.push(queued(&clinic.submit("openemr", &to[1..2], &letter("chart", CHART)).await));

    let (changes, summary) = rows(&clinic, &["--since", "1h"]);
    assert!(changes.is_empty(), "{changes:?}");
    assert_eq!((&summary["messages"], &summary["recipients"], &summary["changed"]), (&5.into(), &13.into(), &0.into()));
    assert_eq!((&summary["too_old"], &summary["by_another_rule"]), (&0.into(), &0.into()));

    // Charts to the lab are held, tags are no longer known, free mail gets everything.
    let new = std::fs::read_to_string(&clinic.daemon.config).unwrap();
    let new = new
        .replace(
            "freemail.example\"], phi = true }\nreject = \"health data is not sent to free mail\"",
            "lab.example\"], phi = true }\nhold = \"look\"",
        )
        .replace("secure = [\"tls:authenticated\"]", "secure = [\"tls:authenticated\"]\ntags = [\"[confidential]\"]");
    clinic.file("new.toml", new.as_bytes());
    let file = clinic.daemon.folder.join("new.toml").display().to_string();
    let (changes, summary) = rows(&clinic, &[&file, "--since", "1h"]);
    let seen = |message: &str, domain: &str| {
        let row = changes.iter().find(|row| row["message"] == message && row["domain"] == domain);
        row.map_or("as before".to_owned(), |row| {
            format!("{} -> {}, {}", row["before"]["action"], row["after"]["action"], row["protects"]).replace('"', "")
        })
    };
    for (at, domain, expected) in [
        (0, "lab.example", "as before"),
        (1, "lab.example", "deliver -> hold, more"),
        (1, "freemail.example", "reject -> deliver, less"),
        (1, "other.example", "as before"),
        (2, "lab.example", "deliver -> hold, more"),
        (2, "other.example", "deliver -> deliver, less"),
        // It holds for both reasons.
        (3, "other.example", "as before"),
        // Held, since its client must not be refused.
        (4, "freemail.example", "hold -> deliver, less"),
    ] {
        assert_eq!(seen(&ids[at], domain), expected, "{at} {domain}\n{changes:#?}");
    }
    assert_eq!(
        summary["changed"].as_u64().unwrap() + summary["by_another_rule"].as_u64().unwrap(),
        changes.len() as u64
    );
    let (changes, _) = rows(&clinic, &[&file, "--client", "openemr"]);
    assert_eq!(changes.len(), 1, "{changes:?}");

    let text = clinic.daemon.run(&["policy", "replay", &file]).unwrap().good().unwrap();
    for part in [
        "5 messages since",
        "to freemail.example, protected less",
        "was      reject, by \"no charts to free mail\"",
        &ids[1],
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("maribel") && !text.contains("Quist"), "{text}");
    // A client that is gone sends nothing.
    let gone = new.replace("name = \"openemr\"\nprofile", "name = \"another\"\nprofile");
    clinic.file("new.toml", gone.as_bytes());
    let (_, summary) = rows(&clinic, &[&file]);
    assert_eq!(summary["refused"]["its client is not there, or is suspended"], 1, "{summary}");
    // Who read the evidence is part of the log.
    let log = clinic.daemon.json(&["audit", "list"]).unwrap().to_string();
    assert!(log.matches("\"replay\"").count() >= 4, "{log}");
}
