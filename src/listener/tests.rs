//! Dialogs over real sockets.

mod changed;
mod chunks;
mod promises;
mod slow;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use data_encoding::BASE64;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::*;
use crate::accounts::Lockout;
use crate::clock::{ManualClock, Timestamp};
use crate::config::{Client, Door, Login, OnRefusal, Profile};
use crate::crypto::{Key, hash_password};
use crate::mail::{Address, ClientName, Domain, Enhanced, Proof};
use crate::net::tls::trial::Trial;

const HOST: &str = "relay.clinic.example";
const MESSAGE: &str = "Subject: visit\r\n\r\nSee you on Monday.\r\n.\r\n";
const ENVELOPE: &str = "MAIL FROM:<ann@clinic.example>\r\nRCPT TO:<bob@lab.example>\r\nDATA\r\n";

/// An intake that does as it is told, and remembers what it was given.
#[derive(Debug)]
struct Desk {
    does: Does,
    taken: Mutex<Vec<(Envelope, Message, Peer)>>,
    /// One permit lets one message through.
    gate: Semaphore,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    Keep,
    KeepWhenLet,
    Refuse,
    Panic,
}

impl Accepts for Desk {
    type Receipt = MessageId;

    async fn accept(&self, envelope: Envelope, message: Message, peer: Peer) -> Result<MessageId, Refused> {
        match self.does {
            Does::Keep => {}
            Does::KeepWhenLet => self.gate.acquire().await.unwrap().forget(),
            Does::Refuse => {
                let reply = Reply::new(451, Enhanced::new(4, 3, 0), "not now");
                return Err(Refused { reply, why: Why::Later });
            }
            Does::Panic => panic!("as it was told"),
        }
        self.taken.lock().unwrap().push((envelope, message, peer));
        Ok(MessageId::from_parts(Timestamp::from_millis(1_795_493_220_007), 7))
    }

    fn id(receipt: &MessageId) -> MessageId {
        *receipt
    }

    fn decided(_: &MessageId) -> Decided {
        Decided { deliver: 1, ..Decided::default() }
    }
}

pub(super) fn limits() -> Limits {
    let long = Duration::from_secs(20);
    Limits {
        message_bytes: 100_000,
        header_bytes: 10_000,
        line_bytes: 1_000,
        command_bytes: 2_048,
        recipients: 10,
        connections: 20,
        connections_per_address: 20,
        connections_per_minute: 1_000,
        messages_per_connection: 10,
        errors_per_connection: 5,
        lockout_after: 10,
        lockout: long,
        idle: long,
        session: long,
        login: long,
        data: long,
        memory_bytes: 1_000_000,
        disk_reserve_bytes: 0,
        mime_depth: 1,
        mime_parts: 1,
        mime_ratio: 1,
        mime_bytes: 1,
        extract_time: Duration::from_secs(20),
        extract_memory: 1 << 30,
        archive_depth: 5,
    }
}

fn openemr(suspended: bool) -> Client {
    Client {
        name: ClientName("openemr".into()),
        profile: Profile::Standard,
        return_paths: Vec::new(),
        login: Some(Login { name: "openemr".into(), password_hash: hash_password("x").ok(), scram: None }),
        certificates: vec![],
        senders: vec!["*@clinic.example".into()],
        networks: vec![],
        on_refusal: OnRefusal::Reject,
        rates: config::Rates::default(),
        trust_headers: false,
        receipt: false,
        may_opt_out: config::Permission::NotGranted,
        care: config::Care::default(),
        suspended,
    }
}

/// A client that has messages in hand elsewhere.
fn other() -> ClientName {
    ClientName("crm".into())
}

