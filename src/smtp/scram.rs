//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS as a server (RFC 5802, RFC 7677): a client proves that it knows the password, and
//! we prove that we know its verifier. With -PLUS, both prove that they stand at the two ends of one TLS connection (RFC 9266).

use std::num::NonZeroU32;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::config;
use crate::crypto::{Digest, NoEntropy, equal, hmac_sha256, pbkdf2_sha256, random, saslprep, sha256, token};
use crate::phi::Phi;
use crate::smtp::auth::{BadResponse, MAX_LOGIN};

/// Iterations of a new verifier. See docs/decisions on SCRAM for why these.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();
/// Octets of the client's nonce.
const MAX_NONCE: usize = 256;

/// What TLS and we have to offer to the client that asked, by which a downgrade is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// SCRAM-SHA-256-PLUS: bound to the keying material that TLS exports (RFC 9266).
    Exporter([u8; 32]),
    /// SCRAM-SHA-256 where we offered -PLUS as well.
    Declined,
    /// SCRAM-SHA-256, and -PLUS was not on offer.
    NotOffered,
}

/// What the client said first. `Debug` does not show as whom.
#[derive(Clone, Debug)]
pub struct First {
    pub login: Phi<String>,
    /// What the final message must repeat: the header that says how it is bound, and what it is bound to.
    bound: Vec<u8>,
    /// The message behind the header; it holds the login.
    bare: Phi<String>,
    nonce: String,
}

/// The client was sent its salt, and is to prove itself.
#[derive(Clone, Debug)]
pub struct Challenged {
    first: First,
    scram: config::Scram,
    nonce: String,
    message: String,
}

/// What came of an exchange, for `accounts` to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub login: Phi<String>,
    /// The verifier that the client was held against.
    pub scram: config::Scram,
    pub shown: Shown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It knows the password. Our own proof is for it, in base64.
    Knows { server_final: String },
    /// It does not.
    Wrong,
    /// It is bound to another connection than this one: somebody stands in between.
    Elsewhere,
}

impl First {
    /// RFC 5802 §7: client-first-message.
    pub(super) fn parse(message: &str, binding: Binding) -> Result<First, BadResponse> {
        let (flag, rest) = message.split_once(',').ok_or(BadResponse::Malformed)?;
        let (acts_as, bare) = rest.split_once(',').ok_or(BadResponse::Malformed)?;
        let header = &message[..message.len() - bare.len()];
        let mut bound = header.as_bytes().to_vec();
        match (flag, binding) {
            ("p=tls-exporter", Binding::Exporter(exported)) => bound.extend_from_slice(&exported),
            ("n", Binding::Declined | Binding::NotOffered) | ("y", Binding::NotOffered) => {}
            // RFC 5802 §6: who says that we do not offer -PLUS, and we did, was shown another offer than ours.
            ("y", Binding::Declined) => return Err(BadResponse::Downgraded),
            // Another kind of binding, or -PLUS without one.
            _ => return Err(BadResponse::Malformed),
        }
        // RFC 5802 §5.1: m= asks for an extension that must be understood, and none is; then n= stands elsewhere.
        let mut attributes = bare.split(',');
        let login = attributes.next().and_then(|first| first.strip_prefix("n=")).ok_or(BadResponse::Malformed)?;
        let nonce = attributes.next().and_then(|second| second.strip_prefix("r=")).ok_or(BadResponse::Malformed)?;
        let login = name(login)?;
        // GNU SASL writes an empty a= for nobody else.
        if !["", "a="].contains(&acts_as) && name(acts_as.strip_prefix("a=").ok_or(BadResponse::Malformed)?)? != login {
            return Err(BadResponse::ActsForAnother);
        }
        // RFC 5802 §7: printable, and no comma, which ended it already.
        if nonce.is_empty() || nonce.len() > MAX_NONCE || !nonce.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(BadResponse::Malformed);
        }
        Ok(First { login: Phi::new(login), bound, nonce: nonce.to_owned(), bare: Phi::new(bare.to_owned()) })
    }

    /// Sets the client its task, with a nonce of ours behind its own.
    pub(super) fn challenge(self, scram: config::Scram) -> Result<Challenged, NoEntropy> {
        let nonce = format!("{}{}", self.nonce, token()?);
        Ok(self.challenge_with(scram, nonce))
    }

    fn challenge_with(self, scram: config::Scram, nonce: String) -> Challenged {
        let message = format!("r={nonce},s={},i={}", BASE64.encode(&scram.salt), scram.iterations);
        Challenged { first: self, scram, nonce, message }
    }
}

