//! Peers that are too early, too slow, or listen to nothing: each wait has its end, whatever drips in meanwhile.

use super::*;
use crate::config::RelayTls;
use crate::mail::Quarantine;

const SHORT: Duration = Duration::from_millis(300);
const RELAY: Door = Door::Relay(RelayTls::Required);

/// Sends one octet after the other until the connection is closed, and gives how long that took from `began` on.
async fn drip<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<S>,
    octet: &str,
    began: std::time::Instant,
) -> Duration {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            _ = pause.tick() => if talk.stream.write_all(octet.as_bytes()).await.is_err() { break },
            more = talk.more() => if !more { break },
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it goes on for ever");
    }
    began.elapsed()
}

#[tokio::test]
async fn a_command_that_drips_in_has_no_longer_than_one_that_does_not_come() {
    for (limits, reply) in [
        (Limits { idle: SHORT, ..limits() }, "421 4.4.2 no command came in time\r\n"),
        (Limits { login: SHORT, ..limits() }, "421 4.7.0 nobody logged in over this connection in time\r\n"),
        (Limits { session: SHORT, ..limits() }, "421 4.4.2 the connection has lasted as long as one may\r\n"),
    ] {
        let house = House::open(RELAY, limits, Does::Keep).await;
        // The server's wait begins before its greeting is read here.
        let began = std::time::Instant::now();
        let mut talk = house.connect().await;
        talk.expect_end("Sealpost\r\n").await;
        let took = drip(&mut talk, "x", began).await;
        assert!(took >= SHORT && took < Duration::from_secs(5), "{took:?}");
        assert_eq!(String::from_utf8_lossy(&talk.read), reply);
    }
}

#[tokio::test]
async fn a_message_that_drips_in_has_its_time_in_all() {
    let house = House::open(Door::Submission, Limits { data: SHORT, ..limits() }, Does::Keep).await;
    let mut talk = house.log_in().await;
    let began = std::time::Instant::now();
    talk.say(ENVELOPE).await;
    talk.expect_end("<CRLF>.<CRLF>\r\n").await;
    let took = drip(&mut talk, "x", began).await;
    assert!(took >= SHORT && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(String::from_utf8_lossy(&talk.read), "421 4.4.2 the message did not come in time\r\n");
    assert_eq!(house.taken(), 0);
}

#[tokio::test]
async fn a_handshake_that_drips_in_ends_when_its_place_is_needed() {
    let tight = Limits { connections: 2, connections_per_address: 2, ..limits() };
    let house = House::open(Door::Submissions, tight.clone(), Does::Keep).await;
    let mut silent = [house.connect().await, house.connect().await];
    let enter = |last| house.shared.occupancy.enter([127, 0, 0, last].into(), room::Standing::Known, &tight);
    wait_until(|| enter(1).is_err()).await;
    let _known = enter(2).unwrap();
    let began = std::time::Instant::now();
    let mut closed = 0;
    for talk in &mut silent {
        closed += usize::from(tokio::time::timeout(Duration::from_secs(1), talk.stream.read_u8()).await.is_ok());
    }
    assert_eq!(closed, 1, "one place was needed");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn who_reads_nothing_is_cut_and_its_place_given_back() {
    let house =
        House::open(Door::Submission, Limits { idle: SHORT, command_bytes: 4096, ..limits() }, Does::Keep).await;
    let mut deaf = house.connect().await;
    let noops = "NOOP\r\n".repeat(10_000);
    // Until neither side's buffers take any more.
    let talking = async { while deaf.stream.write_all(noops.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), talking).await.expect("it is listened to for ever");
    let one_place = Limits { connections: 1, ..limits() };
    let somebody = std::net::IpAddr::from([192, 0, 2, 1]);
    wait_until(|| house.shared.occupancy.enter(somebody, room::Standing::Stranger, &one_place).is_ok()).await;
}

#[tokio::test]
async fn who_speaks_before_the_greeting_is_turned_away_at_every_door_that_greets_in_clear() {
    let networks = vec!["127.0.0.1/32".parse().unwrap()];
    let quarantine = Quarantine { owner: "it".into(), until: Timestamp::from_millis(1_900_000_000_000) };
    let legacy = config::Legacy { networks, reason: "old scanner".into(), quarantine };
    for door in [RELAY, Door::Legacy(legacy)] {
        let closed = House::bind(door, limits(), Does::Keep).await;
        let stream = TcpStream::connect(closed.bound.address().unwrap()).await.unwrap();
        let mut early = Talk { stream, read: Vec::new() };
        early.say("EHLO bot\r\nMAIL FROM:<>\r\n").await;
        let _house = closed.serve().await;
        early.expect_close("554 5.5.1 wait for the greeting before speaking\r\n").await;
    }
}

#[tokio::test]
async fn a_legacy_listener_whose_day_comes_in_mid_session_takes_nothing_more() {
    let networks = vec!["127.0.0.1/32".parse().unwrap()];
    let until = Timestamp::parse_date("2026-11-24").unwrap();
    let quarantine = Quarantine { owner: "it".into(), until };
    let legacy = config::Legacy { networks, reason: "old scanner".into(), quarantine };
    let house = House::open(Door::Legacy(legacy), limits(), Does::Keep).await;
    let mut talk = house.connect().await;
    talk.expect_end("Sealpost\r\n").await;
    talk.say(&format!("EHLO ehr\r\nAUTH PLAIN {}\r\n", BASE64.encode(b"\0openemr\0x"))).await;
    talk.expect_end("235 2.7.0 logged in\r\n").await;
    talk.say(ENVELOPE).await;
    talk.expect_end("<CRLF>.<CRLF>\r\n").await;
    talk.say(MESSAGE).await;
    assert!(talk.expect_end("\r\n").await.starts_with(QUEUED));
    house.clock.advance(Duration::from_hours(24));
    talk.say(ENVELOPE).await;
    talk.expect_end("554 5.7.1 nothing is taken here without TLS since 2026-11-25, ask the administrator\r\n").await;
    house
        .connect()
        .await
        .expect_close("554 5.7.1 nothing is taken here without TLS since 2026-11-25, ask the administrator\r\n")
        .await;
    assert_eq!(house.taken(), 1);
}

#[tokio::test]
async fn a_stranger_that_connects_too_often_is_told_when_to_come_back() {
    let house = House::open(RELAY, Limits { connections_per_minute: 3, ..limits() }, Does::Keep).await;
    for _ in 0..3 {
        house.connect().await.expect_end("Sealpost\r\n").await;
    }
    let told = "421 4.7.0 too many new connections from your address, try again in 21 seconds\r\n";
    house.connect().await.expect_close(told).await;
    house.clock.advance(Duration::from_secs(21));
    house.connect().await.expect_end("Sealpost\r\n").await;
    house.connect().await.expect_close(told.replace("21 s", "20 s").as_str()).await;
}

/// Waits for what comes about by itself.
async fn wait_until(holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come about");
}
