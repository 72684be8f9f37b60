//! What a client's profile changes: who may stand in MAIL FROM, and what becomes of what policy refuses.

#![cfg(test)]

use crate::clinic::{Clinic, PASSWORD, letter, mail, queued};
use crate::world::behaviour::Behaviour;
use crate::world::client::Mail;
use crate::world::wire::Reply;

/// Nothing may go to the fax gateway.
const RULE: &str =
    "[[policy.rule]]\nname = \"fax\"\nwhen = { recipient_domain = [\"fax.example\"] }\nreject = \"closed\"\n";

async fn clinic() -> Clinic {
    let mut clinic = Clinic::open(&[("lab.example", Behaviour::default())], RULE).await;
    for profile in ["salesforce", "scanner"] {
        let script = r#"printf '%s\n' "$PASSWORD" | "$1" client add "$2" --profile "$2" --sender '*@clinic.example' --password-stdin --config "$3""#;
        let mut add = std::process::Command::new("sh");
        add.args(["-c", script, "sh"]).arg(crate::world::daemon::binary().unwrap());
        clinic
            .run({
                add.arg(profile).arg(&clinic.daemon.config).env("PASSWORD", PASSWORD);
                add
            })
            .good()
            .unwrap();
    }
    clinic.daemon.reload().unwrap();
    clinic
}

async fn from(clinic: &Clinic, user: &str, sender: &str, content: &[u8]) -> Reply {
    let mut client = clinic.login(user).await;
    let mail = Mail { sender: sender.to_owned(), ..mail(&["results@lab.example"], content) };
    client.send(&mail).await.unwrap().last().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_may_count_bounces_by_its_own_return_path_and_write_in_nobody_elses_name() {
    let clinic = clinic().await;
    let path = "results=lab.example__0-1a2b@3c4d.na1.bnc.salesforce.com";
    let letter = letter("crm", "x");
    queued(&from(&clinic, "salesforce", path, &letter).await);
    assert_eq!(clinic.taken("lab.example", 1).await[0].sender, path);
    queued(&from(&clinic, "salesforce", "ann@clinic.example", &letter).await);

    let others = String::from_utf8(letter.clone()).unwrap().replace("ann@clinic.example", "a@x.bnc.salesforce.com");
    for (user, sender, content, expected) in [
        ("salesforce", "a@bnc.salesforce.com.evil.example", &letter[..], "553 5.7.1"),
        ("salesforce", "", &letter, "553 5.7.1"),
        // In From: it is nobody's name.
        ("salesforce", path, others.as_bytes(), "553 5.7.1"),
        // And nobody but that kind of client has it.
        ("ehr", path, &letter, "553 5.7.1"),
    ] {
        let told = from(&clinic, user, sender, content).await.text();
        assert!(told.starts_with(expected), "{user} {sender}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_policy_refuses_a_scanner_is_held_and_what_it_refuses_a_crm_is_refused() {
    let clinic = clinic().await;
    let id = queued(&clinic.submit("scanner", &["1@fax.example"], &letter("scan", "x")).await);
    clinic.stands(&id, &[("fax.example", "held accept_and_hold")]).await;
    let told = clinic.submit("salesforce", &["1@fax.example"], &letter("crm", "x")).await.text();
    assert!(told.starts_with("550 5.7.1 closed"), "{told}");
}
