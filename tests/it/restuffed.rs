//! Whatever comes in, what leaves has clean line ends, ends where it should, and is what was taken but for the edits.

#![cfg(test)]

use sealpost::mail::{LineEnds, Message, WireLimits};
use sealpost::mime::{self, Edit};
use sealpost::phi::Phi;
use sealpost::smtp::client::{Encoder, Framing};
use sealpost::smtp::{Decoder, Feed};

use crate::kept::Chance;

const LIMITS: WireLimits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 20, line_bytes: 1 << 20 };
const ROUNDS: usize = 20_000;
/// Seeds are fixed, so that a fault comes again.
const SEED: u64 = 0x5EA1_9057;

/// What attacks, headers and plain text are made of.
const PIECES: [&[u8]; 22] = [
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b".",
    b"\r\n.",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r.\r",
    b"\r\r\n",
    b"\0",
    b"Bcc: x",
    b"X-Sealpost-Tenant: 7",
    b"Subject: [secure] x",
    b"Date: ",
    b" ",
    b"\t",
    b"\xff\xfe",
    b"QUIT",
    b"x",
];

fn stream(chance: &mut Chance) -> Vec<u8> {
    let mut stream = Vec::new();
    // Now and then long enough for several pieces on the way out.
    let count = if chance.below(500) == 0 { 40_000 } else { chance.below(24) };
    // Some streams are clean but for their dots: most others are refused.
    let from = if chance.below(2) == 0 { 0 } else { 5 };
    for _ in 0..count {
        let piece = match from {
            0 => PIECES[usize::try_from(chance.below(22)).unwrap()],
            _ => [&b"\r\n"[..], b".", b"\r\n.", b"Bcc: x\r\n", b"x", b"X-Sealpost-A: 1\r\n."]
                [usize::try_from(chance.below(6)).unwrap()],
        };
        stream.extend_from_slice(piece);
    }
    stream
}

fn taken(stream: &[u8], chance: &mut Chance) -> Option<Message> {
    let line_ends = if chance.below(2) == 0 { LineEnds::Strict } else { LineEnds::Normalise };
    let cut = usize::try_from(chance.below(stream.len() as u64 + 1)).unwrap();
    if chance.below(2) == 0 {
        let mut decoder = Decoder::counted(LIMITS, line_ends);
        decoder.feed(&stream[..cut]);
        decoder.feed(&stream[cut..]);
        return decoder.finish().ok();
    }
    let mut decoder = Decoder::new(LIMITS, line_ends);
    if decoder.feed(&stream[..cut]) == Feed::More && decoder.feed(&stream[cut..]) == Feed::More {
        decoder.feed(b"\r\n.\r\n");
    }
    decoder.finish().ok()
}

fn edits(chance: &mut Chance) -> Vec<Edit> {
    let all = [
        Edit::Prepend("Received: from client by relay.clinic.example\r\n\twith ESMTP\r\n".into()),
        Edit::Remove("Bcc"),
        Edit::RemoveBeginning("X-Sealpost-"),
        Edit::Subject(Phi::new("x\r\n.\r\ny".into())),
        Edit::AddIfMissing("Date", "Tue, 24 Nov 2026 08:00:00 +0000".into()),
    ];
    all.into_iter().filter(|_| chance.below(2) == 0).collect()
}

/// No CR, LF or NUL that stands alone.
fn is_clean(wire: &[u8]) -> bool {
    let text: Vec<u8> = wire
        .split(|octet| *octet == b'\n')
        .flat_map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .copied()
        .collect();
    let ends = wire.iter().filter(|octet| **octet == b'\n').count();
    let pairs = wire.windows(2).filter(|pair| *pair == b"\r\n").count();
    ends == pairs && !text.contains(&b'\r') && !text.contains(&0)
}

#[test]
fn what_leaves_is_clean_and_is_what_was_taken() {
    let mut chance = Chance::new(SEED);
    let (mut left, mut with_dots) = (0, 0);
    for round in 0..ROUNDS {
        let stream = stream(&mut chance);
        let Some(message) = taken(&stream, &mut chance) else { continue };
        let message = mime::edit(&message, &edits(&mut chance));
        let shown = || format!("round {round}: {:?}", String::from_utf8_lossy(&stream));
        left += 1;
        let wire: Vec<u8> = Encoder::new(Framing::Dots, &message).flatten().collect();
        assert!(is_clean(&wire), "{}", shown());
        with_dots += usize::from(wire.windows(4).any(|four| four == b"\r\n.."));
        let mut next_hop = Decoder::new(LIMITS, LineEnds::Strict);
        assert_eq!(next_hop.feed(&wire), Feed::End { used: wire.len() }, "{}", shown());
        assert_eq!(next_hop.finish().unwrap().bytes(), message.bytes(), "{}", shown());

        let chunk: Vec<u8> = Encoder::new(Framing::Chunk, &message).flatten().collect();
        let line = format!("BDAT {} LAST\r\n", message.len());
        assert_eq!(chunk.strip_prefix(line.as_bytes()).unwrap(), message.bytes(), "{}", shown());
        assert!(is_clean(&chunk), "{}", shown());
    }
    assert!(
        left > ROUNDS / 4 && with_dots > ROUNDS / 10,
        "{left} messages left, {with_dots} with dots: that proves little"
    );
}
