//! What the session answers where more than one of its steps gives the same answer.

use crate::mail::{Enhanced, Malformed, Reply};

pub(super) fn fault_reply(fault: Malformed) -> Reply {
    match fault {
        // RFC 5321 §2.3.8: CR and LF occur together only, as the end of a line.
        Malformed::BareCr => answer(554, (5, 6, 0), "the message has a carriage return without a line feed"),
        Malformed::BareLf => answer(554, (5, 6, 0), "the message has a line feed without a carriage return"),
        Malformed::Nul => answer(554, (5, 6, 0), "the message has a NUL octet"),
        Malformed::TooLarge => answer(552, (5, 3, 4), "the message is over the size limit"),
        Malformed::HeaderTooLarge => answer(552, (5, 3, 4), "the header is over its size limit"),
        Malformed::LineTooLong => answer(554, (5, 6, 0), "a line of the message is over the length limit"),
    }
}

/// RFC 5321 §4.1.4.
pub(super) fn ehlo_first() -> Reply {
    answer(503, (5, 5, 1), "EHLO first")
}

/// RFC 3207 §4: 530 to whoever goes on without TLS.
pub(super) fn starttls_first() -> Reply {
    answer(530, (5, 7, 0), "STARTTLS first")
}

/// RFC 8689 §2: what is not offered in clear is not taken there either.
pub(super) fn requiretls_in_clear() -> Reply {
    answer(530, (5, 7, 10), "REQUIRETLS needs TLS on this connection too")
}

/// RFC 6531 §3.5: 553 5.6.7 for an address that SMTPUTF8 was not declared for.
pub(super) fn utf8_undeclared() -> Reply {
    answer(553, (5, 6, 7), "the address needs SMTPUTF8")
}

pub(in crate::smtp) fn answer(code: u16, (class, subject, detail): (u8, u16, u16), text: impl Into<String>) -> Reply {
    Reply::new(code, Enhanced::new(class, subject, detail), text)
}
