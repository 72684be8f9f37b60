//! The policy beside the mail path that the clinic has now, and on what went by.

use crate::tour::mailbox::{Health, MAILBOX, PATIENTS, Travels};
use crate::tour::{MIRROR, Tour};
use crate::world::Result;

/// A copy of the mail is observed, and nothing else.
pub fn observe(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "Beside the mail path that is there",
        "Before Sealpost carries the mail, the old server sends it a copy of each message, as the client \"mirror\". It decides, \
         and does nothing.",
    );
    let mut observed = 0;
    for (index, mail) in MAILBOX.iter().enumerate() {
        observed += usize::from(tour.submit(MIRROR, mail, index)?.is_ok());
    }
    tour.claim("Each copy is answered with 250, also where a rule would refuse it", observed == MAILBOX.len());
    tour.show(&["policy", "report"])?.good()?;
    let rows = tour.rows(&["policy", "report"])?;
    let count = |outcome: &str| -> u64 {
        let of = rows.iter().filter(|row| row["would_be"]["outcome"] == outcome);
        of.filter_map(|row| row["recipients"].as_u64()).sum()
    };
    let meant = |test: fn(Travels) -> bool| MAILBOX.iter().filter(|mail| test(mail.travels)).count() as u64;
    let summary = rows.last().cloned().unwrap_or_default();
    let phi = MAILBOX.iter().filter(|mail| mail.health == Health::Found).count();
    tour.claim(
        "The report counts what would have been sent, held and refused",
        count("sent") == meant(|way| matches!(way, Travels::By(_)))
            && count("held") == meant(|way| way == Travels::Held)
            && count("refused") == meant(|way| way == Travels::Refused)
            && summary["phi"] == phi,
    );
    tour.claim("No partner got anything, and nothing is held", tour.taken_in_all() == 0 && is_empty(tour)?);
    Ok(())
}

fn is_empty(tour: &Tour) -> Result<bool> {
    Ok(tour.clinic.daemon.run(&["queue", "list", "--json"])?.out.lines().all(|line| line.contains("\"ended\"")))
}

/// Another policy is tried on that mail, of which no body is kept.
pub fn replay(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "Another policy on mail of the last month",
        "Somebody proposes that mail to patients is always looked at first. What the evidence keeps of each message says what \
         that would have meant; no body is kept, and none is needed.",
    );
    let changed = "deliver = [\"tls:valid\"]\ndelay = \"10m\"\nreceipt = true";
    let new = tour.other_config("new.toml", (changed, "hold = \"a nurse looks first\""))?;
    tour.show(&["policy", "replay", &new, "--since", "30d"])?.good()?;
    let summary = tour.rows(&["policy", "replay", &new, "--since", "30d"])?.pop().unwrap_or_default();
    let meant = MAILBOX.iter().filter(|mail| mail.rule == PATIENTS).count();
    tour.claim("It would change the way of all mail to patients, and of nothing else", summary["changed"] == meant);
    let same = tour.rows(&["policy", "replay", "--since", "30d"])?.pop().unwrap_or_default();
    tour.claim(
        "The policy in force changes nothing on its own mail",
        same["changed"] == 0 && same["messages"] == MAILBOX.len(),
    );
    Ok(())
}
