//! `make demo TOUR=policy`: how a policy is written, tried, watched, changed and taken back, on the outbox of a clinic that
//! does not exist. Each stop makes claims and checks them; one that does not hold ends the tour with an error.

mod live;
mod mailbox;
mod paper;
mod slips;
mod watched;
mod wishes;

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::letters::Letter;
use crate::partners::Partners;
use crate::show::{Tone, paragraph, title, toned};
use crate::world::Result;
use crate::world::daemon::{Daemon, Printed, binary, free_address};
use crate::{Clinic, LOGIN, PASSWORD};
use mailbox::{MAILBOX, Mail};

/// The client that sends a copy of the mail that still goes another way.
const MIRROR: &str = "mirror";

/// The clinic, and how its claims fared.
pub struct Tour {
    clinic: Clinic,
    /// Where people take messages back.
    public: std::net::SocketAddr,
    stops: usize,
    held: usize,
    failed: usize,
}

/// The clinic as it is then, and whether every claim held.
pub async fn policy(home: &Path) -> Result<(Clinic, bool)> {
    let begin = Instant::now();
    println!("{}", toned("A policy that is written, tried, watched, changed and taken back", Tone::Title));
    paragraph(
        "People, partners and numbers are invented, and nothing leaves this machine. Each line with a tick is a claim that \
         this program has just checked.",
        0,
    );
    let mut tour = open(home).await?;
    paper::travel(&mut tour)?;
    paper::masked(&mut tour)?;
    paper::idle(&mut tour)?;
    paper::cases(&mut tour).await?;
    watched::observe(&mut tour)?;
    watched::replay(&mut tour)?;
    live::hand_over(&mut tour).await?;
    live::take_back(&mut tour).await?;
    wishes::subject(&mut tour).await?;
    wishes::opting_out(&mut tour)?;
    slips::caught(&mut tour)?;
    slips::again(&mut tour)?;
    live::go_back(&mut tour)?;
    let Tour { clinic, stops, held, failed, .. } = tour;
    let took = begin.elapsed().as_secs();
    if failed == 0 {
        let text = format!("{stops} stops, {held} claims, all of which hold, in {took} s.");
        println!("\n{}", toned(&text, Tone::Good));
        println!("  What a rule can say           docs/operate/policy.md");
        println!("  Trying a policy               docs/operate/trying.md");
        println!("  What looks like a mistake     docs/operate/mistakes.md");
        if !crate::keep_open() {
            println!("  Try it by hand                make demo TOUR=policy KEEP=1");
        }
    } else {
        println!("\n{}", toned(&format!("{failed} of {} claims do not hold; see above.", held + failed), Tone::Bad));
    }
    Ok((clinic, failed == 0))
}

async fn open(home: &Path) -> Result<Tour> {
    let partners = Partners::start(&home.join("partners-ca.pem")).await?;
    let mut daemon = Daemon::init(&binary()?, &home.join("clinic"))?;
    let (address, http, public) = (free_address()?, free_address()?, free_address()?);
    daemon.configure(&format!(
        "[[listener]]\nrole = \"submission\"\nbind = \"{address}\"\n[http]\nbind = \"{http}\"\npublic_bind = \"{public}\"\n\
         [server]\npublic_url = \"http://{public}\"\n[delivery]\nconnect = \"3s\"\n"
    ))?;
    daemon.configure(&partners.overlay)?;
    daemon.add_client(LOGIN, PASSWORD)?;
    daemon.add_client(MIRROR, PASSWORD)?;
    daemon.configure(&format!("{}{}", mailbox::RULES, crate::RULES))?;
    fs::write(daemon.folder.join("policy-tests.toml"), paper::as_cases())?;
    for (index, mail) in MAILBOX.iter().enumerate() {
        fs::write(home.join(crate::file_of(index)), mail.letter.compose(index + 1))?;
    }
    daemon.start()?;
    let clinic = Clinic { daemon, partners, address, home: home.to_owned() };
    Ok(Tour { clinic, public, stops: 0, held: 0, failed: 0 })
}

impl Tour {
    /// A new stop, with what it is about.
    fn stop(&mut self, name: &str, text: &str) {
        self.stops += 1;
        title(&format!("{}. {name}", self.stops));
        paragraph(text, 0);
    }

    /// A claim, with whether it holds.
    fn claim(&mut self, text: &str, holds: bool) {
        let (mark, tone) = if holds { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
        println!("  {}", toned(&format!("{mark} {text}"), tone));
        if holds {
            self.held += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Runs a subcommand, and shows what was typed and what it printed.
    fn show(&self, arguments: &[&str]) -> Result<Printed> {
        println!("  {}", toned(&format!("$ sealpost {}", self.short(&arguments.join(" "))), Tone::Title));
        let printed = self.clinic.daemon.run(arguments)?;
        for line in printed.out.lines().chain(printed.err.lines()) {
            println!("  {} {}", toned("│", Tone::Quiet), self.short(line));
        }
        Ok(printed)
    }

    /// Without the folder, whose name says nothing.
    fn short(&self, text: &str) -> String {
        let home = self.clinic.home.display().to_string();
        text.replace(&format!("{home}/clinic/"), "").replace(&format!("{home}/"), "")
    }

    fn file(&self, index: usize) -> String {
        self.clinic.home.join(crate::file_of(index)).display().to_string()
    }

    fn config(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.clinic.daemon.config)?)
    }

    /// A config beside the one in force: with a text replaced.
    fn other_config(&self, name: &str, (from, to): (&str, &str)) -> Result<String> {
        let text = self.config()?;
        if !text.contains(from) {
            return Err(format!("the config does not hold {from:?}").into());
        }
        let path = self.clinic.daemon.folder.join(name);
        fs::write(&path, text.replace(from, to))?;
        Ok(path.display().to_string())
    }

    /// Hands a message over as a client: its id, or the refusal.
    fn submit(&self, login: &str, mail: &Mail, index: usize) -> Result<std::result::Result<String, String>> {
        let text = fs::read_to_string(self.clinic.home.join(crate::file_of(index)))?;
        self.submit_text(login, &mail.letter, &text)
    }

    fn submit_text(&self, login: &str, letter: &Letter, text: &str) -> Result<std::result::Result<String, String>> {
        crate::hand_over(&self.clinic, login, letter, text)
    }

    /// How a message to one recipient stands: `queued`, `held` or its end.
    fn state(&self, id: &str) -> Result<String> {
        let row = self.clinic.daemon.json(&["queue", "show", id])?;
        let standing = &row["standing"];
        Ok(standing["end"].as_str().or(standing["state"].as_str()).unwrap_or_default().to_owned())
    }

    /// How many messages a partner's server has taken, our own notices apart.
    fn taken(&self, domain: &str) -> usize {
        let server = self.clinic.partners.find(domain).and_then(crate::partners::Partner::server);
        let deliveries = server.map(crate::world::mx::Mx::deliveries).unwrap_or_default();
        deliveries.iter().filter(|delivery| !delivery.sender.is_empty()).count()
    }

    fn taken_in_all(&self) -> usize {
        self.clinic.partners.all.iter().map(|partner| self.taken(partner.domain)).sum()
    }

    /// The rows of a command with `--json`.
    fn rows(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        Ok(match self.clinic.daemon.json(arguments)? {
            Value::Array(rows) => rows,
            row => vec![row],
        })
    }
}
