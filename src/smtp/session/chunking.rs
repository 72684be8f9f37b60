//! A message that comes in chunks (RFC 3030): which BDAT may follow what, and what a refused one leaves behind.

use crate::mail::{Envelope, Malformed, Reply};
use crate::smtp::session::{Greeting, Receiving, Session, State, Step, answer, fault_reply};
use crate::smtp::{Chunk, Submitter};

/// How far a message in chunks has come.
#[derive(Debug)]
pub(super) enum Sequence {
    /// All chunks so far were taken.
    Open { envelope: Envelope, declared: Option<u64> },
    /// One was refused. What was sent behind it without waiting is read over.
    Failed,
}

/// A chunk was announced, and its octets come.
#[derive(Debug)]
pub struct Chunking {
    receiving: Receiving,
    chunk: Chunk,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    First,
    Later,
}

/// What a chunk leads to that was taken.
#[derive(Debug)]
pub enum Chunked {
    /// More of them are to come.
    More(Step),
    /// The message is whole, and its reply is due.
    Whole(Receiving),
}

impl Session {
    pub(super) fn bdat(self, chunk: Chunk) -> Step {
        let Session { base, state } = self;
        match state {
            State::LoggedIn { helo, submitter, transaction: Some(transaction) } => {
                let declared = transaction.declared();
                match transaction.seal() {
                    Ok(envelope) => {
                        let receiving = Receiving { base, helo, submitter, envelope, declared };
                        Step::Chunk(Chunking { receiving, chunk, place: Place::First })
                    }
                    Err(_) => {
                        let session = Session { base, state: State::failed((helo, submitter), chunk) };
                        skip(chunk, session.refuse(answer(554, (5, 5, 1), "no recipient was taken")))
                    }
                }
            }
            State::Chunking { helo, submitter, sequence: Sequence::Open { envelope, declared } } => {
                let receiving = Receiving { base, helo, submitter, envelope, declared };
                Step::Chunk(Chunking { receiving, chunk, place: Place::Later })
            }
            State::Chunking { helo, submitter, sequence: Sequence::Failed } => {
                let session = Session { base, state: State::failed((helo, submitter), chunk) };
                // RFC 3030 §2: 503 to the chunks behind one that failed. Whoever pipelines cannot help sending them.
                skip(chunk, session.reply(answer(503, (5, 5, 1), "a chunk before this one was refused")))
            }
            state @ State::LoggedIn { transaction: None, .. } => {
                let session = Session { base, state };
                skip(chunk, session.refuse(answer(503, (5, 5, 1), "MAIL and RCPT first")))
            }
            state @ (State::Clear(_) | State::Open(_)) => skip(chunk, Session { base, state }.refuse_stranger()),
        }
    }

    /// Whether chunks were taken of a message that is not whole.
    pub fn holds_chunks(&self) -> bool {
        matches!(self.state, State::Chunking { sequence: Sequence::Open { .. }, .. })
    }
}

/// RFC 3030 §2: the octets of a refused chunk are read over before it is answered. A connection that ends anyway does not
/// wait for them.
fn skip(chunk: Chunk, step: Step) -> Step {
    match step {
        Step::Close(reply) => Step::Close(reply),
        step => Step::Skip(chunk.octets(), Box::new(step)),
    }
}

impl State {
    /// Behind a refused chunk. The last one ends its message, and with it the transaction.
    fn failed((helo, submitter): (Greeting, Submitter), chunk: Chunk) -> State {
        match chunk {
            Chunk::More(_) => State::Chunking { helo, submitter, sequence: Sequence::Failed },
            Chunk::Last(_) => State::LoggedIn { helo, submitter, transaction: None },
        }
    }
}

impl Chunking {
    pub fn octets(&self) -> u64 {
        self.chunk.octets()
    }

    /// Whether a message begins with it.
    pub fn begins(&self) -> bool {
        self.place == Place::First
    }

    /// Whether a message ends with it.
    pub fn is_last(&self) -> bool {
        matches!(self.chunk, Chunk::Last(_))
    }

    pub fn receiving(&self) -> &Receiving {
        &self.receiving
    }

    /// Its octets are here, and nothing is wrong with them.
    pub fn kept(self) -> Chunked {
        let octets = match self.chunk {
            Chunk::More(octets) => octets,
            Chunk::Last(_) => return Chunked::Whole(self.receiving),
        };
        let Receiving { base, helo, submitter, envelope, declared } = self.receiving;
        let sequence = Sequence::Open { envelope, declared };
        let session = Session { base, state: State::Chunking { helo, submitter, sequence } };
        // RFC 3030 §2: each chunk has its 250. This one says nothing of the message.
        Chunked::More(session.reply(answer(250, (2, 0, 0), format!("{octets} octets received"))))
    }

    /// There is no room for the message; the octets are still to come.
    pub fn declined(self, reply: Reply) -> Step {
        let chunk = self.chunk;
        skip(chunk, self.failed().reply(reply))
    }

    /// Its octets are here, and could not be kept.
    pub fn not_kept(self, reply: Reply) -> Step {
        self.failed().reply(reply)
    }

    /// Its octets are here, and are no part of a message. Where they end is sure, so the dialog goes on.
    pub fn malformed(self, fault: Malformed) -> Step {
        self.failed().refuse(fault_reply(fault))
    }

    fn failed(self) -> Session {
        let Receiving { base, helo, submitter, .. } = self.receiving;
        Session { base, state: State::failed((helo, submitter), self.chunk) }
    }
}
