//! The dialog with a next hop: each state is a type, and only `Secured` knows how to say MAIL FROM.
//!
//! Nothing here reads or writes. A state takes the peer's reply and gives the next state with the bytes to send.

mod content;
mod login;
mod parameters;
mod replies;
mod scram;
mod transaction;

use crate::mail::{Assurance, Domain, Enhanced, Reply};

pub use content::{Encoder, Framing};
pub use login::{Admitted, LoggingIn, Login};
pub use replies::{BadDialog, MAX_REPLY_BYTES, MAX_REPLY_LINES, Replies};
pub use transaction::{Leaves, Next, Parcel, Transaction};

/// How far an attempt had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Resolve,
    Connect,
    Greeting,
    Hello,
    StartTls,
    Handshake,
    Login,
    Mail,
    Recipient,
    Data,
    Content,
    Reset,
}

impl Stage {
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Resolve => "resolve",
            Stage::Connect => "connect",
            Stage::Greeting => "greeting",
            Stage::Hello => "ehlo",
            Stage::StartTls => "starttls",
            Stage::Handshake => "handshake",
            Stage::Login => "login",
            Stage::Mail => "mail",
            Stage::Recipient => "rcpt",
            Stage::Data => "data",
            Stage::Content => "content",
            Stage::Reset => "rset",
        }
    }
}

/// RFC 8689 §4.2.1, X.7.30: a server does not promise TLS from there on.
const NO_PROMISE: (u16, u16) = (7, 30);

/// What an answer means for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    Taken,
    /// Worth trying again in the same way.
    Later,
    /// The whole message was given, and no answer that counts came: the host may have it.
    Unanswered,
    /// For good: nobody of this name, or not from us.
    Refused,
    /// This host does not prove what the floor asks for.
    BelowFloor,
    /// This way cannot carry this message: the next method may.
    Unfit,
    /// The transaction had no room for this recipient: another one has, at once.
    Again,
}

/// Who tells the sender of success, should it want to hear of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reports {
    #[default]
    Ours,
    /// The next hop was told of the sender's wishes (RFC 3461 §5.2.1).
    TheNextHops,
}

/// How it ended, for one recipient or for a whole host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub stage: Stage,
    pub means: Means,
    /// The peer's own reply; its text may quote an address.
    pub reply: Option<Reply>,
    /// The peer's enhanced code, or ours where we answer in its place.
    pub enhanced: Option<Enhanced>,
    /// Our words.
    pub words: String,
    pub reports: Reports,
}

impl Answer {
    /// An answer of our own, where the peer gave none.
    pub fn ours(stage: Stage, means: Means, words: impl Into<String>) -> Answer {
        Answer { stage, means, reply: None, enhanced: None, words: words.into(), reports: Reports::Ours }
    }

    #[must_use]
    pub fn enhanced(self, enhanced: Enhanced) -> Answer {
        Answer { enhanced: Some(enhanced), ..self }
    }

    /// Whether it says what this host cannot carry, and not what becomes of the recipient: a size, or an extension that it
    /// does not offer. Nobody was named to it.
    pub fn is_of_the_host(&self) -> bool {
        match self.means {
            Means::Unfit => self.stage == Stage::Mail,
            Means::Refused => self.stage == Stage::Mail && self.reply.is_none(),
            Means::Taken | Means::Later | Means::Unanswered | Means::BelowFloor | Means::Again => false,
        }
    }

    pub(crate) fn from_reply(stage: Stage, means: Means, reply: Reply) -> Answer {
        let words = match means {
            Means::Taken => "accepted by the next hop",
            Means::Later => "the next hop asked to try again later",
            Means::Unanswered => "the next hop did not say whether it has the message",
            Means::Refused => "refused by the next hop for good",
            Means::BelowFloor => "the next hop does not start TLS",
            Means::Unfit if reply.enhanced.is_some_and(|code| (code.subject, code.detail) == NO_PROMISE) => {
                "the next hop cannot promise TLS from there on, which the sender asks for"
            }
            Means::Unfit => "too large for the next hop",
            Means::Again => "no room for the recipient in this transaction",
        };
        Answer {
            stage,
            means,
            enhanced: reply.enhanced,
            reply: Some(reply),
            words: words.into(),
            reports: Reports::Ours,
        }
    }
}

