//! A message as it goes over the wire behind 354: leading dots doubled, the final dot at its end.

use std::fmt;

use bytes::Bytes;

use crate::mail::Message;

const CHUNK: usize = 64 * 1024;

/// Gives the message in pieces, the end of data in the last one. `Message` guarantees that every line ends in CRLF,
/// so no bare CR or LF can be sent from here. `Debug` shows only how much is left.
pub struct Encoder {
    rest: Bytes,
    line: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Start,
    Within,
    /// The final dot was given.
    Over,
}

impl Encoder {
    pub fn new(message: &Message) -> Encoder {
        Encoder { rest: message.bytes().clone(), line: Line::Start }
    }
}

impl Iterator for Encoder {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.line == Line::Over {
            return None;
        }
        let chunk = self.rest.split_to(self.rest.len().min(CHUNK));
        let mut wire = Vec::with_capacity(chunk.len() + 64);
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            // RFC 5321 §4.5.2: a line that starts with a dot gets one more.
            if self.line == Line::Start && line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line);
            self.line = if line.ends_with(b"\n") { Line::Start } else { Line::Within };
        }
        if self.rest.is_empty() {
            wire.extend_from_slice(b".\r\n");
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
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 20, line_bytes: 1 << 20 };
        Encoder::new(&Message::parse(text.to_vec(), &limits).unwrap()).flatten().collect()
    }

    #[test]
    fn nothing_of_a_message_on_its_way_out_is_shown() {
        let limits = WireLimits { message_bytes: 100, header_bytes: 100, line_bytes: 100 };
        let message = Message::parse("Subject: Quist\r\n", &limits).unwrap();
        assert_eq!(format!("{:?}", Encoder::new(&message)), "Encoder(16 octets left)");
    }

    #[test]
    fn leading_dots_are_doubled_and_one_dot_ends_it() {
        assert_eq!(encoded(b"a: b\r\n\r\n.x\r\n..\r\n.\r\na.b\r\n"), b"a: b\r\n\r\n..x\r\n...\r\n..\r\na.b\r\n.\r\n");
        assert_eq!(encoded(b""), b".\r\n");
    }

    #[test]
    fn a_dot_at_the_edge_of_a_piece_is_still_seen() {
        let line = format!("{}\r\n.\r\n", "x".repeat(CHUNK - 2));
        assert!(encoded(line.as_bytes()).ends_with(b"x\r\n..\r\n.\r\n"));
        let line = format!("{}.y\r\n", "x".repeat(CHUNK));
        assert!(encoded(line.as_bytes()).ends_with(b"x.y\r\n.\r\n"));
    }
}
