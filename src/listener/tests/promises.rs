//! Messages that are promised and never come.

use super::*;

const HUGE: &str = "MAIL FROM:<ann@clinic.example> SIZE=100000\r\nRCPT TO:<bob@lab.example>\r\nDATA\r\n";

#[tokio::test]
async fn one_client_that_only_promises_large_messages_does_not_shut_out_the_others() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut promised = Vec::new();
    let refused = loop {
        let mut talk = house.log_in().await;
        talk.say(HUGE).await;
        let mut heard = String::new();
        while !["354 ", "452 "].iter().any(|code| heard.contains(code)) {
            heard += &talk.expect_end("\r\n").await;
        }
        if heard.contains("452 4.3.1 no memory for a message now, try again later\r\n") {
            break talk;
        }
        promised.push(talk);
        assert!(promised.len() < 10, "it has all of the memory");
    };
    assert!(house.shared.memory.share(&other(), 400_000).is_ok(), "somebody else's message finds room");
    drop((promised, refused));
}
