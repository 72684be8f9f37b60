//! Who has logged in, and as whom they may send.

use std::fmt;

use crate::config;
use crate::mail::{Address, ClientName, Proof, ReversePath};

/// A client that has proved who it is. Made by `accounts`. `Debug` shows only its name: a pattern may name a person.
#[derive(Clone, PartialEq, Eq)]
pub struct Submitter {
    pub name: ClientName,
    pub senders: Senders,
    /// Who else may stand in MAIL, and not in From:.
    pub return_paths: Senders,
    pub proof: Proof,
}

/// Whom a client may send as: `ann@clinic.example`, `*@clinic.example`, `*@*.clinic.example`; `<>` allows the null
/// sender. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Senders(pub Vec<String>);

impl Submitter {
    pub fn of(client: &config::Client, proof: Proof) -> Submitter {
        let (senders, return_paths) = (Senders(client.senders.clone()), Senders(client.return_paths.clone()));
        Submitter { name: client.name.clone(), senders, return_paths, proof }
    }

    /// Whether MAIL may name this sender.
    pub fn may_send_as(&self, sender: &ReversePath) -> bool {
        match sender {
            // A person's program never reports failures; who may, is said in so many words.
            ReversePath::Null => self.senders.0.iter().any(|pattern| pattern == "<>"),
            ReversePath::Mailbox(address) => self.senders.cover(address) || self.return_paths.cover(address),
        }
    }
}

impl Senders {
    /// Whether an address is one of the client's own, in MAIL or in From:.
    pub fn cover(&self, address: &Address) -> bool {
        self.0.iter().any(|pattern| address.matches(pattern))
    }
}

impl fmt::Debug for Senders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Senders({})", self.0.len())
    }
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Submitter({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, address: &str, allowed: bool) {
        let senders = Senders(vec![pattern.into()]);
        assert_eq!(senders.cover(&Address::parse(address).unwrap()), allowed, "{pattern} {address}");
    }

    #[test]
    fn a_pattern_covers_a_person_a_domain_or_what_lies_below() {
        check("ann@clinic.example", "Ann@Clinic.Example", true);
        check("ann@clinic.example", "bob@clinic.example", false);
        check("*@clinic.example", "bob@clinic.example", true);
        check("*@clinic.example", "bob@lab.clinic.example", false);
        check("*@*.clinic.example", "bob@lab.clinic.example", true);
        check("*@*.clinic.example", "bob@clinic.example", false);
        check("*@clinic.example", "bob@evilclinic.example", false);
        check("clinic.example", "bob@clinic.example", false);
        check("*", "bob@clinic.example", false);
    }

    #[test]
    fn a_return_path_of_its_own_is_for_mail_alone() {
        let [senders, return_paths] = ["*@clinic.example", "*@*.bounces.example"].map(|one| Senders(vec![one.into()]));
        let submitter = Submitter { name: ClientName("crm".into()), senders, return_paths, proof: Proof::Password };
        let address = |text: &str| Address::parse(text).unwrap();
        for (path, allowed) in
            [("ann@clinic.example", true), ("a=b@x.bounces.example", true), ("a@bounces.example", false)]
        {
            assert_eq!(submitter.may_send_as(&ReversePath::Mailbox(address(path))), allowed, "{path}");
        }
        assert!(!submitter.senders.cover(&address("a=b@x.bounces.example")));
    }

    #[test]
    fn nobody_sends_as_nobody_unless_it_is_said() {
        let senders = Senders(vec!["*@*".into()]);
        let return_paths = Senders(Vec::new());
        let mut submitter = Submitter { name: ClientName("ehr".into()), senders, return_paths, proof: Proof::Password };
        assert!(!submitter.may_send_as(&ReversePath::Null));
        submitter.senders.0.push("<>".into());
        assert!(submitter.may_send_as(&ReversePath::Null));
    }
}
