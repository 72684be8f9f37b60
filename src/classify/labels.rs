//! The words in front of a number that say what it is: `MRN`, `Member ID`, `room`; or at the head of its column.

use crate::classify::lexicon::{self, flag};
use crate::classify::tokens::{Gap, Tokens};

/// What a label says of the number behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Mrn,
    Mbi,
    Member,
    Account,
    Unique,
    Npi,
    Dea,
    License,
    Vehicle,
    Device,
    Udi,
    Imei,
    Ssn,
    LastFour,
    Phone,
    Fax,
    Zip,
    Birth,
    Event,
    Age,
    Icd,
    Procedure,
    /// Some code: one that begins with a letter tells what it is.
    Code,
    Ndc,
    Loinc,
    Ip,
    Vital,
    /// The name of a test: a result follows.
    Lab,
    /// A town follows.
    Home,
    /// The number of something that is no person's and nobody's health.
    Other,
}

impl Label {
    pub(super) fn from_name(name: &str) -> Option<Label> {
        const NAMES: [(&str, Label); 29] = [
            ("mrn", Label::Mrn),
            ("mbi", Label::Mbi),
            ("member", Label::Member),
            ("account", Label::Account),
            ("unique", Label::Unique),
            ("npi", Label::Npi),
            ("dea", Label::Dea),
            ("license", Label::License),
            ("vehicle", Label::Vehicle),
            ("device", Label::Device),
            ("udi", Label::Udi),
            ("imei", Label::Imei),
            ("ssn", Label::Ssn),
            ("last_four", Label::LastFour),
            ("phone", Label::Phone),
            ("fax", Label::Fax),
            ("zip", Label::Zip),
            ("birth", Label::Birth),
            ("event", Label::Event),
            ("age", Label::Age),
            ("icd", Label::Icd),
            ("procedure", Label::Procedure),
            ("code", Label::Code),
            ("ndc", Label::Ndc),
            ("loinc", Label::Loinc),
            ("ip", Label::Ip),
            ("vital", Label::Vital),
            ("home", Label::Home),
            ("other", Label::Other),
        ];
        NAMES.iter().find(|(other, _)| *other == name).map(|(_, label)| *label)
    }
}

/// A label and its tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) label: Label,
    pub(super) first: usize,
    pub(super) end: usize,
}

/// The labels of a block, in order.
#[derive(Debug, Default)]
pub(super) struct Labels {
    places: Vec<Place>,
    /// The lines that head a table, with the label of each column.
    heads: Vec<Head>,
}

#[derive(Debug)]
struct Head {
    line: u32,
    /// The first label of each cell: no more than there are cells, since each number of the table looks here.
    columns: Vec<(u8, Label)>,
}

/// Words that may stand between a label and its number.
const BETWEEN: usize = 4;
/// And where a colon or the like stands right in front of the number: "MRN for Maribel Quist: 00482913".
const BEFORE_COLON: usize = 6;
/// Lines that one head is read for.
const TABLE: u32 = 5000;

impl Labels {
    pub(super) fn of(tokens: &Tokens<'_>, places: Vec<Place>) -> Labels {
        let heads = heads(tokens, &places);
        Labels { places, heads }
    }

    /// Where the labels of towns end, in tokens.
    pub(super) fn homes(&self) -> impl Iterator<Item = usize> {
        self.places.iter().filter(|place| place.label == Label::Home).map(|place| place.end)
    }

    /// Where a label ends that is tied to the number behind it: "MRN-4829130", "DOB-04/02/1961".
    pub(super) fn tied(&self, first: usize, at: usize) -> Option<usize> {
        let after = self.places.partition_point(|place| place.end <= at);
        let before = after.checked_sub(1).and_then(|at| self.places.get(at))?;
        // "SN-99182-A" is a whole.
        (before.first >= first && before.end > first && before.label != Label::Device).then_some(before.end)
    }

