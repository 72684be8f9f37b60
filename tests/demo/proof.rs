//! The proof: what the partners have, what a stranger on the wire could have read, and whether the log is whole.

use std::fs;

use crate::Clinic;
use crate::letters::{Expected, LETTERS};
use crate::outcome::Told;
use crate::partners::Partner;
use crate::show::{Tone, paragraph, quote, title, toned};
use crate::world::Result;
use crate::world::daemon::{Daemon, POSTMASTER};
use crate::world::mx::{Delivery, Mx};

/// Who was sent a notice about a message, by what arrived at the clinic's own mail server.
pub fn told_about(clinic: &Clinic, id: &str) -> Vec<String> {
    let mut told: Vec<String> = notices(clinic, id).into_iter().flat_map(|notice| notice.recipients).collect();
    told.sort();
    told.dedup();
    told
}

fn notices(clinic: &Clinic, id: &str) -> Vec<Delivery> {
    let reference = format!("Our reference: {id}");
    let server = clinic.partners.find("clinic.example").and_then(Partner::server);
    let deliveries = server.map(Mx::deliveries).unwrap_or_default();
    let about =
        |notice: &Delivery| notice.sender.is_empty() && String::from_utf8_lossy(&notice.content).contains(&reference);
    deliveries.into_iter().filter(about).collect()
}

/// Who has to be told when a message ends so.
pub fn to_be_told(sender: &str, end: Expected) -> Vec<String> {
    let mut told = match end {
        Expected::Delivered | Expected::Refused => Vec::new(),
        Expected::Bounced => vec![sender.to_owned()],
        Expected::Held | Expected::Expired => vec![sender.to_owned(), POSTMASTER.to_owned()],
    };
    told.sort();
    told
}

/// One notice, as the postmaster reads it.
pub fn show_notice(clinic: &Clinic, id: &str) {
    title(&format!("The mail that {POSTMASTER} got about a held one"));
    let Some(notice) = notices(clinic, id).pop() else { return };
    for name in ["From", "To", "Subject"] {
        quote(&format!("{name}: {}", notice.header(name).unwrap_or_default()));
    }
    let content = String::from_utf8_lossy(&notice.content).replace("=\r\n", "");
    let body = content.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim_end();
    quote(&format!("\n{body}"));
}

pub fn show_explanation(daemon: &Daemon, id: &str) -> Result<()> {
    title(&format!("Why, in full: sealpost explain {id}"));
    let told = daemon.run(&["explain", id])?.good()?;
    told.trim_end().lines().for_each(|line| println!("{line}"));
    Ok(())
}

/// What Sealpost calls delivered, its partner has; of all else it has nothing; and nothing readable crossed.
pub fn partners_agree(clinic: &Clinic, told: &[Vec<Told>]) -> bool {
    title("What each partner got, and what a stranger on the wire could have read");
    let head =
        format!("{:21} {:>9} {:>8} {:>8}   {}", "PARTNER", "DELIVERED", "RECEIVED", "NOTICES", "READABLE ON THE WIRE");
    println!("{}", toned(&head, Tone::Title));
    let mut good = true;
    for partner in &clinic.partners.all {
        let at = format!("@{}", partner.domain);
        let delivered = told.iter().flatten().filter(|told| told.state == "delivered" && told.recipient.ends_with(&at));
        let mut delivered: Vec<String> = delivered.map(|told| told.recipient.clone()).collect();
        delivered.sort();
        let deliveries = partner.server().map(Mx::deliveries).unwrap_or_default();
        let (notices, letters): (Vec<Delivery>, Vec<Delivery>) =
            deliveries.into_iter().partition(|delivery| delivery.sender.is_empty());
        let mut received: Vec<String> = letters.into_iter().flat_map(|delivery| delivery.recipients).collect();
        received.sort();
        let faults = wire_faults(partner);
        let agree = delivered == received && faults.is_empty();
        good &= agree;
        let readable = match (partner.proxy().map(|proxy| proxy.summary().connections), faults.is_empty()) {
            (None | Some(0), true) => "nothing: no connection".to_owned(),
            (Some(1), true) => "in 1 connection no more than greetings".to_owned(),
            (Some(connections), true) => format!("in {connections} connections no more than greetings"),
            (_, false) => faults.join("; "),
        };
        let counts = (delivered.len(), received.len(), notices.len());
        let line = format!("{:21} {:>9} {:>8} {:>8}   {readable}", partner.domain, counts.0, counts.1, counts.2);
        println!("{}", if agree { line } else { toned(&line, Tone::Bad) });
    }
    paragraph(
        "DELIVERED is what Sealpost says, RECEIVED what the partner's server has, NOTICES what Sealpost wrote itself. The \
         proxies recorded every octet: in clear went greeting, EHLO, STARTTLS and QUIT, and no sender, no recipient and \
         no line of any message. Where the connection was less safe than asked for, not even the sender was named.",
        0,
    );
    good
}

