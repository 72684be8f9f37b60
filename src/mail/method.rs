//! How content may travel. There is no variant for clear text, so no error can turn into it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far the TLS of a delivery connection was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assurance {
    /// Encrypted, to whoever answered.
    Encrypted,
    /// The certificate chains to a trusted root and carries the name of the MX, and the MX is no stranger.
    Valid,
    /// DANE, an enforced MTA-STS policy, a pin, or a CA of one's own says which server this must be.
    Authenticated,
}

/// One way of protecting a message for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Tls(Assurance),
    Pgp,
    Smime,
    Portal,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a method; one of smime, pgp, portal, tls:authenticated, tls:valid, tls:encrypted is expected")]
pub struct BadMethod;

impl Assurance {
    pub const ALL: [Assurance; 3] = [Assurance::Encrypted, Assurance::Valid, Assurance::Authenticated];

    pub const fn name(self) -> &'static str {
        match self {
            Assurance::Encrypted => "encrypted",
            Assurance::Valid => "valid",
            Assurance::Authenticated => "authenticated",
        }
    }
}

impl Method {
    pub const ALL: [Method; 6] = [
        Method::Smime,
        Method::Pgp,
        Method::Portal,
        Method::Tls(Assurance::Authenticated),
        Method::Tls(Assurance::Valid),
        Method::Tls(Assurance::Encrypted),
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Method::Tls(Assurance::Encrypted) => "tls:encrypted",
            Method::Tls(Assurance::Valid) => "tls:valid",
            Method::Tls(Assurance::Authenticated) => "tls:authenticated",
            Method::Pgp => "pgp",
            Method::Smime => "smime",
            Method::Portal => "portal",
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = BadMethod;

    fn from_str(text: &str) -> Result<Method, BadMethod> {
        Method::ALL.into_iter().find(|method| method.name() == text).ok_or(BadMethod)
    }
}

impl Serialize for Method {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_method_is_clear_text() {
        for text in ["none", "clear", "plain", "tls", "tls:any", "tls:none", ""] {
            assert_eq!(text.parse::<Method>(), Err(BadMethod), "{text}");
        }
        assert_eq!("tls:valid".parse(), Ok(Method::Tls(Assurance::Valid)));
    }

    #[test]
    fn assurance_is_a_ladder() {
        assert!(Assurance::Encrypted < Assurance::Valid && Assurance::Valid < Assurance::Authenticated);
    }
}
