//! A list of methods that runs out, at once or after the partner's TLS was tried for long enough: held, and told.

#![cfg(test)]

use crate::clinic::{Clinic, SOON, letter, queued};
use crate::world::authority::Kind;
use crate::world::behaviour::{Behaviour, Tls};
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_release_asks_for_no_less_than_the_decision_did() {
    let config = r#"
[queue]
retry = ["1s"]
floor_patience = "1s"
[[policy.rule]]
name = "only who is proved"
when = { recipient_domain = ["lab.example"] }
deliver = ["tls:authenticated"]
"#;
    let partners = [("clinic.example", Behaviour::default()), ("lab.example", Behaviour::default())];
    let clinic = Clinic::open(&partners, config).await;
    let id = queued(&clinic.submit("ehr", &["results@lab.example"], &letter("proved", "x")).await);
    clinic.stands(&id, &[("lab.example", "held methods_exhausted")]).await;
    let attempts = || clinic.daemon.json(&["queue", "show", &id]).unwrap()["attempts"].as_u64().unwrap();
    let before = attempts();
    assert_eq!(clinic.daemon.json(&["queue", "release", &id]).unwrap()["moved"], 1);
    let again = || (attempts() > before && clinic.standing(&id)["lab.example"].starts_with("held")).then_some(());
    until("the next hold", SOON, again).await.unwrap();
    assert!(clinic.partner("lab.example").deliveries().is_empty(), "it left by the default, which asks for less");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_held_goes_by_what_would_have_won_without_the_hold() {
    let config = r#"
[queue]
retry = ["1s"]
floor_patience = "1s"
[policy]
secure = ["tls:authenticated"]
[[policy.rule]]
name = "look first"
when = { recipient_domain = ["lab.example"] }
hold = "looked at by hand"
"#;
    let partners = [("clinic.example", Behaviour::default()), ("lab.example", Behaviour::default())];
    let clinic = Clinic::open(&partners, config).await;
    let release = |id: &str| {
        let printed = clinic.daemon.run(&["queue", "release", id, "--json"]).unwrap();
        let row: serde_json::Value = serde_json::from_str(&printed.out).unwrap();
        (row["moved"].as_u64().unwrap(), row["no_method"].as_u64().unwrap())
    };
    let mut ids = Vec::new();
    for subject in ["plain", "[secure] marked"] {
        let id = queued(&clinic.submit("ehr", &["results@lab.example"], &letter(subject, "x")).await);
        clinic.stands(&id, &[("lab.example", "held policy")]).await;
        ids.push(id);
    }
    let sealed = [b"X-Sealpost-Secure: pgp\r\n", &letter("sealed", "x")[..]].concat();
    let sealed = queued(&clinic.submit("ehr", &["results@lab.example"], &sealed).await);

    assert_eq!(release(&ids[0]), (1, 0));
    clinic.stands(&ids[0], &[("lab.example", "delivered")]).await;
    // The partner's certificate is valid and no more, which is less than its sender asked for.
    assert_eq!(release(&ids[1]), (1, 0));
    clinic.stands(&ids[1], &[("lab.example", "held methods_exhausted")]).await;
    assert_eq!(release(&sealed), (0, 1), "there is no pgp yet, and nothing stands in for it");
    assert_eq!(clinic.partner("lab.example").deliveries().len(), 1);
}

async fn told(clinic: &Clinic, id: &str, count: usize) {
    let taken = clinic.reached("clinic.example", count).await;
    let about = taken.iter().filter(|delivery| String::from_utf8_lossy(&delivery.content).contains(id));
    let mut to: Vec<String> = about.flat_map(|delivery| delivery.recipients.clone()).collect();
    to.sort();
    assert_eq!(to, ["ann@clinic.example", "it@clinic.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_no_method_can_carry_is_held_and_sender_and_postmaster_are_told() {
    let partners = [
        ("clinic.example", Behaviour::default()),
        ("lab.example", Behaviour::default()),
        ("old.example", Behaviour::tls(Tls::With(Kind::SelfSigned))),
        ("bare.example", Behaviour::tls(Tls::NotOffered)),
    ];
    let config = r#"
[queue]
retry = ["1s"]
floor_patience = "1s"
[[policy.rule]]
name = "sealed or not at all"
when = { recipient_domain = ["lab.example"] }
deliver = ["smime", "pgp", "portal"]
"#;
    let clinic = Clinic::open(&partners, config).await;
    let at_once = queued(&clinic.submit("ehr", &["results@lab.example"], &letter("at-once", "x")).await);
    clinic.stands(&at_once, &[("lab.example", "held methods_exhausted")]).await;
    told(&clinic, &at_once, 2).await;
    let story = clinic.story(&at_once).to_string();
    for word in ["smime: no key store in this version; skipped", "portal: no portal in this version; skipped"] {
        assert!(story.contains(word), "{story}");
    }
    for (round, domain) in [(2, "old.example"), (3, "bare.example")] {
        let id = queued(&clinic.submit("ehr", &[&format!("dr.who@{domain}")], &letter("later", "x")).await);
        clinic.stands(&id, &[(domain, "held methods_exhausted")]).await;
        told(&clinic, &id, round * 2).await;
        let server = clinic.partner(domain);
        assert!(server.deliveries().is_empty());
        let said: Vec<String> = server.memory().commands.into_iter().map(|(_, line)| line).collect();
        assert!(!said.is_empty() && !said.iter().any(|line| line.starts_with("MAIL")), "{said:?}");
    }
}
