//! One connection: what `smtp::Session` asks for is done here, and nothing else.

mod chunks;
mod gathering;
mod login;
mod parting;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use metrics::{counter, histogram};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::{Limits, Listener};
use crate::listener::arrival::{self, Origin};
use crate::listener::happening::{Happening, Heard, Verb, Why};
use crate::listener::memory::{Full, Share};
use crate::listener::room::Place;
use crate::listener::watch::{Noted, Watched};
use crate::listener::wire::{Lost, NoLine, Wire};
use crate::listener::{Accepts, Disk, Refused, Rules, Shared};
use crate::mail::{Arrival, ClientName, Enhanced, Envelope, LineEnds, Message, Peer, Reply, Role, WireLimits};
use crate::net::Stream;
use crate::net::tls::{self, Unmet};
use crate::smtp::{Answering, Command, Decoder, Feed, Receiving, Session, Step, Submitter, Syntax};
use gathering::{Fault, Gathering};
pub(super) use parting::Parting;

/// How long a handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long the intake may take. RFC 5321 §4.5.3.2.6: the client waits ten minutes.
const INTAKE: Duration = Duration::from_secs(300);
/// Octets that a message is first given memory for when its size was not declared.
const FIRST_SHARE: usize = 64 * 1024;

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Connection<A> {
    pub(super) stream: TcpStream,
    pub(super) listener: Arc<Listener>,
    pub(super) origin: Origin,
    /// Who it is by its network alone.
    pub(super) visitor: Option<Submitter>,
    pub(super) place: Place,
    pub(super) rules: Arc<Rules>,
    pub(super) shared: Arc<Shared<A>>,
    pub(super) watched: Watched,
}

impl<A: Accepts> Connection<A> {
    pub(super) async fn run(self, tls: Arc<tls::Server>, drain: CancellationToken) {
        let Connection { stream, listener, origin, visitor, place, rules, shared, mut watched } = self;
        let began = Instant::now();
        let out = place.out();
        let (wire, begun) = tokio::select! {
            biased;
            () = out.cancelled() => (None, Err(Parting::Crowded)),
            begun = begin(stream, (listener.role(), &tls, &mut watched), rules.limits.idle) => begun,
        };
        let (gathering, messages, let_in) = (None, 0, rules.clone());
        let client = visitor.as_ref().map(|visitor| visitor.name.clone());
        let mut dialog = Dialog {
            wire,
            listener,
            origin,
            place,
            rules,
            shared,
            tls,
            drain,
            began,
            client,
            let_in,
            gathering,
            messages,
            watched,
        };
        let parting = match begun {
            Ok(()) => tokio::select! {
                biased;
                // Only before somebody is known; from then on, nobody else is given the place.
                () = out.cancelled() => Parting::Crowded,
                parting = dialog.run(visitor) => parting,
            },
            Err(parting) => parting,
        };
        dialog.part(parting).await;
    }
}

/// Puts TLS on where it comes first, and sees that the peer waits for its greeting where it does not.
async fn begin(
    stream: TcpStream,
    (role, tls, watched): (Role, &tls::Server, &mut Watched),
    patience: Duration,
) -> (Option<Wire>, Result<(), Parting>) {
    match role {
        Role::Submission | Role::Relay | Role::Legacy => match speaks_first(stream) {
            Ok((stream, begun)) => (Some(Wire::new(Stream::clear(stream), patience)), begun),
            Err(_) => (None, Err(Parting::Gone)),
        },
        Role::Submissions => match secure(stream, tls, watched).await {
            Ok(stream) => (Some(Wire::new(stream, patience)), Ok(())),
            Err(parting) => (None, Err(parting)),
        },
    }
}

/// Whether there is input before anything was said. The runtime may not know yet, so the system itself is asked.
fn speaks_first(stream: TcpStream) -> std::io::Result<(TcpStream, Result<(), Parting>)> {
    let stream = stream.into_std()?;
    let spoke = matches!(stream.peek(&mut [0]), Ok(octets) if octets > 0);
    let begun = if spoke { Err(Parting::SpokeFirst) } else { Ok(()) };
    Ok((TcpStream::from_std(stream)?, begun))
}

