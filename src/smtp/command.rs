//! One command line, read once into what it asks for (RFC 5321 §4.1).

use crate::mail::{
    Asked, BodyType, EnvelopeId, Notify, OriginalRecipient, Reply, RequireTls, Returned, ReversePath, Utf8, Wishes,
    is_xtext,
};
use crate::phi::Phi;
use crate::smtp::Mechanism;
use crate::smtp::path::{Recipient, forward_path, reverse_path};
use crate::smtp::session::answer;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Helo(Phi<String>),
    Ehlo(Phi<String>),
    StartTls,
    Auth { mechanism: Mechanism, initial: Option<Phi<String>> },
    Mail(Mail),
    Rcpt { recipient: Recipient, wishes: Wishes },
    Data,
    Bdat(Chunk),
    Rset,
    Noop,
    Help,
    Vrfy,
    Quit,
}

/// How many octets follow a BDAT line, and whether more chunks follow those (RFC 3030 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    More(u64),
    Last(u64),
}

impl Chunk {
    pub fn octets(self) -> u64 {
        match self {
            Chunk::More(octets) | Chunk::Last(octets) => octets,
        }
    }
}

/// MAIL and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub sender: ReversePath,
    /// RFC 1870: how large the client says that the message is.
    pub size: Option<u64>,
    pub body: BodyType,
    pub utf8: Utf8,
    pub asked: Asked,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Not text: control characters, or no UTF-8.
    NotText,
    Unknown,
    /// A verb of HTTP: a browser or a proxy was made to talk to us.
    Foreign,
    NotImplemented,
    BadArgument,
    /// A BDAT that does not say how much follows it.
    BadChunk,
    BadSender,
    BadRecipient,
    BadParameter,
    UnknownParameter,
    UnknownMechanism,
}

impl Syntax {
    pub fn reply(self) -> Reply {
        let (code, enhanced, text) = match self {
            // RFC 5321 §4.2.4: 500 for what is not recognised, 502 for what is known and not offered.
            Syntax::NotText => (500, (5, 5, 2), "the line holds octets that no command has"),
            Syntax::Unknown | Syntax::Foreign => (500, (5, 5, 2), "command not recognised"),
            Syntax::NotImplemented => (502, (5, 5, 1), "command not offered here"),
            Syntax::BadArgument => (501, (5, 5, 4), "the arguments of the command are missing or wrong"),
            Syntax::BadChunk => (501, (5, 5, 4), "BDAT needs a number of octets, and LAST with the last of them"),
            Syntax::BadSender => (501, (5, 1, 7), "MAIL needs FROM:<address>"),
            Syntax::BadRecipient => (501, (5, 1, 3), "RCPT needs TO:<address>"),
            Syntax::BadParameter => (501, (5, 5, 4), "a parameter is given twice, or has a value that it cannot have"),
            // RFC 5321 §4.1.1.11: 555 for parameters that are not recognised.
            Syntax::UnknownParameter => (555, (5, 5, 4), "a parameter is not recognised"),
            // RFC 4954 §4: 504 for a mechanism that is not supported.
            Syntax::UnknownMechanism => (504, (5, 5, 4), "this mechanism is not offered"),
        };
        answer(code, enhanced, text)
    }
}

