//! What parent and child say to each other: octets behind their length, and what a part is in JSON before its text.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::extract::Budget;
use crate::mime::{Content, Part, Unreadable};
use crate::phi::Phi;

/// No description of a file or a part comes near.
const LONGEST_HEAD: usize = 64 << 10;

/// A file that is to be read: its octets come in the next frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    pub media_type: String,
    pub name: Option<String>,
    pub budget: Budget,
}

/// A part that was read: its text comes in the next frame, unless there is none.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    path: String,
    media_type: String,
    name: Option<String>,
    why: Option<Unreadable>,
}

pub(super) fn write(out: &mut impl Write, octets: &[u8]) -> io::Result<()> {
    let length = u32::try_from(octets.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(octets)
}

/// The next frame, or none at the end of the stream.
pub(super) fn read(input: &mut impl Read, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut octets = Vec::new();
    input.take(length as u64).read_to_end(&mut octets)?;
    if octets.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some(octets)) }
}

pub(super) fn write_ask(out: &mut impl Write, ask: &Ask, octets: &[u8]) -> io::Result<()> {
    write(out, &serde_json::to_vec(ask)?)?;
    write(out, octets)?;
    out.flush()
}

pub(super) fn read_ask(input: &mut impl Read) -> io::Result<Option<(Ask, Vec<u8>)>> {
    let Some(ask) = read(input, LONGEST_HEAD)? else { return Ok(None) };
    let ask: Ask = serde_json::from_slice(&ask)?;
    let octets = read(input, u32::MAX as usize)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Some((ask, octets)))
}

/// All parts of one file; an empty frame ends them.
pub(super) fn write_parts(out: &mut impl Write, parts: &[Part]) -> io::Result<()> {
    for part in parts {
        let why = match part.content {
            Content::Text(_) => None,
            Content::Unreadable(why) => Some(why),
        };
        // Names and texts go to the parent, over a pipe that nobody else holds.
        let name = part.name.as_ref().map(|name| name.expose().clone());
        let head = Head { path: part.path.clone(), media_type: part.media_type.clone(), name, why };
        write(out, &serde_json::to_vec(&head)?)?;
        if let Content::Text(text) = &part.content {
            // As above.
            write(out, text.expose().as_bytes())?;
        }
    }
    write(out, b"")?;
    out.flush()
}

/// The parts of one file, from a child that may have been taken over by it: nothing is believed beyond the budget.
pub(super) fn read_parts(input: &mut impl Read, budget: &Budget) -> io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut left = budget.bytes;
    loop {
        let head = read(input, LONGEST_HEAD)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if head.is_empty() {
            return Ok(parts);
        }
        let head: Head = serde_json::from_slice(&head)?;
        // Paths stand in evidence and explanations, so no text of a message may hide in one.
        let is_path = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b".-~".contains(&octet);
        if parts.len() > budget.most_parts() || head.path.len() > LONGEST_PATH || !head.path.bytes().all(is_path) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let content = match head.why {
            Some(why) => Content::Unreadable(why),
            None => {
                let text = read(input, left)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                left -= text.len();
                Content::Text(Phi::new(String::from_utf8_lossy(&text).into_owned()))
            }
        };
        let (path, media_type, name) = (head.path, plain(&head.media_type), head.name.map(Phi::new));
        parts.push(Part { path, media_type, name, content });
    }
}

/// Longer ones would need more depth than there can be.
const LONGEST_PATH: usize = 500;

/// A media type stands in the evidence too.
fn plain(media_type: &str) -> String {
    let is_one = media_type.len() <= 100
        && media_type.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"/.+-_".contains(&octet));
    if is_one { media_type.to_owned() } else { "application/octet-stream".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { depth: 2, parts: 2, ratio: 10, bytes: 10 };

    fn part(path: &str, content: Content) -> Part {
        Part { path: path.into(), media_type: "text/csv".into(), name: Some(Phi::new("a.csv".into())), content }
    }

    fn text(text: &str) -> Content {
        Content::Text(Phi::new(text.to_owned()))
    }

    fn sent(parts: &[Part]) -> io::Result<Vec<Part>> {
        let mut wire = Vec::new();
        write_parts(&mut wire, parts)?;
        read_parts(&mut wire.as_slice(), &BUDGET)
    }

    #[test]
    fn parts_arrive_as_they_were_sent() {
        let parts =
            sent(&[part("1", text("a,b")), part("2.name", Content::Unreadable(Unreadable::Encrypted))]).unwrap();
        assert!(matches!(&parts[0].content, Content::Text(text) if text.expose() == "a,b"));
        assert!(matches!(parts[1].content, Content::Unreadable(Unreadable::Encrypted)));
        assert_eq!((parts[0].media_type.as_str(), parts[1].path.as_str()), ("text/csv", "2.name"));
        let path = "3.1~2.reply-to";
        assert_eq!(sent(&[part(path, text(""))]).unwrap()[0].path, path, "as the message room writes them");
    }

    #[test]
    fn a_child_that_says_more_than_it_may_is_not_believed() {
        assert!(sent(&[part("1", text("12345")), part("2", text("678901"))]).is_err(), "bytes over the budget");
        assert!(sent(&vec![part("1", text("")); 10_000]).is_err(), "parts over the budget");
        assert!(sent(&[part("Maria Quist", text(""))]).is_err(), "a path that says a name");
        assert!(read_parts(&mut &b"\xff\xff\xff\xff"[..], &BUDGET).is_err(), "a length that nobody keeps");
        assert!(read_parts(&mut &b"\x00\x00\x00\x05{\"pa"[..], &BUDGET).is_err(), "a frame that breaks off");
    }

    #[test]
    fn a_question_is_read_as_it_was_asked() {
        let ask = Ask { media_type: "application/pdf".into(), name: None, budget: BUDGET };
        let mut wire = Vec::new();
        write_ask(&mut wire, &ask, b"%PDF").unwrap();
        let (got, octets) = read_ask(&mut wire.as_slice()).unwrap().unwrap();
        assert_eq!((got.media_type.as_str(), octets.as_slice()), ("application/pdf", &b"%PDF"[..]));
        assert!(read_ask(&mut &b""[..]).unwrap().is_none());
    }
}