impl Challenged {
    /// server-first-message.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Judges the client-final-message.
    pub(super) fn finish(self, message: &str) -> Result<Outcome, BadResponse> {
        let (unproved, proof) = message.rsplit_once(",p=").ok_or(BadResponse::Malformed)?;
        let proof = BASE64.decode(proof.as_bytes()).ok().and_then(|proof| <[u8; 32]>::try_from(proof).ok());
        let proof = proof.ok_or(BadResponse::Malformed)?;
        let mut attributes = unproved.split(',');
        let bound = attributes.next().and_then(|first| first.strip_prefix("c=")).ok_or(BadResponse::Malformed)?;
        let nonce = attributes.next().and_then(|second| second.strip_prefix("r=")).ok_or(BadResponse::Malformed)?;
        let bound = BASE64.decode(bound.as_bytes()).map_err(|_| BadResponse::Malformed)?;
        if nonce != self.nonce {
            return Err(BadResponse::Malformed);
        }
        // The text goes into a keyed hash, as the client's did.
        let all = format!("{},{},{unproved}", self.first.bare.expose(), self.message);
        let shown =
            if bound == self.first.bound { judge(&self.scram, &proof, all.as_bytes()) } else { Shown::Elsewhere };
        Ok(Outcome { login: self.first.login, scram: self.scram, shown })
    }
}

/// RFC 5802 §3: the proof is the client's key, hidden under what only its hash can lift.
fn judge(scram: &config::Scram, proof: &[u8; 32], all: &[u8]) -> Shown {
    let signature = hmac_sha256(&scram.stored_key, all);
    let mut client_key = Zeroizing::new(*proof);
    client_key.iter_mut().zip(signature.as_bytes()).for_each(|(octet, hidden)| *octet ^= hidden);
    if equal(&sha256(client_key.as_slice()), &Digest(scram.stored_key)) {
        let server_signature = hmac_sha256(&scram.server_key, all);
        Shown::Knows { server_final: format!("v={}", BASE64.encode(server_signature.as_bytes())) }
    } else {
        Shown::Wrong
    }
}

/// RFC 5802 §5.1: in a name, "=2C" stands for a comma and "=3D" for "=".
fn name(written: &str) -> Result<String, BadResponse> {
    if written.len() > MAX_LOGIN {
        return Err(BadResponse::TooLong);
    }
    let mut parts = written.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = part.split_at_checked(2).ok_or(BadResponse::Malformed)?;
        match sign {
            "2C" => name.push(','),
            "3D" => name.push('='),
            _ => return Err(BadResponse::Malformed),
        }
        name.push_str(rest);
    }
    // RFC 5802 §5.1: the server prepares the name as well; one that cannot be prepared is nobody's.
    saslprep(&name).ok_or(BadResponse::Malformed)
}

/// What a password is to be checked against; `None` for one that SASLprep prohibits, which no client could send.
pub fn verifier(password: &str) -> Result<Option<config::Scram>, NoEntropy> {
    let salt = random::<16>()?;
    Ok(saslprep(password).map(|password| verifier_with(&Zeroizing::new(password), salt.to_vec(), ITERATIONS)))
}

fn verifier_with(password: &str, salt: Vec<u8>, iterations: NonZeroU32) -> config::Scram {
    let salted = pbkdf2_sha256(password.as_bytes(), &salt, iterations);
    let stored_key = sha256(hmac_sha256(salted.as_bytes(), b"Client Key").as_bytes()).0;
    let server_key = hmac_sha256(salted.as_bytes(), b"Server Key").0;
    config::Scram { iterations: iterations.get(), salt, stored_key, server_key }
}

