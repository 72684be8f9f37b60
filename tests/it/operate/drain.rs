//! SIGTERM takes nothing from anybody: a session in the middle of its data is finished, its message kept, and nobody new
//! is let in.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::house::{ANN, House, SOON, letter, send};
use crate::world::authority::credulous_client;
use crate::world::behaviour::{Behaviour, Override, Step};
use crate::world::client::{Client, Entry};
use crate::world::daemon::HOSTNAME;
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_its_data_is_finished_and_nobody_new_is_let_in() {
    let mut house = House::open(69, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::but(&[Override::reply(Step::Mail, 451, "later")])).await;
    let (mut busy, mut idle) = (house.client().await, house.client().await);
    assert_eq!(busy.command(&format!("MAIL FROM:<{ANN}>")).await.unwrap().code, 250);
    assert_eq!(busy.command("RCPT TO:<bo@lab.example>").await.unwrap().code, 250);
    assert_eq!(busy.command("DATA").await.unwrap().code, 354);
    busy.write(b"From: ann@clinic.example\r\nSubject: half\r\n\r\nthe first half\r\n").await.unwrap();
    let pid = Pid::from_raw(i32::try_from(house.daemon.pid().unwrap()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let draining = || house.daemon.logs().unwrap().contains("draining").then_some(());
    until("the drain", SOON, draining).await.unwrap();
    // Whoever is between two messages is told to come again.
    let bye = idle.reply().await;
    assert!(bye.is_err() || bye.unwrap().code == 421);
    let entry = Entry::StartTls(credulous_client().unwrap(), HOSTNAME.to_owned());
    match Client::connect((house.address(1), 587).into(), &entry).await {
        Err(_) => {}
        Ok(client) => assert_eq!(client.greeting.code, 421),
    }
    busy.write(b"the second half\r\n.\r\n").await.unwrap();
    let reply = busy.reply().await.unwrap();
    assert_eq!(reply.code, 250, "{}", reply.text());
    let id = reply.text().rsplit(' ').next().unwrap().trim().to_owned();
    assert_eq!(house.daemon.stop().unwrap().code(), Some(0));
    assert!(!house.daemon.folder.join("data/control.sock").exists() || house.daemon.run(&["queue", "count"]).is_ok());
    assert_eq!(house.rows(&id).len(), 1);

    lab.mx.behave(Behaviour::default()).unwrap();
    house.daemon.start().unwrap();
    house.daemon.run(&["queue", "retry", &id]).unwrap();
    assert_eq!(house.settled(&id).await, ["delivered"]);
    assert!(crate::house::text(&lab.took()[0]).contains("the first half\r\nthe second half\r\n"));
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_when_the_daemon_stops_is_settled_once() {
    let mut house = House::open(70, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    let mut client = house.client().await;
    let mut ids = Vec::new();
    for number in 0..50 {
        ids.push(send(&mut client, &letter(ANN, &["bo@lab.example"], &format!("n{number}"))).await);
    }
    assert_eq!(house.daemon.stop().unwrap().code(), Some(0));
    house.daemon.start().unwrap();
    lab.mx.wait_for(50, SOON).await.unwrap();
    for id in &ids {
        assert_eq!(house.settled(id).await, ["delivered"]);
    }
    assert_eq!((lab.mx.memory().tags().len(), lab.mx.memory().duplicates()), (50, 0));
    lab.crossed_cleanly();
    house.audited();
}