/// The next state, and what to send before its reply can come.
#[derive(Debug)]
pub struct Said<S> {
    pub state: S,
    pub send: Vec<u8>,
}

/// What EHLO offered and we understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    Pipelining,
    Chunking,
    EightBitMime,
    SmtpUtf8,
    StartTls,
    EnhancedStatusCodes,
    Dsn,
    RequireTls,
    /// Transactions on one connection, and recipients in one transaction (RFC 9422 §4).
    MailMax(usize),
    RcptMax(usize),
    /// The largest message taken, if there is a limit (RFC 1870 §4).
    Size(Option<u64>),
}

/// The extensions of one EHLO reply; unknown ones are left out (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers(Vec<Extension>);

impl Offers {
    fn read(reply: &Reply) -> Offers {
        let lines = reply.lines().iter().skip(1);
        Offers(lines.flat_map(|line| extension(line).into_iter().chain(parameters::limits(line))).collect())
    }

    pub fn has(&self, extension: Extension) -> bool {
        self.0.contains(&extension)
    }

    /// Whether SIZE was offered, and up to which size.
    pub fn size(&self) -> Option<Option<u64>> {
        self.0.iter().find_map(|extension| if let Extension::Size(limit) = extension { Some(*limit) } else { None })
    }

    /// How many transactions one connection may carry, if that is limited.
    pub fn mail_max(&self) -> Option<usize> {
        self.0.iter().find_map(|extension| if let Extension::MailMax(most) = extension { Some(*most) } else { None })
    }

    /// How many recipients one transaction may have, if that is limited.
    pub fn rcpt_max(&self) -> Option<usize> {
        self.0.iter().find_map(|extension| if let Extension::RcptMax(most) = extension { Some(*most) } else { None })
    }
}

fn extension(line: &str) -> Option<Extension> {
    let mut words = line.split_ascii_whitespace();
    match words.next()?.to_ascii_uppercase().as_str() {
        "PIPELINING" => Some(Extension::Pipelining),
        "CHUNKING" => Some(Extension::Chunking),
        "8BITMIME" => Some(Extension::EightBitMime),
        "SMTPUTF8" => Some(Extension::SmtpUtf8),
        "STARTTLS" => Some(Extension::StartTls),
        "DSN" => Some(Extension::Dsn),
        "REQUIRETLS" => Some(Extension::RequireTls),
        "ENHANCEDSTATUSCODES" => Some(Extension::EnhancedStatusCodes),
        // RFC 1870 §4: zero, or no number, is no fixed limit.
        "SIZE" => Some(Extension::Size(words.next().and_then(|size| size.parse().ok()).filter(|size| *size > 0))),
        _ => None,
    }
}

/// Connected; the peer speaks first.
#[derive(Debug)]
pub struct Greeting {
    hostname: Domain,
}

/// EHLO is out, in clear.
#[derive(Debug)]
pub struct Hello {
    hostname: Domain,
}

/// STARTTLS is out.
#[derive(Debug)]
pub struct StartTls {
    hostname: Domain,
}

/// The peer waits for our ClientHello.
#[derive(Debug)]
pub struct Handshake {
    hostname: Domain,
}

/// What must come about on a connection before a sender is named on it.
#[derive(Clone, Debug)]
pub struct Terms {
    pub floor: Assurance,
    /// Whom we log in as, where the route says so.
    pub login: Option<Login>,
}

/// EHLO is out again, under TLS that meets the floor.
#[derive(Debug)]
pub struct HelloAgain {
    assurance: Assurance,
    login: Option<Login>,
}

/// The floor is met on this connection, and we are logged in where the route asks for it. Only this state can name a
/// sender.
#[derive(Debug)]
pub struct Secured {
    offers: Offers,
    assurance: Assurance,
}

