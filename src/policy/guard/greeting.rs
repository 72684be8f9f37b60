//! Whether a greeting and an address can mean the same person.

use crate::mime::Addressee;

const OPENINGS: [&str; 12] = [
    "dear ",
    "hi ",
    "hello ",
    "hey ",
    "good morning ",
    "good afternoon ",
    "good evening ",
    "hola ",
    "estimado ",
    "estimada ",
    "querido ",
    "querida ",
];
/// Who is greeted so is nobody in particular.
const ANYBODY: [&str; 46] = [
    "all",
    "team",
    "everyone",
    "everybody",
    "there",
    "sir",
    "madam",
    "sirs",
    "colleague",
    "colleagues",
    "friend",
    "friends",
    "patient",
    "patients",
    "parent",
    "parents",
    "guardian",
    "family",
    "families",
    "member",
    "members",
    "customer",
    "client",
    "provider",
    "providers",
    "doctor",
    "doctors",
    "nurse",
    "staff",
    "folks",
    "ladies",
    "gentlemen",
    "valued",
    "resident",
    "neighbor",
    "neighbour",
    "applicant",
    "subscriber",
    "paciente",
    "todos",
    "equipo",
    "again",
    "both",
    "from",
    "this",
    "our",
];
/// An address by which nobody in particular is written to.
const DESKS: [&str; 40] = [
    "info",
    "office",
    "results",
    "billing",
    "referrals",
    "referral",
    "intake",
    "lab",
    "labs",
    "fax",
    "admin",
    "contact",
    "scheduling",
    "schedule",
    "appointments",
    "frontdesk",
    "desk",
    "front",
    "reception",
    "records",
    "claims",
    "support",
    "help",
    "hello",
    "mail",
    "nurse",
    "nurses",
    "pharmacy",
    "clinic",
    "care",
    "team",
    "orders",
    "staff",
    "postmaster",
    "hr",
    "payroll",
    "accounts",
    "ar",
    "inbox",
    "service",
];
const TITLES: [&str; 12] = ["mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sr", "sra", "srta", "rev", "nurse"];
/// Names of one person.
const ALSO: [(&str, &str); 40] = [
    ("robert", "bob"),
    ("robert", "rob"),
    ("robert", "bobby"),
    ("william", "bill"),
    ("william", "will"),
    ("william", "billy"),
    ("william", "liam"),
    ("richard", "dick"),
    ("richard", "rick"),
    ("richard", "rich"),
    ("elizabeth", "liz"),
    ("elizabeth", "beth"),
    ("elizabeth", "betty"),
    ("elizabeth", "eliza"),
    ("margaret", "peggy"),
    ("margaret", "meg"),
    ("margaret", "maggie"),
    ("katherine", "kate"),
    ("katherine", "kathy"),
    ("katherine", "katie"),
    ("james", "jim"),
    ("james", "jimmy"),
    ("john", "jack"),
    ("john", "johnny"),
    ("edward", "ted"),
    ("edward", "ed"),
    ("edward", "ned"),
    ("charles", "chuck"),
    ("charles", "charlie"),
    ("henry", "hank"),
    ("theodore", "ted"),
    ("anthony", "tony"),
    ("patricia", "trish"),
    ("patricia", "pat"),
    ("alexandra", "sasha"),
    ("alexander", "sasha"),
    ("jose", "pepe"),
    ("francisco", "paco"),
    ("guadalupe", "lupe"),
    ("dolores", "lola"),
];
/// A greeting stands at the start.
const LINES: usize = 12;
/// A greeting of more words is a sentence.
const WORDS: usize = 5;

/// The words of the name that a text greets, in lower case; none where it greets nobody in particular.
pub(super) fn greeted(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(LINES);
    lines.filter_map(name_in).next().unwrap_or_default()
}

