//! A morning at a clinic that does not exist: Sealpost, its partners' mail servers and a dozen messages, all on this
//! machine. Ends with an error when one of them did not end as it should.

#![allow(unreachable_pub, reason = "a program exports nothing")]

#[path = "../world/mod.rs"]
mod world;

mod keep;
mod letters;
mod outcome;
mod partners;
mod proof;
mod show;
mod tour;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::letters::{Expected, LETTERS, Letter};
use crate::outcome::Told;
use crate::partners::Partners;
use crate::show::{Tone, head, paragraph, row, title, toned};
use crate::world::daemon::{Daemon, HOSTNAME, binary, free_address, run};
use crate::world::{Result, STEP};

const LOGIN: &str = "ehr";
const PASSWORD: &str = "only-for-the-demo";
/// The longest until every recipient has its end or is held.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(500);
/// The exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;
/// How much of the log is shown when something went wrong.
const LOG_TAIL: usize = 20;

/// The rules of the clinic that the tour has too.
const RULES: &str = r#"[[policy.rule]]
name = "The newsletter may go over any TLS"
when = { sender = ["news@clinic.example"], phi = false }
deliver = ["tls:encrypted"]
[[policy.rule]]
name = "No charts to free mail"
when = { recipient_domain = ["freemail.example"], phi = true }
reject = "health data is not sent to free mail; please call the patient"
"#;

/// A letter on its way: its number in the queue, or the refusal.
struct Sent {
    letter: &'static Letter,
    answer: std::result::Result<String, String>,
}

struct Clinic {
    daemon: Daemon,
    partners: Partners,
    address: SocketAddr,
    home: PathBuf,
}

/// How it went, before the clinic is closed.
struct Morning {
    clinic: Clinic,
    sent: Vec<Sent>,
    good: bool,
}

