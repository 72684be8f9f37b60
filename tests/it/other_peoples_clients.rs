//! Mail programs that we did not write submit through both listeners: swaks, and Python's smtplib.

#![cfg(test)]

use std::process::Command;

use crate::clinic::{Clinic, PASSWORD, behind_trace, letter};
use crate::world::behaviour::Behaviour;
use crate::world::daemon::HOSTNAME;

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, starttls, tls, ca, password, file, name = sys.argv[1:8]
content = open(file, "rb").read()
context = ssl.create_default_context(cafile=ca)

def server(port, implicit):
    if implicit:
        context.check_hostname = False
        return smtplib.SMTP_SSL(host, port, context=context, timeout=20)
    connection = smtplib.SMTP(host, port, timeout=20)
    connection._host = name
    context.check_hostname = True
    connection.starttls(context=context)
    return connection

def send(connection):
    refused = connection.sendmail("ann@clinic.example", ["results@lab.example"], content, ["BODY=8BITMIME"])
    assert refused == {}, refused
    connection.quit()

for port, implicit in [(int(starttls), False), (int(tls), True)]:
    for initial in [True, False]:
        for mechanism in ["PLAIN", "LOGIN"]:
            connection = server(port, implicit)
            connection.ehlo()
            connection.user, connection.password = "ehr", password
            how = connection.auth_plain if mechanism == "PLAIN" else connection.auth_login
            code, _ = connection.auth(mechanism, how, initial_response_ok=initial)
            assert code == 235, code
            send(connection)
    connection = server(port, implicit)
    connection.login("ehr", password)
    send(connection)
    try:
        server(port, implicit).login("ehr", "wrong")
        raise SystemExit("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
"#;

#[tokio::test(flavor = "multi_thread")]
async fn pythons_smtplib_submits_by_both_doors_and_both_mechanisms() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let content = letter("smtplib", "ünïcödé\r\n.\r\n..dots");
    let file = clinic.file("letter.eml", &content);
    let mut python = Command::new("python3");
    python.args(["-c", SMTPLIB, &clinic.submission.ip().to_string(), &clinic.submission.port().to_string()]);
    python.arg(clinic.submissions.port().to_string()).arg(clinic.ca()).arg(PASSWORD).arg(file).arg(HOSTNAME);
    clinic.run(python).good().unwrap();
    let taken = clinic.taken("lab.example", 10).await;
    assert_eq!(taken.len(), 10);
    for delivery in taken {
        assert_eq!(text(behind_trace(&delivery.content)), text(&content));
        assert!(delivery.tls_version.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_submits_by_both_doors_and_both_mechanisms() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let content = letter("swaks", "hello");
    let file = clinic.file("letter.eml", &content);
    let swaks = |arguments: &[&str]| {
        let mut command = Command::new("swaks");
        command.args(["--timeout", "20", "--from", "ann@clinic.example", "--to", "results@lab.example"]);
        command.arg("--data").arg(format!("@{}", file.display())).args(arguments);
        clinic.run(command)
    };
    let (submission, submissions) = (clinic.submission.to_string(), clinic.submissions.to_string());
    let ca = clinic.ca().display().to_string();
    let user = ["--auth-user", "ehr", "--auth-password", PASSWORD];
    for mechanism in ["PLAIN", "LOGIN"] {
        for (server, tls) in [(&submission, "--tls"), (&submissions, "--tls-on-connect")] {
            let login = ["--server", server, tls, "--tls-verify", "--tls-ca-path", &ca, "--auth", mechanism];
            swaks(&[&login[..], &user].concat()).good().unwrap();
        }
    }
    // Without a login, and without TLS, nothing goes through.
    let told = swaks(&["--server", &submission, "--tls"]);
    assert!(!told.status.success() && told.out.contains("530 5.7.0 authentication required"), "{}", told.out);
    let told = swaks(&["--server", &submission]);
    assert!(!told.status.success() && told.out.contains("530 5.7.0 STARTTLS first"), "{}", told.out);
    let taken = clinic.taken("lab.example", 4).await;
    assert_eq!(taken.len(), 4);
    for delivery in taken {
        // swaks ends its data with a line end and the dot, whether the file had its last line end or not.
        assert_eq!(text(behind_trace(&delivery.content)), text(&content) + "\r\n");
    }
}

fn text(content: &[u8]) -> String {
    String::from_utf8(content.to_vec()).unwrap()
}
