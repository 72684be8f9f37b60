//! The server's dialog: what a command leads to. No step can be taken out of order, since each state holds only its own fields.

mod chunking;
mod logging_in;
mod offers;
mod replies;

use std::sync::Arc;

use crate::config;
use crate::config::RelayTls;
use crate::mail::{
    Address, ClientName, Domain, Envelope, Malformed, OriginalRecipient, Proof, Protocol, Reply, RequireTls, Utf8,
    Wishes,
};
use crate::phi::Phi;
use crate::smtp::{Channel, Claim, Command, Mail, Recipient, Submitter, Syntax, Transaction};

pub use logging_in::{Authenticating, LookingUp, Verifying};

use chunking::Sequence;
pub use chunking::{Chunked, Chunking};
use offers::offers;
pub(super) use replies::answer;
use replies::{ehlo_first, fault_reply, requiretls_in_clear, starttls_first, utf8_undeclared};

/// What of the config the dialog depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    pub hostname: Domain,
    /// Who gets mail for `<Postmaster>`.
    pub postmaster: Address,
    pub message_bytes: usize,
    pub recipients: usize,
    /// Messages that one connection may send.
    pub messages: usize,
    /// Refused commands that one connection may send.
    pub errors: usize,
}

/// So many times as many recipients as a message may have are answered one by one; then the connection ends.
const FORBEARANCE: usize = 10;

/// Through which door a connection came, and who it is by its network alone.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// RFC 6409: STARTTLS, then AUTH.
    Submission,
    /// RFC 8314 §3.3: TLS stands already.
    Submissions,
    Relay {
        tls: RelayTls,
        visitor: Option<Submitter>,
    },
    /// TLS is never offered, and a password may come in clear.
    Legacy {
        visitor: Option<Submitter>,
    },
}

/// What the door is to do next. Each variant holds all that can come after it.
#[derive(Debug)]
pub enum Step {
    /// Answer, and read the next command.
    Reply(Session, Reply),
    /// Answer, and negotiate TLS.
    StartTls(Reply, Securing),
    /// Answer, and read a line for the exchange.
    Challenge(Reply, Authenticating),
    /// Find out what this login's password is checked against.
    LookUp(Phi<String>, LookingUp),
    /// Find out whether this is so.
    Verify(Claim, Verifying),
    /// Receive a message, if there is room for one.
    Receive(Receiving),
    /// Receive a chunk of a message, if there is room for it.
    Chunk(Chunking),
    /// Read over so many octets, and go on with this.
    Skip(u64, Box<Step>),
    /// Answer, and close.
    Close(Reply),
    /// Close without a word.
    Drop,
}

/// A dialog that awaits a command.
#[derive(Debug)]
pub struct Session {
    base: Base,
    state: State,
}

/// TLS is being negotiated.
#[derive(Debug)]
pub struct Securing(Base);

/// DATA was asked for, and not yet answered.
#[derive(Debug)]
pub struct Receiving {
    base: Base,
    helo: Greeting,
    submitter: Submitter,
    envelope: Envelope,
    declared: Option<u64>,
}

/// The message came in, and its reply is due.
#[derive(Debug)]
pub struct Answering {
    base: Base,
    helo: Greeting,
    submitter: Submitter,
}

/// What outlives every state.
#[derive(Debug)]
struct Base {
    settings: Arc<Settings>,
    channel: Channel,
    errors: usize,
    messages: usize,
    /// RCPTs since the last MAIL, whatever came of them.
    named: usize,
    /// Who it is without a login, once it has said EHLO.
    visitor: Option<Submitter>,
    cover: Cover,
    strangers: Strangers,
}

/// Whether there is TLS still to be had. It says what is offered: STARTTLS or logins, never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    Offered,
    Stands,
    /// A legacy listener has none.
    Never,
}

/// What somebody hears who is nobody yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strangers {
    LogIn,
    /// Its network should have made it known.
    Unknown,
}

