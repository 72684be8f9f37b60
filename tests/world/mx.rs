//! A scripted mail server on a real socket: it does what its `Behaviour` says and remembers what it was given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::world::authority::{Authority, Identity};
use crate::world::behaviour::{Act, Behaviour, Extension, Override, Step, Times, Tls};
use crate::world::wire::Wire;
use crate::world::{Result, until};

const MAX_MESSAGE: usize = 64 * 1024 * 1024;
const MAX_COMMANDS: usize = 100_000;
/// How long a server that hangs does so.
const HANG: Duration = Duration::from_secs(300);
/// The header that marks a message, so that a second copy is known for one.
pub const TAG: &str = "X-World-Tag";

/// A message that the server took.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The parameters that followed the addresses are in `commands`.
    pub sender: String,
    pub recipients: Vec<String>,
    pub content: Vec<u8>,
    /// `None` when it came in clear.
    pub tls_version: Option<String>,
    pub connection: usize,
    pub tag: Option<String>,
    /// False when the server left without a reply.
    pub answered: bool,
}

impl Delivery {
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.content, name)
    }
}

/// The first line of a header field's value.
pub fn header(content: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let prefix = format!("{}:", name.to_lowercase());
    let line = head.lines().find(|line| line.to_lowercase().starts_with(&prefix))?;
    line.get(prefix.len()..).map(|value| value.trim().to_owned())
}

/// Everything that the server remembers.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub deliveries: Vec<Delivery>,
    /// Every command line with the number of its connection; AUTH and content excepted.
    pub commands: Vec<(usize, String)>,
    pub connections: usize,
    /// Connections that are open now, and the most there were at once.
    pub open: usize,
    pub most_open: usize,
}

impl Memory {
    /// How many copies came beyond the first of each tag and recipient.
    pub fn duplicates(&self) -> usize {
        let mut seen = BTreeSet::new();
        let pairs = self.deliveries.iter().flat_map(|delivery| {
            let tag = delivery.tag.clone();
            delivery.recipients.iter().filter_map(move |recipient| Some((tag.clone()?, recipient.clone())))
        });
        pairs.filter(|pair| !seen.insert(pair.clone())).count()
    }

    pub fn tags(&self) -> BTreeSet<String> {
        self.deliveries.iter().filter_map(|delivery| delivery.tag.clone()).collect()
    }
}

#[derive(Default)]
struct State {
    behaviour: Behaviour,
    identity: Option<Identity>,
    memory: Memory,
    used: BTreeMap<usize, u32>,
    greylisted: BTreeMap<(String, String), u32>,
}

/// Stops when dropped.
pub struct Mx {
    pub address: SocketAddr,
    pub name: String,
    state: Arc<Mutex<State>>,
    authority: Arc<Authority>,
    serving: JoinHandle<()>,
}

impl std::fmt::Debug for Mx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mx").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Mx {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Mx {
    /// Serves on an address such as `127.0.0.5:25`; port 0 takes a free one.
    pub async fn start(name: &str, bind: &str, behaviour: Behaviour, authority: &Arc<Authority>) -> Result<Mx> {
        let listener = TcpListener::bind(bind).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let serving = tokio::spawn(serve(listener, name.to_owned(), Arc::clone(&state)));
        let mx = Mx { address, name: name.to_owned(), state, authority: Arc::clone(authority), serving };
        mx.behave(behaviour)?;
        Ok(mx)
    }

    /// Another behaviour from the next command on; a new certificate from the next handshake on.
    pub fn behave(&self, behaviour: Behaviour) -> Result<()> {
        let identity = match behaviour.tls {
            Tls::With(kind) => Some(self.authority.issue(&self.name, kind)?),
            Tls::NotOffered => None,
        };
        let mut state = lock(&self.state);
        state.behaviour = behaviour;
        state.identity = identity;
        state.used.clear();
        state.greylisted.clear();
        Ok(())
    }

    pub fn memory(&self) -> Memory {
        lock(&self.state).memory.clone()
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.state).memory.deliveries.clone()
    }

    /// The certificate that is shown, as DER.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        lock(&self.state).identity.as_ref().map(|identity| identity.certificate.clone())
    }

    /// Waits until this many messages were taken.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> Result<Vec<Delivery>> {
        let what = format!("{count} messages at {}", self.name);
        let enough = || (lock(&self.state).memory.deliveries.len() >= count).then_some(());
        until(&what, limit, enough).await?;
        Ok(self.deliveries())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, name: String, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connection(stream, name.clone(), Arc::clone(&state)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, name: String, state: Arc<Mutex<State>>) {
    let number = {
        let mut state = lock(&state);
        state.memory.connections += 1;
        state.memory.open += 1;
        state.memory.most_open = state.memory.most_open.max(state.memory.open);
        state.memory.connections
    };
    if let Ok(wire) = Wire::plain(stream) {
        // A peer that leaves or breaks the dialog is what many tests are about; the memory shows it.
        Dialog {
            wire: Some(wire),
            name,
            number,
            state: Arc::clone(&state),
            sender: None,
            recipients: Vec::new(),
            chunks: Vec::new(),
        }
        .run()
        .await
        .ok();
    }
    lock(&state).memory.open -= 1;
}