impl Command {
    /// Reads a line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Command, Syntax> {
        // Content follows a BDAT however its line is written, and must not be read as commands.
        let is_bdat = line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"));
        let not_text = if is_bdat { Syntax::BadChunk } else { Syntax::NotText };
        let text = std::str::from_utf8(line).map_err(|_| not_text)?;
        // RFC 5321 §4.1.1: white space before the CRLF is tolerated.
        let text = text.trim_end_matches([' ', '\t']);
        if text.chars().any(char::is_control) {
            return Err(not_text);
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim_start_matches(' ');
        // RFC 5321 §2.4: verbs are read without regard to case.
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => greeting(rest).map(Command::Helo),
            "EHLO" => greeting(rest).map(Command::Ehlo),
            "STARTTLS" => alone(rest, Command::StartTls),
            "AUTH" => auth(rest),
            "MAIL" => mail(rest),
            "RCPT" => rcpt(rest),
            "DATA" => alone(rest, Command::Data),
            "BDAT" => bdat(rest).map(Command::Bdat),
            "RSET" => alone(rest, Command::Rset),
            "QUIT" => alone(rest, Command::Quit),
            // RFC 5321 §4.1.1.8 and §4.1.1.9: a string may follow, and says nothing.
            "NOOP" => Ok(Command::Noop),
            "HELP" => Ok(Command::Help),
            "VRFY" if rest.is_empty() => Err(Syntax::BadArgument),
            "VRFY" => Ok(Command::Vrfy),
            "EXPN" | "ETRN" | "TURN" | "ATRN" | "SEND" | "SOML" | "SAML" => Err(Syntax::NotImplemented),
            "GET" | "POST" | "HEAD" | "PUT" | "DELETE" | "PATCH" | "OPTIONS" | "TRACE" | "CONNECT" | "PRI" => {
                Err(Syntax::Foreign)
            }
            _ => Err(Syntax::Unknown),
        }
    }
}

fn alone(rest: &str, command: Command) -> Result<Command, Syntax> {
    if rest.is_empty() { Ok(command) } else { Err(Syntax::BadArgument) }
}

/// RFC 5321 §4.1.4: a name that does not verify is no reason to refuse; neither is one that real clients make up: a bare
/// machine name, an address without brackets, an underscore. RFC 5321 §4.5.3.1.2: a domain has up to 255 octets.
fn greeting(rest: &str) -> Result<Phi<String>, Syntax> {
    let is_name = !rest.is_empty() && rest.len() <= 255 && rest.chars().all(stands_in_a_name);
    if is_name { Ok(Phi::new(rest.to_owned())) } else { Err(Syntax::BadArgument) }
}

/// What names of machines and addresses are made of, in whatever script, and no more: it is kept, and shown to people,
/// and must be no markup there.
fn stands_in_a_name(character: char) -> bool {
    character.is_alphanumeric() || "-._:[]()%+~/@,'".contains(character)
}

fn auth(rest: &str) -> Result<Command, Syntax> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(Syntax::BadArgument)?;
    let mechanism = Mechanism::from_name(mechanism).ok_or(Syntax::UnknownMechanism)?;
    let initial = words.next().map(|word| Phi::new(word.to_owned()));
    if words.next().is_some() {
        return Err(Syntax::BadArgument);
    }
    Ok(Command::Auth { mechanism, initial })
}

fn mail(rest: &str) -> Result<Command, Syntax> {
    let path = behind(rest, "FROM:").ok_or(Syntax::BadSender)?;
    let (sender, rest) = reverse_path(path)?;
    let mut mail =
        Mail { sender, size: None, body: BodyType::SevenBit, utf8: Utf8::NotDeclared, asked: Asked::default() };
    for (keyword, value) in parameters(rest)? {
        match keyword.as_str() {
            "SIZE" => mail.size = Some(size(value)?),
            "BODY" => mail.body = body(value)?,
            // RFC 6531 §3.4: SMTPUTF8 takes no value.
            "SMTPUTF8" if value.is_some() => return Err(Syntax::BadParameter),
            "SMTPUTF8" => mail.utf8 = Utf8::Declared,
            // RFC 4954 §5: who does not trust the client to vouch for others behaves as if AUTH=<> was given.
            "AUTH" if value.is_some_and(is_xtext) => {}
            "AUTH" => return Err(Syntax::BadParameter),
            "RET" => mail.asked.returned = Some(read(value, Returned::parse)?),
            "ENVID" => mail.asked.envelope_id = Some(read(value, EnvelopeId::parse)?),
            // RFC 8689 §2: REQUIRETLS takes no value.
            "REQUIRETLS" if value.is_some() => return Err(Syntax::BadParameter),
            "REQUIRETLS" => mail.asked.require_tls = RequireTls::Yes,
            _ => return Err(Syntax::UnknownParameter),
        }
    }
    Ok(Command::Mail(mail))
}