/// The verifier of a login that has none: the same for the same name, and like those that others have, so that it cannot be
/// told who exists. No password fits it.
pub fn nobodys(key: &[u8], login: &str, like: Option<&config::Scram>) -> config::Scram {
    let part = |purpose: &str| hmac_sha256(key, format!("{purpose} {login}").as_bytes()).0;
    let (iterations, length) = like.map_or((ITERATIONS.get(), 16), |like| (like.iterations, like.salt.len()));
    let mut salt = [part("salt"), part("more salt")].concat();
    salt.truncate(length);
    config::Scram { iterations, salt, stored_key: part("stored key"), server_key: part("server key") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3: the password is "pencil".
    const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CLIENT_FINAL: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn pencil() -> config::Scram {
        let salt = BASE64.decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        verifier_with("pencil", salt, NonZeroU32::new(4096).unwrap())
    }

    fn challenged() -> Challenged {
        First::parse(CLIENT_FIRST, Binding::Declined).unwrap().challenge_with(pencil(), NONCE.into())
    }

    fn first(message: &str, binding: Binding) -> Result<String, BadResponse> {
        First::parse(message, binding).map(|first| first.login.into_exposed())
    }

    #[test]
    fn the_exchange_of_rfc_7677() {
        let challenged = challenged();
        assert_eq!(challenged.message(), format!("r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
        let outcome = challenged.finish(CLIENT_FINAL).unwrap();
        assert_eq!(outcome.login.expose(), "user");
        let server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned();
        assert_eq!(outcome.shown, Shown::Knows { server_final });
    }

    #[test]
    fn a_wrong_password_another_connection_and_another_nonce_are_told_apart() {
        let finish = |message: &str| challenged().finish(message).map(|outcome| outcome.shown);
        let eight = config::Scram { stored_key: [8; 32], ..pencil() };
        let other = First::parse(CLIENT_FIRST, Binding::Declined).unwrap().challenge_with(eight, NONCE.into());
        assert_eq!(other.finish(CLIENT_FINAL).unwrap().shown, Shown::Wrong);
        assert_eq!(finish(&CLIENT_FINAL.replace("dHzb", "dHzc")), Ok(Shown::Wrong));
        assert_eq!(finish(&CLIENT_FINAL.replace("biws", "eSws")), Ok(Shown::Elsewhere));
        for (from, to) in
            [("$k0", "$k1"), ("c=", "d="), (",p=", ",q="), ("ndVQ=", "ndVQ"), ("p=d", "p="), ("biws", "!")]
        {
            assert_eq!(finish(&CLIENT_FINAL.replace(from, to)), Err(BadResponse::Malformed), "{from}");
        }
    }

    #[test]
    fn with_plus_the_client_is_bound_to_what_tls_exports() {
        let message = "p=tls-exporter,,n=user,r=x";
        let bound = First::parse(message, Binding::Exporter([7; 32])).unwrap().bound;
        assert_eq!(bound, [b"p=tls-exporter,,", &[7; 32][..]].concat());
        for (message, binding) in [
            ("p=tls-unique,,n=user,r=x", Binding::Exporter([7; 32])),
            ("n,,n=user,r=x", Binding::Exporter([7; 32])),
            ("y,,n=user,r=x", Binding::Exporter([7; 32])),
            (message, Binding::Declined),
            (message, Binding::NotOffered),
        ] {
            assert_eq!(first(message, binding), Err(BadResponse::Malformed), "{message} {binding:?}");
        }
    }

    #[test]
    fn who_was_kept_from_seeing_plus_is_told_so() {
        assert_eq!(first("y,,n=user,r=x", Binding::Declined), Err(BadResponse::Downgraded));
        assert_eq!(first("y,,n=user,r=x", Binding::NotOffered), Ok("user".into()));
    }

    #[test]
    fn what_is_no_first_message_is_refused() {
        let read = |message: &str| first(message, Binding::NotOffered);
        assert_eq!(read("n,,n=a=2Cb=3Dc,r=x,z=unknown"), Ok("a,b=c".into()));
        assert_eq!(read("n,a=user,n=user,r=x"), Ok("user".into()));
        assert_eq!(read("n,a=,n=user,r=x"), Ok("user".into()));
        assert_eq!(read("n,,n=I\u{ad}X,r=x"), Ok("IX".into()));
        assert_eq!(read("n,a=admin,n=user,r=x"), Err(BadResponse::ActsForAnother));
        assert_eq!(read(&format!("n,,n={},r=x", "u".repeat(256))), Err(BadResponse::TooLong));
        let long = format!("n,,n=user,r={}", "x".repeat(257));
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "n=user,r=x",
            "n,,r=x,n=user",
            "n,,m=x,n=user,r=x",
            "n,,n=,r=x",
            "n,,n=user",
            "n,,n=user,r=",
            "n,,n=user,r=a b",
            "n,,n=a=2cb,r=x",
            "n,,n=a=,r=x",
            "n,,n=a=\u{e9}\u{e9},r=x",
            "x,,n=user,r=x",
            "n,b=user,n=user,r=x",
            "n,,n=user\u{7},r=x",
            &long,
        ] {
            assert_eq!(read(message), Err(BadResponse::Malformed), "{message}");
        }
    }

    #[test]
    fn nobody_has_the_same_verifier_each_time_and_of_the_usual_shape() {
        let like = config::Scram { salt: vec![0; 24], ..pencil() };
        let one = nobodys(&[1; 32], "nobody", Some(&like));
        assert_eq!(one, nobodys(&[1; 32], "nobody", Some(&like)));
        assert_eq!((one.iterations, one.salt.len()), (4096, 24));
        assert_ne!(one.salt, nobodys(&[1; 32], "noone", Some(&like)).salt);
        assert_ne!(one.salt, nobodys(&[2; 32], "nobody", Some(&like)).salt);
    }

    #[test]
    fn a_new_verifier_fits_its_password_however_it_is_typed() {
        let made = verifier("I\u{ad}X long enough").unwrap().unwrap();
        assert_eq!(made, verifier_with("IX long enough", made.salt.clone(), ITERATIONS));
        assert_eq!(config::Scram::parse(&made.to_string()), Some(made));
        assert!(verifier("bell\u{7}").unwrap().is_none());
    }
}
