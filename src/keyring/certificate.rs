//! What a certificate chain says: for whom, until when, signed by whom, and whether a key is the one it is for.

use std::net::IpAddr;

use rcgen::{KeyPair, PublicKeyData};
use serde::Serialize;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::clock::Timestamp;
use crate::crypto::{Digest, sha256};
use crate::keyring::KeyringError;
use crate::mail::Domain;

/// More certificates than any chain has.
const MAX_CERTIFICATES: usize = 16;

/// The certificate at the front of a chain, as far as an operator cares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// DNS names and IP addresses of the subjectAltName; the common name counts for nothing (RFC 9525 §2).
    pub names: Vec<String>,
    pub issuer: String,
    pub signed: Signed,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// SHA-256 of its DER, as a pin or `openssl x509 -fingerprint -sha256` gives it.
    pub fingerprint: Digest,
    /// How many certificates are in the file, this one included.
    pub chain: usize,
    /// SHA-256 of its public key, by which a client may be known.
    #[serde(skip)]
    pub key_sha256: Digest,
    #[serde(skip)]
    public_key: Vec<u8>,
}

/// Who signed a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signed {
    /// By its own key: senders believe it only when they are given it.
    BySelf,
    /// By the next certificate of the file.
    ByNext,
    /// By an authority that is not in the file.
    ByOther,
    /// Not by the next certificate of the file: the chain is in the wrong order, or is not one.
    NotByNext,
}

/// Whether a certificate holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    NotYet,
    Now,
    Expired,
}

/// Whether a private key is the one that a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMatch {
    Matches,
    Differs,
}

/// Reads a PEM chain: the certificate itself first, then those that lead to its authority.
pub fn read(chain: &[u8]) -> Result<Certificate, KeyringError> {
    let blocks = certificates(chain)?;
    let leaf = parse(&blocks, 0)?;
    let signed = match blocks.len() {
        1 if leaf.verify_signature(None).is_ok() => Signed::BySelf,
        1 => Signed::ByOther,
        _ if leaf.verify_signature(Some(parse(&blocks, 1)?.public_key())).is_ok() => Signed::ByNext,
        _ => Signed::NotByNext,
    };
    Ok(Certificate {
        names: names(&leaf),
        issuer: leaf.issuer().to_string(),
        signed,
        not_before: moment(leaf.validity().not_before.timestamp()),
        not_after: moment(leaf.validity().not_after.timestamp()),
        fingerprint: sha256(&blocks[0].contents),
        chain: blocks.len(),
        key_sha256: sha256(leaf.public_key().raw),
        public_key: leaf.public_key().subject_public_key.data.to_vec(),
    })
}

impl Certificate {
    pub fn validity(&self, now: Timestamp) -> Validity {
        if now < self.not_before {
            return Validity::NotYet;
        }
        if now > self.not_after { Validity::Expired } else { Validity::Now }
    }

    /// Whether one of the names is `host`, or covers it with a star for its first label (RFC 9525 §6.3).
    pub fn covers(&self, host: &Domain) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => host.as_str().split_once('.').is_some_and(|(_, below)| below.eq_ignore_ascii_case(parent)),
            None => match host.literal() {
                Some(address) => name.parse() == Ok(address),
                None => name.eq_ignore_ascii_case(host.as_str()),
            },
        })
    }

    /// Compares with a private key in PEM.
    pub fn key_match(&self, key: &[u8]) -> Result<KeyMatch, KeyringError> {
        let key = private_key(key)?;
        Ok(if key.der_bytes() == self.public_key { KeyMatch::Matches } else { KeyMatch::Differs })
    }
}

/// Reads the first private key of a PEM text, passing over what may stand before it (as EC PARAMETERS does).
pub(super) fn private_key(pem: &[u8]) -> Result<KeyPair, KeyringError> {
    let block =
        Pem::iter_from_buffer(pem).take(MAX_CERTIFICATES).flatten().find(|pem| pem.label.ends_with("PRIVATE KEY"));
    let block = block.ok_or(KeyringError::BadPrivateKey)?;
    KeyPair::try_from(block.contents.as_slice()).map_err(|_| KeyringError::BadPrivateKey)
}

