//! The load source: a number of sessions that log in and send, 20 messages per connection, one reply at a time.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;

use crate::TAG;
use crate::meter::own_cpu;
use crate::world::authority::credulous_client;
use crate::world::wire::Wire;
use crate::world::{Result, STEP};

const PER_CONNECTION: u64 = 20;
const MAX_TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Args, Clone, Debug)]
pub struct Order {
    #[arg(long)]
    pub address: SocketAddr,
    #[arg(long)]
    pub run: String,
    #[arg(long)]
    pub count: u64,
    #[arg(long)]
    pub sessions: u64,
    #[arg(long)]
    pub size: usize,
    #[arg(long)]
    pub login: String,
    #[arg(long)]
    pub password: String,
}

impl Order {
    /// The command line that says the same.
    pub fn arguments(&self) -> Vec<String> {
        vec![
            "source".to_owned(),
            format!("--address={}", self.address),
            format!("--run={}", self.run),
            format!("--count={}", self.count),
            format!("--sessions={}", self.sessions),
            format!("--size={}", self.size),
            format!("--login={}", self.login),
            format!("--password={}", self.password),
        ]
    }
}

/// What came of it; the last line that the source prints.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sent {
    pub accepted: u64,
    pub temporary: u64,
    pub permanent: u64,
    pub broken: u64,
    pub given_up: u64,
    /// From the first connection to the last 250.
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub last_fault: String,
}

struct Load {
    order: Order,
    tls: Arc<ClientConfig>,
    body: Vec<u8>,
    next: AtomicU64,
    start: Instant,
    sent: Mutex<Sent>,
}

enum Fault {
    Temporary(String),
    Permanent(String),
    Broken(String),
}

/// Prints `start` when the first connection is about to be made, and the result as JSON at the end.
pub async fn run(order: Order) -> Result<()> {
    let mut tls = (*credulous_client()?).clone();
    // Each connection pays for its own handshake, as those of a clinic's many programs do.
    tls.resumption = Resumption::disabled();
    let body = body(order.size);
    let mut out = std::io::stdout();
    writeln!(out, "start")?;
    out.flush()?;
    let load = Arc::new(Load {
        order,
        tls: Arc::new(tls),
        body,
        next: AtomicU64::new(0),
        start: Instant::now(),
        sent: Mutex::new(Sent::default()),
    });
    let mut sessions = JoinSet::new();
    for _ in 0..load.order.sessions {
        sessions.spawn(session(Arc::clone(&load)));
    }
    while let Some(ended) = sessions.join_next().await {
        ended?;
    }
    let mut sent = load.sent.lock().unwrap_or_else(PoisonError::into_inner).clone();
    sent.cpu_seconds = own_cpu()?;
    writeln!(out, "{}", serde_json::to_string(&sent)?)?;
    Ok(())
}

/// Lines of 76 letters from a fixed sequence, as prose has them: words of one to eleven letters, now and then a capital.
fn body(size: usize) -> Vec<u8> {
    let mut state: u64 = 0x5EA1_9057;
    let mut roll = |sides: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    };
    let mut left = 0;
    let mut letter = || {
        if left == 0 {
            left = roll(11) + 1;
            return b' ';
        }
        left -= 1;
        let letter = b"etaoinshrdlucmfwygpbvk"[roll(22) as usize];
        if left > 2 && roll(60) == 0 { letter.to_ascii_uppercase() } else { letter }
    };
    let mut body = Vec::with_capacity(size + 80);
    while body.len() < size {
        body.extend((0..76).map(|_| letter()));
        body.extend_from_slice(b"\r\n");
    }
    body
}