#[derive(Debug)]
enum State {
    /// Without TLS there is nothing to do but to ask for it.
    Clear(Option<Greeting>),
    /// Nobody yet, and all the TLS that is demanded.
    Open(Option<Greeting>),
    LoggedIn {
        helo: Greeting,
        submitter: Submitter,
        transaction: Option<Transaction>,
    },
    /// A message comes in chunks, and its last was not seen.
    Chunking {
        helo: Greeting,
        submitter: Submitter,
        sequence: Sequence,
    },
}

#[derive(Clone, Debug)]
enum Greeting {
    Helo(Phi<String>),
    Ehlo(Phi<String>),
}

impl Base {
    /// What one is who greets, before any login.
    fn welcome(&self, helo: Greeting) -> State {
        match &self.visitor {
            Some(visitor) => State::LoggedIn { helo, submitter: visitor.clone(), transaction: None },
            None => State::Open(Some(helo)),
        }
    }
}

impl State {
    fn greeting(&self) -> Option<&Greeting> {
        match self {
            State::Clear(greeting) | State::Open(greeting) => greeting.as_ref(),
            State::LoggedIn { helo, .. } | State::Chunking { helo, .. } => Some(helo),
        }
    }

    fn is_within_transaction(&self) -> bool {
        match self {
            State::LoggedIn { transaction, .. } => transaction.is_some(),
            State::Chunking { .. } => true,
            State::Clear(_) | State::Open(_) => false,
        }
    }
}

impl Greeting {
    fn name(&self) -> &Phi<String> {
        match self {
            Greeting::Helo(name) | Greeting::Ehlo(name) => name,
        }
    }
}

impl Settings {
    pub fn of(config: &config::Config) -> Settings {
        Settings {
            hostname: config.server.hostname.clone(),
            postmaster: config.notify.postmaster.clone(),
            message_bytes: config.limits.message_bytes,
            recipients: config.limits.recipients,
            messages: config.limits.messages_per_connection,
            errors: config.limits.errors_per_connection,
        }
    }
}

impl Session {
    /// The greeting of a new connection.
    pub fn open(settings: Arc<Settings>, entrance: Entrance, channel: Channel) -> Step {
        // RFC 5321 §4.2: the host name comes first.
        let banner = Reply::plain(220, format!("{} ESMTP Sealpost", settings.hostname));
        let (state, cover) = match &entrance {
            Entrance::Submission | Entrance::Relay { tls: RelayTls::Required, .. } => {
                (State::Clear(None), Cover::Offered)
            }
            Entrance::Relay { tls: RelayTls::Optional, .. } => (State::Open(None), Cover::Offered),
            Entrance::Submissions => (State::Open(None), Cover::Stands),
            Entrance::Legacy { .. } => (State::Open(None), Cover::Never),
        };
        let (visitor, strangers) = match entrance {
            Entrance::Submission | Entrance::Submissions => (channel.certified.clone(), Strangers::LogIn),
            Entrance::Relay { visitor, .. } => (visitor, Strangers::Unknown),
            Entrance::Legacy { visitor } => (visitor, Strangers::LogIn),
        };
        let base = Base { settings, channel, errors: 0, messages: 0, named: 0, visitor, cover, strangers };
        Step::Reply(Session { base, state }, banner)
    }

    /// Who has logged in, or is known without.
    pub fn client(&self) -> Option<&ClientName> {
        match &self.state {
            State::Clear(_) | State::Open(_) => None,
            State::LoggedIn { submitter, .. } | State::Chunking { submitter, .. } => Some(&submitter.name),
        }
    }

