//! The verifier that a stranger wrote in Python agrees with ours on good exports and on every kind of tampering.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop where it stands")]

use std::path::Path;
use std::process::Command;

use sealpost::audit::{self, Actor, Event, Head, NodeId, Show, SignedHead};
use sealpost::clock::Timestamp;
use sealpost::crypto::SigningKey;

const ROWS: usize = 5;

fn export(rows: usize) -> (Vec<String>, SignedHead) {
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let mut head = Head::empty(NodeId("node-ä".into()));
    let mut entries = Vec::new();
    for boot in 0..rows {
        let actor = Actor::Operator { user: "zoë".into(), uid: 1000 };
        let at = Timestamp::from_millis(boot as i64);
        let (entry, next) = audit::link(&head, at, &actor, &Event::Stopped { boot: boot as i64 }).unwrap();
        entries.push((entry, if boot % 3 == 1 { Show::LeafOnly } else { Show::Whole }));
        head = next;
    }
    let signed = SignedHead::sign(&head, Timestamp::from_millis(99), &key);
    (audit::export(&key.public(), entries, &signed).map(Result::unwrap).collect(), signed)
}

/// What both say: 0 is proved, 1 is broken.
struct Trial {
    name: String,
    lines: Vec<String>,
    head: Option<SignedHead>,
    proved: bool,
}

fn tampered() -> Vec<Trial> {
    let (good, _) = export(ROWS);
    let mut trials = Vec::new();
    let mut broken = |name: String, change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.clone();
        change(&mut lines);
        assert_ne!(lines, good, "{name} changes nothing");
        trials.push(Trial { name, lines, head: None, proved: false });
    };
    for at in 0..good.len() {
        broken(format!("line {} dropped", at + 1), &|lines| drop(lines.remove(at)));
        broken(format!("line {} doubled", at + 1), &|lines| lines.insert(at, lines[at].clone()));
        broken(format!("line {} cut", at + 1), &|lines| lines[at].truncate(30));
        broken(format!("line {} with one field more", at + 1), &|lines| {
            lines[at] = lines[at].replacen('{', "{\"note\":\"x\",", 1);
        });
        broken(format!("cut before line {}", at + 1), &|lines| lines.truncate(at));
        if at + 1 < good.len() {
            broken(format!("lines {} and {} swapped", at + 1, at + 2), &|lines| lines.swap(at, at + 1));
        }
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&good[at]).unwrap();
        for field in object.keys() {
            broken(format!("{field} of line {} altered", at + 1), &|lines| {
                let mut object = object.clone();
                object[field] = match object[field].as_str() {
                    Some(text) => format!("{}{}", if text.starts_with('0') { 'f' } else { '0' }, &text[1..]).into(),
                    None => (object[field].as_i64().unwrap() + 1).into(),
                };
                lines[at] = serde_json::Value::Object(object).to_string();
            });
        }
    }
    let foreign = "{\"node\":\"node-ä\",\"seq\":3,\"leaf\":\"00\",\"hash\":\"00\"}";
    broken("a row inserted".into(), &|lines| lines.insert(3, foreign.into()));
    trials
}

fn trials() -> Vec<Trial> {
    let (good, signed) = export(ROWS);
    let (longer, _) = export(ROWS + 1);
    let (shorter, _) = export(ROWS - 1);
    let forged = SignedHead { seq: 4, ..signed.clone() };
    let named = |name: &str, lines: &[String], (head, proved): (Option<SignedHead>, bool)| Trial {
        name: name.into(),
        lines: lines.to_vec(),
        head,
        proved,
    };
    let mut trials = vec![
        named("good", &good, (None, true)),
        named("empty log", &export(0).0, (None, true)),
        named("good, with its own head", &good, (Some(signed.clone()), true)),
        named("grown since the head", &longer, (Some(signed.clone()), true)),
        named("tail cut and signed anew", &shorter, (Some(signed), false)),
        named("forged head", &good, (Some(forged), false)),
    ];
    trials.extend(tampered());
    trials
}

fn python_proves(trial: &Trial, folder: &Path) -> bool {
    let (export, head) = (folder.join("export.jsonl"), folder.join("head.json"));
    std::fs::write(&export, trial.lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify_audit.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(&export);
    if let Some(kept) = &trial.head {
        std::fs::write(&head, serde_json::to_string(kept).unwrap()).unwrap();
        command.arg("--head").arg(&head);
    }
    let output = command.output().expect("python3 is needed to run this test");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) if said.starts_with("proved up to row") => true,
        Some(1) if said.starts_with("broken: ") => false,
        other => panic!("{}: {other:?} {said} {}", trial.name, String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
fn both_verifiers_prove_what_is_whole_and_refuse_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for trial in trials() {
        let ours = audit::verify(&trial.lines, trial.head.clone());
        assert_eq!(ours.is_ok(), trial.proved, "{}: {ours:?}", trial.name);
        assert_eq!(python_proves(&trial, folder.path()), trial.proved, "{}", trial.name);
    }
}
