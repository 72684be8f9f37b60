//! msmtp, which stands in for sendmail on many servers.

use std::process::Command;

use super::{Door, Mechanism, Order, Trust, arrived, clinic, distrusted, orders};
use crate::clinic::{Clinic, PASSWORD};
use crate::world::daemon::{HOSTNAME, Printed};

/// Takes a message as sendmail does: on standard input, with the line ends of Unix.
const SCRIPT: &str = r#"tr -d '\r' <letter.eml | msmtp --file=msmtprc -- "$1""#;

fn msmtp(clinic: &Clinic, order: &Order, trust: Trust) -> Printed {
    let (server, starttls) = match order.door {
        Door::StartTls => (clinic.submission, "on"),
        Door::Tls => (clinic.submissions, "off"),
    };
    let auth = match order.mechanism {
        Mechanism::Plain => "plain",
        Mechanism::Login => "login",
        Mechanism::Own => "on",
    };
    let ca = match trust {
        Trust::Ours => clinic.ca().display().to_string(),
        Trust::Nothing => "system".into(),
    };
    let (ip, port) = (server.ip(), server.port());
    let settings = format!(
        "account default\nhost {ip}\nport {port}\ntimeout 20\ntls on\ntls_starttls {starttls}\ntls_trust_file {ca}\n\
         tls_host_override {HOSTNAME}\nauth {auth}\nuser ehr\npassword {PASSWORD}\nfrom ann@clinic.example\n"
    );
    let file = clinic.file("msmtprc", settings.as_bytes());
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    clinic.file("letter.eml", &order.content);
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT, "sh", &order.recipient()]).current_dir(&clinic.daemon.folder);
    clinic.run(shell)
}

#[tokio::test(flavor = "multi_thread")]
async fn msmtp_submits_by_both_doors() {
    let clinic = clinic().await;
    let orders = orders();
    for order in [&orders[0], orders.last().unwrap()] {
        let told = msmtp(&clinic, order, Trust::Nothing);
        assert!(told.err.contains("certificate"), "{}", told.err);
    }
    distrusted(&clinic).await;
    let mut sent = Vec::new();
    for order in orders {
        msmtp(&clinic, &order, Trust::Ours).good().unwrap();
        sent.push((order.name, order.content));
    }
    arrived(&clinic, &sent).await;
}