fn rcpt(rest: &str) -> Result<Command, Syntax> {
    let path = behind(rest, "TO:").ok_or(Syntax::BadRecipient)?;
    let (recipient, rest) = forward_path(path)?;
    let mut wishes = Wishes::default();
    for (keyword, value) in parameters(rest)? {
        match keyword.as_str() {
            "NOTIFY" => wishes.notify = read(value, Notify::parse)?,
            "ORCPT" => wishes.original = Some(read(value, OriginalRecipient::parse)?),
            _ => return Err(Syntax::UnknownParameter),
        }
    }
    Ok(Command::Rcpt { recipient, wishes })
}

fn read<T>(value: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Result<T, Syntax> {
    value.and_then(parse).ok_or(Syntax::BadParameter)
}

/// RFC 3030 §2: `BDAT SP chunk-size [SP "LAST"]`.
fn bdat(rest: &str) -> Result<Chunk, Syntax> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let octets = words.next().and_then(digits).and_then(|digits| digits.parse().ok()).ok_or(Syntax::BadChunk)?;
    match (words.next(), words.next()) {
        (None, None) => Ok(Chunk::More(octets)),
        (Some(mark), None) if mark.eq_ignore_ascii_case("LAST") => Ok(Chunk::Last(octets)),
        _ => Err(Syntax::BadChunk),
    }
}

/// What follows the keyword. RFC 5321 §3.3 allows no space around the colon; clients that put one behind it are many.
fn behind<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let found = text.get(..keyword.len())?;
    found.eq_ignore_ascii_case(keyword).then(|| text[keyword.len()..].trim_start_matches(' '))
}

/// RFC 5321 §4.1.2 `esmtp-param`: the keywords in capitals, each once, and their values.
fn parameters(rest: &str) -> Result<Vec<(String, Option<&str>)>, Syntax> {
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(Syntax::BadArgument);
    }
    let mut read: Vec<(String, Option<&str>)> = Vec::new();
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        let (keyword, value) = parameter(word)?;
        if read.iter().any(|(known, _)| *known == keyword) {
            return Err(Syntax::BadParameter);
        }
        read.push((keyword, value));
    }
    Ok(read)
}

fn parameter(word: &str) -> Result<(String, Option<&str>), Syntax> {
    let (keyword, value) = match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    };
    let is_keyword = keyword.starts_with(|first: char| first.is_ascii_alphanumeric())
        && keyword.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_keyword || value.is_some_and(|value| value.is_empty() || value.contains('=')) {
        return Err(Syntax::BadParameter);
    }
    Ok((keyword.to_ascii_uppercase(), value))
}

/// RFC 1870 §4 and RFC 3030 §2: up to twenty digits, and no sign.
fn digits(word: &str) -> Option<&str> {
    (word.len() <= 20 && word.bytes().all(|byte| byte.is_ascii_digit())).then_some(word)
}