/// A listener that runs, and all that stands around it.
struct House {
    trial: Trial,
    address: SocketAddr,
    shared: Arc<Shared<Desk>>,
    full: Arc<AtomicBool>,
    clock: Arc<ManualClock>,
    drain: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl House {
    async fn open(door: Door, limits: Limits, does: Does) -> House {
        House::bind(door, limits, does).await.serve().await
    }

    async fn bind(door: Door, limits: Limits, does: Does) -> Closed {
        let mut trial = Trial::new();
        let tls = Arc::new(tls::Server::load(&trial.tls(HOST), &[]).unwrap());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_007)));
        let settings = Settings {
            hostname: Domain::parse(HOST).unwrap(),
            postmaster: Address::parse("it@clinic.example").unwrap(),
            message_bytes: limits.message_bytes,
            recipients: limits.recipients,
            messages: limits.messages_per_connection,
            errors: limits.errors_per_connection,
        };
        let full = Arc::new(AtomicBool::new(false));
        let asked = full.clone();
        let rooms = Rooms {
            accounts: Arc::new(
                Accounts::new(vec![openemr(false)], Lockout::of(&limits), Key::new([7; 32]), clock.clone()).unwrap(),
            ),
            intake: Arc::new(Desk { does, taken: Mutex::default(), gate: Semaphore::new(0) }),
            clock: clock.clone(),
            disk: Box::new(move || if asked.load(Ordering::SeqCst) { Disk::Short } else { Disk::Enough }),
        };
        let known = HashMap::from([(ClientName("openemr".into()), Known::of(&openemr(false)))]);
        let rules = Rules { settings: Arc::new(settings), limits, rates: HashMap::new(), known };
        let shared = Arc::new(Shared::with(rules, rooms));
        let listener = config::Listener::new(door, "127.0.0.1:0".parse().unwrap());
        Closed { trial, tls, shared, full, clock, bound: bind(&listener).await.unwrap() }
    }

    async fn connect(&self) -> Talk<TcpStream> {
        Talk { stream: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// Connected, under TLS and logged in.
    async fn log_in(&self) -> Talk<crate::net::Stream> {
        let mut clear = self.connect().await;
        clear.expect("220 relay.clinic.example ESMTP Sealpost\r\n").await;
        clear.say("EHLO ehr\r\n").await;
        clear.expect_end("250 ENHANCEDSTATUSCODES\r\n").await;
        clear.say("STARTTLS\r\n").await;
        clear.expect("220 2.0.0 ready to start TLS\r\n").await;
        let mut talk = Talk { stream: self.trial.connect(clear.stream, HOST).await.unwrap(), read: Vec::new() };
        talk.say("EHLO ehr\r\n").await;
        talk.expect_end("250 ENHANCEDSTATUSCODES\r\n").await;
        talk.say(&format!("AUTH PLAIN {}\r\n", BASE64.encode(b"\0openemr\0x"))).await;
        talk.expect("235 2.7.0 logged in\r\n").await;
        talk
    }

    fn taken(&self) -> usize {
        self.shared.intake.taken.lock().unwrap().len()
    }
}

/// A port that is taken, with nobody there to answer yet.
struct Closed {
    trial: Trial,
    tls: Arc<tls::Server>,
    shared: Arc<Shared<Desk>>,
    full: Arc<AtomicBool>,
    clock: Arc<ManualClock>,
    bound: Bound,
}

impl Closed {
    async fn serve(self) -> House {
        let Closed { trial, tls, shared, full, clock, bound } = self;
        let (address, drain) = (bound.address().unwrap(), CancellationToken::new());
        let running = tokio::spawn(bound.serve(tls, shared.clone(), drain.clone()));
        House { trial, address, shared, full, clock, drain, running }
    }
}

/// The client's side of a dialog.
struct Talk<S> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads until `text` has come, which must be the next thing that does.
    async fn expect(&mut self, text: &str) {
        while self.read.len() < text.len() && self.more().await {}
        let got: Vec<u8> = self.read.drain(..text.len().min(self.read.len())).collect();
        assert_eq!(String::from_utf8_lossy(&got), text);
    }

    /// Reads until what has come ends in `text`, and gives all of it.
    async fn expect_end(&mut self, text: &str) -> String {
        while !self.read.ends_with(text.as_bytes()) && self.more().await {}
        let got = String::from_utf8_lossy(&self.read).into_owned();
        assert!(got.ends_with(text), "{got}");
        self.read.clear();
        got
    }

    /// Reads to the end of the connection, before which only `text` may come.
    async fn expect_close(&mut self, text: &str) {
        while self.more().await {}
        assert_eq!(String::from_utf8_lossy(&self.read), text);
    }

    async fn more(&mut self) -> bool {
        let reading = self.stream.read_buf(&mut self.read);
        let read = tokio::time::timeout(Duration::from_secs(10), reading).await.expect("no answer came");
        matches!(read, Ok(octets) if octets > 0)
    }
}

