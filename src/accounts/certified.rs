//! Which client a certificate stands for, and why it may stand for none.

use std::net::IpAddr;

use data_encoding::HEXLOWER;

use crate::accounts::Accounts;
use crate::config::{Certified, Client};
use crate::mail::{Issuer, Proof, ShownCertificate, Validity};
use crate::smtp::Submitter;

/// Why a certificate that was shown makes nobody known. In words for the log: none of them is the peer's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncertified {
    #[error("no client in the config has it: write certificate = [\"key:{}\"] where it belongs to one", HEXLOWER.encode(.key))]
    Unknown { key: [u8; 32] },
    #[error(
        "a client has this name, and tls.client_ca_file does not trust the certificate's issuer, or it is not for clients"
    )]
    Untrusted,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet: is the clock right?")]
    NotYet,
    #[error("its client may not come from this network")]
    Elsewhere,
}

impl Accounts {
    /// The client that a certificate stands for. One that is suspended is known, and refused when it sends.
    pub fn certified(&self, shown: &ShownCertificate, from: IpAddr) -> Result<Submitter, Uncertified> {
        let clients = self.clients();
        // The narrowest first: this very certificate, its key, a name in it.
        let whole = Certified::Certificate(shown.whole);
        let has = |is: &dyn Fn(&Certified) -> bool| clients.iter().find(|client| client.certificates.iter().any(is));
        let named = |certified: &Certified| match (certified, &shown.issuer) {
            (Certified::Name(name), Issuer::Trusted(names)) => names.contains(name),
            (Certified::Name(_), Issuer::Unknown) | (Certified::Key(_) | Certified::Certificate(_), _) => false,
        };
        let client = has(&|certified| *certified == whole)
            .or_else(|| has(&|certified| *certified == Certified::Key(shown.key)))
            .or_else(|| has(&named));
        let names = |client: &Client| client.certificates.iter().any(|own| matches!(own, Certified::Name(_)));
        let Some(client) = client else {
            let may_be_named = shown.issuer == Issuer::Unknown && clients.iter().any(names);
            return Err(match shown.validity {
                Validity::Expired => Uncertified::Expired,
                Validity::NotYet => Uncertified::NotYet,
                Validity::Now if may_be_named => Uncertified::Untrusted,
                Validity::Now => Uncertified::Unknown { key: shown.key },
            });
        };
        match shown.validity {
            Validity::Expired => Err(Uncertified::Expired),
            Validity::NotYet => Err(Uncertified::NotYet),
            Validity::Now if !client.networks.is_empty() && !client.comes_from(from) => Err(Uncertified::Elsewhere),
            Validity::Now => Ok(Submitter::of(client, Proof::Certificate)),
        }
    }
}