fn name_in(line: &str) -> Option<Vec<String>> {
    let start: String = line.chars().take(80).collect();
    let lower = start.to_lowercase();
    let opening = OPENINGS.iter().find(|opening| lower.starts_with(**opening))?;
    let rest = start.get(opening.len()..)?;
    // The comma or colon ends it; a line that runs on without one is a sentence.
    let name = rest.split([',', ':', ';', '!', '-', '\u{2013}']).next()?.trim();
    let words: Vec<&str> = name.split_whitespace().collect();
    let is_name = |word: &&str| word.chars().next().is_some_and(char::is_uppercase);
    if words.is_empty() || words.len() > WORDS || !words.iter().all(is_name) {
        return None;
    }
    let mut words = split(name);
    if words.iter().any(|word| ANYBODY.contains(&word.as_str())) {
        return None;
    }
    words.retain(|word| !TITLES.contains(&word.as_str()) && word.chars().count() > 1);
    Some(words)
}

/// Whether somebody else is greeted than is written to. Where it cannot be told, nobody is.
pub(super) fn is_somebody_else(greeted: &[String], to: &Addressee) -> bool {
    // Compared with the words of the greeting; no part of either is kept.
    let local = to.address.expose_local().to_lowercase();
    let mut known = split(&local);
    known.extend(to.name.as_ref().map(|name| split(name.expose())).unwrap_or_default());
    let of_letters = |word: &String| word.chars().all(char::is_alphabetic) && word.chars().count() > 1;
    let told: Vec<&String> = known.iter().filter(|word| of_letters(word)).collect();
    if greeted.is_empty() || told.is_empty() || told.iter().any(|word| DESKS.contains(&word.as_str())) {
        return false;
    }
    !greeted.iter().any(|name| told.iter().any(|word| may_be(name, word)) || is_initial(name, &known))
}

fn may_be(name: &str, word: &str) -> bool {
    let stem = |one: &str, other: &str| other.len() >= 3 && one.contains(other);
    let known = |one: &str, other: &str| ALSO.contains(&(one, other));
    let shared =
        |one: &str, other: &str| ALSO.iter().any(|(whole, short)| *short == one && ALSO.contains(&(*whole, other)));
    name == word
        || stem(name, word)
        || stem(word, name)
        || known(name, word)
        || known(word, name)
        || shared(name, word)
        // "mquist" for Maribel: the address begins with the initial, and whatever follows is the other name.
        || name.chars().next() == word.chars().next()
}

/// `quist.m` for Maribel.
fn is_initial(name: &str, known: &[String]) -> bool {
    known.iter().any(|word| word.chars().count() == 1 && word.chars().next() == name.chars().next())
}

fn split(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Address;
    use crate::phi::Phi;

    fn strange(greeting: &str, to: &str, name: Option<&str>) -> bool {
        let to = Addressee { name: name.map(|name| Phi::new(name.to_owned())), address: Address::parse(to).unwrap() };
        is_somebody_else(&greeted(greeting), &to)
    }

    #[test]
    fn somebody_else_is_greeted_than_written_to() {
        for (greeting, to, name) in [
            ("Dear Maribel,\nyour results", "bob@free.example", None),
            ("Hi Mrs. Quist,", "bob.stone@free.example", Some("Bob Stone")),
            ("\n\nGood morning Maribel Quist:", "tstone84@free.example", None),
            ("Estimada Maribel,", "roberto.paz@free.example", None),
        ] {
            assert!(strange(greeting, to, name), "{greeting} to {to}");
        }
    }

    #[test]
    fn whoever_may_be_the_same_is_left_alone() {
        for (greeting, to, name) in [
            ("Dear Maribel,", "maribel.quist@free.example", None),
            ("Dear Maribel,", "mquist@free.example", None),
            ("Dear Maribel,", "quist.m@free.example", None),
            ("Dear Ms. Quist,", "sunny77@free.example", Some("Maribel Quist")),
            ("Dear Robert,", "bob@free.example", None),
            ("Hi Bob,", "rob.stone@free.example", None),
            ("Dear Dr. Stone,", "results@lab.example", None),
            ("Dear Patient,", "bob@free.example", None),
            ("Dear all,", "bob@free.example", None),
            ("Hi there, Maribel is here", "bob@free.example", None),
            ("Dear Maribel,", "4715@free.example", None),
            ("Maribel was seen today.", "bob@free.example", None),
            ("Hello from the Riverside clinic and all of us", "bob@free.example", None),
            ("", "bob@free.example", None),
        ] {
            assert!(!strange(greeting, to, name), "{greeting} to {to}");
        }
    }
}