    /// The one way from a command to what follows.
    pub fn handle(self, command: Result<Command, Syntax>) -> Step {
        match command {
            Err(Syntax::Foreign) => Step::Drop,
            // What follows is content, of nobody knows what length, and must not be read as commands.
            Err(fault @ Syntax::BadChunk) => Step::Close(fault.reply()),
            Err(fault) => self.refuse(fault.reply()),
            Ok(Command::Helo(name)) => self.greet(Greeting::Helo(name)),
            Ok(Command::Ehlo(name)) => self.greet(Greeting::Ehlo(name)),
            Ok(Command::StartTls) => self.start_tls(),
            Ok(Command::Auth { mechanism, initial }) => self.auth(mechanism, initial.as_ref()),
            Ok(Command::Mail(mail)) => self.mail(mail),
            Ok(Command::Rcpt { recipient, wishes }) => self.rcpt(recipient, wishes),
            Ok(Command::Data) => self.data(),
            Ok(Command::Bdat(chunk)) => self.bdat(chunk),
            Ok(Command::Rset) => self.rset(),
            Ok(Command::Noop) => self.reply(answer(250, (2, 0, 0), "OK")),
            Ok(Command::Help) => self.reply(answer(214, (2, 0, 0), "this is a mail submission server, see RFC 6409")),
            // RFC 5321 §3.5.3: 252 says nothing of who exists.
            Ok(Command::Vrfy) => self.reply(answer(252, (2, 5, 0), "addresses are not verified, send to them")),
            Ok(Command::Quit) => Step::Close(answer(221, (2, 0, 0), "goodbye")),
        }
    }

    fn greet(self, greeting: Greeting) -> Step {
        let Session { base, state } = self;
        let hostname = base.settings.hostname.to_string();
        let reply = match greeting {
            Greeting::Helo(_) => Reply::plain(250, hostname),
            Greeting::Ehlo(_) => {
                let mut lines = vec![hostname];
                lines.extend(offers(&base, &state));
                Reply::plain_lines(250, lines)
            }
        };
        let state = match state {
            State::Clear(_) => State::Clear(Some(greeting)),
            State::Open(_) => base.welcome(greeting),
            // RFC 5321 §4.1.4: EHLO in mid-session is RSET as well. Who logged in stays so.
            State::LoggedIn { submitter, .. } | State::Chunking { submitter, .. } => {
                State::LoggedIn { helo: greeting, submitter, transaction: None }
            }
        };
        Step::Reply(Session { base, state }, reply)
    }

    fn start_tls(self) -> Step {
        match (self.base.cover, self.state.greeting()) {
            (Cover::Stands, _) => self.refuse(answer(503, (5, 5, 1), "TLS is on already")),
            (Cover::Never, _) => self.refuse(answer(503, (5, 5, 1), "TLS is not offered here")),
            (Cover::Offered, _) if self.state.is_within_transaction() => {
                // RFC 3207 §4.2: what came before is forgotten; a sender half-way through would not expect that.
                self.refuse(answer(503, (5, 5, 1), "a transaction is open, RSET first"))
            }
            (Cover::Offered, Some(Greeting::Ehlo(_))) => {
                Step::StartTls(answer(220, (2, 0, 0), "ready to start TLS"), Securing(self.base))
            }
            (Cover::Offered, _) => self.refuse(ehlo_first()),
        }
    }

    fn mail(mut self, mail: Mail) -> Step {
        let State::LoggedIn { submitter, transaction, .. } = &mut self.state else {
            return self.refuse_out_of_place();
        };
        if transaction.is_some() {
            // RFC 5321 §4.1.4: MAIL within a transaction is out of order.
            return self.refuse(answer(503, (5, 5, 1), "a transaction is open already"));
        }
        if self.base.messages >= self.base.settings.messages {
            return Step::Close(answer(421, (4, 7, 0), "this connection has sent as many messages as one may"));
        }
        let limit = u64::try_from(self.base.settings.message_bytes).unwrap_or(u64::MAX);
        if mail.size.is_some_and(|size| size > limit) {
            // RFC 1870 §6.1 (3): refused before it is sent.
            return self.refuse(answer(552, (5, 3, 4), format!("the message is over the limit of {limit} octets")));
        }
        if mail.asked.require_tls == RequireTls::Yes && self.base.cover != Cover::Stands {
            return self.refuse(requiretls_in_clear());
        }
        if mail.utf8 == Utf8::NotDeclared && mail.sender.mailbox().is_some_and(Address::needs_utf8) {
            return self.refuse(utf8_undeclared());
        }
        if !submitter.may_send_as(&mail.sender) {
            // RFC 6409 §6.1: a login may use its own senders only.
            return self.refuse(answer(553, (5, 7, 1), "this login may not use this sender"));
        }
        *transaction = Some(Transaction::open(mail));
        self.base.named = 0;
        self.reply(answer(250, (2, 1, 0), "sender OK"))
    }

