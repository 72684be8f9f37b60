//! Numbers: what they are by the label in front of them, their shape, and their check digits. Only tokens with a digit are
//! looked at.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::ops::Range;

use crate::classify::labels::{Label, Labels};
use crate::classify::lexicon::{self, flag};
use crate::classify::tokens::{self, Class, Gap, Token, Tokens};
use crate::classify::{Hit, Hits, ages, checks, codes, dates, marks, places};
use crate::phi::Kind;

/// Tokens of one run, and those of letters that lead it.
const LONGEST: usize = 8;
const LEAD: usize = 3;

/// Numbers and words with digits, joined by single marks: `219-99-8765`, `XQ-8812345/01`.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) first: usize,
    pub(super) end: usize,
    /// With every hyphen as `-`.
    pub(super) text: Cow<'a, str>,
    /// Nothing but digits between the marks.
    pub(super) numeric: bool,
    /// Tied by a mark to what stands in front.
    pub(super) led: bool,
    lengths: [usize; LONGEST + LEAD],
    marks: [u8; LONGEST + LEAD],
}

impl<'a> Run<'a> {
    /// The run around a token with a digit; nothing of it lies before `floor`.
    fn at(tokens: &Tokens<'a>, at: usize, floor: usize) -> Run<'a> {
        let ties = |at: usize, with: &[u8]| {
            let single = |token: &Token| token.gap == Gap::Joined && with.contains(&token.mark) && tokens.is_tied(at);
            tokens.list.get(at).is_some_and(single)
        };
        let first = (floor.max(at.saturating_sub(LEAD))..at).rev().take_while(|before| ties(before + 1, b"-/")).last();
        let first = first.unwrap_or(at);
        let is_digits =
            |at: &usize| tokens.list.get(*at).is_some_and(|token| token.class.has_digit() || ties(*at, b"-"));
        let end = (at + 1..at + LONGEST)
            .take_while(|at| ties(*at, b"-/.") && is_digits(at))
            .last()
            .map_or(at + 1, |at| at + 1);
        let mut run = Run {
            first,
            end,
            text: tokens::with_plain_hyphens(tokens.text.get(tokens.span(first..end)).unwrap_or_default()),
            numeric: true,
            led: ties(first, b"-/._@"),
            lengths: [0; LONGEST + LEAD],
            marks: [0; LONGEST + LEAD],
        };
        for (place, token) in tokens.list.iter().take(end).skip(first).enumerate() {
            run.numeric &= token.class == Class::Number;
            run.lengths[place] = token.length();
            run.marks[place] = token.mark;
        }
        run
    }

    /// The length of each token.
    pub(super) fn parts(&self) -> &[usize] {
        &self.lengths[..self.end - self.first]
    }

    /// The marks between its tokens.
    pub(super) fn marks(&self) -> impl Iterator<Item = u8> {
        self.marks[1..(self.end - self.first).max(1)].iter().copied()
    }

    /// The mark behind a token, the first being 0.
    pub(super) const fn mark(&self, at: usize) -> u8 {
        self.marks[at + 1]
    }

    pub(super) fn all_marks(&self, mark: u8) -> bool {
        self.marks().all(|other| other == mark)
    }

    pub(super) fn digits(&self) -> usize {
        self.text.bytes().filter(u8::is_ascii_digit).count()
    }
}

/// Finds the numbers of a block.
pub(super) fn detect(tokens: &Tokens<'_>, labels: &Labels, hits: &mut Hits) {
    hits.extend(labels.homes().filter_map(|at| places::home(tokens, at)));
    let mut floor = 0;
    let mut carried = None;
    let mut at = 0;
    while let Some(token) = tokens.list.get(at) {
        if !token.class.has_digit() {
            at += 1;
            continue;
        }
        let mut run = Run::at(tokens, at, floor);
        if let Some(end) = labels.tied(run.first, at) {
            run = Run { led: false, ..Run::at(tokens, at, end) };
        }
        let own = labels.of_number(tokens, run.first, run.end);
        let label =
            own.or_else(|| carried.filter(|(end, _)| is_listed(tokens, *end, run.first)).map(|(_, label)| label));
        let number = Number { tokens, labels, run, at, label };
        let next = number.run.end;
        let found = number.judge();
        carried = label.filter(|_| found.is_some()).map(|label| (next, label));
        at = found.as_ref().map_or(next, |(_, end)| *end).max(at + 1);
        floor = at;
        hits.extend(found.map(|(hit, _)| hit));
    }
}

/// Whether a number goes on a list that ended with the token before `end`: "CPT 99213, 99214 and 87880".
fn is_listed(tokens: &Tokens<'_>, end: usize, first: usize) -> bool {
    let Some(number) = tokens.list.get(first) else { return false };
    let word = || tokens.list.get(end).map(|token| tokens.word(token));
    match first.checked_sub(end) {
        Some(0) => number.gap <= Gap::Mark && matches!(number.mark, b',' | b'/' | b'&' | b';'),
        Some(1) => number.gap == Gap::Space && matches!(word(), Some("and" | "y" | "or" | "to")),
        Some(_) | None => false,
    }
}

/// A run at hand, with its label.
struct Number<'a, 'b> {
    tokens: &'b Tokens<'a>,
    labels: &'b Labels,
    run: Run<'a>,
    /// The token with a digit that showed it.
    at: usize,
    label: Option<Label>,
}

/// A hit, and the token behind it.
type Found = Option<(Hit, usize)>;

impl Number<'_, '_> {
    fn judge(&self) -> Found {
        if self.label == Some(Label::Other) {
            return None;
        }
        dates::date(self.tokens, self.labels, &self.run)
            .or_else(|| self.labelled())
            .or_else(|| self.shaped())
            .or_else(|| self.measured())
            .or_else(|| places::zip(self.tokens, &self.run, self.label))
            .or_else(|| places::post_box(self.tokens, self.at))
            .or_else(|| places::street(self.tokens, self.at))
            .or_else(|| places::street_in_front(self.tokens, self.at))
    }

