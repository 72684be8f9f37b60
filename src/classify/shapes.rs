//! Numbers and addresses that are known by their shape. Only places with a digit, an @ or a :// are looked at closely.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::classify::{Detector, Hit, Hits, before, checks, lexicon, stands_alone};
use crate::phi::Kind;

pub(super) struct Shapes;

/// How far back a label such as `fax` or `born` is looked for.
const LABEL: usize = 30;
/// How far a column headed `DOB` reaches down.
const COLUMN: usize = 4000;
/// No shape is longer.
const WINDOW: usize = 160;

/// What a shape begins with: a cheap look before the close one.
#[derive(Clone, Copy, Debug)]
enum Begins {
    Digit,
    Capital,
    Either,
}

type Judge = fn(&str, &Range<usize>) -> Option<Hit>;

/// The shapes, each anchored where a word with a digit begins; the first that holds is taken.
static SHAPES: LazyLock<Vec<(Begins, Regex, Judge)>> = LazyLock::new(|| {
    const MONTH: &str = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|ene|abr|ago|dic)[a-z]*";
    let shapes: [(Begins, String, Judge); 13] = [
        (Begins::Digit, r"^01\)\d{14}".into(), device),
        (Begins::Digit, r"^[1-9][A-Z][A-Z0-9]\d-?[A-Z][A-Z0-9]\d-?[A-Z]{2}\d{2}".into(), medicare),
        (Begins::Either, r"^[A-Z0-9]{17}".into(), vehicle),
        (Begins::Digit, r"^\d{3}([- ]?)\d{2}[- ]?\d{4}".into(), social_security),
        (Begins::Digit, r"^(?:\d{5}-\d{4}-\d{1,2}|\d{5}-\d{3}-\d{2}|\d{4}-\d{4}-\d{2})".into(), drug_code),
        (
            Begins::Digit,
            r"^(?:1[-. ]{1,2})?\(?[2-9]\d\d\)?[-. /]{0,2}\d{3}[-. ]?\d{4}(?:[ ,]*(?:x|ext\.?)[ ]?\d{1,5})?".into(),
            phone,
        ),
        (
            Begins::Digit,
            r"^(?:\d{1,2}/\d{1,2}/\d{2,4}|\d{1,2}-\d{1,2}-\d{2,4}|(?:19|20)\d\d[-/]\d\d[-/]\d\d)".into(),
            date,
        ),
        (
            Begins::Digit,
            format!(r"^(?i:\d{{1,2}}(?:st|nd|rd|th)?(?:[- ]|[ ]de[ ]){MONTH}\.?(?:[-, ]{{1,2}}|[ ]de[ ])\d{{4}})"),
            date,
        ),
        (Begins::Digit, r"^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}".into(), internet),
        (Begins::Capital, r"^[A-Z]{2}\d{7}".into(), prescriber),
        (Begins::Capital, r"^[A-TV-Z]\d[0-9AB]\.[0-9A-Z]{1,4}".into(), diagnosis_code),
        (
            Begins::Digit,
            r"^\d{1,5}(?:[.,]\d{1,3})?[ ]?(?:mg|mcg|ml|mL|meq|mEq|units|IU|tablets?|tabs?|capsules?|puffs?)\b".into(),
            dose,
        ),
        (Begins::Digit, r"^\d{1,6}[A-Z]?[ ](?:[NSEW]{1,2}\.?[ ])?(?:[A-Z0-9][A-Za-z0-9'.]*[ ]?){1,5}".into(), street),
    ];
    shapes
        .into_iter()
        .filter_map(|(first, text, judge)| Some((first, Regex::new(&format!("(?-u){text}")).ok()?, judge)))
        .collect()
});

static MAILBOX: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?-u)^@(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)+[a-zA-Z]{2,24}").ok());
static WEB: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"^://[^\s<>"'\])]{3,400}"#).ok());
static DAY_AND_YEAR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\d{1,2}(?:st|nd|rd|th)?,?[ ]\d{4}").ok());
static TOWN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?:[ ,]{0,2}(?i:apt|suite|ste|unit|#)\.?[ ]?[A-Za-z0-9-]{1,6})?[ ]?[,\r\n\t]{1,3}[ ]?[A-Z][A-Za-z .']{1,30},?[ ][A-Z]{2}[ ]{1,2}\d{5}(?:-\d{4})?",
    )
    .ok()
});

