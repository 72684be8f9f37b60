//! A mail server that says what a test wants to hear, and remembers what it heard, in clear and under TLS.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::net::tls::stand_in::Identity;

/// Says nothing any more.
pub(super) const HANG: &str = "hang";
/// Hangs up instead of answering.
pub(super) const CLOSE: &str = "close";

#[derive(Clone)]
pub(super) struct Script {
    /// What EHLO offers, beside STARTTLS.
    pub(super) offers: &'static [&'static str],
    pub(super) starttls: &'static [&'static str],
    /// Answers given in place of the usual one, each once: at `GREETING`, `EHLO`, `STARTTLS`, `TLS-EHLO`, `MAIL`,
    /// `AUTH`, `RCPT`, `DATA`, `CONTENT`, `BDAT`, `BEHIND` these or `RSET`. At `HANDSHAKE`, behind the 220, it can hang up only.
    pub(super) says: Vec<(&'static str, &'static str)>,
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    says: Arc<Mutex<VecDeque<(&'static str, &'static str)>>>,
    script: Script,
    identity: Identity,
}

pub(super) fn plain() -> Script {
    Script { offers: &["PIPELINING", "8BITMIME", "SMTPUTF8"], starttls: &["STARTTLS"], says: Vec::new() }
}

pub(super) fn saying(says: &[(&'static str, &'static str)]) -> Script {
    Script { says: says.to_vec(), ..plain() }
}

impl Server {
    pub(super) async fn start(script: Script, identity: Identity) -> Server {
        Server::start_at("127.0.0.1:0", script, identity).await
    }

    pub(super) async fn start_at(bind: &str, script: Script, identity: Identity) -> Server {
        let listener = TcpListener::bind(bind).await.unwrap();
        let says = Arc::new(Mutex::new(script.says.iter().copied().collect()));
        let address = listener.local_addr().unwrap();
        let server = Server { address, heard: Arc::default(), says, script, identity };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // What is said leaves at once, and not with the peer's next acknowledgement.
                tcp.set_nodelay(true).unwrap();
                serving.note("(connected)");
                let server = serving.clone();
                tokio::spawn(async move { server.greet(tcp).await });
            }
        });
        server
    }

    /// Every line it was sent, in order; content without its dots doubled.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(super) fn count(&self, what: &str) -> usize {
        self.heard().iter().filter(|line| line.starts_with(what)).count()
    }

    pub(super) fn will_say(&self, at: &'static str, text: &'static str) {
        self.says.lock().unwrap().push_back((at, text));
    }

    fn note(&self, line: &str) {
        self.heard.lock().unwrap().push(line.to_owned());
    }

    /// The answer at this point: the scripted one, or the usual one. None hangs up.
    fn answer(&self, at: &str, usual: &str) -> Option<String> {
        let mut says = self.says.lock().unwrap();
        let scripted = says.iter().position(|(point, _)| *point == at).and_then(|index| says.remove(index));
        let text = scripted.map_or(usual, |(_, text)| text);
        (text != CLOSE).then(|| format!("{text}\r\n"))
    }

    async fn greet(&self, tcp: TcpStream) -> Option<()> {
        let mut clear = BufReader::new(tcp);
        clear.write_all(self.answer("GREETING", "220 mx.lab.example ESMTP")?.as_bytes()).await.ok()?;
        loop {
            let line = read(&mut clear).await?;
            self.note(&line);
            let answer = match verb(&line).as_str() {
                "EHLO" => self.answer("EHLO", &hello(self.script.starttls))?,
                "STARTTLS" => self.answer("STARTTLS", "220 go ahead")?,
                _ => "530 5.7.0 Must issue STARTTLS\r\n".to_owned(),
            };
            clear.write_all(answer.as_bytes()).await.ok()?;
            if verb(&line) == "STARTTLS" && answer.starts_with("220") {
                self.answer("HANDSHAKE", "")?;
                let tls = self.identity.accept(clear.into_inner()).await.ok()?;
                self.note("(tls)");
                if tls.get_ref().1.peer_certificates().is_some() {
                    self.note("(client certificate)");
                }
                return self.talk(BufReader::new(tls)).await;
            }
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, mut tls: BufReader<S>) -> Option<()> {
        loop {
            let line = read(&mut tls).await?;
            self.note(&line);
            let answer = match verb(&line).as_str() {
                "EHLO" => self.answer("TLS-EHLO", &hello(self.script.offers))?,
                "AUTH" => {
                    let asked = log_in(&line, &mut tls).await?;
                    self.answer("AUTH", if asked { "235 2.7.0 welcome" } else { "535 5.7.8 no" })?
                }
                "MAIL" => self.answer("MAIL", "250 2.1.0 ok")?,
                "RCPT" => self.answer("RCPT", "250 2.1.5 ok")?,
                "DATA" => self.answer("DATA", "354 go ahead")?,
                "BDAT" => self.chunk(&mut tls, &line).await?,
                "RSET" => self.answer("RSET", "250 2.0.0 ok")?,
                "QUIT" => "221 bye\r\n".to_owned(),
                _ => "500 what\r\n".to_owned(),
            };
            hang_if(&answer).await;
            tls.write_all(answer.as_bytes()).await.ok()?;
            if answer.starts_with("354") {
                while let Some(line) = read(&mut tls).await.filter(|line| line != ".") {
                    self.note(&format!("> {}", line.strip_prefix('.').unwrap_or(&line)));
                }
                let answer = self.answer("CONTENT", "250 2.0.0 Ok: queued as 4X7Q")?;
                hang_if(&answer).await;
                tls.write_all(answer.as_bytes()).await.ok()?;
            }
            tls.flush().await.ok()?;
            if matches!(verb(&line).as_str(), "DATA" | "BDAT") {
                self.speak_unasked(&mut tls).await?;
            }
        }
    }
}