/// RSET is out.
#[derive(Debug)]
pub struct Resetting {
    secured: Secured,
}

impl Greeting {
    pub fn new(hostname: Domain) -> Greeting {
        Greeting { hostname }
    }

    pub fn on(self, reply: Reply) -> Result<Said<Hello>, Answer> {
        if reply.code.is_positive() {
            let send = ehlo(&self.hostname);
            return Ok(Said { state: Hello { hostname: self.hostname }, send });
        }
        // RFC 5321 §3.1: a 5yz greeting is about the host, not about the message: another host may take it.
        Err(Answer::from_reply(Stage::Greeting, Means::Later, reply))
    }
}

impl Hello {
    pub fn on(self, reply: Reply) -> Result<Said<StartTls>, Answer> {
        if reply.code.is_positive() {
            if Offers::read(&reply).has(Extension::StartTls) {
                return Ok(Said { state: StartTls { hostname: self.hostname }, send: b"STARTTLS\r\n".to_vec() });
            }
            return Err(Answer {
                words: "the next hop does not offer STARTTLS".into(),
                ..Answer::from_reply(Stage::Hello, Means::BelowFloor, reply)
            });
        }
        // HELO knows no STARTTLS, so falling back to it could only lead below the floor.
        let means = if matches!(reply.code.value(), 500..=504) { Means::BelowFloor } else { Means::Later };
        Err(Answer::from_reply(Stage::Hello, means, reply))
    }
}

impl StartTls {
    /// Takes the reader with it: nothing that was read in clear may be seen again under TLS.
    #[expect(clippy::needless_pass_by_value, reason = "the reader must not live on")]
    pub fn on(self, reply: Reply, read_in_clear: Replies) -> Result<Handshake, Answer> {
        if reply.code.value() == 421 {
            return Err(Answer::from_reply(Stage::StartTls, Means::Later, reply));
        }
        if reply.code.value() != 220 {
            return Err(Answer::from_reply(Stage::StartTls, Means::BelowFloor, reply));
        }
        // RFC 3207 §4.2: what came in clear behind the 220 was put there by somebody in the middle, or by a broken peer.
        if !read_in_clear.is_empty() {
            let words = "the next hop sent more bytes in clear behind its reply to STARTTLS";
            return Err(Answer::ours(Stage::StartTls, Means::BelowFloor, words));
        }
        Ok(Handshake { hostname: self.hostname })
    }
}

impl Handshake {
    /// The handshake is done, and this connection was judged. Below the floor, nothing more is said on it.
    pub fn judged(self, assurance: Assurance, terms: Terms) -> Result<Said<HelloAgain>, Answer> {
        let Terms { floor, login } = terms;
        if assurance < floor {
            let words = format!("the connection is {assurance}, and {floor} is asked for");
            return Err(Answer::ours(Stage::Handshake, Means::BelowFloor, words));
        }
        // RFC 3207 §4.2: what was learned before TLS is forgotten, so EHLO is said again.
        Ok(Said { state: HelloAgain { assurance, login }, send: ehlo(&self.hostname) })
    }
}

impl HelloAgain {
    pub fn on(self, reply: Reply) -> Result<Admitted, Answer> {
        if !reply.code.is_positive() {
            return Err(Answer::from_reply(Stage::Hello, Means::Later, reply));
        }
        let secured = Secured { offers: Offers::read(&reply), assurance: self.assurance };
        let Some(login) = self.login else { return Ok(Admitted::Ready(secured)) };
        // RFC 4954 §9: whoever answers in the place of the host we mean would have the password.
        if self.assurance < Assurance::Valid {
            let words = "the next hop's certificate does not prove its name, so it is not told our password";
            return Err(Answer::ours(Stage::Login, Means::BelowFloor, words));
        }
        login::begin(secured, &reply, login)
    }
}

impl Secured {
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    pub fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// This host does not take BDAT, whatever it offers.
    pub fn without_chunks(&mut self) {
        self.offers.0.retain(|offer| *offer != Extension::Chunking);
    }

