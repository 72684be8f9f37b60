//! A client's whole dialog: no line makes the session fall over or skip a step, and what is taken is an envelope of clean addresses.

use std::sync::{Arc, LazyLock};

use sealpost::config::{self, Config, RelayTls};
use sealpost::mail::{Address, Enhanced, Envelope, Malformed, Proof, Reply, ReversePath};
use sealpost::smtp::{
    Channel, Chunked, Claim, Command, Entrance, Logins, Receiving, Session, Settings, Step, Submitter,
};

/// The clinic of the examples, with limits that are soon met.
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = include_str!("../../../config/examples/clinic.toml");
    let limits = "[limits]\nmessage_bytes = \"2KiB\"\nheader_bytes = \"1KiB\"\nline_bytes = \"1KiB\"\n\
                  recipients = 5\nmessages_per_connection = 3\nerrors_per_connection = 10\n";
    config::parse(&format!("{text}\n{limits}")).expect("a config")
});

/// The first octet says how it begins; the rest are lines.
pub fn check(data: &[u8]) {
    let Some((&kind, text)) = data.split_first() else { return };
    let visitor = (kind & 32 != 0).then(|| client(Proof::Network));
    let known = visitor.is_some();
    let (entrance, tls, in_clear) = match kind >> 6 {
        0 => (Entrance::Submission, false, false),
        1 => (Entrance::Submissions, true, false),
        2 => (Entrance::Relay { tls: RelayTls::Required, visitor }, false, false),
        _ => (Entrance::Legacy { visitor }, false, true),
    };
    let logged_in = (known && kind >> 6 >= 2) || kind & 16 != 0;
    let mut dialog = Dialog { kind, tls, in_clear, logged_in, replies: 0, chunks: 0 };
    let mut step = Session::open(Arc::new(Settings::of(&CONFIG)), entrance, channel(kind));
    for line in text.split(|octet| *octet == b'\n').take(200) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match dialog.on(step, line) {
            Some(next) => step = next,
            None => return,
        }
    }
}

/// What can be logged in by; with one bit a certificate was shown that is the client's.
fn channel(kind: u8) -> Channel {
    let certified = (kind & 16 != 0).then(|| client(Proof::Certificate));
    Channel { exporter: Some([7; 32]), certified, logins: Logins { passwords: true, scram: kind & 1 == 0 } }
}

fn client(proof: Proof) -> Submitter {
    Submitter::of(&CONFIG.clients[0], proof)
}

struct Dialog {
    kind: u8,
    tls: bool,
    /// A door that TLS is never offered at.
    in_clear: bool,
    logged_in: bool,
    replies: usize,
    chunks: usize,
}

fn queued() -> Reply {
    Reply::new(250, Enhanced::new(2, 0, 0), "queued")
}

fn whole(receiving: Receiving) -> Step {
    let (envelope, answering) = receiving.whole();
    is_clean(&envelope);
    answering.answered(queued())
}

fn is_clean(envelope: &Envelope) {
    let recipients = envelope.recipients();
    assert!((1..=CONFIG.limits.recipients).contains(&recipients.len()));
    match envelope.sender() {
        ReversePath::Mailbox(sender) => assert!(sender.matches("*@clinic.example"), "somebody else's sender"),
        ReversePath::Null => panic!("the null sender was not allowed"),
    }
    for recipient in recipients {
        assert!(Address::parse(recipient.expose()).is_ok());
    }
}

impl Dialog {
    /// Gives the line to what the session waits for, and goes through whatever asks for no line.
    fn on(&mut self, step: Step, line: &[u8]) -> Option<Step> {
        let mut step = match self.settle(step)? {
            Step::Reply(session, reply) => {
                self.said(&reply);
                session.handle(Command::parse(line))
            }
            Step::Challenge(reply, exchange) => {
                assert!(self.tls || self.in_clear, "a password is asked for in clear");
                self.said(&reply);
                exchange.respond(line)
            }
            _ => return None,
        };
        for _ in 0..4 {
            step = self.settle(step)?;
        }
        Some(step)
    }

    fn is_known(&self) {
        assert!((self.tls || self.in_clear) && self.logged_in, "a message of nobody");
    }

    fn settle(&mut self, step: Step) -> Option<Step> {
        match step {
            Step::StartTls(reply, securing) => {
                self.said(&reply);
                assert!(!self.tls, "TLS twice");
                self.tls = true;
                Some(Step::Reply(securing.secured(channel(self.kind)), Reply::plain(220, "TLS")))
            }
            Step::LookUp(_, looking) if self.kind & 2 == 0 => {
                assert!(self.tls || self.in_clear, "a login in clear");
                Some(looking.refused(Reply::new(454, Enhanced::new(4, 7, 0), "locked")))
            }
            Step::LookUp(_, looking) => {
                let (stored_key, server_key) = ([1; 32], [2; 32]);
                Some(looking.found(config::Scram { iterations: 4096, salt: vec![3; 16], stored_key, server_key }))
            }
            Step::Verify(claim, verifying) => {
                assert!(self.tls || self.in_clear, "a login in clear");
                let proof = match &claim {
                    Claim::Password(credentials) if credentials.login.expose() == "ehr" || self.kind & 2 == 0 => {
                        Some(Proof::Password)
                    }
                    // Nobody finds the proof to a verifier that was made up.
                    Claim::Password(_) | Claim::Scram(..) => None,
                    Claim::Certificate(_) => {
                        assert!(self.kind & 16 != 0, "a certificate that nobody showed");
                        Some(Proof::Certificate)
                    }
                };
                if let Some(proof) = proof {
                    self.logged_in = true;
                    return Some(verifying.accepted(client(proof)));
                }
                Some(verifying.refused(Reply::new(535, Enhanced::new(5, 7, 8), "no")))
            }
            Step::Receive(receiving) => {
                self.is_known();
                let (go_on, envelope, answering) = receiving.begin();
                assert_eq!(go_on.code.value(), 354);
                is_clean(&envelope);
                Some(answering.answered(queued()))
            }
            Step::Chunk(chunking) => {
                self.is_known();
                self.chunks += 1;
                match self.kind >> 2 & 3 {
                    0 => return Some(chunking.declined(Reply::new(452, Enhanced::new(4, 3, 1), "no room"))),
                    1 if self.chunks.is_multiple_of(2) => return Some(chunking.malformed(Malformed::BareLf)),
                    _ => {}
                }
                let last = chunking.is_last();
                Some(match chunking.kept() {
                    Chunked::More(step) => {
                        assert!(!last, "more behind the last");
                        step
                    }
                    Chunked::Whole(receiving) => {
                        assert!(last, "whole without its last");
                        whole(receiving)
                    }
                })
            }
            Step::Skip(_, next) => Some(*next),
            Step::Close(reply) => {
                self.said(&reply);
                None
            }
            Step::Drop => None,
            step => Some(step),
        }
    }

    /// Every reply is whole lines of printable text.
    fn said(&mut self, reply: &Reply) {
        self.replies += 1;
        let wire = reply.to_wire();
        let text = std::str::from_utf8(&wire).expect("a reply is text");
        assert!(text.ends_with("\r\n"));
        for line in text.split_terminator("\r\n") {
            assert!(!line.contains(char::is_control), "a control character in a reply");
            assert!(line.len() <= 510, "a line of a reply is too long");
        }
    }
}
