//! Makes a message of a filled template: what mail programs, hurried people and law offices put around a text.

use crate::family::{Family, Label, Template};
use crate::fill::Filler;
use crate::random::Random;

const DISCLAIMERS: &[&str] = &[
    "This message may contain confidential information. If you are not the intended recipient, please delete it and tell the sender.",
    "CONFIDENTIALITY NOTICE: This e-mail and any attachments may contain protected health information under HIPAA and are for the sole use of the addressee. Any other use or disclosure is prohibited.",
    "The contents of this email are intended only for the person it is addressed to and may be privileged. If you received it in error, reply and destroy all copies.",
    "Please consider the environment before printing this email.",
    "NOTICE: This communication may contain protected health information. Redisclosure without consent is prohibited by law.",
    "Confidential and privileged. Unauthorized review or distribution is prohibited.",
    "E-mail is not a secure way to send medical information. In an emergency call 911.",
];
const SUBJECTS: &[&str] = &[
    "question",
    "Question",
    "FYI",
    "update",
    "Update",
    "Re: today",
    "following up",
    "Following up",
    "quick question",
    "Re: your message",
    "info",
    "hello",
    "Hi",
    "(no subject)",
    "Fwd:",
    "FW: please see below",
    "Re: Re: call",
    "request",
    "Request",
    "note",
    "tomorrow",
    "this week",
    "as discussed",
    "message",
    "Thank you",
    "Important",
    "please read",
    "Reminder",
    "Notice",
    "Letter",
    "see attached",
    "re: {last}",
    "{first}",
    "{weekday}",
];
const REPLIES: &[&str] = &[
    "Thanks, will do.",
    "See below.",
    "ok got it",
    "Can you take this one?",
    "FYI",
    "Please advise.",
    "Done!",
    "Looping in {first9}.",
    "Thank you so much.",
    "Hi {first9}, can you look at this? Thanks",
    "Forwarding per your request.",
    "Noted, thanks!",
    "Any update on this?",
    "pls see below & handle",
    "Received.",
];
/// How many notes and letters in a hundred are made longer.
const LENGTHENED: usize = 40;
const MOBILE: &[&str] =
    &["Sent from my iPhone", "Sent from my phone", "Get Outlook for Android", "sent from my ipad, excuse typos"];

/// Octets of a message, as they come over the wire.
pub fn message(family: &Family, template: &Template, other: Option<&str>, random: &mut Random) -> Vec<u8> {
    let plain = random.percent(30);
    let mut filler = Filler::new(random);
    let body = filler.fill(&template.body);
    let subject = template.subject.as_ref().map(|subject| filler.fill(subject));
    let from = template.from.as_ref().map(|from| filler.fill(from));
    let extra = Extra::of(family, &mut filler);
    let mut letter = Letter { subject, from, body, extra };
    if !plain {
        letter.noise(random);
        letter.clothe(family, random);
        letter.surround(other, random);
    }
    letter.envelope(family, random)
}

/// Invented words for what stands around the text.
struct Extra {
    subject: String,
    reply: String,
    signature: String,
    greeting: String,
    quoted: String,
    from: String,
    to: String,
}

impl Extra {
    fn of(family: &Family, filler: &mut Filler<'_>) -> Extra {
        let pick = |filler: &mut Filler<'_>, list: &[&str]| {
            let text = list[filler.below(list.len())];
            filler.fill(text)
        };
        let health = family.label == Label::Phi || filler.below(100) < 45;
        let signature = match (filler.below(6), health) {
            (0, _) => pick(filler, MOBILE),
            (1, _) => filler.fill("{first9}"),
            (2, _) => filler.fill("Thanks,\n{first9}"),
            (3, true) => filler.fill("{first9} {last9}, [[RN|MA|LPN|NP|Office Manager|Front Desk|Billing|MD]]\n{clinic9}\n{street9}, {city9}\nPhone {phone9} Fax {fax9}"),
            (_, true) => filler.fill("{first9} {last9}\n{clinic9} | {phone9}\n{email9}"),
            (3, false) => filler.fill("{first9} {last9}\n[[Account Manager|Director|Analyst|Coordinator|Recruiter]]\n{company9}\n{phone9}"),
            (_, false) => filler.fill("Best regards,\n\n{first9} {last9}\n{company9}\n{url9}"),
        };
        Extra {
            subject: pick(filler, SUBJECTS),
            reply: pick(filler, REPLIES),
            signature,
            greeting: filler.fill("[[Hi|Hello|Dear|Good morning]] {first8},"),
            quoted: filler.fill("[[On {date7}, at {time7}, {first8} {last8} wrote:|From: {first8} {last8}\nSent: {weekday7}, {date7} {time7}\nTo: {first9} {last9}\nSubject: RE: follow up\n|-----Original Message-----\nFrom: {first8} {last8} <{email7}>|---------- Forwarded message ---------]]"),
            from: filler.fill("{first9} {last9} <{email9}>"),
            to: filler.fill("{first8} {last8} <{email8}>"),
        }
    }
}