async fn secure(stream: TcpStream, tls: &tls::Server, watched: &mut Watched) -> Result<Stream, Parting> {
    let is_watched = watched.is_watched();
    let handshake = async {
        // Asked for only when somebody is there to be told: it is one more turn through the system.
        let offered = if is_watched { tls::old_version(&stream).await } else { None };
        tls.accept(stream).await.map_err(|error| error.unmet(offered))
    };
    let (parting, fault) = match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => {
            watched.heard = Heard::Tls;
            watched.tell(|| Happening::Secured(stream.tls_session().map_or_else(String::new, |tls| tls.version)));
            return Ok(stream);
        }
        Ok(Err(unmet @ Unmet::Distrusted(_))) => (Parting::Distrusted, Happening::NotSecured(unmet)),
        Ok(Err(Unmet::Gone)) => (Parting::Silent, Happening::NotSecured(Unmet::Gone)),
        Ok(Err(unmet)) => (Parting::NoTls, Happening::NotSecured(unmet)),
        Err(_) => (Parting::NoTls, Happening::HandshakeOver),
    };
    counter!("sealpost_tls_failures_total", "side" => "server").increment(1);
    watched.tell(|| fault);
    Err(parting)
}

/// A connection in conversation.
#[derive(Debug)]
struct Dialog<A> {
    /// Gone while TLS is being put on, and when that failed.
    wire: Option<Wire>,
    listener: Arc<Listener>,
    origin: Origin,
    place: Place,
    rules: Arc<Rules>,
    shared: Arc<Shared<A>>,
    tls: Arc<tls::Server>,
    drain: CancellationToken,
    began: Instant,
    client: Option<ClientName>,
    /// What was in force when it became known who it is.
    let_in: Arc<Rules>,
    gathering: Option<Gathering>,
    messages: usize,
    watched: Watched,
}

impl<A: Accepts> Dialog<A> {
    /// Goes on until the connection is to end, and says why it does.
    async fn run(&mut self, visitor: Option<Submitter>) -> Parting {
        let entrance = arrival::entrance(&self.listener, visitor);
        let channel = self.channel();
        let mut step = Session::open(self.rules.settings.clone(), entrance, channel);
        loop {
            step = match self.obey(step).await {
                Ok(next) => next,
                Err(parting) => return parting,
            };
        }
    }

    async fn obey(&mut self, step: Step) -> Result<Step, Parting> {
        match step {
            Step::Reply(session, reply) => {
                if !session.holds_chunks() {
                    self.gathering = None;
                }
                self.wire()?.reply(&reply);
                if session.client().is_some() && self.client.as_ref() != session.client() {
                    self.client = session.client().cloned();
                }
                let line = self.line().await?;
                let command = Command::parse(&line);
                let asked = matches!(command, Ok(Command::Data));
                match self.handle(session, command) {
                    // RFC 2920 §3.1: DATA is the last of its group. What follows a refused one was sent for a message,
                    // and its author must not speak for the client that carries it.
                    Step::Reply(..) if asked && !self.wire()?.waiting().is_empty() => Err(Parting::SentUnasked),
                    next => Ok(next),
                }
            }
            Step::Challenge(reply, exchange) => {
                self.wire()?.reply(&reply);
                let line = self.line().await?;
                let next = exchange.respond(&line);
                self.watched.answered(Some(Noted::auth()), &next);
                Ok(next)
            }
            Step::StartTls(reply, securing) => {
                self.start_tls(&reply).await?;
                let line = self.line().await?;
                let secured = securing.secured(self.channel());
                Ok(self.handle(secured, Command::parse(&line)))
            }
            Step::LookUp(login, looking) => Ok(self.look_up(&login, looking)),
            Step::Verify(claim, verifying) => self.verify(&claim, verifying).await,
            Step::Receive(receiving) => self.receive(receiving).await,
            Step::Chunk(chunking) => self.chunk(chunking).await,
            Step::Skip(octets, next) => {
                self.skip(octets).await?;
                Ok(*next)
            }
            Step::Close(reply) => {
                self.wire()?.reply(&reply);
                Err(Parting::Said)
            }
            Step::Drop => Err(Parting::Foreign),
        }
    }

