//! The form that records have inside their seal: a salt, then the record as JSON; and how the words that cannot be
//! serialized elsewhere are written there.
//!
//! The commitment to a record is SHA-256 of the whole, and stands in the audit event. Without the salt, whoever can
//! guess a record could confirm the guess from the log; with it, the log says nothing until the record is opened.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::crypto::{Digest, NoEntropy, random, sha256};

const SALT: usize = 32;

/// A record, ready to be sealed, and the commitment to it.
pub(super) struct Salted {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) commitment: Digest,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum NotSalted {
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

pub(super) fn salt<T: Serialize>(record: &T) -> Result<Salted, NotSalted> {
    let mut bytes = Zeroizing::new(random::<SALT>()?.to_vec());
    serde_json::to_writer(&mut *bytes, record)?;
    let commitment = commitment(&bytes);
    Ok(Salted { bytes, commitment })
}

/// The commitment to an opened record, to be compared with the one in the audit event.
pub(super) fn commitment(opened: &[u8]) -> Digest {
    sha256(opened)
}

pub(super) fn read<T: DeserializeOwned>(opened: &[u8]) -> Option<T> {
    serde_json::from_slice(opened.get(SALT..)?).ok()
}

/// An address, whole.
pub(super) mod address {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::mail::Address;

    pub(in crate::evidence) fn serialize<S: Serializer>(address: &Address, to: S) -> Result<S::Ok, S::Error> {
        // Evidence must name people; it is sealed, or shown to an operator who asked for it.
        to.serialize_str(address.expose())
    }

    pub(in crate::evidence) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        Address::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// A reverse-path; the null one is an empty text.
pub(super) mod reverse_path {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::mail::{Address, ReversePath};

    pub(in crate::evidence) fn serialize<S: Serializer>(path: &ReversePath, to: S) -> Result<S::Ok, S::Error> {
        // As for an address.
        to.serialize_str(path.mailbox().map_or("", Address::expose))
    }

    pub(in crate::evidence) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ReversePath, D::Error> {
        match String::deserialize(from)?.as_str() {
            "" => Ok(ReversePath::Null),
            text => Address::parse(text).map(ReversePath::Mailbox).map_err(D::Error::custom),
        }
    }
}

/// Text that a peer or a sender wrote.
pub(super) mod text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::phi::Phi;

    pub(in crate::evidence) fn serialize<S: Serializer>(text: &Phi<String>, to: S) -> Result<S::Ok, S::Error> {
        // As for an address.
        to.serialize_str(text.expose())
    }

    pub(in crate::evidence) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Phi<String>, D::Error> {
        String::deserialize(from).map(Phi::new)
    }
}

pub(super) mod texts {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::phi::Phi;

    pub(in crate::evidence) fn serialize<S: Serializer>(texts: &[Phi<String>], to: S) -> Result<S::Ok, S::Error> {
        // As for an address.
        to.collect_seq(texts.iter().map(Phi::expose))
    }

    pub(in crate::evidence) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Phi<String>>, D::Error> {
        Ok(Vec::<String>::deserialize(from)?.into_iter().map(Phi::new).collect())
    }
}

pub(super) mod addresses {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::mail::Address;

    pub(in crate::evidence) fn serialize<S: Serializer>(all: &[Address], to: S) -> Result<S::Ok, S::Error> {
        // As for an address.
        to.collect_seq(all.iter().map(Address::expose))
    }

    pub(in crate::evidence) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Address>, D::Error> {
        let parse = |text: String| Address::parse(&text).map_err(D::Error::custom);
        Vec::<String>::deserialize(from)?.into_iter().map(parse).collect()
    }
}

pub(super) mod optional_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::phi::Phi;

    pub(in crate::evidence) fn serialize<S: Serializer>(text: &Option<Phi<String>>, to: S) -> Result<S::Ok, S::Error> {
        // As for an address.
        text.as_ref().map(Phi::expose).serialize(to)
    }

    pub(in crate::evidence) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Phi<String>>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Phi::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_another_commitment_each_time_and_is_read_back() {
        let (first, second) = (salt(&"record").unwrap(), salt(&"record").unwrap());
        assert_ne!(first.commitment, second.commitment);
        assert_eq!(commitment(&first.bytes), first.commitment);
        assert_eq!(read::<String>(&first.bytes).unwrap(), "record");
    }

    #[test]
    fn an_altered_record_has_another_commitment() {
        let salted = salt(&"record").unwrap();
        for at in 0..salted.bytes.len() {
            let mut altered = salted.bytes.clone();
            altered[at] ^= 1;
            assert_ne!(commitment(&altered), salted.commitment);
        }
    }

    #[test]
    fn what_is_cut_is_not_read() {
        assert_eq!(read::<String>(&salt(&"record").unwrap().bytes[..SALT]), None);
        assert_eq!(read::<String>(&[]), None);
    }
}
