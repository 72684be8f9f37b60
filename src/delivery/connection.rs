//! One connection to a next hop: the socket around the client dialog, every wait with its limit.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use metrics::{Gauge, gauge};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::config::Delivery;
use crate::mail::{Domain, Message, Reply, TlsSession};
use crate::net::Stream;
use crate::net::tls::{Broken, Client, Judged, Wanted};
use crate::smtp::client::{
    Admitted, Answer, Encoder, Framing, Greeting, Handshake, Leaves, Login, Means, Next, Parcel, Replies, Said,
    Secured, Stage, Terms,
};

const READ: usize = 4096;
/// How long a peer that stopped taking content is still listened to for its reason.
const LAST_WORDS: Duration = Duration::from_secs(5);
const GOODBYE: Duration = Duration::from_secs(2);
const BEFORE_ASKED: &str = "the next hop answered before it was asked";

/// What was seen of the peer on this connection, for the evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub tls: Option<TlsSession>,
    pub judged: Option<Judged>,
}

/// Who we are to a next hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ourselves<'a> {
    pub(super) tls: &'a Client,
    pub(super) hostname: &'a Domain,
    pub(super) login: Option<&'a Login>,
}

/// Why there is no connection, and what was seen until then.
#[derive(Debug)]
pub(super) struct NotOpened {
    pub(super) answer: Answer,
    pub(super) link: Link,
}

impl NotOpened {
    /// Nothing was seen of the peer.
    pub(super) fn bare(answer: Answer) -> NotOpened {
        NotOpened { answer, link: Link::default() }
    }
}

/// A connection on which the floor is met.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    secured: Secured,
    leaves: Leaves,
    pub(super) address: SocketAddr,
    pub(super) link: Link,
    /// Transactions so far.
    pub(super) carried: usize,
    _open: Counted,
}

#[derive(Debug)]
struct Wire {
    stream: Stream,
    replies: Replies,
}

/// Counts a connection in one state for as long as it is in it.
pub(super) struct Counted(Gauge);

impl Counted {
    pub(super) fn new(state: &'static str) -> Counted {
        let gauge = gauge!("sealpost_delivery_connections", "state" => state);
        gauge.increment(1);
        Counted(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counted")
    }
}

/// What ended a wait on the wire, in our words.
type Silence = String;

impl Wire {
    async fn say(&mut self, bytes: &[u8], patience: Duration) -> Result<(), Silence> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(patience, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("the next hop closed the connection".into()),
            Err(_) => Err(format!("the next hop took nothing more for {} s", patience.as_secs())),
        }
    }

    async fn hear(&mut self, patience: Duration) -> Result<Reply, Silence> {
        match tokio::time::timeout(patience, self.next_reply()).await {
            Ok(heard) => heard,
            Err(_) => Err(format!("the next hop did not answer for {} s", patience.as_secs())),
        }
    }

    /// Whether the peer says nothing at this moment. What it does say is kept for `hear`; its end counts as said.
    async fn is_quiet(&mut self) -> bool {
        let mut bytes = [0; READ];
        let mut buffer = ReadBuf::new(&mut bytes);
        let quiet = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_read(cx, &mut buffer).is_pending())).await;
        self.replies.feed(buffer.filled());
        quiet && self.replies.is_empty()
    }

    async fn next_reply(&mut self) -> Result<Reply, Silence> {
        let mut bytes = [0; READ];
        // Bounded: the replies refuse to hold more than MAX_REPLY_BYTES.
        loop {
            if let Some(reply) = self.replies.next_reply().map_err(|bad| bad.to_string())? {
                return Ok(reply);
            }
            match self.stream.read(&mut bytes).await {
                Ok(read) if read > 0 => self.replies.feed(&bytes[..read]),
                Ok(_) | Err(_) => return Err("the next hop closed the connection".into()),
            }
        }
    }
}

