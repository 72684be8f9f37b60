//! Next hops that break every rule they can: nothing escapes in clear, nothing is lost, nothing is sent again to a host
//! that said it has it, and every recipient has one end.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::house::{ANN, House, SOON, letter, send, standing, text};
use crate::world::authority::Kind;
use crate::world::dns::Entry as Names;
use crate::world::hostile::{Hostile, Move, clear_faults};
use crate::world::until;

use Move::{Content, Cut, Drip, Flood, Hear, HearAny, Idle, Reset, Tls};

const EXPIRED: &str = "expired";
const HELD: &str = "held:methods_exhausted";
const BOUNCED: &str = "bounced";
const DELIVERED: &str = "delivered";

/// How many whole copies the host may have in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copies {
    None,
    One,
    /// It took each, and said neither yes nor no: three tries, and a last one when the time is up.
    Unacknowledged,
    /// It put off each.
    PutOff,
}

struct Case {
    name: &'static str,
    script: Vec<Move>,
    end: &'static str,
    copies: Copies,
}

fn say(text: &str) -> Move {
    Move::Say(text.as_bytes().to_vec())
}

/// In clear: greeting and offer, up to the command STARTTLS.
fn offered() -> Vec<Move> {
    vec![say("220 mx ESMTP\r\n"), Hear("EHLO"), say("250-mx\r\n250 STARTTLS\r\n"), Hear("STARTTLS")]
}

fn greeted() -> Vec<Move> {
    vec![say("220 mx ESMTP\r\n"), Hear("EHLO")]
}

/// Under TLS, up to our second EHLO.
fn secured() -> Vec<Move> {
    [offered(), vec![say("220 go ahead\r\n"), Tls, Hear("EHLO")]].concat()
}

/// Up to MAIL; everything is pipelined behind it.
fn named() -> Vec<Move> {
    [secured(), vec![say("250-mx\r\n250-8BITMIME\r\n250 PIPELINING\r\n"), Hear("MAIL")]].concat()
}

fn asked() -> Vec<Move> {
    [named(), vec![say("250 2.1.0 ok\r\n"), Hear("RCPT"), say("250 2.1.5 ok\r\n"), Hear("DATA")]].concat()
}

fn given() -> Vec<Move> {
    [asked(), vec![say("354 go ahead\r\n"), Content]].concat()
}

fn case(name: &'static str, before: Vec<Move>, then: &[Move], end: &'static str) -> Case {
    Case { name, script: [before, then.to_vec()].concat(), end, copies: Copies::None }
}

fn in_the_greeting() -> Vec<Case> {
    let at = |name, then: &[Move]| case(name, Vec::new(), then, EXPIRED);
    vec![
        at("greeting-never", &[Idle]),
        at("greeting-close", &[]),
        at("greeting-reset", &[Reset]),
        at("greeting-drips", &[Drip(b"220 mx ESMTP at your service\r\n".to_vec()), Idle]),
        at("greeting-drips-lines", &[Drip(b"220-a\r\n".repeat(10)), Idle]),
        at("greeting-without-end", &[Flood(b"220-more\r\n", 100_000)]),
        at("greeting-10mb-line", &[Flood(&[b'2'; 10_000], 1_000)]),
        at("greeting-bare-lf", &[say("220 mx\n"), Idle]),
        at("greeting-199", &[say("199 mx\r\n"), Idle]),
        at("greeting-999", &[say("999 mx\r\n"), Idle]),
        at("greeting-mixed", &[say("220-mx\r\n554 mx\r\n"), Idle]),
        at("greeting-http", &[say("HTTP/1.1 400 Bad Request\r\n\r\n"), Idle]),
        at("greeting-421", &[say("421 busy\r\n"), Idle]),
        at("greeting-554", &[say("554 not here\r\n"), Idle]),
        at("greeting-354", &[say("354 send it\r\n"), Idle]),
        at(
            "greeting-and-all-answers",
            &[say("220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n"), Hear("STARTTLS"), Idle],
        ),
    ]
}

