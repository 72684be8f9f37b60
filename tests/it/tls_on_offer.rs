//! What TLS the two listeners offer, asked by OpenSSL, and what they say before and after it.

#![cfg(test)]

use std::net::SocketAddr;
use std::process::Command;

use crate::clinic::Clinic;
use crate::world::authority::credulous_client;
use crate::world::client::{Client, Entry};
use crate::world::daemon::HOSTNAME;

/// Everything that OpenSSL knows for TLS 1.2 and that is not AEAD.
const NOT_AEAD: &str = "ALL:COMPLEMENTOFALL:!AESGCM:!AESCCM:!CHACHA20:!ARIAGCM:@SECLEVEL=0";

fn s_client(clinic: &Clinic, address: SocketAddr, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string(), "-servername", HOSTNAME]).args(arguments);
    command.args(["-verify_return_error", "-verify_hostname", HOSTNAME, "-CAfile"]).arg(clinic.ca());
    if address == clinic.submission {
        command.args(["-starttls", "smtp"]);
    }
    let printed = clinic.run(command);
    (printed.status.success(), printed.out + &printed.err)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_1_3_with_aead_are_offered_and_nothing_else() {
    let clinic = Clinic::open(&[], "").await;
    for address in [clinic.submission, clinic.submissions] {
        for (arguments, version) in [
            (&["-tls1_3"][..], "TLSv1.3"),
            (&["-tls1_2"], "TLSv1.2"),
            (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "TLSv1.2"),
            (&["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], "TLSv1.2"),
        ] {
            let (good, told) = s_client(&clinic, address, arguments);
            assert!(good && told.contains(version) && told.contains("Verify return code: 0"), "{arguments:?}: {told}");
        }
        for arguments in [
            &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", NOT_AEAD],
        ] {
            let (good, told) = s_client(&clinic, address, arguments);
            // The alert shows that it was the server which refused, not OpenSSL that would not ask.
            assert!(!good && told.contains("SSL alert number"), "{arguments:?}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_offered_under_tls_only_and_starttls_before_it_only() {
    let clinic = Clinic::open(&[], "[limits]\nmessage_bytes = \"1MiB\"\n").await;
    let limits = "LIMITS MAILMAX=1000 RCPTMAX=1000";
    let always = ["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", limits, "ENHANCEDSTATUSCODES", "SIZE 1048576"];
    let mut clear = Client::connect(clinic.submission, &Entry::Clear).await.unwrap();
    assert_eq!(clear.greeting.lines[0].split(' ').next(), Some(HOSTNAME));
    check(&clear, &always, &["STARTTLS"]);
    // HELO is no ground for STARTTLS, which is an extension.
    assert_eq!(clear.command("HELO ehr.clinic.example").await.unwrap().code, 250);
    assert_eq!(clear.command("STARTTLS").await.unwrap().code, 503);

    let mut secured = clinic.stranger().await;
    check(&secured, &always, &["AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN", "CHUNKING", "REQUIRETLS"]);
    assert_eq!(secured.command("STARTTLS").await.unwrap().code, 503);
    let implicit = Entry::Implicit(credulous_client().unwrap(), HOSTNAME.to_owned());
    let implicit = Client::connect(clinic.submissions, &implicit).await.unwrap();
    check(&implicit, &always, &["AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN", "CHUNKING", "REQUIRETLS"]);
}

fn check(client: &Client, always: &[&str], besides: &[&str]) {
    let mut expected: Vec<&str> = always.iter().chain(besides).copied().collect();
    let mut offered: Vec<&str> = client.extensions.iter().map(String::as_str).collect();
    expected.sort_unstable();
    offered.sort_unstable();
    assert_eq!(offered, expected);
}

/// Connects, says QUIT and listens to the end, so that the tickets behind the handshake are read.
fn s_client_to_the_end(clinic: &Clinic, arguments: &[&str]) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", r#"printf 'QUIT\r\n' | openssl s_client -ign_eof "$@""#, "sh"]);
    command.args(["-connect", &clinic.submission.to_string(), "-servername", HOSTNAME, "-starttls", "smtp"]);
    command.args(arguments);
    let printed = clinic.run(command);
    printed.out + &printed.err
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_kept_its_session_resumes_it() {
    let clinic = Clinic::open(&[], "").await;
    let folder = tempfile::tempdir().unwrap();
    for version in ["-tls1_3", "-tls1_2"] {
        let file = folder.path().join(version);
        let file = file.to_str().unwrap();
        let first = s_client_to_the_end(&clinic, &[version, "-sess_out", file]);
        assert!(first.contains("New, TLSv1"), "{version}: {first}");
        for _ in 0..2 {
            let again = s_client_to_the_end(&clinic, &[version, "-sess_in", file]);
            assert!(again.contains("Reused, TLSv1"), "{version}: {again}");
        }
    }
}
