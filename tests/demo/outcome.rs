//! What Sealpost says of a message: the JSON of `sealpost explain ID --json`, as far as the demo needs it, and the one
//! sentence that it makes of that.

use serde::Deserialize;

use crate::letters::Expected;
use crate::world::Result;
use crate::world::daemon::Daemon;

/// The story of one message; its recipients and their journeys are in the same order.
#[derive(Debug, Deserialize)]
struct Story {
    record: Record,
    journeys: Vec<Journey>,
}

#[derive(Debug, Deserialize)]
struct Record {
    classified: Classified,
    recipients: Vec<Recipient>,
}

#[derive(Debug, Deserialize)]
struct Classified {
    phi: bool,
    found: Vec<Found>,
}

#[derive(Debug, Deserialize)]
struct Found {
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Recipient {
    address: String,
    rule: String,
    action: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct Journey {
    steps: Vec<Step>,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
struct Step {
    /// `queued`, `held` or `ended`.
    state: String,
    end: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    method: String,
    host: String,
    tls: Option<Tls>,
    judgement: Option<Judgement>,
    answer: Option<Answer>,
    failure: Option<Failure>,
}

#[derive(Debug, Deserialize)]
struct Tls {
    version: String,
}

#[derive(Debug, Deserialize)]
struct Judgement {
    assurance: Option<String>,
    words: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    code: u16,
    enhanced: Option<String>,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Failure {
    reason: String,
}

/// One line of the table.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub recipient: String,
    /// Whether it counts as health information, in a word.
    pub health: &'static str,
    pub found: String,
    pub method: String,
    pub tls: String,
    pub certificate: &'static str,
    pub state: String,
    pub why: String,
}

impl Told {
    /// What was delivered was delivered over what its method asks for.
    pub fn is_proved(&self) -> bool {
        self.state != "delivered"
            || match self.method.as_str() {
                "tls:encrypted" => self.tls != "-",
                "tls:valid" => ["valid", "agreed on"].contains(&self.certificate),
                "tls:authenticated" => self.certificate == "agreed on",
                _ => false,
            }
    }
}

/// What is told of each recipient of a message.
pub fn of(daemon: &Daemon, id: &str) -> Result<Vec<Told>> {
    let Story { record, journeys } = serde_json::from_value(daemon.json(&["explain", id])?)?;
    let found = found(&record.classified);
    let health = if record.classified.phi { "yes" } else { "no" };
    let each = record.recipients.iter().zip(&journeys);
    Ok(each.map(|(recipient, journey)| Told { health, found: found.clone(), ..told(recipient, journey) }).collect())
}

/// Before anything was decided: the recipient was refused on submission.
pub fn refused(recipient: &str, refusal: &str) -> Told {
    Told {
        recipient: recipient.to_owned(),
        health: "yes",
        method: "-".to_owned(),
        tls: "-".to_owned(),
        certificate: "-",
        state: Expected::Refused.name().to_owned(),
        why: format!("A rule does not let health data go there. The EHR was told at once: {refusal}"),
        ..Told::default()
    }
}

fn told(recipient: &Recipient, journey: &Journey) -> Told {
    let step = journey.steps.last();
    let state = step.map_or("", |step| step.end.as_deref().unwrap_or(&step.state));
    let last = journey.attempts.last();
    let level = last.and_then(|attempt| attempt.judgement.as_ref()).and_then(|judged| judged.assurance.as_deref());
    Told {
        recipient: recipient.address.clone(),
        method: last.map_or("-", |attempt| &attempt.method).to_owned(),
        tls: last
            .and_then(|attempt| attempt.tls.as_ref())
            .map_or("-", |tls| tls.version.trim_start_matches("TLSv"))
            .to_owned(),
        certificate: match level {
            Some("authenticated") => "agreed on",
            Some("valid") => "valid",
            Some("encrypted") => "not valid",
            Some(_) | None => "-",
        },
        state: state.to_owned(),
        why: why(recipient, journey, state),
        ..Told::default()
    }
}

fn why(recipient: &Recipient, journey: &Journey, state: &str) -> String {
    let attempts = &journey.attempts;
    let last = attempts.last();
    let reason = |attempt: &Attempt| attempt.failure.as_ref().map_or(String::new(), |failure| failure.reason.clone());
    let answer = |attempt: &Attempt| attempt.answer.as_ref().map_or(String::new(), answered);
    let rule = &recipient.rule;
    match (state, last) {
        ("delivered", Some(last)) => {
            let late = attempts.first().filter(|_| attempts.len() > 1).map(answer);
            let late = late.map_or(String::new(), |said| format!("Put off at first ({said}), then taken. "));
            late + &proved(last, rule)
        }
        ("held", None) => match recipient.action["hold"]["reason"].as_str() {
            Some(reason) => format!("The rule \"{rule}\" says: {reason}."),
            None => format!("The rule \"{rule}\" says so."),
        },
        ("held", Some(last)) => format!("{}; nothing was sent.", unproved(last)),
        // Later ones may say only that the first was not long ago.
        ("expired", _) => format!(
            "Nobody answered there ({}) until its time ran out.",
            attempts.first().map(reason).unwrap_or_default()
        ),
        ("bounced", Some(last)) => format!("Their mail server refused it for good: {}.", answer(last)),
        _ => String::new(),
    }
}

fn answered(answer: &Answer) -> String {
    let enhanced = answer.enhanced.as_ref().map_or(String::new(), |enhanced| format!("{enhanced} "));
    format!("{} {enhanced}{}", answer.code, answer.text)
}

/// Why a connection was good enough.
fn proved(attempt: &Attempt, rule: &str) -> String {
    let host = &attempt.host;
    match attempt.judgement.as_ref().and_then(|judged| judged.assurance.as_deref()) {
        Some("authenticated") => {
            format!("The clinic has agreed with them who vouches for {host}, and that is who issued its certificate.")
        }
        Some("valid") => format!("Their mail server showed a valid certificate for {host}."),
        Some(_) | None => format!("Nothing about health in it, so the rule \"{rule}\" asked for no valid certificate."),
    }
}

/// Why a connection was not.
fn unproved(attempt: &Attempt) -> String {
    let Some(judged) = &attempt.judgement else { return "Their mail server offers no encryption".to_owned() };
    if attempt.method == "tls:authenticated" {
        let asked = "The sender marked it, and marked mail goes only to a server that was agreed on; this one was not";
        return asked.to_owned();
    }
    let fault = judged.words.trim_start_matches("encrypted, but ");
    format!("No partner server with a valid certificate ({fault})")
}

/// The kinds found, in words, each once.
fn found(classified: &Classified) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for found in &classified.found {
        let word = word(&found.kind);
        if !kinds.contains(&word) {
            kinds.push(word);
        }
    }
    if kinds.is_empty() { "nothing about health, nothing that names a patient".to_owned() } else { kinds.join(", ") }
}

pub fn word(kind: &str) -> &str {
    match kind {
        "NAME" => "name",
        "DATE" => "date",
        "DOB" => "date of birth",
        "PHONE" => "phone number",
        "MRN" => "medical record number",
        "MEMBER_ID" => "insurance number",
        "ACCOUNT" => "account number",
        "DIAGNOSIS" => "diagnosis",
        "ICD10" => "diagnosis code",
        "DRUG" => "drug",
        "DOSE" => "dose",
        "UNREADABLE" => "a file that nobody can read",
        "PROCEDURE" => "procedure",
        "CPT" => "procedure code",
        "LAB" => "lab result",
        "CARE" => "words about care",
        "BILLING" => "words about billing",
        other => other,
    }
}
