//! MIME: any message is read within its budget, without edits every octet stays, and an edit touches its own field only.

use sealpost::mail::{Message, WireLimits};
use sealpost::mime::{self, Budget, Content, Edit};
use sealpost::phi::Phi;

pub const LIMITS: WireLimits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 18, line_bytes: 1 << 18 };
pub const BUDGET: Budget = Budget { depth: 12, parts: 60, ratio: 20, bytes: 1 << 20 };

pub fn check(data: &[u8]) {
    let Ok(message) = Message::parse(wire(data), &LIMITS) else { return };
    let (tree, files) = mime::read(&message, &BUDGET);
    // Each entity may add its subjects, its names and other fields, its broken header, its preamble and epilogue, the names of
    // its attachment, and what a page in it hides and carries; some of them in each of a few readings.
    assert!(tree.parts.len() <= BUDGET.parts * 40, "{} parts", tree.parts.len());
    for file in &files {
        let part = tree.parts.get(file.at).expect("a file has its place among the parts");
        assert!(matches!(part.content, Content::Unreadable(_)), "a file is unreadable until its reader has seen it");
    }
    let read: usize = tree.parts.iter().map(text_of).sum();
    assert!(read <= 4 * (BUDGET.bytes + data.len()), "{read} octets of text out of {}", data.len());
    edits(&message);
}

fn text_of(part: &mime::Part) -> usize {
    match &part.content {
        Content::Text(text) => text.expose().len(),
        Content::Unreadable(_) => 0,
    }
}

fn edits(message: &Message) {
    assert_eq!(mime::edit(message, &[]).bytes(), message.bytes(), "without edits no octet changes");
    let absent = mime::edit(message, &[Edit::Remove("x-not-there-at-all")]);
    assert_eq!(absent.bytes(), message.bytes(), "what is not there is not taken off");
    const TRACE: &str = "Received: from a\r\n\tby b\r\n";
    let front = mime::edit(message, &[Edit::Prepend(TRACE.into())]);
    assert_eq!(front.bytes().strip_prefix(TRACE.as_bytes()), Some(&message.bytes()[..]), "the trace stands in front");
    let without = mime::edit(message, &[Edit::Remove("bcc"), Edit::RemoveBeginning("X-Sealpost-")]);
    assert!(mime::header(&without, "bcc").is_none() && !mime::has_header_beginning(&without, "X-Sealpost-"));
    assert_eq!(without.body(), message.body(), "an edit of the header leaves the body");
    let subject = mime::edit(message, &[Edit::Subject(Phi::new("Termin".into()))]);
    assert_eq!(mime::header(&subject, "subject").is_some(), mime::header(message, "subject").is_some());
    if let Some(subject) = mime::header(&subject, "subject") {
        assert_eq!(subject.expose(), "Termin");
    }
    assert_eq!(subject.body(), message.body());
}

/// Line ends as a message has them, so that the fuzzer need not find out.
pub fn wire(data: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(data.len() + 64);
    for octet in data {
        match octet {
            b'\r' | 0 => {}
            b'\n' => wire.extend_from_slice(b"\r\n"),
            octet => wire.push(*octet),
        }
    }
    wire
}
