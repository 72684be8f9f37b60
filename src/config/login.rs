//! What a client proves itself with: a login and what its password is checked against, and certificates.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use toml::de::DeValue;

use crate::config::reader::Table;
use crate::config::value;
use crate::mail::Domain;

/// The user name of AUTH, and at least one of what its password is checked against. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub name: String,
    /// A PHC string, `$argon2id$…`.
    pub password_hash: Option<String>,
    pub scram: Option<Scram>,
}

/// What a password is checked against with SCRAM-SHA-256 (RFC 5802 §3): it proves the password, and does not hold it.
#[derive(Clone, PartialEq, Eq)]
pub struct Scram {
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub stored_key: [u8; 32],
    pub server_key: [u8; 32],
}

/// A client certificate that stands for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certified {
    /// SHA-256 of the whole certificate: changes with each renewal.
    Certificate([u8; 32]),
    /// SHA-256 of its public key (SubjectPublicKeyInfo): stays as long as the key does.
    Key([u8; 32]),
    /// A name in a certificate that an authority in `tls.client_ca_file` has issued.
    Name(Domain),
}

/// RFC 7677 §4: at least 4096.
pub const MIN_ITERATIONS: u32 = 4096;
/// The client does this work at every login, and more would be ours to answer for.
const MAX_ITERATIONS: u32 = 10_000_000;

impl Login {
    /// `None` where there is no login, or a mistake in it.
    pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Login> {
        let has = ["login", "password_hash", "scram"].map(|key| table.has(key));
        let line = table.line_of("login");
        let name = table.optional("login", value::text);
        let password_hash = table.optional("password_hash", argon2id);
        let scram = table.optional("scram", scram);
        match has {
            [true, false, false] => {
                let text = "has nothing to check a password against: `sealpost client passwd NAME` writes password_hash and scram";
                table.mistake(line, "login", text);
                None
            }
            [false, true, _] | [false, _, true] => {
                table.mistake(line, "login", "is missing beside password_hash or scram: write login = \"openemr\"");
                None
            }
            [false, false, false] => None,
            [true, _, _] => Some(Login { name: name?, password_hash, scram }),
        }
    }
}

impl Scram {
    /// As PostgreSQL writes it: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, the last three in base64.
    pub fn parse(text: &str) -> Option<Scram> {
        let (work, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let ((iterations, salt), (stored, server)) = (work.split_once(':')?, keys.split_once(':')?);
        let plain = iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = iterations.parse().ok().filter(|_| plain)?;
        let bytes = |base64: &str| BASE64.decode(base64.as_bytes()).ok();
        let key = |base64: &str| bytes(base64)?.try_into().ok();
        let salt = bytes(salt).filter(|salt| (8..=64).contains(&salt.len()))?;
        let in_bounds = (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations);
        in_bounds.then_some(Scram { iterations, salt, stored_key: key(stored)?, server_key: key(server)? })
    }
}

impl fmt::Display for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] = [&self.salt[..], &self.stored_key, &self.server_key].map(|key| BASE64.encode(key));
        write!(f, "SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl fmt::Display for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Certified::Certificate(digest) => write!(f, "certificate:{}", HEXLOWER_PERMISSIVE.encode(digest)),
            Certified::Key(digest) => write!(f, "key:{}", HEXLOWER_PERMISSIVE.encode(digest)),
            Certified::Name(name) => write!(f, "name:{name}"),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scram({} iterations)", self.iterations)
    }
}

/// The shape only: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
fn argon2id(written: &DeValue<'_>) -> Result<String, String> {
    let hash = value::text(written)?;
    let fields: Vec<&str> = hash.split('$').collect();
    let whole = matches!(fields.as_slice(), ["", "argon2id", "v=19", cost, salt, digest]
        if cost.starts_with("m=") && salt.len() >= 8 && digest.len() >= 16);
    if whole { Ok(hash) } else { Err("write an Argon2id hash: `sealpost client passwd NAME` does it for you".into()) }
}

fn scram(written: &DeValue<'_>) -> Result<Scram, String> {
    Scram::parse(&value::text(written)?).ok_or_else(|| {
        format!(
            "write SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, with at least {MIN_ITERATIONS} iterations: \
             `sealpost client passwd NAME` does it for you"
        )
    })
}

/// `certificate:` or `key:` and 64 hexadecimal digits, with colons between them or not; `name:` and a host name.
pub(super) fn certified(written: &DeValue<'_>) -> Result<Certified, String> {
    let text = value::text(written)?;
    let digest = |hex: &str| {
        let digits: String = hex.chars().filter(|c| *c != ':').collect();
        HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
    };
    let certified = text.split_once(':').and_then(|(kind, of)| match kind {
        "certificate" => digest(of).map(Certified::Certificate),
        "key" => digest(of).map(Certified::Key),
        "name" => Domain::parse(of).ok().filter(|name| name.literal().is_none()).map(Certified::Name),
        _ => None,
    });
    certified.ok_or_else(|| {
        "write \"key:…\" or \"certificate:…\" with the 64 hexadecimal digits of its SHA-256, or \"name:ehr.clinic.example\""
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn a_verifier_is_read_and_written_alike() {
        let scram = Scram::parse(VERIFIER).unwrap();
        assert_eq!((scram.iterations, scram.salt.len()), (4096, 16));
        assert_eq!(scram.to_string(), VERIFIER);
        assert!(!format!("{scram:?}").contains("WG5d8"));
    }

    #[test]
    fn a_verifier_that_is_weak_or_none_is_refused() {
        for (from, to) in [
            ("$4096:", "$4095:"),
            ("$4096:", "$+4096:"),
            ("$4096:", "$99999999:"),
            ("$4096:", "$:"),
            ("SHA-256", "SHA-1"),
            ("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaA=="),
            ("WG5d8o", "WG5d"),
            (":wf", "wf"),
            ("2dU=", "2dU"),
        ] {
            assert!(Scram::parse(&VERIFIER.replacen(from, to, 1)).is_none(), "{from} {to}");
        }
    }

    #[test]
    fn a_certificate_is_named_by_its_key_its_whole_or_its_name() {
        let read = |text: &str| certified(&DeValue::String(text.to_owned().into()));
        let digits = "0a".repeat(32);
        assert_eq!(read(&format!("key:{digits}")), Ok(Certified::Key([10; 32])));
        let colons = vec!["0A"; 32].join(":");
        assert_eq!(read(&format!("certificate:{colons}")), Ok(Certified::Certificate([10; 32])));
        let name = read("name:EHR.clinic.example").unwrap();
        assert_eq!(name.to_string(), "name:ehr.clinic.example");
        for wrong in ["key:0a0a", "name:[192.0.2.7]", "name:*.clinic.example", "sha1:00", &digits, "key:", "name:"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
