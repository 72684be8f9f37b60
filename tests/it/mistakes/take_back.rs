//! A rule has mail wait a moment, its sender gets a receipt, and takes it back by the link in it; or is too late.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::house::{House, SOON, text};
use crate::world::behaviour::Behaviour;
use crate::world::until;

fn config(net: u8) -> String {
    format!(
        r#"
[server]
public_url = "http://127.34.{net}.1:8026"
[http]
public_bind = "127.34.{net}.1:8026"
[[policy.rule]]
name = "A moment to think"
when = {{ recipient_domain = ["freemail.example"] }}
deliver = ["tls:valid"]
delay = "10m"
receipt = true
archive = "archive@clinic.example"
[[policy.rule]]
name = "A short moment"
when = {{ recipient_domain = ["lab.example"] }}
deliver = ["tls:valid"]
delay = "2s"
receipt = true
"#
    )
}

/// One request without a body; the status and everything behind it.
fn ask(house: &House, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(SocketAddr::new(house.address(1), 8026)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// What `explain` tells, in one line.
fn explained(house: &House, id: &str) -> String {
    house.told(id).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The receipt for a message, and the path of the link in it.
async fn receipt(house: &House, id: &str) -> (String, String) {
    let told = text(&house.notice(id).await);
    let start = format!("http://127.34.{}.1:8026", house.net);
    let link = told.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("no link: {told}"));
    (told.clone(), link.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_takes_a_message_back_and_only_the_button_does_it() {
    scenario(180, "").await;
}

pub(super) async fn scenario(net: u8, more: &str) {
    let house = House::open(net, &format!("{}{more}", config(net))).await;
    let freemail = house.partner(11, "freemail.example", Behaviour::default()).await;
    let id = house.submit(&["maribel@freemail.example"], "Knee").await;
    let (told, link) = receipt(&house, &id).await;
    assert!(told.contains("Subject: Your message waits a moment"), "{told}");
    assert!(told.contains("at freemail.example: waits until") && !told.contains("maribel") && !told.contains("Knee"));
    let list = house.daemon.run(&["queue", "list"]).unwrap().good().unwrap();
    assert!(list.contains("can be taken back until"), "{list}");
    assert!(explained(&house, &id).contains("Until then it can be taken back"), "{}", house.told(&id));

    // Programs that check mail follow its links, some with HEAD.
    for method in ["GET", "HEAD", "GET"] {
        let (status, page) = ask(&house, method, &link);
        assert_eq!(status, 200, "{page}");
        assert!(!page.contains("evil.example") && !page.contains("maribel") && !page.contains("Knee"), "{page}");
    }
    let (_, page) = ask(&house, "GET", &link);
    // Of the archive's copy, which waits as well, the sender knows nothing.
    assert!(page.contains("It has not been sent yet.") && !page.contains("clinic.example<"), "{page}");
    assert!(page.matches("<button").count() == 1 && page.contains("<form method=\"post\">"), "{page}");
    assert!(page.contains("referrer-policy: no-referrer") && page.contains("frame-ancestors 'none'"), "{page}");
    assert_eq!(house.rows(&id)[0]["standing"]["state"], "queued", "a look changed something");

    let (status, page) = ask(&house, "POST", &link);
    assert!(status == 200 && page.contains("The message was taken back"), "{status} {page}");
    assert_eq!(house.settled(&id).await, ["cancelled", "cancelled"]);
    assert!(ask(&house, "POST", &link).1.contains("The message was taken back"), "twice is no mistake");
    let log = house.daemon.run(&["audit", "list", "--json", "--message", &id]).unwrap().good().unwrap();
    assert!(log.lines().any(|line| line.contains("\"cancelled\"") && line.contains("\"actor\":\"sender\"")), "{log}");
    assert!(explained(&house, &id).contains("the sender, by the link in the receipt, ended it"), "{}", house.told(&id));
    assert!(freemail.took().is_empty());
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_too_late_is_told_so() {
    let house = House::open(181, &config(181)).await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    let id = house.submit(&["results@lab.example"], "Knee").await;
    let (_, link) = receipt(&house, &id).await;
    assert_eq!(house.settled(&id).await, ["delivered"]);
    assert_eq!(lab.took().len(), 1);
    for method in ["GET", "POST"] {
        let (status, page) = ask(&house, method, &link);
        assert!(status == 409 && page.contains("It is too late") && page.contains("has been delivered"), "{page}");
        assert!(!page.contains("<button"), "{page}");
    }
    // Another message's ticket, and none at all.
    let other = house.submit(&["results@lab.example"], "Hip").await;
    for strange in [link.replace(&id, &other), format!("{link}x"), "/back/".to_owned(), "/".to_owned()] {
        let (status, page) = ask(&house, "POST", &strange);
        assert_eq!(status, 404, "{strange}: {page}");
    }
    assert_eq!(house.settled(&other).await, ["delivered"]);
    let asked = || (ask(&house, "GET", "/back/x").0 == 429).then_some(());
    until("the door that slows down whoever guesses", SOON, asked).await.unwrap();
    assert_eq!(ask(&house, "GET", &link).0, 409, "who has a ticket is not slowed down by others");
}
