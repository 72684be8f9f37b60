//! Mail inside text: whole messages that were pasted, saved or sent back, answers with their marks of quotation, and lines that
//! were broken on the way.

use crate::mime::heads::Space;

/// Fields with which a message begins that somebody's program put into a text.
const FIRST: [&str; 9] = [
    "received:",
    "return-path:",
    "mime-version:",
    "content-type:",
    "message-id:",
    "from:",
    "subject:",
    "date:",
    "delivered-to:",
];
/// A field that says that what follows is no plain text.
const TELLING: [&str; 3] = ["content-type:", "content-transfer-encoding:", "mime-version:"];
/// Lines of a header that are looked at.
const MAX_LINES: usize = 200;
/// Places in one text where a message may begin.
const MAX_PLACES: usize = 50;

/// Where in a text a message begins, header and all: where it must be decoded to be read.
pub(super) fn message(text: &str) -> Option<usize> {
    let mut places = 0;
    let mut at = 0;
    let mut after_gap = true;
    for line in text.split_inclusive('\n') {
        let is_first = after_gap && begins(line, &FIRST);
        if is_first {
            places += 1;
            if is_header(&text[at..]) {
                return Some(at);
            }
        }
        if places > MAX_PLACES {
            return None;
        }
        // Dashes, and the line of a mailbox file, stand in front of what was sent back.
        let line = line.trim();
        after_gap = line.is_empty() || line.starts_with("--") || line.starts_with("From ") || line.ends_with(':');
        at += text[at..].find('\n').map_or(text.len() - at, |end| end + 1);
    }
    None
}

/// At least two fields, one of which says how the rest is to be read, and an empty line behind them.
fn is_header(text: &str) -> bool {
    let (mut fields, mut telling) = (0, false);
    for line in text.lines().take(MAX_LINES) {
        if line.trim().is_empty() {
            return fields >= 2 && telling;
        }
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !line.split_once(':').is_some_and(|(name, _)| is_name(name)) {
            return false;
        }
        fields += 1;
        telling |= begins(line, &TELLING);
    }
    false
}

fn begins(line: &str, names: &[&str]) -> bool {
    names.iter().any(|name| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

/// Whether a text begins as a message does, for files that are called otherwise: with two of the fields that messages begin
/// with (RFC 5322 §3.6).
pub fn is_message(text: &str) -> bool {
    begins(text, &FIRST) && text.lines().take(MAX_LINES).filter(|line| begins(line, &FIRST)).count() >= 2
}

/// A text whose lines are joined that go on in the next one (RFC 3676 §4.1 to §4.5), so that no phrase is torn.
pub(super) fn joined(text: &str, space: Space) -> String {
    let mut joined = String::with_capacity(text.len());
    // How deep the line before is quoted, if it goes on.
    let mut open = None;
    for (number, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let words = line.trim_start_matches('>');
        let (marks, words) = (&line[..line.len() - words.len()], words.strip_prefix(' ').unwrap_or(words));
        if open != Some(marks.len()) {
            joined.push_str(if number > 0 { "\n" } else { "" });
            joined.push_str(marks);
        }
        joined.push_str(words);
        // RFC 3676 §4.3: the line above a signature stays alone.
        open = (words.ends_with(' ') && words != "-- ").then_some(marks.len());
        if open.is_some() && space == Space::Goes {
            joined.pop();
        }
    }
    joined
}

/// A text without the marks of quotation at the starts of its lines: a phrase that is quoted is one phrase.
pub(super) fn unquoted(text: String) -> String {
    if !text.starts_with('>') && !text.contains("\n>") && !text.contains("\n >") {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let quoted = line.trim_start_matches(' ');
        plain.push_str(if quoted.starts_with('>') { quoted.trim_start_matches(['>', ' ']) } else { line });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_a_text_is_found_where_it_begins() {
        let mail = "Received: from a\r\nContent-Type: text/plain\r\n\tcharset=x\r\nContent-Transfer-Encoding: base64\r\n\r\nTVJO\r\n";
        assert_eq!(message(mail), Some(0));
        assert_eq!(message(&format!("It came back.\r\n\r\n--- below\r\n{mail}")), Some(28));
        for text in [
            "Hello,\r\nFrom: Ann\r\nSubject: you\r\n\r\nwords\r\n",
            "From: Ann\r\nSubject: you\r\n\r\nwords\r\n",
            "Content-Type: text/plain\r\nand words",
            "Subject: x",
            "",
        ] {
            assert_eq!(message(text), None, "{text}");
        }
        assert!(is_message("From: Ann\r\nSubject: you\r\n\r\nwords\r\n"));
        assert!(!is_message("From: Ann\r\nwords\r\n"));
    }

    #[test]
    fn marks_of_quotation_go_and_words_stay() {
        let quoted = "On Monday Bo wrote:\r\n> > type 2\r\n>> diabetes\r\n > yes\r\n\r\na > b\r\n";
        assert_eq!(unquoted(quoted.into()), "On Monday Bo wrote:\r\ntype 2\r\ndiabetes\r\nyes\r\n\r\na > b\r\n");
        assert_eq!(unquoted("a > b".into()), "a > b");
    }

    #[test]
    fn lines_that_flow_are_one() {
        let text = "type 2 \r\ndiabetes\r\n> of \r\n> Ann \r\nand Bo\r\n-- \r\nCy \r\n";
        assert_eq!(joined(text, Space::Stays), "type 2 diabetes\n>of Ann \nand Bo\n-- \nCy ");
        assert_eq!(joined("0048 \r\n2913  \r\nx", Space::Goes), "00482913 x");
        assert_eq!(joined("", Space::Goes), "");
    }

    #[test]
    fn a_text_of_nothing_but_first_lines_costs_little() {
        let started = std::time::Instant::now();
        assert_eq!(message(&"From: a\r\n\r\n".repeat(200_000)), None);
        assert_eq!(message(&"From: a\r\n".repeat(200_000)), None);
        assert!(started.elapsed() < std::time::Duration::from_secs(10));
    }
}
