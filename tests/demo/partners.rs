//! The mail servers that the clinic writes to, each behind a proxy that keeps what crosses.

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
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
    Agreed,
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
    ("harborlab.example", Sort::Agreed),
    ("cardio.example", Sort::Greylisting),
    ("stclare.example", Sort::SelfSigned),
    ("plainpayer.example", Sort::NoTls),
    ("gonepharmacy.example", Sort::Dead),
    ("dailynews.example", Sort::Good),
    ("freemail.example", Sort::Good),
];

impl Sort {
    fn words(self) -> &'static str {
        match self {
            Sort::Good => "a valid certificate",
            Sort::Agreed => "a valid certificate, from the authority agreed on in the config",
            Sort::KnowsNobody => "a valid certificate; has no mailbox dr.nobody",
            Sort::Greylisting => "a valid certificate; puts strangers off at first (greylisting)",
            Sort::SelfSigned => "a certificate that it signed itself: anybody could have made it",
            Sort::NoTls => "no encryption at all (no STARTTLS)",
            Sort::Dead => "nobody answers: it is down",
        }
    }

    fn behaviour(self) -> Option<Behaviour> {
        Some(match self {
            Sort::Good | Sort::Agreed => Behaviour::default(),
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
    pub found_by: String,
    _dns: Dns,
    /// Whoever holds it has the block of addresses to himself.
    _block: Option<TcpListener>,
}

impl Partners {
    /// Found by DNS and MX where port 25 can be had, else by routes.
    pub async fn start(ca: &Path) -> Result<Partners> {
        let authority = Arc::new(Authority::new("Demo partners' CA")?);
        std::fs::write(ca, &authority.pem)?;
        let dns = Dns::start("127.0.0.1:0").await?;
        let ca = ca.display().to_string();
        let block = block();
        let mut overlay = String::new();
        let mut all = Vec::new();
        for (index, &(domain, sort)) in PARTNERS.iter().enumerate() {
            let name = format!("mx.{domain}");
            let bind = match &block {
                Ok((_, number)) => SocketAddr::from(([127, 35, *number, 10 + u8::try_from(index)?], 25)),
                Err(_) => free_address()?,
            };
            dns.mail_domain(domain, &name, bind.ip());
            let server = match sort.behaviour() {
                None => None,
                Some(behaviour) => {
                    let mx = Mx::start(&name, "127.0.0.1:0", behaviour, &authority).await?;
                    let proxy = Proxy::start(&bind.to_string(), mx.address).await?;
                    Some((mx, proxy))
                }
            };
            let terms = match sort {
                Sort::Agreed => Some(format!("tls = \"authenticated\"\nca_file = {ca:?}")),
                // The route adds no demand to those of the decision.
                _ if block.is_err() => Some("tls = \"encrypted\"".to_owned()),
                _ => None,
            };
            if let Some(terms) = terms {
                let host = format!("host = \"{bind}\"\nname = \"{name}\"");
                writeln!(overlay, "[[route]]\ndomains = [\"{domain}\"]\n{host}\n{terms}\nonward = \"final\"")?;
            }
            all.push(Partner { domain, words: sort.words(), server });
        }
        writeln!(overlay, "[dns]\nservers = [\"{}\"]", dns.address)?;
        writeln!(overlay, "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nca_file = {ca:?}")?;
        let found_by = match &block {
            Ok(_) => "by name, as on the internet (DNS, MX, port 25)".to_owned(),
            Err(error) => format!("by [[route]] entries, since port 25 cannot be had here ({})", error.kind()),
        };
        Ok(Partners { all, overlay, found_by, _dns: dns, _block: block.ok().map(|(held, _)| held) })
    }

    pub fn find(&self, domain: &str) -> Option<&Partner> {
        self.all.iter().find(|partner| partner.domain == domain)
    }
}

/// A block 127.35.N.0/24 in which port 25 is free and that no other demo uses.
fn block() -> io::Result<(TcpListener, u8)> {
    let mut last = io::ErrorKind::AddrInUse.into();
    for number in 1..=250 {
        match TcpListener::bind((Ipv4Addr::new(127, 35, number, 9), 25)) {
            Ok(held) => return Ok((held, number)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}
