//! The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.

use std::num::NonZeroU32;

use data_encoding::{BASE64, BASE64_NOPAD};

use crate::crypto::{Digest, hmac_sha256, pbkdf2_sha256, random, sha256};

/// RFC 5802 §7: "n" is a client that binds no channel; no name to act for.
const HEADER: &str = "n,,";
/// RFC 7677 §4.
const MIN_ITERATIONS: u32 = 4096;
/// A host that asks for more wants our work and not our login.
const MAX_ITERATIONS: u32 = 600_000;

/// Why a host's part of the exchange is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Strange {
    #[error("the next hop's part of the login is malformed")]
    Malformed,
    #[error("the next hop answered a login with another one's number")]
    NotOurs,
    #[error("the next hop asks for {0} rounds of hashing; from {MIN_ITERATIONS} to {MAX_ITERATIONS} are done")]
    Rounds(u32),
    #[error("the next hop did not prove that it knows the password")]
    Unproved,
}

/// client-first-message, sent.
#[derive(Debug)]
pub(super) struct First {
    bare: String,
    nonce: String,
    message: String,
}

/// client-final-message, and what the host's answer to it must be.
pub(super) struct Proved {
    pub(super) message: String,
    pub(super) expected: ServerProof,
}

/// ServerSignature.
pub(super) struct ServerProof(Digest);

impl First {
    /// None when there is no entropy.
    pub(super) fn new(name: &str) -> Option<First> {
        let nonce = BASE64_NOPAD.encode(&random::<18>().ok()?);
        Some(First::with_nonce(name, nonce))
    }

    fn with_nonce(name: &str, nonce: String) -> First {
        // RFC 5802 §5.1: a name has its "=" and "," written otherwise.
        let name = name.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        let message = format!("{HEADER}{bare}");
        First { bare, nonce, message }
    }

    pub(super) fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    /// RFC 5802 §3, by its names.
    pub(super) fn prove(&self, server_first: &str, password: &str) -> Result<Proved, Strange> {
        let mut attributes = server_first.split(',');
        let mut next = |name: &str| attributes.next().and_then(|one| one.strip_prefix(name)).ok_or(Strange::Malformed);
        let (nonce, salt, rounds) = (next("r=")?, next("s=")?, next("i=")?);
        // RFC 5802 §5: a nonce that does not begin with ours answers somebody else.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(Strange::NotOurs);
        }
        let salt = BASE64.decode(salt.as_bytes()).map_err(|_| Strange::Malformed)?;
        let rounds: NonZeroU32 = rounds.parse().map_err(|_| Strange::Malformed)?;
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&rounds.get()) {
            return Err(Strange::Rounds(rounds.get()));
        }
        let salted_password = pbkdf2_sha256(password.as_bytes(), &salt, rounds);
        let client_key = hmac_sha256(salted_password.as_bytes(), b"Client Key");
        let stored_key = sha256(client_key.as_bytes());
        let without_proof = format!("c={},r={nonce}", BASE64.encode(HEADER.as_bytes()));
        let auth_message = format!("{},{server_first},{without_proof}", self.bare);
        let client_signature = hmac_sha256(stored_key.as_bytes(), auth_message.as_bytes());
        let proof: Vec<u8> =
            client_key.as_bytes().iter().zip(client_signature.as_bytes()).map(|(key, sign)| key ^ sign).collect();
        let server_key = hmac_sha256(salted_password.as_bytes(), b"Server Key");
        let expected = ServerProof(hmac_sha256(server_key.as_bytes(), auth_message.as_bytes()));
        Ok(Proved { message: format!("{without_proof},p={}", BASE64.encode(&proof)), expected })
    }
}

impl ServerProof {
    /// RFC 5802 §3: the client must check it; else a host that knows nothing could take the mail.
    pub(super) fn check(&self, server_final: &str) -> Result<(), Strange> {
        let given = server_final.split(',').next().and_then(|one| one.strip_prefix("v=")).ok_or(Strange::Unproved)?;
        let given = BASE64.decode(given.as_bytes()).map_err(|_| Strange::Malformed)?;
        if given == self.0.as_bytes() { Ok(()) } else { Err(Strange::Unproved) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_exchange_of_the_rfc_comes_out() {
        let first = First::with_nonce("user", NONCE.into());
        assert_eq!(first.message(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let Proved { message, expected } = first.prove(SERVER_FIRST, "pencil").unwrap();
        let proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(message, format!("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,{proof}"));
        assert_eq!(expected.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert_eq!(expected.check("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Err(Strange::Unproved));
        assert_eq!(expected.check("e=other-error"), Err(Strange::Unproved));
    }

    #[test]
    fn what_a_host_may_not_ask_is_refused() {
        let first = First::with_nonce("a=b,c", NONCE.into());
        assert_eq!(first.message(), format!("n,,n=a=3Db=2Cc,r={NONCE}").as_bytes());
        let prove = |text: &str| first.prove(text, "pencil").map(drop).unwrap_err();
        assert_eq!(prove("r=somebody,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), Strange::NotOurs);
        assert_eq!(prove(&format!("r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")), Strange::NotOurs);
        assert_eq!(prove(&SERVER_FIRST.replace("4096", "1")), Strange::Rounds(1));
        assert_eq!(prove(&SERVER_FIRST.replace("4096", "4000000000")), Strange::Rounds(4_000_000_000));
        assert_eq!(prove(&SERVER_FIRST.replace("i=", "x=")), Strange::Malformed);
        assert_eq!(prove(&format!("m=new,{SERVER_FIRST}")), Strange::Malformed);
    }
}
