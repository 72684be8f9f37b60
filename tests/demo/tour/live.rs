//! The policy in the path of the mail: what is held is released, what was sent too soon is taken back, and so is a policy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::show::{paragraph, quote};
use crate::tour::Tour;
use crate::tour::mailbox::{MAILBOX, PATIENTS, Travels, titled};
use crate::world::{Result, STEP, until};
use crate::{LOGIN, partners, world};

/// The longest until a message stands as it should.
const SOON: Duration = Duration::from_secs(40);

/// The EHR sends the mailbox; one message is held, and released.
pub async fn hand_over(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "The same mail, carried",
        "Now the EHR hands the messages over itself, with its own login. Delivered is what a partner's server has.",
    );
    let mut wrong = Vec::new();
    let mut held = None;
    for (index, mail) in MAILBOX.iter().enumerate() {
        let answer = tour.submit(LOGIN, mail, index)?;
        let expected = match mail.travels {
            Travels::By(_) if mail.rule == PATIENTS => "queued",
            Travels::By(_) => "delivered",
            Travels::Held => "held",
            Travels::Refused => "refused",
        };
        let (found, told) = match &answer {
            Err(refusal) => ("refused".to_owned(), refusal.clone()),
            Ok(id) => (settled(tour, id, expected).await?, id.clone()),
        };
        println!("  {:17} {:10} {told}", mail.letter.title, found);
        if mail.travels == Travels::Held {
            held = answer.ok();
        }
        if found != expected {
            wrong.push(mail.letter.title);
        }
    }
    tour.claim("Each message went, waits, is held or was refused as it was decided", wrong.is_empty());
    let id = held.ok_or("nothing is held")?;
    let before = tour.taken("bayside.example");
    paragraph("The file that nobody could read is held. Somebody opens it, and lets it go:", 2);
    tour.show(&["queue", "release", &id])?.good()?;
    let state = settled(tour, &id, "delivered").await?;
    tour.claim(
        "Once it is released it is delivered",
        state == "delivered" && tour.taken("bayside.example") == before + 1,
    );
    let log = tour.clinic.daemon.run(&["audit", "list", "--json", "--message", &id])?.good()?;
    tour.claim("The audit log says who let it go", log.lines().any(|row| row.contains("\"operator\"")));
    Ok(())
}

async fn settled(tour: &Tour, id: &str, expected: &str) -> Result<String> {
    let there = || tour.state(id).ok().filter(|state| state == expected);
    match until(expected, SOON, there).await {
        Ok(state) => Ok(state),
        // Told as a claim that does not hold.
        Err(_) => tour.state(id),
    }
}

/// Mail to a patient waits a moment, and its sender takes it back by the link in the receipt.
pub async fn take_back(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "Sent too soon",
        "Mail to patients waits ten minutes. Its sender gets a receipt at once, with a link that takes it back.",
    );
    let (index, mail) = titled("Appointment").ok_or("no such mail")?;
    let id = tour.submit(LOGIN, mail, index)?.map_err(|refusal| format!("it was refused: {refusal}"))?;
    let server = tour.clinic.partners.find("clinic.example").and_then(partners::Partner::server);
    let mine = || {
        let all = server.map(world::mx::Mx::deliveries).unwrap_or_default();
        let of = |content: &[u8]| String::from_utf8_lossy(content).replace("=\r\n", "").replace("=3D", "=");
        all.into_iter().map(|delivery| of(&delivery.content)).find(|text| text.contains(&format!("reference: {id}")))
    };
    let receipt = until("the receipt", SOON, mine).await?;
    quote(receipt.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim_end());
    let start = format!("http://{}", tour.public);
    let link = receipt.lines().find_map(|line| line.strip_prefix(&start)).map(|path| path.trim().to_owned());
    let link = link.ok_or("the receipt has no link")?;
    let named = receipt.contains("Reed") || receipt.contains(mail.letter.subject);
    tour.claim("The receipt names neither patient nor subject", !named);
    let (status, _) = ask(tour, "GET", &link)?;
    let looked = tour.state(&id)?;
    tour.claim("A program that follows the link changes nothing", status == 200 && looked == "queued");
    let (status, page) = ask(tour, "POST", &link)?;
    let state = settled(tour, &id, "cancelled").await?;
    let taken_back = status == 200 && page.contains("was taken back") && state == "cancelled";
    tour.claim("The button takes the message back", taken_back);
    tour.claim("Nothing of it reached the patient's server", tour.taken("postbox.example") == 0);
    Ok(())
}

/// One request without a body; the status and everything behind it.
fn ask(tour: &Tour, method: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(tour.public)?;
    stream.set_read_timeout(Some(STEP))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: demo\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).ok_or("no answer")?.parse()?;
    Ok((status, answer))
}

/// A policy is changed, and taken back.
pub fn go_back(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "A policy that is taken back",
        "The newsletter's rule is widened to all mail of the clinic. What differs is said in words before it counts, and the \
         old config is one step away afterwards.",
    );
    let good = tour.config()?;
    let wide = good.replace("sender = [\"news@clinic.example\"]", "sender = [\"*@clinic.example\"]");
    std::fs::write(&tour.clinic.daemon.config, &wide)?;
    let told = tour.show(&["policy", "diff"])?.good()?;
    let words = told.contains("The newsletter may go over any TLS") && told.contains("it covers more mail");
    tour.claim("The difference is told, with what it means for mail", words);
    // The cases would refuse it: that is the stop before.
    std::fs::write(&tour.clinic.daemon.config, wide.replace("tests = \"policy-tests.toml\"\n", ""))?;
    tour.clinic.daemon.reload()?;
    let old = told.split_once("From ").and_then(|(_, rest)| rest.split_whitespace().next());
    let old = old.ok_or("the difference does not say from what")?.to_owned();
    tour.show(&["policy", "rollback", &old])?.good()?;
    tour.claim("The file is as it was, comments and all", tour.config()? == good);
    let rows = tour.rows(&["audit", "config"])?;
    let in_force = rows.iter().find(|row| row["in_force"] == true).and_then(|row| row["config"].as_str());
    tour.claim("The daemon has taken it", in_force.is_some_and(|digest| digest.starts_with(&old)));
    let log = tour.clinic.daemon.run(&["audit", "list", "--json"])?.good()?;
    tour.claim("The audit log says who went back to what", log.contains("config_rolled_back"));
    Ok(())
}
