//! Calendars (RFC 5545) and cards (RFC 6350, and vCard 2.1) in a text: each property as a line, under a name that people have
//! for it, and what is packed into one as a file.

mod lines;
mod property;

use memchr::memchr2;

use crate::mime::cards::lines::Lines;
use crate::mime::cards::property::{Coding, Property, unescaped};
use crate::mime::decode::is_signature;
use crate::mime::{charset, transfer};

/// What a text of calendars and cards says.
#[derive(Debug, Default)]
pub(super) struct Cards {
    pub(super) text: String,
    pub(super) files: Vec<Inside>,
    /// Whether there are more files than were asked for.
    pub(super) more: bool,
}

/// A file inside a property.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) name: String,
    pub(super) is_page: bool,
    pub(super) octets: Vec<u8>,
}

/// Whether a calendar or a card begins in a text.
pub(super) fn is_any(text: &str) -> bool {
    Lines { rest: text }.any(|line| bound(line) == Some(Bound::Begin))
}

/// Where whole cards and calendars begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Begin,
    End,
}

fn bound(line: &str) -> Option<Bound> {
    let (word, what) = line.split_once(':')?;
    let (word, what) = (word.trim_start_matches('\u{feff}').trim(), what.trim());
    if !["VCARD", "VCALENDAR"].iter().any(|name| what.eq_ignore_ascii_case(name)) {
        return None;
    }
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("BEGIN") { Some(Bound::Begin) } else { is("END").then_some(Bound::End) }
}

/// Octets without the folds that stand in the middle of a character (RFC 5545 §3.1 allows them), if they make a text only so.
pub(super) fn mended(octets: &[u8]) -> Option<Vec<u8>> {
    let begins = [&b"BEGIN:VC"[..], b"begin:vc"].iter().any(|mark| memchr::memmem::find(octets, mark).is_some());
    if !begins || std::str::from_utf8(octets).is_ok() {
        return None;
    }
    let mut mended = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(at) = memchr2(b'\r', b'\n', rest) {
        let end = at + if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        let goes_on = matches!(rest.get(end), Some(b' ' | b'\t')) && matches!(rest.get(end + 1), Some(0x80..=0xbf));
        let is_torn = goes_on && at > 0 && rest[at - 1] >= 0x80;
        mended.extend_from_slice(&rest[..if is_torn { at } else { end }]);
        rest = &rest[if is_torn { end + 1 } else { end }..];
    }
    mended.extend_from_slice(rest);
    std::str::from_utf8(&mended).is_ok().then_some(mended)
}

/// Reads all calendars and cards of a text, and gives no more files than `most`. What stands around them stays as it is.
pub(super) fn read(text: &str, most: usize) -> Cards {
    let mut deck =
        Deck { lines: Lines { rest: text }, open: 0, old: false, zone: false, most, cards: Cards::default() };
    while let Some(line) = deck.lines.next() {
        deck.line(line);
    }
    deck.cards
}

/// Pieces of a calendar, whose names say nothing.
const COMPONENTS: [&str; 11] = [
    "VEVENT",
    "VTODO",
    "VJOURNAL",
    "VFREEBUSY",
    "VTIMEZONE",
    "VALARM",
    "STANDARD",
    "DAYLIGHT",
    "VAVAILABILITY",
    "VLOCATION",
    "PARTICIPANT",
];

struct Deck<'a> {
    lines: Lines<'a>,
    /// Cards and calendars that have begun and not ended.
    open: usize,
    /// vCard 2.1 and vCalendar 1.0: a folded line keeps its blank.
    old: bool,
    /// Within a VTIMEZONE, whose dates are of no event.
    zone: bool,
    most: usize,
    cards: Cards,
}