    /// The label of the number that begins with a token.
    pub(super) fn of_number(&self, tokens: &Tokens<'_>, first: usize, end: usize) -> Option<Label> {
        let after = self.places.partition_point(|place| place.end <= first);
        let before = after.checked_sub(1).and_then(|at| self.places.get(at));
        if let Some(place) = before.filter(|place| reaches(tokens, place, first)) {
            return Some(self.of_both(tokens, after).unwrap_or(place.label));
        }
        let behind = self.places.get(after).filter(|place| place.first == end && follows(tokens, place));
        behind.map(|place| place.label).or_else(|| self.of_column(tokens, first))
    }

    /// "MRN/Acct": the number is a record's, whatever else it is.
    fn of_both(&self, tokens: &Tokens<'_>, after: usize) -> Option<Label> {
        let [first, second] = self.places.get(after.checked_sub(2)?..after)? else { return None };
        let slash = tokens.list.get(second.first).is_some_and(|token| token.mark == b'/');
        (first.label == Label::Mrn && first.end == second.first && slash).then_some(Label::Mrn)
    }

    /// The label of the date that begins with a token: farther off than that of a number may be.
    pub(super) fn of_date(&self, tokens: &Tokens<'_>, first: usize, end: usize) -> Option<Label> {
        const REACH: usize = 5;
        let dated = |label: &Label| matches!(label, Label::Birth | Label::Event);
        if let Some(label) = self.of_number(tokens, first, end).filter(dated) {
            return Some(label);
        }
        let after = self.places.partition_point(|place| place.end <= first);
        let before = self.places.iter().take(after).rev().take(2).find(|place| dated(&place.label))?;
        let between = tokens.list.get(before.end..first)?;
        let near = between.len() <= REACH && !between.iter().any(|token| token.class.has_digit());
        // Asked of what is near only: the way to a label far in front is long, and walked for each date.
        let joined =
            || tokens.list.get(before.end..=first).unwrap_or_default().iter().all(|token| token.gap < Gap::Sentence);
        (near && joined()).then_some(before.label)
    }

    fn of_column(&self, tokens: &Tokens<'_>, first: usize) -> Option<Label> {
        let token = tokens.list.get(first)?;
        let head = self.heads.get(self.heads.partition_point(|head| head.line < token.line).checked_sub(1)?)?;
        let row = || tokens.list.iter().skip(first).take(64).take_while(|other| other.line == token.line);
        let is_row = token.cell > 0 || row().any(|other| other.cell > 0);
        let column = head.columns.iter().find(|(cell, _)| *cell == token.cell);
        column.filter(|_| is_row && token.line - head.line < TABLE).map(|(_, label)| *label)
    }
}

/// Whether a label belongs to the number in front of it: "00482913 (MRN)", "the 85201 ZIP code".
fn follows(tokens: &Tokens<'_>, place: &Place) -> bool {
    let Some(first) = tokens.list.get(place.first) else { return false };
    match place.label {
        Label::Zip if first.gap == Gap::Space => true,
        Label::Birth if first.gap == Gap::Joined && first.mark == b')' => true,
        _ => first.gap <= Gap::Mark && first.mark == b'(',
    }
}

/// Whether nothing stands between a label and a number that parts them.
fn reaches(tokens: &Tokens<'_>, place: &Place, first: usize) -> bool {
    let Some(between) = tokens.list.get(place.end..first) else { return false };
    let marked = tokens.between(first).contains([':', '=', '#']);
    let lexicon = lexicon::lexicon();
    let fills = between.len() <= BETWEEN && between.iter().all(|token| lexicon.is(token, flag::FILLER));
    let named = marked && between.len() <= BEFORE_COLON && !between.iter().any(|token| token.class.has_digit());
    if !fills && !named {
        return false;
    }
    (place.end..=first).all(|at| passes(tokens, place, at))
}

