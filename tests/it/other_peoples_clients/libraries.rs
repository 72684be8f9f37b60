//! The libraries that EHRs and scripts send with: Python's smtplib, Nodemailer, PHPMailer, Jakarta Mail. Their programs lie in
//! tests/clients.

use std::process::Command;

use super::{Trust, arrived, clients, clinic, distrusted, run, sent};
use crate::clinic::Clinic;
use crate::world::daemon::HOSTNAME;

/// Sends everything, then compares; then again without trust.
async fn check(program: impl Fn(&Clinic) -> Command, messages: usize) {
    let clinic = clinic().await;
    let printed = run(&clinic, program(&clinic), Trust::Nothing);
    let told = printed.good().unwrap();
    assert!(told.contains("starttls: ") && told.contains("\ntls: "), "{told}");
    distrusted(&clinic).await;
    run(&clinic, program(&clinic), Trust::Ours).good().unwrap();
    let sent = sent(&clinic);
    assert_eq!(sent.len(), messages);
    arrived(&clinic, &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_smtplib_submits_by_both_doors() {
    let python = |_: &Clinic| {
        let mut python = Command::new("python3");
        python.arg(clients().join("send.py"));
        python
    };
    check(python, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodemailer_submits_by_both_doors() {
    let node = |_: &Clinic| {
        let mut node = Command::new("node");
        // Where Debian puts it; not every build of Node.js looks there.
        node.arg(clients().join("send.js")).env("NODE_PATH", "/usr/share/nodejs");
        node
    };
    check(node, 12).await;
}

/// It knows no SMTPUTF8.
#[tokio::test(flavor = "multi_thread")]
async fn phpmailer_submits_by_both_doors() {
    let php = |_: &Clinic| {
        let mut php = Command::new("php");
        php.arg(clients().join("send.php"));
        php
    };
    check(php, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jakarta_mail_submits_by_both_doors() {
    let java = |clinic: &Clinic| {
        let hosts = clinic.file("hosts", format!("{} {HOSTNAME}\n", clinic.submission.ip()).as_bytes());
        let mut java = Command::new("java");
        java.args(["-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8"]);
        java.arg(format!("-Djdk.net.hosts.file={}", hosts.display()));
        java.args(["-cp", "/usr/share/java/jakarta-mail.jar:/usr/share/java/jakarta-activation.jar"]);
        java.arg(clients().join("Send.java"));
        java
    };
    check(java, 12).await;
}
