//! Strangers who hold every place keep nobody out who is known.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use super::{clinic, doors, ehr, known, secured, source};
use crate::clinic::{PASSWORD, SOON, letter, mail, queued};

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_idle_strangers_do_not_keep_the_ehr_out() {
    let [door, relay] = doors();
    let config = format!(
        "[[listener]]\nrole = \"submission\"\nbind = \"{door}\"\n[[listener]]\nrole = \"relay\"\nbind = \"{relay}\"\n\
         [limits]\nconnections = 250\n{}{}",
        ehr(),
        known("m365", "\"127.34.231.0/24\"", "")
    );
    let clinic = clinic(&config).await;
    let mut before = secured(source(230, 1), door).await;
    assert_eq!(before.login("ehr", PASSWORD).await.unwrap().code, 235);
    before.quit().await.unwrap();

    let mut crowd = Vec::new();
    for n in 0..300_u16 {
        // Forty each, from more addresses than any of them could be fair to.
        let from = source(232, u8::try_from(n / 40).unwrap());
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        crowd.push(socket.connect(if n % 2 == 0 { door } else { relay }).await.unwrap());
    }
    let mut told = Vec::new();
    for stream in &mut crowd {
        told.push(first(stream).await);
    }
    assert!(told.iter().filter(|word| word.starts_with("220")).count() >= 250);

    for (from, to, login) in [(source(230, 1), door, Some("ehr")), (source(231, 1), relay, None)] {
        let began = Instant::now();
        let mut client = secured(from, to).await;
        if let Some(login) = login {
            assert_eq!(client.login(login, PASSWORD).await.unwrap().code, 235);
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        queued(client.send(&mail(&["results@lab.example"], &letter("in", "x"))).await.unwrap().last());
        client.quit().await.unwrap();
    }
    // A newcomer that nobody knows gets a place as well: that of one of the forty.
    let newcomer = secured(source(233, 1), door).await;
    assert_eq!(newcomer.greeting.code, 220);
    clinic.logged("connection.ended=\"crowded\"", 3).await;
}

/// The first word that a connection is told.
async fn first(stream: &mut TcpStream) -> String {
    let mut word = [0; 64];
    let read = timeout(SOON, stream.read(&mut word)).await.unwrap().unwrap_or(0);
    String::from_utf8_lossy(&word[..read]).into_owned()
}
