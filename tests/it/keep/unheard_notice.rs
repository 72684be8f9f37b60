//! A sender who cannot be told that a message did not arrive: then the postmaster is, and nobody of that notice's own end.

use super::{Clinic, SENDER, SOON, letter, mails};
use crate::world::behaviour::{Behaviour, Override, Step};
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_its_sender_cannot_be_given_goes_to_the_postmaster() {
    let clinic = Clinic::open("").await;
    let gone = Override::reply(Step::Rcpt, 550, "5.1.1 she has left").to(SENDER);
    clinic.own.behave(Behaviour::but(&[gone])).unwrap();
    let id = clinic.submit(&["nobody@gone.example"], &letter("Gone", "Nothing.")).await;
    clinic.stands(&id, &["bounced"]).await;
    let told = mails(&clinic.own, "Not delivered", 1).await.remove(0);
    assert!(told.contains("To: it@clinic.example\r\n"), "{told}");
    assert!(told.contains(&format!("Final-Recipient: rfc822; {SENDER}")), "{told}");

    // The postmaster cannot be told either: it ends there, and the log has it.
    let nobody = Override::reply(Step::Rcpt, 550, "5.1.1 nobody is left");
    clinic.own.behave(Behaviour::but(&[nobody])).unwrap();
    clinic.submit(&["nobody@gone.example"], &letter("Gone", "Nothing.")).await;
    let bounced = || (clinic.balanced()["ended"]["bounced"] == 5).then_some(());
    until("the message and both notices to bounce", SOON, bounced).await.unwrap();
    assert_eq!(clinic.balanced()["accepted"], 6, "two messages, and two notices about each");
    clinic.verified();
}