    fn handle(&self, session: Session, command: Result<Command, Syntax>) -> Step {
        let noted = self.watched.noted(&command);
        let next = session.handle(command);
        self.watched.answered(noted, &next);
        next
    }

    /// The next line of the client; whoever leaves without one, as soon as TLS stands, has a reason.
    async fn line(&mut self) -> Result<BytesMut, Parting> {
        match self.next_line().await {
            Err(Parting::Gone) if self.watched.heard == Heard::Tls => Err(Parting::Silent),
            Ok(line) => {
                // Between the chunks of a message, commands are a part of it.
                self.watched.heard = if self.gathering.is_some() { Heard::Message } else { Heard::Commands };
                Ok(line)
            }
            Err(parting) => Err(parting),
        }
    }

    /// The next line of the client, once what waits was sent. A drain comes between lines only, and not between the chunks
    /// of a message, which have the time of one message.
    async fn next_line(&mut self) -> Result<BytesMut, Parting> {
        let limits = &self.rules.limits;
        let (lasts, mut over) = match self.client {
            // Places are few, and whoever holds one for long is to be known.
            None if limits.login < limits.session => (limits.login, Parting::LoginOver),
            None | Some(_) => (limits.session, Parting::SessionOver),
        };
        let (limit, idle_ends) = (limits.command_bytes, Instant::now() + limits.idle);
        let mut deadline = idle_ends.min(self.began + lasts);
        if let Some(gathering) = self.gathering.as_ref().filter(|gathering| gathering.ends < deadline) {
            (deadline, over) = (gathering.ends, Parting::DataOver);
        }
        let wire = self.wire.as_mut().ok_or(Parting::Gone)?;
        wire.flush_when_drained().await?;
        tokio::select! {
            biased;
            () = self.drain.cancelled(), if self.gathering.is_none() => Err(Parting::Draining),
            line = wire.line(limit, deadline) => line.map_err(|fault| match fault {
                NoLine::Lost(Lost::Late) if deadline < idle_ends => over,
                NoLine::Lost(Lost::Late) => Parting::Idle,
                NoLine::Lost(Lost::Gone) => Parting::Gone,
                NoLine::TooLong => Parting::LineTooLong,
                NoLine::BareLf => Parting::BareLf,
                NoLine::Tls => Parting::TlsTooSoon,
            }),
        }
    }

    async fn start_tls(&mut self, reply: &Reply) -> Result<(), Parting> {
        let mut wire = self.wire.take().ok_or(Parting::Gone)?;
        if !wire.waiting().is_empty() {
            // RFC 3207 §6: what came in clear must not be run under TLS, as if it had been protected.
            return Err(Parting::Injected);
        }
        wire.reply(reply);
        wire.flush().await?;
        let stream = wire.into_clear().ok_or(Parting::Injected)?;
        let stream = secure(stream, &self.tls, &mut self.watched).await?;
        self.wire = Some(Wire::new(stream, self.rules.limits.idle));
        Ok(())
    }

    async fn receive(&mut self, receiving: Receiving) -> Result<Step, Parting> {
        self.is_still_known(receiving.client())?;
        let share = match self.room(&receiving) {
            Ok(share) => share,
            // Lines that were sent for a message would be read as commands.
            Err(_) if !self.wire()?.waiting().is_empty() => return Err(Parting::SentUnasked),
            Err(reply) => {
                self.watched.tell(|| Happening::Refused(Verb::Data, reply.clone()));
                return Ok(receiving.declined(reply));
            }
        };
        let peer = self.peer(&receiving);
        let (go_on, envelope, answering) = receiving.begin();
        self.wire()?.reply(&go_on);
        self.wire()?.flush().await?;
        let gathering = self.gather(share, Decoder::new);
        self.watched.heard = Heard::Message;
        let received = self.message(gathering).await?;
        self.watched.heard = Heard::Commands;
        Ok(self.conclude(received, (envelope, peer), answering).await)
    }