/// What crossed readably and should not have.
fn wire_faults(partner: &Partner) -> Vec<String> {
    let Some((server, proxy)) = partner.server().zip(partner.proxy()) else { return Vec::new() };
    let mut faults = proxy.summary().faults;
    if server.deliveries().iter().any(|delivery| delivery.tls_version.is_none()) {
        faults.push("a message was taken without TLS".to_owned());
    }
    for letter in LETTERS {
        if letter.secrets().any(|line| proxy.saw(line)) {
            faults.push(format!("\"{}\" crossed in clear", letter.title));
        }
        for (recipient, expected) in letter.recipients {
            if proxy.saw(recipient) || proxy.saw(letter.sender) {
                faults.push(format!("an address of \"{}\" crossed in clear", letter.title));
            }
            let begun = |(_, command): &(usize, String)| {
                command.contains(recipient) || (command.contains(letter.sender) && !writes_to(letter.sender, partner))
            };
            if *expected == Expected::Held
                && recipient.ends_with(partner.domain)
                && server.memory().commands.iter().any(begun)
            {
                faults.push(format!("\"{}\" was begun below its floor", letter.title));
            }
        }
    }
    faults
}

/// Whether something of this sender may well have reached this partner.
fn writes_to(sender: &str, partner: &Partner) -> bool {
    let reaches = |(recipient, end): &(&str, Expected)| {
        recipient.ends_with(partner.domain) && matches!(end, Expected::Delivered | Expected::Bounced)
    };
    LETTERS.iter().any(|letter| letter.sender == sender && letter.recipients.iter().any(reaches))
}

/// Whether the chain of the audit log is whole.
pub fn log_is_whole(daemon: &Daemon) -> Result<bool> {
    title("Whether anybody altered the log: sealpost audit verify");
    let verified = daemon.run(&["audit", "verify"])?;
    for line in verified.out.lines().chain(verified.err.lines()) {
        paragraph(line, 2);
    }
    paragraph(
        &format!(
            "The daily report to {POSTMASTER} carries such a head. With one of those, a log cut at its end shows too."
        ),
        2,
    );
    Ok(verified.status.success())
}

/// Changes one digit in a copy of the log, and has it found.
pub fn forgery_shows(clinic: &Clinic) -> Result<bool> {
    title("The same for a copy in which somebody changed one row: sealpost audit verify forged.jsonl");
    let forged = clinic.home.join("forged.jsonl");
    let path = forged.display().to_string();
    clinic.daemon.run(&["audit", "export", "--output", &path])?.good()?;
    let mut lines: Vec<String> = fs::read_to_string(&forged)?.lines().map(str::to_owned).collect();
    let row = lines.iter_mut().find(|line| line.contains("delivered")).ok_or("the log tells of no delivery")?;
    *row = row.replacen("delivered", "cancelled", 1);
    fs::write(&forged, lines.join("\n") + "\n")?;
    let verified = clinic.daemon.run(&["audit", "verify", &path])?;
    for line in verified.out.lines().chain(verified.err.lines()) {
        paragraph(line, 2);
    }
    paragraph("Each row is sealed into the next, and the last one is signed: the first that was changed is named.", 2);
    Ok(!verified.status.success() && verified.out.contains("NOT whole"))
}