const QUEUED: &str = "250 2.0.0 queued as ";

#[tokio::test]
async fn a_message_is_taken_over_starttls_and_the_intake_knows_from_whom() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    talk.say(ENVELOPE).await;
    talk.expect_end("354 send the message, end it with <CRLF>.<CRLF>\r\n").await;
    talk.say(MESSAGE).await;
    assert!(talk.expect_end("\r\n").await.starts_with(QUEUED));
    let (envelope, message, peer) = house.shared.intake.taken.lock().unwrap().pop().unwrap();
    assert_eq!(envelope.recipients()[0].expose(), "bob@lab.example");
    assert_eq!(message.bytes(), "Subject: visit\r\n\r\nSee you on Monday.\r\n");
    assert_eq!((peer.client, peer.proof), (Some(ClientName("openemr".into())), Some(Proof::Password)));
    assert_eq!(peer.tls.unwrap().version, "TLSv1.3");
    talk.say("QUIT\r\n").await;
    talk.expect_close("221 2.0.0 goodbye\r\n").await;
}

#[tokio::test]
async fn submissions_speak_tls_from_the_first_octet() {
    let house = House::open(Door::Submissions, limits(), Does::Keep).await;
    let stream = house.trial.connect(TcpStream::connect(house.address).await.unwrap(), HOST).await.unwrap();
    let mut talk = Talk { stream, read: Vec::new() };
    talk.expect("220 relay.clinic.example ESMTP Sealpost\r\n").await;
    talk.say("EHLO ehr\r\n").await;
    let offers = talk.expect_end("250 ENHANCEDSTATUSCODES\r\n").await;
    assert!(offers.contains("AUTH PLAIN LOGIN") && !offers.contains("STARTTLS"), "{offers}");
}

#[tokio::test]
async fn replies_to_commands_that_came_together_are_sent_in_their_order() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    talk.say(&format!("RSET\r\nNOOP\r\nBOGUS\r\n{ENVELOPE}")).await;
    talk.expect(concat!(
        "250 2.0.0 OK\r\n250 2.0.0 OK\r\n500 5.5.2 command not recognised\r\n250 2.1.0 sender OK\r\n",
        "250 2.1.5 recipient OK\r\n354 send the message, end it with <CRLF>.<CRLF>\r\n"
    ))
    .await;
    talk.say(&format!("{MESSAGE}{ENVELOPE}")).await;
    let got = talk.expect_end("354 send the message, end it with <CRLF>.<CRLF>\r\n").await;
    assert!(got.starts_with(QUEUED) && got.contains("250 2.1.5 recipient OK\r\n354"), "{got}");
    talk.say(&format!("{MESSAGE}QUIT\r\n")).await;
    talk.expect_end("221 2.0.0 goodbye\r\n").await;
    assert_eq!(house.taken(), 2);
}

#[tokio::test]
async fn what_was_sent_behind_starttls_is_not_run() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.connect().await;
    talk.expect_end("Sealpost\r\n").await;
    talk.say("EHLO ehr\r\n").await;
    talk.expect_end("250 ENHANCEDSTATUSCODES\r\n").await;
    talk.say("STARTTLS\r\nRSET\r\n").await;
    talk.expect_close("").await;
}

#[tokio::test]
async fn what_was_said_before_tls_is_forgotten_under_it() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut clear = house.connect().await;
    clear.expect_end("Sealpost\r\n").await;
    clear.say("EHLO ehr\r\n").await;
    clear.expect_end("250 ENHANCEDSTATUSCODES\r\n").await;
    clear.say("STARTTLS\r\n").await;
    clear.expect_end("TLS\r\n").await;
    let mut talk = Talk { stream: house.trial.connect(clear.stream, HOST).await.unwrap(), read: Vec::new() };
    talk.say("AUTH PLAIN AG9wZW5lbXIAeA==\r\n").await;
    talk.expect("503 5.5.1 EHLO first\r\n").await;
}

#[tokio::test]
async fn who_speaks_before_the_greeting_is_turned_away() {
    let closed = House::bind(Door::Submission, limits(), Does::Keep).await;
    let stream = TcpStream::connect(closed.bound.address().unwrap()).await.unwrap();
    let mut early = Talk { stream, read: Vec::new() };
    early.say("EHLO bot\r\nMAIL FROM:<>\r\n").await;
    let _house = closed.serve().await;
    early.expect_close("554 5.5.1 wait for the greeting before speaking\r\n").await;
}

