//! Messages that cost much to read: each is answered in time, within bounded memory, and what cannot be read counts as health
//! information and is never cut.

use std::fmt::Write;
use std::time::{Duration, Instant};

use data_encoding::BASE64;

use crate::clinic::{Clinic, mail, queued};
use crate::hostile::Memory;
use crate::world::behaviour::Behaviour;

const LAB: &str = "results@lab.example";
/// In which each must be answered, by a build that is not optimised and among other tests.
const IN_TIME: Duration = Duration::from_secs(30);

/// What reading one comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// Something of it cannot be read, so all of it is protected.
    Unreadable,
    /// All of it, whatever it cost.
    Whole,
}

fn with(header: &str, body: &str) -> Vec<u8> {
    format!(
        "From: ann@clinic.example\r\nTo: {LAB}\r\nSubject: lunch\r\nMIME-Version: 1.0\r\n\
         Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <bomb@clinic.example>\r\n{header}\r\n{body}"
    )
    .into_bytes()
}

fn deep_multiparts(depth: usize) -> Vec<u8> {
    let mut body = String::new();
    for level in 0..depth {
        write!(body, "--b{level}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n", level + 1).unwrap();
    }
    with("Content-Type: multipart/mixed; boundary=b0\r\n", &body)
}

fn deep_messages(depth: usize) -> Vec<u8> {
    with("Content-Type: message/rfc822\r\n", &"Content-Type: message/rfc822\r\n\r\n".repeat(depth))
}

fn many_parts(parts: usize) -> Vec<u8> {
    with("Content-Type: multipart/mixed; boundary=b\r\n", &"--b\r\n\r\nx\r\n".repeat(parts))
}

/// Every part refers to the same boundary, so that a careless reader splits each again.
fn same_boundary(depth: usize) -> Vec<u8> {
    let part = "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    with("Content-Type: multipart/mixed; boundary=b\r\n", &part.repeat(depth))
}

fn base64_of_html(octets: usize) -> Vec<u8> {
    let page = "<b>".repeat(octets / 3);
    let mut body = String::new();
    for line in BASE64.encode(page.as_bytes()).as_bytes().chunks(76) {
        body.push_str(std::str::from_utf8(line).unwrap());
        body.push_str("\r\n");
    }
    with("Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n", &body)
}

fn quoted_printable(octets: usize) -> Vec<u8> {
    let body = "=41=\r\n".repeat(octets / 6);
    with("Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n", &body)
}

fn many_parameters(count: usize) -> Vec<u8> {
    let mut header = "Content-Type: text/plain".to_owned();
    for at in 0..count {
        write!(header, ";\r\n name*{at}*=%41").unwrap();
    }
    with(&format!("{header}\r\n"), "x\r\n")
}

fn encoded_words(count: usize) -> Vec<u8> {
    let words = " =?utf-8?B?QQ==?=\r\n".repeat(count);
    with(&format!("X-Words: a\r\nComments:{words}"), "x\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_made_to_cost_much_is_answered_in_time_and_memory() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let mut client = clinic.login("ehr").await;
    let memory = Memory::watch(&clinic);
    let bombs: [(&str, Vec<u8>, Reads); 11] = [
        ("deep multiparts", deep_multiparts(10_000), Reads::Unreadable),
        ("deep messages", deep_messages(20_000), Reads::Unreadable),
        ("100,000 parts", many_parts(100_000), Reads::Unreadable),
        ("one boundary in itself", same_boundary(20_000), Reads::Unreadable),
        ("a page of nothing but tags", base64_of_html(1 << 20), Reads::Whole),
        ("soft line breaks", quoted_printable(1 << 20), Reads::Whole),
        ("parameters without end", many_parameters(10_000), Reads::Unreadable),
        ("encoded words without end", encoded_words(8_000), Reads::Whole),
        (
            "a boundary that never comes",
            with("Content-Type: multipart/mixed; boundary=b\r\n", &"-b\r\n".repeat(200_000)),
            Reads::Whole,
        ),
        ("angle brackets", with("Content-Type: text/html\r\n", &"<<<<<<!--<<\r\n".repeat(80_000)), Reads::Whole),
        ("one long word", with("", &format!("{}\r\n", "a".repeat(90_000)).repeat(10)), Reads::Whole),
    ];
    for (name, content, reads) in bombs {
        let began = Instant::now();
        let id = queued(client.send(&mail(&[LAB], &content)).await.unwrap().last());
        let took = began.elapsed();
        assert!(took < IN_TIME, "{name} took {} s", took.as_secs());
        let classified = clinic.story(&id)["record"]["classified"].clone();
        let unreadable = classified.to_string().contains("UNREADABLE");
        assert_eq!(unreadable, reads == Reads::Unreadable, "{name}: {classified:.300}");
        assert!(!unreadable || classified["phi"] == true, "{name} counts as PHI");
        memory.check(name);
        println!("{name}: {} octets, {} ms, {} MiB", content.len(), took.as_millis(), memory.growth());
    }
    // What each detector looks at twice; of the costliest, ten mebibytes.
    for (mebibytes, text) in [
        (2, "Patient Ann Lee MRN 1234567 DOB 01/02/1970 SSN 000-12-3456 HbA1c 7.1 % Dr. Bo Kim 555-0199\r\n"),
        (10, "1 2 3 4 5 6 7 8 9 0 1-2-3 4.5.6.7 8/9/10 (11) 12-13 14 15 16 17 18 19 20 21 22 23 24 25 26 27\r\n"),
        (2, "Aaa Bbb Ccc Ddd Eee Fff Ggg Hhh Iii Jjj Kkk Lll Mmm Nnn Ooo Ppp Qqq Rrr Sss Ttt Uuu Vvv Www Xxx\r\n"),
        (2, "::::||||^^^^~~~~&&&&{{{{[[[[\\\"\\\"\\\"@@@@####____----++++====,,,,;;;;....////!!!!????\r\n"),
    ] {
        let began = Instant::now();
        let content = with("", &text.repeat((mebibytes << 20) / text.len()));
        queued(client.send(&mail(&[LAB], &content)).await.unwrap().last());
        println!("{text:.20}: {} ms, {} MiB", began.elapsed().as_millis(), memory.growth());
        assert!(began.elapsed() < 2 * IN_TIME, "{text:.20} took {} s", began.elapsed().as_secs());
        memory.check(text);
    }
    assert_eq!(clinic.taken("lab.example", 15).await.len(), 15, "each was passed on whole");
}
