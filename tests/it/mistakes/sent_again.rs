//! A program sends the same again, and one message after another to the same recipient: the first goes, the rest is held.

use super::write;
use crate::house::House;
use crate::world::behaviour::Behaviour;

const CONFIG: &str = "[[policy.rule]]\nname = \"By TLS\"\ndeliver = [\"tls:valid\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_held_also_after_a_restart_and_so_is_a_burst() {
    scenario(184, "").await;
}

pub(super) async fn scenario(net: u8, more: &str) {
    let mut house = House::furnish(net, &format!("{CONFIG}{more}")).await;
    let text = std::fs::read_to_string(&house.daemon.config).unwrap();
    let name = "name = \"ehr\"\n";
    assert!(text.contains(name), "{text}");
    let care = format!("{name}duplicates = \"hold\"\nbursts = \"hold\"\nburst_over = 3\n");
    std::fs::write(&house.daemon.config, text.replace(name, &care)).unwrap();
    house.daemon.start().unwrap();
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    let to = ["bo@lab.example"];
    let reminder = |number: u32, day: &str| {
        format!("Message-ID: <{number}@clinic.example>\nTo: bo@lab.example\nSubject: Reminder\n\nSee you on {day}.")
    };
    let first = write(&house, &to, &reminder(1, "Monday")).await;
    assert_eq!(house.settled(&first).await, ["delivered"]);
    house.daemon.stop().unwrap();
    house.daemon.start().unwrap();
    let copy = write(&house, &to, &reminder(2, "Monday")).await;
    assert_eq!(house.settled(&copy).await, ["held:policy"]);
    let told = house.told(&copy).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("guard: sent twice") && told.contains(&format!("as {first}")), "{told}");
    let third = write(&house, &to, &reminder(3, "Tuesday")).await;
    assert_eq!(house.settled(&third).await, ["delivered"]);
    let fourth = write(&house, &to, &reminder(4, "Wednesday")).await;
    assert_eq!(house.settled(&fourth).await, ["held:policy"]);
    assert!(house.told(&fourth).contains("guard: burst"), "{}", house.told(&fourth));
    // To another recipient it is neither.
    let other = write(&house, &["cy@lab.example"], &reminder(5, "Monday")).await;
    assert_eq!(house.settled(&other).await, ["delivered"]);
    assert_eq!(lab.took().len(), 3);
    // Of many that come in at the same instant, one goes.
    let text = reminder(6, "Thursday").replace("bo@", "di@");
    let again = || write(&house, &["di@lab.example"], &text);
    let copies = tokio::join!(again(), again(), again(), again(), again());
    let mut ends = Vec::new();
    for copy in <[String; 5]>::from(copies) {
        ends.extend(house.settled(&copy).await);
    }
    ends.sort_unstable();
    let held = "held:policy";
    assert_eq!(ends, ["delivered", held, held, held, held]);
    house.audited();
}