impl Detector for Shapes {
    fn detect(&self, text: &str, hits: &mut Hits) {
        let mut column = None;
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let end = word_end(bytes, at);
            if end == at {
                if matches!(bytes[at], b'@' | b':') {
                    hits.extend(mark(text, at));
                }
                at += 1;
                continue;
            }
            if bytes[at..end].iter().any(u8::is_ascii_digit) {
                let hit = at_number(text, at).map(|hit| born(text, hit, column));
                at = hit.as_ref().map_or(end, |hit| hit.span.end.max(end));
                hits.extend(hit);
            } else {
                if matches!(text.get(at..end), Some("DOB" | "dob" | "Dob" | "birth" | "Birth" | "born")) {
                    column = Some(end);
                }
                at = end;
            }
        }
    }
}

/// Whether a shape can begin with this octet: most begin with a digit, three with a letter.
const fn begins(first: Begins, octet: u8) -> bool {
    match first {
        Begins::Digit => octet.is_ascii_digit(),
        Begins::Capital => octet.is_ascii_uppercase(),
        Begins::Either => octet.is_ascii_digit() || octet.is_ascii_uppercase(),
    }
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()
}

/// The shape that begins with the word at `at`.
fn at_number(text: &str, at: usize) -> Option<Hit> {
    let window = &text[at..text.floor_char_boundary(at + WINDOW)];
    if let Some(hit) = month_first(text, at, window) {
        return Some(hit);
    }
    let octet = text.as_bytes()[at];
    SHAPES.iter().filter(|(first, ..)| begins(*first, octet)).find_map(|(_, shape, judge)| {
        let found = shape.find(window)?;
        judge(text, &(at..at + found.end()))
    })
}

/// Shapes around a mark: a mailbox around its @, a link around its ://.
fn mark(text: &str, at: usize) -> Option<Hit> {
    // A mark is ASCII; the octet at hand may lie inside a longer character.
    let rest = text.get(at..text.floor_char_boundary(at + 420))?;
    match text.as_bytes()[at] {
        b'@' => {
            let found = MAILBOX.as_ref()?.find(rest)?;
            let local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
            let length = text.as_bytes()[at.saturating_sub(64)..at].iter().rev().take_while(|byte| local(byte)).count();
            let span = at - length..at + found.end();
            (length > 0).then(|| Hit::new(Kind::Email, span, 0.95))
        }
        b':' if rest.starts_with("://") => {
            let scheme = ["https", "http"].into_iter().find(|scheme| text[..at].ends_with(scheme))?;
            let found = WEB.as_ref()?.find(rest)?;
            Some(Hit::new(Kind::Url, at - scheme.len()..at + found.end(), 0.9))
        }
        _ => None,
    }
}

/// A date that is a birthday is one by its label, or by the head of its column.
fn born(text: &str, hit: Hit, column: Option<usize>) -> Hit {
    if hit.kind != Kind::Date {
        return hit;
    }
    let label = before(text, hit.span.start, LABEL);
    let labels = ["dob", "d.o.b", "birth", "born", "b.d.", "nacimiento", "nacido", "nacida"];
    let labelled = labels.iter().any(|word| label.contains(word));
    let headed = column.is_some_and(|head| hit.span.start - head < COLUMN && is_column(text, head, hit.span.start));
    match (labelled, headed) {
        (true, _) => Hit { kind: Kind::DateOfBirth, confidence: 0.95, ..hit },
        (false, true) => Hit { kind: Kind::DateOfBirth, confidence: 0.7, ..hit },
        (false, false) => hit,
    }
}

/// Whether the word that ends at `head` heads a column (no number stands behind it in its line), and `at` is below.
fn is_column(text: &str, head: usize, at: usize) -> bool {
    let below = &text[head..at];
    let Some(end) = below.find('\n') else { return false };
    let first_of_line = below.rfind('\n').is_some_and(|line| !below[line..].contains(['/', '-']));
    !below[..end].bytes().any(|byte| byte.is_ascii_digit()) && first_of_line
}

fn month_first(text: &str, at: usize, window: &str) -> Option<Hit> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let found = DAY_AND_YEAR.as_ref()?.find(window)?;
    let lead = text[..at].strip_suffix([' ', '\t'])?;
    let lead = lead.strip_suffix('.').unwrap_or(lead);
    let start = lead.len() - lead.bytes().rev().take(10).take_while(u8::is_ascii_alphabetic).count();
    let month = lead.get(start..start + 3)?.to_ascii_lowercase();
    MONTHS.contains(&month.as_str()).then(|| Hit::new(Kind::Date, start..at + found.end(), 0.8))
}

/// An amount of medicine; a volume or a unit may also be something else's.
fn dose(text: &str, span: &Range<usize>) -> Option<Hit> {
    let confidence = if text[span.clone()].contains('m') { 0.4 } else { 0.3 };
    Some(Hit::new(Kind::Drug, span.clone(), confidence))
}