impl Connection {
    /// From a fresh connection to one on which the floor is met. Below the floor, not even EHLO is said under TLS.
    pub(super) async fn open(
        (tcp, address): (TcpStream, SocketAddr),
        ours: Ourselves<'_>,
        wanted: Wanted<'_>,
        limits: &Delivery,
    ) -> Result<Connection, NotOpened> {
        let wire = Wire { stream: Stream::clear(tcp), replies: Replies::default() };
        let (tcp, handshake) = start_tls(wire, ours.hostname, limits).await.map_err(NotOpened::bare)?;
        let shaken = tokio::time::timeout(limits.command, ours.tls.connect(tcp, wanted));
        let (stream, judged) = match shaken.await {
            Ok(Ok(secured)) => secured,
            Ok(Err(broken)) => return Err(not_proved(broken)),
            Err(_) => {
                let answer = Answer::ours(Stage::Handshake, Means::Later, "the TLS handshake took too long");
                return Err(NotOpened::bare(answer));
            }
        };
        let link = Link { tls: stream.tls_session(), judged: Some(judged.clone()) };
        let because = |answer| NotOpened { answer, link: link.clone() };
        let mut wire = Wire { stream, replies: Replies::default() };
        let terms = Terms { floor: wanted.floor, login: ours.login.cloned() };
        let again = handshake.judged(judged.assurance, terms).map_err(because)?;
        let heard = exchange(&mut wire, &again.send, limits.command).await;
        let reply = heard.map_err(|silence| because(Answer::ours(Stage::Hello, Means::Later, silence)))?;
        let admitted = again.state.on(reply).map_err(because)?;
        let secured = log_in(&mut wire, admitted, limits).await.map_err(because)?;
        Ok(Connection { wire, secured, leaves: Leaves::Clean, address, link, carried: 0, _open: Counted::new("open") })
    }

    pub(super) fn is_usable(&self) -> bool {
        match self.leaves {
            Leaves::Clean | Leaves::Open => true,
            Leaves::Broken | Leaves::Misunderstood => false,
        }
    }

    /// Whether the host does not know the BDAT that it offers.
    pub(super) fn misunderstood(&self) -> bool {
        self.leaves == Leaves::Misunderstood
    }

    /// Sends this host no chunks.
    pub(super) fn without_chunks(&mut self) {
        self.secured.without_chunks();
    }

    /// RFC 9422 §4: how many transactions the host takes on one connection.
    pub(super) fn most_transactions(&self) -> usize {
        self.secured.offers().mail_max().unwrap_or(usize::MAX)
    }

    /// Clears what the last transaction left open. A peer that spoke unasked in between is not listened to any more: each
    /// later answer of its would be taken for the one before it.
    pub(super) async fn ready(mut self, limits: &Delivery) -> Option<Connection> {
        // What came while the connection was kept is known only once the runtime has looked.
        tokio::task::yield_now().await;
        if !self.wire.is_quiet().await {
            return None;
        }
        match self.leaves {
            Leaves::Clean => Some(self),
            Leaves::Broken | Leaves::Misunderstood => None,
            Leaves::Open => {
                let Connection { mut wire, secured, address, link, carried, _open, .. } = self;
                let reset = secured.reset();
                let reply = exchange(&mut wire, &reset.send, limits.command).await.ok()?;
                let secured = reset.state.on(reply).ok()?;
                Some(Connection { wire, secured, leaves: Leaves::Clean, address, link, carried, _open })
            }
        }
    }

    /// One transaction: an answer for each recipient.
    /// `given` tells whoever breaks this off whether the host may have the message.
    pub(super) async fn carry(&mut self, parcel: &Parcel<'_>, limits: &Delivery, given: &AtomicBool) -> Vec<Answer> {
        self.carried += 1;
        let mut transaction = self.secured.envelope(parcel);
        let mut next = transaction.start();
        loop {
            if self.has_answered_unasked(&next).await {
                transaction.cut(BEFORE_ASKED);
                self.leaves = Leaves::Broken;
                break;
            }
            let said = match next {
                Next::Send(bytes) => self.wire.say(&bytes, limits.command).await,
                Next::SendContent(framing) => self.send_content((framing, parcel.message), limits).await,
                Next::Read => Ok(()),
                Next::Done(leaves) => {
                    self.leaves = leaves;
                    break;
                }
            };
            let patience = match (&said, transaction.stage()) {
                (Err(_), _) => LAST_WORDS.min(limits.command),
                (Ok(()), Stage::Content) => limits.data,
                (Ok(()), _) => limits.command,
            };
            given.store(said.is_ok() && transaction.unsaid() == Means::Unanswered, Ordering::Relaxed);
            // A peer that closes on us may have said why before it did.
            match (self.wire.hear(patience).await, said) {
                (Ok(reply), Ok(())) => next = transaction.on(reply),
                (Ok(reply), Err(silence)) => {
                    // A refusal counts; an acceptance of content that did not get there whole does not.
                    let next = (!reply.code.is_positive()).then(|| transaction.on(reply));
                    transaction.cut(&silence);
                    let misunderstood = next == Some(Next::Done(Leaves::Misunderstood));
                    self.leaves = if misunderstood { Leaves::Misunderstood } else { Leaves::Broken };
                    break;
                }
                (Err(silence), Ok(())) => {
                    transaction.unheard(&silence);
                    self.leaves = Leaves::Broken;
                    break;
                }
                (Err(_), Err(silence)) => {
                    transaction.cut(&silence);
                    self.leaves = Leaves::Broken;
                    break;
                }
            }
        }
        given.store(false, Ordering::Relaxed);
        transaction.answers()
    }