    fn hit(&self, kind: Kind, confidence: f32) -> Found {
        let Run { first, end, .. } = self.run;
        Some((Hit::new(kind, self.tokens.span(first..end), confidence), end))
    }

    /// What the label says, if the number can be one.
    fn labelled(&self) -> Found {
        let label = self.label?;
        let (text, digits) = (self.run.text.as_ref(), self.run.digits());
        match label {
            Label::Mrn if (4..=20).contains(&digits) && !is_year(text) => self.hit(Kind::Mrn, 0.95),
            Label::Mbi | Label::Member if checks::mbi(text) => self.hit(Kind::Mbi, 0.98),
            Label::Mbi => self.medicare(),
            Label::Member if (5..=20).contains(&digits) => self.hit(Kind::MemberId, 0.9),
            Label::Account if (5..=24).contains(&digits) => self.hit(Kind::Account, 0.9),
            Label::Unique if (5..=24).contains(&digits) => self.hit(Kind::UniqueId, 0.85),
            Label::Npi if checks::npi(text) => self.hit(Kind::Npi, 0.98),
            Label::Dea if checks::dea(text) => self.hit(Kind::Dea, 0.98),
            Label::License if (5..=16).contains(&digits) => self.hit(Kind::License, 0.8),
            Label::Vehicle if checks::vin(text) => self.hit(Kind::Vehicle, 0.98),
            Label::Vehicle if (5..=8).contains(&text.len()) && digits >= 2 && !self.run.numeric => {
                self.hit(Kind::Vehicle, 0.6)
            }
            Label::Udi if checks::gtin(text) => self.hit(Kind::Device, 0.95),
            Label::Imei if checks::imei(text) => self.hit(Kind::Device, 0.95),
            Label::Device if (5..=20).contains(&digits) && self.run.text.len() > 5 => self.hit(Kind::Device, 0.6),
            Label::LastFour if digits == 4 && text.len() == 4 => self.hit(Kind::Ssn, 0.7),
            Label::Ssn => self.social_security(0.98),
            Label::Phone | Label::Fax => self.phone(),
            Label::Icd if checks::icd10(text) || checks::icd10_without_point(text) => self.hit(Kind::Icd10, 0.95),
            Label::Procedure if checks::cpt(self.unmodified()) => self.hit(Kind::Cpt, 0.9),
            Label::Procedure | Label::Code | Label::Ndc if checks::hcpcs(self.unmodified()) => {
                self.hit(Kind::Hcpcs, 0.9)
            }
            Label::Code if codes::is_diagnosis(text) => self.hit(Kind::Icd10, 0.8),
            Label::Ndc if matches!(digits, 10 | 11) => self.hit(Kind::Ndc, 0.95),
            Label::Loinc if checks::loinc(text) => self.hit(Kind::Loinc, 0.95),
            Label::Age => ages::age(self.tokens, self.at, self.label),
            Label::Mrn | Label::Member | Label::Account | Label::Unique | Label::Npi | Label::Dea => None,
            Label::License | Label::Vehicle | Label::Device | Label::LastFour | Label::Icd | Label::Procedure => None,
            Label::Udi
            | Label::Imei
            | Label::Code
            | Label::Ndc
            | Label::Loinc
            | Label::Zip
            | Label::Birth
            | Label::Event
            | Label::Ip => None,
            Label::Vital | Label::Lab | Label::Home | Label::Other => None,
        }
    }

