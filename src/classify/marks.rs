//! Mailboxes, links and addresses of machines: known by a mark inside them.

use std::net::Ipv6Addr;

use memchr::memmem;

use crate::classify::lexicon::{self, flag};
use crate::classify::tokens::{Class, Gap, Tokens};
use crate::classify::{Hit, Hits};
use crate::phi::Kind;

/// Octets of a local part (RFC 5321 §4.5.3.1.1), of a domain, and of a link that are looked at.
const LOCAL: usize = 64;
const DOMAIN: usize = 255;
const LINK: usize = 400;

/// Finds what stands around the marks of a text.
pub(super) fn detect(text: &str, hits: &mut Hits) {
    hits.extend(memchr::memchr_iter(b'@', text.as_bytes()).filter_map(|at| mailbox(text, at)));
    hits.extend(memmem::find_iter(text.as_bytes(), "://").filter_map(|at| link(text, at)));
    hits.extend(memmem::find_iter(text.as_bytes(), "www.").filter_map(|at| site(text, at)));
}

fn mailbox(text: &str, at: usize) -> Option<Hit> {
    let bytes = text.as_bytes();
    let local = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._%+-'".contains(byte);
    let before = bytes[at.saturating_sub(LOCAL)..at].iter().rev().take_while(local).count();
    let domain = domain(&bytes[at + 1..])?;
    let start = at - before;
    let start = start + bytes[start..at].iter().take_while(|byte| b".'-".contains(byte)).count();
    (start < at).then(|| Hit::new(Kind::Email, start..at + 1 + domain, 0.95))
}

/// The length of a domain of at least two labels whose last one is of letters.
fn domain(rest: &[u8]) -> Option<usize> {
    let inside = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'-' || **byte == b'.';
    let length = rest.iter().take(DOMAIN).take_while(inside).count();
    let name = std::str::from_utf8(&rest[..length]).ok()?.trim_end_matches(['.', '-']);
    let (first, last) = name.rsplit_once('.')?;
    let letters = (2..=24).contains(&last.len()) && last.bytes().all(|byte| byte.is_ascii_alphabetic());
    let labels = first.split('.').all(|label| !label.is_empty() && !label.starts_with('-'));
    (letters && labels).then_some(name.len())
}

fn link(text: &str, at: usize) -> Option<Hit> {
    let lead = &text.as_bytes()[at.saturating_sub(5)..at];
    let scheme = ["https", "http", "sftp", "ftp", "wss", "ws"].into_iter().find(|scheme| {
        lead.len() >= scheme.len() && lead[lead.len() - scheme.len()..].eq_ignore_ascii_case(scheme.as_bytes())
    })?;
    let length = link_length(&text.as_bytes()[at + 3..]);
    (length >= 3).then(|| Hit::new(Kind::Url, at - scheme.len()..at + 3 + length, 0.9))
}

/// A site named without a scheme.
fn site(text: &str, at: usize) -> Option<Hit> {
    let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
    let free = before.is_none_or(|byte| byte.is_ascii_whitespace() || b"(<\"'[".contains(byte));
    let rest = &text.as_bytes()[at..];
    (free && domain(rest).is_some()).then(|| Hit::new(Kind::Url, at..at + link_length(rest), 0.85))
}

/// Finds sites without a scheme and without `www`: "portal.clinic.example/visits", "mesaclinic.com".
pub(super) fn sites(tokens: &Tokens<'_>, hits: &mut Hits) {
    let lexicon = lexicon::lexicon();
    let ends = |at: &usize| {
        let token = tokens.list.get(*at);
        token.is_some_and(|token| token.gap == Gap::Joined && token.mark == b'.' && token.class == Class::Lower)
    };
    for at in (0..tokens.list.len()).filter(ends) {
        let sure = tokens.list.get(at).is_some_and(|token| lexicon.is(token, flag::SITE));
        if sure || tokens.list.get(at).is_some_and(|token| lexicon.is(token, flag::SITE_WITH_PATH)) {
            hits.extend(bare_site(tokens, at, sure));
        }
    }
}

