//! BDAT over real sockets: what is held between chunks, for how long, and what is read over.

use super::*;

const LATE: &str = "421 4.4.2 the message did not come in time\r\n";
const NAMED: &str = "MAIL FROM:<ann@clinic.example>\r\nRCPT TO:<bob@lab.example>\r\n";
const OK: &str = "250 2.1.0 sender OK\r\n250 2.1.5 recipient OK\r\n";

#[tokio::test]
async fn a_message_in_chunks_is_answered_from_its_receipt_and_only_at_its_end() {
    let house = House::open(Door::Submission, limits(), Does::KeepWhenLet).await;
    let mut talk = house.log_in().await;
    talk.say(&format!("{NAMED}BDAT 16\r\nSubject: visit\r\nBDAT 2\r\n\r\nBDAT 21 LAST\r\n.See you on Monday.\r\n"))
        .await;
    talk.expect(&format!("{OK}250 2.0.0 16 octets received\r\n250 2.0.0 2 octets received\r\n")).await;
    assert_eq!(house.taken(), 0);
    house.shared.intake.gate.add_permits(1);
    assert!(talk.expect_end("\r\n").await.starts_with(QUEUED));
    let (envelope, message, peer) = house.shared.intake.taken.lock().unwrap().pop().unwrap();
    assert_eq!(envelope.recipients()[0].expose(), "bob@lab.example");
    assert_eq!(message.bytes(), "Subject: visit\r\n\r\n.See you on Monday.\r\n");
    assert_eq!(peer.client, Some(ClientName("openemr".into())));
}

#[tokio::test]
async fn who_announces_a_chunk_hears_first_what_became_of_its_recipients() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    talk.say(&format!("{NAMED}BDAT 16 LAST\r\n")).await;
    talk.expect(OK).await;
    talk.say("Subject: ").await;
    talk.say("visit\r\nNOOP\r\n").await;
    assert!(talk.expect_end("250 2.0.0 OK\r\n").await.starts_with(QUEUED));
}

#[tokio::test]
async fn the_octets_of_a_refused_chunk_are_never_read_as_commands() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    house.full.store(true, Ordering::SeqCst);
    talk.say(&format!("{NAMED}BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n")).await;
    talk.expect(&format!(
        "{OK}452 4.3.1 the disk is nearly full, try again later\r\n503 5.5.1 a chunk before this one was refused\r\n"
    ))
    .await;
    house.full.store(false, Ordering::SeqCst);
    talk.say(&format!("{NAMED}BDAT 16 LAST\r\nSubject: visit\r\n")).await;
    assert!(talk.expect_end("\r\n").await.contains(QUEUED));
}

#[tokio::test]
async fn a_fault_of_the_intake_costs_a_last_chunk_one_451() {
    let house = House::open(Door::Submission, limits(), Does::Panic).await;
    let mut talk = house.log_in().await;
    talk.say(&format!("{NAMED}BDAT 16 LAST\r\nSubject: visit\r\nNOOP\r\n")).await;
    talk.expect(&format!("{OK}451 4.3.0 the message could not be handled, try again later\r\n250 2.0.0 OK\r\n")).await;
}

#[tokio::test]
async fn chunks_that_outgrow_the_memory_are_read_over_and_their_memory_is_given_back() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    let rest = house.shared.memory.share(&other(), 930_000).unwrap();
    let chunk = "See you on Monday.\r\n".repeat(2_000);
    talk.say(&format!("{NAMED}BDAT 2\r\n\r\nBDAT 40000\r\n{chunk}BDAT 40000\r\n{chunk}BDAT 40000 LAST\r\n{chunk}"))
        .await;
    let heard = talk.expect_end("503 5.5.1 a chunk before this one was refused\r\n").await;
    assert!(heard.contains("452 4.3.1 no memory for a message now, try again later\r\n"), "{heard}");
    drop(rest);
    // RSET, too, gives back what the chunks before it took.
    talk.say(&format!("{NAMED}BDAT 2\r\n\r\nBDAT 40000\r\n{chunk}")).await;
    talk.expect_end("250 2.0.0 40000 octets received\r\n").await;
    assert!(house.shared.memory.share(&other(), 960_000).is_err());
    talk.say("RSET\r\n").await;
    talk.expect("250 2.0.0 OK\r\n").await;
    assert!(house.shared.memory.share(&other(), 983_000).is_ok());
    assert_eq!(house.taken(), 0);
}

#[tokio::test]
async fn all_chunks_together_have_the_time_of_one_message() {
    let data = Duration::from_millis(400);
    let house = House::open(Door::Submission, Limits { data, ..limits() }, Does::Keep).await;
    // In the middle of a chunk, between two, and where a chunk is read over.
    for (said, heard) in [
        (format!("{NAMED}BDAT 16 LAST\r\nSubject:"), format!("{OK}{LATE}")),
        (format!("{NAMED}BDAT 4\r\na:\r\n"), format!("{OK}250 2.0.0 4 octets received\r\n{LATE}")),
        ("BDAT 9999999999999 LAST\r\nSubject:".to_owned(), LATE.to_owned()),
    ] {
        let mut talk = house.log_in().await;
        talk.say(&said).await;
        talk.expect_close(&heard).await;
    }
    assert_eq!(house.taken(), 0);
}

#[tokio::test]
async fn a_stranger_has_no_more_time_for_a_chunk_than_for_a_login() {
    let login = Duration::from_millis(300);
    let house = House::open(Door::Submission, Limits { login, ..limits() }, Does::Keep).await;
    let mut talk = house.connect().await;
    talk.expect_end("Sealpost\r\n").await;
    talk.say("BDAT 9999999999999\r\n").await;
    talk.expect_close(LATE).await;
}

#[tokio::test]
async fn a_drain_lets_the_chunks_in_hand_finish() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut busy = house.log_in().await;
    busy.say(&format!("{NAMED}BDAT 16\r\nSubject: visit\r\n")).await;
    busy.expect(&format!("{OK}250 2.0.0 16 octets received\r\n")).await;
    house.drain.cancel();
    busy.say("BDAT 3 LAST\r\n\r\nx").await;
    let id = MessageId::from_parts(Timestamp::from_millis(1_795_493_220_007), 7);
    busy.expect_close(&format!("{QUEUED}{id}\r\n421 4.3.2 the server is closing, try again later\r\n")).await;
    drop(busy);
    house.running.await.unwrap();
    let (_, message, _) = house.shared.intake.taken.lock().unwrap().pop().unwrap();
    assert_eq!(message.bytes(), "Subject: visit\r\n\r\nx\r\n");
}

#[tokio::test]
async fn a_smuggled_message_in_a_chunk_is_content_and_refused_as_such() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    let content = format!("Subject: visit\r\n\r\nHello\n.\r\n{ENVELOPE}{MESSAGE}QUIT\r\n");
    talk.say(&format!("{NAMED}BDAT {} LAST\r\n{content}NOOP\r\n", content.len())).await;
    talk.expect(&format!("{OK}554 5.6.0 the message has a line feed without a carriage return\r\n250 2.0.0 OK\r\n"))
        .await;
    assert_eq!(house.taken(), 0);
}
