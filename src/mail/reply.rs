//! What a server answers: a code, an enhanced code, and text. Ours are written, a peer's are read.

use std::fmt;

/// A three-digit reply code (RFC 5321 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

/// An enhanced status code (RFC 3463), as in `5.7.1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Enhanced {
    pub class: u8,
    pub subject: u16,
    pub detail: u16,
}

/// A whole reply, of one line or several.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: Code,
    pub enhanced: Option<Enhanced>,
    lines: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    #[error("the reply does not start with a code from 200 to 599")]
    NoCode,
    #[error("the lines of the reply carry different codes")]
    MixedCodes,
}

impl Code {
    pub const fn new(code: u16) -> Code {
        Code(code)
    }

    pub const fn value(self) -> u16 {
        self.0
    }

    pub const fn is_positive(self) -> bool {
        self.0 >= 200 && self.0 < 300
    }

    pub const fn is_transient(self) -> bool {
        self.0 >= 400 && self.0 < 500
    }

    pub const fn is_permanent(self) -> bool {
        self.0 >= 500 && self.0 < 600
    }
}

impl Enhanced {
    pub const fn new(class: u8, subject: u16, detail: u16) -> Enhanced {
        Enhanced { class, subject, detail }
    }

    /// Reads the code at the front of a reply's text, if there is one.
    pub fn parse(text: &str) -> Option<Enhanced> {
        let mut numbers = text.splitn(3, '.');
        let class = numbers.next()?.parse().ok().filter(|class| matches!(class, 2 | 4 | 5))?;
        let subject = numbers.next()?.parse().ok().filter(|subject| *subject <= 999)?;
        let detail = numbers.next()?.parse().ok().filter(|detail| *detail <= 999)?;
        Some(Enhanced { class, subject, detail })
    }
}

impl Reply {
    /// A reply of one line. Line ends in `text` cannot reach the wire: they become spaces.
    pub fn new(code: u16, enhanced: Enhanced, text: impl Into<String>) -> Reply {
        Reply { code: Code(code), enhanced: Some(enhanced), lines: vec![one_line(text.into())] }
    }

    /// A reply that carries no enhanced code: greetings, EHLO, and the 3yz ones (RFC 2034 §4).
    pub fn plain(code: u16, text: impl Into<String>) -> Reply {
        Reply { code: Code(code), enhanced: None, lines: vec![one_line(text.into())] }
    }

    pub fn plain_lines(code: u16, lines: Vec<String>) -> Reply {
        Reply { code: Code(code), enhanced: None, lines: lines.into_iter().map(one_line).collect() }
    }

    /// Reads the lines of one reply, line ends already taken off. The text is the peer's, and may quote an address.
    pub fn parse(lines: &[String]) -> Result<Reply, BadReply> {
        let code = lines.first().and_then(|line| code_of(line)).ok_or(BadReply::NoCode)?;
        if lines.iter().any(|line| code_of(line) != Some(code)) {
            return Err(BadReply::MixedCodes);
        }
        let mut enhanced = None;
        let mut texts = Vec::with_capacity(lines.len());
        for line in lines {
            let text = line.get(4..).unwrap_or("");
            let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
            match Enhanced::parse(word).filter(|found| u16::from(found.class) == code.0 / 100) {
                Some(found) => {
                    enhanced.get_or_insert(found);
                    texts.push(rest.to_owned());
                }
                None => texts.push(text.to_owned()),
            }
        }
        Ok(Reply { code, enhanced, lines: texts })
    }

    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// As it goes over the wire, CRLF included.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        let last = self.lines.len().saturating_sub(1);
        for (at, line) in self.lines.iter().enumerate() {
            let dash = if at == last { ' ' } else { '-' };
            let text = match self.enhanced {
                Some(enhanced) => format!("{}{dash}{enhanced} {line}\r\n", self.code),
                None => format!("{}{dash}{line}\r\n", self.code),
            };
            wire.extend_from_slice(text.as_bytes());
        }
        wire
    }
}

fn one_line(text: String) -> String {
    if text.contains(['\r', '\n', '\0']) { text.replace(['\r', '\n', '\0'], " ") } else { text }
}

fn code_of(line: &str) -> Option<Code> {
    let code = line.get(..3).filter(|digits| digits.bytes().all(|d| d.is_ascii_digit()))?;
    let separated = matches!(line.as_bytes().get(3), None | Some(b' ' | b'-'));
    code.parse().ok().filter(|code| separated && (200..600).contains(code)).map(Code)
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Debug for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Shows the codes only: a peer's text may quote an address.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.enhanced {
            Some(enhanced) => write!(f, "Reply({} {enhanced})", self.code),
            None => write!(f, "Reply({})", self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_written_with_its_codes_on_each_line() {
        let reply = Reply::new(550, Enhanced::new(5, 7, 1), "not\r\nallowed");
        assert_eq!(reply.to_wire(), b"550 5.7.1 not  allowed\r\n");
        let ehlo = Reply::plain_lines(250, vec!["relay.example".into(), "SIZE 1".into()]);
        assert_eq!(ehlo.to_wire(), b"250-relay.example\r\n250 SIZE 1\r\n");
    }

    #[test]
    fn a_peers_reply_is_read_and_not_shown() {
        let reply = Reply::parse(&["550-5.1.1 no such user".into(), "550 5.1.1 ann@lab.example".into()]).unwrap();
        assert_eq!(reply.enhanced, Some(Enhanced::new(5, 1, 1)));
        assert_eq!(reply.lines(), ["no such user", "ann@lab.example"]);
        assert_eq!(format!("{reply:?}"), "Reply(550 5.1.1)");
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        assert_eq!(Reply::parse(&["25 no".into()]), Err(BadReply::NoCode));
        assert_eq!(Reply::parse(&["2500 no".into()]), Err(BadReply::NoCode));
        assert_eq!(Reply::parse(&["250-a".into(), "550 b".into()]), Err(BadReply::MixedCodes));
        assert_eq!(Reply::parse(&[]), Err(BadReply::NoCode));
    }
}
