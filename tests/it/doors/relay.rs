//! A relay listener: mail without a login from the networks of a client, from nobody else, and never in clear.

use serde_json::Value;

use super::{clear, clinic, doors, ehr, known, secured, source};
use crate::clinic::{Clinic, PASSWORD, letter, mail, queued};
use crate::world::client::Client;

const LAB: &str = "results@lab.example";

fn config(door: std::net::SocketAddr, clients: &str) -> String {
    format!("[[listener]]\nrole = \"relay\"\nbind = \"{door}\"\n{clients}")
}

async fn sent(client: &mut Client, subject: &str) -> String {
    let replies = client.send(&mail(&[LAB], &letter(subject, "See you on Monday."))).await.unwrap();
    queued(replies.last())
}

fn origin(clinic: &Clinic, id: &str) -> Value {
    clinic.story(id)["record"]["origin"]["submitted"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_network_relays_without_a_login_and_a_stranger_does_not() {
    let [door, _] = doors();
    let clients = [ehr(), known("m365", "\"127.34.210.0/24\"", ""), known("crm", "\"127.34.210.9\"", "")].concat();
    let clinic = clinic(&config(door, &clients)).await;
    let mut server = clear(source(210, 5), door).await;
    let told = server.command("MAIL FROM:<ann@clinic.example>").await.unwrap().text();
    assert!(told.starts_with("530 5.7.0 STARTTLS first"), "{told}");
    let mut server = secured(source(210, 5), door).await;
    let id = sent(&mut server, "first").await;
    let (client, proof) = (origin(&clinic, &id)["client"].clone(), origin(&clinic, &id)["proof"].clone());
    assert_eq!((client.as_str(), proof.as_str()), (Some("m365"), Some("network")));
    let delivered = clinic.taken("lab.example", 1).await.remove(0).content;
    let trace = String::from_utf8_lossy(&delivered).lines().take(2).collect::<String>();
    assert!(trace.contains("with ESMTPS id"), "known by its network is not authenticated (RFC 3848): {trace}");

    // What it may not write itself, it may not pass on.
    let foreign = "From: eve@press.example\r\nTo: undisclosed:;\r\nSubject: x\r\n\r\nx\r\n";
    let told = server.send(&mail(&[LAB], foreign.as_bytes())).await.unwrap().last().text();
    assert!(told.starts_with("553 5.7.1"), "{told}");
    let told = server.command("MAIL FROM:<eve@press.example>").await.unwrap().text();
    assert!(told.starts_with("553 5.7.1"), "{told}");

    // Of two networks the narrower one says who it is.
    let id = sent(&mut secured(source(210, 9), door).await, "second").await;
    assert_eq!(origin(&clinic, &id)["client"], "crm");

    let mut stranger = secured(source(211, 5), door).await;
    for line in ["MAIL FROM:<ann@clinic.example>", "MAIL FROM:<>", "RCPT TO:<results@lab.example>", "DATA"] {
        let told = stranger.command(line).await.unwrap().text();
        assert!(told.starts_with("550 5.7.1 your address may not send here"), "{line}: {told}");
    }
    assert_eq!(stranger.login("ehr", PASSWORD).await.unwrap().code, 235);
    let id = sent(&mut stranger, "third").await;
    assert_eq!(origin(&clinic, &id)["proof"], "password");
    clinic.taken("lab.example", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_rates_and_belief_in_headers_come_into_force_with_a_reload() {
    let [door, _] = doors();
    let policy = "[policy]\nsecure = [\"tls:authenticated\"]\n";
    let server = |networks: &str, more: &str| config(door, &[policy, &known("m365", networks, more)].concat());
    let mut clinic = clinic(&server("\"127.34.212.0/24\"", "")).await;
    let marked = [b"X-Sealpost-Secure: yes\r\n", &letter("marked", "See you on Monday.")[..]].concat();
    let mut open = secured(source(212, 5), door).await;
    let id = queued(open.send(&mail(&[LAB], &marked)).await.unwrap().last());
    clinic.stands(&id, &[("lab.example", "delivered")]).await;
    let delivered = String::from_utf8(clinic.taken("lab.example", 1).await.remove(0).content).unwrap();
    assert!(!delivered.to_lowercase().contains("x-sealpost"), "it is taken off whether it is believed or not");
    let remarks = clinic.story(&id)["record"]["recipients"][0]["remarks"].to_string();
    assert!(remarks.contains("not believed"), "{remarks}");

    clinic.daemon.configure(&server("\"127.34.212.0/24\"", "trust_headers = true\nrate = \"2/1h\"")).unwrap();
    clinic.daemon.reload().unwrap();
    let mut open = secured(source(212, 5), door).await;
    let id = queued(open.send(&mail(&[LAB], &marked)).await.unwrap().last());
    let methods = clinic.story(&id)["record"]["recipients"][0]["action"]["deliver"]["methods"].to_string();
    assert_eq!(methods, "[\"tls:authenticated\"]");
    sent(&mut open, "second").await;
    let told = open.send(&mail(&[LAB], &letter("third", "x"))).await.unwrap().last().text();
    assert!(told.starts_with("450 4.7.0 this client may send messages: 2 in 1h; try again in "), "{told}");
    let wait: u64 = told.split(' ').nth_back(1).unwrap().parse().unwrap();
    assert!((1700..=1801).contains(&wait), "{told}");

    clinic.daemon.configure(&server("\"127.34.213.0/24\"", "")).unwrap();
    clinic.daemon.reload().unwrap();
    let mut gone = secured(source(212, 5), door).await;
    assert_eq!(gone.command("MAIL FROM:<ann@clinic.example>").await.unwrap().code, 550);
    sent(&mut secured(source(213, 5), door).await, "fourth").await;
}