fn passes(tokens: &Tokens<'_>, place: &Place, at: usize) -> bool {
    let (Some(token), Some(before)) = (tokens.list.get(at), at.checked_sub(1).and_then(|at| tokens.list.get(at)))
    else {
        return false;
    };
    let alone = tokens.list.get(place.first).is_some_and(|first| first.gap >= Gap::Cell);
    match token.gap {
        Gap::Joined if token.mark == b'/' => token.class.has_digit() || before.length() <= 2,
        Gap::Joined => !matches!(token.mark, b'(' | b')') || before.length() <= 2,
        Gap::Space | Gap::Cell => true,
        Gap::Mark if token.mark == b')' => before.length() <= 3 || tokens.between(at).contains(':'),
        Gap::Mark => !matches!(token.mark, b',' | b';'),
        // "Policy no. 7120055", "D.O.B. 05-Aug-1973"
        Gap::Sentence => before.length() <= 4 && token.mark == b'.',
        Gap::Line => matches!(token.mark, b':' | b'#' | b'=') || alone && token.mark == 0,
        Gap::Paragraph => false,
    }
}

/// A line without a number, with labels in two of its cells or more, is the head of a table.
fn heads(tokens: &Tokens<'_>, places: &[Place]) -> Vec<Head> {
    let mut heads = Vec::new();
    let mut at = 0;
    let line_of = |place: &Place| tokens.list.get(place.first).map_or(0, |token| token.line);
    let cell_of = |place: &Place| tokens.list.get(place.first).map_or(0, |token| token.cell);
    while let Some(first) = places.get(at) {
        let line = line_of(first);
        let of_line = places.iter().skip(at).take_while(|place| line_of(place) == line).count();
        let mut columns: Vec<(u8, Label)> =
            places[at..at + of_line].iter().map(|place| (cell_of(place), place.label)).collect();
        columns.dedup_by_key(|(cell, _)| *cell);
        let several = columns.iter().any(|(cell, _)| *cell > 0);
        let from = tokens.list.partition_point(|token| token.line < line);
        let numbers = || {
            let of_line = tokens.list.iter().skip(from).take_while(|token| token.line == line);
            of_line.filter(|token| token.class.has_digit() && token.length() > 2).count()
        };
        if several && numbers() == 0 {
            heads.push(Head { line, columns });
        }
        at += of_line;
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Hits, lexicon};

    fn label(text: &str) -> Option<Label> {
        let tokens = Tokens::of(text);
        let places = lexicon::detect(&tokens, &mut Hits::within(100));
        let number = tokens.list.iter().rposition(|token| token.class.has_digit()).unwrap();
        Labels::of(&tokens, places).of_number(&tokens, number, number + 1)
    }

    #[test]
    fn a_number_has_the_label_in_front_of_it() {
        assert_eq!(label("MRN: 00482913"), Some(Label::Mrn));
        assert_eq!(label("Medical record no. 00482913"), Some(Label::Mrn));
        assert_eq!(label("her member id is 00482913"), Some(Label::Member));
        assert_eq!(label("MRN for Maribel Quist: 00482913"), Some(Label::Mrn));
        assert_eq!(label("MRN\n00482913"), Some(Label::Mrn));
        assert_eq!(label("MRN | 00482913"), Some(Label::Mrn));
        assert_eq!(label("número de expediente: 00482913"), Some(Label::Mrn));
    }

    #[test]
    fn a_label_does_not_reach_over_other_words() {
        assert_eq!(label("MRN pending, call 00482913"), Some(Label::Phone));
        assert_eq!(label("the chart shows that 00482913"), None);
        assert_eq!(label("no MRN. Then 00482913"), None);
        assert_eq!(label("room 00482913"), Some(Label::Other));
    }

    #[test]
    fn a_head_has_one_label_for_each_cell() {
        let tokens = Tokens::of("x | MRN Acct DOB MRN | Acct MRN");
        let places = lexicon::detect(&tokens, &mut Hits::within(100));
        let labels = Labels::of(&tokens, places);
        assert_eq!(labels.heads[0].columns, [(1, Label::Mrn), (2, Label::Account)]);
    }

    #[test]
    fn a_number_in_a_table_has_the_label_of_its_column() {
        assert_eq!(label("Name\tMRN\nQuist\t00482913"), Some(Label::Mrn));
        assert_eq!(label("Name | MRN | City\nQuist | 00482913 | Mesa\nGrebe | 771234"), Some(Label::Mrn));
        assert_eq!(label("Name\tMRN\nQuist 00482913"), None);
    }
}
