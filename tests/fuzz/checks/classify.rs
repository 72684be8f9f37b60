//! The classifier: any text is read to its end, in time that grows with its length, and every finding lies within its part.

use std::time::Instant;

use sealpost::classify::classify;
use sealpost::mail::Message;
use sealpost::mime::{self, Budget, Content};

use super::mime::{LIMITS, wire};

const BUDGET: Budget = Budget { depth: 12, parts: 60, ratio: 20, bytes: 8 << 20 };
/// Octets that the input is repeated to when its time is taken: work that grows with the square takes minutes there.
const LONG: usize = 1 << 17;
/// Of an optimised build on a busy machine, and far above what it takes.
const SECONDS: u64 = 20;

pub fn check(data: &[u8]) {
    judge(data);
    if data.starts_with(b"~") {
        let (head, tail) = parted(&data[1..]);
        let began = Instant::now();
        judge(&[head, &tail.repeat(LONG.div_ceil(tail.len().max(1)))].concat());
        assert!(began.elapsed().as_secs() < SECONDS, "{} s for {LONG} octets", began.elapsed().as_secs());
    }
}

/// What is said once, up to the last tilde, and what is repeated behind it: a label, and very many numbers.
fn parted(data: &[u8]) -> (&[u8], &[u8]) {
    let last = data.iter().rposition(|byte| *byte == b'~');
    last.map_or((&[], data), |at| (&data[..at], &data[at + 1..]))
}

fn judge(data: &[u8]) {
    let text = [b"Subject: visit\n\n", data].concat();
    let Ok(message) = Message::parse(wire(&text), &LIMITS) else { return };
    let tree = mime::parse(&message, &BUDGET);
    let verdict = classify(&tree);
    assert!((0.0..=1.0).contains(&verdict.score));
    for finding in &verdict.findings {
        assert!((0.0..=1.0).contains(&finding.confidence));
        assert!(finding.start <= finding.end);
        let Some(part) = tree.parts.iter().find(|part| part.path == finding.part) else {
            panic!("a finding in part {}, which is not there", finding.part);
        };
        if let Content::Text(text) = &part.content {
            assert!(finding.end <= text.expose().chars().count(), "a finding behind the end of its part");
        }
    }
    assert_eq!(classify(&tree), verdict, "the same twice");
}