    fn rcpt(mut self, recipient: Recipient, wishes: Wishes) -> Step {
        let State::LoggedIn { transaction, .. } = &mut self.state else {
            return self.refuse_out_of_place();
        };
        let Some(transaction) = transaction else {
            return self.refuse(answer(503, (5, 5, 1), "MAIL first"));
        };
        self.base.named += 1;
        if self.base.named > FORBEARANCE.saturating_mul(self.base.settings.recipients) {
            // Without this, somebody who never stops naming them is answered for as long as a connection may last.
            return Step::Close(answer(421, (4, 7, 0), "far more recipients were named than one message may have"));
        }
        if transaction.recipients() >= self.base.settings.recipients {
            // RFC 5321 §4.5.3.1.10: 452, and the client sends the message to those it has named. That is no error of its.
            return self.reply(answer(452, (4, 5, 3), "the message has as many recipients as one may"));
        }
        let recipient = match recipient {
            Recipient::Postmaster => self.base.settings.postmaster.clone(),
            Recipient::Mailbox(address) => address,
        };
        let utf8 = recipient.needs_utf8() || wishes.original.as_ref().is_some_and(OriginalRecipient::needs_utf8);
        if transaction.utf8() == Utf8::NotDeclared && utf8 {
            return self.refuse(utf8_undeclared());
        }
        transaction.add(recipient, wishes);
        self.reply(answer(250, (2, 1, 5), "recipient OK"))
    }

    fn data(self) -> Step {
        let Session { base, state } = self;
        match state {
            State::LoggedIn { helo, submitter, transaction: Some(transaction) } => {
                let declared = transaction.declared();
                match transaction.seal() {
                    Ok(envelope) => Step::Receive(Receiving { base, helo, submitter, envelope, declared }),
                    Err(transaction) => {
                        let state = State::LoggedIn { helo, submitter, transaction: Some(transaction) };
                        // RFC 5321 §3.3: 554 when no recipient was taken.
                        Session { base, state }.refuse(answer(554, (5, 5, 1), "no recipient was taken"))
                    }
                }
            }
            state @ State::LoggedIn { .. } => {
                Session { base, state }.refuse(answer(503, (5, 5, 1), "MAIL and RCPT first"))
            }
            state @ (State::Clear(_) | State::Open(_) | State::Chunking { .. }) => {
                Session { base, state }.refuse_out_of_place()
            }
        }
    }

    fn rset(self) -> Step {
        let Session { base, state } = self;
        let state = match state {
            // RFC 5321 §4.1.1.5: RSET discards sender and recipients, and nothing else. RFC 3030 §2: and chunks.
            State::LoggedIn { helo, submitter, .. } | State::Chunking { helo, submitter, .. } => {
                State::LoggedIn { helo, submitter, transaction: None }
            }
            state @ (State::Clear(_) | State::Open(_)) => state,
        };
        Session { base, state }.reply(answer(250, (2, 0, 0), "OK"))
    }

    fn reply(self, reply: Reply) -> Step {
        Step::Reply(self, reply)
    }

    /// Answers what does not belong here: of somebody who has not logged in, or in the middle of chunks.
    fn refuse_out_of_place(self) -> Step {
        match self.state {
            State::Clear(_) | State::Open(_) => self.refuse_stranger(),
            // RFC 3030 §2: 503 until the last chunk, or RSET.
            State::LoggedIn { .. } | State::Chunking { .. } => {
                self.refuse(answer(503, (5, 5, 1), "a message is open already, end it with BDAT LAST or RSET"))
            }
        }
    }