    /// Begins to take a message, with the time that one has from now on.
    fn gather(&self, share: Share, decoder: fn(WireLimits, LineEnds) -> Decoder) -> Gathering {
        let limits = &self.rules.limits;
        Gathering::new(decoder(wire_limits(limits), self.listener.line_ends), share, Instant::now() + limits.data)
    }

    /// Hands over what came, or says why it was none.
    async fn conclude(
        &mut self,
        received: Result<(Message, Share), Fault>,
        (envelope, peer): (Envelope, Peer),
        answering: Answering,
    ) -> Step {
        match received {
            Ok((message, share)) => {
                self.messages += 1;
                let reply = self.hand_over(envelope, message, peer).await;
                drop(share);
                answering.answered(reply)
            }
            Err(fault @ Fault::Malformed(malformed)) => self.not_taken(fault, answering.malformed(malformed)),
            Err(Fault::NoMemory) => self.not_taken(Fault::NoMemory, answering.answered(no_memory())),
        }
    }

    /// A password that was changed, or a network taken out, counts for those too who are in already.
    fn is_still_known(&self, client: &ClientName) -> Result<(), Parting> {
        let now = self.shared.rules();
        let (then, now) = (self.let_in.known.get(client), now.known.get(client));
        // Who is gone altogether, or suspended, is answered by the accounts.
        if now.is_some() && then != now { Err(Parting::Changed) } else { Ok(()) }
    }

    /// Goes on behind a message that was none.
    fn not_taken(&self, fault: Fault, next: Step) -> Step {
        let why = match fault {
            Fault::NoMemory => Why::Later,
            Fault::Malformed(fault) => Why::Malformed(fault),
        };
        self.watched.not_taken(why, &next);
        next
    }

    /// Whether a message may come now.
    fn room(&self, receiving: &Receiving) -> Result<Share, Reply> {
        // Who was suspended after the login is let send nothing more.
        self.shared.accounts.standing(receiving.client()).map_err(crate::accounts::Denied::reply)?;
        if let Some(over) = arrival::over(&self.listener, self.shared.clock.now()) {
            return Err(over.reply());
        }
        match (self.shared.disk)() {
            Disk::Enough => {}
            // RFC 5321 §4.2.3: 452, before the message crosses the wire in vain.
            Disk::Short => return Err(reply(452, (4, 3, 1), "the disk is nearly full, try again later")),
        }
        let octets = receiving.declared().unwrap_or(FIRST_SHARE);
        let share = self.shared.memory.share(receiving.client(), octets).map_err(|Full| no_memory())?;
        self.shared.spend(&self.rules, receiving.client(), receiving.recipients())?;
        Ok(share)
    }

    fn peer(&self, receiving: &Receiving) -> Peer {
        Peer {
            role: self.listener.role(),
            address: self.origin.address,
            helo: receiving.helo().clone(),
            tls: self.wire.as_ref().and_then(|wire| wire.stream().tls_session()),
            client: Some(receiving.client().clone()),
            proof: Some(receiving.proof()),
            arrival: Arrival { protocol: receiving.protocol(), ..arrival::arrival(&self.listener, &self.origin) },
        }
    }

    /// Reads to the end of data, whatever comes before it.
    async fn message(&mut self, mut gathering: Gathering) -> Result<Result<(Message, Share), Fault>, Parting> {
        loop {
            let wire = self.wire()?;
            let waiting = wire.waiting();
            let (fed, octets) = (gathering.feed(waiting), waiting.len());
            let used = match fed {
                Feed::End { used } => used,
                Feed::More => octets,
            };
            counter!("sealpost_received_bytes_total").increment(used as u64);
            wire.advance(used);
            match fed {
                Feed::End { .. } => return Ok(gathering.finish()),
                Feed::More => self.more(gathering.ends).await?,
            }
        }
    }

