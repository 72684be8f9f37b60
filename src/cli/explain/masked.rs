//! The lines in which something was found, with everything masked that was found or might name somebody: so that a decision
//! can be followed, shown and filed by whoever must not read the message.

use serde::Serialize;

use crate::classify::{Finding, Verdict};
use crate::mail::composed;
use crate::mime::{Content, Part, Tree};

/// One line of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Excerpt {
    /// As `mime::Part::path`.
    part: String,
    /// Counted from 1.
    line: usize,
    text: String,
}

/// Lines shown of one part; a table of patients shows as much in its first rows.
const MOST_LINES: usize = 12;
/// Characters on either side of what was found.
const AROUND: usize = 48;

/// Words with a capital that stay: they say what stands beside them, and begin sentences. Any other may be a name, also where
/// the classifier knows none.
const PLAIN: [&str; 77] = [
    "a",
    "account",
    "after",
    "all",
    "allergies",
    "an",
    "and",
    "any",
    "appointment",
    "are",
    "as",
    "assessment",
    "at",
    "balance",
    "before",
    "birth",
    "call",
    "claim",
    "code",
    "copay",
    "date",
    "dear",
    "diagnosis",
    "dob",
    "dose",
    "dr",
    "fax",
    "for",
    "from",
    "have",
    "he",
    "hello",
    "her",
    "hi",
    "his",
    "history",
    "i",
    "icd",
    "id",
    "if",
    "in",
    "is",
    "it",
    "lab",
    "medication",
    "medications",
    "member",
    "mr",
    "mrn",
    "mrs",
    "ms",
    "name",
    "no",
    "note",
    "npi",
    "of",
    "on",
    "our",
    "patient",
    "phone",
    "plan",
    "please",
    "policy",
    "re",
    "result",
    "results",
    "rx",
    "she",
    "ssn",
    "subject",
    "thank",
    "the",
    "they",
    "this",
    "to",
    "we",
    "your",
];

pub(super) fn excerpts(tree: &Tree, verdict: &Verdict) -> Vec<Excerpt> {
    let of_part = |part: &Part| {
        let here: Vec<&Finding> = verdict.findings.iter().filter(|finding| finding.part == part.path).collect();
        match &part.content {
            // What is found in it is masked, and so is every other word that could name somebody.
            Content::Text(text) => lines(&part.path, text.expose(), &here),
            Content::Unreadable(_) => Vec::new(),
        }
    };
    tree.parts.iter().flat_map(of_part).collect()
}

/// For people, under a heading; nothing when nothing was found in a text.
pub(super) fn tell(excerpts: &[Excerpt]) -> String {
    if excerpts.is_empty() {
        return String::new();
    }
    let mut text = "\nWhere it was found; words that were found or may name somebody are masked:\n".to_owned();
    let mut last = None;
    for Excerpt { part, line, text: masked } in excerpts {
        if last != Some(part) {
            let numbered = part.starts_with(|first: char| first.is_ascii_digit());
            let place = if numbered { format!("part {part}") } else { format!("the {part}") };
            text.push_str(&format!("  In {place}:\n"));
            last = Some(part);
        }
        text.push_str(&format!("    {line:>3}  {masked}\n"));
    }
    text
}

fn lines(path: &str, text: &str, findings: &[&Finding]) -> Vec<Excerpt> {
    let mut waiting: Vec<&Finding> = findings.iter().copied().filter(|found| found.start < found.end).collect();
    waiting.sort_unstable_by_key(|found| std::cmp::Reverse(found.start));
    let mut here: Vec<&Finding> = Vec::new();
    let mut shown = Vec::new();
    let mut start = 0;
    for (at, line) in text.split('\n').enumerate() {
        let characters: Vec<char> = line.trim_end_matches('\r').chars().collect();
        let end = start + characters.len();
        while let Some(found) = waiting.pop_if(|found| found.start < end) {
            here.push(found);
        }
        here.retain(|found| found.end > start);
        if !here.is_empty() {
            shown.push(Excerpt {
                part: path.to_owned(),
                line: at + 1,
                text: masked(&characters, &spans(&here, (start, end))),
            });
        }
        if shown.len() == MOST_LINES || (here.is_empty() && waiting.is_empty()) {
            break;
        }
        start += line.chars().count() + 1;
    }
    shown
}

