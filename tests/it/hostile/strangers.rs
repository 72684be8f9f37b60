//! Who speaks another protocol is hung up on, whatever program it is, and nothing of it is a command.

use std::process::Command;

use crate::clinic::{Clinic, letter, queued};
use crate::world::behaviour::Behaviour;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sends_no_mail_by_any_verb_over_either_port() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let smtp =
        "EHLO browser.example\r\nMAIL FROM:<ann@clinic.example>\r\nRCPT TO:<results@lab.example>\r\nDATA\r\n\r\n.\r\n";
    for (scheme, address) in [("http", clinic.submission), ("https", clinic.submissions)] {
        for verb in ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"] {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--insecure", "--http0.9", "--max-time", "20", "--request", verb]);
            if !matches!(verb, "GET" | "HEAD") {
                curl.args(["--data-binary", smtp, "--header", "Content-Type: text/plain"]);
            }
            let printed = clinic.run({
                curl.arg(format!("{scheme}://{address}/"));
                curl
            });
            // No second reply: neither to the request nor to anything in its body.
            let said = printed.out.lines().filter(|line| !line.is_empty()).count();
            assert!(said <= 1, "{scheme} {verb}: {}", printed.out);
            assert!(!printed.err.contains("timed out"), "{scheme} {verb}: {}", printed.err);
        }
    }
    let sent = clinic.submit("ehr", &["results@lab.example"], &letter("still here", "x")).await;
    clinic.stands(&queued(&sent), &[("lab.example", "delivered")]).await;
    assert_eq!(clinic.partner("lab.example").deliveries().len(), 1);
}