    /// Waits for more of a message.
    async fn more(&mut self, ends: Instant) -> Result<(), Parting> {
        let idle = self.rules.limits.idle;
        let read = self.wire()?.read(ends.min(Instant::now() + idle)).await;
        read.map_err(|lost| match lost {
            Lost::Late => Parting::DataOver,
            Lost::Gone => Parting::Gone,
        })
    }

    /// Gives the message to the intake, and says what came of it. A fault in there costs one 451, not the connection.
    async fn hand_over(&self, envelope: Envelope, message: Message, peer: Peer) -> Reply {
        for mended in message.what_was_mended() {
            counter!("sealpost_messages_mended_total", "what" => mended.name()).increment(1);
        }
        let began = Instant::now();
        let shared = self.shared.clone();
        let mut accepting = tokio::spawn(async move { shared.intake.accept(envelope, message, peer).await });
        let answer = timeout(INTAKE, &mut accepting).await;
        histogram!("sealpost_intake_seconds").record(began.elapsed());
        match answer {
            // RFC 5321 §4.2.5: with this reply the message is ours to answer for.
            Ok(Ok(Ok(receipt))) => {
                let (id, decided) = (A::id(&receipt), A::decided(&receipt));
                self.watched.tell(|| Happening::Taken(id, decided));
                let what = if decided.observed > 0 { "observed, and not sent, as" } else { "queued as" };
                reply(250, (2, 0, 0), format!("{what} {id}"))
            }
            Ok(Ok(Err(Refused { reply, why }))) => {
                self.watched.tell(|| Happening::NotTaken(why, reply.clone()));
                reply
            }
            Ok(Err(fault)) => {
                error!(intake.panicked = fault.is_panic(), "the intake ended by a fault of ours");
                local_error()
            }
            Err(_) => {
                accepting.abort();
                error!(took.ms = millis(began), "the intake gave no answer in time");
                local_error()
            }
        }
    }

    fn wire(&mut self) -> Result<&mut Wire, Parting> {
        self.wire.as_mut().ok_or(Parting::Gone)
    }

    /// Says the last word, and closes.
    async fn part(mut self, parting: Parting) {
        let began = self.began;
        self.watched.tell(|| Happening::Ended(parting, self.watched.heard));
        if let Some(mut wire) = self.wire.take().filter(|_| !matches!(parting, Parting::Gone | Parting::Silent)) {
            if let Some(reply) = parting.reply() {
                wire.reply(&reply);
            }
            wire.close().await;
        }
        histogram!("sealpost_session_seconds", "role" => self.listener.role().name()).record(began.elapsed());
        counter!("sealpost_connections_ended_total", "reason" => parting.name()).increment(1);
        let client = self.client.as_ref().map(|client| client.0.as_str());
        info!(
            peer.ip = %self.origin.ip(),
            proxy.ip = self.origin.proxy.map(tracing::field::display),
            listener.role = self.listener.role().name(),
            client.name = client,
            messages.count = self.messages,
            took.ms = millis(began),
            connection.ended = parting.name(),
            "{}",
            parting.words()
        );
    }
}

fn wire_limits(limits: &Limits) -> WireLimits {
    WireLimits { message_bytes: limits.message_bytes, header_bytes: limits.header_bytes, line_bytes: limits.line_bytes }
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn no_memory() -> Reply {
    reply(452, (4, 3, 1), "no memory for a message now, try again later")
}

fn local_error() -> Reply {
    reply(451, (4, 3, 0), "the message could not be handled, try again later")
}

fn reply(code: u16, (class, subject, detail): (u8, u16, u16), text: impl Into<String>) -> Reply {
    Reply::new(code, Enhanced::new(class, subject, detail), text)
}