/// What was found in one line, as places in it. What overlaps is one.
fn spans<'a>(here: &[&'a Finding], (start, end): (usize, usize)) -> Vec<(usize, usize, &'a str)> {
    let place = |found: &&'a Finding| {
        (found.start.max(start) - start, found.end.min(end).saturating_sub(start), found.kind.name())
    };
    let mut all: Vec<(usize, usize, &str)> = here.iter().map(place).filter(|(from, to, _)| from < to).collect();
    all.sort_unstable();
    let mut apart: Vec<(usize, usize, &str)> = Vec::new();
    for (from, to, kind) in all {
        match apart.last_mut() {
            Some(last) if from < last.1 => last.1 = last.1.max(to),
            Some(_) | None => apart.push((from, to, kind)),
        }
    }
    apart
}

fn masked(line: &[char], spans: &[(usize, usize, &str)]) -> String {
    let mut text = String::new();
    let mut at = 0;
    for (from, to, kind) in spans {
        text.push_str(&between(&line[at..*from], at == 0));
        text.push_str(&format!("[{kind}]"));
        at = *to;
    }
    text.push_str(&after(&line[at..], at == 0));
    text.trim().to_owned()
}

/// What stands before something that was found. Of a long one the beginning is left out, and behind another the middle.
fn between(characters: &[char], first: bool) -> String {
    let text = quiet(characters, first);
    let length = text.chars().count();
    let tail = |text: &str, keep: usize| text.chars().skip(length.saturating_sub(keep)).collect::<String>();
    match (length > AROUND, length > 2 * AROUND, first) {
        (true, _, true) => format!("… {}", tail(&text, AROUND)),
        (_, true, false) => format!("{} … {}", text.chars().take(AROUND).collect::<String>(), tail(&text, AROUND)),
        _ => text,
    }
}

fn after(characters: &[char], first: bool) -> String {
    let text = quiet(characters, first);
    if text.chars().count() > AROUND { format!("{} …", text.chars().take(AROUND).collect::<String>()) } else { text }
}

/// The text between, in which no number, address or name can be read. What was found before it may be a part of its first
/// word.
fn quiet(characters: &[char], first: bool) -> String {
    let text = composed(&characters.iter().collect::<String>());
    let hangs_on = !first && text.starts_with(|first: char| joins(first) || TIES.contains(&first));
    let words = text.split_inclusive(char::is_whitespace).enumerate();
    words.map(|(at, word)| quiet_word(word, hangs_on && at == 0)).collect()
}

/// One word, of which something before this may be masked already.
fn quiet_word(word: &str, mut masked: bool) -> String {
    let bare = word.trim_end();
    let space = &word[bare.len()..];
    if bare.contains('@') || bare.contains("://") || bare.to_lowercase().starts_with("www.") {
        return format!("•{space}");
    }
    let mut quiet = String::new();
    let runs = runs(bare);
    for (at, run) in runs.iter().enumerate() {
        let has_letter = run.chars().any(char::is_alphabetic);
        if has_letter && (masked || may_name(run) || begins_name(&runs[at..])) {
            quiet.push('•');
            masked = true;
        } else if run.chars().any(char::is_numeric) {
            quiet.push('#');
        } else {
            quiet.push_str(run);
        }
    }
    quiet + space
}

/// Whether a run is no word in small letters, nor one of those that stay. Most scripts have no small letters, and so no way
/// to tell.
fn may_name(run: &str) -> bool {
    if run.chars().filter(|letter| letter.is_alphabetic()).all(char::is_lowercase) {
        return false;
    }
    let word: String = run.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    PLAIN.binary_search_by(|plain| plain.cmp(&word.as_str())).is_err()
}

/// Whether a word that stays is only the beginning of a name, as in A'isha. "It's" and "I'm" are none.
fn begins_name(runs: &[&str]) -> bool {
    let [run, between, next, ..] = runs else { return false };
    run.chars().any(char::is_uppercase)
        && matches!(between.chars().collect::<Vec<char>>().as_slice(), [tie] if TIES.contains(tie))
        && !SHORTENED.contains(&next.to_lowercase().as_str())
}

/// What stands behind the apostrophe of words that are no names.
const SHORTENED: [&str; 7] = ["s", "m", "d", "t", "ll", "re", "ve"];
/// What ties two parts of a name, such as D'Angelo's.
const TIES: [char; 6] = ['\'', '’', '‘', '-', '‐', '‑'];
/// Marks beyond ASCII that stand between words. Any other is a part of the word: accents, and what cannot be seen.
const BETWEEN: [char; 18] = ['‘', '’', '‚', '“', '”', '„', '‐', '‑', '–', '—', '…', '•', '·', '«', '»', '¿', '¡', '→'];

