//! The corners of AUTH, one row each: first responses, cancelled and broken ones, too long ones, and AUTH out of its place.

#![cfg(test)]

use std::time::{Duration, Instant};

use data_encoding::BASE64;

use crate::clinic::{Clinic, PASSWORD};

fn base64(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

/// What is said, and how each answer begins; `gone` for a connection that is closed.
type Row<'r> = &'r [(&'r str, &'r str)];

async fn play(clinic: &Clinic, row: Row<'_>) -> Result<(), String> {
    let mut client = clinic.stranger().await;
    for (line, expected) in row {
        let told = client.command(line).await.map_or_else(|_| "gone".to_owned(), |reply| reply.text());
        if !told.starts_with(expected) {
            let shown: String = line.chars().take(60).collect();
            return Err(format!("{shown}: {told:?} in place of {expected:?}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_corner_of_auth_is_answered_as_it_should() {
    let clinic = Clinic::open(&[], "[limits]\nlockout_after = 1000\n").await;
    let plain = |text: &str| format!("AUTH PLAIN {}", base64(text));
    let right = plain(&format!("\0ehr\0{PASSWORD}"));
    let (name, password) = (base64("ehr"), base64(PASSWORD));
    let as_itself = plain(&format!("ehr\0ehr\0{PASSWORD}"));
    let as_other = plain(&format!("admin\0ehr\0{PASSWORD}"));
    let nul_in_password = plain(&format!("\0ehr\0{PASSWORD}\0x"));
    let nul_in_name = base64("e\0hr");
    let not_utf8 = format!("AUTH PLAIN {}", BASE64.encode(b"\0ehr\0\xff\xfe"));
    let (ask, bad) = ("334", "501 5.5.2");
    let (long_name, long_password) = (plain(&format!("\0{}\0x", "a".repeat(256))), "x".repeat(1025));
    let long_password = plain(&format!("\0ehr\0{long_password}"));
    let (over, over_line) = (format!("AUTH PLAIN {}", "A".repeat(4096)), "A".repeat(5000));
    let mut wrong = Vec::new();
    let rows: &[Row<'_>] = &[
        &[(&right, "235 2.7.0")],
        &[("auth pLaIn", ask), (right.trim_start_matches("AUTH PLAIN "), "235 2.7.0")],
        &[(&as_itself, "235 2.7.0")],
        &[("AUTH LOGIN", ask), (&name, ask), (&password, "235 2.7.0")],
        &[(&format!("AUTH LOGIN {name}"), ask), (&password, "235 2.7.0")],
        // An empty first response is no name, and no PLAIN message.
        &[("AUTH LOGIN =", bad), ("AUTH PLAIN =", bad), ("AUTH SCRAM-SHA-256 =", bad), (&right, "235")],
        &[("AUTH PLAIN", ask), ("=", bad), ("AUTH PLAIN", ask), ("", bad), (&right, "235")],
        // "*" cancels only where a response is due.
        &[
            ("AUTH PLAIN", ask),
            ("*", "501 5.7.0"),
            ("AUTH LOGIN", ask),
            (&name, ask),
            ("*", "501 5.7.0"),
            (&right, "235"),
        ],
        &[("AUTH PLAIN *", "501 5.7.0"), ("*", "500 5.5.2")],
        &[(&as_other, "535 5.7.8"), (&plain("\0ehr\0"), bad), (&plain("\0\0x"), bad), (&plain("ehr\0x"), bad)],
        &[(&nul_in_password, bad), ("AUTH LOGIN", ask), (&nul_in_name, bad), (&not_utf8, bad), (&plain("x"), bad)],
        &[
            ("AUTH PLAIN AGVocgB4eA", bad),
            ("AUTH PLAIN AGVocg-_", bad),
            ("AUTH PLAIN AGVo cg==", "501"),
            ("AUTH PLAIN  AGVocg==", "501"),
        ],
        &[(&long_name, "500 5.5.6"), (&long_password, "500 5.5.6"), (&right, "235")],
        &[(&over, "500 5.5.6"), ("NOOP", "gone")],
        &[("AUTH PLAIN", ask), (&over_line, "500 5.5.6"), ("NOOP", "gone")],
        &[
            ("AUTH", "501 5.5.4"),
            ("AUTH NTLM", "504 5.5.4"),
            ("AUTH EXTERNAL =", "504 5.5.4"),
            ("AUTH PLAIN!", "504 5.5.4"),
        ],
        &[
            (&right, "235"),
            (&right, "503 5.5.1"),
            ("AUTH LOGIN", "503"),
            ("AUTH SCRAM-SHA-256", "503"),
            ("NOOP", "250"),
        ],
        &[
            (&right, "235"),
            ("MAIL FROM:<ann@clinic.example>", "250"),
            (&right, "503 5.5.1"),
            ("RSET", "250"),
            (&right, "503"),
        ],
        // EHLO in mid-session does not log out, and offers no login again.
        &[(&right, "235"), ("EHLO again", "250"), ("MAIL FROM:<ann@clinic.example>", "250")],
        &[("HELO ehr", "250"), (&right, "503 5.5.1"), ("EHLO ehr", "250"), (&right, "235")],
        // A response that looks like a command is a response; this one is base64 as well.
        &[("AUTH LOGIN", ask), ("QUIT", ask), ("NOOP NOOP", bad), ("NOOP", "250")],
        &[("AUTH PLAIN", ask), ("MAIL FROM:<ann@clinic.example>", bad), ("RCPT TO:<a@b.example>", "530")],
    ];
    for (at, row) in rows.iter().enumerate() {
        if let Err(fault) = play(&clinic, row).await {
            wrong.push(format!("row {at}: {fault}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let log = clinic.daemon.logs().unwrap();
    assert!(!log.contains(PASSWORD) && !log.contains(&password), "{log}");
}

/// Two hashes at once: a crowd that guesses waits for its turn, and who knows the password gets his between theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_guessers_shares_two_hashes_and_the_ehr_still_logs_in() {
    let clinic = Clinic::open(&[], "[limits]\nlockout_after = 1000\n").await;
    let mut guessers = Vec::new();
    for number in 0..24 {
        let mut client = clinic.stranger().await;
        let guess = format!("AUTH PLAIN {}", base64(&format!("\0nobody-{number}\0guess")));
        guessers.push(tokio::spawn(async move { client.command(&guess).await.unwrap().code }));
    }
    let began = Instant::now();
    let mut ehr = clinic.stranger().await;
    assert_eq!(ehr.login("ehr", PASSWORD).await.unwrap().code, 235);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for guesser in guessers {
        assert_eq!(guesser.await.unwrap(), 535);
    }
    let peak = std::fs::read_to_string(format!("/proc/{}/status", clinic.daemon.pid().unwrap())).unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
    assert!(peak.parse::<u64>().unwrap() < 250_000, "{peak} KiB for {} hashes of 19 MiB, of which two run at once", 25);
}
