//! Rules that never decide are named before anybody relies on them.

use crate::world::daemon::{Daemon, binary};

const RULES: &str = r#"
[policy]
default = ["tls:valid"]
[[policy.rule]]
name = "charts are looked at"
when = { recipient_domain = ["*.lab.example"], phi = true }
hold = "look first"
[[policy.rule]]
name = "charts to one lab"
when = { recipient_domain = ["a.lab.example"], phi = true }
deliver = ["tls:valid"]
[[policy.rule]]
name = "one person elsewhere"
when = { recipient = ["bo@lab.example"], recipient_domain = ["a.lab.example"] }
hold = "look first"
"#;

#[test]
fn rules_that_never_decide_are_named_and_why() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::init(&binary().unwrap(), &home.path().join("clinic")).unwrap();
    let told = daemon.run(&["policy", "check"]).unwrap().good().unwrap();
    assert!(told.contains("each of them can decide"), "{told}");
    daemon.configure(RULES).unwrap();
    let printed = daemon.run(&["policy", "check"]).unwrap();
    assert_eq!(printed.status.code(), Some(1), "{}", printed.err);
    for line in [
        "shadowed     \"charts to one lab\": \"charts are looked at\" covers all",
        "dead         \"one person elsewhere\": no recipient fits each of recipient",
        "3 rules, of which 2 never decide",
    ] {
        let told = printed.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(&line.split_whitespace().collect::<Vec<_>>().join(" ")), "{line}\n{told}");
    }
    let rows = daemon.run(&["policy", "check", "--json"]).unwrap().out;
    assert!(
        rows.contains(r#"{"by":["charts are looked at"],"found":"shadowed","rule":"charts to one lab"}"#),
        "{rows}"
    );
}
