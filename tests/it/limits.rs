//! Each limit has a name in the config and a reply of its own; what is just within it goes through.

#![cfg(test)]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::clinic::{Clinic, SOON, behind_trace, letter, mail, queued};
use crate::world::behaviour::Behaviour;
use crate::world::client::Client;

const LAB: &str = "results@lab.example";

async fn last(client: &mut Client, content: &[u8]) -> String {
    client.send(&mail(&[LAB], content)).await.unwrap().last().text()
}

fn body(octets: usize) -> Vec<u8> {
    let mut content = letter("size", "x");
    while content.len() + 2 < octets {
        let line = (octets - content.len() - 2).min(70);
        content.extend(std::iter::repeat_n(b'x', line));
        content.extend_from_slice(b"\r\n");
    }
    content.resize(octets - 2, b'x');
    content.extend_from_slice(b"\r\n");
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_a_limit_is_refused_with_the_name_of_the_limit_and_the_next_one_taken() {
    let config =
        "[limits]\nmessage_bytes = \"64KiB\"\nheader_bytes = \"4KiB\"\nline_bytes = \"2KiB\"\nrecipients = 3\n";
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], config).await;
    let mut client = clinic.login("ehr").await;
    let declared = client.command("MAIL FROM:<ann@clinic.example> SIZE=65537").await.unwrap().text();
    assert!(declared.starts_with("552 5.3.4 the message is over the limit of 65536 octets"), "{declared}");
    let told = last(&mut client, &body(65_537)).await;
    assert!(told.starts_with("552 5.3.4 the message is over the size limit"), "{told}");
    let with_header =
        |octets: usize| [b"X-Pad: ", "x ".repeat(octets / 2).as_bytes(), b"\r\n", &letter("header", "x")].concat();
    let folded = format!("X-Pad: {}\r\n", "x\r\n ".repeat(1100));
    let told = last(&mut client, &[folded.as_bytes(), &letter("header", "x")].concat()).await;
    assert!(told.starts_with("552 5.3.4 the header is over its size limit"), "{told}");
    for line in [with_header(2048), letter("line", &"x".repeat(2047))] {
        let told = last(&mut client, &line).await;
        assert!(told.starts_with("554 5.6.0 a line of the message is over the length limit"), "{told}");
    }
    // To the octet, each of them is a limit and not the first thing over it.
    let within = [body(65_536), letter("line", &"x".repeat(2046)), with_header(1800)];
    for content in &within {
        queued(&client.send(&mail(&[LAB], content)).await.unwrap().last().clone());
    }
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for delivery in clinic.taken("lab.example", within.len()).await {
        taken.push(behind_trace(&delivery.content).to_vec());
    }
    assert!(within.iter().all(|content| taken.contains(content)));

    let to = ["a@lab.example", "b@lab.example", "c@lab.example", "d@lab.example"];
    let replies = client.send(&mail(&to, &letter("many", "x"))).await.unwrap();
    let fourth = replies.recipients[3].text();
    assert!(fourth.starts_with("452 4.5.3 the message has as many recipients as one may"), "{fourth}");
    assert!(replies.accepted(), "those that were taken get it");
    clinic.taken("lab.example", within.len() + 1).await;
    let reached: Vec<String> =
        clinic.partner("lab.example").deliveries().into_iter().flat_map(|d| d.recipients).collect();
    assert!(reached.contains(&to[2].to_owned()) && !reached.contains(&to[3].to_owned()), "{reached:?}");
}

