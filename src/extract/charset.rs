//! Octets as characters, where a format says or implies which charset they are in.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How far from its start an XML document says its charset.
const DECLARED_WITHIN: usize = 200;

/// The characters, by the charset of this name; by Windows' own when there is none of it.
pub(super) fn decoded(octets: &[u8], label: &str) -> String {
    let charset = Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252);
    charset.decode_without_bom_handling(octets).0.into_owned()
}

/// XML 1.0 §4.3.3 and appendix F: by its mark, else by where its zeros are, else by its declaration, else UTF-8.
pub(super) fn xml(octets: &[u8]) -> String {
    match octets {
        [b'<', 0, ..] => return UTF_16LE.decode(octets).0.into_owned(),
        [0, b'<', ..] => return UTF_16BE.decode(octets).0.into_owned(),
        _ => {}
    }
    let start = String::from_utf8_lossy(&octets[..octets.len().min(DECLARED_WITHIN)]).into_owned();
    let declared = start.split_once("encoding=").and_then(|(_, rest)| rest.get(1..)?.split(['"', '\'']).next());
    // What was read of it in ASCII is not in UTF-16, whatever it says.
    let charset = declared.and_then(|label| Encoding::for_label(label.as_bytes()));
    let charset = charset.filter(|charset| charset.is_ascii_compatible()).unwrap_or(UTF_8);
    charset.decode(octets).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_out_of_each_charset() {
        assert_eq!(decoded(b"\xe9", "windows-1252"), "\u{e9}");
        assert_eq!(decoded(b"\xe9", "no such charset"), "\u{e9}");
        assert_eq!(xml(b"\xff\xfe<\0a\0>\0"), "<a>");
        assert_eq!(xml(b"<\0a\0>\0"), "<a>");
        assert_eq!(xml(b"\0<\0a\0>"), "<a>");
        assert_eq!(xml(b"<?xml encoding='UTF-16'?><a/>"), "<?xml encoding='UTF-16'?><a/>", "it is not what it says");
        assert_eq!(
            xml(b"<?xml version='1.0' encoding='iso-8859-1'?>\xe9"),
            "<?xml version='1.0' encoding='iso-8859-1'?>\u{e9}"
        );
    }
}