fn joins(character: char) -> bool {
    character.is_alphanumeric()
        || (!character.is_ascii() && !character.is_whitespace() && !BETWEEN.contains(&character))
}

/// Letters and digits that hang together, and what stands between.
fn runs(word: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, character) in word.char_indices() {
        let kind = joins(character);
        if last.is_some_and(|last| last != kind) {
            all.push(&word[start..at]);
            start = at;
        }
        last = Some(kind);
    }
    all.push(&word[start..]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::classify;
    use crate::mail::{Message, WireLimits, wire_lines};
    use crate::mime::{self, Budget};

    fn shown(message: &str) -> Vec<String> {
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 4000 };
        let message = Message::parse(wire_lines(message.as_bytes()), &limits).unwrap();
        let tree = mime::parse(&message, &Budget { depth: 8, parts: 50, ratio: 20, bytes: 1 << 20 });
        excerpts(&tree, &classify(&tree)).into_iter().map(|excerpt| excerpt.text).collect()
    }

    #[test]
    fn what_was_found_stands_as_its_kind_and_what_is_beside_it_names_nobody() {
        let text = "Patient: Maribel Quist, MRN 00482913, seen with Wuxqia 4711 on ward B, has type 2 diabetes. \
                    Write to zorble@wuxqia.example";
        let lines = shown(&format!("From: ann@clinic.example\nSubject: Maribel Quist\n\nHello\n\n{text}\n"));
        let all = lines.join("\n");
        for secret in ["Maribel", "Quist", "00482913", "Wuxqia", "4711", "zorble", "diabetes"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        assert!(all.contains(": [NAME], MRN [MRN], seen with • # on ward •, has [DIAGNOSIS]"), "{all}");
        assert!(!all.contains("Hello"), "{all}");
    }

    #[test]
    fn a_long_line_is_cut_around_what_was_found() {
        let filler = "and so it went on and on ".repeat(40);
        let lines =
            shown(&format!("From: a@clinic.example\nSubject: x\n\n{filler}Patient Maribel Quist has asthma {filler}"));
        assert!(lines[0].starts_with("… ") && lines[0].ends_with(" …"), "{lines:?}");
        assert!(lines[0].chars().count() < 250, "{lines:?}");
    }

    #[test]
    fn words_that_stay_are_in_order_and_no_names() {
        assert!(PLAIN.is_sorted());
        assert_eq!(quiet_word("MRN: ", false), "MRN: ");
        assert_eq!(quiet_word("O'Brien-Smith,", false), "•'•-•,");
        assert_eq!(quiet_word("12/3/1962", false), "#/#/#");
    }

    #[test]
    fn no_way_of_writing_a_name_is_shown() {
        let between = |text: &str| quiet(&text.chars().collect::<Vec<char>>(), true);
        for (written, shown) in [
            ("O'brien", "•'•"),
            ("D’angelo,", "•’•,"),
            ("A'isha", "•'•"),
            ("It's the Patient's", "It's the Patient's"),
            ("Smith-jones/ward", "•-•/•"),
            // With what cannot be seen.
            ("Mari\u{ad}bel", "•"),
            ("Ma\u{200b}ri\u{2060}bel", "•"),
            // With accents on their own, of which not all can be composed.
            ("E\u{301}ric", "•"),
            ("Q\u{303}uist", "•"),
            ("Ibán\u{303}ez", "•"),
            // In scripts that have no capitals.
            ("王小明", "•"),
            ("محمد", "•"),
            ("מרים,", "•,"),
            ("प्रिया", "•"),
            ("Ольга", "•"),
            ("ward12", "#"),
            ("Patient: después de la visita", "Patient: después de la visita"),
            ("despue\u{301}s", "después"),
            ("“quoted” — and more…", "“quoted” — and more…"),
        ] {
            assert_eq!(between(written), shown, "{written}");
        }
        // What was found may be half of it.
        let behind = |text: &str| quiet(&text.chars().collect::<Vec<char>>(), false);
        for (written, shown) in
            [("\u{ad}bel went", "• went"), ("-hansen, MRN", "-•, MRN"), ("’angelo", "’•"), (", seen on", ", seen on")]
        {
            assert_eq!(behind(written), shown, "{written}");
        }
    }

    #[test]
    fn of_a_long_table_the_first_rows_are_shown() {
        let rows = "Patient Maribel Quist has asthma\n".repeat(50);
        assert_eq!(shown(&format!("From: a@clinic.example\nSubject: x\n\n{rows}")).len(), MOST_LINES);
    }
}