/// What a connection is told last, behind the given lines, when nothing more is said.
async fn parting(mut client: Client, lines: &[&str]) -> String {
    for line in lines {
        client.command(line).await.unwrap();
    }
    let told = timeout(SOON, client.reply()).await.unwrap().unwrap().text();
    assert!(client.closed().await, "{told}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_a_limit_is_told_which_and_closed() {
    let mut clinic = Clinic::open(&[("lab.example", Behaviour::default())], "[limits]\nidle = \"1s\"\n").await;
    let told = parting(clinic.login("ehr").await, &[]).await;
    assert!(told.starts_with("421 4.4.2 no command came in time"), "{told}");
    let mut client = clinic.login("ehr").await;
    client.write(b"MAIL FROM:<").await.unwrap();
    assert!(parting(client, &[]).await.starts_with("421 4.4.2 no command"), "half a command is none");

    clinic.limits("session = \"2s\"\nidle = \"1m\"");
    let told = parting(clinic.login("ehr").await, &["NOOP"]).await;
    assert!(told.starts_with("421 4.4.2 the connection has lasted as long as one may"), "{told}");

    clinic.limits("session = \"1m\"\ndata = \"1s\"");
    let open = ["MAIL FROM:<ann@clinic.example>", "RCPT TO:<results@lab.example>", "DATA"];
    let told = parting(clinic.login("ehr").await, &open).await;
    assert!(told.starts_with("421 4.4.2 the message did not come in time"), "{told}");

    clinic.limits("data = \"1m\"\ncommand_bytes = \"1KiB\"");
    let mut client = clinic.login("ehr").await;
    client.write(format!("NOOP {}\r\n", "x".repeat(1016)).as_bytes()).await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 250, "1024 octets with the line end");
    client.write(format!("NOOP {}\r\n", "x".repeat(1018)).as_bytes()).await.unwrap();
    let told = parting(client, &[]).await;
    assert!(told.starts_with("500 5.5.6 the line is too long"), "{told}");

    clinic.limits("messages_per_connection = 2\nerrors_per_connection = 2");
    let mut client = clinic.login("ehr").await;
    for _ in 0..2 {
        assert!(client.send(&mail(&[LAB], &letter("two", "x"))).await.unwrap().accepted());
    }
    client.write(b"MAIL FROM:<ann@clinic.example>\r\n").await.unwrap();
    let told = parting(client, &[]).await;
    assert!(told.starts_with("421 4.7.0 this connection has sent as many messages as one may"), "{told}");

    let mut client = clinic.login("ehr").await;
    for _ in 0..2 {
        assert_eq!(client.command("XYZZY").await.unwrap().code, 500);
    }
    client.write(b"XYZZY\r\n").await.unwrap();
    let told = parting(client, &[]).await;
    assert!(told.starts_with("421 4.7.0 too many errors"), "{told}");
}

/// Reads the first line of a connection that was made from an address.
async fn greeting(from: IpAddr, to: SocketAddr) -> (String, BufReader<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = BufReader::new(socket.connect(to).await.unwrap());
    let mut line = String::new();
    timeout(SOON, stream.read_line(&mut line)).await.unwrap().unwrap();
    (line, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_in_all_and_by_address_and_their_places_given_back() {
    let config = "[limits]\nconnections = 2\nconnections_per_address = 1\n";
    let clinic = Clinic::open(&[], config).await;
    let [one, two, three] = [1, 2, 3].map(|last| IpAddr::from([127, 32, 254, last]));
    let to = clinic.submission;
    let (first, held) = greeting(one, to).await;
    assert!(first.starts_with("220 "), "{first}");
    // Each one is told, however soon behind its arrival.
    for _ in 0..50 {
        let (told, _) = greeting(one, to).await;
        assert!(told.starts_with("421 4.7.0 too many connections from your address"), "{told}");
    }
    let (second, _held_too) = greeting(two, to).await;
    assert!(second.starts_with("220 "), "{second}");
    let (told, _) = greeting(three, to).await;
    assert!(told.starts_with("421 4.7.0 too many connections, try again later"), "{told}");
    drop(held);
    let end = Instant::now() + SOON;
    loop {
        let (told, _) = greeting(three, to).await;
        if told.starts_with("220 ") {
            return;
        }
        assert!(Instant::now() < end, "the place was not given back: {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
