//! Decides past mail anew under another config, from what the evidence keeps of it: no body, no classifier, no network.

use crate::config::Config;
use crate::crypto::Digest;
use crate::evidence::record::{Known, Origin, Record};
use crate::intake::{Read, Terms, check_from};
use crate::mail::{ClientName, Envelope, Proof, RequireTls};
use crate::policy::{Decision, Facts, RecipientFacts};

/// A config that past mail is decided by.
#[derive(Debug)]
pub struct Again {
    terms: Terms,
}

/// What would become of a message.
#[derive(Debug)]
pub enum Renewed {
    /// In the order of its recipients.
    Decided(Vec<Decision>),
    /// Before any rule: nobody takes it.
    Refused(&'static str),
    /// It is from before what a decision goes by was kept.
    TooOld,
    /// Sealpost wrote it itself.
    OurOwn,
}

impl Again {
    pub fn new(config: &Config) -> Again {
        Again { terms: Terms::new(config, Digest::ZERO) }
    }

    pub fn decide(&self, record: &Record) -> Renewed {
        let Origin::Submitted { client, proof, .. } = &record.origin else { return Renewed::OurOwn };
        let Some(features) = &record.features else { return Renewed::TooOld };
        if let Some(why) = self.refused(client.as_ref(), record) {
            return Renewed::Refused(why);
        }
        let asked = || record.recipients.iter().filter(|recipient| !recipient.copy);
        let mut recipients = asked().map(|recipient| recipient.address.clone());
        let Some(first) = recipients.next() else { return Renewed::TooOld };
        let mut envelope = Envelope::new(record.sender.clone(), first, recipients.collect());
        // A word of SMTP, as it was asked.
        if record.asked.iter().any(|asked| asked.expose() == "REQUIRETLS") {
            envelope.asked.require_tls = RequireTls::Yes;
        }
        let known = asked().map(|recipient| Some(facts(&recipient.known, recipient.address.domain())));
        let read = Read {
            tree: features.tree(record),
            verdict: features.verdict(record).at(self.terms.point),
            facts: Facts { recipients: known.collect(), ..Facts::default() },
            seen: features.seen(record),
            signs: features.signs.clone(),
        };
        // A record from before there were proofs is of a login.
        let who = (client.as_ref(), proof.or(Some(Proof::Password)));
        Renewed::Decided(self.terms.decide(&envelope, who, read).decisions)
    }

    fn refused(&self, client: Option<&ClientName>, record: &Record) -> Option<&'static str> {
        let Some(client) = client else { return Some("it comes from no client") };
        let Ok(allowed) = self.terms.allowed(client) else { return Some("its client is not there, or is suspended") };
        let from = record.features.as_ref().map(|features| features.from.as_slice()).unwrap_or_default();
        check_from(from, &allowed.senders).err().map(|_| "its client may not send as whoever wrote it")
    }
}

fn facts(known: &Known, domain: &crate::mail::Domain) -> RecipientFacts {
    RecipientFacts {
        domain: domain.clone(),
        routed: known.routed,
        tls_seen: known.tls_seen.clone(),
        mx_seen: known.mx_seen.clone(),
    }
}