struct Letter {
    subject: Option<String>,
    from: Option<String>,
    body: String,
    extra: Extra,
}

impl Letter {
    fn noise(&mut self, random: &mut Random) {
        match random.below(100) {
            0..8 => self.body = self.body.to_lowercase(),
            8..11 => self.body = self.body.to_uppercase(),
            11..17 => self.body = self.body.replace([',', '.', ';', '!', '\''], ""),
            17..27 => self.body = mistyped(&self.body, random),
            _ => {}
        }
        if let Some(subject) = self.subject.as_mut().filter(|_| random.percent(8)) {
            *subject = subject.to_lowercase();
        }
    }

    /// Greeting, signature, disclaimer.
    fn clothe(&mut self, family: &Family, random: &mut Random) {
        let short = matches!(family.form.as_str(), "short" | "thread");
        let greeted = self
            .body
            .trim_start()
            .get(..5)
            .is_some_and(|start| ["Dear", "Hi ", "Hello", "hi "].iter().any(|hi| start.starts_with(hi)));
        if !greeted && random.percent(12) {
            self.body = format!("{}\n\n{}", self.extra.greeting, self.body);
        }
        if random.percent(if short { 40 } else { 20 }) {
            self.body = format!("{}\n\n{}", self.body, self.extra.signature);
        }
        if random.percent(22) {
            self.body = format!("{}\n\n{}", self.body, random.pick(DISCLAIMERS));
        }
    }

    /// Under a reply, or with another letter below.
    fn surround(&mut self, other: Option<&str>, random: &mut Random) {
        if random.percent(12) {
            let below = if random.percent(50) { quoted(&self.body) } else { self.body.clone() };
            self.body = format!("{}\n\n{}\n{below}", self.extra.reply, self.extra.quoted);
        } else if let Some(other) = other {
            let other = if random.percent(50) { quoted(other) } else { other.to_owned() };
            self.body = format!("{}\n\n{}\n{}", self.body, self.extra.quoted, other);
        }
    }

    fn envelope(mut self, family: &Family, random: &mut Random) -> Vec<u8> {
        let mut subject = self.subject.take();
        if subject.is_none() && random.percent(75) {
            subject = Some(self.extra.subject.clone());
        }
        if family.form == "short" && self.body.len() < 90 && !self.body.contains('\n') && random.percent(8) {
            subject = Some(std::mem::take(&mut self.body));
        }
        let from = self.from.take().filter(|from| from.contains('@')).unwrap_or_else(|| self.extra.from.clone());
        let mut head = format!(
            "From: {from}\r\nTo: {}\r\nDate: Tue, 3 Mar 2026 09:12:00 -0700\r\nMessage-ID: <{}@mail.example>\r\nMIME-Version: 1.0\r\n",
            self.extra.to,
            random.digits(12)
        );
        if let Some(subject) = subject {
            head.push_str(&format!("Subject: {}\r\n", subject.replace('\n', " ")));
        }
        let listed = match (family.label, family.form.as_str()) {
            (Label::None, "newsletter") => 40,
            (Label::None, _) => 4,
            (Label::Phi, _) => 1,
        };
        if random.percent(listed) {
            head.push_str(random.pick(&[
                "List-Id: <news.example>\r\n",
                "List-Unsubscribe: <mailto:off@news.example>\r\n",
                "Precedence: bulk\r\n",
            ]));
        }
        let body = match random.below(100) {
            0..58 => format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}", self.body),
            58..82 => format!("Content-Type: text/html; charset=utf-8\r\n\r\n{}", page(&self.body)),
            82..92 => parts(&[("text/plain", "", &self.body), ("text/html", "", &page(&self.body))], "alternative"),
            _ => attached(family, &self.body, random),
        };
        wire(&format!("{head}{body}\n"))
    }
}