/// The site whose last label is a token.
fn bare_site(tokens: &Tokens<'_>, last: usize, sure: bool) -> Option<Hit> {
    const LABELS: usize = 8;
    let bytes = tokens.text.as_bytes();
    let tied = |at: &usize| {
        let token = tokens.list.get(*at);
        let joined = token.is_some_and(|token| token.gap == Gap::Joined && matches!(token.mark, b'.' | b'-'));
        joined && tokens.between(*at).len() == 1
    };
    let first = (last.saturating_sub(LABELS)..=last).rev().take_while(tied).last()?.checked_sub(1)?;
    tokens.list.get(first..last)?.iter().find(|token| token.class != Class::Number)?;
    let span = tokens.span(first..last + 1);
    let free = span.start.checked_sub(1).and_then(|at| bytes.get(at));
    let free = free.is_none_or(|byte| byte.is_ascii_whitespace() || b"(<\"'[>:".contains(byte));
    let rest = bytes.get(span.end..)?;
    let (path, closed) = match rest {
        [b'/', ..] | [b':', b'0'..=b'9', ..] => (link_length(rest), true),
        [b'.' | b'-', next, ..] if next.is_ascii_alphanumeric() => return None,
        [b'@' | b'_' | b'(', ..] => return None,
        _ => (0, sure),
    };
    (free && closed).then(|| Hit::new(Kind::Url, span.start..span.end + path, 0.6))
}

fn link_length(rest: &[u8]) -> usize {
    let inside = |byte: &&u8| byte.is_ascii_graphic() && !b"<>\"'])}|".contains(byte);
    let length = rest.iter().take(LINK).take_while(inside).count();
    length - rest[..length].iter().rev().take_while(|byte| b".,;:!?".contains(byte)).count()
}

/// The address of a machine in colons that stands around a place: IPv6, or that of a network card.
pub(super) fn colons(text: &str, at: usize) -> Option<Hit> {
    const LONGEST: usize = 45;
    let bytes = text.as_bytes();
    let inside = |byte: &&u8| byte.is_ascii_hexdigit() || **byte == b':';
    let before = bytes[at.saturating_sub(LONGEST)..at].iter().rev().take_while(inside).count();
    let behind = bytes[at..].iter().take(LONGEST).take_while(inside).count();
    let span = at - before..at + behind;
    let word = text.get(span.clone())?.trim_end_matches(':');
    let span = span.start..span.start + word.len();
    let groups = word.split(':').count();
    if groups == 6 && word.split(':').all(|group| group.len() == 2) {
        return Some(Hit::new(Kind::Device, span, 0.8));
    }
    let shown = groups >= 4 && word.bytes().any(|byte| byte.is_ascii_digit());
    (shown && word.parse::<Ipv6Addr>().is_ok()).then(|| Hit::new(Kind::Ip, span, 0.85))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(Kind, &str)]) {
        let mut hits = Hits::within(100);
        detect(text, &mut hits);
        let got: Vec<_> = hits.kept.iter().map(|hit| (hit.kind, &text[hit.span.clone()])).collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn a_mailbox_is_found_around_its_mark() {
        check("write to m.quist@mail.example.org.", &[(Kind::Email, "m.quist@mail.example.org")]);
        check("<o'hara+x@example.com>", &[(Kind::Email, "o'hara+x@example.com")]);
        for text in ["npm i @scope/cover@6.7.0", "a@b", "@home", "user@.example", "a@b..c", "x@1.2"] {
            check(text, &[]);
        }
    }

    #[test]
    fn a_link_is_found_with_its_path() {
        check("see https://portal.example/p/1?x=2.", &[(Kind::Url, "https://portal.example/p/1?x=2")]);
        check("(www.clinic.example)", &[(Kind::Url, "www.clinic.example")]);
        for text in ["crate std::large::protect", "foo://x", "awww.x", "http://"] {
            check(text, &[]);
        }
    }

    #[test]
    fn a_site_is_known_by_its_end() {
        let check = |text: &str, expected: &[&str]| {
            let mut hits = Hits::within(100);
            sites(&Tokens::of(text), &mut hits);
            let got: Vec<_> = hits.kept.iter().map(|hit| &text[hit.span.clone()]).collect();
            assert_eq!(got, expected, "{text}");
        };
        check("go to chart.mesa-clinic.example/visits.", &["chart.mesa-clinic.example/visits"]);
        check("see mesaclinic.com, or (records.mesa.org)", &["mesaclinic.com", "records.mesa.org"]);
        check("com.example.app.Main, node.js, a.io, m.quist@mail.mesa.org, x.net.y, done.In", &[]);
    }

    #[test]
    fn colons_make_the_address_of_a_machine() {
        let found = |text: &str| colons(text, 4).map(|hit| (hit.kind, text[hit.span].to_owned()));
        assert_eq!(found("2001:db8::7 x"), Some((Kind::Ip, "2001:db8::7".into())));
        assert_eq!(found("00:1a:2b:3c:4d:5e"), Some((Kind::Device, "00:1a:2b:3c:4d:5e".into())));
        assert_eq!(found("12:30:45"), None);
    }
}
