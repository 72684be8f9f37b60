//! The header as it stands: where each field begins and ends, octet for octet.

/// One field of a header, with its folded lines.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    /// Without the space that may stand before the colon; empty when the line has no colon.
    pub(super) name: &'a [u8],
    /// Behind the colon, line ends included.
    pub(super) value: &'a [u8],
    /// All of it, line ends included.
    pub(super) whole: &'a [u8],
}

impl Field<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    pub(super) fn begins(&self, start: &str) -> bool {
        self.name.get(..start.len()).is_some_and(|name| name.eq_ignore_ascii_case(start.as_bytes()))
    }
}

/// The fields in order; the empty line that ends them is not one.
pub(super) fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        if rest.is_empty() || rest == b"\r\n" {
            return None;
        }
        let mut end = line_end(rest);
        // RFC 5322 §2.2.3: a line that begins with a space or a tab continues the one before.
        while matches!(rest.get(end), Some(b' ' | b'\t')) {
            end += line_end(&rest[end..]);
        }
        let (whole, behind) = rest.split_at(end);
        rest = behind;
        Some(field(whole))
    })
}

pub(super) fn named<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = Field<'a>> {
    fields(header).filter(move |field| field.is(name))
}

fn field(whole: &[u8]) -> Field<'_> {
    match whole.iter().position(|byte| *byte == b':') {
        // RFC 5322 §4.5: obsolete senders put a space before the colon; a next hop may read such a field, so we do.
        Some(colon) => Field { name: whole[..colon].trim_ascii_end(), value: &whole[colon + 1..], whole },
        None => Field { name: b"", value: whole, whole },
    }
}

/// The length of the first line, its line feed included.
pub(super) fn line_end(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_folds_and_add_up_to_the_header() {
        let header = b"A: 1\r\nB : 2\r\n  more\r\nno colon\r\nC:\r\n\r\n";
        let all: Vec<_> = fields(header).collect();
        assert_eq!(all.iter().map(|f| f.name).collect::<Vec<_>>(), [&b"A"[..], b"B", b"", b"C"]);
        assert_eq!(all[1].value, b" 2\r\n  more\r\n");
        assert_eq!(all.iter().map(|f| f.whole.len()).sum::<usize>() + 2, header.len());
    }
}
