//! Reading a peer's replies out of its bytes, within bounds.

use std::fmt;

use crate::mail::{BadReply, Reply};

/// Octets of one reply, all lines together.
pub const MAX_REPLY_BYTES: usize = 32 * 1024;
/// Lines of one reply.
pub const MAX_REPLY_LINES: usize = 100;

/// Why a peer's bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDialog {
    #[error("the next hop's reply is longer than {MAX_REPLY_BYTES} octets")]
    TooLong,
    #[error("the next hop's reply has more than {MAX_REPLY_LINES} lines")]
    TooManyLines,
    #[error("a line of the next hop's reply does not end in CRLF")]
    LineEnd,
    #[error("the next hop's reply is malformed: {0}")]
    Malformed(#[from] BadReply),
}

/// What a peer has sent and we have not yet taken as a reply. `Debug` shows only how much: its text may quote an address.
#[derive(Default)]
pub struct Replies {
    buffer: Vec<u8>,
    /// Whether a line may have ended since the last look. Without this, a peer that sends octet by octet has all of its
    /// lines read again for each.
    stirred: bool,
}

impl Replies {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.stirred |= bytes.contains(&b'\n');
    }

    /// Whether nothing is left over.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next whole reply; none when more bytes are needed.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, BadDialog> {
        if self.buffer.len() > MAX_REPLY_BYTES && !self.stirred {
            return Err(BadDialog::TooLong);
        }
        if !std::mem::take(&mut self.stirred) {
            return Ok(None);
        }
        let mut lines = Vec::new();
        let mut at = 0;
        while let Some(length) = self.buffer[at..].iter().position(|byte| *byte == b'\n') {
            let line = &self.buffer[at..at + length];
            at += length + 1;
            if at > MAX_REPLY_BYTES {
                return Err(BadDialog::TooLong);
            }
            // RFC 5321 §2.3.8: lines end in CRLF and nothing else.
            let line = line.strip_suffix(b"\r").ok_or(BadDialog::LineEnd)?;
            let more = line.get(3) == Some(&b'-');
            lines.push(String::from_utf8_lossy(line).into_owned());
            if !more {
                let reply = Reply::parse(&lines)?;
                self.buffer.drain(..at);
                self.stirred = true;
                return Ok(Some(reply));
            }
            if lines.len() >= MAX_REPLY_LINES {
                return Err(BadDialog::TooManyLines);
            }
        }
        if self.buffer.len() > MAX_REPLY_BYTES { Err(BadDialog::TooLong) } else { Ok(None) }
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replies({} octets)", self.buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Result<Option<u16>, BadDialog>) {
        let mut replies = Replies::default();
        replies.feed(bytes);
        let got = replies.next_reply().map(|reply| reply.map(|reply| reply.code.value()));
        assert_eq!(got, expected, "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn a_reply_is_taken_when_it_is_whole() {
        check(b"250 ok\r\n", Ok(Some(250)));
        check(b"250-a\r\n250 b\r\n", Ok(Some(250)));
        check(b"250-a\r\n250 b", Ok(None));
        check(b"250\r\n", Ok(Some(250)));
        check(b"250 \xff\xfe\r\n", Ok(Some(250)));
    }

    #[test]
    fn what_is_no_reply_is_named() {
        check(b"250 ok\n", Err(BadDialog::LineEnd));
        check(b"hello\r\n", Err(BadDialog::Malformed(BadReply::NoCode)));
        check(b"250-a\r\n550 b\r\n", Err(BadDialog::Malformed(BadReply::MixedCodes)));
        check(&b"2".repeat(MAX_REPLY_BYTES + 1), Err(BadDialog::TooLong));
        check(&b"250-x\r\n".repeat(MAX_REPLY_LINES), Err(BadDialog::TooManyLines));
    }

    #[test]
    fn nothing_that_a_peer_wrote_is_shown() {
        let mut replies = Replies::default();
        replies.feed(b"550 ann@clinic.example");
        assert_eq!(format!("{replies:?}"), "Replies(22 octets)");
    }

    #[test]
    fn pipelined_replies_come_one_by_one() {
        let mut replies = Replies::default();
        replies.feed(b"250 a\r\n550 b\r\n35");
        assert_eq!(replies.next_reply().unwrap().map(|r| r.code.value()), Some(250));
        assert_eq!(replies.next_reply().unwrap().map(|r| r.code.value()), Some(550));
        assert_eq!(replies.next_reply(), Ok(None));
        replies.feed(b"4 c\r\n");
        assert_eq!(replies.next_reply().unwrap().map(|r| r.code.value()), Some(354));
        assert!(replies.is_empty());
    }
}