fn in_the_offer() -> Vec<Case> {
    let at = |name, then: &[Move], end| case(name, greeted(), then, end);
    let stripped = "250-mx\r\n250-XXXXXXXA\r\n250 SIZE 1000\r\n";
    vec![
        at("ehlo-never", &[Idle], EXPIRED),
        at("ehlo-close", &[], EXPIRED),
        at("ehlo-reset", &[Reset], EXPIRED),
        at("ehlo-drips", &[Drip(b"250-mx\r\n250 STARTTLS\r\n".to_vec()), Idle], EXPIRED),
        at("ehlo-100000-extensions", &[Flood(b"250-X-NEW\r\n", 100_000), say("250 STARTTLS\r\n"), Idle], EXPIRED),
        at("ehlo-mixed", &[say("250-mx\r\n550 STARTTLS\r\n"), Idle], EXPIRED),
        at("ehlo-bare-cr", &[say("250-mx\r250 STARTTLS\r\n"), Idle], EXPIRED),
        at("ehlo-421", &[say("421 bye\r\n")], EXPIRED),
        at("ehlo-502", &[say("502 what\r\n"), Idle], HELD),
        at("ehlo-no-starttls", &[say("250-mx\r\n250 SIZE 1000\r\n"), Idle], HELD),
        at("ehlo-stripped", &[say(stripped), Idle], HELD),
        at("ehlo-starttls-as-a-name", &[say("250 STARTTLS\r\n"), Idle], HELD),
        at("ehlo-with-the-next-answer", &[say("250-mx\r\n250 STARTTLS\r\n220 go\r\n"), Idle], EXPIRED),
    ]
}

fn at_starttls() -> Vec<Case> {
    let at = |name, then: &[Move], end| case(name, offered(), then, end);
    let answered = |text: &str, then: &[Move]| [vec![say(text)], then.to_vec()].concat();
    vec![
        at("starttls-never", &[Idle], EXPIRED),
        at("starttls-close", &[], EXPIRED),
        at("starttls-reset", &[Reset], EXPIRED),
        at("starttls-drips", &[Drip(b"220 go ahead\r\n".to_vec()), Idle], EXPIRED),
        at("starttls-250", &answered("250 go ahead\r\n", &[Idle]), HELD),
        at("starttls-354", &answered("354 go ahead\r\n", &[Idle]), HELD),
        at("starttls-454", &answered("454 4.7.0 not now\r\n", &[Idle]), HELD),
        at("starttls-501", &answered("501 what\r\n", &[Idle]), HELD),
        at("starttls-mixed", &answered("220-go\r\n454 no\r\n", &[Idle]), EXPIRED),
        at("starttls-injected", &answered("220 go\r\n250 injected\r\n", &[Idle]), HELD),
        at("starttls-injected-half-a-line", &answered("220 go\r\n25", &[Idle]), HELD),
        at("starttls-then-close", &answered("220 go\r\n", &[HearAny]), HELD),
        at("starttls-then-reset", &answered("220 go\r\n", &[HearAny, Reset]), HELD),
        at("starttls-then-nothing", &answered("220 go\r\n", &[Idle]), EXPIRED),
        at(
            "starttls-then-clear-text",
            &answered("220 go\r\n", &[HearAny, say("250-mx\r\n250 AUTH PLAIN\r\n"), Idle]),
            HELD,
        ),
        at(
            "starttls-then-noise",
            &answered("220 go\r\n", &[HearAny, Flood(b"\x16\x03\x03\x00\x05noise", 10), Idle]),
            HELD,
        ),
        at(
            "starttls-then-alert",
            &answered("220 go\r\n", &[HearAny, Move::Say(b"\x15\x03\x03\x00\x02\x02\x28".to_vec())]),
            HELD,
        ),
    ]
}

