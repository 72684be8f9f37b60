//! What clients write into envelopes, logins, EHLO and headers makes no line of the log, no field of a header, and no colour on a
//! terminal.

use data_encoding::BASE64;
use regex::Regex;

use crate::clinic::{Clinic, PASSWORD, mail, queued};
use crate::world::behaviour::Behaviour;

/// What must appear nowhere.
const FORGED: &str = "forged-7f3a";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_client_writes_becomes_a_line_of_the_log() {
    let clinic =
        Clinic::open(&[("lab.example", Behaviour::default())], "[limits]\nerrors_per_connection = 100\n").await;
    let line = format!("\n2026-11-24T08:00:00.000000Z  INFO {FORGED}");
    let mut client = clinic.stranger().await;
    let long = format!("{FORGED}{}", "a".repeat(300));
    for hello in
        ["<script>forged-7f3a</script>", "x\u{2028}forged-7f3a", "\u{202e}forged-7f3a", &long, "forged-7f3a\u{85}"]
    {
        let reply = client.command(&format!("EHLO {hello}")).await.unwrap();
        assert!(!reply.text().contains(FORGED), "{}", reply.text());
    }
    client.command("EHLO forged-7f3a").await.unwrap();
    for (login, password) in [(&*line, "x"), ("ehr", &*line), (&*format!("\u{1b}[2J{FORGED}"), PASSWORD)] {
        let response = BASE64.encode(format!("\0{login}\0{password}").as_bytes());
        let reply = client.command(&format!("AUTH PLAIN {response}")).await.unwrap();
        assert!(reply.code >= 500 && !reply.text().contains(FORGED), "{}", reply.text());
    }
    let reply = client.login("ehr", PASSWORD).await.unwrap();
    assert_eq!(reply.code, 235);
    for command in [
        "MAIL FROM:<\"forged-7f3a\u{1b}[31m\"@clinic.example>",
        "MAIL FROM:<forged-7f3a@elsewhere.example>",
        "MAIL FROM:<ann@clinic.example> forged-7f3a=1",
        "RCPT TO:<\"a\\\u{7f}\"@forged-7f3a>",
        "forged-7f3a",
        "VRFY forged-7f3a",
        "NOOP forged-7f3a",
    ] {
        let reply = client.command(command).await.unwrap();
        assert!(!reply.text().contains(FORGED), "{command}: {}", reply.text());
    }
    let content = format!(
        "Subject: =?utf-8?Q?=1B]0;{FORGED}=07=0A2026_INFO_{FORGED}?=\r\nFrom: \"=0A{FORGED}\" <ann@clinic.example>\r\n\
         Message-ID: <\u{1b}[2J{FORGED}@x>\r\nX-Sealpost-Later: {FORGED}\r\nDate: {FORGED}\r\n\r\n{FORGED}\r\n"
    );
    let sender = format!("\"{FORGED}<>\\\"\"@clinic.example");
    let mut letter = mail(&[&format!("\"{FORGED}\\\"> x\"@lab.example")], content.as_bytes());
    letter.sender = sender;
    let replies = client.send(&letter).await.unwrap();
    let id = queued(replies.last());
    clinic.stands(&id, &[("lab.example", "delivered")]).await;
    client.quit().await.unwrap();
    clinic.logged("connection ended", 1).await;

    let delivered = clinic.taken("lab.example", 1).await.remove(0);
    // Our own trace stands in front of the sender's header, and names nothing that the client said of itself.
    let trace = String::from_utf8_lossy(&delivered.content);
    let trace = trace.split("Subject:").next().unwrap();
    assert!(trace.starts_with("Received: ") && !trace.contains(FORGED), "{trace}");
    // No line of the log begins with anything but a time, and none holds what was written.
    let log = clinic.daemon.logs().unwrap();
    let line = Regex::new(r"^\d{4}-\d\d-\d\dT[\d:.]+Z +[A-Z]+ ").unwrap();
    assert!(log.lines().all(|text| line.is_match(text)), "{log}");
    assert!(!log.contains(FORGED) && !log.contains('\u{1b}'), "{log}");
    // Neither does the audit log; and what an operator is shown speaks to no terminal.
    let audit = clinic.daemon.run(&["audit", "export"]).unwrap().good().unwrap();
    assert!(!audit.contains(FORGED));
    for shown in [&["explain", &id][..], &["queue", "list"], &["trace", "--to", "\"forged-7f3a\\\"> x\"@lab.example"]] {
        let printed = clinic.daemon.run(shown).unwrap();
        let speaks = |text: &str| text.contains(|c: char| c.is_control() && c != '\n' && c != '\t');
        assert!(!speaks(&printed.out) && !speaks(&printed.err), "{shown:?}: {:?}", printed.out);
    }
}
