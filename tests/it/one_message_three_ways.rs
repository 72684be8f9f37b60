//! One message, a decision for each recipient: delivered, held with somebody told, rejected with a report to the sender;
//! and what a client is answered when policy refuses all of them.

#![cfg(test)]

use crate::clinic::{Clinic, letter, mail, queued};
use crate::world::behaviour::Behaviour;
use crate::world::mx::Delivery;

const CANARY: &str = "canary-Maribel-Quist";
const RULES: &str = r#"
[[policy.rule]]
name = "look first"
when = { recipient_domain = ["payer.example"] }
hold = "the payer's address is checked by hand"
[[policy.rule]]
name = "no free mail"
when = { recipient_domain = ["freemail.example"] }
reject = "no charts to free mail"
"#;

fn text(delivery: &Delivery) -> String {
    // Without the soft line ends of quoted-printable.
    String::from_utf8(delivery.content.clone()).unwrap().replace("=\r\n", "")
}

/// The notices that came to the clinic, as who they went to and their text; once so many people were told.
async fn notices(clinic: &Clinic, count: usize) -> Vec<(String, String)> {
    let taken = clinic.reached("clinic.example", count).await;
    for delivery in &taken {
        assert_eq!(delivery.sender, "", "a notice comes from nobody, so that none is sent about it");
        assert!(delivery.tls_version.is_some() && !text(delivery).contains(CANARY), "{}", text(delivery));
    }
    let each = |delivery: &Delivery| {
        let told = text(delivery);
        delivery.recipients.iter().map(|to| (to.clone(), told.clone())).collect::<Vec<_>>()
    };
    let mut notices: Vec<_> = taken.iter().flat_map(each).collect();
    notices.sort();
    notices
}

fn partners() -> [(&'static str, Behaviour); 4] {
    ["clinic.example", "lab.example", "payer.example", "freemail.example"].map(|domain| (domain, Behaviour::default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_gets_its_own_decision_and_whoever_has_to_is_told() {
    let clinic = Clinic::open(&partners(), RULES).await;
    let to = ["results@lab.example", "claims@payer.example", "maribel@freemail.example"];
    let id = queued(&clinic.submit("ehr", &to, &letter(CANARY, CANARY)).await);
    let ends = [("lab.example", "delivered"), ("payer.example", "held policy"), ("freemail.example", "rejected")];
    clinic.stands(&id, &ends).await;
    assert_eq!(clinic.taken("lab.example", 1).await[0].recipients, ["results@lab.example"]);

    // One report to the sender; of what is held, one notice to the sender and one to the postmaster.
    let notices = notices(&clinic, 3).await;
    let [(ann, one), (ann_too, other), (it, held)] = &notices[..] else { panic!("{notices:?}") };
    assert_eq!([ann, ann_too, it], ["ann@clinic.example", "ann@clinic.example", "it@clinic.example"]);
    let (report, told) = if one.contains("delivery-status") { (one, other) } else { (other, one) };
    for line in [
        "Content-Type: multipart/report; report-type=delivery-status;",
        "Final-Recipient: rfc822; maribel@freemail.example",
        "Action: failed",
        "Status: 5.7.1",
        "no charts to free mail",
        "Message-ID: <canary-M.1@clinic.example>",
        &id,
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(!report.contains("lab.example") && !report.contains("payer.example"), "{report}");
    for notice in [told, held] {
        assert!(notice.contains("the payer's address is checked by hand") && notice.contains(&id), "{notice}");
        assert!(!notice.contains("claims@"), "{notice}");
    }

    let released = clinic.daemon.json(&["queue", "release", &id]).unwrap();
    assert_eq!(released["moved"], 1);
    clinic.stands(&id, &[("lab.example", "delivered"), ("payer.example", "delivered"), ends[2]]).await;
    assert!(clinic.partner("freemail.example").deliveries().is_empty());
    let told: usize = clinic.partner("clinic.example").deliveries().iter().map(|told| told.recipients.len()).sum();
    assert_eq!(told, 3, "nobody was told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standard_client_is_refused_and_openemr_is_accepted_and_held() {
    let clinic = Clinic::open(&partners(), RULES).await;
    let refused = "550 5.7.1 no charts to free mail";
    let both = ["maribel@freemail.example", "jo@freemail.example"];
    let told = clinic.submit("ehr", &both, &letter("refused", CANARY)).await.text();
    assert_eq!(told, refused);
    let counted = clinic.daemon.json(&["queue", "count"]).unwrap();
    assert_eq!(counted["accepted"], 0, "what is refused is not kept");

    // OpenEMR stops its batch at a 5xx, and sends all of it again.
    let mut batch = clinic.login("openemr").await;
    let held = batch.send(&mail(&both[..1], &letter("held", CANARY))).await.unwrap();
    let next = batch.send(&mail(&["results@lab.example"], &letter("next", CANARY))).await.unwrap();
    let id = queued(held.last());
    clinic.stands(&id, &[("freemail.example", "held accept_and_hold")]).await;
    clinic.stands(&queued(next.last()), &[("lab.example", "delivered")]).await;
    let notices = notices(&clinic, 2).await;
    let to: Vec<&str> = notices.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(to, ["ann@clinic.example", "it@clinic.example"]);
    assert!(notices.iter().all(|(_, told)| told.contains("no charts to free mail")));
    let cancelled = clinic.daemon.json(&["queue", "cancel", &id]).unwrap();
    assert_eq!(cancelled["moved"], 1);
    clinic.stands(&id, &[("freemail.example", "cancelled")]).await;
}