fn under_tls() -> Vec<Case> {
    let hello = |name, then: &[Move]| case(name, secured(), then, EXPIRED);
    let mail = |name, then: &[Move], end| case(name, named(), then, end);
    let data = |name, then: &[Move]| case(name, asked(), then, EXPIRED);
    let rude = "550 5.7.1 \0\u{1b}[2J\u{7}\u{9b}31m bo@hop.example no\r\n";
    vec![
        hello("tls-ehlo-never", &[Idle]),
        hello("tls-ehlo-close", &[]),
        hello("tls-ehlo-cut", &[Cut]),
        hello("tls-ehlo-reset", &[Reset]),
        hello("tls-ehlo-500", &[say("500 what\r\n"), Idle]),
        hello("tls-second-greeting", &[say("220 mx again\r\n250-mx\r\n250 PIPELINING\r\n"), Idle]),
        mail("mail-never", &[Idle], EXPIRED),
        mail("mail-cut", &[Cut], EXPIRED),
        mail("mail-reset", &[Reset], EXPIRED),
        mail("mail-drips", &[Drip(b"250 2.1.0 all right\r\n".to_vec()), Idle], EXPIRED),
        mail("mail-10mb", &[Flood(&[b'2'; 10_000], 1_000), Idle], EXPIRED),
        mail("mail-354", &[say("354 go\r\n"), Idle], EXPIRED),
        mail("mail-452", &[say("452 4.3.1 full\r\n503 no\r\n503 no\r\n"), Idle], EXPIRED),
        mail("mail-552", &[say("552 5.3.4 big\r\n503 no\r\n503 no\r\n"), Idle], HELD),
        mail("mail-rude", &[say(rude), say("503 no\r\n503 no\r\n"), Idle], BOUNCED),
        mail("rcpt-close", &[say("250 ok\r\n")], EXPIRED),
        mail("rcpt-421", &[say("250 ok\r\n421 bye\r\n")], EXPIRED),
        mail("rcpt-rude", &[say("250 ok\r\n"), say(rude), say("503 no\r\n"), Idle], BOUNCED),
        data("data-never", &[Idle]),
        data("data-cut", &[Cut]),
        data("data-reset", &[Reset]),
        data("data-250", &[say("250 2.0.0 taken\r\n"), Idle]),
        data("data-354-then-close", &[say("354 go\r\n")]),
        data("data-354-then-reset", &[say("354 go\r\n"), Reset]),
        data("data-354-and-250", &[say("354 go\r\n250 2.0.0 taken\r\n"), Idle]),
        data("data-354-and-421", &[say("354 go\r\n421 bye\r\n")]),
    ]
}

fn at_the_end() -> Vec<Case> {
    let at = |name, then: &[Move], (end, copies)| Case { copies, ..case(name, given(), then, end) };
    let unsaid = (EXPIRED, Copies::Unacknowledged);
    let taken = (DELIVERED, Copies::One);
    vec![
        at("end-never", &[Idle], unsaid),
        at("end-close", &[], unsaid),
        at("end-cut", &[Cut], unsaid),
        at("end-reset", &[Reset], unsaid),
        at("end-drips", &[Drip(b"250 2.0.0 taken\r\n".to_vec()), Idle], unsaid),
        at("end-10mb", &[Flood(&[b'2'; 10_000], 1_000), Idle], unsaid),
        at("end-199", &[say("199 taken\r\n"), Idle], unsaid),
        at("end-354", &[say("354 more\r\n"), Idle], unsaid),
        at("end-mixed", &[say("250-taken\r\n550 not\r\n"), Idle], unsaid),
        at("end-451", &[say("451 4.3.0 later\r\n"), Idle], (EXPIRED, Copies::PutOff)),
        at("end-554", &[say("554 5.6.0 \0\u{1b}[31m no\r\n"), Idle], (BOUNCED, Copies::One)),
        at("end-250-then-cut", &[say("250 2.0.0 ok\r\n"), Cut], taken),
        at("end-250-then-reset", &[say("250 2.0.0 ok\r\n"), Hear("QUIT"), Reset], taken),
        at("end-250-twice", &[say("250 2.0.0 ok\r\n250 2.0.0 ok\r\n"), Idle], taken),
        at("end-250-then-550", &[say("250 2.0.0 ok\r\n550 5.0.0 no\r\n"), Idle], taken),
        at("end-250-rude", &[say("250 2.0.0 \0\u{1b}[2J queued as \u{1b}[31m\r\n"), Idle], taken),
        at("end-250-then-never", &[say("250 2.0.0 ok\r\n"), Idle], taken),
    ]
}

