//! One property of a card or a calendar: its name, its parameters, and what its value says to a person.

use crate::mime::transfer;

/// How a value is packed (RFC 2426 §2.4.1, vCard 2.1 §2.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    None,
    QuotedPrintable,
    Base64,
}

#[derive(Debug)]
pub(super) struct Property<'a> {
    /// In capitals, without the group in front of it.
    pub(super) name: String,
    /// Names in capitals; a value without a name, as vCard 2.1 has them, has an empty one.
    parameters: Vec<(String, &'a str)>,
    pub(super) value: &'a str,
}

/// Names that say more than those of the property.
const LABELS: [(&str, &str); 22] = [
    ("FN", "Full name"),
    ("N", "Name"),
    ("BDAY", "Birthday"),
    ("ADR", "Address"),
    ("LABEL", "Address"),
    ("TEL", "Phone"),
    ("ORG", "Organization"),
    ("TZ", "Time zone"),
    ("URL", "Link"),
    ("DTSTART", "Start"),
    ("DTEND", "End"),
    ("ATTACH", "Attachment"),
    ("DEATHDATE", "Date of death"),
    ("BIRTHPLACE", "Place of birth"),
    ("DEATHPLACE", "Place of death"),
    ("IMPP", "Chat"),
    ("RRULE", "Repeats"),
    ("EXDATE", "Not on"),
    ("RDATE", "Also on"),
    ("X-ALT-DESC", "Description"),
    ("STYLED-DESCRIPTION", "Description"),
    ("X-WR-CALDESC", "Description"),
];
const DATES: [&str; 12] = [
    "BDAY",
    "ANNIVERSARY",
    "X-ANNIVERSARY",
    "DEATHDATE",
    "DTSTART",
    "DTEND",
    "DUE",
    "COMPLETED",
    "RECURRENCE-ID",
    "EXDATE",
    "RDATE",
    "X-BIRTHDAY",
];
/// Parameters for programs, as long as their values are single words.
const TECHNICAL: [&str; 25] = [
    "",
    "ENCODING",
    "CHARSET",
    "VALUE",
    "TYPE",
    "LANGUAGE",
    "TZID",
    "RANGE",
    "RELATED",
    "RELTYPE",
    "ROLE",
    "RSVP",
    "PARTSTAT",
    "CUTYPE",
    "FBTYPE",
    "PREF",
    "FMTTYPE",
    "MEDIATYPE",
    "PID",
    "INDEX",
    "LEVEL",
    "DISPLAY",
    "ORDER",
    "SCHEDULE-AGENT",
    "X-NUM-GUESTS",
];
const FILE_NAMES: [&str; 3] = ["FILENAME", "X-FILENAME", "X-APPLE-FILENAME"];
const LONGEST_WORD: usize = 40;

impl<'a> Property<'a> {
    /// RFC 6350 §3.3: `group.NAME;PARAMETER=value:value`.
    pub(super) fn of(line: &'a str) -> Option<Property<'a>> {
        // A quote that is never closed quotes nothing.
        let colon = unquoted(line, b':').next().or_else(|| line.find(':'))?;
        let (head, value) = (&line[..colon], &line[colon + 1..]);
        let mut cuts: Vec<usize> = unquoted(head, b';').collect();
        cuts.push(head.len());
        let mut pieces = cuts.iter().scan(0, |from, to| {
            let piece = head.get(*from..*to);
            *from = to + 1;
            piece
        });
        let name = pieces.next().unwrap_or_default().replace('\n', "");
        let name = name.rsplit('.').next().unwrap_or_default().trim().to_ascii_uppercase();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return None;
        }
        let parameters = pieces.map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or(("", piece));
            (name.replace('\n', "").trim().to_ascii_uppercase(), value.trim())
        });
        Some(Property { name, parameters: parameters.collect(), value })
    }

    pub(super) fn coding(&self) -> Coding {
        let named = |(name, value): &(String, &str)| {
            let is = |word: &str| value.trim_matches('"').eq_ignore_ascii_case(word);
            match name.as_str() {
                "" | "ENCODING" | "TYPE" if is("QUOTED-PRINTABLE") => Some(Coding::QuotedPrintable),
                "" | "ENCODING" | "TYPE" if is("BASE64") => Some(Coding::Base64),
                "ENCODING" if is("Q") => Some(Coding::QuotedPrintable),
                "ENCODING" if is("B") => Some(Coding::Base64),
                _ => None,
            }
        };
        self.parameters.iter().find_map(named).unwrap_or(Coding::None)
    }

    /// The value of a parameter (RFC 6868), without its quotes.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let (_, value) = self.parameters.iter().find(|(other, _)| other == name)?;
        Some(plain(value))
    }

    /// Octets that are packed into the value: in base64, or in a link that is its own target (RFC 2397).
    pub(super) fn packed(&self) -> Option<Vec<u8>> {
        let value = self.value.trim();
        let is_data = value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:"));
        if is_data && let Some((kind, data)) = value.split_once(',') {
            let is_base64 = kind.trim_end_matches('\\').to_ascii_lowercase().ends_with(";base64");
            return Some(if is_base64 {
                transfer::loose_base64(data.as_bytes()).to_vec()
            } else {
                transfer::percent(data, b"+")
            });
        }
        (self.coding() == Coding::Base64).then(|| transfer::loose_base64(value.as_bytes()).to_vec())
    }

    pub(super) fn file_name(&self) -> Option<String> {
        FILE_NAMES.iter().find_map(|name| self.parameter(name))
    }

    /// Whether the value is a page: `X-ALT-DESC;FMTTYPE=text/html`.
    pub(super) fn is_page(&self, value: &str) -> bool {
        let start = value.trim_start();
        let begins = |tag: &str| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        let is_html = |name: &str| self.parameter(name).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        begins("<html") || begins("<!doctype html") || is_html("FMTTYPE")
    }

    /// A name for people.
    pub(super) fn label(&self) -> String {
        let is_fax = || self.parameters.iter().any(|(_, value)| value.to_ascii_lowercase().contains("fax"));
        if self.name == "TEL" && is_fax() {
            return "Fax".into();
        }
        label(&self.name)
    }

    /// What the value says.
    pub(super) fn said(&self, value: &str, dated: bool) -> String {
        let is_date = dated && DATES.contains(&self.name.as_str());
        match self.name.as_str() {
            "N" => name(value),
            "ADR" => address(value),
            "ORG" => components(value).join(", "),
            _ if is_date => value.split(',').map(date).collect::<Vec<_>>().join(", "),
            _ => {
                let link = value.get(..7).filter(|start| start.eq_ignore_ascii_case("mailto:"));
                unescaped(if link.is_some() { &value[7..] } else { value })
            }
        }
    }

    /// Parameters that people write into, each with a name.
    pub(super) fn words(&self) -> impl Iterator<Item = (String, String)> {
        let is_name = |name: &str| name == "CN" || FILE_NAMES.contains(&name);
        let is_word = |value: &str| {
            let drawn = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./+,\"".contains(&byte);
            value.len() <= LONGEST_WORD && value.bytes().all(drawn)
        };
        let worded = move |(name, value): &&(String, &str)| {
            !(is_name(name) || TECHNICAL.contains(&name.as_str()) && is_word(value))
        };
        self.parameters.iter().filter(worded).map(|(name, value)| (label(name), plain(value)))
    }
}

