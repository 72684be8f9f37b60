//! What stands in a header for people to read: names beside addresses, remarks, and fields that programs make up.

use crate::mime::{fields, read};

/// Subjects of one message that are read.
const MAX_SUBJECTS: usize = 10;
/// Fields that hold addresses, and names beside them.
const NAMED: [&str; 9] = ["from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-to", "resent-cc"];
/// Fields that programs write for programs. What is in no list is read.
const TECHNICAL: [&str; 54] = [
    "accept-language",
    "arc-authentication-results",
    "arc-message-signature",
    "arc-seal",
    "authentication-results",
    "auto-submitted",
    "autocrypt",
    "bimi-selector",
    "cancel-lock",
    "content-class",
    "content-disposition",
    "content-id",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-transfer-encoding",
    "content-type",
    "date",
    "deferred-delivery",
    "delivered-to",
    "dkim-signature",
    "domainkey-signature",
    "envelope-to",
    "errors-to",
    "expires",
    "face",
    "feedback-id",
    "importance",
    "in-reply-to",
    "injection-info",
    "lines",
    "list-unsubscribe-post",
    "message-id",
    "mime-version",
    "openpgp",
    "original-message-id",
    "path",
    "precedence",
    "priority",
    "received",
    "received-spf",
    "references",
    "resent-date",
    "resent-message-id",
    "return-path",
    "sensitivity",
    "status",
    "subject",
    "thread-index",
    "tls-required",
    "user-agent",
    "xref",
    "nntp-posting-host",
];
/// How the fields of well-known mail programs, filters and senders begin.
const BEGINNINGS: [&str; 53] = [
    "x-abuse",
    "x-account",
    "x-amavis",
    "x-amp",
    "x-antivirus",
    "x-aol",
    "x-apple",
    "x-authenti",
    "x-auto-response",
    "x-barracuda",
    "x-beenthere",
    "x-complaints",
    "x-csa",
    "x-delivered",
    "x-dkim",
    "x-envelope",
    "x-eop",
    "x-evolution",
    "x-exchange",
    "x-exmh",
    "x-face",
    "x-feedback",
    "x-forefront",
    "x-github",
    "x-gm-",
    "x-goog",
    "x-hs-",
    "x-incoming",
    "x-ironport",
    "x-loop",
    "x-mailer",
    "x-mailgun",
    "x-mailman",
    "x-mandrill",
    "x-mc-",
    "x-microsoft",
    "x-mime",
    "x-mozilla",
    "x-ms",
    "x-originating",
    "x-php",
    "x-pm-",
    "x-priority",
    "x-proofpoint",
    "x-received",
    "x-report",
    "x-rspamd",
    "x-sealpost",
    "x-ses-",
    "x-sg-",
    "x-spam",
    "x-uid",
    "x-virus",
];

/// Words of a header, by the name of the part that they make.
pub(super) struct Words {
    pub(super) name: String,
    /// None when there is more of it than is read.
    pub(super) text: Option<String>,
}

/// Everything in the header of a message that people read or write into.
pub(super) fn of_message(header: &[u8]) -> Vec<Words> {
    let mut all = Vec::new();
    let subjects = fields::named(header, "subject").flat_map(|field| read::readings(field.value));
    for (at, text) in subjects.take(MAX_SUBJECTS + 1).enumerate() {
        let name = if at == 0 { "subject".to_owned() } else { format!("subject~{}", at + 1) };
        all.push(Words { name, text: (at < MAX_SUBJECTS).then_some(text) });
    }
    for name in NAMED {
        let values = fields::named(header, name).flat_map(|field| read::readings(field.value));
        let names: Vec<String> = values.flat_map(|value| names(&value)).collect();
        if !names.is_empty() {
            all.push(Words { name: name.to_owned(), text: Some(names.join("\n")) });
        }
    }
    all.extend(of_part(header));
    all
}

/// A line for each further field of a message or a part: `Comments: call her first`.
pub(super) fn of_part(header: &[u8]) -> Option<Words> {
    let lines: Vec<String> = fields::fields(header).filter_map(line).collect();
    (!lines.is_empty()).then(|| Words { name: "headers".into(), text: Some(lines.join("\n")) })
}

