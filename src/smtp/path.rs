//! The paths of MAIL and RCPT: what stands between the angle brackets (RFC 5321 §4.1.2).

use crate::mail::{Address, Domain, ReversePath};
use crate::smtp::Syntax;

/// Whom RCPT names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// `<Postmaster>` without a domain: whoever looks after this host.
    Postmaster,
    Mailbox(Address),
}

/// Reads a reverse-path off the front, and gives what stands behind it.
pub(super) fn reverse_path(text: &str) -> Result<(ReversePath, &str), Syntax> {
    let (inner, rest) = bracketed(text).ok_or(Syntax::BadSender)?;
    // RFC 5321 §4.5.5: `<>` is the null reverse-path.
    if inner.is_empty() {
        return Ok((ReversePath::Null, rest));
    }
    let address = without_route(inner).and_then(|mailbox| Address::parse(mailbox).ok());
    Ok((ReversePath::Mailbox(address.ok_or(Syntax::BadSender)?), rest))
}

/// Reads a forward-path off the front, and gives what stands behind it.
pub(super) fn forward_path(text: &str) -> Result<(Recipient, &str), Syntax> {
    let (inner, rest) = bracketed(text).ok_or(Syntax::BadRecipient)?;
    // RFC 5321 §4.1.1.3 and §4.5.1: <Postmaster> is taken in any case, without a domain.
    if inner.eq_ignore_ascii_case("postmaster") {
        return Ok((Recipient::Postmaster, rest));
    }
    let address = without_route(inner).and_then(|mailbox| Address::parse(mailbox).ok());
    Ok((Recipient::Mailbox(address.ok_or(Syntax::BadRecipient)?), rest))
}

/// What stands between `<` and the `>` that closes it, and what follows. A `>` within quotes closes nothing.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in inner.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some((&inner[..at], &inner[at + 1..])),
            _ => {}
        }
    }
    None
}

/// RFC 5321 §4.1.1.3 and appendix C: a source route is accepted, and ignored.
fn without_route(inner: &str) -> Option<&str> {
    if !inner.starts_with('@') {
        return Some(inner);
    }
    let (route, mailbox) = inner.split_once(':')?;
    let all_hops = route.split(',').all(|hop| hop.strip_prefix('@').is_some_and(|name| Domain::parse(name).is_ok()));
    all_hops.then_some(mailbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, address: &str, rest: &str) {
        let expected = Recipient::Mailbox(Address::parse(address).unwrap());
        assert_eq!(forward_path(text), Ok((expected, rest)), "{text}");
    }

    #[test]
    fn a_path_is_read_with_its_quotes_and_without_its_route() {
        check("<ann@lab.example>", "ann@lab.example", "");
        check("<ann@lab.example> X=1", "ann@lab.example", " X=1");
        check("<@a.example,@b.example:ann@lab.example>", "ann@lab.example", "");
        check("<\"a>b\"@lab.example> X", "\"a>b\"@lab.example", " X");
        check("<\"a\\\">b\"@lab.example>", "\"a\\\">b\"@lab.example", "");
        check("<ann@[192.0.2.9]>", "ann@[192.0.2.9]", "");
    }

    #[test]
    fn only_mail_may_come_from_nobody_and_only_the_postmaster_needs_no_domain() {
        assert_eq!(reverse_path("<>"), Ok((ReversePath::Null, "")));
        assert_eq!(forward_path("<>"), Err(Syntax::BadRecipient));
        assert_eq!(forward_path("<PostMaster>"), Ok((Recipient::Postmaster, "")));
        assert_eq!(reverse_path("<postmaster>"), Err(Syntax::BadSender));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in [
            "ann@lab.example",
            "<ann@lab.example",
            "<ann>",
            "<@lab.example>",
            "<@:ann@lab.example>",
            "<@a..b:ann@lab.example>",
            "<a b@lab.example>",
            "<<ann@lab.example>>",
            "",
        ] {
            assert_eq!(forward_path(bad), Err(Syntax::BadRecipient), "{bad}");
        }
    }
}