async fn session(load: Arc<Load>) {
    let mut open: Option<(Wire, u64)> = None;
    loop {
        let number = load.next.fetch_add(1, Ordering::Relaxed);
        if number >= load.order.count {
            break;
        }
        for attempt in 1..=MAX_TRIES {
            match one(&load, &mut open, number).await {
                Ok(()) => break,
                Err(fault) => {
                    open = None;
                    if note(&load, fault, attempt) {
                        break;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
    if let Some((wire, _)) = open {
        quit(wire).await;
    }
}

/// Counts a fault; true when the message is given up.
fn note(load: &Load, fault: Fault, attempt: u32) -> bool {
    let mut sent = load.sent.lock().unwrap_or_else(PoisonError::into_inner);
    let permanent = matches!(fault, Fault::Permanent(_));
    let (count, text) = match fault {
        Fault::Temporary(text) => (&mut sent.temporary, text),
        Fault::Permanent(text) => (&mut sent.permanent, text),
        Fault::Broken(text) => (&mut sent.broken, text),
    };
    *count += 1;
    sent.last_fault = text;
    let given_up = permanent || attempt == MAX_TRIES;
    sent.given_up += u64::from(given_up);
    given_up
}

async fn one(load: &Load, open: &mut Option<(Wire, u64)>, number: u64) -> std::result::Result<(), Fault> {
    if let Some((wire, _)) = open.take_if(|(_, used)| *used == PER_CONNECTION) {
        quit(wire).await;
    }
    if open.is_none() {
        *open = Some((connect(load).await?, 0));
    }
    let Some((wire, used)) = open else { return Err(Fault::Broken("no connection".to_owned())) };
    *used += 1;
    let sender = "ehr@clinic.example";
    let recipient = format!("u{}@sink.example", number % 1000);
    say(wire, &format!("MAIL FROM:<{sender}>"), 250).await?;
    say(wire, &format!("RCPT TO:<{recipient}>"), 250).await?;
    say(wire, "DATA", 354).await?;
    let run = &load.order.run;
    let head = format!(
        "{TAG}: {run}-{number}\r\nFrom: EHR <{sender}>\r\nTo: {recipient}\r\nSubject: Load {run} {number}\r\n\
         Message-ID: <{run}.{number}@load.clinic.example>\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    );
    let room = load.order.size.saturating_sub(head.len());
    let content = [head.as_bytes(), &load.body[..room - room % 78], b".\r\n"].concat();
    wire.write(&content).await.map_err(|error| Fault::Broken(error.to_string()))?;
    expect(wire, 250).await?;
    let mut sent = load.sent.lock().unwrap_or_else(PoisonError::into_inner);
    sent.accepted += 1;
    sent.seconds = load.start.elapsed().as_secs_f64();
    Ok(())
}

async fn connect(load: &Load) -> std::result::Result<Wire, Fault> {
    let broken = |error: &dyn std::fmt::Display| Fault::Broken(error.to_string());
    let stream = timeout(STEP, TcpStream::connect(load.order.address)).await;
    let stream = stream.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
    let mut wire = Wire::plain(stream).map_err(|error| broken(&error))?;
    expect(&mut wire, 220).await?;
    say(&mut wire, "EHLO load.clinic.example", 250).await?;
    say(&mut wire, "STARTTLS", 220).await?;
    let tls = wire.connect_tls(Arc::clone(&load.tls), "relay.clinic.example").await;
    let mut wire = tls.map_err(|error| broken(&error))?;
    say(&mut wire, "EHLO load.clinic.example", 250).await?;
    let (login, password) = (&load.order.login, &load.order.password);
    let response = BASE64.encode(format!("\0{login}\0{password}").as_bytes());
    say(&mut wire, &format!("AUTH PLAIN {response}"), 235).await?;
    Ok(wire)
}

async fn say(wire: &mut Wire, line: &str, code: u16) -> std::result::Result<(), Fault> {
    wire.write(format!("{line}\r\n").as_bytes()).await.map_err(|error| Fault::Broken(error.to_string()))?;
    expect(wire, code).await
}

async fn expect(wire: &mut Wire, code: u16) -> std::result::Result<(), Fault> {
    let reply = wire.reply().await.map_err(|error| Fault::Broken(error.to_string()))?;
    match reply.code {
        found if found == code => Ok(()),
        500.. => Err(Fault::Permanent(reply.text())),
        _ => Err(Fault::Temporary(reply.text())),
    }
}

async fn quit(mut wire: Wire) {
    // The messages are through; how the server says goodbye is not measured.
    say(&mut wire, "QUIT", 221).await.ok();
    wire.close().await;
}
