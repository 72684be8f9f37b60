//! Where the parts of a multipart begin and end (RFC 2046 §5.1.1).

use bytes::Bytes;

use crate::mime::fields::line_end;

/// Lines in which a boundary is looked for that no header names, and the longest that is taken for one.
const LOOKED_AT: usize = 1000;
const LONGEST: usize = 200;

/// A multipart's body, cut at its delimiter lines.
#[derive(Default)]
pub(super) struct Pieces {
    pub(super) preamble: Bytes,
    pub(super) parts: Vec<Bytes>,
    pub(super) epilogue: Bytes,
    /// What lies behind the last part that was allowed.
    pub(super) left: Bytes,
    /// Whether another reader may cut it elsewhere.
    pub(super) ambiguous: bool,
}

impl Pieces {
    pub(super) fn is_any(&self) -> bool {
        !self.parts.is_empty() || !self.left.is_empty()
    }

    pub(super) fn octets(&self) -> usize {
        self.parts.iter().chain([&self.preamble, &self.epilogue, &self.left]).map(Bytes::len).sum()
    }
}

/// Which lines a program takes for delimiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Those that are exactly the boundary, up to the one that says that it is the last.
    Exact,
    /// Those that begin with it, to the end.
    Lenient,
}

/// Cuts `body` at the lines that are `boundary`, into at most `most` parts. One pass over the octets.
pub(super) fn split(body: &Bytes, boundary: &str, most: usize, cut: Cut) -> Pieces {
    let mut pieces = Pieces::default();
    let mut start = 0;
    let mut opened = false;
    let mut at = 0;
    while at < body.len() {
        let line = at..at + line_end(&body[at..]);
        at = line.end;
        let delimiter = match delimiter(&body[line.clone()], boundary) {
            Line::Other => continue,
            Line::Near if cut == Cut::Exact => {
                pieces.ambiguous = true;
                continue;
            }
            Line::Near | Line::Next => Line::Next,
            Line::Last => Line::Last,
        };
        let piece = without_line_end(&body.slice(start..line.start));
        if opened {
            pieces.parts.push(piece);
        } else {
            pieces.preamble = piece;
        }
        (start, opened) = (line.end, true);
        if delimiter == Line::Last && cut == Cut::Exact {
            pieces.epilogue = body.slice(start..);
            // RFC 2046 §5.1.1 has what follows ignored; there are programs that go on.
            pieces.ambiguous |= has_delimiter(&pieces.epilogue, boundary);
            return pieces;
        }
        if pieces.parts.len() >= most {
            pieces.left = body.slice(start..);
            return pieces;
        }
    }
    // Without a closing line, the last part runs to the end.
    let rest = body.slice(start..);
    if opened && !(cut == Cut::Lenient && rest.trim_ascii().is_empty()) {
        pieces.parts.push(rest);
    }
    pieces
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Other,
    /// Begins like a delimiter and goes on: RFC 2046 lets a reader take it for one, and many do not.
    Near,
    Next,
    Last,
}

fn has_delimiter(body: &Bytes, boundary: &str) -> bool {
    body.split_inclusive(|byte| *byte == b'\n').any(|line| delimiter(line, boundary) != Line::Other)
}

/// A boundary that the body itself shows, for a header that names none or another: a line of dashes, with fields or an empty
/// line behind it.
pub(super) fn guess(body: &[u8]) -> Option<String> {
    let lines = body.split(|byte| *byte == b'\n').take(LOOKED_AT);
    let mut lines = lines.map(<[u8]>::trim_ascii_end).peekable();
    while let Some(line) = lines.next() {
        let Some(boundary) = line.strip_prefix(b"--").filter(|rest| (1..=LONGEST).contains(&rest.len())) else {
            continue;
        };
        let is_field = |next: &&[u8]| {
            next.is_empty() || next.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
        };
        let is_boundary = boundary.iter().all(u8::is_ascii_graphic) && boundary.iter().any(u8::is_ascii_alphanumeric);
        if is_boundary && lines.peek().is_some_and(is_field) {
            return String::from_utf8(boundary.to_vec()).ok();
        }
    }
    None
}

fn delimiter(line: &[u8], boundary: &str) -> Line {
    let Some(rest) = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary.as_bytes())) else {
        return Line::Other;
    };
    match (rest.trim_ascii(), rest.strip_prefix(b"--").map(<[u8]>::trim_ascii)) {
        ([], _) => Line::Next,
        (_, Some([])) => Line::Last,
        _ => Line::Near,
    }
}

/// RFC 2046 §5.1.1: the line end before a delimiter belongs to the delimiter.
fn without_line_end(piece: &Bytes) -> Bytes {
    let end = if piece.ends_with(b"\r\n") { piece.len() - 2 } else { piece.len() };
    piece.slice(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_at_its_delimiter_lines() {
        let body = Bytes::from_static(b"pre\r\n--x\r\na\r\n--x \r\n\r\nb\r\n--xy\r\n\r\n--x--\r\nepi\r\n");
        let pieces = split(&body, "x", 10, Cut::Exact);
        assert_eq!(pieces.preamble, "pre");
        assert_eq!(pieces.parts, ["a", "\r\nb\r\n--xy\r\n"]);
        assert_eq!(pieces.epilogue, "epi\r\n");
        assert!(pieces.ambiguous);
    }

    #[test]
    fn what_is_over_the_allowed_number_is_left() {
        let body = Bytes::from_static(b"--x\r\na\r\n--x\r\nb\r\n--x\r\nc\r\n--x--\r\n");
        let pieces = split(&body, "x", 2, Cut::Exact);
        assert_eq!(pieces.parts, ["a", "b"]);
        assert_eq!(pieces.left, "c\r\n--x--\r\n");
    }

    #[test]
    fn a_body_without_a_delimiter_has_no_parts() {
        assert!(split(&Bytes::from_static(b"text\r\n"), "x", 2, Cut::Exact).parts.is_empty());
        assert_eq!(split(&Bytes::from_static(b"--x\r\ncut off"), "x", 2, Cut::Exact).parts, ["cut off"]);
    }

    #[test]
    fn a_lenient_program_cuts_at_more_lines_and_goes_on_behind_the_last() {
        let body = Bytes::from_static(b"--x\r\na\r\n--xy\r\nb\r\n--x--\r\nepi\r\n--x\r\nc\r\n");
        let exact = split(&body, "x", 10, Cut::Exact);
        assert!(exact.ambiguous);
        assert_eq!(exact.parts, ["a\r\n--xy\r\nb"]);
        assert_eq!(split(&body, "x", 10, Cut::Lenient).parts, ["a", "b", "epi", "c\r\n"]);
        let clear = Bytes::from_static(b"--x\r\na\r\n--x--\r\nepi\r\n");
        assert!(!split(&clear, "x", 10, Cut::Exact).ambiguous);
    }

    #[test]
    fn a_boundary_that_nobody_names_is_seen() {
        assert_eq!(guess(b"words\r\n-- \r\nsign\r\n--b1\r\nContent-Type: x/y\r\n").as_deref(), Some("b1"));
        assert_eq!(guess(b"--b1\r\n\r\nx").as_deref(), Some("b1"));
        assert_eq!(guess(b"--b1\r\nwords"), None);
        assert_eq!(guess(b"-----\r\n\r\n"), None);
    }
}
