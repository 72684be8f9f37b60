//! What senders wish, and what becomes of subjects.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::letters::{Expected, Letter};
use crate::show::{paragraph, quote};
use crate::tour::Tour;
use crate::world::mx::{Delivery, Mx};
use crate::world::{Result, until};
use crate::{LOGIN, partners};

const SUBJECT: Letter = Letter {
    title: "Subject",
    sender: "ann.field@clinic.example",
    recipients: &[("dr.okafor@bayside.example", Expected::Delivered)],
    subject: "Marta Quill, MRN 4471902: HbA1c 8.1 %, diabetes",
    body: "Dear Dr. Okafor,\n\nPatient: Marta Quill, DOB 03/14/1961. Metformin was raised to 1000 mg twice daily.\n\
           \nAnn Field, MD\n",
    attachment: None,
};
/// What stands in the place of a subject that was moved.
const STANDS_IN: &str = "Secure message";

const LIBRARY: &str = "library@stclare.example";
const PLAIN: &str = "The reading room opens at nine on Saturday, as last year.\n";
const CHART: &str = "Patient: Marta Quill, DOB 03/14/1961, MRN 4471902: type 2 diabetes mellitus, metformin 1000 mg.\n";
const OPTS_OUT: &str = "X-Sealpost-Secure: none\n";
const REASON: &str = "X-Sealpost-Reason: their server has no valid certificate, agreed by phone\n";

/// A subject with health information goes inside.
pub async fn subject(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "A subject that says too much",
        "Servers keep subjects and phones show them, however well the way was protected. One that holds health information is \
         moved to the top of the text.",
    );
    let text = SUBJECT.compose(90);
    paragraph(&format!("Ann sends it as \"{}\".", SUBJECT.subject), 2);
    let id = tour.submit_text(LOGIN, &SUBJECT, &text)?.map_err(|refusal| format!("it was refused: {refusal}"))?;
    let server = tour.clinic.partners.find("bayside.example").and_then(partners::Partner::server);
    let arrived = || {
        let taken: Vec<Delivery> = server.map(Mx::deliveries).unwrap_or_default();
        taken.into_iter().find(|delivery| delivery.header("Subject").is_some_and(|subject| subject.contains(&id)))
    };
    let Ok(arrived) = until("the moved subject", Duration::from_secs(20), arrived).await else {
        tour.claim("The message arrived under another subject", false);
        return Ok(());
    };
    let outside = arrived.header("Subject").unwrap_or_default();
    let content = String::from_utf8_lossy(&arrived.content).replace("=\r\n", "");
    let inside = content.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    quote(&format!("Subject: {outside}\n\n{}", inside.trim_end()));
    let header = content.split("\r\n\r\n").next().unwrap_or_default();
    tour.claim("The subject on its way is a reference", outside.starts_with(STANDS_IN) && !header.contains("Quill"));
    tour.claim("Its recipient reads the real one in the text", inside.contains("Marta Quill, MRN 4471902"));
    Ok(())
}

/// Whoever may opt out of protection loses to what is found.
pub fn opting_out(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "A sender who asks for less",
        "The front desk may opt out of protection, with a reason. The library's server has a certificate that anybody could have \
         made, so by the default nothing would go there.",
    );
    for (name, wish, body, claim, expected) in [
        ("a note", format!("{OPTS_OUT}{REASON}"), PLAIN, "A note goes as the sender asks", "sender opted out"),
        ("a note without a reason", OPTS_OUT.to_owned(), PLAIN, "Without a reason it does not", "default"),
        ("a chart", format!("{OPTS_OUT}{REASON}"), CHART, "A chart does not: the finding wins", "default"),
    ] {
        let told = decided(tour, &format!("{wish}{}", letter(body).compose(91)))?;
        let recipient = &told["recipients"][0];
        let (rule, method) = (&recipient["rule"], &recipient["action"]["deliver"]["methods"][0]);
        let fared =
            recipient["tried"].as_array().into_iter().flatten().find(|tried| tried["rule"] == "sender opted out");
        let why = fared.and_then(|tried| tried["result"]["not_matched"]["condition"].as_str());
        let why = why.map(|why| format!("; opting out asks that {why}")).unwrap_or_default();
        let words = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        paragraph(&format!("{name}: {}, by the rule \"{}\"{why}", words(method), words(rule)), 2);
        tour.claim(claim, *rule == expected && (expected == "default") != why.is_empty());
    }
    Ok(())
}

const fn letter(body: &'static str) -> Letter {
    Letter {
        title: "Opting out",
        sender: "frontdesk@clinic.example",
        recipients: &[(LIBRARY, Expected::Delivered)],
        subject: "As agreed",
        body,
        attachment: None,
    }
}

fn decided(tour: &Tour, text: &str) -> Result<Value> {
    let file = tour.clinic.home.join("wish.eml");
    fs::write(&file, text)?;
    let file = file.display().to_string();
    let from = "frontdesk@clinic.example";
    tour.clinic.daemon.json(&["explain", &file, "--client", LOGIN, "--from", from, "--to", LIBRARY])
}
