//! A message as it goes over the wire: behind 354 with leading dots doubled and the final dot at its end, or as one chunk.

use std::fmt;

use bytes::Bytes;

use crate::mail::Message;

const PIECE: usize = 64 * 1024;

/// How the next hop knows where the message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// DATA: at a line with a single dot.
    Dots,
    /// BDAT: its octets are counted.
    Chunk,
}

/// Gives the message in pieces, the end of data in the last one. `Message` guarantees that every line ends in CRLF,
/// so no bare CR or LF can be sent from here. `Debug` shows only how much is left.
///
/// A chunk is the whole message: it is in memory and its size is known, so more chunks would only bring more replies to
/// wait for, and more ways to be out of step.
pub struct Encoder {
    framing: Framing,
    rest: Bytes,
    line: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Start,
    Within,
    /// The end was given.
    Over,
}

impl Encoder {
    pub fn new(framing: Framing, message: &Message) -> Encoder {
        Encoder { framing, rest: message.bytes().clone(), line: Line::Start }
    }

    fn dotted(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut wire = Vec::with_capacity(piece.len() + 64);
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            // RFC 5321 §4.5.2: a line that starts with a dot gets one more.
            if self.line == Line::Start && line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line);
            self.line = if line.ends_with(b"\n") { Line::Start } else { Line::Within };
        }
        if self.rest.is_empty() {
            wire.extend_from_slice(b".\r\n");
        }
        wire
    }

    /// RFC 3030 §2: the line that counts, and behind it the octets as they are.
    fn counted(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut wire = Vec::with_capacity(piece.len() + 64);
        if self.line == Line::Start {
            wire.extend_from_slice(format!("BDAT {} LAST\r\n", piece.len() + self.rest.len()).as_bytes());
        }
        wire.extend_from_slice(piece);
        self.line = Line::Within;
        wire
    }
}

impl Iterator for Encoder {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.line == Line::Over {
            return None;
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        let wire = match self.framing {
            Framing::Dots => self.dotted(&piece),
            Framing::Chunk => self.counted(&piece),
        };
        if self.rest.is_empty() {
            self.line = Line::Over;
        }
        Some(wire)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({} octets left)", self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::WireLimits;

    fn encoded(text: &[u8]) -> Vec<u8> {
        in_frame(Framing::Dots, text)
    }

    fn in_frame(framing: Framing, text: &[u8]) -> Vec<u8> {
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 20, line_bytes: 1 << 20 };
        Encoder::new(framing, &Message::parse(text.to_vec(), &limits).unwrap()).flatten().collect()
    }

    #[test]
    fn a_chunk_is_counted_and_its_octets_stay() {
        for text in [&b""[..], b".\r\n", b"a: b\r\n\r\n.\r\n..x\r\n", &b".\r\n".repeat(PIECE)] {
            let expected = [format!("BDAT {} LAST\r\n", text.len()).as_bytes(), text].concat();
            assert_eq!(in_frame(Framing::Chunk, text), expected);
        }
    }

    #[test]
    fn nothing_of_a_message_on_its_way_out_is_shown() {
        let limits = WireLimits { message_bytes: 100, header_bytes: 100, line_bytes: 100 };
        let message = Message::parse("Subject: Quist\r\n", &limits).unwrap();
        assert_eq!(format!("{:?}", Encoder::new(Framing::Dots, &message)), "Encoder(16 octets left)");
    }

    #[test]
    fn leading_dots_are_doubled_and_one_dot_ends_it() {
        assert_eq!(encoded(b"a: b\r\n\r\n.x\r\n..\r\n.\r\na.b\r\n"), b"a: b\r\n\r\n..x\r\n...\r\n..\r\na.b\r\n.\r\n");
        assert_eq!(encoded(b""), b".\r\n");
    }

    #[test]
    fn a_dot_at_the_edge_of_a_piece_is_still_seen() {
        let line = format!("{}\r\n.\r\n", "x".repeat(PIECE - 2));
        assert!(encoded(line.as_bytes()).ends_with(b"x\r\n..\r\n.\r\n"));
        let line = format!("{}.y\r\n", "x".repeat(PIECE));
        assert!(encoded(line.as_bytes()).ends_with(b"x.y\r\n.\r\n"));
    }
}
