//! What can be known of a policy before any mail goes by it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::outcome::word;
use crate::show::{Tone, paragraph, toned};
use crate::tour::Tour;
use crate::tour::mailbox::{FREE_MAIL, Health, MAILBOX, Mail, Travels};
use crate::world::{Result, until};

/// The slip of the pen: a letter of a domain is wrong.
const SLIP: (&str, &str) = ("\"freemail.example\"", "\"freemial.example\"");

/// What was found in each message, and how it would travel.
pub fn travel(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "What lies in the outbox, and how each message would travel",
        "sealpost explain FILE decides a message without sending it. HEALTH: whether it counts as health information.",
    );
    println!("  {}", toned(&line(["MESSAGE", "TO", "HEALTH", "WOULD", "BY THE RULE"]), Tone::Title));
    let mut wrong = Vec::new();
    for (index, mail) in MAILBOX.iter().enumerate() {
        let told = explain(tour, index, mail)?;
        let recipient = &told["recipients"][0];
        let health = if told["phi"] == true { Health::Found } else { Health::NotFound };
        let (way, rule) = (way(recipient), recipient["rule"].as_str().unwrap_or_default().to_owned());
        let word = if health == Health::Found { "yes" } else { "no" };
        println!("  {}", line([mail.letter.title, mail.to(), word, &way, &rule]));
        paragraph(&format!("found: {}", kinds(&told)), 20);
        if (health, way.as_str(), rule.as_str()) != (mail.health, expected(mail).as_str(), mail.rule) {
            wrong.push(mail.letter.title);
        }
    }
    tour.claim(&format!("{} messages are decided as the clinic means it", MAILBOX.len()), wrong.is_empty());
    if !wrong.is_empty() {
        paragraph(&format!("not so: {}", wrong.join(", ")), 4);
    }
    Ok(())
}

/// A decision can be followed without reading the message.
pub fn masked(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "Why, without reading the message",
        "Findings are shown by their kind, and whatever else may name somebody is masked: a compliance officer can follow a \
         decision, file it, and show it to others.",
    );
    let mail = &MAILBOX[0];
    let file = tour.file(0);
    let told = tour.show(&["explain", &file, "--from", mail.letter.sender, "--to", mail.to()])?.good()?;
    let secret = ["Marta", "Quill", "4471902", "03/14/1961", "metformin"].iter().find(|secret| told.contains(**secret));
    tour.claim("No name, number or drug of the message is shown", secret.is_none() && told.contains("[MRN]"));
    Ok(())
}

/// Rules that never decide are named.
pub fn idle(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "Rules that never decide",
        "A rule that another one covers reads as if it protected somebody. Here one more is written for a single friend at \
         free mail.",
    );
    let clean = tour.show(&["policy", "check"])?;
    tour.claim("Each rule of the clinic's config can decide", clean.status.success());
    let extra = "[[policy.rule]]\nname = \"A friend at free mail\"\nwhen = { recipient = [\"old.friend@freemail.example\"], \
                 phi = true }\ndeliver = [\"tls:encrypted\"]\n\n[[policy.rule]]\nname = \"No charts to free mail\"";
    let new = tour.other_config("new.toml", ("[[policy.rule]]\nname = \"No charts to free mail\"", extra))?;
    let found = tour.show(&["policy", "check", &new])?;
    let named = found.out.contains("shadowed") && found.out.contains(FREE_MAIL);
    tour.claim("The new rule is called shadowed, by name of the one that covers it", named);
    tour.claim("A script can tell: the exit code is 1", found.status.code() == Some(1));
    Ok(())
}

/// Cases stand between a slip of the pen and the mail.
pub async fn cases(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "Cases that must come out right",
        "Beside the config lies a file with messages and what is to be decided for them. It is run by hand, and before each \
         reload.",
    );
    let passed = tour.show(&["policy", "test"])?;
    tour.claim("All cases pass with the config in force", passed.status.success());
    let good = tour.config()?;
    paragraph("Now somebody writes freemial.example, and asks for a reload:", 2);
    fs::write(&tour.clinic.daemon.config, good.replace(SLIP.0, SLIP.1))?;
    let failed = tour.clinic.daemon.run(&["policy", "test"])?;
    for line in failed.out.lines().filter(|line| !line.starts_with("pass")) {
        println!("  {} {}", toned("│", Tone::Quiet), tour.short(line));
    }
    tour.claim("The case about the chart to free mail fails", failed.status.code() == Some(1));
    tour.clinic.daemon.hang_up()?;
    let logged = || tour.clinic.daemon.logs().ok()?.contains("policy tests fail").then_some(());
    until("the refused reload", Duration::from_secs(20), logged).await?;
    let in_force = |row: &&Value| row["in_force"] == true;
    let kept = tour.rows(&["audit", "config"])?;
    let one = kept.len() == 1 && kept.iter().filter(in_force).count() == 1;
    tour.claim("The reload is refused, and the old config stays in force", one);
    fs::write(&tour.clinic.daemon.config, good)?;
    Ok(())
}

/// The mailbox as a file of cases.
pub fn as_cases() -> String {
    let case = |(index, mail): (usize, &Mail)| {
        let phi = mail.health == Health::Found;
        let method = match mail.travels {
            Travels::By(method) => format!(", method = \"{method}\""),
            Travels::Held | Travels::Refused => String::new(),
        };
        format!(
            "[[case]]\nname = \"{}\"\nclient = \"{}\"\nfrom = \"{}\"\nto = [\"{}\"]\nfile = \"../{}\"\n\
             expect = {{ action = \"{}\"{method}, rule = \"{}\", phi = {phi} }}\n\n",
            mail.letter.title,
            crate::LOGIN,
            mail.letter.sender,
            mail.to(),
            crate::file_of(index),
            mail.travels.action(),
            mail.rule,
        )
    };
    MAILBOX.iter().enumerate().map(case).collect()
}

fn explain(tour: &Tour, index: usize, mail: &Mail) -> Result<Value> {
    let file = tour.file(index);
    tour.clinic.daemon.json(&[
        "explain",
        &file,
        "--client",
        crate::LOGIN,
        "--from",
        mail.letter.sender,
        "--to",
        mail.to(),
    ])
}

fn way(recipient: &Value) -> String {
    let action = &recipient["action"];
    match action["deliver"]["methods"][0].as_str() {
        Some(method) => format!("go by {method}"),
        None if action["hold"].is_object() => "be held".to_owned(),
        None => "be refused".to_owned(),
    }
}

fn expected(mail: &Mail) -> String {
    match mail.travels {
        Travels::By(method) => format!("go by {method}"),
        Travels::Held => "be held".to_owned(),
        Travels::Refused => "be refused".to_owned(),
    }
}

/// The kinds found, each once.
fn kinds(told: &Value) -> String {
    let all = told["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["kind"].as_str());
    let kinds: BTreeSet<&str> = all.map(word).collect();
    if kinds.is_empty() { "nothing".to_owned() } else { kinds.into_iter().collect::<Vec<_>>().join(", ") }
}

fn line(cells: [&str; 5]) -> String {
    format!("{:17} {:29} {:6} {:24} {}", cells[0], cells[1], cells[2], cells[3], cells[4]).trim_end().to_owned()
}
