//! Addresses and domains: what was read is written as it was, is read again as the same, and can stand in a command.

use sealpost::mail::{Address, Domain};
use sealpost::smtp::Command;

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(domain) = Domain::parse(text) {
        let written = domain.to_string();
        assert!(written.is_ascii() && written.len() <= 255, "a domain is written in A-labels");
        assert!(!written.contains(|c: char| c.is_control() || c.is_whitespace() || "<>,\"".contains(c)));
        assert_eq!(Domain::parse(&written).as_ref(), Ok(&domain), "read again");
        assert!(domain.matches("*") && domain.matches(&written));
        assert_eq!(domain.literal().is_some(), written.starts_with('['));
    }
    let Ok(address) = Address::parse(text) else { return };
    assert_eq!(address.expose(), text, "an address is kept as it was written");
    assert!(!text.contains(char::is_control), "nothing can break a line");
    let again = Address::parse(address.expose()).expect("it was one");
    assert!(again == address && again.expose_folded() == address.expose_folded());
    assert_eq!(format!("{address:?}"), format!("[phi]@{}", address.domain()));
    let utf8 = if address.needs_utf8() { " SMTPUTF8" } else { "" };
    let mail = format!("MAIL FROM:<{text}>{utf8}");
    match Command::parse(mail.as_bytes()) {
        Ok(Command::Mail(mail)) => assert_eq!(mail.sender.mailbox(), Some(&address), "read by MAIL"),
        other => panic!("MAIL does not read what Address reads: {other:?}"),
    }
}