/// The text as a file beside a short note, as it goes for tables and notes.
fn attached(family: &Family, body: &str, random: &mut Random) -> String {
    if !matches!(family.form.as_str(), "note" | "table" | "form" | "attachment" | "letter") {
        return format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{body}");
    }
    let name = random.pick(&[
        "document.txt",
        "scan0001.txt",
        "report.txt",
        "notes.txt",
        "list.txt",
        "export.csv",
        "letter.txt",
    ]);
    let note = random.pick(&[
        "See attached.",
        "Attached as requested.",
        "Please find the file attached.",
        "here you go",
        "fyi",
        "",
    ]);
    parts(&[("text/plain", "", note), ("text/plain", name, body)], "mixed")
}

fn parts(list: &[(&str, &str, &str)], kind: &str) -> String {
    let mut out = format!("Content-Type: multipart/{kind}; boundary=\"=_part\"\r\n\r\n");
    for (media_type, name, text) in list {
        out.push_str(&format!("--=_part\nContent-Type: {media_type}; charset=utf-8\n"));
        if !name.is_empty() {
            out.push_str(&format!("Content-Disposition: attachment; filename=\"{name}\"\n"));
        }
        out.push_str(&format!("\n{text}\n"));
    }
    out.push_str("--=_part--\n");
    out
}

/// As a mail program writes HTML: paragraphs, and a table where lines have columns.
fn page(body: &str) -> String {
    let escaped = body.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let columns = |line: &str| line.contains('\t') || line.contains(" | ");
    let mut out = String::from("<html><body>\n");
    for paragraph in escaped.split("\n\n") {
        if paragraph.lines().count() > 1 && paragraph.lines().all(columns) {
            out.push_str("<table>\n");
            for line in paragraph.lines() {
                let cells: Vec<String> =
                    line.split(['\t', '|']).map(|cell| format!("<td>{}</td>", cell.trim())).collect();
                out.push_str(&format!("<tr>{}</tr>\n", cells.concat()));
            }
            out.push_str("</table>\n");
        } else {
            out.push_str(&format!("<p>{}</p>\n", paragraph.replace('\n', "<br>\n")));
        }
    }
    out.push_str("</body></html>");
    out
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

/// A few letters swapped or left out.
fn mistyped(text: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..letters.len() / 60 + 1 {
        let at = random.below(letters.len().max(2) - 1);
        let both = letters.get(at..at + 2).is_some_and(|pair| pair.iter().all(char::is_ascii_lowercase));
        if both && random.percent(50) {
            letters.swap(at, at + 1);
        } else if both {
            letters.remove(at);
        }
    }
    letters.into_iter().collect()
}

/// Line ends of the wire, and no line that is longer than a message may have.
fn wire(text: &str) -> Vec<u8> {
    text.lines().flat_map(|line| line.trim_end_matches('\r').bytes().chain(*b"\r\n")).collect()
}

/// A chart is long: a note among the text of others that name nobody.
pub fn lengthened(families: &[Family], family: &Family, template: &Template, random: &mut Random) -> Template {
    const FORMS: [&str; 4] = ["note", "attachment", "form", "letter"];
    let notes: Vec<&Family> =
        families.iter().filter(|other| other.label == Label::None && other.form == "note").collect();
    let mut template = template.clone();
    if notes.is_empty() || !FORMS.contains(&family.form.as_str()) || !random.percent(LENGTHENED) {
        return template;
    }
    for _ in 0..random.between(1, 4) {
        let other = notes[random.below(notes.len())];
        let other = &other.templates[random.below(other.templates.len())].body;
        template.body = if random.percent(30) {
            format!("{other}\n\n{}", template.body)
        } else {
            format!("{}\n\n{other}", template.body)
        };
    }
    template
}

/// Letters of no patient, for the bottom of somebody else's: threads grow long.
pub fn others(families: &[Family], random: &mut Random) -> Option<String> {
    if !random.percent(22) {
        return None;
    }
    let mut found = Vec::new();
    for _ in 0..random.between(1, 8) {
        let family = &families[random.below(families.len())];
        if family.label == Label::None {
            let template = &family.templates[random.below(family.templates.len())];
            found.push(Filler::new(random).fill(&template.body));
        }
    }
    Some(found.join("\n\n")).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_is_a_message_on_the_wire() {
        let text = "label: phi\nvoice: lab\nform: table\n\nName\tDOB\n{name}\t{dob}\n{name2}\t{dob2}";
        let family = crate::family::parse("lab/one", text).unwrap();
        for seed in 0..200 {
            let mut random = Random::named(&seed.to_string());
            let message = message(&family, &family.templates[0], None, &mut random);
            let text = String::from_utf8(message).unwrap();
            assert!(text.split_once("\r\n\r\n").is_some());
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
            assert!(!text.contains('{'), "{text}");
        }
    }
}