fn size(value: Option<&str>) -> Result<u64, Syntax> {
    let digits = value.and_then(digits).ok_or(Syntax::BadParameter)?;
    // Twenty digits may be more than a machine word, and are more than any limit.
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// RFC 6152 §2.
fn body(value: Option<&str>) -> Result<BodyType, Syntax> {
    match value {
        Some(v) if v.eq_ignore_ascii_case("7BIT") => Ok(BodyType::SevenBit),
        Some(v) if v.eq_ignore_ascii_case("8BITMIME") => Ok(BodyType::EightBitMime),
        _ => Err(Syntax::BadParameter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Address;

    fn check(line: &str, expected: &Result<Command, Syntax>) {
        assert_eq!(Command::parse(line.as_bytes()), *expected, "{line}");
    }

    fn from(address: &str) -> Mail {
        let sender = ReversePath::Mailbox(Address::parse(address).unwrap());
        Mail { sender, size: None, body: BodyType::SevenBit, utf8: Utf8::NotDeclared, asked: Asked::default() }
    }

    #[test]
    fn verbs_are_read_in_any_case_and_with_white_space_behind() {
        check("rset", &Ok(Command::Rset));
        check("Quit \t ", &Ok(Command::Quit));
        check("NOOP whatever", &Ok(Command::Noop));
        check("EHLO ehr-1", &Ok(Command::Ehlo(Phi::new("ehr-1".into()))));
        check("VRFY ann", &Ok(Command::Vrfy));
    }

    #[test]
    fn what_no_command_may_carry_is_refused() {
        check("", &Err(Syntax::Unknown));
        check("XYZZY", &Err(Syntax::Unknown));
        check("DATA now", &Err(Syntax::BadArgument));
        check("EHLO", &Err(Syntax::BadArgument));
        check("EHLO a b", &Err(Syntax::BadArgument));
        check("VRFY", &Err(Syntax::BadArgument));
        check("EXPN staff", &Err(Syntax::NotImplemented));
        check("NOOP\0", &Err(Syntax::NotText));
        check("NOOP\rQUIT", &Err(Syntax::NotText));
        assert_eq!(Command::parse(b"NOOP \xff"), Err(Syntax::NotText));
        for verb in [
            "GET /",
            "post / HTTP/1.1",
            "HEAD /",
            "PUT /",
            "DELETE /",
            "PATCH /",
            "OPTIONS *",
            "TRACE /",
            "CONNECT x:25",
            "PRI * HTTP/2.0",
        ] {
            check(verb, &Err(Syntax::Foreign));
        }
    }

    #[test]
    fn names_are_taken_as_real_clients_make_them_up_and_nothing_that_could_be_read_as_markup() {
        let longest = "x".repeat(255);
        for name in [
            "localhost",
            "WIN-7F3K2",
            "10.20.0.7",
            "[10.20.0.7]",
            "[IPv6:2001:db8::7]",
            "fe80::1%eth0",
            "ward_3_scanner",
            "localhost.localdomain.",
            "ann@ws7",
            "müller-pc",
            &longest,
        ] {
            check(&format!("EHLO {name}"), &Ok(Command::Ehlo(Phi::new(name.into()))));
            check(&format!("HELO {name}"), &Ok(Command::Helo(Phi::new(name.into()))));
        }
        let long = "x".repeat(300);
        for name in ["", " ", "two words", "<script>", "a;b", "$(id)", "a`b", "\"q\"", "a\\b", "a\u{202e}b", &long] {
            check(&format!("EHLO {name}"), &Err(Syntax::BadArgument));
        }
    }

    #[test]
    fn mail_is_read_with_its_parameters() {
        check("MAIL FROM:<ann@clinic.example>", &Ok(Command::Mail(from("ann@clinic.example"))));
        check("mail from: <ann@clinic.example>", &Ok(Command::Mail(from("ann@clinic.example"))));
        check("MAIL FROM:<@a.example:ann@clinic.example>", &Ok(Command::Mail(from("ann@clinic.example"))));
        check(
            "MAIL FROM:<ann@clinic.example> size=500 body=8bitmime SMTPUTF8 AUTH=e+3Dmc2@clinic.example",
            &Ok(Command::Mail(Mail {
                size: Some(500),
                body: BodyType::EightBitMime,
                utf8: Utf8::Declared,
                ..from("ann@clinic.example")
            })),
        );
        let null = Mail { sender: ReversePath::Null, ..from("ann@clinic.example") };
        check("MAIL FROM:<> AUTH=<>", &Ok(Command::Mail(null.clone())));
        check("MAIL FROM:<> SIZE=99999999999999999999", &Ok(Command::Mail(Mail { size: Some(u64::MAX), ..null })));
    }

    #[test]
    fn each_wrong_parameter_has_its_reason() {
        check("MAIL FROM:<> SIZE", &Err(Syntax::BadParameter));
        check("MAIL FROM:<> SIZE=-1", &Err(Syntax::BadParameter));
        check("MAIL FROM:<> SIZE=1 SIZE=1", &Err(Syntax::BadParameter));
        check("MAIL FROM:<> BODY=BINARYMIME", &Err(Syntax::BadParameter));
        check("MAIL FROM:<> SMTPUTF8=yes", &Err(Syntax::BadParameter));
        check("MAIL FROM:<> AUTH=+4", &Err(Syntax::BadParameter));
        check("MAIL FROM:<>SIZE=1", &Err(Syntax::BadArgument));
        check("MAIL <ann@clinic.example>", &Err(Syntax::BadSender));
        check("MAIL FROM:ann@clinic.example", &Err(Syntax::BadSender));
        check("MAIL FROM:<> HOLDFOR=5", &Err(Syntax::UnknownParameter));
        check("RCPT TO:<ann@clinic.example> RET=FULL", &Err(Syntax::UnknownParameter));
        check("RCPT TO:ann@clinic.example", &Err(Syntax::BadRecipient));
        check("RCPT FROM:<ann@clinic.example>", &Err(Syntax::BadRecipient));
    }

    #[test]
    fn a_chunk_says_how_long_it_is_or_is_none() {
        check("BDAT 0 LAST", &Ok(Command::Bdat(Chunk::Last(0))));
        check("bdat 86 last ", &Ok(Command::Bdat(Chunk::Last(86))));
        check("BDAT 00018446744073709551", &Ok(Command::Bdat(Chunk::More(18_446_744_073_709_551))));
        check("BDAT 18446744073709551615", &Ok(Command::Bdat(Chunk::More(u64::MAX))));
        for wrong in [
            "BDAT",
            "BDAT LAST",
            "BDAT -1",
            "BDAT +1",
            "BDAT 0x10",
            "BDAT 1e3 LAST",
            "BDAT 10 FIRST",
            "BDAT 10 LAST LAST",
            "BDAT 10LAST",
            "BDAT 18446744073709551616",
            "BDAT 000000000000000000000",
            "BDAT\t10",
            "BDAT 10\0",
        ] {
            check(wrong, &Err(Syntax::BadChunk));
        }
        assert_eq!(Command::parse(b"BDAT 1\xff"), Err(Syntax::BadChunk));
        check("BDATA 10", &Err(Syntax::Unknown));
    }

    #[test]
    fn what_is_asked_of_reports_and_of_the_way_is_read() {
        let asked = Asked {
            returned: Some(Returned::Headers),
            envelope_id: EnvelopeId::parse("QQ+3D7"),
            require_tls: RequireTls::Yes,
        };
        check(
            "MAIL FROM:<ann@clinic.example> ret=hdrs ENVID=QQ+3D7 REQUIRETLS",
            &Ok(Command::Mail(Mail { asked, ..from("ann@clinic.example") })),
        );
        let wishes = Wishes {
            notify: Notify::parse("SUCCESS,DELAY").unwrap(),
            original: OriginalRecipient::parse("rfc822;bob+2B1@lab.example"),
        };
        let recipient = Recipient::Mailbox(Address::parse("bob@lab.example").unwrap());
        check(
            "RCPT TO:<bob@lab.example> NOTIFY=success,delay ORCPT=rfc822;bob+2B1@lab.example",
            &Ok(Command::Rcpt { recipient, wishes }),
        );
    }

    #[test]
    fn each_wrong_wish_has_its_reason() {
        let wrong = ["RET", "RET=SOME", "RET=FULL RET=FULL", "ENVID", "ENVID=a+4", "ENVID=+0D+0A", "REQUIRETLS=yes"];
        for parameter in wrong {
            check(&format!("MAIL FROM:<> {parameter}"), &Err(Syntax::BadParameter));
        }
        let wrong = [
            "NOTIFY",
            "NOTIFY=",
            "NOTIFY=NEVER,SUCCESS",
            "NOTIFY=NEVER NOTIFY=NEVER",
            "ORCPT",
            "ORCPT=rfc822",
            "ORCPT=rfc822;a+0D+0Ab",
            "ORCPT=utf-8;a\\x{0A}b",
        ];
        for parameter in wrong {
            check(&format!("RCPT TO:<bob@lab.example> {parameter}"), &Err(Syntax::BadParameter));
        }
    }

    #[test]
    fn auth_is_read_with_its_first_response() {
        let plain = |initial: Option<&str>| {
            Ok(Command::Auth { mechanism: Mechanism::Plain, initial: initial.map(|i| Phi::new(i.to_owned())) })
        };
        check("AUTH PLAIN", &plain(None));
        check("auth plain AGEAYg==", &plain(Some("AGEAYg==")));
        check("AUTH PLAIN =", &plain(Some("=")));
        check("AUTH CRAM-MD5", &Err(Syntax::UnknownMechanism));
        check("AUTH", &Err(Syntax::BadArgument));
        check("AUTH PLAIN a b", &Err(Syntax::BadArgument));
    }
}
