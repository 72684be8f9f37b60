//! A file as a part of a message: the header under which it would be sent, for what names and types are told by.

use std::fmt::Write;

/// The fields of an attachment with this name, without the empty line behind them.
pub fn file_header(name: &[u8]) -> String {
    let mut header =
        String::from("Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''");
    for octet in name {
        // RFC 5987 §3.2.1: what is no letter or digit, as its octets.
        if octet.is_ascii_alphanumeric() || b".-_".contains(octet) {
            header.push(char::from(*octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(header, "%{octet:02X}");
        }
    }
    header.push_str("\r\n");
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_field() {
        let header = file_header("R\u{e9}sum\u{e9} 1\r\nX: y.pdf".as_bytes());
        assert!(header.ends_with("filename*=utf-8''R%C3%A9sum%C3%A9%201%0D%0AX%3A%20y.pdf\r\n"), "{header}");
    }
}
