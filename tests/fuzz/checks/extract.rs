//! Attachments: whatever octets a file has, it is read within its budget, and something is said of it. One target for each
//! reader, whose corpus begins as that reader's format does.

use std::cell::RefCell;
use std::io::{Cursor, Write};

use bytes::Bytes;
use sealpost::extract::{self, Budget, Unread};
use sealpost::mime::{Content, Part};
use sealpost::phi::Phi;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

const BUDGET: Budget = Budget { depth: 3, parts: 60, ratio: 100, bytes: 4 << 20 };
/// The crates whose panics are theirs.
const MAY: [&str; 2] = ["/hayro", "/calamine-"];

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What stands between the entries of an office file, in front of the name of each.
const ENTRY: &str = "\n=== ";

pub fn check(data: &[u8]) {
    let unread = Unread {
        media_type: "application/octet-stream".into(),
        name: Some(Phi::new("file".into())),
        octets: Phi::new(Bytes::copy_from_slice(data)),
    };
    // A panic in a reader is caught and told as `crashed`; the fuzzer's own hook would end on it. The crates for PDF and
    // spreadsheets may, and nothing else.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        PANICS.with_borrow_mut(|panics| panics.push(place));
    }));
    PANICS.take();
    let parts = extract::read(&unread, &BUDGET);
    std::panic::set_hook(hook);
    let own: Vec<String> =
        PANICS.take().into_iter().filter(|place| !MAY.iter().any(|one| place.contains(one))).collect();
    assert!(own.is_empty(), "a reader panicked at {own:?}");
    assert!(!parts.is_empty(), "nothing is said of it");
    // The parent takes no more from a child.
    assert!(parts.len() <= BUDGET.parts * 4 + 16, "{} parts", parts.len());
    let text: usize = parts.iter().map(text_of).sum();
    assert!(text <= BUDGET.bytes, "{text} octets of text out of {}", data.len());
    let is_path = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b".-~".contains(&octet);
    assert!(parts.iter().all(|part| part.path.bytes().all(is_path)), "a path of other letters");
}

/// An office file of entries as they stand unpacked, so that the fuzzer need not learn to pack.
pub fn office(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    // No office file is without it.
    archive.start_file("[Content_Types].xml", stored).expect("it is the first");
    for entry in text.split(ENTRY).skip(1).take(20) {
        let (name, content) = entry.split_once('\n').unwrap_or((entry, ""));
        if archive.start_file(name, stored).is_ok() {
            archive.write_all(content.as_bytes()).expect("it is written to memory");
        }
    }
    if let Ok(file) = archive.finish() {
        check(&file.into_inner());
    }
}

fn text_of(part: &Part) -> usize {
    match &part.content {
        Content::Text(text) => text.expose().len(),
        Content::Unreadable(_) => 0,
    }
}
