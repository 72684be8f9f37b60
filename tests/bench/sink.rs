//! The counting sink: a mail server that takes everything under STARTTLS with a valid certificate and counts each
//! message once. Its standard input takes `reset RUN COUNT` and `stats`; each is answered with one line of JSON.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clap::Args;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::TAG;
use crate::meter::own_cpu;
use crate::world::Result;
use crate::world::wire::Wire;

const MAX_COUNT: usize = 4_000_000;
const HELLO_CLEAR: &[u8] = b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS\r\n";
/// AUTH is for the runs in which the source speaks to the sink directly.
const HELLO_TLS: &[u8] = b"250-sink.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN\r\n";

#[derive(Args, Clone, Debug)]
pub struct Order {
    #[arg(long)]
    pub address: SocketAddr,
    #[arg(long)]
    pub chain: PathBuf,
    #[arg(long)]
    pub key: PathBuf,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counted {
    pub unique: u64,
    pub duplicates: u64,
    /// Messages of another run, or without a tag.
    pub strange: u64,
    pub connections: u64,
    /// Messages that came in clear.
    pub clear: u64,
    /// How long ago the last message of this run came.
    pub since_last_seconds: f64,
    pub cpu_seconds: f64,
}

struct State {
    run: String,
    seen: Vec<bool>,
    counted: Counted,
    last: Instant,
}

struct Sink {
    tls: Arc<ServerConfig>,
    end: Regex,
    state: Mutex<State>,
}

impl Sink {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until its standard input is closed.
pub async fn run(order: Order) -> Result<()> {
    let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_file_iter(&order.chain)?.collect();
    let key = PrivateKeyDer::from_pem_file(&order.key)?;
    let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain?, key)?;
    let state = State { run: String::new(), seen: Vec::new(), counted: Counted::default(), last: Instant::now() };
    let sink = Arc::new(Sink { tls: Arc::new(tls), end: Regex::new(r"\r\n\.\r\n")?, state: Mutex::new(state) });
    let listener = TcpListener::bind(order.address).await?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut out = tokio::io::stdout();
    out.write_all(b"ready\n").await?;
    out.flush().await?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let sink = Arc::clone(&sink);
                // A relay may leave in any way it likes; what counts is counted by then.
                tokio::spawn(async move { connection(stream, &sink).await.ok() });
            }
            line = orders.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                out.write_all(format!("{}\n", obey(&sink, &line)?).as_bytes()).await?;
                out.flush().await?;
            }
        }
    }
}

fn obey(sink: &Sink, line: &str) -> Result<String> {
    let mut state = sink.lock();
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["reset", run, count] => {
            let count: usize = count.parse()?;
            state.run = run.to_owned();
            state.seen = vec![false; count.min(MAX_COUNT)];
            state.counted = Counted::default();
            state.last = Instant::now();
        }
        ["stats"] => {
            state.counted.since_last_seconds = state.last.elapsed().as_secs_f64();
            state.counted.cpu_seconds = own_cpu()?;
        }
        _ => return Err(format!("not an order: {line}").into()),
    }
    Ok(serde_json::to_string(&state.counted)?)
}

async fn connection(stream: TcpStream, sink: &Sink) -> Result<()> {
    let mut wire = Wire::plain(stream)?;
    sink.lock().counted.connections += 1;
    wire.write(b"220 sink.example ESMTP\r\n").await?;
    let mut content = Vec::new();
    while let Some(line) = wire.line().await? {
        let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
        let clear = wire.security.is_none();
        match verb.as_str() {
            "EHLO" => wire.write(if clear { HELLO_CLEAR } else { HELLO_TLS }).await?,
            "STARTTLS" => {
                wire.write(b"220 2.0.0 go ahead\r\n").await?;
                wire = wire.accept_tls(Arc::clone(&sink.tls)).await?;
            }
            "AUTH" => wire.write(b"235 2.7.0 whoever you are\r\n").await?,
            "DATA" => {
                wire.write(b"354 go on\r\n").await?;
                content.clear();
                wire.bulk(&mut content, &sink.end).await?;
                count(&content, clear, sink);
                wire.write(b"250 2.0.0 counted\r\n").await?;
            }
            "QUIT" => {
                wire.write(b"221 2.0.0 bye\r\n").await?;
                wire.close().await;
                return Ok(());
            }
            _ => wire.write(b"250 2.0.0 ok\r\n").await?,
        }
    }
    Ok(())
}

fn count(content: &[u8], clear: bool, sink: &Sink) {
    let tag = tag(content);
    let mut state = sink.lock();
    state.counted.clear += u64::from(clear);
    let number = tag.and_then(|tag| tag.strip_prefix(state.run.as_str())?.strip_prefix('-')?.parse::<usize>().ok());
    let Some(seen) = number.and_then(|number| state.seen.get_mut(number)) else {
        state.counted.strange += 1;
        return;
    };
    if std::mem::replace(seen, true) {
        state.counted.duplicates += 1;
    } else {
        state.counted.unique += 1;
        state.last = Instant::now();
    }
}

/// The tag's value; relays put their own headers in front of it.
fn tag(content: &[u8]) -> Option<&str> {
    let head = &content[..content.len().min(4096)];
    let mut lines = head.split(|&byte| byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(TAG.as_bytes())?.strip_prefix(b": "))?;
    std::str::from_utf8(line).ok().map(str::trim_end)
}