    /// One mail transaction on this connection.
    pub fn envelope(&self, parcel: &Parcel<'_>) -> Transaction {
        Transaction::new(&self.offers, parcel)
    }

    /// Clears whatever the last transaction left open, so that the next one begins clean.
    pub fn reset(self) -> Said<Resetting> {
        Said { state: Resetting { secured: self }, send: b"RSET\r\n".to_vec() }
    }
}

impl Resetting {
    pub fn on(self, reply: Reply) -> Result<Secured, Answer> {
        if reply.code.value() == 250 {
            return Ok(self.secured);
        }
        Err(Answer::from_reply(Stage::Reset, Means::Later, reply))
    }
}

fn ehlo(hostname: &Domain) -> Vec<u8> {
    format!("EHLO {hostname}\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn reply(text: &str) -> Reply {
        let lines: Vec<String> = text.split('|').map(str::to_owned).collect();
        Reply::parse(&lines).unwrap()
    }

    fn name() -> Domain {
        Domain::parse("relay.clinic.example").unwrap()
    }

    #[test]
    fn a_host_is_asked_for_tls_before_anything_else() {
        let hello = Greeting::new(name()).on(reply("220 mx.lab.example ESMTP")).unwrap();
        assert_eq!(hello.send, b"EHLO relay.clinic.example\r\n");
        let start = hello.state.on(reply("250-mx.lab.example|250-SIZE 100|250 STARTTLS")).unwrap();
        assert_eq!(start.send, b"STARTTLS\r\n");
        let handshake = start.state.on(reply("220 go ahead"), Replies::default()).unwrap();
        let terms = Terms { floor: Assurance::Valid, login: None };
        let again = handshake.judged(Assurance::Valid, terms).unwrap();
        assert_eq!(again.send, b"EHLO relay.clinic.example\r\n");
        let admitted = again.state.on(reply("250-mx.lab.example|250-PIPELINING|250-X-NEW|250 SIZE 0")).unwrap();
        let Admitted::Ready(secured) = admitted else { panic!("no login was asked for") };
        assert!(secured.offers().has(Extension::Pipelining) && !secured.offers().has(Extension::EightBitMime));
        assert_eq!(secured.offers().size(), Some(None));
    }

    #[test]
    fn a_connection_below_the_floor_goes_no_further() {
        let terms = Terms { floor: Assurance::Valid, login: None };
        let below = Handshake { hostname: name() }.judged(Assurance::Encrypted, terms).unwrap_err();
        assert_eq!((below.stage, below.means), (Stage::Handshake, Means::BelowFloor));
    }

    #[test]
    fn each_opening_reply_means_one_thing() {
        let greeting = |text| Greeting::new(name()).on(reply(text)).unwrap_err().means;
        assert_eq!(greeting("421 busy"), Means::Later);
        assert_eq!(greeting("554 no service here"), Means::Later);
        let hello = |text| Hello { hostname: name() }.on(reply(text)).unwrap_err().means;
        assert_eq!(hello("250 mx.lab.example"), Means::BelowFloor);
        assert_eq!(hello("502 what is EHLO"), Means::BelowFloor);
        assert_eq!(hello("450 wait"), Means::Later);
        let start = |text| StartTls { hostname: name() }.on(reply(text), Replies::default()).unwrap_err().means;
        assert_eq!(start("454 TLS not available"), Means::BelowFloor);
        assert_eq!(start("502 no"), Means::BelowFloor);
        assert_eq!(start("421 bye"), Means::Later);
    }

    #[test]
    fn bytes_behind_the_answer_to_starttls_end_the_dialog() {
        let mut replies = Replies::default();
        replies.feed(b"220 go ahead\r\n250 injected\r\n");
        let go_ahead = replies.next_reply().unwrap().unwrap();
        let answer = StartTls { hostname: name() }.on(go_ahead, replies).unwrap_err();
        assert_eq!(answer.means, Means::BelowFloor);
    }
}