fn line(field: fields::Field<'_>) -> Option<String> {
    let is = |known: &&str| field.is(known);
    if NAMED.iter().any(is) || TECHNICAL.iter().any(is) || BEGINNINGS.iter().any(|start| field.begins(start)) {
        return None;
    }
    let value = read::readings(field.value).collect::<Vec<_>>().join(" | ");
    if !value.chars().any(char::is_alphanumeric) {
        return None;
    }
    if field.name.is_empty() {
        // `From ` of a mailbox file is a delivery agent's note.
        return (!field.whole.starts_with(b"From ")).then_some(value);
    }
    Some(format!("{}: {value}", String::from_utf8_lossy(field.name)))
}

/// What stands beside the addresses of a field: names, with or without quotes, remarks, names of groups.
fn names(value: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut name, mut quoted) = (String::new(), false);
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => name.extend(characters.next()),
            '"' => quoted = !quoted,
            // What stands in brackets and is no address is read: an encoded name may hold them.
            '<' | '>' if !quoted => name.push(' '),
            // RFC 5322 §3.4: `,` ends a mailbox, `:` a group's name, `;` the group.
            ',' | ';' | ':' if !quoted => keep(&mut names, &mut name),
            other => name.push(other),
        }
    }
    keep(&mut names, &mut name);
    names
}

fn keep(names: &mut Vec<String>, name: &mut String) {
    // A bare address is no name; who writes one in quotes says nothing else either.
    let words = name.split_whitespace().filter(|word| !word.contains('@'));
    let text = words.collect::<Vec<_>>().join(" ");
    if text.chars().any(char::is_alphanumeric) {
        names.push(text);
    }
    name.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: &[&str]) {
        let found: Vec<String> = of_message(header.as_bytes())
            .into_iter()
            .map(|words| format!("{}={}", words.name, words.text.as_deref().unwrap_or("too many")))
            .collect();
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn names_beside_addresses_are_read() {
        check(
            "From: \"Quist, Ann\" <ann@clinic.example>\r\nTo: =?utf-8?Q?Jos=C3=A9?= Roe <jose@mail.example>, bo@mail.example,\r\n \
             friends: Cy (MRN 7) <cy@mail.example>;\r\n",
            &["from=Quist, Ann", "to=José Roe\nfriends\nCy (MRN 7)"],
        );
        check(
            "From: ann@clinic.example\r\nTo: <bo@mail.example>\r\nCc: \"bo@mail.example\" <bo@mail.example>\r\n",
            &[],
        );
        check("To: =?utf-8?Q?Ann_<MRN_7>?= <ann@mail.example>\r\n", &["to=Ann MRN 7"]);
        let torn = "Subject: =?utf-8?Q?=4DRN=ZZ 7?=\r\n";
        check(torn, &["subject==?utf-8?Q?=4DRN=ZZ 7?=", "subject~2=MRN=ZZ 7"]);
        check("To: \"never closed <a@b.example>, x\r\n", &["to=never closed x"]);
    }

    #[test]
    fn each_subject_is_read_up_to_the_bound() {
        check("Subject: one\r\nSubject: =?utf-8?B?dHdv?=\r\n", &["subject=one", "subject~2=two"]);
        let many = of_message("Subject: x\r\n".repeat(100).as_bytes());
        assert_eq!(many.len(), MAX_SUBJECTS + 1);
        assert!(many.last().unwrap().text.is_none());
    }

    #[test]
    fn fields_for_people_are_read_and_those_for_programs_are_not() {
        check(
            "X-Patient-MRN: 00482913\r\nComments: call her\r\n first\r\nList-Id: Asthma group <a.list.example>\r\n\
             X-Mailer: Outlook\r\nX-MS-Has-Attach: yes\r\nReceived: from a\r\nDKIM-Signature: v=1\r\nX-Empty: --\r\n\
             Content-Description: chart of Ann\r\nKeywords: =?utf-8?Q?Asthme?=\r\nno field at all\r\nFrom a@b.example now\r\n",
            &["headers=X-Patient-MRN: 00482913\nComments: call her first\nList-Id: Asthma group <a.list.example>\n\
               Content-Description: chart of Ann\nKeywords: Asthme\nno field at all"],
        );
    }
}
