//! The dialogs of tests/dialogs, played against the session and the decoder without any socket.
//!
//! `C:` is a line of the client, `C>` octets of it with `\r`, `\n` and `\0` written out, `S:` the next line of the server
//! (a `*` at its end stands for any rest). `--` tells what else happens: `-- listener submissions`, `-- limit NAME N` and
//! `-- line ends normalise` before the first line; `-- handshake`; `-- taken FROM to RECIPIENTS, N octets`; `-- closed`.

#![cfg(test)]

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use sealpost::config::RelayTls;
use sealpost::mail::{
    Address, ClientName, Domain, Enhanced, Envelope, LineEnds, Proof, Reply, ReversePath, WireLimits,
};
use sealpost::smtp::{
    Answering, Authenticating, Channel, Chunked, Chunking, Claim, Command, Credentials, Decoder, Entrance, Feed,
    Logins, Securing, Senders, Session, Settings, Step, Submitter,
};

#[test]
fn every_dialog_goes_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogs");
    let mut played = 0;
    let mut faults = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|ending| ending == "smtp") {
            played += 1;
            if let Err(fault) = play(&std::fs::read_to_string(&file).unwrap()) {
                writeln!(faults, "{}: {fault}", file.file_name().unwrap().display()).unwrap();
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
    assert!(played >= 8, "only {played} dialogs were found");
}

#[test]
fn a_dialog_that_goes_otherwise_is_noticed() {
    for wrong in [
        "S: 220 other.example",
        "S: 220 relay.clinic.example ESMTP Sealpost\nC: NOOP\nS: 500*",
        "C: NOOP\nS: 220*\nS: 250*\nS: 250*",
        "C: QUIT\nS: 220*",
        "C: NOOP\nS: 220*\nS: 250*\n-- closed",
        "-- handshake",
        "-- taken <> to <a@b.example>, 1 octets",
        "X: what",
    ] {
        assert!(play(wrong).is_err(), "{wrong}");
    }
}

/// What the dialog waits for.
enum Awaits {
    Command(Box<Session>),
    Response(Authenticating),
    Handshake(Securing),
    Message(Box<(Decoder, Envelope, Answering)>),
    /// So many octets of a chunk.
    Chunk(u64, Box<Chunking>),
    /// So many octets that are read over.
    Skipped(u64, Box<Step>),
    Nothing,
}

struct Stage {
    awaits: Awaits,
    /// The chunks of a message that is not whole.
    chunks: Option<Decoder>,
    input: Vec<u8>,
    said: VecDeque<String>,
    taken: VecDeque<String>,
    limits: WireLimits,
    line_ends: LineEnds,
}

fn play(text: &str) -> Result<(), String> {
    let mut entrance = Entrance::Submission;
    let mut settings = Settings {
        hostname: Domain::parse("relay.clinic.example").unwrap(),
        postmaster: Address::parse("it@clinic.example").unwrap(),
        message_bytes: 1000,
        recipients: 5,
        messages: 5,
        errors: 20,
    };
    let mut limits = WireLimits { message_bytes: 1000, header_bytes: 200, line_bytes: 100 };
    let mut line_ends = LineEnds::Strict;
    let mut stage = None;
    for (at, line) in text.lines().enumerate() {
        let told = |fault: String| format!("line {}: {line}\n    {fault}", at + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("-- listener ") {
            entrance = self::entrance(name).map_err(told)?;
        } else if line == "-- line ends normalise" {
            line_ends = LineEnds::Normalise;
        } else if let Some(limit) = line.strip_prefix("-- limit ") {
            set(limit, &mut settings, &mut limits).map_err(told)?;
        } else {
            let stage =
                stage.get_or_insert_with(|| Stage::open(settings.clone(), entrance.clone(), (limits, line_ends)));
            stage.line(line).map_err(told)?;
        }
    }
    let Some(stage) = stage else { return Err("nothing is said".into()) };
    match (stage.said.front(), stage.taken.front()) {
        (None, None) => Ok(()),
        (Some(said), _) => Err(format!("the server also said: {said}")),
        (_, Some(taken)) => Err(format!("also taken: {taken}")),
    }
}

/// `submission`, `submissions`, `relay required`, `relay optional`, `legacy`; a visitor is known by its network, and a
/// stranger is not: `relay required visitor`.
fn entrance(name: &str) -> Result<Entrance, String> {
    let scanner = || Submitter {
        name: ClientName("scanner".into()),
        senders: Senders(vec!["*@clinic.example".into()]),
        return_paths: Senders(Vec::new()),
        proof: Proof::Network,
    };
    let (door, visitor) = match name.strip_suffix(" visitor") {
        Some(door) => (door, Some(scanner())),
        None => (name, None),
    };
    match door {
        "submission" => Ok(Entrance::Submission),
        "submissions" => Ok(Entrance::Submissions),
        "relay required" => Ok(Entrance::Relay { tls: RelayTls::Required, visitor }),
        "relay optional" => Ok(Entrance::Relay { tls: RelayTls::Optional, visitor }),
        "legacy" => Ok(Entrance::Legacy { visitor }),
        _ => Err("no such listener".into()),
    }
}

fn set(limit: &str, settings: &mut Settings, limits: &mut WireLimits) -> Result<(), String> {
    let (name, number) = limit.split_once(' ').ok_or("a limit has a name and a number")?;
    let number: usize = number.parse().map_err(|_| "a limit is a number")?;
    match name {
        "recipients" => settings.recipients = number,
        "messages" => settings.messages = number,
        "errors" => settings.errors = number,
        "header" => limits.header_bytes = number,
        "line" => limits.line_bytes = number,
        "size" => (settings.message_bytes, limits.message_bytes) = (number, number),
        _ => return Err("no such limit".into()),
    }
    Ok(())
}

impl Stage {
    fn open(settings: Settings, entrance: Entrance, (limits, line_ends): (WireLimits, LineEnds)) -> Stage {
        let (said, taken) = (VecDeque::new(), VecDeque::new());
        let mut stage =
            Stage { awaits: Awaits::Nothing, chunks: None, input: Vec::new(), said, taken, limits, line_ends };
        stage.obey(Session::open(Arc::new(settings), entrance, channel()));
        stage
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let line = if line == "C:" { "C: " } else { line };
        let (mark, text) = line.split_at_checked(3).ok_or("not a line of a dialog")?;
        match mark {
            "C: " => self.hear(format!("{text}\r\n").as_bytes()),
            "C> " => self.hear(&written_out(text)),
            "S: " => {
                let said = self.said.pop_front().ok_or("the server said nothing")?;
                let same = match text.strip_suffix('*') {
                    Some(start) => said.starts_with(start),
                    None => said == text,
                };
                if same { Ok(()) } else { Err(format!("the server said: {said}")) }
            }
            "-- " => self.event(text),
            _ => Err("not a line of a dialog".into()),
        }
    }

    fn event(&mut self, text: &str) -> Result<(), String> {
        if text == "closed" {
            return if matches!(self.awaits, Awaits::Nothing) { Ok(()) } else { Err("it is open".into()) };
        }
        if text == "handshake" {
            return match std::mem::replace(&mut self.awaits, Awaits::Nothing) {
                Awaits::Handshake(securing) => {
                    self.awaits = Awaits::Command(Box::new(securing.secured(channel())));
                    Ok(())
                }
                _ => Err("no handshake is due".into()),
            };
        }
        let expected = text.strip_prefix("taken ").ok_or("no such event")?;
        let taken = self.taken.pop_front().ok_or("nothing was taken")?;
        if taken == expected { Ok(()) } else { Err(format!("taken: {taken}")) }
    }

    fn hear(&mut self, octets: &[u8]) -> Result<(), String> {
        self.input.extend_from_slice(octets);
        while !self.input.is_empty() {
            match std::mem::replace(&mut self.awaits, Awaits::Nothing) {
                Awaits::Nothing => return Err("the connection is closed".into()),
                Awaits::Handshake(_) => return Err("a handshake is due".into()),
                Awaits::Message(message) => {
                    if !self.receive(*message) {
                        return Ok(());
                    }
                }
                Awaits::Chunk(left, chunking) => self.gather(left, *chunking),
                Awaits::Skipped(left, next) => self.skip(left, *next),
                waiting @ (Awaits::Command(_) | Awaits::Response(_)) => {
                    let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") else {
                        self.awaits = waiting;
                        return Ok(());
                    };
                    let line: Vec<u8> = self.input.drain(..end + 2).take(end).collect();
                    match waiting {
                        Awaits::Command(session) => self.obey(session.handle(Command::parse(&line))),
                        Awaits::Response(exchange) => self.obey(exchange.respond(&line)),
                        Awaits::Handshake(_)
                        | Awaits::Message(_)
                        | Awaits::Chunk(..)
                        | Awaits::Skipped(..)
                        | Awaits::Nothing => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes what is there of a message, and says whether its end was.
    fn receive(&mut self, (mut decoder, envelope, answering): (Decoder, Envelope, Answering)) -> bool {
        match decoder.feed(&self.input) {
            Feed::More => {
                self.input.clear();
                self.awaits = Awaits::Message(Box::new((decoder, envelope, answering)));
                false
            }
            Feed::End { used } => {
                self.input.drain(..used);
                match decoder.finish() {
                    Ok(message) => {
                        self.taken.push_back(shown(&envelope, message.len()));
                        self.obey(answering.answered(Reply::new(250, Enhanced::new(2, 0, 0), "queued")));
                    }
                    Err(fault) => self.obey(answering.malformed(fault)),
                }
                true
            }
        }
    }

    /// The octets that came of what is awaited, and how many are still to come.
    fn octets(&mut self, left: u64) -> (Vec<u8>, u64) {
        let here = self.input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        (self.input.drain(..here).collect(), left - here as u64)
    }

    fn skip(&mut self, left: u64, next: Step) {
        match self.octets(left) {
            (_, 0) => self.obey(next),
            (_, left) => self.awaits = Awaits::Skipped(left, Box::new(next)),
        }
    }

    fn gather(&mut self, left: u64, chunking: Chunking) {
        let (limits, line_ends) = (self.limits, self.line_ends);
        let (octets, left) = self.octets(left);
        let decoder = self.chunks.get_or_insert_with(|| Decoder::counted(limits, line_ends));
        decoder.feed(&octets);
        if left > 0 {
            self.awaits = Awaits::Chunk(left, Box::new(chunking));
            return;
        }
        if chunking.is_last() {
            decoder.close();
        }
        if let Some(fault) = decoder.fault() {
            return self.obey(chunking.malformed(fault));
        }
        match (chunking.kept(), self.chunks.take()) {
            (Chunked::Whole(receiving), Some(decoder)) => {
                let (envelope, answering) = receiving.whole();
                self.taken.push_back(shown(&envelope, decoder.finish().unwrap().len()));
                self.obey(answering.answered(Reply::new(250, Enhanced::new(2, 0, 0), "queued")));
            }
            (Chunked::More(step), chunks) => {
                self.chunks = chunks;
                self.obey(step);
            }
            (Chunked::Whole(_), None) => panic!("a whole message without content"),
        }
    }

    fn obey(&mut self, step: Step) {
        match step {
            Step::Reply(session, reply) => {
                if !session.holds_chunks() {
                    self.chunks = None;
                }
                self.say(&reply);
                self.awaits = Awaits::Command(Box::new(session));
            }
            Step::Challenge(reply, exchange) => {
                self.say(&reply);
                self.awaits = Awaits::Response(exchange);
            }
            Step::StartTls(reply, securing) => {
                self.say(&reply);
                self.awaits = Awaits::Handshake(securing);
            }
            // SCRAM is told in src/smtp/scram.rs and scram.rs: its lines differ each time.
            Step::LookUp(_, looking) => self.obey(looking.refused(Reply::new(535, Enhanced::new(5, 7, 8), "wrong"))),
            Step::Verify(Claim::Scram(..) | Claim::Certificate(_), verifying) => {
                self.obey(verifying.refused(Reply::new(535, Enhanced::new(5, 7, 8), "wrong")));
            }
            Step::Verify(Claim::Password(credentials), verifying) => match known(&credentials) {
                Ok(submitter) => self.obey(verifying.accepted(submitter)),
                Err(reply) => self.obey(verifying.refused(reply)),
            },
            Step::Receive(receiving) => {
                let (reply, envelope, answering) = receiving.begin();
                self.say(&reply);
                self.awaits =
                    Awaits::Message(Box::new((Decoder::new(self.limits, self.line_ends), envelope, answering)));
            }
            Step::Chunk(chunking) => self.gather(chunking.octets(), chunking),
            Step::Skip(octets, next) => self.skip(octets, *next),
            Step::Close(reply) => self.say(&reply),
            Step::Drop => {}
        }
    }

    fn say(&mut self, reply: &Reply) {
        let wire = String::from_utf8(reply.to_wire()).unwrap();
        self.said.extend(wire.lines().map(str::to_owned));
    }
}

fn channel() -> Channel {
    Channel { exporter: None, certified: None, logins: Logins { passwords: true, scram: false } }
}

/// `openemr` may use the clinic's addresses, `monitor` reports as nobody, `old-scanner` is suspended.
fn known(credentials: &Credentials) -> Result<Submitter, Reply> {
    let senders = match (credentials.login.expose().as_str(), credentials.password.expose().as_str()) {
        ("openemr", "correct horse") => vec!["*@clinic.example".into()],
        ("monitor", "correct horse") => vec!["<>".into()],
        ("old-scanner", "correct horse") => return Err(Reply::new(454, Enhanced::new(4, 7, 0), "suspended")),
        _ => return Err(Reply::new(535, Enhanced::new(5, 7, 8), "wrong")),
    };
    Ok(Submitter {
        name: ClientName("client".into()),
        senders: Senders(senders),
        return_paths: Senders(Vec::new()),
        proof: Proof::Password,
    })
}

fn shown(envelope: &Envelope, octets: usize) -> String {
    let sender = match envelope.sender() {
        ReversePath::Null => "",
        ReversePath::Mailbox(address) => address.expose(),
    };
    let recipients: Vec<_> = envelope.recipients().iter().map(|address| format!("<{}>", address.expose())).collect();
    format!("<{sender}> to {}, {octets} octets", recipients.join(" "))
}

fn written_out(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0").into_bytes()
}
