//! A client whose settings change while somebody is in as that client.

use super::*;

const CHANGED: &str = "421 4.7.0 the settings of this client have changed, connect again\r\n";

fn reload(house: &House, client: &Client) {
    let before = house.shared.rules();
    let known = HashMap::from([(client.name.clone(), Known::of(client))]);
    let (settings, limits) = (before.settings.clone(), before.limits.clone());
    let lockout = Lockout::of(&limits);
    let rules = Rules { settings, limits, rates: HashMap::new(), known };
    *house.shared.rules.write().unwrap() = Arc::new(rules);
    house.shared.accounts.reload(vec![client.clone()], lockout);
}

#[tokio::test]
async fn who_came_in_by_a_password_that_was_changed_since_sends_nothing_more() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    for content in ["DATA\r\n", "BDAT 2 LAST\r\n\r\n"] {
        reload(&house, &openemr(false));
        let mut thief = house.log_in().await;
        // The same password under another salt is another password, as far as anybody can tell.
        reload(&house, &openemr(false));
        thief.say("MAIL FROM:<ann@clinic.example>\r\nRCPT TO:<bob@lab.example>\r\n").await;
        thief.say(content).await;
        assert!(thief.expect_end(CHANGED).await.ends_with(CHANGED));
        assert!(!thief.more().await, "and the connection ends");
    }
    // Whoever has the new one comes in again.
    let mut talk = house.log_in().await;
    talk.say(ENVELOPE).await;
    talk.expect_end("<CRLF>.<CRLF>\r\n").await;
    talk.say(MESSAGE).await;
    assert!(talk.expect_end("\r\n").await.starts_with(QUEUED));
    assert_eq!(house.taken(), 1);
}

#[tokio::test]
async fn a_reload_that_leaves_a_client_as_it_was_disturbs_nobody() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let client = openemr(false);
    reload(&house, &client);
    let mut talk = house.log_in().await;
    reload(&house, &client);
    talk.say(ENVELOPE).await;
    talk.expect_end("<CRLF>.<CRLF>\r\n").await;
    talk.say(MESSAGE).await;
    assert!(talk.expect_end("\r\n").await.starts_with(QUEUED));
}
