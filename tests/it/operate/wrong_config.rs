//! A wrong config is refused whole: every mistake with its line, its key, and the nearest key that there is.

use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn serve_and_check_name_every_mistake_at_once() {
    let mut house = House::furnish(65, "").await;
    house
        .daemon
        .configure("[delivery]\nconect = \"3s\"\n[queue]\nexpire = \"soon\"\n[sever]\nhostname = \"x\"")
        .unwrap();
    let text = std::fs::read_to_string(&house.daemon.config).unwrap();
    let line = |words: &str| 1 + text.lines().position(|line| line.starts_with(words)).unwrap();
    for command in ["serve", "check"] {
        let printed = house.daemon.run(&[command]).unwrap();
        assert_eq!(printed.status.code(), Some(78), "{}", printed.err);
        for (at, key, words) in [
            (line("conect"), "delivery.conect", "connect"),
            (line("expire ="), "queue.expire", "4h"),
            (line("[sever]"), "sever", "server"),
        ] {
            let told = printed.err.lines().find(|told| told.contains(key)).unwrap_or_else(|| panic!("{}", printed.err));
            assert!(told.contains(&format!("line {at}:")), "line {at}: {told}");
            assert!(told.contains(words) || key == "queue.expire", "{told}");
        }
        assert!(printed.err.contains("3 mistakes"), "{}", printed.err);
    }
    assert!(house.daemon.start().is_err());
    // For programs, each mistake is a row with its line and its key.
    let printed = house.daemon.run(&["check", "--json"]).unwrap();
    assert_eq!(printed.status.code(), Some(78));
    let rows: Vec<serde_json::Value> = printed.out.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(rows.len(), 3, "{}", printed.out);
    assert_eq!((&rows[0]["line"], &rows[0]["key"]), (&line("conect").into(), &"delivery.conect".into()));
    assert!(rows[0]["mistake"].as_str().unwrap().contains("connect"), "{}", rows[0]);
}