struct Dialog {
    /// Gone only within a handshake.
    wire: Option<Wire>,
    name: String,
    number: usize,
    state: Arc<Mutex<State>>,
    sender: Option<String>,
    recipients: Vec<String>,
    /// What came by BDAT before its last.
    chunks: Vec<u8>,
}

enum Next {
    Go,
    Leave,
}

impl Dialog {
    async fn run(mut self) -> Result<()> {
        let greeting = format!("{} ESMTP", self.name);
        if let Next::Leave = self.answer(Step::Banner, 220, &greeting).await? {
            return Ok(());
        }
        for _ in 0..MAX_COMMANDS {
            let Some(line) = self.wire()?.line().await? else { return Ok(()) };
            lock(&self.state).memory.commands.push((self.number, line.clone()));
            if let Next::Leave = self.command(&line).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn wire(&mut self) -> Result<&mut Wire> {
        self.wire.as_mut().ok_or_else(|| "the connection is gone".into())
    }

    async fn command(&mut self, line: &str) -> Result<Next> {
        let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
        match verb.as_str() {
            "EHLO" => self.hello().await,
            "HELO" => self.answer(Step::Ehlo, 250, "hello").await,
            "STARTTLS" => self.start_tls().await,
            "MAIL" => self.mail(line).await,
            "RCPT" => self.recipient(line).await,
            "DATA" => self.data().await,
            "BDAT" => self.chunk(line).await,
            "RSET" => {
                self.reset();
                self.reply(250, "2.0.0 flushed").await
            }
            "NOOP" => self.reply(250, "2.0.0 nothing done").await,
            "QUIT" => {
                self.reply(221, "2.0.0 bye").await?;
                Ok(Next::Leave)
            }
            _ => self.reply(500, "5.5.2 not known").await,
        }
    }

    async fn hello(&mut self) -> Result<Next> {
        let secured = self.wire()?.security.is_some();
        let offers_tls = !secured && lock(&self.state).identity.is_some();
        let mut text = format!("{} greets you", self.name);
        if offers_tls {
            text.push_str("\nSTARTTLS");
        }
        for extension in &lock(&self.state).behaviour.extensions {
            text.push_str(&match extension {
                Extension::Pipelining => "\nPIPELINING".to_owned(),
                Extension::Chunking => "\nCHUNKING".to_owned(),
                Extension::EightBitMime => "\n8BITMIME".to_owned(),
                Extension::SmtpUtf8 => "\nSMTPUTF8".to_owned(),
                Extension::EnhancedStatusCodes => "\nENHANCEDSTATUSCODES".to_owned(),
                Extension::Dsn => "\nDSN".to_owned(),
                Extension::RequireTls if secured => "\nREQUIRETLS".to_owned(),
                Extension::RequireTls => String::new(),
                Extension::Limits(limits) => format!("\nLIMITS {limits}"),
                Extension::Size(limit) => format!("\nSIZE {limit}"),
            });
        }
        self.reset();
        self.answer(Step::Ehlo, 250, &text).await
    }

    async fn start_tls(&mut self) -> Result<Next> {
        let server = lock(&self.state).identity.as_ref().map(|identity| Arc::clone(&identity.server));
        let Some(server) = server.filter(|_| self.wire.as_ref().is_some_and(|wire| wire.security.is_none())) else {
            return self.reply(503, "5.5.1 no TLS here").await;
        };
        if let Some(act) = self.overridden(Step::StartTls, "") {
            return self.carry_out(Some(act), Step::StartTls, (220, "")).await;
        }
        self.reply(220, "2.0.0 go ahead").await?;
        let wire = self.wire.take().ok_or("the connection is gone")?;
        self.wire = Some(wire.accept_tls(server).await?);
        self.reset();
        Ok(Next::Go)
    }

    async fn mail(&mut self, line: &str) -> Result<Next> {
        if self.sender.is_some() {
            return self.reply(503, "5.5.1 one sender at a time").await;
        }
        let act = self.overridden(Step::Mail, "");
        if act.is_none() {
            self.sender = Some(path(line));
        }
        self.carry_out(act, Step::Mail, (250, "2.1.0 ok")).await
    }

    async fn recipient(&mut self, line: &str) -> Result<Next> {
        let Some(sender) = self.sender.clone() else { return self.reply(503, "5.5.1 no sender").await };
        let recipient = path(line);
        let act = self.overridden(Step::Rcpt, &recipient).or_else(|| self.greylist(sender, &recipient));
        if act.is_none() {
            self.recipients.push(recipient);
        }
        self.carry_out(act, Step::Rcpt, (250, "2.1.5 ok")).await
    }

    fn greylist(&self, sender: String, recipient: &str) -> Option<Act> {
        let mut state = lock(&self.state);
        let limit = state.behaviour.greylist;
        let count = state.greylisted.entry((sender, recipient.to_owned())).or_default();
        *count += 1;
        (*count <= limit).then(|| Act::Reply(451, "4.7.1 greylisted, try again later".to_owned()))
    }

    async fn data(&mut self) -> Result<Next> {
        if self.recipients.is_empty() {
            // RFC 2920 §3.1: a client that pipelines may send DATA behind refused recipients.
            return self.reply(554, "5.5.1 no valid recipients").await;
        }
        if let Some(act) = self.overridden(Step::Data, "") {
            self.reset();
            return self.carry_out(Some(act), Step::Data, (354, "")).await;
        }
        self.reply(354, "end with a dot").await?;
        let content = self.wire()?.message(MAX_MESSAGE).await?;
        self.end_of_data(content).await
    }

    /// RFC 3030 §2.
    async fn chunk(&mut self, line: &str) -> Result<Next> {
        if let Some(act) = self.overridden(Step::Bdat, "") {
            self.reset();
            return self.carry_out(Some(act), Step::Bdat, (250, "")).await;
        }
        let mut words = line.split(' ').skip(1);
        let octets: usize = words.next().unwrap_or_default().parse()?;
        let came = self.wire()?.octets(octets.min(MAX_MESSAGE)).await?;
        if self.recipients.is_empty() {
            return self.reply(503, "5.5.1 no valid recipients").await;
        }
        self.chunks.extend_from_slice(&came);
        if words.next() != Some("LAST") {
            return self.reply(250, &format!("2.0.0 {octets} octets")).await;
        }
        let content = std::mem::take(&mut self.chunks);
        self.end_of_data(content).await
    }

    async fn end_of_data(&mut self, content: Vec<u8>) -> Result<Next> {
        let act = self.overridden(Step::EndOfData, "");
        let answered = match act {
            None => true,
            Some(Act::TakeThenDisconnect) => false,
            Some(Act::Reply(..) | Act::Disconnect | Act::Hang) => {
                self.reset();
                return self.carry_out(act, Step::EndOfData, (250, "")).await;
            }
        };
        self.take(content, answered)?;
        self.carry_out(act, Step::EndOfData, (250, "2.0.0 taken")).await
    }

    fn take(&mut self, content: Vec<u8>, answered: bool) -> Result<()> {
        let delivery = Delivery {
            sender: self.sender.take().unwrap_or_default(),
            recipients: std::mem::take(&mut self.recipients),
            tls_version: self.wire()?.security.as_ref().map(|security| security.version.clone()),
            connection: self.number,
            tag: header(&content, TAG),
            content,
            answered,
        };
        lock(&self.state).memory.deliveries.push(delivery);
        Ok(())
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
        self.chunks.clear();
    }

    /// The first override that fits and is not used up; asking counts as a use.
    fn overridden(&self, step: Step, recipient: &str) -> Option<Act> {
        let mut state = lock(&self.state);
        let fits = |(index, candidate): &(usize, &Override)| {
            let left = match candidate.times {
                Times::Always => true,
                Times::First(count) => state.used.get(index).copied().unwrap_or_default() < count,
            };
            let meant = candidate.recipient.as_ref().is_none_or(|only| only == recipient);
            candidate.step == step && meant && left
        };
        let (index, act) =
            state.behaviour.overrides.iter().enumerate().find(fits).map(|(index, found)| (index, found.act.clone()))?;
        *state.used.entry(index).or_default() += 1;
        Some(act)
    }

    async fn answer(&mut self, step: Step, code: u16, text: &str) -> Result<Next> {
        let act = self.overridden(step, "");
        self.carry_out(act, step, (code, text)).await
    }

    async fn carry_out(&mut self, act: Option<Act>, step: Step, (code, text): (u16, &str)) -> Result<Next> {
        match act {
            None => self.reply(code, text).await,
            Some(Act::Reply(code, text)) => {
                self.reply(code, &text).await?;
                // RFC 5321 §3.8: a server that refuses the connection, or says 421, closes it.
                Ok(if code == 421 || (step == Step::Banner && code >= 400) { Next::Leave } else { Next::Go })
            }
            Some(Act::Disconnect | Act::TakeThenDisconnect) => Ok(Next::Leave),
            Some(Act::Hang) => {
                tokio::time::sleep(HANG).await;
                Ok(Next::Leave)
            }
        }
    }

    /// Lines of the text become lines of the reply.
    async fn reply(&mut self, code: u16, text: &str) -> Result<Next> {
        let count = text.lines().count().max(1);
        let mut reply = String::new();
        for (index, line) in text.split('\n').take(count).enumerate() {
            let mark = if index + 1 == count { ' ' } else { '-' };
            reply.push_str(&format!("{code}{mark}{line}\r\n"));
        }
        self.wire()?.write(reply.as_bytes()).await?;
        Ok(Next::Go)
    }
}

/// The address between the angle brackets.
fn path(line: &str) -> String {
    let start = line.find('<').map_or(0, |at| at + 1);
    let end = line.rfind('>').unwrap_or(line.len());
    line.get(start..end).unwrap_or_default().to_owned()
}
