//! Those whom a rule names are told once of a message that it matches, and nothing of what is in it.

use crate::house::{House, text};
use crate::world::behaviour::Behaviour;

const CONFIG: &str = r#"
[[policy.rule]]
name = "Health information to labs is looked at"
when = { recipient_domain = ["lab.example"] }
hold = "somebody looks"
[[policy.rule]]
name = "Compliance hears of labs"
when = { recipient_domain = ["lab.example"] }
notify = ["compliance@clinic.example"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_only_adds_tells_whom_it_names_once_and_nothing_of_the_message() {
    let house = House::open(189, CONFIG).await;
    let _lab = house.partner(11, "lab.example", Behaviour::default()).await;
    let id = house.submit(&["results@lab.example", "maribel@lab.example"], "Knee").await;
    let told = house.notice("Subject: A rule matched").await;
    assert_eq!(told.recipients, ["compliance@clinic.example"]);
    let words = text(&told).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "Rule: Compliance hears of labs (for 2 of 2 recipients)",
        "From the client: ehr",
        "Recipient 2, at lab.example: is held for somebody to look at (somebody looks)",
        &format!("sealpost explain {id}"),
    ] {
        assert!(words.contains(part), "{part}\n{words}");
    }
    assert!(!words.contains("maribel") && !words.contains("Knee"), "{words}");
    let explained = house.told(&id).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(explained.contains("sends a notice to those whom it names"), "{explained}");
    house.notice("Subject: Held").await;
    let all = || house.home.took().iter().filter(|one| text(one).contains("Subject: A rule matched")).count();
    assert_eq!(all(), 1);
    house.audited();
}
