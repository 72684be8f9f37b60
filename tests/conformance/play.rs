//! One case played against a server: the way to its first line, its lines, and what came of them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout};

use crate::conformance::Outcome;
use crate::conformance::case::{Case, Start};
use crate::conformance::line::{Heard, Line, Reply};
use crate::conformance::step::{MayFail, Octets, Pattern, Presence, Step};
use crate::conformance::target::Target;
use crate::conformance::words::{Words, written_out};

/// The longest that one case may take, whatever its steps allow.
const CASE: Duration = Duration::from_secs(200);
const SHOWN: usize = 160;

/// A case that was played. What it says of the next hop is not yet looked at.
#[derive(Debug)]
pub struct Played {
    pub case: Arc<Case>,
    pub words: Words,
    pub outcome: Outcome,
    pub dialog: Vec<String>,
    /// Whether the lines of the case itself were reached.
    pub reached: Reached,
    /// Whether the next hop is to be looked at.
    pub finals: Finals,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    Start,
    OwnPart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finals {
    Due,
    Void,
}

/// Why a case ends before its last line.
enum Stop {
    Failed(String),
    Skipped(String),
    /// It has nothing more to say, and that is well.
    Ended,
    /// The server closed, as it may; the next hop is still looked at.
    Closed,
}

type Going = Result<(), Stop>;

pub async fn play(case: Arc<Case>, target: &Target) -> Played {
    let mut player = Player::new(&case, target);
    let end = timeout(CASE, player.run()).await.unwrap_or_else(|_| Err(Stop::Failed("it takes too long".into())));
    let (outcome, finals) = match end {
        Ok(()) | Err(Stop::Closed) => (Outcome::Passed, Finals::Due),
        Err(Stop::Ended) => (Outcome::Passed, Finals::Void),
        Err(Stop::Failed(why)) => (Outcome::Failed(why), Finals::Void),
        Err(Stop::Skipped(why)) => (Outcome::Skipped(why), Finals::Void),
    };
    let (words, dialog, reached) = (player.words, player.dialog, player.reached);
    Played { case, words, outcome, dialog, reached, finals }
}

/// A name that no other playing has, on this machine and at this target.
fn fresh_id() -> String {
    static PLAYED: AtomicU64 = AtomicU64::new(0);
    let number = PLAYED.fetch_add(1, Ordering::Relaxed);
    // A hasher begins with entropy.
    format!("case{number}x{:x}x", RandomState::new().build_hasher().finish())
}

struct Player<'a> {
    case: &'a Case,
    target: &'a Target,
    words: Words,
    line: Option<Line>,
    /// Our port.
    own: Option<u16>,
    /// The lines of the last EHLO reply behind the first, in capitals.
    offers: Vec<String>,
    last: Option<Reply>,
    said: Instant,
    took: Duration,
    waiting: Vec<u8>,
    slowly: Option<Duration>,
    dialog: Vec<String>,
    reached: Reached,
}

