//! What a message carries, by its structure alone: attachments with types and sizes, signatures, seals. Nothing is decoded.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::mail::Message;
use crate::mime::heads::{Default, Encoding, Head, heads};
use crate::mime::split::Cut;
use crate::mime::{fields, read, split};
use crate::phi::Phi;

/// Parts that are looked at, and how deep: what is beyond is counted by whoever reads the parts.
const MOST_PARTS: usize = 2000;
const DEEPEST: usize = 30;

/// One attachment, without its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    pub media_type: String,
    /// The end of its name behind the last dot, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// As near as the encoded size tells.
    pub bytes: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Survey {
    pub attachments: Vec<Attached>,
    /// Whether a part of the message itself is signed or encrypted end to end.
    pub signed_or_encrypted: bool,
}

/// Every value of a field, unfolded and decoded (RFC 2047).
pub fn values(message: &Message, name: &str) -> Vec<Phi<String>> {
    fields::named(message.header(), name).map(|field| Phi::new(read::text(field.value))).collect()
}

/// Looks at every part of the message; what lies in a forwarded one is that one's.
pub fn survey(message: &Message) -> Survey {
    let mut survey = Survey { attachments: Vec::new(), signed_or_encrypted: false };
    let mut stack = vec![(message.bytes().clone(), 0)];
    let mut met = 0;
    while let Some((bytes, depth)) = stack.pop() {
        met += 1;
        let (header, body) = cut(&bytes);
        let readings = heads(&header, Default::Plain).all;
        survey.signed_or_encrypted |= readings.iter().any(is_signed_or_encrypted);
        // Who counts parts goes by what most programs show; the tree has what others show.
        let Some(head) = readings.first() else { continue };
        let boundary = head.boundaries.first().filter(|_| head.is_multipart());
        match boundary {
            Some(boundary) if depth < DEEPEST && met < MOST_PARTS => {
                let pieces = split::split(&body, boundary, MOST_PARTS - met, Cut::Exact);
                stack.extend(pieces.parts.into_iter().rev().map(|part| (part, depth + 1)));
            }
            Some(_) => {}
            None => survey.attachments.extend(attached(&header, head, &body)),
        }
    }
    survey
}

fn is_signed_or_encrypted(head: &Head) -> bool {
    matches!(head.media_type.as_str(), "multipart/signed" | "multipart/encrypted") || read::is_smime(&head.media_type)
}

/// An attachment is what has a name, calls itself one, or is no text.
fn attached(header: &[u8], head: &Head, body: &Bytes) -> Option<Attached> {
    let is_signature = matches!(
        head.media_type.as_str(),
        "application/pgp-signature" | "application/pkcs7-signature" | "application/x-pkcs7-signature"
    );
    let is_text = head.media_type.starts_with("text/") && head.names.is_empty() && !is_called_attachment(header);
    if is_signature || is_text {
        return None;
    }
    let bytes = match head.encoding {
        Encoding::Base64 => body.iter().filter(|byte| !byte.is_ascii_whitespace()).count() * 3 / 4,
        Encoding::Identity | Encoding::QuotedPrintable | Encoding::Unknown => body.len(),
    };
    Some(Attached {
        media_type: head.media_type.clone(),
        extension: head.name().and_then(extension),
        bytes: bytes as u64,
    })
}

fn is_called_attachment(header: &[u8]) -> bool {
    fields::named(header, "content-disposition")
        .any(|field| read::text(field.value).to_ascii_lowercase().starts_with("attachment"))
}

/// The end of a file name behind its last dot, in lower case, when it looks like one.
pub fn extension(name: &str) -> Option<String> {
    let (_, end) = name.trim_end_matches(['.', ' ']).rsplit_once('.')?;
    let plain = !end.is_empty() && end.len() <= 16 && end.chars().all(char::is_alphanumeric);
    plain.then(|| end.to_lowercase())
}

/// Header and body, parted at the first empty line.
pub(super) fn cut(bytes: &Bytes) -> (Bytes, Bytes) {
    let mut at = 0;
    while at < bytes.len() {
        let end = at + fields::line_end(&bytes[at..]);
        if &bytes[at..end] == b"\r\n" || &bytes[at..end] == b"\n" {
            return (bytes.slice(..at), bytes.slice(end..));
        }
        at = end;
    }
    (bytes.clone(), Bytes::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::WireLimits;

    fn message(text: &str) -> Message {
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
        Message::parse(text.replace('\n', "\r\n").into_bytes(), &limits).unwrap()
    }

    #[test]
    fn attachments_have_types_ends_and_sizes() {
        let text = "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nhello\n\
                    --x\nContent-Type: application/pdf; name=\"Quist.Chart.PDF\"\nContent-Transfer-Encoding: base64\n\nAAAA\nAAAA\n\
                    --x\nContent-Type: text/plain\nContent-Disposition: attachment\n\nlist\n--x--\n";
        let survey = survey(&message(text));
        let pdf = Attached { media_type: "application/pdf".into(), extension: Some("pdf".into()), bytes: 6 };
        let list = Attached { media_type: "text/plain".into(), extension: None, bytes: 4 };
        assert_eq!(survey.attachments, [pdf, list]);
        assert!(!survey.signed_or_encrypted);
    }

    #[test]
    fn a_signature_anywhere_in_it_is_seen_and_one_in_a_forwarded_message_is_not() {
        let signed = "Content-Type: multipart/signed; boundary=y; protocol=\"application/pgp-signature\"\n\n--y\n\nhello\n\
                      --y\nContent-Type: application/pgp-signature\n\nsig\n--y--\n";
        assert!(survey(&message(signed)).signed_or_encrypted);
        assert!(survey(&message(signed)).attachments.is_empty());
        let mixed = format!("Content-Type: multipart/mixed; boundary=x\n\n--x\n{signed}\n--x--\n");
        assert!(survey(&message(&mixed)).signed_or_encrypted);
        let forwarded = format!(
            "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n{signed}\n--x--\n"
        );
        assert!(!survey(&message(&forwarded)).signed_or_encrypted);
    }

    #[test]
    fn only_what_looks_like_the_end_of_a_name_is_one() {
        assert_eq!(extension("a.tar.GZ").as_deref(), Some("gz"));
        assert_eq!(extension("run.exe. ").as_deref(), Some("exe"));
        for none in ["", "README", "a.b c", "x."] {
            assert_eq!(extension(none), None, "{none}");
        }
    }
}
