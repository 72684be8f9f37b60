//! A message as it came over the wire: clean line ends, within its limits, never changed in place.

use std::fmt;

use bytes::Bytes;

/// What a message may measure on the wire. Each limit has its own reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireLimits {
    /// Octets in the whole message, after dot-unstuffing.
    pub message_bytes: usize,
    /// Octets up to and including the empty line.
    pub header_bytes: usize,
    /// Octets in one line, CRLF included.
    pub line_bytes: usize,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a carriage return without a line feed")]
    BareCr,
    #[error("a line feed without a carriage return")]
    BareLf,
    #[error("a NUL octet")]
    Nul,
    #[error("the message is over its size limit")]
    TooLarge,
    #[error("the header is over its size limit")]
    HeaderTooLarge,
    #[error("a line is over its length limit")]
    LineTooLong,
}

/// What becomes of a CR or an LF that stands alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnds {
    /// The message is refused.
    #[default]
    Strict,
    /// It becomes CRLF, for programs that know no better.
    Normalise,
}

impl LineEnds {
    pub const fn name(self) -> &'static str {
        match self {
            LineEnds::Strict => "strict",
            LineEnds::Normalise => "normalise",
        }
    }
}

/// What was put right while a message came in, since it could not be passed on as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// A CR or an LF stood alone.
    LineEnds,
    /// The last line had no end.
    LastLine,
}

impl Mended {
    pub const fn name(self) -> &'static str {
        match self {
            Mended::LineEnds => "line_ends",
            Mended::LastLine => "last_line",
        }
    }

    /// What the evidence tells of it.
    pub const fn words(self) -> &'static str {
        match self {
            Mended::LineEnds => "line ends were put right",
            Mended::LastLine => "the last line was given its end",
        }
    }
}

/// The octets between DATA and the end of data, dots unstuffed, or those of all chunks. `Debug` shows only the size.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    bytes: Bytes,
    header: usize,
    mended: Vec<Mended>,
}

impl Message {
    /// Takes bytes whose every line ends in CRLF and none of which is NUL.
    pub fn parse(bytes: impl Into<Bytes>, limits: &WireLimits) -> Result<Message, Malformed> {
        let bytes = bytes.into();
        if bytes.len() > limits.message_bytes {
            return Err(Malformed::TooLarge);
        }
        let header = check_lines(&bytes, limits.line_bytes)?;
        if header > limits.header_bytes {
            return Err(Malformed::HeaderTooLarge);
        }
        Ok(Message { bytes, header, mended: Vec::new() })
    }

    /// Remembers what was put right in these bytes before they were a message.
    #[must_use]
    pub fn mended(self, mended: Vec<Mended>) -> Message {
        Message { mended, ..self }
    }

    pub fn what_was_mended(&self) -> &[Mended] {
        &self.mended
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The header fields, with the empty line that ends them if there is one.
    pub fn header(&self) -> &[u8] {
        &self.bytes[..self.header]
    }

    /// Everything behind the empty line.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.header..]
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether a next hop must know 8BITMIME to be given this content (RFC 6152).
    pub fn has_eight_bit(&self) -> bool {
        !self.bytes.is_ascii()
    }
}

/// Checks every line, and says where the header ends: behind the first empty line, or at the end of the message.
fn check_lines(bytes: &[u8], line_limit: usize) -> Result<usize, Malformed> {
    let mut header = None;
    let mut rest = 0;
    while rest < bytes.len() {
        let line = &bytes[rest..];
        let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0));
        let Some(at) = end else {
            // RFC 5321 §4.1.1.4: the CRLF before the final dot belongs to the message, so this cannot come over the wire.
            return Err(Malformed::BareLf);
        };
        match line[at] {
            0 => return Err(Malformed::Nul),
            b'\n' => return Err(Malformed::BareLf),
            _ if line.get(at + 1) != Some(&b'\n') => return Err(Malformed::BareCr),
            _ => {}
        }
        if at + 2 > line_limit {
            return Err(Malformed::LineTooLong);
        }
        rest += at + 2;
        if at == 0 && header.is_none() {
            header = Some(rest);
        }
    }
    Ok(header.unwrap_or(bytes.len()))
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} octets)", self.bytes.len())
    }
}

/// Files on disk often end their lines with a bare line feed, and some with nothing; a message on the wire does not.
pub fn wire_lines(file: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(file.len() + file.len() / 32);
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        wire.extend(text.iter().map(|byte| if matches!(byte, b'\r' | 0) { b' ' } else { *byte }));
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: WireLimits = WireLimits { message_bytes: 200, header_bytes: 40, line_bytes: 30 };

    fn check(bytes: &[u8], expected: Result<(&[u8], &[u8]), Malformed>) {
        let got = Message::parse(bytes.to_vec(), &LIMITS);
        assert_eq!(got.as_ref().map(|m| (m.header(), m.body())).map_err(|e| *e), expected);
    }

    #[test]
    fn header_and_body_part_at_the_first_empty_line() {
        check(b"Subject: x\r\n\r\nbody\r\n\r\n", Ok((b"Subject: x\r\n\r\n", b"body\r\n\r\n")));
        check(b"Subject: x\r\n", Ok((b"Subject: x\r\n", b"")));
        check(b"", Ok((b"", b"")));
    }

    #[test]
    fn line_ends_other_than_crlf_are_refused() {
        check(b"a\nb\r\n", Err(Malformed::BareLf));
        check(b"a\rb\r\n", Err(Malformed::BareCr));
        check(b"a\r\r\n", Err(Malformed::BareCr));
        check(b"a\0\r\n", Err(Malformed::Nul));
        check(b"no end", Err(Malformed::BareLf));
    }

    #[test]
    fn each_limit_has_its_own_refusal() {
        check(&[b'a'; 300], Err(Malformed::TooLarge));
        check(b"0123456789012345678901234567890123456789\r\n", Err(Malformed::LineTooLong));
        check(b"a: 2345678901234567890\r\nb: 2345678901234567890\r\n\r\n", Err(Malformed::HeaderTooLarge));
    }

    #[test]
    fn files_get_the_line_ends_of_the_wire() {
        assert_eq!(wire_lines(b"a\nb\r\nc\0\r"), b"a\r\nb\r\nc \r\n");
        assert!(wire_lines(b"").is_empty());
    }
}
