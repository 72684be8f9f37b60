//! A local certificate authority, for a relay that has no certificate from a public one: senders are given `ca.pem` once.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::keyring::file::{self, Access, Present};
use crate::keyring::{KeyringError, certificate};

const DAY: Duration = Duration::from_hours(24);
const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 3652);
/// The longest that the clients of the large vendors accept, for private authorities too.
const LEAF_LIFE: Duration = Duration::from_hours(24 * 825);
/// A sender whose clock is a little behind must not see a certificate of the future.
const BACKDATED: Duration = Duration::from_hours(1);

/// The files of a folder made by `write`.
pub const CA_CERTIFICATE: &str = "ca.pem";
pub const CA_KEY: &str = "ca.key";
const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";

/// A certificate authority of one's own, in PEM.
#[derive(Clone)]
pub struct Authority {
    pub certificate: String,
    pub key: Zeroizing<String>,
}

/// A server certificate and its key, in PEM; the chain ends with the authority.
#[derive(Clone)]
pub struct Leaf {
    pub chain: String,
    pub key: Zeroizing<String>,
}

impl Authority {
    /// ECDSA P-256, ten years. `host` tells it from the authority of another installation.
    pub fn create(host: &str, now: Timestamp) -> Result<Authority, KeyringError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyringError::NotMade)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name(&format!("Sealpost local CA of {host}"));
        // It signs servers and nothing below them (RFC 5280 §4.2.1.9).
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        live(&mut parameters, now, now.plus(AUTHORITY_LIFE));
        let certificate = parameters.self_signed(&key).map_err(KeyringError::NotMade)?;
        Ok(Authority { certificate: certificate.pem(), key: Zeroizing::new(key.serialize_pem()) })
    }

    /// A certificate for host names and IP addresses; a new key each time.
    pub fn issue(&self, names: &[String], now: Timestamp) -> Result<Leaf, KeyringError> {
        let expires = now.minus(BACKDATED).plus(LEAF_LIFE - Duration::from_secs(1)).min(self.expires()?);
        if expires < now.plus(DAY) {
            return Err(KeyringError::AuthorityExpired);
        }
        let first = names.first().ok_or(KeyringError::NoName)?;
        for name in names {
            CertificateParams::new([name.clone()]).map_err(|_| KeyringError::BadName(name.clone()))?;
        }
        let mut parameters = CertificateParams::new(names).map_err(KeyringError::NotMade)?;
        // RFC 5280 allows a common name 64 characters, and names longer than that exist; the subjectAltName counts.
        parameters.distinguished_name = name(if first.len() <= 64 { first } else { "Sealpost" });
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        live(&mut parameters, now, expires);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyringError::NotMade)?;
        let signing = certificate::private_key(self.key.as_bytes())?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, signing).map_err(KeyringError::NotMade)?;
        let certificate = parameters.signed_by(&key, &issuer).map_err(KeyringError::NotMade)?;
        let chain = format!("{}{}", certificate.pem(), self.certificate);
        Ok(Leaf { chain, key: Zeroizing::new(key.serialize_pem()) })
    }

    /// Writes the authority and its first certificate into a folder; what is there is kept.
    pub fn write(&self, folder: &Path, leaf: &Leaf) -> Result<(), KeyringError> {
        fs::create_dir_all(folder).map_err(|error| KeyringError::Write { path: folder.to_owned(), error })?;
        file::write(&folder.join(CA_KEY), self.key.as_bytes(), (Access::OwnerOnly, Present::Keep))?;
        file::write(&folder.join(CA_CERTIFICATE), self.certificate.as_bytes(), (Access::Everybody, Present::Keep))?;
        file::write(&folder.join(KEY), leaf.key.as_bytes(), (Access::OwnerOnly, Present::Keep))?;
        file::write(&folder.join(CHAIN), leaf.chain.as_bytes(), (Access::Everybody, Present::Keep))
    }

    fn expires(&self) -> Result<Timestamp, KeyringError> {
        Ok(certificate::read(self.certificate.as_bytes())?.not_after)
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn live(parameters: &mut CertificateParams, from: Timestamp, until: Timestamp) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let seconds = |moment: Timestamp| Duration::from_secs(moment.since(Timestamp::from_millis(0)).as_secs());
    parameters.not_before = epoch + seconds(from.minus(BACKDATED));
    parameters.not_after = epoch + seconds(until);
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[certificate authority]")
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[certificate and key]")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_000);

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn written(folder: &Path) -> Authority {
        let authority = Authority::create("relay.clinic.example", NOW).unwrap();
        let leaf = authority.issue(&names(&["relay.clinic.example", "192.0.2.7"]), NOW).unwrap();
        authority.write(folder, &leaf).unwrap();
        authority
    }

    #[test]
    fn the_keys_are_for_their_owner_and_the_certificates_for_everybody() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        for (name, mode) in [(CA_KEY, 0o600), (KEY, 0o600), (CA_CERTIFICATE, 0o644), (CHAIN, 0o644)] {
            let about = std::fs::metadata(folder.path().join(name)).unwrap();
            assert_eq!(about.permissions().mode() & 0o777 & !0o022, mode, "{name}");
        }
    }

    #[test]
    fn a_stranger_finds_the_certificate_in_order() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).current_dir(folder.path()).output().unwrap();
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let moment = (NOW.millis() / 1000).to_string();
        let verify = ["verify", "-x509_strict", "-purpose", "sslserver", "-attime", moment.as_str()];
        let good =
            [&verify[..], &["-verify_hostname", "relay.clinic.example", "-CAfile", "ca.pem", "chain.pem"]].concat();
        assert_eq!(openssl(&good), "chain.pem: OK\n");
        let address = [&verify[..], &["-verify_ip", "192.0.2.7", "-CAfile", "ca.pem", "chain.pem"]].concat();
        assert_eq!(openssl(&address), "chain.pem: OK\n");
        let other = [&verify[..], &["-verify_hostname", "mx.lab.example", "-CAfile", "ca.pem", "chain.pem"]].concat();
        assert!(openssl(&other).contains("hostname mismatch"));
    }

    #[test]
    fn no_leaf_lives_longer_than_825_days_or_than_its_authority() {
        let authority = Authority::create("relay.clinic.example", NOW).unwrap();
        let at = |now: Timestamp| {
            let leaf = authority.issue(&names(&["relay.clinic.example"]), now)?;
            certificate::read(leaf.chain.as_bytes())
        };
        let leaf = at(NOW).unwrap();
        assert!(leaf.not_after.since(leaf.not_before) < DAY * 825);
        assert!(leaf.not_after.since(NOW) > DAY * 824);
        assert_eq!(at(NOW.plus(DAY * 3600)).unwrap().not_after, authority.expires().unwrap());
        assert!(matches!(at(NOW.plus(DAY * 3652)), Err(KeyringError::AuthorityExpired)));
    }

    #[test]
    fn an_authority_that_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let authority = written(folder.path());
        let leaf = authority.issue(&names(&["other.example"]), NOW).unwrap();
        assert!(matches!(authority.write(folder.path(), &leaf), Err(KeyringError::AlreadyThere(_))));
    }

    #[test]
    fn names_that_no_certificate_can_carry_are_refused() {
        let authority = Authority::create("relay.clinic.example", NOW).unwrap();
        assert!(matches!(authority.issue(&[], NOW), Err(KeyringError::NoName)));
        assert!(matches!(authority.issue(&names(&["bücher.example"]), NOW), Err(KeyringError::BadName(_))));
    }
}
