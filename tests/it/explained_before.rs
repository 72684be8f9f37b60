//! `explain FILE` says before sending what then happens, rule for rule; and `classify` says what was found.

#![cfg(test)]

use serde_json::Value;

use crate::clinic::{Clinic, letter, queued};
use crate::world::behaviour::Behaviour;

const RULES: &str = r#"
[policy]
secure = ["pgp"]
[[policy.rule]]
name = "numbers of the insured stay here"
when = { kinds = ["SSN"] }
hold = "a social security number"
[[policy.rule]]
name = "no charts to free mail"
when = { recipient_domain = ["freemail.example"], phi = true }
reject = "health data is not sent to free mail"
[[policy.rule]]
name = "the lab is known"
when = { client = ["ehr"], recipient_domain = ["lab.example"] }
deliver = ["tls:valid"]
"#;
const CHART: &str = "Patient: Maribel Quist, MRN 00482913, DOB 03/14/1962, has type 2 diabetes and takes metformin.";
const INSURED: &str = "Patient: Maribel Quist, SSN 219-99-8765, MRN 00482913, has asthma.";

/// `deliver`, `hold` or `reject`.
fn action(recipient: &Value) -> String {
    recipient["action"].as_object().unwrap().keys().next().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_explain_says_before_is_what_happens_after() {
    let domains = ["clinic.example", "lab.example", "freemail.example", "other.example"];
    let partners = domains.map(|domain| (domain, Behaviour::default()));
    let clinic = Clinic::open(&partners, RULES).await;
    let to = ["results@lab.example", "maribel@freemail.example", "bo@other.example"];
    let letters = [
        letter("lunch", "Shall we have lunch at noon?"),
        letter("results", CHART),
        letter("insured", INSURED),
        letter("[secure] results", CHART),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (at, content) in letters.iter().enumerate() {
        let file = clinic.file(&format!("{at}.eml"), content).display().to_string();
        let asked = ["explain", &file, "--from", "ann@clinic.example", "--to", to[0], to[1], to[2]];
        let before = clinic.daemon.json(&asked).unwrap();
        // Text of the message is shown with what was found masked.
        let masked = before["masked"].to_string();
        assert!(!masked.contains("Quist") && !masked.contains("00482913"), "{masked}");
        assert_eq!(masked.contains("[MRN]"), before["phi"] == true, "{at} {masked}");
        let id = queued(&clinic.submit("ehr", &to, content).await);
        let after = clinic.story(&id);
        assert_eq!(before["phi"], after["record"]["classified"]["phi"], "{at}");
        let mut expected = Vec::new();
        for (before, after) in
            before["recipients"].as_array().unwrap().iter().zip(after["record"]["recipients"].as_array().unwrap())
        {
            assert_eq!(before["recipient"], after["address"]);
            for key in ["action", "rule", "tried", "remarks"] {
                assert_eq!(before[key], after[key], "{at} {key} {}", before["recipient"]);
            }
            let domain = after["address"].as_str().unwrap().rsplit('@').next().unwrap();
            let state = match action(before).as_str() {
                "deliver" => "delivered",
                "reject" => "rejected",
                _ if before["rule"] == "sender asked for protection" => "held methods_exhausted",
                _ => "held policy",
            };
            seen.insert(format!("{} {state}", before["rule"]));
            expected.push((domain.to_owned(), state));
        }
        let expected: Vec<(&str, &str)> = expected.iter().map(|(domain, state)| (domain.as_str(), *state)).collect();
        clinic.stands(&id, &expected).await;
    }
    let all = [
        "\"default\" delivered",
        "\"no charts to free mail\" rejected",
        "\"numbers of the insured stay here\" held policy",
        "\"sender asked for protection\" held methods_exhausted",
        "\"the lab is known\" delivered",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all, "each way was seen");
    // A client that must not be refused: the same decision, and what becomes of it.
    let file = clinic.file("openemr.eml", &letters[1]).display().to_string();
    let asked = ["explain", &file, "--from", "ann@clinic.example", "--client", "openemr", "--to", to[1]];
    let before = clinic.daemon.json(&asked).unwrap();
    let remarks = before["recipients"][0]["remarks"].to_string();
    assert!(remarks.contains("answered 250, and the message is held"), "{remarks}");
    assert!(before["recipients"][0]["action"].get("hold").is_some(), "{}", before["recipients"][0]["action"]);
    let id = queued(&clinic.submit("openemr", &to[1..2], &letters[1]).await);
    clinic.stands(&id, &[("freemail.example", "held accept_and_hold")]).await;
    assert_eq!(before["recipients"][0]["remarks"], clinic.story(&id)["record"]["recipients"][0]["remarks"]);
    // In words, for somebody who runs an office.
    let file = clinic.file("words.eml", &letters[1]).display().to_string();
    let words =
        clinic.daemon.run(&["explain", &file, "--from", "ann@clinic.example", "--to", to[1]]).unwrap().good().unwrap();
    for part in [
        "It counts as health information",
        "The rule \"no charts to free mail\" decided: refuse it: health data is not sent to free mail",
    ] {
        assert!(words.contains(part), "{part}\n{words}");
    }
    assert!(!words.contains("Quist") && !words.contains("00482913"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn classify_prints_one_line_of_json_for_each_message() {
    let clinic = Clinic::open(&[], "").await;
    let folder = clinic.daemon.folder.join("mail");
    std::fs::create_dir_all(folder.join("below")).unwrap();
    let file = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content).unwrap();
    file("1.eml", &letter("lunch", "Shall we have lunch at noon?"));
    file("2.eml", &letter("chart", CHART));
    file("below/3.eml", String::from_utf8(letter("insured", INSURED)).unwrap().replace("\r\n", "\n").as_bytes());
    let printed = clinic.daemon.run(&["classify", "--json", folder.to_str().unwrap()]).unwrap().good().unwrap();
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["file", "findings", "grounds", "phi", "points", "score"]);
        assert!((0.0..=1.0).contains(&line["score"].as_f64().unwrap()), "{line}");
        for finding in line["findings"].as_array().unwrap() {
            let keys: Vec<&String> = finding.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["confidence", "end", "kind", "part", "start"]);
        }
    }
    let phi: Vec<bool> = lines.iter().map(|line| line["phi"].as_bool().unwrap()).collect();
    assert_eq!(phi, [false, true, true]);
    // The range is one of characters in the decoded part.
    let found = |line: &Value, kind: &str| {
        let finding =
            line["findings"].as_array().unwrap().iter().find(|finding| finding["kind"] == kind).unwrap().clone();
        assert_eq!(finding["part"], "1", "{finding}");
        (finding["start"].as_u64().unwrap() as usize, finding["end"].as_u64().unwrap() as usize)
    };
    let (start, end) = found(&lines[1], "MRN");
    assert_eq!(&CHART[start..end], "00482913");
    let (start, end) = found(&lines[2], "SSN");
    assert_eq!(&INSURED[start..end], "219-99-8765");
    assert!(!printed.contains("Quist") && !printed.contains("219-99-8765"));
}
