//! The mail servers that the clinic writes to, each behind a proxy that keeps what crosses.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::world::Result;
use crate::world::authority::{Authority, Kind};
use crate::world::behaviour::{Behaviour, Override, Step, Tls};
use crate::world::daemon::free_address;
use crate::world::dns::Dns;
use crate::world::mx::Mx;
use crate::world::proxy::Proxy;

/// What kind of server a partner has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Good,
    KnowsNobody,
    Greylisting,
    SelfSigned,
    NoTls,
    Dead,
}

const PARTNERS: &[(&str, Sort)] = &[
    ("clinic.example", Sort::Good),
    ("postbox.example", Sort::Good),
    ("bayside.example", Sort::KnowsNobody),
    ("cardio.example", Sort::Greylisting),
    ("stclare.example", Sort::SelfSigned),
    ("plainpayer.example", Sort::NoTls),
    ("gonepharmacy.example", Sort::Dead),
    ("freemail.example", Sort::Good),
];

impl Sort {
    fn words(self) -> &'static str {
        match self {
            Sort::Good => "valid certificate",
            Sort::KnowsNobody => "valid certificate; refuses dr.nobody",
            Sort::Greylisting => "valid certificate; greylists first",
            Sort::SelfSigned => "self-signed certificate",
            Sort::NoTls => "no STARTTLS",
            Sort::Dead => "does not answer",
        }
    }

    fn behaviour(self) -> Option<Behaviour> {
        Some(match self {
            Sort::Good => Behaviour::default(),
            Sort::KnowsNobody => Behaviour::but(&[
                Override::reply(Step::Rcpt, 550, "5.1.1 nobody of that name").to("dr.nobody@bayside.example")
            ]),
            Sort::Greylisting => Behaviour::greylisting(1),
            Sort::SelfSigned => Behaviour::tls(Tls::With(Kind::SelfSigned)),
            Sort::NoTls => Behaviour::tls(Tls::NotOffered),
            Sort::Dead => return None,
        })
    }
}

#[derive(Debug)]
pub struct Partner {
    pub domain: &'static str,
    pub words: &'static str,
    /// `None`: nobody listens.
    server: Option<(Mx, Proxy)>,
}

impl Partner {
    pub fn proxy(&self) -> Option<&Proxy> {
        self.server.as_ref().map(|(_, proxy)| proxy)
    }

    pub fn server(&self) -> Option<&Mx> {
        self.server.as_ref().map(|(mx, _)| mx)
    }
}

/// All partners, the authority that their good certificates come from, and what the config has to say of them.
#[derive(Debug)]
pub struct Partners {
    pub all: Vec<Partner>,
    pub overlay: String,
    /// How Sealpost finds them.
    pub found_by: &'static str,
    _dns: Dns,
}

impl Partners {
    /// Found by DNS and MX where port 25 can be had, else by routes.
    pub async fn start(ca: &std::path::Path) -> Result<Partners> {
        let authority = Arc::new(Authority::new("Demo partners' CA")?);
        std::fs::write(ca, &authority.pem)?;
        let dns = Dns::start("127.0.0.1:0").await?;
        let by_mx = Proxy::start("127.0.1.9:25", dns.address).await.is_ok();
        let mut overlay = String::new();
        let mut all = Vec::new();
        for (index, &(domain, sort)) in PARTNERS.iter().enumerate() {
            let address = Ipv4Addr::new(127, 0, 1, 10 + u8::try_from(index)?);
            let name = format!("mx.{domain}");
            dns.mail_domain(domain, &name, IpAddr::V4(address));
            let bind = if by_mx { format!("{address}:25") } else { free_address()?.to_string() };
            let server = match sort.behaviour() {
                None => None,
                Some(behaviour) => {
                    let mx = Mx::start(&name, "127.0.0.1:0", behaviour, &authority).await?;
                    let proxy = Proxy::start(&bind, mx.address).await?;
                    Some((mx, proxy))
                }
            };
            if !by_mx {
                writeln!(
                    overlay,
                    "[[route]]\ndomains = [\"{domain}\"]\nhost = \"{bind}\"\nname = \"{name}\"\ntls = \"encrypted\"\nca_file = {:?}\nonward = \"final\"",
                    ca.display().to_string()
                )?;
            }
            all.push(Partner { domain, words: sort.words(), server });
        }
        if by_mx {
            write!(
                overlay,
                "[dns]\nservers = [\"{}\"]\n[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nca_file = {:?}\n",
                dns.address,
                ca.display().to_string()
            )?;
        }
        let found_by = if by_mx { "DNS and MX, port 25" } else { "routes, since port 25 needs root" };
        Ok(Partners { all, overlay, found_by, _dns: dns })
    }
}
