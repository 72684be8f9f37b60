//! An address that may be a slip: held, kept waiting or let go, as the config says; after mail has reached it, it is known.

use super::{CHART, warned, write};
use crate::house::{ANN, House, text};
use crate::world::behaviour::Behaviour;

const CONFIG: &str = r#"
[[policy.rule]]
name = "By TLS"
deliver = ["tls:valid"]
[policy.guard]
look_alike = "hold"
first_time = "delay"
delay = "2s"
"#;
/// A chart to these recipients.
async fn chart(house: &House, to: &[&str]) -> String {
    write(house, to, &format!("To: {}\nSubject: Knee\n\n{CHART}", to.join(", "))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_to_a_domain_one_slip_away_is_held_and_its_sender_told_why() {
    scenario(182, "").await;
}

pub(super) async fn scenario(net: u8, more: &str) {
    let house = House::open(net, &format!("{CONFIG}{more}")).await;
    let practice = house.partner(11, "riverside-practice.example", Behaviour::default()).await;
    let slip = house.partner(12, "riverside-practise.example", Behaviour::default()).await;

    // A first message waits, so that it can be taken back; then the address is known, and the next goes at once.
    let first = chart(&house, &["bo@riverside-practice.example"]).await;
    let told = warned(&house, &first).await;
    assert!(
        told.contains("nothing of this client reached this address at riverside-practice.example before"),
        "{told}"
    );
    assert_eq!(house.settled(&first).await, ["delivered"]);
    for _ in 0..2 {
        let next = chart(&house, &["bo@riverside-practice.example"]).await;
        assert_eq!(house.settled(&next).await, ["delivered"]);
        assert!(!house.told(&next).contains("waits"), "{}", house.told(&next));
    }

    let slipped = chart(&house, &["bo@riverside-practise.example", "bo@riverside-practice.example"]).await;
    let told = warned(&house, &slipped).await;
    let words = "riverside-practise.example looks like riverside-practice.example, and is another domain";
    assert!(told.contains(words), "{told}");
    let held = house.rows(&slipped).iter().filter(|row| row["standing"]["state"] == "held").count();
    assert_eq!(held, 1, "only that recipient");
    assert!(slip.took().is_empty());
    assert!(house.told(&slipped).contains("guard: look-alike domain"), "{}", house.told(&slipped));
    // A person who knows better lets it go; from then on the domain is one of the client's.
    house.daemon.run(&["queue", "release", &slipped]).unwrap().good().unwrap();
    assert_eq!(house.settled(&slipped).await, ["delivered", "delivered"]);
    let known = chart(&house, &["ann@riverside-practise.example"]).await;
    assert_eq!(house.settled(&known).await, ["delivered"]);
    assert_eq!((practice.took().len(), slip.took().len()), (4, 2));
    // Of the hold the sender was told by the receipt, and the postmaster by the notice.
    let told = house.home.took().into_iter().filter(|told| text(told).contains("A message is held here"));
    let told: Vec<String> = told.flat_map(|told| told.recipients).collect();
    assert!(!told.is_empty() && !told.contains(&ANN.to_owned()), "{told:?}");
    house.audited();
}
