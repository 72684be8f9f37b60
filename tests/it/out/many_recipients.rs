//! More recipients than a host takes at once: further transactions follow at once, not in a minute (RFC 9422, RFC 5321).

use crate::house::{House, Partner};
use crate::world::behaviour::{Behaviour, Extension, Override, Step};

const TO: [&str; 5] = ["a@lab.example", "b@lab.example", "c@lab.example", "d@lab.example", "e@lab.example"];
/// So that whoever is put off is not in time.
const SLOW: &str = "[queue]\nretry = [\"1h\"]\n[delivery]\nidle = \"30s\"";

fn sizes(partner: &Partner) -> Vec<usize> {
    partner.took().iter().map(|delivery| delivery.recipients.len()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_are_divided_as_the_host_announced() {
    let house = House::open(145, SLOW).await;
    let lab = house.partner(11, "lab.example", Behaviour::offering(&[Extension::Limits("RCPTMAX=2")])).await;
    let id = house.submit(&TO, "divided").await;
    assert_eq!(house.settled(&id).await, ["delivered"; 5]);
    assert_eq!((sizes(&lab), lab.mx.memory().connections), (vec![2, 2, 1], 1));
    assert_eq!(lab.mx.memory().duplicates(), 0);
    assert!(house.rows(&id).iter().all(|row| row["attempts"] == 1));
    house.audited();
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_after_as_many_messages_as_the_host_announced() {
    let house = House::open(146, SLOW).await;
    let limits = Extension::Limits("MAILMAX=2 RCPTMAX=1");
    let lab = house.partner(11, "lab.example", Behaviour::offering(&[limits])).await;
    let id = house.submit(&TO, "divided").await;
    assert_eq!(house.settled(&id).await, ["delivered"; 5]);
    assert_eq!(sizes(&lab), [1; 5]);
    let mut each = std::collections::BTreeMap::new();
    lab.took().iter().for_each(|delivery| *each.entry(delivery.connection).or_insert(0) += 1);
    assert_eq!(each.into_values().collect::<Vec<_>>(), [2, 2, 1]);
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_host_refuses_as_one_too_many_comes_in_the_next_transaction() {
    let house = House::open(147, SLOW).await;
    let full = ["d@lab.example", "e@lab.example"]
        .map(|recipient| Override::reply(Step::Rcpt, 452, "4.5.3 too many").to(recipient).first(1));
    let lab = house.partner(11, "lab.example", Behaviour::but(&full)).await;
    let id = house.submit(&TO, "full").await;
    assert_eq!(house.settled(&id).await, ["delivered"; 5]);
    assert_eq!((sizes(&lab), lab.mx.memory().connections), (vec![3, 2], 1));
    assert!(house.rows(&id).iter().all(|row| row["attempts"] == 1));
    lab.crossed_cleanly();
}
