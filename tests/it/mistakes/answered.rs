//! An answer to somebody who had no part in the message that it answers waits; one among those who had does not.

use super::{CHART, warned, write};
use crate::house::House;
use crate::world::behaviour::Behaviour;

const CONFIG: &str = r#"
[[policy.rule]]
name = "By TLS"
deliver = ["tls:valid"]
[policy.guard]
delay = "2s"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_beyond_those_who_had_a_part_waits_and_its_sender_is_told() {
    scenario(183, "").await;
}

pub(super) async fn scenario(net: u8, more: &str) {
    let house = House::open(net, &format!("{CONFIG}{more}")).await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    let (bo, cy) = ("bo@lab.example", "cy@lab.example");
    let first = write(&house, &[bo], &format!("Message-ID: <1@clinic.example>\nTo: {bo}\n\n{CHART}")).await;
    assert_eq!(house.settled(&first).await, ["delivered"]);

    let answer = format!("In-Reply-To: <1@clinic.example>\nTo: {bo}\n\n{CHART} Again.");
    let among = write(&house, &[bo], &answer).await;
    assert_eq!(house.settled(&among).await, ["delivered"]);
    assert!(!house.told(&among).contains("waits"), "{}", house.told(&among));

    let beyond = write(&house, &[bo, cy], &answer.replace(&format!("To: {bo}"), &format!("To: {bo}, {cy}"))).await;
    let told = warned(&house, &beyond).await;
    assert!(told.contains("it answers a message in which this recipient at lab.example had no part"), "{told}");
    assert!(told.contains("Recipient 2, at lab.example: waits until"), "{told}");
    assert_eq!(house.settled(&beyond).await, ["delivered", "delivered"]);
    assert_eq!(lab.took().len(), 4);
    house.audited();
}
