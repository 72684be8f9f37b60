//! Connections are kept and used again for what they proved, and a dead destination delays nobody else.

use std::time::{Duration, Instant};

use crate::house::{ANN, House, SOON, letter, send};
use crate::world::behaviour::{Act, Behaviour, Override, Step};
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_messages() {
    let house = House::open(50, "[delivery]\nconnections_per_destination = 1\nidle = \"30s\"").await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    let mut client = house.client().await;
    for number in 0..30 {
        send(&mut client, &letter(ANN, &["bo@lab.example"], &format!("n{number}"))).await;
    }
    lab.mx.wait_for(30, SOON).await.unwrap();
    let memory = lab.mx.memory();
    assert_eq!((memory.connections, memory.tags().len(), memory.duplicates()), (1, 30, 0));
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_after_its_number_of_messages_and_when_it_was_idle() {
    let more = "[delivery]\nconnections_per_destination = 1\nmessages_per_connection = 5\nidle = \"1s\"";
    let house = House::open(51, more).await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    let mut client = house.client().await;
    for number in 0..10 {
        send(&mut client, &letter(ANN, &["bo@lab.example"], &format!("n{number}"))).await;
    }
    lab.mx.wait_for(10, SOON).await.unwrap();
    assert_eq!(lab.mx.memory().connections, 2);
    let gone = || (lab.mx.memory().open == 0).then_some(());
    until("the last connection's end", SOON, gone).await.unwrap();
    let quits = lab.mx.memory().commands.iter().filter(|(_, line)| line == "QUIT").count();
    assert_eq!(quits, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_only_its_level_its_identity_and_its_config() {
    let policy = "[[policy.rule]]\nname = \"any TLS\"\nwhen = { recipient = [\"*@any.example\"] }\n\
                  deliver = [\"tls:encrypted\"]\n[delivery]\nidle = \"30s\"";
    let mut house = House::open(52, policy).await;
    let lab = house.host(11, "mx.lab.example", Behaviour::default()).await;
    house.mx("one.example", &[(10, "mx.lab.example")]);
    house.mx("two.example", &[(10, "mx.lab.example")]);
    house.mx("any.example", &[(10, "mx.lab.example")]);
    let connections = || lab.mx.memory().connections;
    for (domain, so_far) in [("one.example", 1), ("two.example", 1), ("any.example", 2), ("one.example", 2)] {
        let id = house.submit(&[&format!("bo@{domain}")], domain).await;
        assert_eq!(house.settled(&id).await, ["delivered"]);
        assert_eq!(connections(), so_far, "{domain}");
    }
    // The same address under another name is another identity.
    let host = "[[route]]\ndomains = [\"named.example\"]\nhost = \"127.34.52.11\"\nname = \"other.lab.example\"\n\
                onward = \"final\"";
    house.daemon.configure(host).unwrap();
    house.daemon.reload().unwrap();
    let named = house.submit(&["bo@named.example"], "named").await;
    assert_eq!(house.settled(&named).await, ["held:methods_exhausted"]);
    assert!(house.told(&named).contains("does not carry the name"));
    let before = connections();
    // A new config begins with new connections.
    let id = house.submit(&["bo@one.example"], "again").await;
    assert_eq!((house.settled(&id).await, connections()), (vec!["delivered".to_owned()], before + 1));
    lab.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_died_costs_nothing_but_a_new_one() {
    let house = House::open(53, "[delivery]\nidle = \"30s\"\n[queue]\nretry = [\"1h\"]").await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    assert_eq!(house.settled(&house.submit(&["bo@lab.example"], "one").await).await, ["delivered"]);
    for act in [Act::Disconnect, Act::Reply(421, "4.3.2 idle for too long".to_owned())] {
        lab.mx.behave(Behaviour::but(&[Override::act(Step::Mail, act).first(1)])).unwrap();
        let id = house.submit(&["bo@lab.example"], "again").await;
        assert_eq!(house.settled(&id).await, ["delivered"]);
        assert_eq!(house.rows(&id)[0]["attempts"], 1);
    }
    assert_eq!(lab.mx.memory().connections, 3);
}

/// Hundreds wait for destinations that refuse, say nothing, or hang in the middle; the live one must not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_destination_never_delays_a_live_one() {
    const WAITING: usize = 100;
    let house = House::open(54, "[queue]\nretry = [\"30s\"]\nexpire = \"1h\"").await;
    let hanging = Behaviour::but(&[Override::act(Step::Banner, Act::Hang)]);
    let silent = house.partner(11, "silent.example", hanging).await;
    let stuck = house.partner(12, "stuck.example", Behaviour::but(&[Override::act(Step::Data, Act::Hang)])).await;
    house.dns.mail_domain("refusing.example", "mx.refusing.example", house.address(13));
    let live = house.partner(14, "live.example", Behaviour::default()).await;
    let mut client = house.client().await;
    let begun = Instant::now();
    for number in 0..WAITING {
        for domain in ["silent", "stuck", "refusing"] {
            send(&mut client, &letter(ANN, &[&format!("bo@{domain}.example")], &format!("{domain}{number}"))).await;
        }
    }
    until("both to be dialled", SOON, || (silent.mx.memory().open > 0 && stuck.mx.memory().open > 0).then_some(()))
        .await
        .unwrap();
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let start = Instant::now();
        send(&mut client, &letter(ANN, &["bo@live.example"], &format!("live{number}"))).await;
        live.mx.wait_for(number + 1, SOON).await.unwrap();
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    // Whoever never answers is asked by one connection at a time, each for as long as an answer may take.
    let asked = 1 + begun.elapsed().as_secs() / 5;
    assert!(silent.mx.memory().connections as u64 <= asked, "{} > {asked}", silent.mx.memory().connections);
    let count = house.daemon.json(&["queue", "count"]).unwrap();
    assert!(count["queued"].as_u64().unwrap() >= 250, "{count}");
    for partner in [&silent, &stuck, &live] {
        partner.crossed_cleanly();
    }
}
