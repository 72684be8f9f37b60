//! A next hop's replies: however its octets are cut, the same replies come out, within bounds, and ours can be read back.

use sealpost::mail::Reply;
use sealpost::smtp::client::{BadDialog, MAX_REPLY_BYTES, MAX_REPLY_LINES, Replies};

/// The first octet says how long the chunks are.
pub fn check(data: &[u8]) {
    let Some((&length, stream)) = data.split_first() else { return };
    let whole = read(stream, stream.len().max(1));
    assert_eq!(whole, read(stream, usize::from(length).max(1)), "in chunks of {length}");
    for reply in &whole.0 {
        assert!((200..600).contains(&reply.code.value()));
        assert!(!reply.lines().is_empty() && reply.lines().len() <= MAX_REPLY_LINES);
        assert!(reply.lines().iter().map(String::len).sum::<usize>() <= 3 * MAX_REPLY_BYTES);
        let mut again = Replies::default();
        again.feed(&reply.to_wire());
        if let Ok(Some(again)) = again.next_reply() {
            assert_eq!((again.code, again.enhanced), (reply.code, reply.enhanced), "written and read again");
        }
        let wire = reply.to_wire();
        let lines = wire.split_inclusive(|octet| *octet == b'\n').count();
        assert_eq!(lines, reply.lines().len(), "a peer's text adds no line to what is written");
        assert!(wire.ends_with(b"\r\n"));
    }
}

/// What came out, and the fault that ended it.
fn read(stream: &[u8], length: usize) -> (Vec<Reply>, Option<BadDialog>) {
    let (mut replies, mut taken) = (Replies::default(), Vec::new());
    for chunk in stream.chunks(length) {
        replies.feed(chunk);
        loop {
            match replies.next_reply() {
                Ok(Some(reply)) => taken.push(reply),
                Ok(None) => break,
                Err(fault) => return (taken, Some(fault)),
            }
        }
    }
    (taken, None)
}
