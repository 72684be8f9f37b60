//! What a message consists of, read within work budgets, and the closed list of edits that may be made to it.

mod addressees;
mod attributes;
mod cards;
mod charset;
mod decode;
mod edit;
mod fields;
mod file;
mod heads;
mod html;
mod inside;
mod leaf;
mod lines;
mod insert;
mod read;
mod rows;
mod split;
mod transfer;
mod survey;
mod walk;
mod words;

use bytes::Bytes;

use crate::mail::{Address, Message};
use crate::phi::Phi;

pub use addressees::{Addressee, addressees};
pub use edit::{Edit, edit};
pub use file::file_header;
pub use insert::Inserted;
pub use inside::is_message;
pub use survey::{Attached, Survey, extension, survey, values};

/// How much work reading one message may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub depth: usize,
    pub parts: usize,
    /// How many times its encoded size a part may grow to when decoded.
    pub ratio: usize,
    /// Decoded octets in all.
    pub bytes: usize,
}

/// Why a part could not be read. Each counts as PHI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    TooDeep,
    TooManyParts,
    TooLarge,
    RatioExceeded,
    /// The transfer encoding or the structure is broken or ambiguous.
    Broken,
    /// Encrypted end to end.
    Encrypted,
    /// No reader for this format.
    NoReader,
    /// A picture, or a page that shows one and no text.
    Scanned,
    /// Its reader did not end in time.
    TooSlow,
    /// Its reader ended before it had read it, or asked for more memory than it may have.
    Crashed,
}

impl Unreadable {
    /// As it is written in evidence, and in rules.
    pub const fn name(self) -> &'static str {
        match self {
            Unreadable::TooDeep => "too_deep",
            Unreadable::TooManyParts => "too_many_parts",
            Unreadable::TooLarge => "too_large",
            Unreadable::RatioExceeded => "ratio_exceeded",
            Unreadable::Broken => "broken",
            Unreadable::Encrypted => "encrypted",
            Unreadable::NoReader => "no_reader",
            Unreadable::Scanned => "scanned",
            Unreadable::TooSlow => "too_slow",
            Unreadable::Crashed => "crashed",
        }
    }
}

#[derive(Clone, Debug)]
pub enum Content {
    Text(Phi<String>),
    Unreadable(Unreadable),
}

/// One leaf of the tree, or a header that people write into.
#[derive(Clone, Debug)]
pub struct Part {
    /// The IMAP-style section number, `1` or `2.1`, or what belongs to it, as in `1.2.subject`: see `Origin`. A number behind
    /// `~`, as in `1~2`, is that of a further reading: some mail programs show this, others what has no mark.
    pub path: String,
    pub media_type: String,
    pub name: Option<Phi<String>>,
    pub content: Content,
}

/// Where in a message the text of a part stands, by the last word of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `subject`
    Subject,
    /// `from`, `to` and others: the names beside the addresses, one a line.
    Names,
    /// `headers`: further fields that people or programs write words into, each as `Comments: call her`.
    Fields,
    /// A section number: what a person reads, or the content of a file.
    Text,
    /// `name`, of a file.
    FileName,
    /// `hidden`: what a page carries and does not show.
    Hidden,
    /// `links`: where a page's links lead, and with which parameters.
    Links,
    /// `alt`: what a page says of its pictures and fields.
    Alt,
    /// `preamble` and `epilogue`, which no program shows, and what marks something that was not read.
    Aside,
}

impl Part {
    pub fn origin(&self) -> Origin {
        let last = self.path.rsplit('.').next().unwrap_or_default();
        match last.split('~').next().unwrap_or_default() {
            "subject" => Origin::Subject,
            "from" | "sender" | "reply-to" | "to" | "cc" | "bcc" | "resent-from" | "resent-to" | "resent-cc" => {
                Origin::Names
            }
            "headers" => Origin::Fields,
            "name" => Origin::FileName,
            "hidden" => Origin::Hidden,
            "links" => Origin::Links,
            "alt" => Origin::Alt,
            "preamble" | "epilogue" | "header" | "data" => Origin::Aside,
            _ => Origin::Text,
        }
    }
}

