//! Who may send: added, given another password, suspended, resumed and removed while the daemon runs.

use crate::house::House;
use crate::world::authority::credulous_client;
use crate::world::client::{Client, Entry};
use crate::world::daemon::HOSTNAME;

async fn login(house: &House, user: &str, password: &str) -> u16 {
    let entry = Entry::StartTls(credulous_client().unwrap(), HOSTNAME.to_owned());
    let mut client = Client::connect((house.address(1), 587).into(), &entry).await.unwrap();
    client.login(user, password).await.unwrap().code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_lives_from_add_to_remove_without_a_restart() {
    let house = House::open(63, "").await;
    let add = ["client", "add", "billing", "--profile", "openemr", "--login", "bill", "--sender", "b@clinic.example"];
    let added = house.daemon.json(&add).unwrap();
    let password = added["password"].as_str().unwrap().to_owned();
    assert_eq!((&added["login"], &added["done"]), (&"bill".into(), &"added".into()));
    assert_eq!(login(&house, "bill", &password).await, 235);
    assert_eq!(login(&house, "bill", "wrong-password-1").await, 535);
    let config = std::fs::read_to_string(&house.daemon.config).unwrap();
    assert!(config.contains("$argon2id$") && !config.contains(&password));

    let rows = house.daemon.json(&["client", "list"]).unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["client"] == "billing").unwrap().clone();
    assert_eq!((&row["profile"], &row["suspended"]), (&"openemr".into(), &false.into()));
    let text = house.daemon.run(&["client", "list"]).unwrap().good().unwrap();
    assert!(text.contains("CLIENT") && text.contains("b@clinic.example") && !text.contains("argon2id"), "{text}");

    let changed = house.daemon.json(&["client", "passwd", "billing"]).unwrap();
    let new = changed["password"].as_str().unwrap().to_owned();
    assert_eq!((login(&house, "bill", &password).await, login(&house, "bill", &new).await), (535, 235));

    house.daemon.run(&["client", "suspend", "billing"]).unwrap().good().unwrap();
    let refused = login(&house, "bill", &new).await;
    assert!((400..500).contains(&refused), "{refused}");
    assert_eq!(login(&house, &house.login.0, &house.login.1).await, 235);
    house.daemon.run(&["client", "resume", "billing"]).unwrap().good().unwrap();
    assert_eq!(login(&house, "bill", &new).await, 235);

    house.daemon.run(&["client", "remove", "billing"]).unwrap().good().unwrap();
    assert_eq!(login(&house, "bill", &new).await, 535);
    let rows = house.daemon.json(&["client", "list"]).unwrap();
    assert!(!rows.to_string().contains("billing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_suspended_a_client_and_changed_the_config_stands_in_the_log() {
    let house = House::open(76, "").await;
    for verb in ["suspend", "resume"] {
        house.daemon.run(&["client", verb, "ehr"]).unwrap().good().unwrap();
    }
    let rows = house.daemon.json(&["audit", "list"]).unwrap();
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    for (event, times) in [("client_suspended", 1), ("client_resumed", 1), ("config_loaded", 2)] {
        let of_operator = |row: &&serde_json::Value| {
            row["event"].to_string().contains(event) && row["actor"].to_string().contains(&user)
        };
        assert_eq!(rows.as_array().unwrap().iter().filter(of_operator).count(), times, "{event} in {rows}");
    }
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_the_daemon_cannot_take_is_told_to_whoever_adds_it() {
    let house = House::open(64, "").await;
    // A file that the config names is gone: nothing is wrong with the text, and nothing can be loaded.
    std::fs::remove_file(house.daemon.folder.join("tls/chain.pem")).unwrap();
    let printed = house.daemon.run(&["client", "add", "late"]).unwrap();
    assert_eq!(printed.status.code(), Some(78), "{}{}", printed.out, printed.err);
    assert!(printed.err.contains("chain.pem"), "{}", printed.err);
    assert!(house.daemon.logs().unwrap().contains("the old one stays in force"));
    assert_eq!(login(&house, &house.login.0, &house.login.1).await, 235);
    // A mistake in the text is told before anything is changed.
    let before = std::fs::read_to_string(&house.daemon.config).unwrap();
    std::fs::write(&house.daemon.config, before.replace("[queue]", "[queue]\nexpires = \"1h\"")).unwrap();
    let printed = house.daemon.run(&["client", "add", "later"]).unwrap();
    assert_eq!(printed.status.code(), Some(78));
    assert!(printed.err.contains("queue.expires") && printed.err.contains("expire"), "{}", printed.err);
    assert!(!std::fs::read_to_string(&house.daemon.config).unwrap().contains("\"later\""));
}