impl Deck<'_> {
    fn line(&mut self, line: &str) {
        match bound(line) {
            Some(Bound::Begin) => {
                self.open = self.open.saturating_add(1);
                (self.old, self.zone) = (false, false);
            }
            Some(Bound::End) => {
                self.open = self.open.saturating_sub(1);
                self.cards.text.push('\n');
            }
            None if self.open == 0 => {
                self.cards.text.push_str(line);
                self.cards.text.push('\n');
            }
            None => {
                let whole = self.whole(line);
                match Property::of(&whole) {
                    Some(property) => self.property(&property),
                    None => self.write("", &whole.replace('\n', "")),
                }
            }
        }
    }

    /// The line with all that belongs to it. A line end that follows an equals sign stays, for quoted-printable.
    fn whole(&mut self, line: &str) -> String {
        let mut whole = line.to_owned();
        self.unfold(&mut whole);
        match Property::of(&whole).map_or(Coding::None, |property| property.coding()) {
            Coding::QuotedPrintable => {
                while whole.trim_end_matches([' ', '\t']).ends_with('=') {
                    let Some(next) = self.lines.next_if(|next| bound(next).is_none()) else { break };
                    whole.push('\n');
                    whole.push_str(next);
                    self.unfold(&mut whole);
                }
            }
            Coding::Base64 => {
                while let Some(next) = self.lines.next_if(|next| !next.is_empty() && is_base64(next)) {
                    whole.push_str(next);
                }
            }
            Coding::None => {}
        }
        whole
    }

    /// RFC 5545 §3.1, RFC 6350 §3.2: a line that begins with a blank goes on with the one before.
    fn unfold(&mut self, line: &mut String) {
        while let Some(next) = self.lines.next_if(|next| next.starts_with([' ', '\t'])) {
            if line.ends_with('=') {
                line.push('\n');
            }
            line.push_str(if self.old { next } else { &next[1..] });
        }
    }

    fn property(&mut self, property: &Property<'_>) {
        let value = property.value.trim();
        match property.name.as_str() {
            "BEGIN" | "END" if COMPONENTS.iter().any(|name| value.eq_ignore_ascii_case(name)) => {
                return self.component(property.name == "BEGIN", value);
            }
            "VERSION" => self.old = matches!(value, "2.1" | "1.0"),
            _ => {}
        }
        if let Some(octets) = property.packed() {
            // What calls itself packed and is words is what it says, too.
            if property.coding() == Coding::Base64 && !is_base64(value) {
                self.write(&property.label(), &unescaped(value));
            }
            self.file(property, octets);
        } else if property.coding() == Coding::QuotedPrintable {
            let octets = transfer::literal(value.as_bytes());
            match charset::text(&octets, property.parameter("CHARSET").as_deref()) {
                Ok((text, other)) => {
                    self.value(property, &text);
                    if let Some(other) = other {
                        self.value(property, &other);
                    }
                }
                Err(_) => self.file(property, octets.to_vec()),
            }
        } else if value.contains('\n') {
            self.value(property, &value.replace('\n', ""));
        } else {
            self.value(property, value);
        }
        for (name, words) in property.words() {
            self.write(&name, &words);
        }
    }

    /// The edge of a piece of a calendar.
    fn component(&mut self, begins: bool, name: &str) {
        if name.eq_ignore_ascii_case("VTIMEZONE") {
            self.zone = begins;
        }
        self.cards.text.push('\n');
    }

    fn value(&mut self, property: &Property<'_>, value: &str) {
        if property.is_page(value) {
            return self.add(String::new(), true, unescaped(value).into_bytes());
        }
        let (label, said) = (property.label(), property.said(value, !self.zone));
        match property.parameter("CN").filter(|name| *name != said) {
            Some(name) => self.write(&label, &format!("{name} <{said}>")),
            None => self.write(&label, &said),
        }
    }

    /// A line for each property; words of several lines stand below the name.
    fn write(&mut self, label: &str, words: &str) {
        let words = words.trim();
        if words.is_empty() {
            return;
        }
        let text = &mut self.cards.text;
        text.push_str(label);
        if !label.is_empty() {
            text.push_str(if words.contains('\n') { ":\n" } else { ": " });
        }
        text.push_str(words);
        text.push('\n');
    }

    fn file(&mut self, property: &Property<'_>, octets: Vec<u8>) {
        // The public key of the person, which says nothing.
        if !(property.name == "KEY" && is_signature(&octets)) {
            self.add(property.file_name().unwrap_or_default(), false, octets);
        }
    }

    fn add(&mut self, name: String, is_page: bool, octets: Vec<u8>) {
        if octets.is_empty() {
            return;
        }
        if self.cards.files.len() < self.most {
            self.cards.files.push(Inside { name, is_page, octets });
        } else {
            self.cards.more = true;
        }
    }
}

fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=\\".contains(&byte) || byte.is_ascii_whitespace())
}

#[cfg(test)]
#[path = "cards_tests.rs"]
mod tests;