fn all() -> Vec<Case> {
    [in_the_greeting(), in_the_offer(), at_starttls(), under_tls(), at_the_end()].into_iter().flatten().collect()
}

struct Hop {
    case: Case,
    server: Hostile,
    id: String,
}

async fn meet(house: &House, cases: Vec<Case>) -> Vec<Hop> {
    let mut client = house.client().await;
    let mut hops = Vec::new();
    for (at, case) in cases.into_iter().enumerate() {
        let (domain, host) = (format!("{}.example", case.name), format!("mx.{}.example", case.name));
        let address = house.address(u8::try_from(100 + at).unwrap());
        house.dns.mail_domain(&domain, &host, address);
        house.dns.set(&host, Names { addresses: vec![address], ..Names::default() });
        let identity = house.authority.issue(&host, Kind::Valid).unwrap();
        let bind = format!("{address}:25");
        let server = Hostile::start(&bind, case.script.clone(), Arc::clone(&identity.server)).await.unwrap();
        let id = send(&mut client, &letter(ANN, &[&format!("bo@{domain}")], case.name)).await;
        hops.push(Hop { case, server, id });
    }
    client.quit().await.unwrap();
    hops
}

fn faults_of(hop: &Hop, end: &str, tries: u64) -> Vec<String> {
    let memory = hop.server.memory();
    let mut faults: Vec<String> = memory.clear.iter().flat_map(|clear| clear_faults(clear)).collect();
    if end != hop.case.end {
        faults.push(format!("{end}, and not {}", hop.case.end));
    }
    let tries = usize::try_from(tries).unwrap();
    let right = match hop.case.copies {
        Copies::None => memory.copies == 0,
        Copies::One => memory.copies == 1,
        Copies::Unacknowledged => (1..=tries.min(4)).contains(&memory.copies),
        Copies::PutOff => memory.copies == tries,
    };
    if !right {
        faults.push(format!("{} copies in {tries} attempts, and not {:?}", memory.copies, hop.case.copies));
    }
    if memory.connections == 0 {
        faults.push("never dialled".into());
    }
    faults.into_iter().map(|fault| format!("{}: {fault}", hop.case.name)).collect()
}

fn is_clean(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t'))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_next_hop_does_nothing_escapes_and_nothing_is_lost() {
    let limits = "[queue]\nexpire = \"6s\"\n[delivery]\ncommand = \"2s\"\ndata = \"2s\"";
    let house = House::open(95, limits).await;
    let cases = all();
    let names: BTreeMap<_, _> = cases.iter().map(|case| (case.name, ())).collect();
    assert!(names.len() == cases.len() && cases.len() >= 50, "{} variants", cases.len());
    let hops = meet(&house, cases).await;
    let mut faults = Vec::new();
    for hop in &hops {
        let row = || house.rows(&hop.id).remove(0);
        let ended = until(hop.case.name, SOON, || Some(row()).filter(|row| standing(row) != "queued")).await;
        match ended {
            Ok(row) => faults.extend(faults_of(hop, &standing(&row), row["attempts"].as_u64().unwrap())),
            Err(error) => faults.push(format!("{}: {error}", hop.case.name)),
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), hops.len(), faults.join("\n"));
    // What they said, they said to us alone.
    for rude in ["mail-rude", "rcpt-rude", "end-554", "end-250-rude"] {
        let id = &hops.iter().find(|hop| hop.case.name == rude).unwrap().id;
        let shown = house.daemon.run(&["explain", id]).unwrap().out
            + &house.daemon.run(&["queue", "show", id, "--json"]).unwrap().out;
        assert!(is_clean(&shown), "{rude}: {shown:?}");
        if rude != "end-250-rude" {
            let notice = text(&house.notice(id).await);
            assert!(is_clean(&notice) && !notice.contains("[2J"), "{rude}: {notice:?}");
        }
    }
    let told = house.notice("Perhaps delivered more than once").await;
    assert_eq!(told.recipients, ["it@clinic.example"]);
    assert!(is_clean(&house.daemon.logs().unwrap()) && !house.daemon.logs().unwrap().contains("bo@"));
    house.audited();
}