fn certificates(chain: &[u8]) -> Result<Vec<Pem>, KeyringError> {
    let mut blocks = Vec::new();
    for (at, block) in Pem::iter_from_buffer(chain).take(MAX_CERTIFICATES).enumerate() {
        let block = block.map_err(|_| KeyringError::BadCertificate(at + 1))?;
        if block.label == "CERTIFICATE" {
            blocks.push(block);
        }
    }
    if blocks.is_empty() { Err(KeyringError::NoCertificate) } else { Ok(blocks) }
}

fn parse(blocks: &[Pem], at: usize) -> Result<X509Certificate<'_>, KeyringError> {
    let block = blocks.get(at).ok_or(KeyringError::NoCertificate)?;
    block.parse_x509().map_err(|_| KeyringError::BadCertificate(at + 1))
}

fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else { return Vec::new() };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok().map(|four| IpAddr::from(four).to_string()),
            16 => <[u8; 16]>::try_from(*octets).ok().map(|sixteen| IpAddr::from(sixteen).to_string()),
            _ => None,
        },
        // Whom a mail server is cannot be said by any other kind of name.
        _ => None,
    }
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::keyring::authority::Authority;

    const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_000);

    fn issued(names: &[&str]) -> (Authority, crate::keyring::authority::Leaf) {
        let authority = Authority::create("relay.clinic.example", NOW).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let leaf = authority.issue(&names, NOW).unwrap();
        (authority, leaf)
    }

    #[test]
    fn a_certificate_says_whom_it_is_for_and_until_when() {
        let (_, leaf) = issued(&["relay.clinic.example", "192.0.2.7", "2001:db8::7"]);
        let read = read(leaf.chain.as_bytes()).unwrap();
        assert_eq!(read.names, ["relay.clinic.example", "192.0.2.7", "2001:db8::7"]);
        assert_eq!((read.chain, read.signed), (2, Signed::ByNext));
        assert!(read.issuer.contains("Sealpost local CA"), "{}", read.issuer);
        assert_eq!(read.validity(NOW), Validity::Now);
        assert_eq!(read.validity(NOW.minus(Duration::from_hours(2))), Validity::NotYet);
        assert_eq!(read.validity(NOW.plus(Duration::from_hours(826 * 24))), Validity::Expired);
    }

    #[test]
    fn a_name_is_covered_by_itself_or_by_a_star_for_one_label() {
        let (_, leaf) = issued(&["*.clinic.example", "192.0.2.7"]);
        let read = read(leaf.chain.as_bytes()).unwrap();
        for (host, covered) in [
            ("relay.clinic.example", true),
            ("RELAY.Clinic.Example", true),
            ("clinic.example", false),
            ("a.relay.clinic.example", false),
            ("[192.0.2.7]", true),
            ("[192.0.2.8]", false),
        ] {
            assert_eq!(read.covers(&Domain::parse(host).unwrap()), covered, "{host}");
        }
    }

    #[test]
    fn a_key_is_told_from_another() {
        let (authority, leaf) = issued(&["relay.clinic.example"]);
        let read = read(leaf.chain.as_bytes()).unwrap();
        assert_eq!(read.key_match(leaf.key.as_bytes()).unwrap(), KeyMatch::Matches);
        assert_eq!(read.key_match(authority.key.as_bytes()).unwrap(), KeyMatch::Differs);
        assert!(matches!(read.key_match(b"no key"), Err(KeyringError::BadPrivateKey)));
    }

    #[test]
    fn an_own_signature_a_missing_link_and_a_wrong_order_are_told_apart() {
        let (authority, leaf) = issued(&["relay.clinic.example"]);
        assert_eq!(read(authority.certificate.as_bytes()).unwrap().signed, Signed::BySelf);
        let alone = leaf.chain.replace(&authority.certificate, "");
        assert_eq!(read(alone.as_bytes()).unwrap().signed, Signed::ByOther);
        let (stranger, _) = issued(&["relay.clinic.example"]);
        let wrong = format!("{alone}{}", stranger.certificate);
        assert_eq!(read(wrong.as_bytes()).unwrap().signed, Signed::NotByNext);
    }

    #[test]
    fn what_is_no_chain_is_refused() {
        assert!(matches!(read(b""), Err(KeyringError::NoCertificate)));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read(broken), Err(KeyringError::BadCertificate(1))));
    }
}
