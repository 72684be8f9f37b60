//! REQUIRETLS (RFC 8689): only to hosts that promise TLS from there on, or back; the reports about it the same way first.

use crate::house::{ANN, House, Partner, ask, letter, text};
use crate::world::authority::Kind;
use crate::world::behaviour::{Behaviour, Extension, Override, Step, Tls};

const ASKED: &str = " REQUIRETLS";

fn promising() -> Behaviour {
    Behaviour::offering(&[Extension::RequireTls])
}

fn mails(partner: &Partner) -> Vec<String> {
    let commands = partner.mx.memory().commands;
    commands.into_iter().map(|(_, line)| line).filter(|line| line.starts_with("MAIL")).collect()
}

fn content(subject: &str) -> Vec<u8> {
    letter(ANN, &["bo@lab.example"], subject).content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_requires_tls_goes_to_the_host_that_promises_it() {
    let house = House::open(140, "").await;
    let first = house.host(11, "mx1.lab.example", Behaviour::default()).await;
    let second = house.host(12, "mx2.lab.example", promising()).await;
    house.mx("lab.example", &[(10, "mx1.lab.example"), (20, "mx2.lab.example")]);
    let id = ask(&house, ASKED, &[("bo@lab.example", "")], &content("required")).await;
    assert_eq!(house.settled(&id).await, ["delivered"]);
    assert!(first.took().is_empty() && mails(&first).is_empty(), "it heard nothing of the message");
    let mail = mails(&second).pop().unwrap();
    assert!(mail.ends_with(ASKED), "{mail}");
    let told = house.told(&id);
    assert!(told.contains("REQUIRETLS (only servers that promise TLS") && told.contains("on the whole way"), "{told}");
    // Without the mark the first host is good enough, also over the connection that the other message left.
    let plain = ask(&house, "", &[("bo@lab.example", "")], &content("plain")).await;
    assert_eq!(house.settled(&plain).await, ["delivered"]);
    assert_eq!((first.took().len(), first.mx.memory().connections), (1, 1));
    first.crossed_cleanly();
    second.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_promise_it_comes_back_at_once_and_the_report_asks_for_the_promise_first() {
    let house = House::open(141, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    house.home.mx.behave(promising()).unwrap();
    let id = ask(&house, ASKED, &[("bo@lab.example", "")], &content("required")).await;
    assert_eq!(house.settled(&id).await, ["undeliverable"]);
    let report = text(&house.notice("bo@lab.example").await);
    assert!(report.contains("Status: 5.7.30\r\n") && report.contains("REQUIRETLS"), "{report}");
    assert_eq!(mails(&house.home), [format!("MAIL FROM:<> SIZE={}{ASKED}", report.len())]);
    assert!(lab.took().is_empty() && mails(&lab).is_empty());
    assert!(house.told(&id).contains("does not offer REQUIRETLS"), "{}", house.told(&id));
    house.audited();
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_reaches_a_sender_whose_own_server_promises_nothing() {
    let house = House::open(142, "").await;
    let refusal = Override::reply(Step::Mail, 550, "5.7.30 not from here on");
    let lab = house.partner(11, "lab.example", Behaviour { overrides: vec![refusal], ..promising() }).await;
    let id = ask(&house, ASKED, &[("bo@lab.example", "")], &content("required")).await;
    assert_eq!(house.settled(&id).await, ["undeliverable"]);
    let report = text(&house.notice("bo@lab.example").await);
    assert!(report.contains("Status: 5.7.30\r\n") && !report.contains("noon"), "{report}");
    // It holds nothing of the message, and so may go without the mark (RFC 8689 §5).
    assert_eq!(mails(&house.home), [format!("MAIL FROM:<> SIZE={}", report.len())]);
    house.home.crossed_cleanly();
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_certificate_proves_nothing_promises_nothing_whatever_policy_allows() {
    let house = House::open(143, "[policy]\ndefault = [\"tls:encrypted\"]").await;
    let weak = Behaviour { tls: Tls::With(Kind::SelfSigned), ..promising() };
    let lab = house.partner(11, "lab.example", weak).await;
    let id = ask(&house, ASKED, &[("bo@lab.example", "")], &content("required")).await;
    assert_eq!(house.settled(&id).await, ["undeliverable"]);
    let report = text(&house.notice("bo@lab.example").await);
    assert!(report.contains("Status: 5.7.10\r\n"), "{report}");
    let plain = ask(&house, "", &[("bo@lab.example", "")], &content("plain")).await;
    assert_eq!(house.settled(&plain).await, ["delivered"]);
    assert_eq!(lab.took().len(), 1);
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_waives_tls_is_relayed_and_not_obeyed() {
    let house = House::open(144, "").await;
    let weak = house.partner(11, "weak.example", Behaviour::tls(Tls::With(Kind::SelfSigned))).await;
    let good = house.partner(12, "good.example", Behaviour::default()).await;
    let letter = [b"TLS-Required: No\r\n".as_slice(), &content("waived")].concat();
    let to = [("bo@weak.example", ""), ("bo@good.example", "")];
    let id = ask(&house, "", &to, &letter).await;
    let mut ends = house.settled(&id).await;
    ends.sort();
    assert_eq!(ends, ["delivered", "held:methods_exhausted"]);
    assert!(weak.took().is_empty() && text(&good.took()[0]).contains("\r\nTLS-Required: No\r\n"));
    assert!(house.told(&id).contains("TLS-Required: No"), "{}", house.told(&id));
    weak.crossed_cleanly();
}
