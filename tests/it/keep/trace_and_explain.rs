//! Why is always answerable: long after the body is gone, and after another config came into force.

use super::{Clinic, SENDER, user};

const SHORT: &str = "[retention]\nsweep = \"1s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_and_told_after_its_body_is_gone_and_the_config_is_another() {
    let mut clinic = Clinic::open(SHORT).await;
    let content = format!(
        "From: {SENDER}\nTo: lab@lab.example\nMessage-ID: <results-7@clinic.example>\nSubject: Results\n\n\
         Patient: Maribel Quist\nMRN 12345678\nDiagnosis: type 2 diabetes\n"
    );
    let id = clinic.submit(&["lab@lab.example", "nobody@gone.example"], &content).await;
    clinic.stands(&id, &["bounced", "delivered"]).await;
    clinic.erased(&id).await;
    let before = clinic.explained(&id);
    let config = clinic.events("config_loaded")[0]["event"]["config"].as_str().unwrap().to_owned();

    assert!(clinic.daemon.stop().unwrap().success());
    clinic.daemon.configure("[queue]\nexpire = \"4d\"\n[policy]\ndefault = [\"tls:authenticated\"]\n").unwrap();
    clinic.daemon.start().unwrap();
    let newer = clinic.events("config_loaded").last().unwrap()["event"]["config"].as_str().unwrap().to_owned();
    assert_ne!(config, newer);

    let told = clinic.explained(&id);
    assert_eq!(told, before, "what was known then is told, not what holds now");
    for words in [
        "the client \"ehr\"",
        "It counts as health information",
        "a medical record number",
        "To lab@lab.example",
        "Delivered: their mail server took it",
        "To nobody@gone.example",
        "Bounced: it was refused for good",
        "TLSv1.3",
        "The message itself was erased",
        "vouched for at the time",
        "did not apply: it asks that the recipient's domain fits one of the patterns",
        "refused by their mail server for good",
        &format!("config {}", &config[..12]),
        concat!("Sealpost ", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(told.contains(words), "{words:?} is not in\n{told}");
    }
    assert!(told.contains("classifier "), "{told}");

    assert!(!told.contains("next hop"), "{told}");
    let shown = clinic.daemon.run(&["audit", "config", &config[..12]]).unwrap().good().unwrap();
    assert!(!shown.contains("expire = \"4d\""), "the config of that day, not of this one: {shown}");

    for look in [
        &["trace", "--to", "lab@lab.example"][..],
        &["trace", "--to", "LAB@Lab.Example"],
        &["trace", "--id", "<results-7@clinic.example>"],
        &["trace", "--id", "results-7@clinic.example"],
    ] {
        let found = clinic.daemon.run(look).unwrap().good().unwrap();
        assert!(found.contains(&id), "{look:?}: {found}");
        assert!(clinic.daemon.json(look).unwrap().to_string().contains(&id));
    }
    // For programs, with times as the other lists have them.
    let row = clinic.daemon.json(&["trace", "--id", "results-7@clinic.example"]).unwrap();
    let listed = clinic.daemon.json(&["queue", "show", row["id"].as_str().unwrap()]).unwrap();
    // Decided first, and kept a moment later.
    for accepted in [&row["accepted"], &listed.get(0).unwrap_or(&listed)["accepted"]] {
        let time = accepted.as_str().unwrap();
        assert!(sealpost::clock::Timestamp::parse_rfc3339(time).is_some_and(|read| read.rfc3339() == time), "{time}");
    }
    let none = clinic.daemon.run(&["trace", "--to", "other@lab.example"]).unwrap();
    assert_eq!(none.status.code(), Some(1), "{}", none.out);

    // Who looked is in the log, and the person that was looked for is not.
    let read: Vec<String> = clinic.events("evidence_read").iter().map(ToString::to_string).collect();
    assert!(read.iter().any(|row| row.contains("trace")) && read.iter().any(|row| row.contains("explain")));
    assert!(read.iter().all(|row| row.contains(&user()) && !row.contains("lab.example")), "{read:?}");
    clinic.balanced();
    clinic.verified();
}
