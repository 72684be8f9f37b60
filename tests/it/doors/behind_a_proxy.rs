//! HAProxy in front: the client's address is what it says, in both versions of its protocol, with TLS behind it.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{clear, clinic, doors, ehr, known, secured, source};
use crate::clinic::{Clinic, PASSWORD, SOON, letter, mail, queued};
use crate::world::authority::credulous_client;
use crate::world::client::{Client, Entry};
use crate::world::daemon::HOSTNAME;
use crate::world::until;

const LAB: &str = "results@lab.example";
/// From where the proxy connects.
const PROXY: &str = "127.34.220.1";

/// An HAProxy of this test, ended by its process id.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Passes connections to each door on, as each line says.
async fn haproxy(clinic: &Clinic, ways: &[(SocketAddr, SocketAddr, &str)]) -> Proxy {
    let mut config =
        String::from("defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n");
    for (front, door, how) in ways {
        let port = front.port();
        writeln!(config, "listen p{port}\n bind {front}\n server s {door} {how} source {PROXY}").unwrap();
    }
    let file = clinic.file("haproxy.cfg", config.as_bytes());
    let log = std::fs::File::create(clinic.daemon.folder.join("haproxy.log")).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let proxy = Proxy(command.spawn().unwrap());
    for (front, ..) in ways {
        let stands = || std::net::TcpStream::connect(front).ok();
        until("the proxy listens", SOON, stands).await.unwrap();
    }
    proxy
}

fn origin(clinic: &Clinic, id: &str) -> (String, String) {
    let origin = clinic.story(id)["record"]["origin"]["submitted"].clone();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (word(&origin["address"]), word(&origin["arrival"]["proxy"]))
}

async fn sent(client: &mut Client) -> String {
    queued(client.send(&mail(&[LAB], &letter("proxied", "See you on Monday."))).await.unwrap().last())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_behind_the_proxy_is_the_one_that_counts() {
    let [(relay, tls), (first, second)] = [doors(), doors()].map(|[one, two]| (one, two));
    let [third, _] = doors();
    let config = format!(
        "[[listener]]\nrole = \"relay\"\nbind = \"{relay}\"\nproxy_from = [\"{PROXY}/32\"]\n\
         [[listener]]\nrole = \"submissions\"\nbind = \"{tls}\"\nproxy_from = [\"{PROXY}\"]\n\
         [limits]\nconnections_per_address = 2\n{}{}",
        ehr(),
        // The proxy's own address must make nobody known.
        known("m365", "\"127.34.221.0/24\", \"127.34.220.0/24\"", "")
    );
    let clinic = clinic(&config).await;
    let ways = [(first, relay, "send-proxy"), (second, relay, "send-proxy-v2"), (third, tls, "send-proxy-v2")];
    let _proxy = haproxy(&clinic, &ways).await;

    for (front, last) in [(first, 4), (second, 5)] {
        let id = sent(&mut secured(source(221, last), front).await).await;
        assert_eq!(origin(&clinic, &id), (source(221, last).to_string(), PROXY.to_owned()));
        let mut stranger = secured(source(222, last), front).await;
        assert_eq!(stranger.command("MAIL FROM:<ann@clinic.example>").await.unwrap().code, 550);
    }
    let implicit = Entry::Implicit(credulous_client().unwrap(), HOSTNAME.to_owned());
    let mut client = Client::connect_from(source(222, 7), third, &implicit).await.unwrap();
    assert_eq!(client.login("ehr", PASSWORD).await.unwrap().code, 235);
    let id = sent(&mut client).await;
    assert_eq!(origin(&clinic, &id), (source(222, 7).to_string(), PROXY.to_owned()));

    // The limit per address is the client's own: two of one, and another one still comes in.
    let _held = [clear(source(221, 9), first).await, clear(source(221, 9), second).await];
    assert_eq!(clear(source(221, 9), first).await.greeting.code, 421);
    assert_eq!(clear(source(221, 10), first).await.greeting.code, 220);

    // Without a proxy, the same door is open to everybody, and its words are no command there.
    let mut direct = secured(source(221, 11), relay).await;
    assert_eq!(direct.command("PROXY TCP4 127.34.221.4 127.0.0.1 1 25").await.unwrap().code, 500);
    let id = sent(&mut direct).await;
    assert_eq!(origin(&clinic, &id), (source(221, 11).to_string(), String::new()));
}

/// Connects as the proxy does, says what it says, and reads what is answered until the end.
async fn as_proxy(door: SocketAddr, says: &[u8]) -> (TcpStream, Vec<u8>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((PROXY.parse::<IpAddr>().unwrap(), 0).into()).unwrap();
    let mut stream = socket.connect(door).await.unwrap();
    stream.write_all(says).await.unwrap();
    let mut answer = vec![0; 512];
    let read = timeout(SOON, stream.read(&mut answer)).await.unwrap().unwrap_or(0);
    answer.truncate(read);
    (stream, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_wrong_missing_or_nobodys_lets_nobody_in_as_a_client() {
    let [door, _] = doors();
    let config = format!(
        "[[listener]]\nrole = \"relay\"\nbind = \"{door}\"\ntls = \"optional\"\nproxy_from = [\"{PROXY}\"]\n{}",
        known("m365", "\"127.34.220.0/24\"", "")
    );
    let clinic = clinic(&config).await;
    for wrong in ["EHLO proxy.example\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 99999 25\r\n", "PROXY TCP9 x\r\n"] {
        let (_, answer) = as_proxy(door, wrong.as_bytes()).await;
        assert_eq!(String::from_utf8_lossy(&answer), "", "{wrong}");
    }
    clinic.logged("proxy_header", 3).await;
    // What comes behind the header before the greeting is an early talker's, as without a proxy.
    let early = b"PROXY TCP4 127.34.220.9 127.0.0.1 1 25\r\nEHLO bot\r\n";
    let (_, answer) = as_proxy(door, early).await;
    assert!(answer.starts_with(b"554 5.5.1 wait for the greeting"), "{}", String::from_utf8_lossy(&answer));
    // A health check, and a client without an address, are let in, and are nobody.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
    for nobody in [&local[..], b"PROXY UNKNOWN\r\n"] {
        let (mut stream, answer) = as_proxy(door, nobody).await;
        assert!(answer.starts_with(b"220 "), "{}", String::from_utf8_lossy(&answer));
        stream.write_all(b"HELO proxy\r\nMAIL FROM:<ann@clinic.example>\r\n").await.unwrap();
        let answer = timeout(SOON, heard(&mut stream, "add it\r\n")).await.unwrap();
        assert!(answer.contains("550 5.7.1 your address may not send here"), "{answer}");
    }
}

/// All that is said until a word has come, or nothing more does.
async fn heard(stream: &mut TcpStream, word: &str) -> String {
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(word) && stream.read_buf(&mut said).await.unwrap() > 0 {}
    String::from_utf8(said).unwrap()
}