fn device(text: &str, span: &Range<usize>) -> Option<Hit> {
    let number = text.get(span.start + 3..span.end)?;
    let start = if text[..span.start].ends_with('(') { span.start - 1 } else { span.start };
    checks::gtin(number).then(|| Hit::new(Kind::Device, start..span.end, 0.95))
}

fn medicare(text: &str, span: &Range<usize>) -> Option<Hit> {
    let valid = checks::mbi(&text[span.clone()]) && stands_alone(text, span);
    valid.then(|| Hit::new(Kind::Mbi, span.clone(), 0.9))
}

fn vehicle(text: &str, span: &Range<usize>) -> Option<Hit> {
    let valid = checks::vin(&text[span.clone()]) && stands_alone(text, span);
    valid.then(|| Hit::new(Kind::Vehicle, span.clone(), 0.9))
}

fn social_security(text: &str, span: &Range<usize>) -> Option<Hit> {
    let value = &text[span.clone()];
    if !checks::ssn(value) || !stands_alone(text, span) || is_joined(text, span) {
        return None;
    }
    let label = before(text, span.start, LABEL);
    let labelled = ["ssn", "social", "soc sec", "ss#", "seguro social"].iter().any(|word| label.contains(word));
    match (labelled, value.matches('-').count()) {
        (true, _) => Some(Hit::new(Kind::Ssn, span.clone(), 0.98)),
        (false, 2) => Some(Hit::new(Kind::Ssn, span.clone(), 0.7)),
        (false, _) => None,
    }
}

/// Whether a hyphen ties the span to more: then it is a piece of another number.
fn is_joined(text: &str, span: &Range<usize>) -> bool {
    let word = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    text[..span.start].ends_with('-') || text[span.end..].strip_prefix('-').is_some_and(word)
}

fn drug_code(text: &str, span: &Range<usize>) -> Option<Hit> {
    (stands_alone(text, span) && !is_joined(text, span)).then(|| Hit::new(Kind::Ndc, span.clone(), 0.8))
}

fn phone(text: &str, span: &Range<usize>) -> Option<Hit> {
    let value = &text[span.clone()];
    let label = before(text, span.start, LABEL);
    let plain = value.bytes().all(|byte| byte.is_ascii_digit());
    let labels = ["phone", "call", "tel", "cell", "mobile", "fax", "teléfono"];
    if !stands_alone(text, span) || is_joined(text, span) || (plain && !labels.iter().any(|word| label.contains(word)))
    {
        return None;
    }
    let kind = if label.trim_end_matches([' ', ':', '#', '(', '.']).ends_with("fax") || label.ends_with("fax to ") {
        Kind::Fax
    } else {
        Kind::Phone
    };
    let start = if text[..span.start].ends_with('(') { span.start - 1 } else { span.start };
    Some(Hit::new(kind, start..span.end, 0.85))
}

fn date(text: &str, span: &Range<usize>) -> Option<Hit> {
    (stands_alone(text, span) && !is_joined(text, span)).then(|| Hit::new(Kind::Date, span.clone(), 0.8))
}

fn internet(text: &str, span: &Range<usize>) -> Option<Hit> {
    let valid = text[span.clone()].parse::<Ipv4Addr>().is_ok() && stands_alone(text, span);
    let more = text[span.end..].strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    (valid && !more).then(|| Hit::new(Kind::Ip, span.clone(), 0.85))
}

fn prescriber(text: &str, span: &Range<usize>) -> Option<Hit> {
    let valid = checks::dea(&text[span.clone()]) && stands_alone(text, span);
    valid.then(|| Hit::new(Kind::Dea, span.clone(), 0.6))
}

fn diagnosis_code(text: &str, span: &Range<usize>) -> Option<Hit> {
    let valid = checks::icd10(&text[span.clone()]) && stands_alone(text, span);
    valid.then(|| Hit::new(Kind::Icd10, span.clone(), 0.5))
}

