//! What a message says and to whom, in one form for the copy that a program sends again: Date, Message-ID and the marks
//! between the parts of a body may be new each time, and do not count.

use crate::crypto::{Digest, sha256};
use crate::mail::{Address, ClientName, Envelope, Message};
use crate::mime::Tree;

/// Who writes to whom, and about what; all of it is digested, and dropped.
pub(super) struct Said(Vec<u8>);

impl Said {
    pub(super) fn of(client: &ClientName, envelope: &Envelope, tree: &Tree) -> Said {
        let mut said = Said(Vec::new());
        said.add(client.0.as_bytes());
        // Everything that is exposed here is digested.
        let folded = |address: &Address| address.expose_folded().to_string();
        let mut recipients: Vec<String> = envelope.recipients().iter().map(folded).collect();
        recipients.sort_unstable();
        recipients.dedup();
        tree.from.iter().map(folded).chain(recipients).for_each(|address| said.add(address.as_bytes()));
        // Into the digest too.
        said.add(tree.subject.expose().as_bytes());
        said
    }

    fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&part.len().to_be_bytes());
        self.0.extend_from_slice(part);
    }

    /// The digest goes into a keyed one before it is kept.
    pub(super) fn likeness(mut self, message: &Message) -> Digest {
        let body = message.bytes().get(message.header().len()..).unwrap_or_default();
        self.0.reserve(body.len());
        body.split(|octet| *octet == b'\n').filter(|line| !is_a_mark(line)).for_each(|line| self.add(line));
        sha256(&self.0)
    }
}

/// A line that differs between two copies of one message: the marks between parts, and what names them.
fn is_a_mark(line: &[u8]) -> bool {
    let begins = |start: &str| line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()));
    let holds = |word: &[u8]| line.windows(word.len()).any(|place| place.eq_ignore_ascii_case(word));
    let is_between_parts = begins("--") && !line.trim_ascii().contains(&b' ');
    is_between_parts || begins("content-id:") || begins("x-attachment-id:") || (line.len() < 200 && holds(b"boundary="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{ReversePath, WireLimits};
    use crate::mime::{self, Budget};

    fn of(client: &str, to: &[&str], text: &str) -> Digest {
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
        let message = Message::parse(text.replace('\n', "\r\n").into_bytes(), &limits).unwrap();
        let mut to = to.iter().map(|to| Address::parse(to).unwrap());
        let envelope = Envelope::new(ReversePath::Null, to.next().unwrap(), to.collect());
        let tree = mime::parse(&message, &Budget { depth: 9, parts: 99, ratio: 99, bytes: 1 << 20 });
        Said::of(&ClientName(client.into()), &envelope, &tree).likeness(&message)
    }

    fn letter(number: u32, name: &str) -> String {
        format!(
            "From: ann@clinic.example\nDate: Tue, 24 Nov 2026 12:00:0{number} +0000\nMessage-ID: <{number}@clinic.example>\n\
             Subject: Your visit\nContent-Type: multipart/mixed; boundary=\"b{number}\"\n\n--b{number}\n\
             Content-Type: multipart/alternative; boundary=\"c{number}\"\n\n--c{number}\n\nDear {name}, see you at noon.\n\
             --c{number}--\n--b{number}--\n"
        )
    }

    #[test]
    fn a_copy_under_new_marks_is_alike_and_any_other_word_is_not() {
        let to = ["m@free.example", "bo@lab.example"];
        let first = of("openemr", &to, &letter(1, "Maribel"));
        assert_eq!(first, of("openemr", &["bo@lab.example", "M@free.example"], &letter(2, "Maribel")));
        for other in [
            of("openemr", &to, &letter(1, "Bo")),
            of("openemr", &to[..1], &letter(1, "Maribel")),
            of("scanner", &to, &letter(1, "Maribel")),
            of("openemr", &to, &letter(1, "Maribel").replace("Your visit", "Your bill")),
            of("openemr", &to, &letter(1, "Maribel").replace("ann@", "bob@")),
            of("openemr", &to, &letter(1, "Maribel").replace("Dear", "-- Metformin 500 mg\nDear")),
        ] {
            assert_ne!(first, other);
        }
    }
}