    /// Answers somebody who has not logged in.
    fn refuse_stranger(self) -> Step {
        match self.state {
            State::Clear(_) => self.refuse(starttls_first()),
            // RFC 5321 §4.1.4: a session begins with EHLO or HELO.
            State::Open(None) if self.base.visitor.is_some() => self.refuse(ehlo_first()),
            State::Open(_) | State::LoggedIn { .. } | State::Chunking { .. } => match self.base.strangers {
                // RFC 4954 §6: 530 when a command needs authentication.
                Strangers::LogIn => self.refuse(answer(530, (5, 7, 0), "authentication required")),
                Strangers::Unknown => self.refuse(answer(
                    550,
                    (5, 7, 1),
                    "your address may not send here: log in, or have the administrator add it",
                )),
            },
        }
    }

    /// Answers a refusal, and counts it: a client that only errs is probing.
    fn refuse(self, reply: Reply) -> Step {
        let Session { mut base, state } = self;
        base.errors += 1;
        if base.errors > base.settings.errors {
            return Step::Close(answer(421, (4, 7, 0), "too many errors"));
        }
        Step::Reply(Session { base, state }, reply)
    }
}

impl Securing {
    /// TLS stands. RFC 3207 §4.2: what was said before it is forgotten.
    pub fn secured(self, channel: Channel) -> Session {
        // What was shown in the handshake says more than where it comes from.
        let visitor = channel.certified.clone().or(self.0.visitor);
        let base = Base { channel, visitor, cover: Cover::Stands, ..self.0 };
        Session { base, state: State::Open(None) }
    }
}

impl Receiving {
    pub fn client(&self) -> &ClientName {
        &self.submitter.name
    }

    /// What the client proved itself by.
    pub fn proof(&self) -> Proof {
        self.submitter.proof
    }

    pub fn protocol(&self) -> Protocol {
        match self.helo {
            Greeting::Helo(_) => Protocol::Smtp,
            Greeting::Ehlo(_) => Protocol::Esmtp,
        }
    }

    /// The client's own words after EHLO.
    pub fn helo(&self) -> &Phi<String> {
        self.helo.name()
    }

    pub fn recipients(&self) -> usize {
        self.envelope.recipients().len()
    }

    /// What SIZE= said; never over the limit.
    pub fn declared(&self) -> Option<usize> {
        self.declared.and_then(|size| usize::try_from(size).ok())
    }

    /// RFC 5321 §4.1.1.4: 354, and then the message.
    pub fn begin(self) -> (Reply, Envelope, Answering) {
        let go_on = Reply::plain(354, "send the message, end it with <CRLF>.<CRLF>");
        let (envelope, answering) = self.whole();
        (go_on, envelope, answering)
    }

    /// The message came in chunks, and is here.
    pub fn whole(self) -> (Envelope, Answering) {
        let Receiving { base, helo, submitter, envelope, .. } = self;
        (envelope, Answering { base, helo, submitter })
    }

    /// There is no room for a message now.
    pub fn declined(self, reply: Reply) -> Step {
        let (_, _, answering) = self.begin();
        answering.session().reply(reply)
    }
}

impl Answering {
    /// The message was taken or refused. RFC 5321 §4.1.1.4: either way the transaction is over.
    pub fn answered(self, reply: Reply) -> Step {
        let mut session = self.session();
        session.base.messages += 1;
        session.reply(reply)
    }

    /// The message was none. Who sends broken line ends may be smuggling, and is not listened to any longer.
    pub fn malformed(self, fault: Malformed) -> Step {
        let reply = fault_reply(fault);
        match fault {
            Malformed::BareCr | Malformed::BareLf | Malformed::Nul => Step::Close(reply),
            Malformed::TooLarge | Malformed::HeaderTooLarge | Malformed::LineTooLong => self.session().refuse(reply),
        }
    }

    fn session(self) -> Session {
        let state = State::LoggedIn { helo: self.helo, submitter: self.submitter, transaction: None };
        Session { base: self.base, state }
    }
}
