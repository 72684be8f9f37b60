//! Children that do not do what they should: the part is unreadable, and nobody waits for longer than is allowed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use super::{Allowance, Readers};
use crate::extract::Budget;
use crate::extract::samples::{BUDGET, outline};
use crate::mime::{Content, File, Part, Tree, Unreadable};
use crate::phi::Phi;

const ALLOWANCE: Allowance = Allowance { budget: BUDGET, time: Duration::from_secs(2), memory_bytes: 1 << 30 };

/// A child that is a shell script.
fn child(script: &str) -> (Readers, TempDir) {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("child");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (Readers::of(program), dir)
}

/// A message with two attachments and a text between them, read by the child of this script.
fn read(script: &str) -> Vec<String> {
    read_within(script, &ALLOWANCE)
}

fn read_within(script: &str, allowance: &Allowance) -> Vec<String> {
    let part = |path: &str, content: Content| Part {
        path: path.into(),
        media_type: "application/pdf".into(),
        name: None,
        content,
    };
    let unread = || Content::Unreadable(Unreadable::NoReader);
    let mut tree = Tree {
        subject: Phi::default(),
        from: Vec::new(),
        message_id: None,
        parts: vec![part("1", unread()), part("2", Content::Text(Phi::new("words".into()))), part("3", unread())],
        control: Vec::new(),
    };
    let file = |at: usize| File { at, octets: Phi::new(Bytes::from_static(b"%PDF-1.7")) };
    let (readers, _dir) = child(script);
    readers.fill(&mut tree, vec![file(0), file(2)], allowance);
    outline(&tree.parts)
}

#[test]
fn a_child_that_ends_at_once_leaves_the_parts_unreadable() {
    assert_eq!(read("exit 1"), ["1!Crashed", "2=words", "3!Crashed"]);
    assert_eq!(read("kill -SEGV $$"), ["1!Crashed", "2=words", "3!Crashed"]);
}

#[test]
fn a_child_that_hangs_is_ended_and_the_message_goes_on() {
    let started = Instant::now();
    assert_eq!(read("exec sleep 600"), ["1!TooSlow", "2=words", "3!TooSlow"]);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn a_child_that_never_stops_talking_is_not_listened_to() {
    assert_eq!(read("exec yes"), ["1!Crashed", "2=words", "3!Crashed"]);
}

#[test]
fn a_child_that_cannot_be_started_leaves_the_parts_unreadable() {
    let readers = Readers::of("/nonexistent/sealpost".into());
    let mut tree = Tree {
        subject: Phi::default(),
        from: Vec::new(),
        message_id: None,
        parts: vec![Part {
            path: "1".into(),
            media_type: "application/pdf".into(),
            name: None,
            content: Content::Text(Phi::default()),
        }],
        control: Vec::new(),
    };
    readers.fill(&mut tree, vec![File { at: 0, octets: Phi::new(Bytes::from_static(b"%PDF-1.7")) }], &ALLOWANCE);
    assert_eq!(outline(&tree.parts), ["1!Crashed"]);
}

#[test]
fn a_picture_is_called_one_and_costs_no_child() {
    let readers = Readers::of("/nonexistent/sealpost".into());
    let content = Content::Unreadable(Unreadable::NoReader);
    let mut tree = Tree {
        subject: Phi::default(),
        from: Vec::new(),
        message_id: None,
        parts: vec![Part { path: "1".into(), media_type: "image/jpeg".into(), name: None, content }],
        control: Vec::new(),
    };
    let picture = File { at: 0, octets: Phi::new(Bytes::from_static(b"\xff\xd8\xff\xe0")) };
    readers.fill(&mut tree, vec![picture], &ALLOWANCE);
    assert_eq!(outline(&tree.parts), ["1!Scanned"]);
}

/// A child that says of each of two files that it has a text of four octets, and a page below that is a scan.
fn talking() -> String {
    // One part without a path of its own, one below it, and the end: for each of two files.
    let say = |json: &str| format!("printf '\\000\\000\\000\\{:03o}%s' '{json}'", json.len());
    let own = say(r#"{"path":"","media_type":"application/pdf","name":null,"why":null}"#);
    let below = say(r#"{"path":"page2","media_type":"application/pdf","name":null,"why":"scanned"}"#);
    let file = format!("{own}; printf '\\000\\000\\000\\004seen'; {below}; printf '\\000\\000\\000\\000'");
    format!("{file}; {file}; exec cat >/dev/null")
}

#[test]
fn the_files_of_a_message_have_one_budget() {
    let within = |budget: Budget| read_within(&talking(), &Allowance { budget, ..ALLOWANCE });
    let last = ["2=words", "3=seen", "3.page2!Scanned"];
    assert_eq!(within(Budget { bytes: 4, ..BUDGET }), [&["1!TooLarge"][..], &last].concat());
    assert_eq!(within(Budget { parts: 1, ..BUDGET }), [&["1!TooManyParts"][..], &last].concat());
}

#[test]
fn what_a_child_says_takes_the_place_of_its_file() {
    let read = read(&talking());
    assert_eq!(read, ["1=seen", "1.page2!Scanned", "2=words", "3=seen", "3.page2!Scanned"]);
}