/// Where a mark stands outside of quotes; nowhere behind a quote that stays open.
fn unquoted(text: &str, mark: u8) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        quoted ^= byte == b'"';
        (byte == mark && !quoted).then_some(at)
    })
}

fn label(name: &str) -> String {
    if let Some((_, label)) = LABELS.iter().find(|(other, _)| *other == name) {
        return (*label).to_owned();
    }
    if let Some(own) = name.strip_prefix("X-") {
        return own.replace(['-', '_'], " ");
    }
    let lower = name.to_ascii_lowercase().replace('-', " ");
    let mut letters = lower.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn plain(value: &str) -> String {
    let value: String = value.chars().filter(|letter| !matches!(letter, '"' | '\n')).collect();
    if value.contains('^') { value.replace("^n", "\n").replace("^'", "\"").replace("^^", "^") } else { value }
}

/// RFC 6350 §3.4, RFC 5545 §3.3.11.
pub(super) fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('n' | 'N') => text.push('\n'),
            Some(mark @ ('\\' | ',' | ';' | ':' | '"')) => text.push(mark),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

/// The components of a value, those that say something.
fn components(value: &str) -> Vec<String> {
    places(value).into_iter().filter(|component| !component.is_empty()).collect()
}

/// The components of a value, each in its place.
fn places(value: &str) -> Vec<String> {
    let (mut all, mut from, mut escaped) = (Vec::new(), 0, false);
    for (at, byte) in value.bytes().enumerate() {
        if byte == b';' && !escaped {
            all.push(unescaped(&value[from..at]).trim().to_owned());
            from = at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    all.push(unescaped(&value[from..]).trim().to_owned());
    all
}

/// RFC 6350 §6.2.2: family name, given, additional, what stands in front and behind; as people say it.
fn name(value: &str) -> String {
    let mut all = places(value);
    all.resize(all.len().max(4), String::new());
    all.swap(0, 3);
    all.retain(|component| !component.is_empty());
    all.join(" ")
}

/// RFC 6350 §6.3.1: the sixth component is the postal code, which stands behind the state.
fn address(value: &str) -> String {
    let mut all = places(value);
    if all.len() > 5 {
        let code = all.remove(5);
        all[4] = format!("{} {code}", all[4]).trim().to_owned();
    }
    all.retain(|component| !component.is_empty());
    all.join(", ")
}

/// `19800102T083000Z` as `1980-01-02 08:30`.
fn date(value: &str) -> String {
    let value = value.trim();
    let (day, time) = value.split_once(['T', 't']).unwrap_or((value, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let moment = time.trim_end_matches(['Z', 'z']);
    if day.len() != 8 || !digits(day) || !digits(moment) || moment.len() > 6 {
        return unescaped(value);
    }
    let day = format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]);
    if moment.len() < 4 { day } else { format!("{day} {}:{}", &moment[..2], &moment[2..4]) }
}
