//! What waits can be seen, held, let go, tried again and taken out, one message or all of a client.

use crate::house::{House, SOON, standing};
use crate::world::behaviour::{Behaviour, Override, Step};
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_moves_what_waits_and_the_log_names_the_operator() {
    let house = House::open(62, "[queue]\nretry = [\"1h\"]").await;
    let busy = Behaviour::but(&[Override::reply(Step::Mail, 451, "4.3.2 later")]);
    let lab = house.partner(11, "lab.example", busy).await;
    let mut ids = Vec::new();
    for subject in ["one", "two", "three"] {
        let id = house.submit(&["bo@lab.example"], subject).await;
        house.tried(&id, 1).await;
        ids.push(id);
    }
    let step = |arguments: &[&str]| {
        let row = house.daemon.json(&[&["queue"], arguments].concat()).unwrap();
        row["moved"].as_u64().unwrap()
    };
    let text = |arguments: &[&str]| house.daemon.run(&[&["queue"], arguments].concat()).unwrap().good().unwrap();
    let list = text(&["list"]);
    assert!(ids.iter().all(|id| list.contains(id)) && list.contains("lab.example"), "{list}");
    assert!(!list.contains("bo@"), "an address: {list}");
    assert!(text(&["list", "--client", "nobody"]).contains("Nothing waits."));
    assert_eq!(text(&["list", "--limit", "1"]).lines().count(), 2);
    assert!(text(&["show", &ids[0]]).contains("after 1 attempt\n"));

    assert_eq!(step(&["hold", &ids[0]]), 1);
    assert_eq!(standing(&house.rows(&ids[0])[0]), "held:operator");
    house.notice(&ids[0]).await;
    assert!(text(&["show", &ids[0]]).contains("held by an operator"));
    // What is held is not tried again by a retry, and can be let go once.
    assert_eq!(house.daemon.run(&["queue", "retry", &ids[0]]).unwrap().status.code(), Some(1));
    lab.mx.behave(Behaviour::default()).unwrap();
    assert_eq!(step(&["release", &ids[0]]), 1);
    assert_eq!(house.settled(&ids[0]).await, ["delivered"]);
    assert_eq!(house.daemon.run(&["queue", "release", &ids[0]]).unwrap().status.code(), Some(1));

    // All of a client since a while ago; nothing is that young.
    assert_eq!(
        house.daemon.run(&["queue", "hold", "--client", "ehr", "--since", "0s"]).unwrap().status.code(),
        Some(1)
    );
    assert_eq!(step(&["hold", "--client", "ehr", "--since", "1h"]), 2);
    assert_eq!(step(&["release", "--client", "ehr", "--since", "2020-01-01T00:00:00Z"]), 2);
    for id in &ids[1..] {
        assert_eq!(house.settled(id).await, ["delivered"]);
    }
    lab.mx.behave(Behaviour::but(&[Override::reply(Step::Mail, 451, "4.3.2 later")])).unwrap();
    let last = house.submit(&["bo@lab.example", "cy@lab.example"], "four").await;
    let tried = || house.rows(&last).iter().all(|row| row["attempts"] == 1).then_some(());
    until("both attempts", SOON, tried).await.unwrap();
    assert!(text(&["cancel", &last]).contains("2 recipients were cancelled."));
    assert_eq!(house.settled(&last).await, ["cancelled", "cancelled"]);
    let count = house.daemon.json(&["queue", "count"]).unwrap();
    assert_eq!((&count["ended"]["cancelled"], &count["balanced"]), (&2.into(), &true.into()));
    assert!(text(&["count"]).contains("2 cancelled"));

    let events = house.daemon.json(&["audit", "list", "--message", &last]).unwrap();
    let moves: Vec<_> =
        events.as_array().unwrap().iter().filter(|row| row["event"].to_string().contains("cancelled")).collect();
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    assert!(moves.len() == 2 && moves.iter().all(|row| row["actor"].to_string().contains(&user)), "{events}");
    house.audited();
}