    /// What the shape and the check digits say without a label.
    fn shaped(&self) -> Found {
        let Run { led, numeric, .. } = self.run;
        let text = self.run.text.as_ref();
        if let Some(found) = self.device() {
            return Some(found);
        }
        if let Some(found) = self.colons() {
            return Some(found);
        }
        if led {
            return None;
        }
        match (self.run.parts(), numeric) {
            ([3, 2, 4], true) if self.run.all_marks(b'-') => self.social_security(0.7),
            ([5, 4, 1 | 2] | [5, 3, 2] | [4, 4, 2], true) if self.run.all_marks(b'-') => self.hit(Kind::Ndc, 0.8),
            ([4, 4, 4, 4] | [4, 6, 5], true) if checks::card(text) => self.hit(Kind::Account, 0.8),
            ([_, _, _, _] | [_, _, _, _, 1 | 2], true) if self.run.mark(0) == b'.' => self.machine(),
            ([17], false) if checks::vin(text) => self.hit(Kind::Vehicle, 0.9),
            ([11] | [4, 3, 4], false) if checks::mbi(text) => self.hit(Kind::Mbi, 0.9),
            ([9], false) if checks::dea(text) => self.hit(Kind::Dea, 0.6),
            ([3, 1..=4], false) if codes::is_diagnosis(text) => self.hit(Kind::Icd10, 0.5),
            ([4], true) if self.is_spaced_card() => self
                .spaced(&[4; 4])
                .map(|end| (Hit::new(Kind::Account, self.tokens.span(self.run.first..end), 0.8), end)),
            ([15 | 16], true) if checks::card(text) => self.hit(Kind::Account, 0.6),
            ([15..=34], false) if checks::iban(text) => self.hit(Kind::Account, 0.9),
            _ => self.phone(),
        }
    }

    /// A code of a procedure without its modifiers: "99213-25".
    fn unmodified(&self) -> &str {
        let (code, modifier) = self.run.text.split_once('-').unwrap_or((&self.run.text, ""));
        if modifier.len() <= 2 { code } else { &self.run.text }
    }

    /// The address of a machine. The version of a program looks like one: without a word that tells, most places are long.
    fn machine(&self) -> Found {
        const NEAR: usize = 4;
        let (address, network) = self.run.text.split_once('/').unwrap_or((&self.run.text, ""));
        let address: Ipv4Addr = address.parse().ok()?;
        let lexicon = lexicon::lexicon();
        let near = self.run.first.saturating_sub(NEAR)..self.run.first;
        let told = near.filter_map(|at| self.tokens.list.get(at)).any(|token| lexicon.is(token, flag::MACHINE));
        let port = self.tokens.text.as_bytes().get(self.tokens.span(self.run.first..self.run.end).end) == Some(&b':');
        let long = address.octets().into_iter().filter(|octet| *octet > 9).count() > 2;
        let local = address.is_private() || address.is_loopback();
        if !(told || port || long || local || !network.is_empty() || self.label == Some(Label::Ip)) {
            return None;
        }
        self.hit(Kind::Ip, 0.85)
    }

