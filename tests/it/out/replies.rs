//! What a partner answers decides what becomes of each recipient, and of no other.

use crate::house::{ANN, House, letter, send, text};
use crate::world::behaviour::{Act, Behaviour, Extension, Override, Step};

const STEPS: [Step; 7] =
    [Step::Banner, Step::Ehlo, Step::StartTls, Step::Mail, Step::Rcpt, Step::Data, Step::EndOfData];

fn status(report: &str) -> (&str, &str, &str) {
    let field = |name: &str| {
        let line = report.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {report}"));
        line.split_once(": ").unwrap().1.trim()
    };
    (field("Action"), field("Status"), field("Diagnostic-Code"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_of_one_transaction_has_an_answer_of_its_own() {
    let house = House::open(30, "").await;
    let mixed = [
        Override::reply(Step::Rcpt, 451, "4.2.1 later").to("di@lab.example").first(2),
        Override::reply(Step::Rcpt, 550, "5.1.1 no such Maribel here").to("bo@lab.example"),
    ];
    let lab = house.partner(11, "lab.example", Behaviour::but(&mixed)).await;
    let to = ["bo@lab.example", "cy@lab.example", "di@lab.example"];
    let id = house.submit(&to, "one").await;
    let mut ends = house.settled(&id).await;
    ends.sort();
    assert_eq!(ends, ["bounced", "delivered", "delivered"]);
    let took: Vec<_> = lab.took().into_iter().flat_map(|delivery| delivery.recipients).collect();
    assert_eq!(took, ["cy@lab.example", "di@lab.example"]);
    // One transaction for all three at first, then one for him who was put off.
    let mails = lab.mx.memory().commands.iter().filter(|(_, line)| line.starts_with("MAIL")).count();
    assert_eq!(mails, 3);
    let notice = house.notice("bo@lab.example").await;
    assert_eq!(notice.recipients, [ANN]);
    let report = text(&notice);
    assert_eq!(status(&report), ("failed", "5.1.1", "smtp; 550 5.1.1"));
    assert!(!report.contains("Maribel") && !report.contains("cy@lab") && !report.contains("di@lab"), "{report}");
    lab.crossed_cleanly();
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greylisting_server_gets_the_message_once_it_is_ready() {
    let house = House::open(31, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::greylisting(2)).await;
    let id = house.submit(&["bo@lab.example", "cy@lab.example"], "one").await;
    assert_eq!(house.settled(&id).await, ["delivered", "delivered"]);
    assert!(house.rows(&id).iter().all(|row| row["attempts"] == 3));
    assert_eq!(lab.took().iter().map(|delivery| delivery.recipients.len()).sum::<usize>(), 2);
    assert_eq!(lab.mx.memory().duplicates(), 0);
    assert!(house.told(&id).contains("greylisted"));
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_comes_back_with_its_codes_and_without_the_subject() {
    let house = House::open(32, "").await;
    let refusal = [Override::reply(Step::EndOfData, 554, "5.7.1 we saw: Knee results of Maribel")];
    let lab = house.partner(11, "lab.example", Behaviour::but(&refusal)).await;
    let mut client = house.client().await;
    let mut mail = letter(ANN, &["bo@lab.example"], "Knee results");
    let head = "Message-ID: <knee-7@clinic.example>\r\nDate: Tue, 24 Nov 2026 04:00:00 +0000\r\n";
    mail.content = [head.as_bytes(), &mail.content].concat();
    let id = send(&mut client, &mail).await;
    assert_eq!(house.settled(&id).await, ["bounced"]);
    let notice = house.notice("bo@lab.example").await;
    assert_eq!((notice.sender.as_str(), &*notice.recipients), ("", &[ANN.to_owned()][..]));
    let report = text(&notice);
    assert_eq!(status(&report), ("failed", "5.7.1", "smtp; 554 5.7.1"));
    for field in [
        "Content-Type: multipart/report; report-type=delivery-status;",
        "Content-Type: message/delivery-status",
        "Auto-Submitted: auto-",
        "Reporting-MTA: dns; relay.clinic.example\r\n",
        "Arrival-Date: ",
        "Final-Recipient: rfc822; bo@lab.example\r\n",
        "Last-Attempt-Date: ",
        "Message-ID: <knee-7@clinic.example>\r\n",
        "Date: Tue, 24 Nov 2026 04:00:00 +0000\r\n",
    ] {
        assert!(report.contains(field), "{field} is missing in {report}");
    }
    assert!(report.contains(&id));
    for secret in ["Knee", "Maribel", "noon"] {
        assert!(!report.contains(secret), "{secret} in {report}");
    }
    assert!(!house.daemon.logs().unwrap().contains("Maribel"));
    assert!(lab.took().is_empty());
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_hangs_up_or_says_4xx_at_any_step_gets_the_message_later() {
    let house = House::open(33, "").await;
    let mut waiting = Vec::new();
    for (index, step) in STEPS.into_iter().enumerate() {
        let octet = 11 + 2 * u8::try_from(index).unwrap();
        let acts =
            [Override::act(step, Act::Disconnect).first(1), Override::reply(step, 421, "4.3.2 closing").first(1)];
        for (more, act) in acts.into_iter().enumerate() {
            let domain = format!("s{index}-{more}.example");
            let partner = house.partner(octet + u8::try_from(more).unwrap(), &domain, Behaviour::but(&[act])).await;
            let id = house.submit(&[&format!("bo@{domain}")], &domain).await;
            waiting.push((partner, id, step));
        }
    }
    for (partner, id, step) in waiting {
        assert_eq!(house.settled(&id).await, ["delivered"], "{step:?}");
        assert_eq!(partner.took().len(), 1, "{step:?}");
        partner.crossed_cleanly();
    }
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_stops_answering_at_any_step_is_given_up_and_tried_again() {
    let house = House::open(34, "[delivery]\ncommand = \"1s\"\ndata = \"1s\"").await;
    let mut waiting = Vec::new();
    for (index, step) in STEPS.into_iter().enumerate() {
        let domain = format!("s{index}.example");
        let behaviour = Behaviour::but(&[Override::act(step, Act::Hang).first(1)]);
        let partner = house.partner(11 + u8::try_from(index).unwrap(), &domain, behaviour).await;
        waiting.push((partner, house.submit(&[&format!("bo@{domain}")], &domain).await, step));
    }
    for (partner, id, step) in waiting {
        assert_eq!(house.settled(&id).await, ["delivered"], "{step:?}");
        assert_eq!(partner.took().len(), 1, "{step:?}");
        partner.crossed_cleanly();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_got_lost_costs_a_second_copy_and_no_message() {
    let house = House::open(35, "").await;
    let lost = Override::act(Step::EndOfData, Act::TakeThenDisconnect).first(1);
    let lab = house.partner(11, "lab.example", Behaviour::but(&[lost])).await;
    let id = house.submit(&["bo@lab.example"], "one").await;
    assert_eq!(house.settled(&id).await, ["delivered"]);
    assert_eq!((lab.took().len(), lab.mx.memory().duplicates()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_for_whom_a_message_is_too_large_is_not_sent_it() {
    let house = House::open(36, "").await;
    let announced =
        Behaviour { extensions: [Extension::Size(100), Extension::EightBitMime].into(), ..Behaviour::default() };
    let small = house.partner(11, "small.example", announced).await;
    let refusing = [Override::reply(Step::EndOfData, 552, "5.3.4 too much")];
    let full = house.partner(12, "full.example", Behaviour::but(&refusing)).await;
    for (partner, domain) in [(&small, "small.example"), (&full, "full.example")] {
        let id = house.submit(&[&format!("bo@{domain}")], domain).await;
        assert_eq!(house.settled(&id).await, ["held:methods_exhausted"], "{domain}");
        assert!(partner.took().is_empty());
        house.notice(&id).await;
        partner.crossed_cleanly();
    }
    assert!(!small.mx.memory().commands.iter().any(|(_, line)| line.starts_with("MAIL")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_without_pipelining_is_asked_step_by_step() {
    let house = House::open(37, "").await;
    let few = Behaviour { extensions: [Extension::EightBitMime].into(), ..Behaviour::default() };
    let plain = house.partner(11, "plain.example", few).await;
    let id = house.submit(&["bo@plain.example", "cy@plain.example"], "one").await;
    assert_eq!(house.settled(&id).await, ["delivered", "delivered"]);
    assert_eq!(plain.took()[0].recipients.len(), 2);
    plain.crossed_cleanly();
}
