//! The data decoder: however a stream is cut into pieces, the same message or the same fault comes out, and what comes out can be
//! sent on and read again.

use sealpost::mail::{LineEnds, Malformed, Message, WireLimits};
use sealpost::smtp::client::{Encoder, Framing};
use sealpost::smtp::{Decoder, Feed};

const LIMITS: WireLimits = WireLimits { message_bytes: 600, header_bytes: 200, line_bytes: 80 };
const NO_LIMITS: WireLimits =
    WireLimits { message_bytes: usize::MAX, header_bytes: usize::MAX, line_bytes: usize::MAX };

/// The first octet says how long the pieces are, and how the stream is read.
pub fn check(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else { return };
    let line_ends = if first & 1 == 0 { LineEnds::Strict } else { LineEnds::Normalise };
    let length = usize::from(first >> 2) + 1;
    let result =
        if first & 2 == 0 { dotted(stream, line_ends, length) } else { Some(counted(stream, line_ends, length)) };
    if let Some(Ok(message)) = result {
        sent_on(&message);
    }
}

/// Behind DATA.
fn dotted(stream: &[u8], line_ends: LineEnds, length: usize) -> Option<Result<Message, Malformed>> {
    let decode = |length: usize| {
        let mut decoder = Decoder::new(LIMITS, line_ends);
        let mut before = 0;
        for piece in stream.chunks(length) {
            match decoder.feed(piece) {
                Feed::More => before += piece.len(),
                Feed::End { used } => return Some((before + used, decoder.finish())),
            }
        }
        None
    };
    let whole = decode(stream.len().max(1));
    assert_eq!(whole, decode(1), "octet by octet");
    assert_eq!(whole, decode(length), "in pieces of {length}");
    let (used, result) = whole?;
    // RFC 5321 §4.1.1.4: nothing but CRLF.CRLF ends the data.
    assert!(stream[..used].ends_with(b"\r\n.\r\n") || &stream[..used] == b".\r\n", "ended by something else");
    if result.is_ok() && line_ends == LineEnds::Strict {
        assert!(!has_bare(&stream[..used]), "taken with a bare line end");
    }
    Some(result)
}

/// Behind BDAT.
fn counted(stream: &[u8], line_ends: LineEnds, length: usize) -> Result<Message, Malformed> {
    let decode = |length: usize| {
        let mut decoder = Decoder::counted(LIMITS, line_ends);
        for piece in stream.chunks(length) {
            assert_eq!(decoder.feed(piece), Feed::More, "a dot ended what is counted");
        }
        decoder.finish()
    };
    let whole = decode(stream.len().max(1));
    assert_eq!(whole, decode(1), "octet by octet");
    assert_eq!(whole, decode(length), "in chunks of {length}");
    if let (Ok(message), LineEnds::Strict) = (&whole, line_ends) {
        assert!(message.bytes().starts_with(stream) && message.len() <= stream.len() + 2, "more than a last line end");
    }
    whole
}

/// What was taken leaves with clean line ends, in one piece, and arrives as it was.
fn sent_on(message: &Message) {
    let bytes = message.bytes();
    assert!(bytes.len() <= LIMITS.message_bytes, "over the limit");
    assert!(!has_bare(bytes) && !bytes.contains(&0), "a bare line end or a NUL leaves");
    assert!(bytes.is_empty() || bytes.ends_with(b"\r\n"), "the last line has no end");
    let wire: Vec<u8> = Encoder::new(Framing::Dots, message).flatten().collect();
    let mut next = Decoder::new(NO_LIMITS, LineEnds::Strict);
    assert_eq!(next.feed(&wire), Feed::End { used: wire.len() }, "the next hop sees another end");
    assert_eq!(next.finish().as_ref().map(Message::bytes), Ok(bytes));
    let wire: Vec<u8> = Encoder::new(Framing::Chunk, message).flatten().collect();
    let announced = format!("BDAT {} LAST\r\n", bytes.len());
    assert_eq!(wire.strip_prefix(announced.as_bytes()), Some(&bytes[..]), "the chunk is the message");
}

fn has_bare(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().any(|(at, octet)| match octet {
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || bytes[at - 1] != b'\r',
        _ => false,
    })
}