#[tokio::test]
async fn a_browser_is_given_no_answer() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.connect().await;
    talk.expect_end("Sealpost\r\n").await;
    talk.say("POST / HTTP/1.1\r\nHost: relay\r\n\r\nEHLO x\r\n").await;
    talk.expect_close("").await;
}

#[tokio::test]
async fn lines_that_are_too_long_or_end_in_a_bare_line_feed_end_the_dialog() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    for (line, reply) in [
        (format!("NOOP {}\r\n", "x".repeat(3000)), "500 5.5.6 the line is too long\r\n"),
        ("x".repeat(3000), "500 5.5.6 the line is too long\r\n"),
        ("NOOP\nNOOP\r\n".into(), "500 5.5.2 a line ends in CRLF\r\n"),
    ] {
        let mut talk = house.connect().await;
        talk.expect_end("Sealpost\r\n").await;
        talk.say(&line).await;
        talk.expect_close(reply).await;
    }
}

#[tokio::test]
async fn each_wait_has_its_end_and_its_reply() {
    let short = Duration::from_millis(150);
    let idle = House::open(Door::Submission, Limits { idle: short, ..limits() }, Does::Keep).await;
    let mut talk = idle.connect().await;
    talk.expect_end("Sealpost\r\n").await;
    talk.say("NOO").await;
    talk.expect_close("421 4.4.2 no command came in time\r\n").await;

    let session = House::open(Door::Submission, Limits { session: short, ..limits() }, Does::Keep).await;
    let mut talk = session.connect().await;
    talk.expect_end("Sealpost\r\n").await;
    talk.expect_close("421 4.4.2 the connection has lasted as long as one may\r\n").await;

    let login = House::open(Door::Submission, Limits { login: short, ..limits() }, Does::Keep).await;
    let mut talk = login.connect().await;
    talk.expect_end("Sealpost\r\n").await;
    talk.expect_close("421 4.7.0 nobody logged in over this connection in time\r\n").await;

    let data = House::open(Door::Submission, Limits { data: short, ..limits() }, Does::Keep).await;
    let mut talk = data.log_in().await;
    talk.say(ENVELOPE).await;
    talk.expect_end("<CRLF>.<CRLF>\r\n").await;
    talk.say("Subject: visit\r\n").await;
    talk.expect_close("421 4.4.2 the message did not come in time\r\n").await;
    assert_eq!(data.taken(), 0);
}

#[tokio::test]
async fn who_has_logged_in_may_stay_longer_than_who_has_not() {
    let short = Limits { login: Duration::from_secs(3), idle: Duration::from_secs(4), ..limits() };
    let house = House::open(Door::Submission, short, Does::Keep).await;
    let mut talk = house.log_in().await;
    // The wait for the next command ends it, behind the time in which somebody had to log in.
    talk.expect_close("421 4.4.2 no command came in time\r\n").await;
}