/// A house number and a street's name; a street ending that is also a plain word needs its town and ZIP.
fn street(text: &str, span: &Range<usize>) -> Option<Hit> {
    const SURE: [&str; 23] = [
        "street",
        "st",
        "avenue",
        "ave",
        "road",
        "rd",
        "drive",
        "dr",
        "lane",
        "ln",
        "boulevard",
        "blvd",
        "court",
        "ct",
        "circle",
        "place",
        "pl",
        "terrace",
        "parkway",
        "pkwy",
        "highway",
        "hwy",
        "way",
    ];
    let words = text[span.clone()].split(' ');
    let mut end = span.start;
    let mut best = None;
    for (at, word) in words.enumerate() {
        let from = end;
        end = from + word.len() + 1;
        let name = word.trim_end_matches('.').to_ascii_lowercase();
        if at >= 2 && lexicon::is_street(&name) {
            best = Some((from + word.len(), SURE.contains(&name.as_str())));
        }
    }
    let (end, sure) = best?;
    let town = TOWN.as_ref()?.find(&text[end..text.floor_char_boundary(end + WINDOW)]).map(|town| end + town.end());
    match (town, sure) {
        (Some(end), _) => Some(Hit::new(Kind::Address, span.start..end, 0.95)),
        (None, true) => Some(Hit::new(Kind::Address, span.start..end, 0.75)),
        (None, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(Kind, &str)]) {
        let mut hits = Hits::within(100);
        Shapes.detect(text, &mut hits);
        let got: Vec<_> = hits.kept.iter().map(|hit| (hit.kind, &text[hit.span.clone()])).collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn every_expression_builds() {
        assert_eq!(SHAPES.len(), 13);
        assert!([&MAILBOX, &WEB, &DAY_AND_YEAR, &TOWN].iter().all(|shape| shape.is_some()));
    }

    #[test]
    fn a_social_security_number_stands_alone() {
        check("SSN: 219-99-8765.", &[(Kind::Ssn, "219-99-8765")]);
        check("social security 219998765", &[(Kind::Ssn, "219998765")]);
        check("bolt 219-99-87650", &[]);
        check("case K-219-99-8765-R", &[]);
        check("SSN: 666-99-8765", &[]);
    }

    #[test]
    fn phones_and_fax_numbers_are_told_apart() {
        check("Ring (602) 555-0143", &[(Kind::Phone, "(602) 555-0143")]);
        check("1-602-555-0143 x12", &[(Kind::Phone, "1-602-555-0143 x12")]);
        check("fax to 602-555-0144", &[(Kind::Fax, "602-555-0144")]);
        check("we fax 1200 pages", &[]);
        check("ISBN 978-0-000-00000-2", &[]);
        check("walk.rs:118:9", &[]);
    }

    #[test]
    fn a_date_is_a_birthday_by_its_label_or_its_column() {
        check("DOB 07/21/1963", &[(Kind::DateOfBirth, "07/21/1963")]);
        check("born May 2, 1958", &[(Kind::DateOfBirth, "May 2, 1958")]);
        check("Date of birth 21-Sep-1963", &[(Kind::DateOfBirth, "21-Sep-1963")]);
        check("due 21-Sep-2024", &[(Kind::Date, "21-Sep-2024")]);
        check("Name DOB\nAna 1963-07-21\n", &[(Kind::DateOfBirth, "1963-07-21")]);
    }

    #[test]
    fn addresses_of_all_sorts_are_found() {
        check("write to m.quist@clinic.example.", &[(Kind::Email, "m.quist@clinic.example")]);
        check("tool@2.1.0 and @handle", &[]);
        check("at https://clinic.example/map", &[(Kind::Url, "https://clinic.example/map")]);
        check("from 192.0.2.77", &[(Kind::Ip, "192.0.2.77")]);
        check("build 1.300.2.9", &[]);
        check("at 12 Oak Street, asked", &[(Kind::Address, "12 Oak Street")]);
        let whole = "30 Heron Cove, Tern Bay, AZ 85004";
        check(whole, &[(Kind::Address, whole)]);
        check("under 45 CFR 164 as it stands", &[]);
    }

    #[test]
    fn an_amount_of_medicine_speaks_of_one() {
        check("take 10 mg at night", &[(Kind::Drug, "10 mg")]);
        check("2 tablets", &[(Kind::Drug, "2 tablets")]);
        check("10 mgmt tasks", &[]);
        check("40 MB and 5 miles", &[]);
    }

    #[test]
    fn identifiers_with_check_digits_are_checked() {
        check("vehicle 1M8GDM9AXKP042788", &[(Kind::Vehicle, "1M8GDM9AXKP042788")]);
        check("vehicle 1M8GDM9A1KP042788", &[]);
        check("(01)00012345678905(17)301231", &[(Kind::Device, "(01)00012345678905")]);
        check("(01)00012345678906", &[]);
        check("1EG4-TE5-MK73", &[(Kind::Mbi, "1EG4-TE5-MK73")]);
        check("AB1234563", &[(Kind::Dea, "AB1234563")]);
        check("0093-1048-01", &[(Kind::Ndc, "0093-1048-01")]);
        check("has E11.9 and vitamin B12", &[(Kind::Icd10, "E11.9")]);
    }
}
