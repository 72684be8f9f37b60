//! Clients that we did not write prove their password without sending it: one from the RFC's text, msmtp, and GNU SASL
//! bound to its connection. Who guesses, and who stands in between, is kept out.

#![cfg(test)]

use std::process::Command;

use data_encoding::BASE64;

use crate::clinic::{Clinic, PASSWORD, letter};
use crate::world::behaviour::Behaviour;
use crate::world::daemon::{HOSTNAME, Printed};

async fn clinic() -> Clinic {
    Clinic::open(&[("lab.example", Behaviour::default())], "[limits]\nerrors_per_connection = 50\n").await
}

fn python(clinic: &Clinic, arguments: [&str; 3]) -> Printed {
    let mut python = Command::new("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/scram.py")).args(arguments);
    python.env("HOST", clinic.submission.ip().to_string()).env("STARTTLS", clinic.submission.port().to_string());
    python.env("CA", clinic.ca()).env("NAME", HOSTNAME);
    python.env("LETTER", String::from_utf8(letter("scram", "x")).unwrap());
    clinic.run(python)
}

/// What the story of the one message that has arrived says of how its client was known.
async fn known_by(clinic: &Clinic) -> String {
    let deliveries = clinic.taken("lab.example", 1).await;
    let content = String::from_utf8_lossy(&deliveries[0].content).into_owned();
    let id = content.split_once("with ESMTPSA id ").unwrap().1.split_once(';').unwrap().0;
    let told = clinic.daemon.run(&["explain", id]).unwrap().good().unwrap();
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    told.split_once("(known by ").unwrap().1.split_once(')').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_written_from_the_rfc_logs_in_and_a_wrong_password_does_not() {
    let clinic = clinic().await;
    python(&clinic, [PASSWORD, "n", "nothing"]).good().unwrap();
    assert_eq!(known_by(&clinic).await, "its password, which was not sent");
    for (arguments, expected) in [
        (["not-the-password", "n", "nothing"], "refused: 535 5.7.8"),
        ([PASSWORD, "n", "signature"], "refused: 535 5.7.8"),
        // It can bind, and believes that we cannot: somebody has cut -PLUS out of what we offered.
        ([PASSWORD, "y", "nothing"], "refused at once: 535 5.7.8 SCRAM-SHA-256-PLUS is offered here"),
    ] {
        let told = python(&clinic, arguments);
        assert!(told.err.contains(expected), "{}", told.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn msmtp_logs_in_without_sending_the_password() {
    let clinic = clinic().await;
    let settings = format!(
        "account default\nhost {}\nport {}\ntimeout 20\ntls on\ntls_trust_file {}\ntls_host_override {HOSTNAME}\n\
         auth scram-sha-256\nuser ehr\npassword {PASSWORD}\nfrom ann@clinic.example\n",
        clinic.submission.ip(),
        clinic.submission.port(),
        clinic.ca().display(),
    );
    let file = clinic.file("msmtprc", settings.as_bytes());
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    clinic.file("letter.eml", &letter("scram", "x"));
    let mut shell = Command::new("sh");
    shell.args(["-c", "tr -d '\\r' <letter.eml | msmtp --file=msmtprc -- results@lab.example"]);
    shell.current_dir(&clinic.daemon.folder);
    clinic.run(shell).good().unwrap();
    assert_eq!(known_by(&clinic).await, "its password, which was not sent");
}

/// Logs in with GNU SASL's own client, and gives all that was said.
fn gsasl(clinic: &Clinic, mechanism: &str, password: &str) -> String {
    let mut gsasl = Command::new("gsasl");
    gsasl.args(["--smtp", "--verbose", "--authentication-id=ehr", "--authorization-id="]);
    gsasl.arg(format!("--connect={}", clinic.submission)).arg("--x509-ca-file=");
    if mechanism == "SCRAM-SHA-256" {
        // With a binding at hand it refuses the weaker one itself.
        gsasl.arg("--no-cb");
    }
    gsasl.arg(format!("--mechanism={mechanism}")).arg(format!("--password={password}"));
    let printed = clinic.run(gsasl);
    format!("{}{}", printed.out, printed.err)
}

#[tokio::test(flavor = "multi_thread")]
async fn gnu_sasl_binds_its_login_to_the_connection() {
    let clinic = clinic().await;
    for mechanism in ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"] {
        let told = gsasl(&clinic, mechanism, PASSWORD);
        assert!(told.contains("235 2.7.0 logged in"), "{mechanism}: {told}");
    }
    let told = gsasl(&clinic, "SCRAM-SHA-256-PLUS", "not-the-password");
    assert!(told.contains("535 5.7.8"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_exchange_of_scram_is_refused_and_says_nothing_of_who_exists() {
    let clinic = clinic().await;
    let mut client = clinic.stranger().await;
    let greeting = client.command("EHLO ehr").await.unwrap().text();
    assert!(greeting.contains("AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"), "{greeting}");
    let scram = |message: &str| format!("AUTH SCRAM-SHA-256 {}", BASE64.encode(message.as_bytes()));
    for (line, expected) in [
        (scram("n,,m=x,n=ehr,r=abc"), "501 5.5.2"),
        (scram("n,a=admin,n=ehr,r=abc"), "535 5.7.8"),
        (scram("p=tls-unique,,n=ehr,r=abc"), "501 5.5.2"),
        (scram("n,,n=ehr"), "501 5.5.2"),
        ("AUTH SCRAM-SHA-256 =".into(), "501 5.5.2"),
        ("AUTH SCRAM-SHA-256 ***".into(), "501 5.5.2"),
        ("AUTH SCRAM-SHA-1".into(), "504 5.5.4"),
    ] {
        let told = client.command(&line).await.unwrap().text();
        assert!(told.starts_with(expected), "{line}: {told}");
    }
    let mut told = Vec::new();
    for login in ["ehr", "nobody", "nobody"] {
        assert_eq!(client.command("AUTH SCRAM-SHA-256").await.unwrap().code, 334);
        let first = BASE64.encode(format!("n,,n={login},r=abc").as_bytes());
        let reply = client.command(&first).await.unwrap().text();
        let told_now = BASE64.decode(reply.strip_prefix("334 ").unwrap().trim_end().as_bytes()).unwrap();
        let (nonce, told_now) = String::from_utf8(told_now).unwrap().split_once(',').map(two).unwrap();
        assert!(nonce.starts_with("r=abc") && nonce.len() > 40, "{nonce}");
        told.push(told_now);
        assert!(client.command("*").await.unwrap().text().starts_with("501 5.7.0"));
    }
    assert_eq!(told[1], told[2], "the same for the same name");
    assert_ne!(told[0], told[1]);
    let shape = |told: &str| (told.len(), told.split_once(",i=").unwrap().1.to_owned());
    assert_eq!(shape(&told[0]), shape(&told[1]));
}

fn two((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}
