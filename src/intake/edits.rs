//! What submission changes in a header, and what it looks up there. The body is nobody's to edit.

use crate::clock::Timestamp;
use crate::mail::{Domain, Envelope, Message, MessageId, Peer, Proof, Protocol, Utf8};
use crate::mime::{self, Edit};

/// More trace headers than any honest way has (RFC 5321 §6.3 asks for a limit of 100 or less).
pub(super) const MAX_RECEIVED: usize = 50;

/// What steers Sealpost is for Sealpost alone, be it known to this version or not.
const CONTROL: &str = "X-Sealpost-";

/// What the trace header tells of this hop.
pub(super) struct Hop<'a> {
    pub(super) hostname: &'a Domain,
    pub(super) id: MessageId,
    pub(super) at: Timestamp,
}

/// How many servers have passed the message on.
pub(super) fn received_count(message: &Message) -> usize {
    let lines = message.header().split(|byte| *byte == b'\n');
    lines
        .filter(|line| line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"received")))
        .filter(is_received)
        .count()
}

/// RFC 5322 §4.5.8: obsolete senders put a space before the colon.
fn is_received(line: &&[u8]) -> bool {
    line[8..].trim_ascii_start().starts_with(b":")
}

/// The edits that submission makes, behind those of policy, and in words for the evidence.
pub(super) fn edits(message: &Message, hop: &Hop<'_>, from_policy: Vec<Edit>) -> (Vec<Edit>, Vec<String>) {
    let mut edits = from_policy;
    if mime::has_header_beginning(message, CONTROL) {
        edits.push(Edit::RemoveBeginning(CONTROL));
    }
    for name in ["Bcc", "Resent-Bcc"] {
        // RFC 5322 §3.6.3: who was to stay unseen stays unseen.
        if mime::header(message, name).is_some() {
            edits.push(Edit::Remove(name));
        }
    }
    // RFC 6409 §8.1 and §8.2.
    if mime::header(message, "Date").is_none() {
        edits.push(Edit::AddIfMissing("Date", hop.at.rfc5322()));
    }
    if mime::header(message, "Message-ID").is_none() {
        edits.push(Edit::AddIfMissing("Message-ID", format!("<{}@{}>", hop.id, hop.hostname)));
    }
    // A signature over a field that changed would not verify, and a broken one looks forged.
    if breaks_signature(message, &edits) {
        edits.push(Edit::Remove("DKIM-Signature"));
    }
    let mended = message.what_was_mended().iter().map(|mended| mended.words().to_owned());
    let words = mended.chain(edits.iter().map(words)).collect();
    (edits, words)
}

fn breaks_signature(message: &Message, edits: &[Edit]) -> bool {
    let signed = mime::signed_fields(message);
    let touches = |name: &str| signed.iter().any(|field| field.eq_ignore_ascii_case(name));
    edits.iter().any(|edit| match edit {
        Edit::Remove(name) | Edit::AddIfMissing(name, _) => touches(name),
        Edit::RemoveBeginning(start) => {
            let begins = |name: &str| name.get(..start.len()).is_some_and(|name| name.eq_ignore_ascii_case(start));
            signed.iter().any(|field| begins(field))
        }
        Edit::Subject(_) | Edit::SubjectStandIn(_) => touches("Subject"),
        // Each signature covers the body.
        Edit::Text(_) => mime::header(message, "DKIM-Signature").is_some(),
        Edit::Prepend(field) => field.split_once(':').is_some_and(|(name, _)| touches(name)),
    })
}

fn words(edit: &Edit) -> String {
    match edit {
        Edit::Remove(name) => format!("{name} taken off"),
        Edit::RemoveBeginning(start) => format!("{start}* taken off"),
        Edit::Subject(_) => "tags taken off the subject".into(),
        Edit::AddIfMissing(name, _) => format!("{name} added"),
        Edit::SubjectStandIn(_) => "subject moved to the top of the text, and a reference put in its place".into(),
        Edit::Text(inserted) => match (&inserted.above, &inserted.below) {
            (Some(_), Some(_)) => "text put above and below the message".into(),
            (Some(_), None) => "text put above the message".into(),
            (None, _) => "footer put below the message".into(),
        },
        Edit::Prepend(field) => {
            let name = field.split_once(':').map_or("a header field", |(name, _)| name);
            format!("{name} put in front")
        }
    }
}

