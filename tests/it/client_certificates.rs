//! A client is known by the certificate that it shows: by AUTH EXTERNAL, or without any AUTH, as machines do that cannot log
//! in. One that is expired, unknown or for another network lets nobody in, and the log says why.

#![cfg(test)]

use std::process::Command;

use data_encoding::HEXLOWER;
use sealpost::crypto::sha256;

use crate::clinic::{Clinic, PASSWORD, letter, mail, queued};
use crate::world::authority::{Authority, Identity, Kind, certified_client};
use crate::world::behaviour::Behaviour;
use crate::world::client::{Client, Entry};
use crate::world::daemon::HOSTNAME;

/// A clinic with five clients that have certificates, and these certificates.
struct Certified {
    clinic: Clinic,
    authority: Authority,
    /// Pinned whole.
    scanner: Identity,
    /// Pinned by its key.
    billing: Identity,
    /// Pinned, and run out.
    old: Identity,
    /// Pinned, and taken from another network only.
    branch: Identity,
}

async fn certified() -> Certified {
    let mut clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let (authority, other) = (Authority::new("Clients' CA").unwrap(), Authority::new("Other").unwrap());
    let issue = |name: &str, kind| other.issue(name, kind).unwrap();
    let (scanner, billing) = (issue("scanner", Kind::SelfSigned), issue("billing", Kind::SelfSigned));
    let (old, branch) = (issue("old", Kind::Expired), issue("branch", Kind::Valid));
    let whole = |identity: &Identity| format!("certificate:{}", sha256(&identity.certificate));
    let client =
        |name: &str, more: &str| format!("[[client]]\nname = \"{name}\"\nsenders = [\"*@clinic.example\"]\n{more}\n");
    let pinned = |name: &str, pin: &str| client(name, &format!("certificate = [\"{pin}\"]"));
    let text = [
        std::fs::read_to_string(&clinic.daemon.config).unwrap(),
        pinned("scanner", &whole(&scanner)),
        pinned("billing", &format!("key:{}", key(&clinic, &billing))),
        pinned("old", &whole(&old)),
        client("branch", &format!("certificate = [\"{}\"]\nnetworks = [\"10.9.8.0/24\"]", whole(&branch))),
        pinned("imaging", "name:imaging.clinic.example"),
    ];
    std::fs::write(&clinic.daemon.config, text.concat().replace("[[tls.certificate]]", "[tls]\n[[tls.certificate]]"))
        .unwrap();
    let ca = clinic.file("clients-ca.pem", authority.pem.as_bytes());
    clinic.daemon.configure(&format!("[tls]\nclient_ca_file = \"{}\"\n", ca.display())).unwrap();
    clinic.daemon.reload().unwrap();
    Certified { clinic, authority, scanner, billing, old, branch }
}

/// The SHA-256 of a public key, as OpenSSL tells it.
fn key(clinic: &Clinic, identity: &Identity) -> String {
    clinic.file("shown.pem", identity.chain_pem.as_bytes());
    let mut shell = Command::new("sh");
    let script =
        "openssl x509 -in shown.pem -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r";
    shell.args(["-c", script]).current_dir(&clinic.daemon.folder);
    clinic.run(shell).good().unwrap().split(' ').next().unwrap().to_owned()
}

impl Certified {
    async fn connect(&self, identity: &Identity) -> Client {
        let entry = Entry::Implicit(certified_client(identity).unwrap(), HOSTNAME.to_owned());
        Client::connect(self.clinic.submissions, &entry).await.unwrap()
    }

    /// Sends a message without AUTH, and gives what the story says of how its client was known.
    async fn sends(&self, identity: &Identity) -> String {
        let mut client = self.connect(identity).await;
        let replies = client.send(&mail(&["results@lab.example"], &letter("scan", "x"))).await.unwrap();
        self.known(&queued(replies.last()))
    }

    fn known(&self, id: &str) -> String {
        let told = self.clinic.daemon.run(&["explain", id]).unwrap().good().unwrap();
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        told.split_once(" from the client ").unwrap().1.split_once(" at ").unwrap().0.to_owned()
    }