/// A message, decoded.
#[derive(Clone, Debug)]
pub struct Tree {
    pub subject: Phi<String>,
    pub from: Vec<Address>,
    pub message_id: Option<Phi<String>>,
    pub parts: Vec<Part>,
    /// Decoded values of the fields that steer Sealpost or say for how many a message is meant, lower-case names:
    /// `x-sealpost-secure`, `sensitivity`, `tls-required`, `list-id`, `list-unsubscribe`, `precedence`. Not all may be
    /// obeyed: policy asks for the first three by name.
    pub control: Vec<(String, Phi<String>)>,
}

/// A part that is unreadable until a reader of its format has seen it.
#[derive(Clone, Debug)]
pub struct File {
    /// Its place in `Tree::parts`.
    pub at: usize,
    pub octets: Phi<Bytes>,
}

/// Reads a message, and gives the parts beside it that are neither text nor a format that nobody reads.
pub fn read(message: &Message, budget: &Budget) -> (Tree, Vec<File>) {
    walk::walk(message, budget)
}

/// Reads a file that lay in another as if it had come in a message by itself: by its name, or by what it looks like. The paths
/// count from the file, which is the empty one; the octets of what needs another reader are given back.
pub fn read_file(name: &str, octets: &[u8], budget: &Budget) -> (Vec<Part>, Vec<File>) {
    walk::file(name, octets, budget)
}

/// The rows of a table, a tab between its cells, with the names of its first row in front of each cell: `MRN: 00482913`.
pub fn table(rows: &str) -> String {
    rows::named(rows, '\t')
}

/// Reads a message. What cannot be read within the budget is an unreadable part, never an error and never left out.
pub fn parse(message: &Message, budget: &Budget) -> Tree {
    read(message, budget).0
}

/// The first value of a field, unfolded and decoded (RFC 2047).
pub fn header(message: &Message, name: &str) -> Option<Phi<String>> {
    fields::named(message.header(), name).next().map(|field| Phi::new(read::text(field.value)))
}

/// Whether there is a field whose name begins like this.
pub fn has_header_beginning(message: &Message, start: &str) -> bool {
    fields::fields(message.header()).any(|field| field.begins(start))
}

/// The fields that the message's DKIM signatures cover, in lower case (RFC 6376 §3.5 `h=`).
pub fn signed_fields(message: &Message) -> Vec<String> {
    let mut names = Vec::new();
    for field in fields::named(message.header(), "dkim-signature") {
        let value = String::from_utf8_lossy(field.value);
        let tags = value.split(';').filter_map(|tag| tag.split_once('='));
        for (_, list) in tags.filter(|(tag, _)| tag.trim() == "h") {
            names.extend(list.split(':').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::WireLimits;

    fn message(text: &str) -> Message {
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
        Message::parse(text.as_bytes().to_vec(), &limits).unwrap()
    }

    #[test]
    fn a_header_is_found_without_case_and_decoded() {
        let message = message("SUBJECT : =?utf-8?B?UmVzw7xsdHM=?=\r\n of today\r\nX-A: 1\r\n\r\n");
        assert_eq!(header(&message, "subject").unwrap().expose(), "Resülts of today");
        assert!(header(&message, "to").is_none());
    }

    #[test]
    fn a_path_tells_where_a_text_stands() {
        let content = || Content::Text(Phi::default());
        let origin =
            |path: &str| Part { path: path.into(), media_type: String::new(), name: None, content: content() }.origin();
        assert_eq!(origin("subject~2"), Origin::Subject);
        assert_eq!(origin("1.2.reply-to"), Origin::Names);
        assert_eq!(origin("2~3.name~2"), Origin::FileName);
        assert_eq!(origin("1~2"), Origin::Text);
        assert_eq!(origin("1.hidden"), Origin::Hidden);
    }

    #[test]
    fn the_fields_under_a_dkim_signature_are_named() {
        let message =
            message("DKIM-Signature: v=1; d=clinic.example; h=From:To:\r\n Subject : Date; bh=aGg9;\r\n b=x\r\n\r\n");
        assert_eq!(signed_fields(&message), ["date", "from", "subject", "to"]);
    }
}