    /// Whether the host answers what was not said yet. That would be taken for the answer to the message, and a refusal that
    /// comes behind it would never be read.
    async fn has_answered_unasked(&mut self, next: &Next) -> bool {
        match next {
            Next::Send(_) | Next::SendContent(Framing::Dots) => !self.wire.replies.is_empty(),
            // The BDAT goes out with its octets: unlike behind 354, there is nothing yet to refuse.
            Next::SendContent(Framing::Chunk) => !self.wire.is_quiet().await,
            Next::Read | Next::Done(_) => false,
        }
    }

    async fn send_content(
        &mut self,
        (framing, message): (Framing, &Message),
        limits: &Delivery,
    ) -> Result<(), Silence> {
        for piece in Encoder::new(framing, message) {
            // A refusal in the middle ends it at once; an acceptance of what is not there yet is none.
            if !self.wire.is_quiet().await {
                return Err(BEFORE_ASKED.into());
            }
            self.wire.say(&piece, limits.data).await?;
        }
        Ok(())
    }

    /// RFC 5321 §4.1.1.10: QUIT before closing. The answer is not worth much of a wait.
    pub(super) async fn quit(mut self) {
        if self.wire.say(b"QUIT\r\n", GOODBYE).await.is_ok() && self.wire.hear(GOODBYE).await.is_ok() {
            // The close_notify tells the peer that nobody cut the connection; without one it is cut anyway.
            let _closed = tokio::time::timeout(GOODBYE, self.wire.stream.shutdown()).await;
        }
    }
}

/// In clear: greeting, EHLO, STARTTLS, and nothing else.
async fn start_tls(mut wire: Wire, hostname: &Domain, limits: &Delivery) -> Result<(TcpStream, Handshake), Answer> {
    let lost = |stage| move |silence: Silence| Answer::ours(stage, Means::Later, silence);
    let greeting = wire.hear(limits.command).await.map_err(lost(Stage::Greeting))?;
    let hello = Greeting::new(hostname.clone()).on(greeting)?;
    let offers = exchange(&mut wire, &hello.send, limits.command).await.map_err(lost(Stage::Hello))?;
    let start = hello.state.on(offers)?;
    let go_ahead = exchange(&mut wire, &start.send, limits.command).await.map_err(lost(Stage::StartTls))?;
    let Wire { stream, replies } = wire;
    let handshake = start.state.on(go_ahead, replies)?;
    let clear = stream.into_clear();
    let tcp = clear.ok_or_else(|| Answer::ours(Stage::StartTls, Means::Later, "the connection carries TLS already"))?;
    Ok((tcp, handshake))
}

/// As far as the route asks for it. Each step has fewer steps left behind it.
async fn log_in(wire: &mut Wire, mut admitted: Admitted, limits: &Delivery) -> Result<Secured, Answer> {
    loop {
        let Said { state, send } = match admitted {
            Admitted::Ready(secured) => return Ok(secured),
            Admitted::Waiting(said) => said,
        };
        let heard = exchange(wire, &send, limits.command).await;
        let reply = heard.map_err(|silence| Answer::ours(Stage::Login, Means::Later, silence))?;
        admitted = state.on(reply)?;
    }
}

async fn exchange(wire: &mut Wire, bytes: &[u8], patience: Duration) -> Result<Reply, Silence> {
    // What answers a command that was not said yet is taken for the answer to the next one.
    if !wire.replies.is_empty() {
        return Err(BEFORE_ASKED.into());
    }
    wire.say(bytes, patience).await?;
    wire.hear(patience).await
}

fn not_proved(broken: Broken) -> NotOpened {
    let words = broken.to_string();
    let (means, judged) = match broken {
        Broken::BelowFloor(judged) => (Means::BelowFloor, Some(judged)),
        Broken::Disagreed(_) | Broken::NotLoaded => (Means::BelowFloor, None),
        // It said 220 and then hung up. A middlebox or a broken peer does so for days: whether it is one, the patience for
        // an unmet floor tells, and the next method has its turn.
        Broken::Lost => (Means::BelowFloor, None),
    };
    NotOpened { answer: Answer::ours(Stage::Handshake, means, words), link: Link { tls: None, judged } }
}