impl Server {
    /// Behind the answer to a message, what nobody asked for.
    async fn speak_unasked<S: AsyncWrite + Unpin>(&self, tls: &mut S) -> Option<()> {
        let behind = self.answer("BEHIND", "")?;
        if !behind.trim().is_empty() {
            tls.write_all(behind.as_bytes()).await.ok()?;
            tls.flush().await.ok()?;
            self.note("(spoke unasked)");
        }
        Some(())
    }

    /// Reads the octets that were announced, and answers them. A server that does not know BDAT reads commands instead.
    async fn chunk<S: AsyncRead + AsyncWrite + Unpin>(&self, tls: &mut BufReader<S>, line: &str) -> Option<String> {
        let answer = self.answer("BDAT", "250 2.0.0 Ok: queued as 5Y8R")?;
        if answer.starts_with("500") {
            return Some(answer);
        }
        let mut octets = vec![0; line.split(' ').nth(1)?.parse().ok()?];
        tls.read_exact(&mut octets).await.ok()?;
        String::from_utf8_lossy(&octets)
            .split_inclusive("\r\n")
            .for_each(|line| self.note(&format!("> {}", line.trim_end())));
        Some(answer)
    }
}

async fn hang_if(answer: &str) {
    if answer.trim() == HANG {
        std::future::pending::<()>().await;
    }
}

/// Whether a login, in whichever way, is Ann's.
async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(line: &str, tls: &mut BufReader<S>) -> Option<bool> {
    let decoded = |text: &str| String::from_utf8(BASE64.decode(text.as_bytes()).unwrap()).unwrap();
    if let Some(initial) = line.strip_prefix("AUTH PLAIN ") {
        return Some(decoded(initial) == "\0ann\0correct horse");
    }
    let mut said = Vec::new();
    for challenge in ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"] {
        tls.write_all(format!("334 {challenge}\r\n").as_bytes()).await.ok()?;
        tls.flush().await.ok()?;
        said.push(decoded(&read(tls).await?));
    }
    Some(said == ["ann", "correct horse"])
}

async fn read<S: AsyncRead + Unpin>(from: &mut BufReader<S>) -> Option<String> {
    let mut line = String::new();
    let read = from.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end_matches("\r\n").to_owned())
}

fn verb(line: &str) -> String {
    line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase()
}

fn hello(offers: &[&str]) -> String {
    let mut lines = vec!["mx.lab.example"];
    lines.extend(offers);
    let last = lines.len() - 1;
    let text = |(at, line): (usize, &&str)| format!("250{}{line}", if at == last { ' ' } else { '-' });
    lines.iter().enumerate().map(text).collect::<Vec<_>>().join("\r\n")
}