    /// A number and what is measured by it: a dose, a vital sign, a result, an age.
    fn measured(&self) -> Found {
        let tokens = self.tokens;
        let lexicon = lexicon::lexicon();
        let next = tokens.list.get(self.run.end).filter(|next| next.gap <= Gap::Space);
        let unit = |flag| next.is_some_and(|next| lexicon.is(next, flag));
        let whole = |end| tokens.span(self.run.first..end);
        if let Some(found) = ages::age(tokens, self.at, self.label) {
            return Some(found);
        }
        if self.label == Some(Label::Vital) && self.run.digits() <= 6 {
            return self.hit(Kind::Vital, 0.7);
        }
        let pressure = matches!(self.run.parts(), [2 | 3, 2 | 3]) && self.run.mark(0) == b'/';
        if pressure && self.run.numeric && unit(flag::UNIT) {
            return self.hit(Kind::Vital, 0.8);
        }
        let per = tokens
            .list
            .get(self.run.end + 1)
            .is_some_and(|per| per.gap == Gap::Joined && per.mark == b'/' && per.length() <= 3);
        if unit(flag::UNIT) || per && unit(flag::DOSE) {
            let end = self.run.end + 1 + usize::from(per);
            // "25 mcg/hr" is given, "25 mg/dL" is measured.
            let rate = tokens.list.get(end - 1).filter(|_| per && !unit(flag::UNIT)).map(|rate| tokens.word(rate));
            if matches!(rate, Some("h" | "hr" | "min" | "kg" | "day")) {
                return Some((Hit::new(Kind::Dose, whole(end), 0.4), end));
            }
            return Some((Hit::new(Kind::Lab, whole(end), 0.85), end));
        }
        if unit(flag::DOSE) || self.is_dose() {
            let end = self.run.end + usize::from(unit(flag::DOSE));
            return Some((Hit::new(Kind::Dose, whole(end), 0.4), end));
        }
        if self.label == Some(Label::Lab) && self.run.digits() <= 7 && !self.run.led {
            return self.hit(Kind::Lab, 0.6);
        }
        None
    }