impl<'a> Player<'a> {
    fn new(case: &'a Case, target: &'a Target) -> Player<'a> {
        Player {
            case,
            target,
            words: target.words(fresh_id()),
            line: None,
            own: None,
            offers: Vec::new(),
            last: None,
            said: Instant::now(),
            took: Duration::ZERO,
            waiting: Vec::new(),
            slowly: None,
            dialog: Vec::new(),
            reached: Reached::Start,
        }
    }

    async fn run(&mut self) -> Going {
        for need in self.case.needs.iter().filter(|need| need.starts_with(|first: char| first.is_ascii_lowercase())) {
            if !need.starts_with("no ") && !self.target.has(need) {
                return Err(Stop::Skipped(format!("needs {need}")));
            }
        }
        self.begin().await?;
        self.tell_begun();
        for (at, step) in &self.case.steps {
            self.step(step).await.map_err(|stop| match stop {
                Stop::Failed(why) => Stop::Failed(format!("line {at}: {why}")),
                other => other,
            })?;
        }
        self.flush().await;
        Ok(())
    }

    /// Goes as far as the case wants it.
    async fn begin(&mut self) -> Going {
        let start = self.case.start;
        let address = if start == Start::Implicit { self.target.implicit } else { Some(self.target.address) };
        let address = address.ok_or(Stop::Skipped("needs implicit".into()))?;
        self.dial(address).await?;
        match start {
            Start::Dialled => {}
            Start::Greeted => self.greeted().await?,
            Start::Hello => self.hello().await?,
            Start::Implicit => {
                self.secure().await?;
                self.hello().await?;
            }
            Start::Tls | Start::Ready | Start::Envelope | Start::Data => self.ready(start).await?,
        }
        self.needs_offers()?;
        if start >= Start::Envelope {
            self.order("MAIL FROM:<{from}>", 250).await?;
            self.order("RCPT TO:<{to}>", 250).await?;
        }
        if start == Start::Data {
            self.order("DATA", 354).await?;
        }
        Ok(())
    }

    async fn dial(&mut self, address: SocketAddr) -> Going {
        let socket = self.socket(address).map_err(|error| Stop::Failed(error.to_string()))?;
        let stream = timeout(self.target.reply, socket.connect(address)).await;
        let Ok(Ok(stream)) = stream else { return Err(Stop::Failed(format!("no connection to {address}"))) };
        self.line = Some(Line::new(stream).map_err(|error| Stop::Failed(error.to_string()))?);
        Ok(())
    }

    /// A socket whose port is known before it is connected: a greeting may be part of the case.
    fn socket(&mut self, address: SocketAddr) -> std::io::Result<TcpSocket> {
        let (socket, any) = match address.ip() {
            IpAddr::V4(_) => (TcpSocket::new_v4()?, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
            IpAddr::V6(_) => (TcpSocket::new_v6()?, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        };
        socket.bind((any, 0).into())?;
        self.own = Some(socket.local_addr()?.port());
        if self.case.start == Start::Dialled {
            self.tell_begun();
        }
        Ok(socket)
    }

    /// A small server of the runner's own behaves until now.
    fn tell_begun(&mut self) {
        self.reached = Reached::OwnPart;
        if let Some(own) = self.own {
            self.target.begun.tell(own);
        }
    }

    async fn greeted(&mut self) -> Going {
        let greeting = self.hear().await?;
        if greeting.code != 220 {
            return Err(Stop::Failed(format!("it greeted with {}", greeting.code)));
        }
        self.words.server = greeting.word().to_owned();
        Ok(())
    }

    async fn hello(&mut self) -> Going {
        self.greeted().await?;
        self.order("EHLO conformance.example", 250).await
    }

    async fn ready(&mut self, start: Start) -> Going {
        self.hello().await?;
        if self.offered("STARTTLS", None) {
            self.order("STARTTLS", 220).await?;
            self.secure().await?;
            self.order("EHLO conformance.example", 250).await?;
        } else if start == Start::Tls {
            return Err(Stop::Skipped("STARTTLS is not offered".into()));
        }
        if start != Start::Tls && self.target.login.is_some() {
            self.order("AUTH PLAIN {plain}", 235).await?;
        }
        Ok(())
    }

    fn needs_offers(&self) -> Going {
        for keyword in self.case.needs.iter().filter_map(|need| need.strip_prefix("no ")) {
            if self.offered(keyword, None) {
                return Err(Stop::Skipped(format!("{keyword} is offered")));
            }
        }
        for need in self.case.needs.iter().filter(|need| need.starts_with(|first: char| first.is_ascii_uppercase())) {
            let (keyword, parameter) = need.split_once(' ').map_or((need.as_str(), None), |(k, p)| (k, Some(p)));
            if !self.offered(keyword, parameter) {
                return Err(Stop::Skipped(format!("{need} is not offered")));
            }
        }
        Ok(())
    }

    async fn order(&mut self, text: &str, expected: u16) -> Going {
        self.say(text, Octets::Line, 1)?;
        let reply = self.hear().await?;
        if reply.code == expected { Ok(()) } else { Err(Stop::Failed(format!("{text} was answered {}", reply.code))) }
    }

    async fn secure(&mut self) -> Going {
        let line = self.line.take().ok_or(Stop::Failed("no connection".into()))?;
        let secured = line.secured(&self.target.tls, &self.target.name, self.target.reply).await;
        self.line = Some(secured.map_err(|error| Stop::Failed(format!("no TLS: {error}")))?);
        self.dialog.push("-- TLS".into());
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Going {
        match step {
            Step::Say { text, octets, times } => self.say(text, *octets, *times)?,
            Step::Flush => self.flush().await,
            Step::Pause(time) => {
                self.flush().await;
                tokio::time::sleep(*time).await;
            }
            Step::Slowly(pause) => self.slowly = Some(*pause),
            Step::Expect { pattern, times } => {
                for _ in 0..*times {
                    self.expect(pattern).await?;
                }
            }
            Step::HangUp => {
                self.flush().await;
                self.line = None;
            }
            Step::Closed(limit) => self.closed(*limit).await?,
            Step::Handshake(may_fail) => self.handshake(*may_fail).await?,
            Step::EndsUnless(pattern) if !self.fits(pattern) => return Err(Stop::Ended),
            Step::SkippedUnless(pattern) if !self.fits(pattern) => {
                return Err(Stop::Skipped("it does not take what the case is about".into()));
            }
            Step::EndsUnless(_) | Step::SkippedUnless(_) => {}
            Step::Offers { .. }
            | Step::OffersNot { .. }
            | Step::OfferFits { .. }
            | Step::Within(_)
            | Step::LinesAtMost(_)
            | Step::Text { .. } => self.look(step)?,
        }
        Ok(())
    }

    /// What is checked in the last reply.
    fn look(&self, step: &Step) -> Going {
        let fault = match step {
            Step::Offers { keyword, parameter } if !self.offered(keyword, parameter.as_deref()) => {
                format!("{keyword} {} is not offered", parameter.as_deref().unwrap_or_default())
            }
            Step::OffersNot { keyword, parameter } if self.offered(keyword, parameter.as_deref()) => {
                format!("{keyword} {} is offered", parameter.as_deref().unwrap_or_default())
            }
            Step::OfferFits { pattern, presence } => {
                let fits = self.offers.iter().any(|offer| pattern.is_match(offer));
                match (presence, fits) {
                    (Presence::There, true) | (Presence::Absent, false) => return Ok(()),
                    (Presence::There, false) => format!("nothing that is offered fits {pattern}"),
                    (Presence::Absent, true) => format!("something that is offered fits {pattern}"),
                }
            }
            Step::Within(limit) if self.took > *limit => format!("the reply took {} ms", self.took.as_millis()),
            Step::LinesAtMost(limit) => match &self.last {
                Some(last) if last.longest > *limit => format!("a line of the reply has {} octets", last.longest),
                _ => return Ok(()),
            },
            Step::Text { word, presence } => {
                let word = self.words.put_in(word, 0).map_err(Stop::Failed)?;
                let has = self.last.as_ref().is_some_and(|last| last.lines.iter().any(|line| line.contains(&word)));
                match (presence, has) {
                    (Presence::There, true) | (Presence::Absent, false) => return Ok(()),
                    (Presence::There, false) => format!("the reply does not have {word:?}"),
                    (Presence::Absent, true) => format!("the reply has {word:?}"),
                }
            }
            _ => return Ok(()),
        };
        Err(Stop::Failed(fault))
    }

    fn offered(&self, keyword: &str, parameter: Option<&str>) -> bool {
        self.offers.iter().any(|offer| {
            let mut words = offer.split_ascii_whitespace();
            words.next().is_some_and(|first| first.eq_ignore_ascii_case(keyword))
                && parameter.is_none_or(|wanted| words.any(|word| word.eq_ignore_ascii_case(wanted)))
        })
    }

    fn fits(&self, pattern: &Pattern) -> bool {
        self.last.as_ref().is_some_and(|last| pattern.fits(last.code, last.word()))
    }

    fn say(&mut self, text: &str, octets: Octets, times: usize) -> Going {
        let letter = match octets {
            Octets::Line | Octets::WrittenOut => "C",
            Octets::Chunk => "K",
            Octets::LastChunk => "L",
        };
        let mark = if times == 1 { format!("{letter}:") } else { format!("{letter}*{times}:") };
        // As it is written, so that no password is shown.
        self.dialog.push(format!("{mark} {}", cut(text)));
        for n in 1..=times {
            let put = self.words.put_in(text, n).map_err(Stop::Failed)?;
            match octets {
                Octets::Line => {
                    self.waiting.extend_from_slice(put.as_bytes());
                    self.waiting.extend_from_slice(b"\r\n");
                }
                Octets::Chunk | Octets::LastChunk => {
                    let chunk = written_out(&put).map_err(Stop::Failed)?;
                    let last = if octets == Octets::LastChunk { " LAST" } else { "" };
                    self.waiting.extend(format!("BDAT {}{last}\r\n", chunk.len()).into_bytes());
                    self.waiting.extend(chunk);
                }
                Octets::WrittenOut => self.waiting.extend(written_out(&put).map_err(Stop::Failed)?),
            }
        }
        Ok(())
    }

    /// Sends what was said since the last reply, in one piece.
    async fn flush(&mut self) {
        let octets = std::mem::take(&mut self.waiting);
        let Some(line) = self.line.as_mut().filter(|_| !octets.is_empty()) else { return };
        match self.slowly.take() {
            None => line.send(&octets, self.target.reply).await,
            Some(pause) => {
                for octet in octets {
                    line.send(&[octet], self.target.reply).await;
                    tokio::time::sleep(pause).await;
                }
            }
        }
        self.said = Instant::now();
    }

    async fn heard(&mut self) -> Heard {
        self.flush().await;
        let heard = match &mut self.line {
            Some(line) => line.reply(self.target.reply).await,
            None => Heard::Closed,
        };
        self.took = self.said.elapsed();
        self.dialog.extend(match &heard {
            Heard::Reply(reply) => shown(reply),
            Heard::Closed => vec!["-- closed".to_owned()],
            Heard::Nothing => vec!["-- no reply".to_owned()],
            Heard::Malformed(fault) => vec![format!("-- {fault}")],
        });
        heard
    }

    async fn hear(&mut self) -> Result<Reply, Stop> {
        match self.heard().await {
            Heard::Reply(reply) => {
                self.keep(&reply);
                Ok(reply)
            }
            Heard::Closed => Err(Stop::Failed("the server closed".into())),
            Heard::Nothing => Err(Stop::Failed("no reply came".into())),
            Heard::Malformed(fault) => Err(Stop::Failed(fault)),
        }
    }

    fn keep(&mut self, reply: &Reply) {
        if reply.code == 250 && reply.lines.len() > 1 {
            self.offers = reply.lines[1..].to_vec();
        }
        self.last = Some(reply.clone());
    }

    async fn expect(&mut self, pattern: &Pattern) -> Going {
        match self.heard().await {
            Heard::Reply(reply) if pattern.fits(reply.code, reply.word()) => {
                self.keep(&reply);
                Ok(())
            }
            Heard::Reply(reply) => {
                Err(Stop::Failed(format!("it said {} {}", reply.code, cut(&reply.lines.join(" / ")))))
            }
            Heard::Closed if pattern.closed => {
                self.line = None;
                Err(Stop::Closed)
            }
            Heard::Closed => Err(Stop::Failed("the server closed".into())),
            Heard::Nothing => Err(Stop::Failed("no reply came".into())),
            Heard::Malformed(fault) => Err(Stop::Failed(fault)),
        }
    }

    async fn closed(&mut self, limit: Duration) -> Going {
        self.flush().await;
        let limit = if limit.is_zero() { self.target.reply } else { self.target.patience.unwrap_or(limit).min(limit) };
        let Some(line) = &mut self.line else { return Ok(()) };
        let (closes, said) = line.closes(limit).await;
        self.dialog.extend(said.iter().map(|line| format!("S: {}", cut(line))));
        if closes {
            self.dialog.push("-- closed".into());
            self.line = None;
            Ok(())
        } else {
            Err(Stop::Failed("it is still open".into()))
        }
    }

    async fn handshake(&mut self, may_fail: MayFail) -> Going {
        match (self.secure().await, may_fail) {
            (Err(_), MayFail::Yes) => {
                self.dialog.push("-- no TLS".into());
                Err(Stop::Closed)
            }
            (going, _) => going,
        }
    }
}

fn shown(reply: &Reply) -> Vec<String> {
    let last = reply.lines.len().saturating_sub(1);
    let line =
        |(at, text): (usize, &String)| format!("S: {}{}{}", reply.code, if at == last { ' ' } else { '-' }, cut(text));
    reply.lines.iter().enumerate().map(line).collect()
}

fn cut(text: &str) -> String {
    if text.len() <= SHOWN { text.to_owned() } else { format!("{} …", text.chars().take(SHOWN).collect::<String>()) }
}
