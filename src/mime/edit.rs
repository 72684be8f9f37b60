//! The edits that may be made to a message; every octet that no edit names stays as it was.

use data_encoding::BASE64;

use crate::mail::{Message, WireLimits};
use crate::mime::fields::{self, Field};
use crate::mime::insert::{Inserted, insert};
use crate::phi::Phi;

/// One edit of the closed list of what a relay may change.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A whole field, CRLF included, put in front.
    Prepend(String),
    /// Every field of this name taken off.
    Remove(&'static str),
    /// Every field taken off whose name begins like this.
    RemoveBeginning(&'static str),
    /// The subject without the tags that were obeyed.
    Subject(Phi<String>),
    /// What stands in for a subject that is moved into the text.
    SubjectStandIn(String),
    /// Text above and below what the message says.
    Text(Inserted),
    /// A field put at the end of the header, if no field of that name is there.
    AddIfMissing(&'static str, String),
}

/// RFC 5322 §2.1.1: a line should not be longer than 78 characters without its CRLF.
const LINE_LENGTH: usize = 76;
/// RFC 5322 §2.1.1: and must not be longer than 998.
const LONGEST_WORD: usize = 900;
/// RFC 2047 §2: an encoded word has at most 75 characters; 45 octets make 60 of base64.
const ENCODED_OCTETS: usize = 45;

const NO_LIMITS: WireLimits =
    WireLimits { message_bytes: usize::MAX, header_bytes: usize::MAX, line_bytes: usize::MAX };

/// Applies the edits, in their order.
pub fn edit(message: &Message, edits: &[Edit]) -> Message {
    let mut header = message.header().to_vec();
    let mut body = message.body().to_vec();
    for edit in edits {
        header = match edit {
            Edit::Text(inserted) => {
                let whole = insert(&[header.as_slice(), body.as_slice()].concat().into(), inserted);
                let (header, behind) = parted(&whole);
                body = behind.to_vec();
                header.to_vec()
            }
            Edit::SubjectStandIn(text) => with_subject(&header, &Phi::new(text.clone())),
            Edit::Prepend(field) => [clean(field).as_bytes(), header.as_slice()].concat(),
            Edit::Remove(name) => rewrite(&header, |field| (!field.is(name)).then(|| field.whole.to_vec())),
            Edit::RemoveBeginning(start) => {
                rewrite(&header, |field| (!field.begins(start)).then(|| field.whole.to_vec()))
            }
            Edit::Subject(subject) => with_subject(&header, subject),
            Edit::AddIfMissing(name, value) => with_field(&header, name, value),
        };
    }
    header.extend_from_slice(&body);
    // Every octet comes from a message or from `clean`, so the line ends hold; the message as it was is the safe answer.
    Message::parse(header, &NO_LIMITS).unwrap_or_else(|_| message.clone())
}

/// The header with its empty line, and the body.
fn parted(whole: &[u8]) -> (&[u8], &[u8]) {
    let fields: usize = fields::fields(whole).map(|field| field.whole.len()).sum();
    let end = if whole[fields..].starts_with(b"\r\n") { fields + 2 } else { fields };
    whole.split_at(end)
}

/// The header with each field as `change` gives it, and its empty line as it was.
fn rewrite(header: &[u8], change: impl FnMut(Field<'_>) -> Option<Vec<u8>>) -> Vec<u8> {
    let kept: Vec<u8> = fields::fields(header).filter_map(change).flatten().collect();
    let read: usize = fields::fields(header).map(|field| field.whole.len()).sum();
    [kept.as_slice(), &header[read..]].concat()
}

fn with_subject(header: &[u8], subject: &Phi<String>) -> Vec<u8> {
    let mut written = false;
    rewrite(header, |field| {
        if !field.is("subject") {
            return Some(field.whole.to_vec());
        }
        // A second subject would show what the first one no longer says.
        if written {
            return None;
        }
        written = true;
        let name = &field.whole[..field.whole.len() - field.value.len()];
        // The subject goes back into the message that it came from.
        let value = fold(subject.expose(), name.len());
        Some([name, value.as_bytes(), b"\r\n"].concat())
    })
}

fn with_field(header: &[u8], name: &str, value: &str) -> Vec<u8> {
    if fields::named(header, name).next().is_some() {
        return header.to_vec();
    }
    let read: usize = fields::fields(header).map(|field| field.whole.len()).sum();
    let (fields, end) = header.split_at(read);
    [fields, clean(&format!("{name}: {value}")).as_bytes(), end].concat()
}

/// A field with clean line ends: what is folded stays so, nothing in it can end the header or begin another field.
fn clean(field: &str) -> String {
    let mut lines = String::with_capacity(field.len() + 2);
    for line in field.split(['\r', '\n', '\0']).filter(|line| !line.trim().is_empty()) {
        if !lines.is_empty() && !line.starts_with([' ', '\t']) {
            lines.push(' ');
        }
        lines.push_str(line);
        lines.push_str("\r\n");
    }
    lines
}

/// A value behind `used` characters of its first line, folded, in encoded words where it is not plain ASCII.
fn fold(value: &str, used: usize) -> String {
    let value = value.replace(['\r', '\n', '\0'], " ");
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !value.contains("=?");
    if !plain || value.split(' ').any(|word| word.len() > LONGEST_WORD) {
        return encoded(&value, used);
    }
    let mut folded = String::with_capacity(value.len() + 8);
    let mut width = used;
    for word in value.trim_end().split(' ') {
        if width > used && width + 1 + word.len() > LINE_LENGTH && !word.is_empty() {
            folded.push_str("\r\n");
            width = 0;
        }
        folded.push(' ');
        folded.push_str(word);
        width += 1 + word.len();
    }
    folded
}

/// RFC 2047 §2 and §5: encoded words of whole characters, one a line.
fn encoded(value: &str, used: usize) -> String {
    let mut words = Vec::new();
    let mut rest = value;
    let mut most = ENCODED_OCTETS.saturating_sub(used).max(4);
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(most);
        most = ENCODED_OCTETS;
        words.push(format!(" =?utf-8?B?{}?=", BASE64.encode(&rest.as_bytes()[..end])));
        rest = &rest[end..];
    }
    words.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::header;

    fn message(text: &[u8]) -> Message {
        Message::parse(text.to_vec(), &NO_LIMITS).unwrap()
    }

    fn check(text: &str, edits: &[Edit], expected: &str) {
        let edited = edit(&message(text.as_bytes()), edits);
        assert_eq!(String::from_utf8_lossy(edited.bytes()), expected);
    }

    const ODD: [&[u8]; 9] = [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"body without a header\r\n",
        b" starts with a fold\r\nSubject: a\r\n\r\nb\r\n",
        b"Subject:\r\n\r\n",
        b"SUBJECT  :  two  spaces \t\r\n\t and a tab  \r\nBcc: x@y.example,\r\n z@y.example\r\n\r\n.\r\n..\r\n\r\n\r\n",
        b"A: \xff\xfe\r\nno colon\r\n:\r\n\r\n\x80\x81 \r\n",
        b"From: a@b.example\r\n \r\nSubject: fold of spaces only above\r\n\r\nx\r\n",
    ];

    #[test]
    fn without_edits_no_octet_changes() {
        for text in ODD {
            assert_eq!(edit(&message(text), &[]).bytes(), text);
            assert_eq!(edit(&message(text), &[Edit::Remove("x-not-there")]).bytes(), text);
        }
    }

    #[test]
    fn a_field_in_front_leaves_the_rest_alone() {
        for text in ODD {
            let edited = edit(&message(text), &[Edit::Prepend("Received: from a\r\n by b\r\n".into())]);
            assert_eq!(edited.bytes(), &[b"Received: from a\r\n by b\r\n", text].concat());
        }
    }

    #[test]
    fn every_field_of_the_name_is_taken_off_with_its_folds() {
        let text = "Bcc: a@b.example,\r\n c@b.example\r\nTo: d@b.example\r\nBCC : e@b.example\r\nBcc-Not: 1\r\n\r\nBcc: body\r\n";
        check(text, &[Edit::Remove("bcc")], "To: d@b.example\r\nBcc-Not: 1\r\n\r\nBcc: body\r\n");
    }

    #[test]
    fn every_field_that_begins_like_this_is_taken_off_whatever_its_case_folds_and_spaces() {
        let text = "X-Sealpost-Secure: yes\r\nx-SEALPOST-later :\r\n 1\r\n\t2\r\nX-Sealpost: 1\r\nX-Sealpost-\t: 3\r\n\
                    X-Sealpost-no colon\r\n\r\nX-Sealpost-Secure: body\r\n";
        let expected = "X-Sealpost: 1\r\nX-Sealpost-no colon\r\n\r\nX-Sealpost-Secure: body\r\n";
        check(text, &[Edit::RemoveBeginning("X-Sealpost-")], expected);
    }

    #[test]
    fn the_subject_is_replaced_where_it_stands() {
        let edits = [Edit::Subject(Phi::new("Hello".into()))];
        check(
            "A: 1\r\nSUBJECT :[secure]\r\n Hello\r\nB: 2\r\n\r\nx\r\n",
            &edits,
            "A: 1\r\nSUBJECT : Hello\r\nB: 2\r\n\r\nx\r\n",
        );
        check("Subject: a\r\nSubject: [secure] b\r\n\r\n", &edits, "Subject: Hello\r\n\r\n");
        check("A: 1\r\n\r\n", &edits, "A: 1\r\n\r\n");
    }

    #[test]
    fn a_subject_survives_folding_and_encoding() {
        for subject in
            ["Résultats d’analyses ✓ ".repeat(20).trim_end(), "plain words ".repeat(30).trim_end(), "=?utf-8?B?x?="]
        {
            let edited = edit(&message(b"Subject: x\r\n\r\n"), &[Edit::Subject(Phi::new(subject.to_owned()))]);
            assert!(edited.header().split(|b| *b == b'\n').all(|line| line.len() <= 78), "{subject}");
            assert_eq!(header(&edited, "subject").unwrap().expose(), subject);
        }
    }

    #[test]
    fn a_missing_field_is_added_at_the_end_of_the_header() {
        let edits = [Edit::AddIfMissing("Date", "Mon, 2 Mar 2026 10:00:00 +0000".into())];
        check("A: 1\r\n\r\nx\r\n", &edits, "A: 1\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n\r\nx\r\n");
        check("A: 1\r\n", &edits, "A: 1\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n");
        check("date : yesterday\r\n\r\n", &edits, "date : yesterday\r\n\r\n");
    }

    #[test]
    fn an_added_field_cannot_begin_another_one() {
        check("\r\n", &[Edit::Prepend("X: a\r\n\r\nEvil: b\n".into())], "X: a\r\n Evil: b\r\n\r\n");
    }
}
