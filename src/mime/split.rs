//! Where the parts of a multipart begin and end (RFC 2046 §5.1.1).

use bytes::Bytes;

use crate::mime::fields::line_end;

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

/// Cuts `body` at the lines that are `boundary`, into at most `most` parts. One pass over the octets.
pub(super) fn split(body: &Bytes, boundary: &str, most: usize) -> Pieces {
    let mut pieces = Pieces::default();
    let mut start = 0;
    let mut opened = false;
    let mut at = 0;
    while at < body.len() {
        let line = at..at + line_end(&body[at..]);
        at = line.end;
        let delimiter = match delimiter(&body[line.clone()], boundary) {
            Line::Other => continue,
            Line::Near => {
                pieces.ambiguous = true;
                continue;
            }
            Line::Next => Line::Next,
            Line::Last => Line::Last,
        };
        let piece = without_line_end(&body.slice(start..line.start));
        if opened {
            pieces.parts.push(piece);
        } else {
            pieces.preamble = piece;
        }
        (start, opened) = (line.end, true);
        if delimiter == Line::Last {
            pieces.epilogue = body.slice(start..);
            return pieces;
        }
        if pieces.parts.len() >= most {
            pieces.left = body.slice(start..);
            return pieces;
        }
    }
    // Without a closing line, the last part runs to the end.
    if opened {
        pieces.parts.push(body.slice(start..));
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
        let pieces = split(&body, "x", 10);
        assert_eq!(pieces.preamble, "pre");
        assert_eq!(pieces.parts, ["a", "\r\nb\r\n--xy\r\n"]);
        assert_eq!(pieces.epilogue, "epi\r\n");
        assert!(pieces.ambiguous);
    }

    #[test]
    fn what_is_over_the_allowed_number_is_left() {
        let body = Bytes::from_static(b"--x\r\na\r\n--x\r\nb\r\n--x\r\nc\r\n--x--\r\n");
        let pieces = split(&body, "x", 2);
        assert_eq!(pieces.parts, ["a", "b"]);
        assert_eq!(pieces.left, "c\r\n--x--\r\n");
    }

    #[test]
    fn a_body_without_a_delimiter_has_no_parts() {
        assert!(split(&Bytes::from_static(b"text\r\n"), "x", 2).parts.is_empty());
        assert_eq!(split(&Bytes::from_static(b"--x\r\ncut off"), "x", 2).parts, ["cut off"]);
    }
}
