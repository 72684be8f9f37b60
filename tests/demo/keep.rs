//! `make demo KEEP=1`: the clinic stays, with lines to try by hand.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::letters::LETTERS;
use crate::show::title;
use crate::world::Result;
use crate::world::daemon::binary;
use crate::{Clinic, LOGIN, PASSWORD, Sent, file_of};

/// Prints lines about the morning's mail, and waits for Ctrl-C.
pub async fn morning(clinic: &Clinic, sent: &[Sent]) -> Result<()> {
    opened(clinic)?;
    let id = |title: &str| {
        let of = sent.iter().find(|sent| sent.letter.title == title);
        of.and_then(|sent| sent.answer.clone().ok()).unwrap_or_default()
    };
    lines(&[
        ("queue list".to_owned(), "what is held, and why"),
        (format!("queue release {}", id("To the press")), "let the mail to the press go"),
        (format!("explain {}", id("To the press")), "and see how it went"),
        (format!("explain {}", id("Referral")), "one message, two recipients, two ends"),
        ("trace --to claims@plainpayer.example".to_owned(), "all mail to one recipient, also years later"),
        (format!("audit list --message {}", id("Referral")), "its rows in the log"),
        ("audit match letter-1.eml".to_owned(), "did this very file pass here?"),
        ("audit verify".to_owned(), "was the log altered?"),
    ]);
    let refused = LETTERS.iter().position(|letter| letter.title == "To free mail").unwrap_or_default();
    let letter = &LETTERS[refused];
    let recipients: Vec<&str> = letter.recipients.iter().map(|(address, _)| *address).collect();
    println!("\n  # decide a file without sending it");
    println!(
        "  ./sealpost explain {} \\\n    --from {} --to {}",
        file_of(refused),
        letter.sender,
        recipients.join(" ")
    );
    println!("\n  # send another message");
    println!("  swaks --server {} --tls --tls-verify --tls-ca-path clinic/tls/ca.pem \\", clinic.address);
    println!("    --auth PLAIN --auth-user {LOGIN} --auth-password {PASSWORD} \\");
    println!("    --from {} --to dr.okafor@bayside.example --h-Subject '[secure] hello'", LETTERS[0].sender);
    closed(clinic).await
}

/// Prints lines about the policy, and waits for Ctrl-C.
pub async fn policy(clinic: &Clinic) -> Result<()> {
    opened(clinic)?;
    lines(&[
        ("policy check clinic/new.toml".to_owned(), "another config: mail to patients is held"),
        ("policy diff clinic/new.toml".to_owned(), "what it changes"),
        ("policy replay clinic/new.toml".to_owned(), "what it would have meant for the mail so far"),
        ("policy test".to_owned(), "the cases: clinic/policy-tests.toml"),
        ("policy report".to_owned(), "what would have become of the copies"),
        ("audit config".to_owned(), "what was in force; policy rollback goes back"),
        ("queue list".to_owned(), "what is held, and why"),
    ]);
    let first = &LETTERS[0];
    println!("\n  # decide a file without sending it");
    println!("  ./sealpost explain {} --from {} --to {}", file_of(0), first.sender, first.recipients[0].0);
    println!("\n  # change a rule, try it, have it taken: the cases are run first");
    println!("  editor clinic/sealpost.toml; ./sealpost policy diff; ./sealpost policy test");
    println!("  kill -HUP {}", clinic.daemon.pid().unwrap_or_default());
    closed(clinic).await
}

/// Makes a `sealpost` that knows the config.
fn opened(clinic: &Clinic) -> Result<()> {
    let script =
        format!("#!/bin/sh\nexec '{}' \"$@\" --config '{}'\n", binary()?.display(), clinic.daemon.config.display());
    let path = clinic.home.join("sealpost");
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    title("The clinic stays open. In another terminal:");
    println!("  cd {}\n", clinic.home.display());
    Ok(())
}

fn lines(lines: &[(String, &str)]) {
    for (line, what) in lines {
        println!("  ./sealpost {line:48} # {what}");
    }
}

async fn closed(clinic: &Clinic) -> Result<()> {
    println!("\n  tail -f clinic/daemon.log");
    println!("\nCtrl-C ends it and removes {}.", clinic.home.display());
    tokio::signal::ctrl_c().await?;
    println!();
    Ok(())
}
