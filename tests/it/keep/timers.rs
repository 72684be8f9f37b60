//! A message has its own timers: told of when late, ended when its time is up, queued or held, whatever the retries say.

use std::time::Instant;

use super::{Clinic, SENDER, letter, mails};

/// Behind its second attempt the next one is an hour away.
const SLOW: &str = "[queue]\nretry = [\"1s\", \"1h\"]\ndelay_notice = \"4s\"\nexpire = \"10s\"\nhold_expire = \"6s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_late_message_is_told_of_and_ends_at_its_own_time_and_not_at_the_next_retry() {
    let clinic = Clinic::open(SLOW).await;
    let start = Instant::now();
    let late = clinic.submit(&["busy@late.example"], &letter("Late", "Nothing.")).await;
    let held = clinic.submit(&["old@held.example"], &letter("Held", "Nothing.")).await;

    let delayed = mails(&clinic.own, "Still trying to deliver", 1).await.remove(0);
    assert!(start.elapsed().as_secs() >= 3, "not before it is late");
    for line in ["Action: delayed", "Status: 4.7.1", "Final-Recipient: rfc822; busy@late.example", "Will-Retry-Until: "]
    {
        assert!(delayed.contains(line), "{line} is not in\n{delayed}");
    }
    assert!(delayed.contains(&format!("To: {SENDER}")), "{delayed}");
    assert_eq!(clinic.standings(&late), ["queued"], "it is still tried");
    clinic.balanced();

    clinic.stands(&late, &["expired"]).await;
    clinic.stands(&held, &["expired"]).await;
    let ended = mails(&clinic.own, "Not delivered in time", 2).await;
    for (address, status) in [("busy@late.example", "5.4.7"), ("old@held.example", "5.4.7")] {
        let report = ended.iter().find(|report| report.contains(&format!("Final-Recipient: rfc822; {address}")));
        let report = report.unwrap_or_else(|| panic!("nobody was told of {address}: {ended:?}"));
        assert!(report.contains(&format!("Status: {status}")) && report.contains("Action: failed"), "{report}");
    }
    assert_eq!(mails(&clinic.own, "Still trying to deliver", 1).await.len(), 1, "told of a delay once");
    let counts = clinic.balanced();
    assert_eq!(counts["ended"]["expired"], 2, "{counts}");
    assert!(clinic.explained(&held).contains("Expired: its time ran out"));
    clinic.verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_ran_out_while_nothing_ran_ends_what_waited_at_the_next_start() {
    let mut clinic = Clinic::open(SLOW).await;
    let start = Instant::now();
    let late = clinic.submit(&["busy@late.example"], &letter("Late", "Nothing.")).await;
    let held = clinic.submit(&["old@held.example"], &letter("Held", "Nothing.")).await;
    clinic.stands(&held, &["held"]).await;
    clinic.daemon.kill().unwrap();
    // The time has to pass; nothing runs that could be watched meanwhile.
    crate::world::until("both times to run out", super::SOON, || (start.elapsed().as_secs() > 10).then_some(()))
        .await
        .unwrap();
    clinic.daemon.start().unwrap();
    clinic.stands(&late, &["expired"]).await;
    clinic.stands(&held, &["expired"]).await;
    mails(&clinic.own, "Not delivered in time", 2).await;
    clinic.balanced();
    clinic.verified();
}
