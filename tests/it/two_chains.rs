//! RSA beside ECDSA, and a second name: each client is shown the chain that it can check, and that is for the name it asks for.

#![cfg(test)]

use std::fmt::Write;
use std::process::Command;

use crate::clinic::Clinic;
use crate::world::daemon::HOSTNAME;

const OTHER: &str = "mail.branch.example";

/// Has OpenSSL make a certificate in a file, and gives its `[[tls.certificate]]`.
fn issue(clinic: &Clinic, (file, name): (&str, &str), key: &[&str]) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "30", "-newkey"]).args(key);
    openssl.args(["-subj", &format!("/CN={file}"), "-addext", &format!("subjectAltName=DNS:{name}")]);
    openssl.args(["-out", &format!("{file}.pem"), "-keyout", &format!("{file}.key")]);
    openssl.current_dir(&clinic.daemon.folder);
    clinic.run(openssl).good().unwrap();
    let path = clinic.daemon.folder.join(file).display().to_string();
    format!("[[tls.certificate]]\nchain = \"{path}.pem\"\nkey = \"{path}.key\"\n")
}

/// The subject of the certificate that a client with these abilities is shown, or nothing.
fn shown(clinic: &Clinic, name: Option<&str>, abilities: &[&str]) -> Option<String> {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-starttls", "smtp", "-connect", &clinic.submission.to_string()]).args(abilities);
    match name {
        Some(name) => openssl.args(["-servername", name]),
        None => openssl.arg("-noservername"),
    };
    let printed = clinic.run(openssl);
    let subject = printed.out.lines().find_map(|line| line.strip_prefix("subject="))?;
    Some(subject.trim_start_matches("CN").trim_start_matches([' ', '=']).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_is_shown_the_chain_that_it_can_check() {
    let mut clinic = Clinic::open(&[], "").await;
    let ecdsa = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let mut certificates = issue(&clinic, ("ecdsa", HOSTNAME), &ecdsa);
    certificates += &issue(&clinic, ("rsa", HOSTNAME), &["rsa:2048"]);
    certificates += &issue(&clinic, ("branch", OTHER), &ecdsa);
    clinic.daemon.configure(&certificates).unwrap();
    clinic.daemon.reload().unwrap();

    let (old_java, both) = ("ECDHE-RSA-AES128-GCM-SHA256", "RSA-PSS+SHA256:ECDSA+SHA256");
    let mut wrong = String::new();
    for (name, abilities, expected) in [
        (Some(HOSTNAME), &[][..], "ecdsa"),
        (Some(HOSTNAME), &["-sigalgs", "ECDSA+SHA256"], "ecdsa"),
        (Some(HOSTNAME), &["-sigalgs", "RSA-PSS+SHA256"], "rsa"),
        (Some(HOSTNAME), &["-sigalgs", both, "-tls1_3"], "ecdsa"),
        (Some(HOSTNAME), &["-sigalgs", "RSA-PSS+SHA256", "-tls1_2"], "rsa"),
        (Some(HOSTNAME), &["-sigalgs", "ECDSA+SHA256", "-tls1_2"], "ecdsa"),
        // TLS 1.2 with RSA and nothing else, as old Java has it.
        (Some(HOSTNAME), &["-tls1_2", "-cipher", old_java, "-sigalgs", "RSA+SHA256"], "rsa"),
        (Some(HOSTNAME), &["-tls1_2", "-cipher", old_java], "rsa"),
        (Some(HOSTNAME), &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], "ecdsa"),
        (Some(OTHER), &[], "branch"),
        // Of the wrong name, but of a kind that it can check: what a name is worth is for the client to say.
        (Some(OTHER), &["-sigalgs", "RSA-PSS+SHA256"], "rsa"),
        (Some("unheard-of.example"), &[], "ecdsa"),
        (None, &[], "ecdsa"),
        (None, &["-sigalgs", "RSA-PSS+SHA256"], "rsa"),
    ] {
        let shown = shown(&clinic, name, abilities);
        if shown.as_deref() != Some(expected) {
            writeln!(wrong, "{name:?} {abilities:?}: {shown:?} in place of {expected}").unwrap();
        }
    }
    assert_eq!(wrong, "");
    let found = clinic.daemon.run(&["check", "--json"]).unwrap().out;
    for file in ["ecdsa.pem", "rsa.pem", "branch.pem"] {
        assert!(found.contains(file), "{file} in {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_chain_is_shown_beside_one_that_stays() {
    let mut clinic = Clinic::open(&[], "").await;
    let rsa = issue(&clinic, ("rsa", HOSTNAME), &["rsa:2048"]);
    let ecdsa = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let before = issue(&clinic, ("before", HOSTNAME), &ecdsa);
    clinic.daemon.configure(&format!("{before}{rsa}")).unwrap();
    clinic.daemon.reload().unwrap();
    assert_eq!(shown(&clinic, Some(HOSTNAME), &[]).as_deref(), Some("before"));
    let after = issue(&clinic, ("after", HOSTNAME), &ecdsa);
    clinic.daemon.configure(&format!("{after}{rsa}")).unwrap();
    clinic.daemon.reload().unwrap();
    assert_eq!(shown(&clinic, Some(HOSTNAME), &[]).as_deref(), Some("after"));
    assert_eq!(shown(&clinic, Some(HOSTNAME), &["-sigalgs", "RSA-PSS+SHA256"]).as_deref(), Some("rsa"));
}
