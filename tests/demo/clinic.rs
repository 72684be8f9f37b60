//! A morning at a clinic that does not exist: Sealpost, its partners' mail servers and a dozen messages, all on this
//! machine. Ends with an error when one of them did not end as it should.

#![allow(unreachable_pub, reason = "a program exports nothing")]

#[path = "../world/mod.rs"]
mod world;

mod letters;
mod outcome;
mod partners;
mod show;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::letters::{Expected, LETTERS, Letter};
use crate::outcome::Told;
use crate::partners::Partners;
use crate::show::{Tone, head, row, title, toned};
use crate::world::daemon::{Daemon, HOSTNAME, binary, free_address, run};
use crate::world::mx::Delivery;
use crate::world::{Result, STEP};

const LOGIN: &str = "ehr";
const PASSWORD: &str = "only-for-the-demo";
/// The longest until every recipient has its end or is held.
const PATIENCE: Duration = Duration::from_secs(120);

/// A letter on its way: its number in the queue, or the refusal.
struct Sent {
    letter: &'static Letter,
    answer: std::result::Result<String, String>,
}

struct Clinic {
    daemon: Daemon,
    partners: Partners,
    address: SocketAddr,
    folder: PathBuf,
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
    let mut clinic = open(home.path()).await?;
    let sent = submit_all(&clinic)?;
    let told = wait(&clinic, &sent)?;
    let mut good = table(&sent, &told);
    good &= partners_agree(&clinic, &told);
    good &= proofs(&clinic)?;
    if std::env::var_os("KEEP").is_some_and(|keep| keep == "1") {
        keep(&clinic).await?;
        // Ctrl-C reached Sealpost as well; how it ended then says nothing.
        clinic.daemon.stop()?;
        return Ok(ExitCode::SUCCESS);
    }
    good &= clinic.daemon.stop()?.success();
    let verdict = if good {
        toned("Everything went as it should.", Tone::Good)
    } else {
        toned("Not as it should be; see above.", Tone::Bad)
    };
    println!("\n{verdict}");
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn open(home: &Path) -> Result<Clinic> {
    title("The partners");
    let partners = Partners::start(&home.join("partners-ca.pem")).await?;
    for partner in &partners.all {
        println!("  {:22} {}", partner.domain, partner.words);
    }
    println!(
        "  {}",
        toned(&format!("found by {}; a recording proxy stands before each", partners.found_by), Tone::Quiet)
    );
    title("The clinic");
    let folder = home.join("clinic");
    let mut daemon = Daemon::init(&binary()?, &folder)?;
    println!("  sealpost init {}", folder.display());
    let address = free_address()?;
    daemon.configure(&config(address))?;
    daemon.configure(&partners.overlay)?;
    add_client(&daemon)?;
    daemon.start()?;
    println!("  sealpost serve: {HOSTNAME} takes mail from the EHR at {address} (STARTTLS, AUTH)");
    Ok(Clinic { daemon, partners, address, folder })
}

/// What differs from a config as `init` writes it: loopback ports, waits of seconds instead of hours, three rules.
fn config(address: SocketAddr) -> String {
    format!(
        r#"
[[listener]]
role = "submission"
bind = "{address}"
[queue]
retry = ["2s", "3s"]
floor_patience = "5s"
expire = "15s"
[delivery]
connect = "3s"
[[policy.rule]]
name = "The newsletter may go over any TLS"
when = {{ sender = ["news@clinic.example"], phi = false }}
deliver = ["tls:encrypted"]
[[policy.rule]]
name = "No charts to free mail"
when = {{ recipient_domain = ["freemail.example"], phi = true }}
reject = "health data is not sent to free mail; use the portal"
"#
    )
}

fn add_client(daemon: &Daemon) -> Result<()> {
    // `client add` reads a password from its standard input, so that it stands in no process list.
    let mut add = Command::new("sh");
    let script = r#"printf '%s\n' "$DEMO_PASSWORD" | "$1" client add ehr --login "$2" --sender '*@clinic.example' --password-stdin --config "$3""#;
    add.args(["-c", script, "sh"]).arg(binary()?).arg(LOGIN).arg(&daemon.config).env("DEMO_PASSWORD", PASSWORD);
    run(add, &daemon.folder)?.good()?;
    println!("  sealpost client add ehr --sender '*@clinic.example'");
    Ok(())
}

fn submit_all(clinic: &Clinic) -> Result<Vec<Sent>> {
    title(&format!("Submitting {} messages with swaks", LETTERS.len()));
    let mut sent = Vec::new();
    for (index, letter) in LETTERS.iter().enumerate() {
        let answer = submit(clinic, letter, index + 1)?;
        let words = match &answer {
            Ok(id) => format!("250 kept as {id}"),
            Err(text) => text.clone(),
        };
        println!("  {:>2}/{} {:18} {words}", index + 1, LETTERS.len(), letter.title);
        sent.push(Sent { letter, answer });
    }
    Ok(sent)
}

fn submit(clinic: &Clinic, letter: &Letter, number: usize) -> Result<std::result::Result<String, String>> {
    let file = clinic.folder.join(format!("letter-{number}.eml"));
    std::fs::write(&file, letter.compose(number))?;
    let to: Vec<&str> = letter.recipients.iter().map(|(address, _)| *address).collect();
    let mut command = swaks(clinic);
    command.arg("--from").arg(letter.sender).arg("--to").arg(to.join(","));
    command.arg("--data").arg(format!("@{}", file.display()));
    let printed = run(command, &clinic.folder)?;
    if let Some((_, id)) = printed.out.split_once("queued as ") {
        let id = id.split(|letter: char| !letter.is_alphanumeric() && letter != '-').next().unwrap_or_default();
        return Ok(Ok(id.to_owned()));
    }
    // swaks marks the server's lines with `<` and how it took them: `<~  `, `<** `.
    let replies = printed.out.lines().filter_map(|line| line.strip_prefix('<')?.split_once(' '));
    match replies.map(|(_, reply)| reply.trim()).find(|reply| reply.starts_with('5')) {
        Some(refusal) => Ok(Err(refusal.to_owned())),
        None => Err(format!("swaks: {}\n{}{}", printed.status, printed.out, printed.err).into()),
    }
}

fn swaks(clinic: &Clinic) -> Command {
    let mut command = Command::new("swaks");
    let ca = clinic.folder.join("tls/ca.pem");
    command.arg("--server").arg(clinic.address.to_string()).args(["--timeout", &STEP.as_secs().to_string()]);
    command.args(["--tls", "--tls-verify", "--tls-ca-path"]).arg(ca);
    command.args(["--auth", "PLAIN", "--auth-user", LOGIN, "--auth-password", PASSWORD]);
    command
}

/// Asks until every recipient is delivered, held or ended otherwise.
fn wait(clinic: &Clinic, sent: &[Sent]) -> Result<Vec<Vec<Told>>> {
    title("Waiting until every recipient is delivered, held or ended");
    let end = Instant::now() + PATIENCE;
    let mut shown = String::new();
    loop {
        let told: Result<Vec<Vec<Told>>> = sent.iter().map(|sent| ask(clinic, sent)).collect();
        let told = told?;
        let open = told.iter().flatten().filter(|told| !told.is_settled()).count();
        let all = told.iter().flatten().count();
        let line = format!("  {} of {all} recipients settled", all - open);
        if line != shown {
            println!("{line}");
            shown = line;
        }
        if open == 0 || Instant::now() > end {
            return Ok(told);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn ask(clinic: &Clinic, sent: &Sent) -> Result<Vec<Told>> {
    let refusal = match &sent.answer {
        Ok(id) => return outcome::of(&clinic.daemon, id),
        Err(refusal) => refusal,
    };
    let refused = |(address, _): &(&str, Expected)| Told {
        recipient: (*address).to_owned(),
        found: "-".to_owned(),
        method: "-".to_owned(),
        tls: "-".to_owned(),
        state: Expected::Refused.name().to_owned(),
        why: format!("The EHR was told: {refusal}"),
    };
    Ok(sent.letter.recipients.iter().map(refused).collect())
}

/// Prints the table; true when every recipient ended as the letter expects.
fn table(sent: &[Sent], told: &[Vec<Told>]) -> bool {
    title("What became of them");
    head();
    let mut good = true;
    for (sent, told) in sent.iter().zip(told) {
        for &(address, expected) in sent.letter.recipients {
            let Some(found) = told.iter().find(|told| told.recipient == address) else {
                println!("{}", toned(&format!("{address}: nothing is known of this recipient"), Tone::Bad));
                good = false;
                continue;
            };
            let as_expected = found.state == expected.name();
            good &= as_expected;
            let tone = match expected {
                _ if !as_expected => Tone::Bad,
                Expected::Delivered => Tone::Good,
                Expected::Held | Expected::Bounced | Expected::Expired | Expected::Refused => Tone::Kept,
            };
            row(sent.letter.title, found, tone);
            if !as_expected {
                println!("    {}", toned(&format!("expected: {}", expected.name()), Tone::Bad));
            }
        }
    }
    good
}

/// What Sealpost calls delivered, the partners have; and they have nothing of what it holds.
fn partners_agree(clinic: &Clinic, told: &[Vec<Told>]) -> bool {
    title("What the partners have");
    let mut good = true;
    for partner in &clinic.partners.all {
        let Some(server) = partner.server() else { continue };
        let deliveries = server.deliveries();
        let clear = deliveries.iter().filter(|delivery| delivery.tls_version.is_none()).count();
        // Sealpost's own notices come from its own address, or from none.
        let by_clinic = |delivery: &&Delivery| LETTERS.iter().any(|letter| letter.sender == delivery.sender);
        let (letters, notices): (Vec<&Delivery>, Vec<&Delivery>) = deliveries.iter().partition(by_clinic);
        let copies: usize = letters.iter().map(|delivery| delivery.recipients.len()).sum();
        let here =
            |told: &&Told| told.state == "delivered" && told.recipient.ends_with(&format!("@{}", partner.domain));
        let said = told.iter().flatten().filter(here).count();
        let agree = said == copies && clear == 0;
        good &= agree;
        let line = format!(
            "  {:22} took {copies} (Sealpost says {said}), {} notices by Sealpost itself, {clear} in clear",
            partner.domain,
            notices.len()
        );
        println!("{}", if agree { line } else { toned(&line, Tone::Bad) });
    }
    good
}

fn proofs(clinic: &Clinic) -> Result<bool> {
    title("The audit chain: sealpost audit verify");
    let verified = clinic.daemon.run(&["audit", "verify"])?;
    let mut good = verified.status.success();
    for line in verified.out.lines().chain(verified.err.lines()) {
        println!("  {line}");
    }
    title("What crossed the wire in clear");
    for partner in &clinic.partners.all {
        let Some(proxy) = partner.proxy() else { continue };
        let summary = proxy.summary();
        good &= summary.faults.is_empty();
        let words = match (summary.connections, summary.faults.is_empty()) {
            (0, _) => "nothing crossed".to_owned(),
            (_, true) => toned("in clear only greeting, EHLO, STARTTLS, QUIT", Tone::Good),
            (_, false) => toned(&summary.faults.join("; "), Tone::Bad),
        };
        println!(
            "  {:22} {:>3} connections, {:>3} under TLS: {words}",
            partner.domain, summary.connections, summary.under_tls
        );
    }
    Ok(good)
}

async fn keep(clinic: &Clinic) -> Result<()> {
    title("Still running; to try by hand (Ctrl-C ends it)");
    let config = clinic.daemon.config.display();
    let sealpost = binary()?;
    let sealpost = sealpost.display();
    println!(
        "  swaks --server {} --tls --auth PLAIN --auth-user {LOGIN} --auth-password {PASSWORD} \\\n    --from {} --to dr.okafor@bayside.example --h-Subject '[secure] hello'",
        clinic.address, LETTERS[0].sender
    );
    for line in ["queue list", "trace --to dr.okafor@bayside.example", "audit list", "explain ID"] {
        println!("  {sealpost} {line} --config {config}");
    }
    println!("  tail -f {}", clinic.folder.join("daemon.log").display());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
