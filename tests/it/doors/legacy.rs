//! A legacy listener: without TLS, for its own addresses only, until a day, and told of wherever anybody looks.

use super::{clear, clinic, doors, ehr, known, source};
use crate::clinic::{PASSWORD, letter, mail, queued};
use crate::world::client::Client;

const LAB: &str = "results@lab.example";

fn legacy(door: std::net::SocketAddr, until: &str) -> String {
    format!(
        "[[listener]]\nrole = \"legacy\"\nbind = \"{door}\"\nnetworks = [\"127.34.214.7\", \"127.34.214.8\"]\n\
         owner = \"the ward's IT\"\nreason = \"ward scanner\"\nuntil = \"{until}\"\n"
    )
}

async fn refusal(mut client: Client) -> String {
    assert!(client.closed().await);
    client.greeting.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_tls_sends_from_its_own_address_and_the_evidence_says_so() {
    let [door, over] = doors();
    let clients =
        [ehr().replace("senders", "networks = [\"127.34.214.8\"]\nsenders"), known("scanner", "\"127.34.214.7\"", "")];
    let config = [legacy(door, "2199-12-31"), legacy(over, "2020-01-01"), clients.concat()].concat();
    let clinic = clinic(&config).await;

    let mut scanner = clear(source(214, 7), door).await;
    assert!(!scanner.offers("STARTTLS"), "{:?}", scanner.extensions);
    assert_eq!(scanner.command("HELO 127.34.214.7").await.unwrap().code, 250);
    let first = queued(scanner.send(&mail(&[LAB], &letter("first", "A scan."))).await.unwrap().last());
    let delivered = clinic.taken("lab.example", 1).await.remove(0).content;
    let trace = String::from_utf8_lossy(&delivered).lines().take(2).collect::<String>();
    assert!(trace.contains("with SMTP id"), "{trace}");

    let mut device = clear(source(214, 8), door).await;
    assert_eq!(device.command("MAIL FROM:<ann@clinic.example>").await.unwrap().code, 530);
    assert_eq!(device.login("ehr", PASSWORD).await.unwrap().code, 235);
    let second = queued(device.send(&mail(&[LAB], &letter("second", "A scan."))).await.unwrap().last());
    let delivered = clinic.taken("lab.example", 2).await.remove(1).content;
    let trace = String::from_utf8_lossy(&delivered).lines().take(2).collect::<String>();
    assert!(trace.contains("with ESMTPA id"), "{trace}");

    let way = "without TLS through the legacy listener (owner the ward's IT, until 2199-12-31)";
    for id in [first, second] {
        let told = clinic.daemon.run(&["explain", &id]).unwrap().good().unwrap();
        assert!(told.contains(way), "{told}");
    }
    let log = clinic.daemon.run(&["audit", "export"]).unwrap().good().unwrap();
    assert_eq!(log.matches("in_clear").count(), 2, "{log}");

    let told = refusal(clear(source(214, 9), door).await).await;
    assert!(told.starts_with("554 5.7.1 your address may not connect here"), "{told}");
    let told = refusal(clear(source(214, 7), over).await).await;
    assert!(told.starts_with("554 5.7.1 nothing is taken here without TLS since 2020-01-02"), "{told}");
    clinic.logged("a self-check fails: its last day was 2020-01-01", 1).await;
    let told = clinic.daemon.run(&["check"]).unwrap().out;
    assert!(told.contains(&format!("FAIL  legacy listener {over}: its last day was 2020-01-01")), "{told}");
    assert!(told.contains("-> take it out, or have the ward's IT answer for another day"), "{told}");
    assert!(!told.contains("before 2020-01-01"), "a day that is over is no remedy: {told}");
    assert!(told.contains(&format!("warn  legacy listener {door}: it stands open without TLS until 2199")), "{told}");
}
