//! What the sender asked of delivery reports: passed on where it is heard, and obeyed by ourselves (RFC 3461).

use std::time::Duration;

use crate::house::{ANN, House, Partner, ask, letter, text};
use crate::world::behaviour::{Behaviour, Extension, Override, Step};

fn said(partner: &Partner, verb: &str) -> Vec<String> {
    let commands = partner.mx.memory().commands;
    commands.into_iter().map(|(_, line)| line).filter(|line| line.starts_with(verb)).collect()
}

fn content(subject: &str) -> Vec<u8> {
    letter(ANN, &["bo@lab.example"], subject).content
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_are_passed_on_as_they_were_said_to_a_hop_that_hears_them_and_then_it_reports() {
    let house = House::open(132, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::offering(&[Extension::Dsn])).await;
    let to = [
        ("bo@lab.example", " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;front+2Bdesk@lab.example"),
        ("cy@lab.example", " NOTIFY=NEVER"),
        ("di@lab.example", ""),
    ];
    let id = ask(&house, " RET=FULL ENVID=QQ+3D314", &to, &content("wishes")).await;
    assert_eq!(house.settled(&id).await, ["delivered"; 3]);
    let mail = said(&lab, "MAIL").pop().unwrap();
    // Content is not asked back over a way of which nobody knows how it is protected.
    assert!(mail.contains(" RET=HDRS ENVID=QQ+3D314") && !mail.contains("FULL"), "{mail}");
    let expected = [
        "RCPT TO:<bo@lab.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;front+2Bdesk@lab.example",
        "RCPT TO:<cy@lab.example> NOTIFY=NEVER ORCPT=rfc822;cy@lab.example",
        "RCPT TO:<di@lab.example> ORCPT=rfc822;di@lab.example",
    ];
    let mut recipients = said(&lab, "RCPT");
    recipients.sort();
    assert_eq!(recipients, expected);
    // One transaction for all of them, and no report of ours: the next one that is owed comes first of all.
    assert_eq!(lab.took().len(), 1);
    let second = house.partner(12, "no.example", refusing()).await;
    ask(&house, "", &[("ed@no.example", "")], &content("marker")).await;
    house.notice("ed@no.example").await;
    assert_eq!(house.home.took().len(), 1);
    let told = house.told(&id);
    for words in
        ["RET=FULL (", "ENVID=QQ+3D314 (", "NOTIFY=NEVER (no report to the sender", "ORCPT=rfc822;front+2Bdesk"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!house.daemon.logs().unwrap().contains("front"));
    lab.crossed_cleanly();
    second.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn success_at_a_hop_that_knows_no_reports_is_reported_by_us_as_relayed() {
    let house = House::open(133, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    let to = [
        ("bo@lab.example", " NOTIFY=SUCCESS ORCPT=rfc822;desk@lab.example"),
        ("cy@lab.example", " NOTIFY=FAILURE"),
        ("di@lab.example", ""),
    ];
    let id = ask(&house, " ENVID=QQ7", &to, &content("relayed")).await;
    assert_eq!(house.settled(&id).await, ["delivered"; 3]);
    let report = text(&house.notice("bo@lab.example").await);
    for field in [
        "Original-Envelope-Id: QQ7\r\n",
        "Original-Recipient: rfc822; desk@lab.example\r\nFinal-Recipient: rfc822; bo@lab.example\r\n",
        "Action: relayed\r\nStatus: 2.0.0\r\n",
    ] {
        assert!(report.contains(field), "{field} in {report}");
    }
    assert!(
        !report.contains("Action: delivered") && !report.contains("cy@lab") && !report.contains("noon"),
        "{report}"
    );
    assert!(!said(&lab, "MAIL")[0].contains("ENVID") && said(&lab, "RCPT").iter().all(|line| line.ends_with('>')));
    house.audited();
    lab.crossed_cleanly();
}

fn refusing() -> Behaviour {
    Behaviour::but(&[Override::reply(Step::Rcpt, 550, "5.1.1 nobody")])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_wants_a_report_gets_none_and_the_postmaster_hears_of_the_failure() {
    let house = House::open(134, "").await;
    let _lab = house.partner(11, "lab.example", refusing()).await;
    let to = [("bo@lab.example", " NOTIFY=NEVER"), ("cy@lab.example", " NOTIFY=SUCCESS"), ("di@lab.example", "")];
    let id = ask(&house, "", &to, &content("never")).await;
    assert_eq!(house.settled(&id).await, ["bounced"; 3]);
    for (recipient, told) in
        [("bo@lab.example", "it@clinic.example"), ("cy@lab.example", "it@clinic.example"), ("di@lab.example", ANN)]
    {
        assert_eq!(house.notice(recipient).await.recipients, [told], "{recipient}");
    }
    assert_eq!(house.home.took().len(), 3);
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_told_to_whom_it_was_asked_for() {
    let house = House::open(135, "[queue]\ndelay_notice = \"2s\"\nexpire = \"5s\"").await;
    let busy = Override::reply(Step::Rcpt, 450, "4.2.1 busy");
    let _lab = house.partner(11, "lab.example", Behaviour::but(&[busy])).await;
    let to = [("bo@lab.example", " NOTIFY=DELAY"), ("cy@lab.example", " NOTIFY=FAILURE")];
    let id = ask(&house, "", &to, &content("late")).await;
    assert_eq!(house.settled(&id).await, ["expired"; 2]);
    // Failures: Bo's to the postmaster, since Ann asked for delays only; Cy's to both.
    let reports = || {
        let all = house.home.took();
        (all.len() >= 3).then_some(all)
    };
    let all = crate::world::until("three reports", Duration::from_secs(40), reports).await.unwrap();
    let mut told: Vec<String> = all
        .iter()
        .map(|notice| {
            let report = text(notice);
            let action = if report.contains("Action: delayed") { "delayed" } else { "failed" };
            let about = if report.contains("bo@lab.example") { "bo" } else { "cy" };
            format!("{about} {action} {}", notice.recipients.join(" "))
        })
        .collect();
    told.sort();
    let expected = [
        "bo delayed ann@clinic.example",
        "bo failed it@clinic.example",
        "cy failed ann@clinic.example it@clinic.example",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_needs_smtputf8_comes_back_from_a_hop_without_it_and_is_never_changed() {
    let house = House::open(136, "").await;
    let few = Behaviour { extensions: [Extension::EightBitMime].into(), ..Behaviour::default() };
    let old = house.partner(11, "old.example", few).await;
    let new = house.partner(12, "new.example", Behaviour::offering(&[Extension::Dsn])).await;
    // Decomposed, as it was typed; a composed look-alike is somebody else.
    let (decomposed, composed) = ("zoe\u{308}@new.example", "zo\u{eb}@new.example");
    let head = "Date: Tue, 24 Nov 2026 04:00:00 +0000\r\nMessage-ID: <7@clinic.example>\r\n";
    let letter = format!("From: {ANN}\r\nSubject: Gr\u{fc}\u{df}e\r\n{head}\r\nx\r\n");
    let to = [("bo@old.example", ""), (decomposed, ""), (composed, " ORCPT=utf-8;zo\u{eb}@new.example")];
    let id = ask(&house, " SMTPUTF8 BODY=8BITMIME", &to, letter.as_bytes()).await;
    let mut ends = house.settled(&id).await;
    ends.sort();
    assert_eq!(ends, ["bounced", "delivered", "delivered"]);
    let report = text(&house.notice("bo@old.example").await);
    let read = report.replace("=\r\n", "");
    assert!(read.contains("Status: 5.6.7\r\n") && read.contains("letters such as these"), "{report}");
    assert!(old.took().is_empty() && said(&old, "MAIL").is_empty());
    let mut took: Vec<_> = new.took().into_iter().flat_map(|delivery| delivery.recipients).collect();
    took.sort();
    let mut names = [decomposed, composed];
    names.sort_unstable();
    assert_eq!(took, names);
    let delivered = text(&new.took()[0]);
    assert!(delivered.ends_with(&letter) && delivered.contains("with UTF8SMTPSA id "), "{delivered}");
    assert!(said(&new, "MAIL").iter().all(|line| line.ends_with(" SMTPUTF8")));
    assert!(said(&new, "RCPT").iter().any(|line| line.ends_with("ORCPT=utf-8;zo\u{eb}@new.example")));
    new.crossed_cleanly();
}