fn main() -> ExitCode {
    match demo() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn demo() -> Result<ExitCode> {
    let home = tempfile::Builder::new().prefix("sealpost-demo-").tempdir()?;
    let begin = Instant::now();
    // Without this, Ctrl-C would leave the folder with its keys behind.
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let interrupted = || {
        println!("\nStopped before the end; everything was removed.");
        Ok(ExitCode::from(INTERRUPTED))
    };
    if let Some(name) = std::env::args().nth(1) {
        let went = tokio::select! {
            biased;
            _ = &mut interrupt => None,
            went = tour(&name, home.path()) => Some(went?),
        };
        let Some((clinic, good)) = went else { return interrupted() };
        if keep_open() {
            keep::policy(&clinic).await?;
        }
        return closed(clinic, good);
    }
    let went = tokio::select! {
        biased;
        _ = &mut interrupt => None,
        went = morning(home.path()) => Some(went),
    };
    let Morning { clinic, sent, good } = match went {
        None => return interrupted(),
        // What Ctrl-C does to a mail client is no fault of it.
        Some(Err(_)) if tokio::time::timeout(GLANCE, interrupt).await.is_ok() => return interrupted(),
        Some(went) => went?,
    };
    conclude(&clinic, good, begin.elapsed())?;
    if keep_open() {
        keep::morning(&clinic, &sent).await?;
    }
    closed(clinic, good)
}

fn closed(mut clinic: Clinic, good: bool) -> Result<ExitCode> {
    let stopped = clinic.daemon.stop()?.success();
    Ok(if good && stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The clinic as the tour leaves it, and whether every claim held.
async fn tour(name: &str, home: &Path) -> Result<(Clinic, bool)> {
    match name {
        "policy" => tour::policy(home).await,
        other => Err(format!("there is no tour {other}; there is TOUR=policy").into()),
    }
}

/// Whether KEEP=1 was given.
fn keep_open() -> bool {
    std::env::var_os("KEEP").is_some_and(|keep| keep == "1")
}

async fn morning(home: &Path) -> Result<Morning> {
    println!("{}", toned("A morning at a clinic that does not exist", Tone::Title));
    paragraph(
        "People, partners and numbers are invented, and nothing leaves this machine. Sealpost relays the clinic's mail: \
         it looks for health information, and delivers only over a connection that is protected well enough, or holds \
         the message and tells somebody.",
        0,
    );
    let clinic = open(home).await?;
    let sent = submit_all(&clinic).await?;
    let told = wait(&clinic, &sent).await?;
    let mut good = table(&clinic, &sent, &told);
    if let Some(held) =
        sent.iter().find(|sent| sent.letter.title == "Referral").and_then(|sent| sent.answer.as_ref().ok())
    {
        proof::show_notice(&clinic, held);
        proof::show_explanation(&clinic.daemon, held)?;
    }
    good &= proof::partners_agree(&clinic, &told);
    good &= proof::log_is_whole(&clinic.daemon)?;
    good &= proof::forgery_shows(&clinic)?;
    Ok(Morning { clinic, sent, good })
}

async fn open(home: &Path) -> Result<Clinic> {
    title("The partners' mail servers");
    let partners = Partners::start(&home.join("partners-ca.pem")).await?;
    for partner in &partners.all {
        println!("  {:21} {}", partner.domain, partner.words);
    }
    paragraph(&format!("Sealpost finds them {}. A proxy before each records what crosses.", partners.found_by), 2);
    title("The clinic");
    let mut daemon = Daemon::init(&binary()?, &home.join("clinic"))?;
    println!("  sealpost init {}", daemon.folder.display());
    let address = free_address()?;
    daemon.configure(&config(address)?)?;
    daemon.configure(&partners.overlay)?;
    daemon.add_client(LOGIN, PASSWORD)?;
    println!("  sealpost client add {LOGIN} --sender '*@clinic.example'");
    daemon.start()?;
    println!("  sealpost serve");
    paragraph(&format!("{HOSTNAME} takes mail from the clinic's EHR at {address}, after TLS and a login."), 2);
    Ok(Clinic { daemon, partners, address, home: home.to_owned() })
}

/// What differs from a config as `init` writes it: loopback ports, waits of seconds instead of hours, three rules.
fn config(address: SocketAddr) -> Result<String> {
    let http = free_address()?;
    Ok(format!(
        r#"
[[listener]]
role = "submission"
bind = "{address}"
[http]
bind = "{http}"
[queue]
retry = ["2s", "3s"]
floor_patience = "5s"
expire = "12s"
[delivery]
connect = "3s"
[policy]
secure = ["tls:authenticated"]
{RULES}[[policy.rule]]
name = "Press mail waits"
when = {{ recipient_domain = ["dailynews.example"] }}
hold = "somebody reads it first"
"#
    ))
}

async fn submit_all(clinic: &Clinic) -> Result<Vec<Sent>> {
    title(&format!("The EHR hands over {} messages (with swaks, a mail client for tests)", LETTERS.len()));
    let mut sent = Vec::new();
    for (index, letter) in LETTERS.iter().enumerate() {
        let answer = submit(clinic, letter, index)?;
        let words = match &answer {
            Ok(id) => format!("250 kept as {id}"),
            Err(text) => text.clone(),
        };
        println!("  {:>2}/{} {:17} {words}", index + 1, LETTERS.len(), letter.title);
        sent.push(Sent { letter, answer });
        // Ctrl-C is looked at here.
        tokio::task::yield_now().await;
    }
    Ok(sent)
}

/// The name of a letter's file in the demo's folder.
fn file_of(index: usize) -> String {
    format!("letter-{}.eml", index + 1)
}

fn submit(clinic: &Clinic, letter: &Letter, index: usize) -> Result<std::result::Result<String, String>> {
    let text = letter.compose(index + 1);
    std::fs::write(clinic.home.join(file_of(index)), &text)?;
    hand_over(clinic, LOGIN, letter, &text)
}

/// Hands a message over as a client: its id, or the refusal.
fn hand_over(clinic: &Clinic, login: &str, letter: &Letter, text: &str) -> Result<std::result::Result<String, String>> {
    let to: Vec<&str> = letter.recipients.iter().map(|(address, _)| *address).collect();
    let mut command = swaks(clinic, login);
    command.arg("--from").arg(letter.sender).arg("--to").arg(to.join(","));
    // swaks ends the last line itself.
    command.arg("--data").arg(text.trim_end_matches('\n'));
    let printed = run(command, &clinic.home).map_err(|error| format!("swaks: {error}"))?;
    for words in ["queued as ", "observed, and not sent, as "] {
        if let Some((_, id)) = printed.out.split_once(words) {
            let id = id.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
            return Ok(Ok(id.to_owned()));
        }
    }
    // swaks marks the server's lines with `<` and how it took them: `<~  `, `<** `.
    let replies = printed.out.lines().filter_map(|line| line.strip_prefix('<')?.split_once(' '));
    match replies.map(|(_, reply)| reply.trim()).find(|reply| reply.starts_with('5')) {
        Some(refusal) => Ok(Err(refusal.to_owned())),
        None => Err(format!("swaks: {}\n{}{}", printed.status, printed.out, printed.err).into()),
    }
}

fn swaks(clinic: &Clinic, login: &str) -> Command {
    let mut command = Command::new("swaks");
    let ca = clinic.daemon.folder.join("tls/ca.pem");
    command.arg("--server").arg(clinic.address.to_string()).args(["--timeout", &STEP.as_secs().to_string()]);
    command.args(["--tls", "--tls-verify", "--tls-ca-path"]).arg(ca);
    command.args(["--auth", "PLAIN", "--auth-user", login, "--auth-password", PASSWORD]);
    command
}

/// Waits until every recipient is delivered, held or ended otherwise, and who has to be told is told.
async fn wait(clinic: &Clinic, sent: &[Sent]) -> Result<Vec<Vec<Told>>> {
    title("Waiting until every recipient is delivered, held or given up (waits of hours are seconds here)");
    let end = Instant::now() + PATIENCE;
    let mut shown = String::new();
    loop {
        let open = still_open(clinic, sent)?;
        let line = match open.len() {
            0 => "  none on the way any more".to_owned(),
            count @ 1..=3 => format!("  {count} on the way: to {}", open.join(", ")),
            count => format!("  {count} on the way"),
        };
        if line != shown {
            println!("{line}");
            shown = line;
        }
        let all_told = sent.iter().all(|sent| told_enough(clinic, sent));
        if (open.is_empty() && all_told) || Instant::now() > end {
            return sent.iter().map(|sent| ask(clinic, sent)).collect();
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// The domains to which something still travels. `queue list` names no people, so that looking leaves no trace in the log.
fn still_open(clinic: &Clinic, sent: &[Sent]) -> Result<Vec<String>> {
    let rows = clinic.daemon.run(&["queue", "list", "--json"])?.good()?;
    let mut open = Vec::new();
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row)?;
        let ours = sent.iter().any(|sent| sent.answer.as_deref().ok() == row["message"].as_str());
        if ours && row["standing"]["state"] == "queued" {
            open.push(row["domain"].as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(open)
}

fn ask(clinic: &Clinic, sent: &Sent) -> Result<Vec<Told>> {
    match &sent.answer {
        Ok(id) => outcome::of(&clinic.daemon, id),
        Err(refusal) => {
            Ok(sent.letter.recipients.iter().map(|(address, _)| outcome::refused(address, refusal)).collect())
        }
    }
}

fn told_enough(clinic: &Clinic, sent: &Sent) -> bool {
    let Ok(id) = &sent.answer else { return true };
    let told = proof::told_about(clinic, id);
    sent.letter
        .recipients
        .iter()
        .flat_map(|(_, end)| proof::to_be_told(sent.letter.sender, *end))
        .all(|who| told.contains(&who))
}

/// Prints the table; true when every recipient ended, and everybody was told, as the letter expects.
fn table(clinic: &Clinic, sent: &[Sent], told: &[Vec<Told>]) -> bool {
    title("What became of them");
    head();
    let mut good = true;
    for (sent, told) in sent.iter().zip(told) {
        for (at, &(address, expected)) in sent.letter.recipients.iter().enumerate() {
            let named = (at == 0).then_some(sent.letter.title);
            let Some(found) = told.iter().find(|told| told.recipient == address) else {
                println!("{}", toned(&format!("{address}: nothing is known of this recipient"), Tone::Bad));
                good = false;
                continue;
            };
            good &= one_row(named, &with_who_was_told(clinic, sent, (found, expected)), expected);
        }
        if !told_enough(clinic, sent) {
            println!("{:17}{}", "", toned("somebody who should have been told of it was not", Tone::Bad));
            good = false;
        }
    }
    println!("{}", "─".repeat(show::WIDTH));
    paragraph(
        "HEALTH: whether it counts as health information. METHOD: what the rules asked for at least. tls:encrypted: an \
         encrypted connection; tls:valid: and the server proves its name with a valid certificate; tls:authenticated: \
         and with one that was agreed on. TLS, CERTIFICATE: what the last connection had.",
        0,
    );
    good
}

fn one_row(named: Option<&str>, found: &Told, expected: Expected) -> bool {
    let as_expected = found.state == expected.name() && found.is_proved();
    let tone = match expected {
        _ if !as_expected => Tone::Bad,
        Expected::Delivered => Tone::Good,
        Expected::Held | Expected::Bounced | Expected::Expired | Expected::Refused => Tone::Kept,
    };
    row(named, found, tone);
    if !as_expected {
        println!("{:17}{}", "", toned(&format!("expected: {}, as METHOD asks", expected.name()), Tone::Bad));
    }
    as_expected
}

fn with_who_was_told(clinic: &Clinic, sent: &Sent, (found, expected): (&Told, Expected)) -> Told {
    let told = sent.answer.as_ref().map(|id| proof::told_about(clinic, id)).unwrap_or_default();
    let why = match (expected, told.as_slice()) {
        (Expected::Delivered | Expected::Refused, _) | (_, []) => found.why.clone(),
        (_, [one]) => format!("{} {one} was told.", found.why),
        (_, several) => format!("{} {} were told.", found.why, several.join(" and ")),
    };
    Told { why, ..found.clone() }
}

/// The verdict, and where to read on.
fn conclude(clinic: &Clinic, good: bool, took: Duration) -> Result<()> {
    if !good {
        println!("\n{}\n", toned("Not as it should be; see above. The end of Sealpost's log:", Tone::Bad));
        let logs = clinic.daemon.logs()?;
        let lines: Vec<&str> = logs.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].iter().for_each(|line| println!("  {line}"));
        return Ok(());
    }
    let verdict = format!("Everything went as it should, in {} s.", took.as_secs());
    println!("\n{}", toned(&verdict, Tone::Good));
    println!("  Set it up for your own EHR    README.md, then docs/operate/install.md");
    println!("  What a rule can say           docs/operate/policy.md");
    println!("  How the log proves itself     docs/reference/audit-format.md");
    if !keep_open() {
        println!("  Try it by hand                make demo KEEP=1");
    }
    Ok(())
}