#[tokio::test]
async fn connections_are_counted_in_all_and_per_address_and_given_back() {
    for (limits, reply) in [
        (Limits { connections: 1, ..limits() }, "421 4.7.0 too many connections, try again later\r\n"),
        (
            Limits { connections_per_address: 1, ..limits() },
            "421 4.7.0 too many connections from your address, close one first\r\n",
        ),
    ] {
        let house = House::open(Door::Submission, limits, Does::Keep).await;
        let mut first = house.connect().await;
        first.expect_end("Sealpost\r\n").await;
        house.connect().await.expect_close(reply).await;
        first.say("QUIT\r\n").await;
        first.expect_close("221 2.0.0 goodbye\r\n").await;
        drop(first);
        // The place is given back when the server has seen the end, which may be a moment later than the client.
        let mut tries = 0;
        loop {
            let mut next = house.connect().await;
            if next.expect_end("\r\n").await.starts_with("220") {
                break;
            }
            tries += 1;
            assert!(tries < 500, "the place was not given back");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_fault_of_the_intake_costs_one_451_and_the_dialog_goes_on() {
    for (does, reply) in [
        (Does::Panic, "451 4.3.0 the message could not be handled, try again later\r\n"),
        (Does::Refuse, "451 4.3.0 not now\r\n"),
    ] {
        let house = House::open(Door::Submission, limits(), does).await;
        let mut talk = house.log_in().await;
        for _ in 0..2 {
            talk.say(ENVELOPE).await;
            talk.expect_end("<CRLF>.<CRLF>\r\n").await;
            talk.say(MESSAGE).await;
            talk.expect(reply).await;
        }
    }
}

#[tokio::test]
async fn without_room_no_message_is_asked_for() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    house.full.store(true, Ordering::SeqCst);
    talk.say(ENVELOPE).await;
    talk.expect_end("452 4.3.1 the disk is nearly full, try again later\r\n").await;
    house.full.store(false, Ordering::SeqCst);
    let all = house.shared.memory.share(&other(), 980_000).unwrap();
    talk.say(ENVELOPE).await;
    talk.expect_end("452 4.3.1 no memory for a message now, try again later\r\n").await;
    drop(all);
    talk.say(ENVELOPE).await;
    talk.expect_end("<CRLF>.<CRLF>\r\n").await;
}

#[tokio::test]
async fn a_message_that_outgrows_the_memory_is_read_over_and_answered_452() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    talk.say(ENVELOPE).await;
    talk.expect_end("<CRLF>.<CRLF>\r\n").await;
    let _rest = house.shared.memory.share(&other(), 930_000).unwrap();
    talk.say(&format!("Subject: visit\r\n\r\n{}.\r\n", "See you on Monday.\r\n".repeat(4500))).await;
    talk.expect("452 4.3.1 no memory for a message now, try again later\r\n").await;
    talk.say("NOOP\r\n").await;
    talk.expect("250 2.0.0 OK\r\n").await;
    assert_eq!(house.taken(), 0);
}

#[tokio::test]
async fn a_message_sent_without_waiting_for_354_is_never_read_as_commands() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    house.full.store(true, Ordering::SeqCst);
    talk.say(&format!("{ENVELOPE}RSET\r\n.\r\n")).await;
    talk.expect_close(
        "250 2.1.0 sender OK\r\n250 2.1.5 recipient OK\r\n421 4.5.0 wait for 354 before sending a message\r\n",
    )
    .await;
}

#[tokio::test]
async fn a_smuggled_message_is_refused_whole_and_the_connection_ends() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    talk.say(ENVELOPE).await;
    talk.expect_end("<CRLF>.<CRLF>\r\n").await;
    talk.say(&format!("Subject: visit\r\n\r\nHello\n.\r\n{ENVELOPE}{MESSAGE}QUIT\r\n")).await;
    talk.expect_close("554 5.6.0 the message has a line feed without a carriage return\r\n").await;
    assert_eq!(house.taken(), 0);
}

#[tokio::test]
async fn who_is_suspended_in_mid_session_sends_nothing_more() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let mut talk = house.log_in().await;
    house.shared.accounts.reload(vec![openemr(true)], Lockout::of(&limits()));
    talk.say(ENVELOPE).await;
    talk.expect_end("454 4.7.0 this login is suspended, try again later\r\n").await;
}

#[tokio::test]
async fn a_drain_lets_the_message_in_hand_finish_and_ends_the_rest() {
    let house = House::open(Door::Submission, limits(), Does::KeepWhenLet).await;
    let mut busy = house.log_in().await;
    busy.say(ENVELOPE).await;
    busy.expect_end("<CRLF>.<CRLF>\r\n").await;
    let mut idle = house.log_in().await;
    house.drain.cancel();
    idle.expect_close("421 4.3.2 the server is closing, try again later\r\n").await;
    drop(idle);
    busy.say(MESSAGE).await;
    house.shared.intake.gate.add_permits(1);
    let id = MessageId::from_parts(Timestamp::from_millis(1_795_493_220_007), 7);
    busy.expect_close(&format!("{QUEUED}{id}\r\n421 4.3.2 the server is closing, try again later\r\n")).await;
    drop(busy);
    house.running.await.unwrap();
    assert!(TcpStream::connect(house.address).await.is_err());
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let house = House::open(Door::Submission, limits(), Does::Keep).await;
    let listener = config::Listener::new(Door::Submission, house.address);
    let error = bind(&listener).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}: Address already in use", house.address)), "{error}");
}
