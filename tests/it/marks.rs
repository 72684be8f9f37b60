//! How a sender asks for protection: what a tag or a control header does, and that it is gone when the message leaves.

#![cfg(test)]

use crate::clinic::{Clinic, behind_trace, letter, queued};
use crate::world::behaviour::Behaviour;

/// What is marked may go nowhere but by `pgp`, which does not exist yet: it is held.
const CONFIG: &str = "[policy]\ntags = [\"[secure]\", \"[encrypt]\"]\nsecure = [\"pgp\"]\n";
const HELD: &str = "held methods_exhausted";

fn with(fields: &str, subject: &str) -> Vec<u8> {
    let subject = format!("Subject: {subject}\r\n");
    let plain = String::from_utf8(letter("SUBJECT", "x")).unwrap();
    format!("{fields}{}", plain.replace("Subject: SUBJECT\r\n", &subject)).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_is_obeyed_through_answers_and_encodings_and_what_is_none_is_not() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], CONFIG).await;
    let secure = "=?utf-8?B?W3NlY3VyZV0gUmVzdWx0cw==?=";
    let rows = [
        ("", "[secure] Results", HELD),
        ("", "[SECURE]Results", HELD),
        ("", "Results [Encrypt]", HELD),
        ("", "Re: [secure] Results", HELD),
        ("", "RE: Fwd: AW: [ secure ] Results", HELD),
        ("", secure, HELD),
        ("", "Re: =?iso-8859-1?Q?=5Bsecure=5D_R=E9sultats?=", HELD),
        ("", "=?utf-8?Q?Re=3A_=5Bsec?=\r\n =?utf-8?Q?ure=5D_R=C3=A9sultats?=", HELD),
        ("", "\r\n [secure]\r\n Results", HELD),
        ("X-Sealpost-Secure: yes\r\n", "Results", HELD),
        ("x-sealpost-secure:\r\n YES\r\n", "Results", HELD),
        ("X-Sealpost-Secure: pgp\r\n", "Results", HELD),
        ("X-Sealpost-Secure: ture\r\n", "Results", "delivered by authenticated"),
        ("Sensitivity: Company-Confidential\r\n", "Results", HELD),
        ("Sensitivity: Normal\r\n", "Results", "delivered"),
        ("X-Sealpost-Secure: no\r\n", "Results", "delivered"),
        ("", "Results about the [secure] portal", "delivered"),
        ("", "secure Results", "delivered"),
        ("", "[secured] Results", "delivered"),
    ];
    for (fields, subject, expected) in rows {
        let id = queued(&clinic.submit("ehr", &["results@lab.example"], &with(fields, subject)).await);
        if expected == "delivered by authenticated" {
            // The most protective list there is ends in a TLS that this partner does not reach.
            let methods = clinic.daemon.json(&["queue", "show", &id]).unwrap()["methods"].clone();
            assert_eq!(methods, serde_json::json!(["tls:authenticated"]), "{fields}{subject}");
            continue;
        }
        clinic.stands(&id, &[("lab.example", expected)]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_is_gone_when_the_message_leaves_and_all_else_is_as_it_was() {
    let config = "[policy]\nsecure = [\"tls:valid\"]\n";
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], config).await;
    let rows = [
        ("X-First: 1\r\nX-Sealpost-Secure: yes\r\nX-Last: 2\r\n", "Results", "X-First: 1\r\nX-Last: 2\r\n", "Results"),
        ("X-SEALPOST-secure : tls,\r\n portal\r\n", "Results", "", "Results"),
        ("Sensitivity: private\r\n", "Results", "Sensitivity: private\r\n", "Results"),
        ("", "[secure] Results", "", "Results"),
        ("", "Re: [Encrypt] Results  of  today", "", "Re: Results  of  today"),
        ("", "=?iso-8859-1?Q?=5Bsecure=5D_R=E9sultats?=", "", "=?utf-8?B?UsOpc3VsdGF0cw==?="),
        ("", "[secure]", "", ""),
        ("", "Our [secure] portal", "", "Our [secure] portal"),
        ("", "=?iso-8859-1?Q?R=E9sultats?=", "", "=?iso-8859-1?Q?R=E9sultats?="),
        ("Bcc: bo@clinic.example,\r\n cy@clinic.example\r\n", "Results", "", "Results"),
    ];
    for (at, (fields, subject, fields_left, subject_left)) in rows.iter().enumerate() {
        let id = queued(&clinic.submit("ehr", &["results@lab.example"], &with(fields, subject)).await);
        clinic.stands(&id, &[("lab.example", "delivered")]).await;
        let taken = clinic.taken("lab.example", at + 1).await;
        let left = String::from_utf8(behind_trace(&taken[at].content).to_vec()).unwrap();
        assert_eq!(left, String::from_utf8(with(fields_left, subject_left)).unwrap(), "{fields}{subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_of_somebody_who_has_not_logged_in_is_not_believed() {
    let clinic = Clinic::open(&[], CONFIG).await;
    let marked = with("X-Sealpost-Secure: yes\r\nSensitivity: private\r\n", "[secure] Results");
    let file = clinic.file("marked.eml", &marked).display().to_string();
    let rule = |from: &str| {
        let told = clinic.daemon.json(&["explain", &file, "--from", from, "--to", "results@lab.example"]).unwrap();
        (told["client"].clone(), told["recipients"][0]["rule"].as_str().unwrap().to_owned())
    };
    assert_eq!(rule("ann@clinic.example"), ("ehr".into(), "sender asked for protection".to_owned()));
    // No client may use this sender, so nobody who has logged in sent it.
    assert_eq!(rule("ann@elsewhere.example"), (serde_json::Value::Null, "default".to_owned()));
}
