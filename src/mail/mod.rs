//! The nouns of mail: who sends to whom, what is sent, how it travels and how it ends.

mod address;
mod certificate;
mod domain;
mod end;
mod envelope;
mod id;
mod message;
mod method;
mod peer;
mod reply;
mod wishes;
mod xtext;

pub use address::{Address, BadAddress, composed};
pub use certificate::{Issuer, ShownCertificate, Validity};
pub use domain::{BadDomain, Domain};
pub use end::End;
pub use envelope::{BodyType, Content, Envelope, ReversePath, Utf8};
pub use id::{BadId, JobId, MessageId};
pub use message::{LineEnds, Malformed, Mended, Message, WireLimits, wire_lines};
pub use method::{Assurance, BadMethod, Method};
pub use peer::{Arrival, ClientName, Peer, Proof, Protocol, Quarantine, Role, TlsSession};
pub use reply::{BadReply, Code, Enhanced, Reply};
pub use wishes::{Asked, EnvelopeId, Notify, Occasion, Occasions, OriginalRecipient, RequireTls, Returned, Wishes};
pub use xtext::is_xtext;