/// The trace header of this hop (RFC 5321 §4.4). It names neither the client's host nor its login: both are nobody's
/// business behind this relay, and the evidence keeps them.
pub(super) fn received(envelope: &Envelope, peer: &Peer, hop: &Hop<'_>) -> Edit {
    let Hop { hostname, id, at } = hop;
    let with = protocol(envelope.utf8, peer);
    let date = at.rfc5322();
    Edit::Prepend(format!("Received: from client by {hostname}\r\n\twith {with} id {id};\r\n\t{date}\r\n"))
}

/// RFC 3848, and RFC 6531 §4.3 for UTF-8.
fn protocol(utf8: Utf8, peer: &Peer) -> String {
    let base = match (utf8, peer.arrival.protocol) {
        // RFC 5321 §2.2.1: who said HELO speaks SMTP; there are no names for that under TLS or with a login.
        (Utf8::NotDeclared, Protocol::Smtp) => return "SMTP".to_owned(),
        (Utf8::Declared, Protocol::Smtp | Protocol::Esmtp) => "UTF8SMTP",
        (Utf8::NotDeclared, Protocol::Esmtp) => "ESMTP",
    };
    let tls = if peer.tls.is_some() { "S" } else { "" };
    let login = if peer.proof.is_some_and(Proof::is_login) { "A" } else { "" };
    format!("{base}{tls}{login}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Address, Arrival, ClientName, Mended, ReversePath, Role, TlsSession, WireLimits};
    use crate::phi::Phi;

    fn message(text: &str) -> Message {
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
        Message::parse(text.as_bytes().to_vec(), &limits).unwrap()
    }

    fn hop(hostname: &Domain) -> Hop<'_> {
        let at = Timestamp::from_millis(1_795_493_220_007);
        Hop { hostname, id: MessageId::from_parts(Timestamp::from_millis(0), 1), at }
    }

    fn check(text: &str, expected: &str, words: &[&str]) {
        let hostname = Domain::parse("relay.clinic.example").unwrap();
        let (edits, told) = edits(&message(text), &hop(&hostname), Vec::new());
        assert_eq!(String::from_utf8_lossy(mime::edit(&message(text), &edits).bytes()), expected);
        assert_eq!(told, words);
    }

    #[test]
    fn bcc_goes_and_what_is_missing_comes() {
        check(
            "From: a@b.example\r\nBCC: x@y.example,\r\n z@y.example\r\n\r\nBcc: body\r\n",
            "From: a@b.example\r\nDate: Tue, 24 Nov 2026 04:07:00 +0000\r\n\
             Message-ID: <00000000000000000000000001@relay.clinic.example>\r\n\r\nBcc: body\r\n",
            &["Bcc taken off", "Date added", "Message-ID added"],
        );
    }

    #[test]
    fn what_was_put_right_at_the_door_is_told_first() {
        let hostname = Domain::parse("relay.clinic.example").unwrap();
        let text = "Bcc: x@y.example\r\nDate: Tue, 24 Nov 2026 04:07:00 +0000\r\nMessage-ID: <1@b.example>\r\n";
        let mended = message(text).mended(vec![Mended::LastLine]);
        let (_, told) = edits(&mended, &hop(&hostname), Vec::new());
        assert_eq!(told, ["the last line was given its end", "Bcc taken off"]);
    }

    #[test]
    fn a_complete_message_is_left_alone() {
        let text =
            "From: a@b.example\r\nDate: Tue, 24 Nov 2026 04:07:00 +0000\r\nMessage-ID: <1@b.example>\r\n\r\nx\r\n";
        check(text, text, &[]);
    }

    #[test]
    fn a_signature_that_an_edit_breaks_is_taken_off() {
        let rest = "Date: Tue, 24 Nov 2026 04:07:00 +0000\r\nMessage-ID: <1@b.example>\r\n";
        let text = format!("DKIM-Signature: v=1; h=From:Bcc; b=x\r\nBcc: x@y.example\r\n{rest}\r\nx\r\n");
        check(&text, &format!("{rest}\r\nx\r\n"), &["Bcc taken off", "DKIM-Signature taken off"]);
        let kept = format!("DKIM-Signature: v=1; h=From:To; b=x\r\nBcc: x@y.example\r\n{rest}\r\nx\r\n");
        let expected = format!("DKIM-Signature: v=1; h=From:To; b=x\r\n{rest}\r\nx\r\n");
        check(&kept, &expected, &["Bcc taken off"]);
    }

    #[test]
    fn no_control_header_leaves_the_house_known_or_not() {
        let rest = "Date: Tue, 24 Nov 2026 04:07:00 +0000\r\nMessage-ID: <1@b.example>\r\n";
        let control = "X-Sealpost-Secure: yes\r\nx-sealpost-NOTBEFORE :\r\n tomorrow\r\nX-SEALPOST-Tenant: 7\r\n";
        check(&format!("{control}{rest}\r\nx\r\n"), &format!("{rest}\r\nx\r\n"), &["X-Sealpost-* taken off"]);
        let signed = format!("DKIM-Signature: v=1; h=From:X-Sealpost-Tenant; b=x\r\n{control}{rest}\r\nx\r\n");
        let words = ["X-Sealpost-* taken off", "DKIM-Signature taken off"];
        check(&signed, &format!("{rest}\r\nx\r\n"), &words);
    }

    #[test]
    fn the_trace_header_tells_the_hop_and_nothing_of_the_client() {
        let hostname = Domain::parse("relay.clinic.example").unwrap();
        let recipient = Address::parse("results@lab.example").unwrap();
        let mut envelope = Envelope::new(ReversePath::Null, recipient, Vec::new());
        let peer = Peer {
            role: Role::Submission,
            address: "10.1.2.3:4444".parse().unwrap(),
            helo: Phi::new("reception-pc".into()),
            tls: Some(TlsSession { version: "TLSv1.3".into(), suite: "TLS13_AES_256_GCM_SHA384".into() }),
            client: Some(ClientName("front-desk".into())),
            proof: Some(Proof::Password),
            arrival: Arrival::default(),
        };
        let Edit::Prepend(field) = received(&envelope, &peer, &hop(&hostname)) else { panic!("not in front") };
        assert_eq!(
            field,
            "Received: from client by relay.clinic.example\r\n\twith ESMTPSA id 00000000000000000000000001;\r\n\
             \tTue, 24 Nov 2026 04:07:00 +0000\r\n"
        );
        envelope.utf8 = Utf8::Declared;
        assert_eq!(protocol(envelope.utf8, &peer), "UTF8SMTPSA");
        let network = Peer { proof: Some(Proof::Network), ..peer };
        assert_eq!(protocol(Utf8::Declared, &network), "UTF8SMTPS");
        let clear = Peer { tls: None, ..network };
        assert_eq!(protocol(Utf8::NotDeclared, &clear), "ESMTP");
        let with_login = Peer { proof: Some(Proof::Password), ..clear };
        assert_eq!(protocol(Utf8::NotDeclared, &with_login), "ESMTPA");
        let helo = Arrival { protocol: Protocol::Smtp, ..Arrival::default() };
        assert_eq!(protocol(Utf8::NotDeclared, &Peer { arrival: helo, ..with_login }), "SMTP");
    }

    #[test]
    fn trace_headers_are_counted_with_their_odd_spellings() {
        let text =
            "Received: a\r\n\tb\r\nRECEIVED : c\r\nReceived-SPF: pass\r\nX: Received: d\r\n\r\nReceived: body\r\n";
        assert_eq!(received_count(&message(text)), 2);
        assert_eq!(received_count(&message("\r\nx\r\n")), 0);
    }
}
