//! Whom a message says that it is for, with the names beside the addresses.

use std::collections::HashSet;

use mail_parser::parsers::MessageStream;

use crate::mail::{Address, Message};
use crate::mime::fields;
use crate::phi::Phi;

/// Recipients that are read of one message's To and Cc.
const MOST: usize = 1_000;

/// Somebody in To or Cc.
#[derive(Clone, Debug)]
pub struct Addressee {
    pub name: Option<Phi<String>>,
    pub address: Address,
}

/// Everybody in To and Cc, once each, in their order; what cannot be read as an address is left out.
pub fn addressees(message: &Message) -> Vec<Addressee> {
    let header = message.header();
    let mut known = HashSet::new();
    let mut found = Vec::new();
    for field in fields::named(header, "to").chain(fields::named(header, "cc")) {
        let parsed = MessageStream::new(field.value).parse_address();
        let entries = parsed.as_address().into_iter().flat_map(|list| list.iter());
        for entry in entries {
            let Some(address) = entry.address().and_then(|text| Address::parse(text).ok()) else { continue };
            if found.len() < MOST && known.insert(address.clone()) {
                found.push(Addressee { name: entry.name().map(|name| Phi::new(name.to_owned())), address });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::WireLimits;

    #[test]
    fn everybody_in_to_and_cc_is_found_once_with_the_name_beside() {
        let text = b"To: \"Quist, Maribel\" <m@free.example>,\r\n bo@lab.example\r\nCc: Team: a@x.example, B <b@x.example>;\r\n\
                     cc: bo@lab.example, no address\r\n\r\n";
        let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
        let found = addressees(&Message::parse(text.to_vec(), &limits).unwrap());
        let told: Vec<(&str, Option<&str>)> = found
            .iter()
            .map(|each| (each.address.expose(), each.name.as_ref().map(|name| name.expose().as_str())))
            .collect();
        assert_eq!(
            told,
            [
                ("m@free.example", Some("Quist, Maribel")),
                ("bo@lab.example", None),
                ("a@x.example", None),
                ("b@x.example", Some("B"))
            ]
        );
    }
}
