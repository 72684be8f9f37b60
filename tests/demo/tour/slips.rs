//! Mistakes of people and of programs, caught before anybody has read them.

use serde_json::Value;

use crate::LOGIN;
use crate::letters::{Expected, Letter};
use crate::show::paragraph;
use crate::tour::Tour;
use crate::world::Result;

const CHART: &str =
    "Patient: Ivo Brandt, DOB 07/09/1948, MRN 5520137: atrial fibrillation, apixaban 5 mg twice daily.\n";

/// None of them is there.
const PATIENTS: [&str; 24] = [
    "Ivo Brandt",
    "Marta Quill",
    "Lena Ostrow",
    "Tobias Reed",
    "Rosa Ibanez",
    "Nadia Velasquez",
    "Oscar Lindqvist",
    "Priya Raman",
    "Helen Castor",
    "Jonas Albrecht",
    "Mei Tanaka",
    "Samuel Okoye",
    "Clara Benning",
    "Victor Marsh",
    "Alma Serrano",
    "Peter Novak",
    "Grace Whitfield",
    "Hugo Lambert",
    "Irene Dalton",
    "Marcus Feld",
    "Yara Haddad",
    "Leo Castellan",
    "Nina Petrov",
    "Albert Crane",
];

/// A message, what it is called, and why it waits or is held.
struct Slip {
    letter: Letter,
    /// Fields in front of those of a letter.
    fields: &'static str,
    state: &'static str,
    /// As the evidence names it.
    sign: &'static str,
    claim: &'static str,
}

const fn to(title: &'static str, recipients: &'static [(&'static str, Expected)], body: &'static str) -> Letter {
    Letter { title, sender: "ann.field@clinic.example", recipients, subject: "As discussed", body, attachment: None }
}

const SLIPS: &[Slip] = &[
    Slip {
        letter: to("gmial.com", &[("ivo.brandt@gmial.com", Expected::Held)], CHART),
        fields: "",
        state: "held",
        sign: "gmial.com looks like gmail.com",
        claim: "A domain one slip away from a big provider's is held",
    },
    Slip {
        letter: to("bayside.exmaple", &[("dr.okafor@bayside.exmaple", Expected::Held)], CHART),
        fields: "",
        state: "held",
        sign: "looks like bayside.example",
        claim: "So is one that is a slip away from a partner's, whom the clinic writes to",
    },
    Slip {
        letter: to(
            "An automatic answer",
            &[("dr.okafor@bayside.example", Expected::Held)],
            "I am away until Monday.\n\n-----Original Message-----\nFrom: dr.okafor@bayside.example\n\
             To: ann.field@clinic.example\nSubject: your patient\n\n\
             > Patient: Ivo Brandt, DOB 07/09/1948, MRN 5520137: atrial fibrillation, apixaban 5 mg twice daily.\n",
        ),
        fields: "Auto-Submitted: auto-replied\n",
        state: "held",
        sign: "carries",
        claim: "An automatic answer that quotes a chart is held",
    },
];

/// Addresses that look wrong, and answers that nobody has looked at.
pub fn caught(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "Slips of the fingers",
        "The guard looks twice at mail with health information. What looks like a mistake waits or is held, and its sender is \
         told why; a person who knows better lets it go.",
    );
    for (at, Slip { letter, fields, state, sign, claim }) in SLIPS.iter().enumerate() {
        let text = format!("{fields}{}", letter.compose(80 + at));
        let id = tour.submit_text(LOGIN, letter, &text)?.map_err(|refusal| format!("it was refused: {refusal}"))?;
        let why = concerns(tour, &id)?;
        let found = tour.state(&id)?;
        paragraph(&format!("{}: {found}. {why}", letter.title), 2);
        tour.claim(claim, found == *state && why.contains(sign));
    }
    let list =
        to("A list of patients", &[("dr.okafor@bayside.example", Expected::Held)], "The list that you asked for:\n\n");
    let text = format!("{}{}", list.compose(85), patients());
    let id = tour.submit_text(LOGIN, &list, &text)?.map_err(|refusal| format!("it was refused: {refusal}"))?;
    let why = concerns(tour, &id)?;
    paragraph(&format!("{}: {}. {why}", list.title, tour.state(&id)?), 2);
    let counted = why.contains(&PATIENTS.len().to_string());
    tour.claim(
        "A list of many patients is counted, and held (45 CFR 164.502(b))",
        counted && tour.state(&id)? == "held",
    );
    Ok(())
}

/// A line for each.
fn patients() -> String {
    let line = |(at, name): (usize, &&str)| {
        let (month, day) = (at % 12 + 1, at + 3);
        format!("Patient: {name}, DOB {month:02}/{day:02}/19{}, MRN {}: asthma\n", 41 + at, 5_520_137 + 411 * at)
    };
    PATIENTS.iter().enumerate().map(line).collect()
}

/// A program sends the same twice.
pub fn again(tour: &mut Tour) -> Result<()> {
    tour.stop(
        "A program that sends again",
        "After an error some programs send a whole batch again. The first goes, a copy is held; nothing is thrown away.",
    );
    let name = format!("name = \"{LOGIN}\"\n");
    let text = tour.config()?;
    std::fs::write(&tour.clinic.daemon.config, text.replace(&name, &format!("{name}duplicates = \"hold\"\n")))?;
    tour.clinic.daemon.reload()?;
    let reminder = to("Reminder", &[("desk@bayside.example", Expected::Delivered)], "See you on Monday at nine.\n");
    let mut ids = Vec::new();
    for number in [95, 96] {
        let sent = tour.submit_text(LOGIN, &reminder, &reminder.compose(number))?;
        ids.push(sent.map_err(|refusal| format!("it was refused: {refusal}"))?);
    }
    let [first, copy] = [&ids[0], &ids[1]].map(|id| tour.clinic.daemon.run(&["explain", id]));
    let (first, copy) = (first?.good()?, copy?.good()?);
    let copy = copy.split_whitespace().collect::<Vec<_>>().join(" ");
    paragraph(&format!("The second: {}", concerns(tour, &ids[1])?), 2);
    tour.claim("The first is not held", !first.contains("sent twice\" decided") && tour.state(&ids[0])? != "held");
    tour.claim("The copy is, and names the first", tour.state(&ids[1])? == "held" && copy.contains(&ids[0]));
    std::fs::write(&tour.clinic.daemon.config, text)?;
    tour.clinic.daemon.reload()?;
    Ok(())
}

/// What looked like a mistake.
fn concerns(tour: &Tour, id: &str) -> Result<String> {
    let story = tour.clinic.daemon.json(&["explain", id])?;
    let recipient: &Value = &story["record"]["recipients"][0];
    let said = |key: &str| -> Vec<String> {
        recipient[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(said("concerns").join("; "))
}