    /// `10mg` in one word.
    fn is_dose(&self) -> bool {
        let unit = self.run.text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '/'));
        unit.len() < self.run.text.len()
            && matches!(
                unit.to_ascii_lowercase().as_str(),
                "mg" | "mcg" | "ml" | "meq" | "iu" | "units" | "mgs" | "tabs" | "cc"
            )
    }

    fn social_security(&self, confidence: f32) -> Found {
        let Run { first, end, ref text, led, numeric, .. } = self.run;
        let hit = |span: Range<usize>, end| Some((Hit::new(Kind::Ssn, span, confidence), end));
        let parts = self.run.parts();
        if numeric && !led && matches!(parts, [3, 2, 4] | [9] | [5, 4]) && checks::ssn(text) {
            return hit(self.tokens.span(first..end), end);
        }
        // "219 99 8765"
        let spaced = self.spaced(&[3, 2, 4]).filter(|_| parts == [3])?;
        let span = self.tokens.span(first..spaced);
        let valid = self.tokens.text.get(span.clone()).is_some_and(checks::ssn);
        if valid { hit(span, spaced) } else { None }
    }

    /// A Medicare number that is written with spaces.
    fn medicare(&self) -> Found {
        let end = self.spaced(&[4, 3, 4])?;
        let span = self.tokens.span(self.run.first..end);
        let valid = self.tokens.text.get(span.clone()).is_some_and(|text| checks::mbi(&text.replace(' ', "")));
        valid.then(|| (Hit::new(Kind::Mbi, span, 0.98), end))
    }

    /// "4111 1111 1111 1111"
    fn is_spaced_card(&self) -> bool {
        let span = self.spaced(&[4; 4]).map(|end| self.tokens.span(self.run.first..end));
        span.and_then(|span| self.tokens.text.get(span)).is_some_and(checks::card)
    }

    /// Where tokens of these lengths with single spaces between them end.
    fn spaced(&self, lengths: &[usize]) -> Option<usize> {
        let end = self.run.first + lengths.len();
        let tokens = self.tokens.list.get(self.run.first..end)?;
        let lengths = tokens.iter().zip(lengths).all(|(token, length)| token.length() == *length);
        let spaces = tokens.iter().skip(1).all(|token| token.gap == Gap::Space);
        (lengths && spaces).then_some(end)
    }

    /// A telephone number, North American or with its country in front.
    fn phone(&self) -> Found {
        let tokens = self.tokens;
        let first = tokens.list.get(self.at)?;
        if first.class != Class::Number || self.run.led || self.run.first != self.at {
            return None;
        }
        // "ZIP+4" is no country.
        if first.mark == b'+' && first.gap == Gap::Joined {
            return None;
        }
        let close =
            |token: &&Token| token.class == Class::Number && token.gap <= Gap::Sentence && is_dialled(tokens, token);
        let rest = tokens.list.get(self.at + 1..).unwrap_or_default();
        let more = rest.iter().take(4).take_while(close).count();
        let mut lengths = [first.length(), 0, 0, 0, 0];
        lengths.iter_mut().skip(1).zip(rest.iter().take(more)).for_each(|(length, token)| *length = token.length());
        let lengths = &lengths[..=more];
        let labelled = matches!(self.label, Some(Label::Phone | Label::Fax));
        let abroad = first.mark == b'+';
        let groups = match lengths {
            [3, 3, 4, ..] => 3,
            [1, 3, 3, 4, ..] if tokens.word(first) == "1" => 4,
            [10, ..] if labelled => 1,
            [11, ..] if labelled && tokens.word(first).starts_with('1') => 1,
            [3, 7, ..] if labelled => 2,
            [3, 4, ..] if labelled => 2,
            lengths if abroad && (8..=15).contains(&lengths.iter().sum::<usize>()) => lengths.len(),
            _ => return None,
        };
        let end = self.at + groups;
        let tied = tokens.list.get(end).is_some_and(|next| {
            next.gap == Gap::Joined && matches!(next.mark, b'-' | b'.' | b'/') && next.class.has_digit()
        });
        let area = tokens.list.get(self.at + usize::from(lengths.first() == Some(&1))).map(|area| tokens.word(area));
        let valid = abroad
            || area
                .is_some_and(|area| !area.starts_with('0') && (labelled || !area.starts_with('1') || area.len() > 4));
        if tied || !valid {
            return None;
        }
        let end = extension(tokens, end);
        let kind = if self.label == Some(Label::Fax) { Kind::Fax } else { Kind::Phone };
        let mut span = tokens.span(self.at..end);
        span.start -= usize::from(tokens.text[..span.start].ends_with(['(', '+']));
        let loose = tokens.list.get(self.at + 1).is_some_and(|second| second.gap == Gap::Space && second.mark == 0);
        let confidence = if loose && !labelled && !abroad { 0.5 } else { 0.85 };
        Some((Hit::new(kind, span, confidence), end))
    }

    /// A device identifier: application identifier 01 in brackets, and a GTIN.
    fn device(&self) -> Found {
        let number =
            self.tokens.list.get(self.at + 1).filter(|number| number.gap <= Gap::Mark && number.mark == b')')?;
        if self.run.text != "01" || !self.tokens.word(number).get(..14).is_some_and(checks::gtin) {
            return None;
        }
        let mut end = self.at + 2;
        // The lot, the serial number and the dates go on behind it.
        while self.tokens.list.get(end).is_some_and(|next| next.gap <= Gap::Mark && matches!(next.mark, b'(' | b')')) {
            end += 1;
        }
        let mut span = self.tokens.span(self.at..end);
        span.start -= usize::from(self.tokens.text[..span.start].ends_with('('));
        Some((Hit::new(Kind::Device, span, 0.95), end))
    }

    fn colons(&self) -> Found {
        let token = self.tokens.list.get(self.at)?;
        let before = self.at.checked_sub(1).and_then(|before| self.tokens.list.get(before));
        // A later part of what was looked at already.
        if token.gap == Gap::Joined && token.mark == b':' && before.is_some_and(|before| before.class.has_digit()) {
            return None;
        }
        let behind = self.tokens.text.as_bytes().get(token.end as usize) == Some(&b':');
        let inside = self.tokens.list.get(self.at + 1).is_some_and(|next| next.gap == Gap::Joined && next.mark == b':');
        let hit = (behind && inside && token.length() <= 4)
            .then(|| marks::colons(self.tokens.text, token.start as usize))??;
        let end = self.tokens.list.partition_point(|token| (token.start as usize) < hit.span.end);
        Some((hit, end))
    }
}

/// "the chart of 2019"
fn is_year(text: &str) -> bool {
    text.len() == 4 && (text.starts_with("19") || text.starts_with("20"))
}

/// Whether what stands in front of a group of digits is what people write into a telephone number.
fn is_dialled(tokens: &Tokens<'_>, token: &Token) -> bool {
    let lead = tokens.text.get(..token.start as usize).unwrap_or_default();
    let between = || lead.chars().rev().take(4).take_while(|character| !character.is_ascii_digit());
    between().count() <= 3 && between().all(|character| " .()/".contains(character) || tokens::is_hyphen(character))
}

/// Over `x 123`, `ext. 123`.
fn extension(tokens: &Tokens<'_>, end: usize) -> usize {
    let near = |at: usize| tokens.list.get(at).filter(|token| token.gap <= Gap::Sentence);
    let Some(word) = near(end).map(|token| tokens.word(token).to_ascii_lowercase()) else { return end };
    let number = |text: &str| (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if word.strip_prefix('x').is_some_and(number) {
        return end + 1;
    }
    let named = matches!(word.as_str(), "x" | "ext" | "extension");
    if named && near(end + 1).is_some_and(|token| number(tokens.word(token))) { end + 2 } else { end }
}