    async fn refused(&self, identity: &Identity, why: &str) {
        let mut client = self.connect(identity).await;
        assert!(!client.offers("AUTH") || !client.extensions.iter().any(|line| line.contains("EXTERNAL")));
        assert_eq!(client.command("AUTH EXTERNAL =").await.unwrap().code, 504);
        assert_eq!(client.command("MAIL FROM:<ann@clinic.example>").await.unwrap().code, 530);
        self.clinic.logged(&format!("a client's certificate is not taken: {why}"), 1).await;
        // A certificate that is not taken does not keep its client from logging in.
        assert_eq!(client.login("ehr", PASSWORD).await.unwrap().code, 235);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_cannot_log_in_is_known_by_its_certificate_alone() {
    let set = certified().await;
    assert_eq!(set.sends(&set.scanner).await, "\"scanner\" (known by its certificate)");
    assert_eq!(set.sends(&set.billing).await, "\"billing\" (known by its certificate)");
    let imaging = set.authority.issue("imaging.clinic.example", Kind::Valid).unwrap();
    assert_eq!(set.sends(&imaging).await, "\"imaging\" (known by its certificate)");
    // A session of TLS that is resumed is as well known as the first.
    let entry = Entry::Implicit(certified_client(&set.scanner).unwrap(), HOSTNAME.to_owned());
    for _ in 0..3 {
        let mut client = Client::connect(set.clinic.submissions, &entry).await.unwrap();
        assert_eq!(client.command("MAIL FROM:<ann@clinic.example>").await.unwrap().code, 250);
    }
    let mut client = set.connect(&set.scanner).await;
    assert_eq!(client.command("MAIL FROM:<ann@elsewhere.example>").await.unwrap().code, 553);
    // It may still be somebody else, who logs in over this machine.
    assert_eq!(client.login("ehr", PASSWORD).await.unwrap().code, 235);
    assert_eq!(client.command("AUTH EXTERNAL =").await.unwrap().code, 503);
    let replies = client.send(&mail(&["results@lab.example"], &letter("scan", "x"))).await.unwrap();
    assert_eq!(set.known(&queued(replies.last())), "\"ehr\" (known by its password)");
}

#[tokio::test(flavor = "multi_thread")]
async fn external_logs_in_whoever_the_certificate_says_it_is() {
    let set = certified().await;
    let mut client = set.connect(&set.scanner).await;
    assert!(client.extensions.iter().any(|line| line.starts_with("AUTH EXTERNAL ")), "{:?}", client.extensions);
    // "billing", in base64.
    assert_eq!(client.command("AUTH EXTERNAL YmlsbGluZw==").await.unwrap().code, 535);
    assert_eq!(client.command("AUTH EXTERNAL").await.unwrap().code, 334);
    assert_eq!(client.command("").await.unwrap().code, 235);
    assert_eq!(client.command("AUTH EXTERNAL =").await.unwrap().code, 503);
    set.clinic.daemon.run(&["client", "suspend", "scanner"]).unwrap().good().unwrap();
    let mut client = set.connect(&set.scanner).await;
    assert!(client.command("AUTH EXTERNAL =").await.unwrap().text().starts_with("454 4.7.0 this login is suspended"));
    let told = client.send(&mail(&["results@lab.example"], &letter("scan", "x"))).await.unwrap().last().text();
    assert!(told.starts_with("454 4.7.0 this login is suspended"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn msmtp_logs_in_with_its_certificate_and_curl_sends_with_it() {
    let set = certified().await;
    let clinic = &set.clinic;
    let (chain, key) = set.billing.write(&clinic.daemon.folder, "billing").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let settings = format!(
        "account default\nhost {}\nport {}\ntimeout 20\ntls on\ntls_trust_file {}\ntls_host_override {HOSTNAME}\n\
         auth external\nuser billing\ntls_cert_file {}\ntls_key_file {}\nfrom ann@clinic.example\n",
        clinic.submission.ip(),
        clinic.submission.port(),
        clinic.ca().display(),
        chain.display(),
        key.display(),
    );
    let file = clinic.file("msmtprc", settings.as_bytes());
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    clinic.file("letter.eml", &letter("bill", "x"));
    let mut shell = Command::new("sh");
    shell.args(["-c", "tr -d '\\r' <letter.eml | msmtp --file=msmtprc -- results@lab.example"]);
    shell.current_dir(&clinic.daemon.folder);
    clinic.run(shell).good().unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--ssl-reqd", "--mail-from", "ann@clinic.example"]);
    curl.args(["--mail-rcpt", "results@lab.example", "--upload-file", "letter.eml"]);
    curl.arg("--cacert").arg(clinic.ca()).arg("--cert").arg(&chain).arg("--key").arg(&key);
    let (ip, port) = (clinic.submission.ip(), clinic.submission.port());
    curl.arg("--connect-to").arg(format!("{HOSTNAME}:{port}:{ip}:{port}")).arg(format!("smtp://{HOSTNAME}:{port}"));
    curl.current_dir(&clinic.daemon.folder);
    clinic.run(curl).good().unwrap();
    for delivery in clinic.taken("lab.example", 2).await {
        let content = String::from_utf8_lossy(&delivery.content).into_owned();
        let id = content.split_once("with ESMTPSA id ").unwrap().1.split_once(';').unwrap().0;
        assert_eq!(set.known(id), "\"billing\" (known by its certificate)");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_says_nothing_lets_nobody_in_and_the_log_says_why() {
    let set = certified().await;
    let stranger = set.authority.issue("stranger.example", Kind::Valid).unwrap();
    let pin = format!("no client in the config has it: write certificate = [\"key:{}\"]", key(&set.clinic, &stranger));
    set.refused(&stranger, &pin).await;
    let poser = Authority::new("Clients' CA").unwrap().issue("imaging.clinic.example", Kind::Valid).unwrap();
    set.refused(&poser, "a client has this name, and tls.client_ca_file does not trust the certificate's issuer").await;
    set.refused(&set.old, "it has expired").await;
    let late = set.authority.issue("imaging.clinic.example", Kind::Expired).unwrap();
    set.clinic.logged("it has expired", 1).await;
    let mut client = set.connect(&late).await;
    assert_eq!(client.command("MAIL FROM:<ann@clinic.example>").await.unwrap().code, 530);
    set.clinic.logged("it has expired", 2).await;
    set.refused(&set.branch, "its client may not come from this network").await;
    let digits = HEXLOWER.encode(&sha256(&set.scanner.certificate).0);
    assert!(std::fs::read_to_string(&set.clinic.daemon.config).unwrap().contains(&digits));
}
