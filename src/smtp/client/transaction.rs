//! One MAIL, its RCPTs and the message by DATA or BDAT: pipelined where offered, with an answer for every recipient.

use std::collections::VecDeque;
use std::fmt;

use crate::mail::{Address, Asked, Enhanced, Message, Reply, RequireTls, ReversePath, Utf8, Wishes};
use crate::smtp::client::{Answer, Extension, Framing, Means, NO_PROMISE, Offers, Reports, Stage, parameters};

const NO_ROOM: &str = "the next hop takes no more recipients in one transaction";

/// What one transaction carries.
#[derive(Debug)]
pub struct Parcel<'a> {
    pub sender: &'a ReversePath,
    /// Answered in this order.
    pub recipients: &'a [Address],
    pub message: &'a Message,
    pub utf8: Utf8,
    /// What the sender asked for all of them, and for each in the order of the recipients.
    pub asked: &'a Asked,
    pub wishes: &'a [Wishes],
}

/// What to do now. `Debug` shows no commands: they name people.
#[derive(PartialEq, Eq)]
pub enum Next {
    Send(Vec<u8>),
    /// More replies are on their way.
    Read,
    /// Send the message, encoded: behind 354, or as a chunk.
    SendContent(Framing),
    Done(Leaves),
}

/// How a transaction leaves its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Ready for another MAIL.
    Clean,
    /// A transaction is still open: RSET first.
    Open,
    /// Nothing more can be said on it.
    Broken,
    /// Nor can a chunk be sent to this host: it does not know the BDAT that it offers.
    Misunderstood,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Mail,
    Recipient(usize),
    Data,
    Content,
    Chunk,
    /// The lone dot that closes a DATA nobody is left for.
    Nobody,
}

/// `Debug` shows how far it is, and not for whom.
pub struct Transaction {
    answers: Vec<Option<Answer>>,
    accepted: Vec<usize>,
    to_send: VecDeque<(Command, Vec<u8>)>,
    awaited: VecDeque<Command>,
    pipelining: bool,
    framing: Framing,
    /// Who reports success of what is taken.
    reports: Reports,
    leaves: Leaves,
}

impl Transaction {
    pub(super) fn new(offers: &Offers, parcel: &Parcel<'_>) -> Transaction {
        let mut answers: Vec<_> = parcel.recipients.iter().map(|to| unfit(offers, parcel, to)).collect();
        // RFC 9422 §4: beyond the announced number, each recipient would be refused.
        let beyond = answers.iter_mut().filter(|answer| answer.is_none()).skip(offers.rcpt_max().unwrap_or(usize::MAX));
        beyond.for_each(|answer| *answer = Some(Answer::ours(Stage::Recipient, Means::Again, NO_ROOM)));
        let mut to_send = VecDeque::from([(Command::Mail, mail_from(offers, parcel))]);
        for (at, recipient) in parcel.recipients.iter().enumerate().filter(|(at, _)| answers[*at].is_none()) {
            let parameters = parameters::of_recipient(offers, parcel, at);
            let line = format!("RCPT TO:<{}>{parameters}\r\n", expose_for_wire(recipient));
            to_send.push_back((Command::Recipient(at), line.into_bytes()));
        }
        let framing = if offers.has(Extension::Chunking) { Framing::Chunk } else { Framing::Dots };
        match framing {
            Framing::Dots => to_send.push_back((Command::Data, b"DATA\r\n".to_vec())),
            // RFC 3030 §4.2 lets BDAT go out behind RCPT without waiting. It takes the content with it, and who refused
            // every recipient has no business with that: it waits until one is accepted.
            Framing::Chunk => {}
        }
        if answers.iter().all(Option::is_some) {
            to_send.clear();
        }
        let pipelining = offers.has(Extension::Pipelining);
        Transaction {
            answers,
            accepted: Vec::new(),
            to_send,
            awaited: VecDeque::new(),
            pipelining,
            framing,
            reports: if offers.has(Extension::Dsn) { Reports::TheNextHops } else { Reports::Ours },
            leaves: Leaves::Clean,
        }
    }

    /// The first thing to do; `Done` at once when no recipient can be named to this host.
    pub fn start(&mut self) -> Next {
        let mut wire = Vec::new();
        while let Some((command, line)) = self.to_send.pop_front() {
            wire.extend_from_slice(&line);
            self.awaited.push_back(command);
            if !self.pipelining {
                break;
            }
        }
        if !wire.is_empty() {
            return Next::Send(wire);
        }
        if self.framing == Framing::Dots || self.accepted.is_empty() {
            return Next::Done(self.leaves);
        }
        self.awaited.push_back(Command::Chunk);
        Next::SendContent(Framing::Chunk)
    }

    /// The stage whose reply is awaited.
    pub fn stage(&self) -> Stage {
        match self.awaited.front() {
            Some(Command::Mail) => Stage::Mail,
            Some(Command::Recipient(_)) => Stage::Recipient,
            Some(Command::Data) => Stage::Data,
            Some(Command::Content | Command::Chunk | Command::Nobody) | None => Stage::Content,
        }
    }

    pub fn on(&mut self, reply: Reply) -> Next {
        let stage = self.stage();
        // RFC 5321 §3.8: 421 may answer any command, and the connection is over.
        if reply.code.value() == 421 {
            self.answer_rest(&Answer::from_reply(stage, Means::Later, reply));
            return self.broken();
        }
        match self.awaited.pop_front() {
            None => self.out_of_step(stage),
            Some(Command::Mail) => self.on_mail(reply),
            Some(Command::Recipient(at)) => self.on_recipient(at, reply),
            Some(Command::Data) => self.on_data(reply),
            Some(Command::Content) => self.on_content(reply),
            Some(Command::Chunk) if is_not_understood(&reply) => self.on_misunderstanding(reply),
            Some(Command::Chunk) => self.on_content(reply),
            Some(Command::Nobody) => {
                self.leaves = Leaves::Open;
                Next::Done(self.leaves)
            }
        }
    }

    /// The connection ended, or a wait did: whoever has no answer yet is tried again later.
    pub fn cut(&mut self, words: &str) {
        let answer = Answer::ours(self.stage(), Means::Later, words);
        self.answer_rest(&answer);
        self.leaves = Leaves::Broken;
    }

    /// The same, where everything that was to be said before had been said: behind the end of the content, the host may have
    /// taken the message.
    pub fn unheard(&mut self, words: &str) {
        let means = self.unsaid();
        let answer = Answer::ours(self.stage(), means, words);
        self.answer_rest(&answer);
        self.leaves = Leaves::Broken;
    }

    /// What it means when no answer comes.
    pub fn unsaid(&self) -> Means {
        match self.awaited.front() {
            Some(Command::Content | Command::Chunk) => Means::Unanswered,
            Some(Command::Mail | Command::Recipient(_) | Command::Data | Command::Nobody) | None => Means::Later,
        }
    }

    /// One answer per recipient, in the parcel's order.
    pub fn answers(self) -> Vec<Answer> {
        let missing = || Answer::ours(Stage::Mail, Means::Later, "the transaction was not finished");
        self.answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
    }

    fn on_mail(&mut self, reply: Reply) -> Next {
        if reply.code.is_positive() {
            self.leaves = Leaves::Open;
            return self.advance();
        }
        if !is_refusal(&reply) {
            return self.out_of_step(Stage::Mail);
        }
        let means = means(Stage::Mail, &reply);
        self.answer_rest(&Answer::from_reply(Stage::Mail, means, reply));
        self.to_send.clear();
        self.advance()
    }

    fn on_recipient(&mut self, at: usize, reply: Reply) -> Next {
        if self.answers[at].is_none() {
            if reply.code.is_positive() {
                self.accepted.push(at);
            } else if is_refusal(&reply) {
                let full = !self.accepted.is_empty() && is_full(&reply);
                let means = if full { Means::Again } else { means(Stage::Recipient, &reply) };
                self.answers[at] = Some(Answer::from_reply(Stage::Recipient, means, reply));
            } else {
                return self.out_of_step(Stage::Recipient);
            }
        }
        // Unpipelined, DATA is not said when nobody was accepted.
        if self.accepted.is_empty() && self.to_send.front().is_some_and(|(command, _)| *command == Command::Data) {
            self.to_send.clear();
        }
        self.advance()
    }

    fn on_data(&mut self, reply: Reply) -> Next {
        if reply.code.value() == 354 {
            if self.accepted.is_empty() {
                // RFC 2920 §3.1: pipelined DATA may get 354 though no recipient was taken; one dot ends it.
                self.awaited.push_back(Command::Nobody);
                return Next::Send(b".\r\n".to_vec());
            }
            self.awaited.push_back(Command::Content);
            return Next::SendContent(Framing::Dots);
        }
        if !is_refusal(&reply) {
            return self.out_of_step(Stage::Data);
        }
        let means = means(Stage::Data, &reply);
        self.answer_rest(&Answer::from_reply(Stage::Data, means, reply));
        Next::Done(self.leaves)
    }

    fn on_content(&mut self, reply: Reply) -> Next {
        if reply.code.is_positive() {
            self.leaves = Leaves::Clean;
            let taken = Answer::from_reply(Stage::Content, Means::Taken, reply);
            self.answer_rest(&Answer { reports: self.reports, ..taken });
        } else if is_refusal(&reply) {
            let means = means(Stage::Content, &reply);
            self.answer_rest(&Answer::from_reply(Stage::Content, means, reply));
        } else {
            let words = "the next hop's reply to the message says neither yes nor no";
            self.answer_rest(&Answer::ours(Stage::Content, Means::Unanswered, words));
            return self.broken();
        }
        Next::Done(self.leaves)
    }

    /// What the host made of the octets behind a BDAT that it does not know, nobody can say: nothing more is said on this
    /// connection, and the message was not taken. The next attempt says DATA.
    fn on_misunderstanding(&mut self, reply: Reply) -> Next {
        let words = "the next hop offers CHUNKING and does not take BDAT: from now on it is sent DATA";
        let answer = Answer::from_reply(Stage::Content, Means::Later, reply);
        self.answer_rest(&Answer { words: words.into(), ..answer });
        self.leaves = Leaves::Misunderstood;
        Next::Done(self.leaves)
    }

    fn advance(&mut self) -> Next {
        if self.awaited.is_empty() { self.start() } else { Next::Read }
    }

    fn out_of_step(&mut self, stage: Stage) -> Next {
        self.answer_rest(&Answer::ours(stage, Means::Later, "the next hop's reply does not fit what was said to it"));
        self.broken()
    }

    fn broken(&mut self) -> Next {
        self.leaves = Leaves::Broken;
        Next::Done(self.leaves)
    }

    fn answer_rest(&mut self, answer: &Answer) {
        for open in self.answers.iter_mut().filter(|open| open.is_none()) {
            *open = Some(answer.clone());
        }
    }
}

fn is_refusal(reply: &Reply) -> bool {
    reply.code.is_transient() || reply.code.is_permanent()
}

/// RFC 5321 §4.2.4: 500 to 504 are about a command, not about what it carries; unless the enhanced code says so.
fn is_not_understood(reply: &Reply) -> bool {
    // RFC 3463 §3.6: X.5.X is about the protocol.
    matches!(reply.code.value(), 500..=504) && reply.enhanced.is_none_or(|code| code.subject == 5)
}

/// RFC 5321 §4.5.3.1.10: too many recipients, by 452, or by the 552 of old; with an enhanced code, by X.5.3.
fn is_full(reply: &Reply) -> bool {
    matches!(reply.code.value(), 452 | 552) && reply.enhanced.is_none_or(|code| (code.subject, code.detail) == (5, 3))
}

/// 4yz is later and 5yz for good, with two exceptions.
fn means(stage: Stage, reply: &Reply) -> Means {
    if !reply.code.is_permanent() {
        return Means::Later;
    }
    match reply.enhanced.map(|code| (code.subject, code.detail)) {
        // RFC 3463 §3.3, §3.4: too big for the system or for the mailbox; another method may still carry it.
        Some((3, 4) | (2, 3)) => Means::Unfit,
        Some(NO_PROMISE) => Means::Unfit,
        // RFC 1870 §6.1: without an enhanced code, 552 to MAIL or the content is the size.
        None if reply.code.value() == 552 && stage != Stage::Recipient => Means::Unfit,
        // RFC 5321 §4.5.3.1.10: 552 to RCPT was once used for "too many recipients", and is then temporary.
        None if reply.code.value() == 552 => Means::Later,
        Some(_) | None => Means::Refused,
    }
}

/// What this host cannot carry, found out before anything is sent. Content is never changed to make it fit.
fn unfit(offers: &Offers, parcel: &Parcel<'_>, recipient: &Address) -> Option<Answer> {
    let size = u64::try_from(parcel.message.len()).unwrap_or(u64::MAX);
    if let Some(Some(limit)) = offers.size().filter(|limit| limit.is_some_and(|limit| size > limit)) {
        let words = format!("the message has {size} octets, and the next hop takes {limit}");
        return Some(Answer::ours(Stage::Mail, Means::Unfit, words).enhanced(Enhanced::new(5, 3, 4)));
    }
    if parcel.asked.require_tls == RequireTls::Yes && !offers.has(Extension::RequireTls) {
        // RFC 8689 §4.2.1: then nothing is said of the message here, and other hosts are asked.
        let words = "the next hop does not offer REQUIRETLS, which the sender asks for";
        return Some(Answer::ours(Stage::Mail, Means::Unfit, words).enhanced(Enhanced::new(5, 7, 30)));
    }
    if wants_utf8(parcel, recipient) && !offers.has(Extension::SmtpUtf8) {
        // RFC 6531 §3.5, 5.6.7: non-ASCII addresses not permitted by the next hop.
        let words = "the next hop does not offer SMTPUTF8, which this message or address needs";
        return Some(Answer::ours(Stage::Mail, Means::Refused, words).enhanced(Enhanced::new(5, 6, 7)));
    }
    if parcel.message.has_eight_bit() && !offers.has(Extension::EightBitMime) {
        // RFC 6152 §3, 5.6.3: conversion required but not done.
        let words = "the next hop does not offer 8BITMIME, which this message needs";
        return Some(Answer::ours(Stage::Mail, Means::Refused, words).enhanced(Enhanced::new(5, 6, 3)));
    }
    None
}

fn wants_utf8(parcel: &Parcel<'_>, recipient: &Address) -> bool {
    let header = parcel.utf8 == Utf8::Declared && !parcel.message.header().is_ascii();
    let sender = parcel.sender.mailbox().is_some_and(has_utf8_local);
    header || sender || has_utf8_local(recipient)
}

// Only looks whether the local part is ASCII.
fn has_utf8_local(address: &Address) -> bool {
    !address.expose_local().is_ascii()
}

fn mail_from(offers: &Offers, parcel: &Parcel<'_>) -> Vec<u8> {
    let sender = parcel.sender.mailbox().map(expose_for_wire).unwrap_or_default();
    let mut line = format!("MAIL FROM:<{sender}>");
    if offers.size().is_some() {
        line.push_str(&format!(" SIZE={}", parcel.message.len()));
    }
    if parcel.message.has_eight_bit() && offers.has(Extension::EightBitMime) {
        line.push_str(" BODY=8BITMIME");
    }
    let utf8 = parcel.recipients.iter().any(|recipient| wants_utf8(parcel, recipient));
    if utf8 && offers.has(Extension::SmtpUtf8) {
        line.push_str(" SMTPUTF8");
    }
    line.push_str(&parameters::of_mail(offers, parcel));
    line.push_str("\r\n");
    line.into_bytes()
}

/// The next hop must be told the address. A domain in U-labels goes as A-labels, which need no SMTPUTF8.
fn expose_for_wire(address: &Address) -> String {
    if address.needs_utf8() {
        return format!("{}@{}", address.expose_local(), address.domain());
    }
    // The next hop has to be told whom the message is for.
    address.expose().to_owned()
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Next::Send(bytes) => write!(f, "Send({} octets)", bytes.len()),
            Next::Read => f.write_str("Read"),
            Next::SendContent(framing) => write!(f, "SendContent({framing:?})"),
            Next::Done(leaves) => write!(f, "Done({leaves:?})"),
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transaction(awaits {:?}, {} recipients)", self.awaited, self.answers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::WireLimits;
    use crate::smtp::client::tests::reply;

    /// Plays a dialog: the offers, and the replies in order. Gives the wire and each recipient's answer.
    fn play(offers: &[Extension], to: &[&str], body: &str, replies: &[&str]) -> (String, Vec<(Stage, Means)>, Leaves) {
        let limits = WireLimits { message_bytes: 1000, header_bytes: 1000, line_bytes: 1000 };
        let message = Message::parse(body.as_bytes().to_vec(), &limits).unwrap();
        let recipients: Vec<_> = to.iter().map(|text| Address::parse(text).unwrap()).collect();
        let sender = ReversePath::Mailbox(Address::parse("ann@clinic.example").unwrap());
        let (asked, wishes) = (&Asked::default(), &[]);
        let parcel = Parcel {
            sender: &sender,
            recipients: &recipients,
            message: &message,
            utf8: Utf8::NotDeclared,
            asked,
            wishes,
        };
        let mut transaction = Transaction::new(&Offers(offers.to_vec()), &parcel);
        let (mut wire, mut next, mut replies) = (String::new(), transaction.start(), replies.iter());
        let leaves = loop {
            match next {
                Next::Send(bytes) => wire.push_str(&String::from_utf8(bytes).unwrap()),
                Next::SendContent(Framing::Dots) => wire.push_str("(content)"),
                Next::SendContent(Framing::Chunk) => wire.push_str("(chunk)"),
                Next::Read => {}
                Next::Done(leaves) => break leaves,
            }
            let Some(text) = replies.next() else {
                transaction.unheard("closed");
                break Leaves::Broken;
            };
            next = transaction.on(reply(text));
        };
        assert_eq!(replies.next(), None, "every reply is read");
        let answers = transaction.answers().into_iter().map(|answer| (answer.stage, answer.means)).collect();
        (wire.replace("\r\n", "|"), answers, leaves)
    }

    const BODY: &str = "Subject: x\r\n\r\nx\r\n";
    const TWO: [&str; 2] = ["bo@lab.example", "cy@lab.example"];
    const TAKEN: (Stage, Means) = (Stage::Content, Means::Taken);

    #[test]
    fn a_pipelined_envelope_goes_in_one_write() {
        let offers = [Extension::Pipelining, Extension::Size(None)];
        let (wire, answers, leaves) =
            play(&offers, &TWO, BODY, &["250 ok", "250 ok", "550 5.1.1 who", "354 go", "250 as 7"]);
        let expected = "MAIL FROM:<ann@clinic.example> SIZE=17|RCPT TO:<bo@lab.example>|RCPT TO:<cy@lab.example>|DATA|";
        assert_eq!(wire, format!("{expected}(content)"));
        assert_eq!(answers, [TAKEN, (Stage::Recipient, Means::Refused)]);
        assert_eq!(leaves, Leaves::Clean);
    }

    #[test]
    fn without_pipelining_data_waits_for_a_recipient() {
        let (wire, answers, leaves) = play(&[], &TWO, BODY, &["250 ok", "451 grey", "550 5.1.1 who"]);
        assert!(!wire.contains("DATA"));
        assert_eq!(answers, [(Stage::Recipient, Means::Later), (Stage::Recipient, Means::Refused)]);
        assert_eq!(leaves, Leaves::Open);
    }

    #[test]
    fn a_lone_dot_closes_a_data_without_recipients() {
        let replies = ["250 ok", "550 5.1.1 who", "550 5.1.1 who", "354 go", "554 nobody"];
        let (wire, answers, leaves) = play(&[Extension::Pipelining], &TWO, BODY, &replies);
        assert!(wire.ends_with("DATA|.|") && !wire.contains("(content)"));
        assert_eq!(answers, [(Stage::Recipient, Means::Refused); 2]);
        assert_eq!(leaves, Leaves::Open);
    }

    #[test]
    fn each_pipelined_recipient_has_its_own_answer_and_a_421_answers_for_the_rest() {
        let to = ["a@lab.example", "b@lab.example", "c@lab.example", "d@lab.example", "e@lab.example"];
        let replies = ["250 ok", "250 ok", "550 5.1.1 who", "451 4.2.1 later", "421 4.3.2 bye"];
        let (wire, answers, leaves) = play(&[Extension::Pipelining], &to, BODY, &replies);
        let (later, refused) = ((Stage::Recipient, Means::Later), (Stage::Recipient, Means::Refused));
        assert_eq!(answers, [later, refused, later, later, later], "who was accepted was not sent anything");
        assert_eq!((wire.contains("(content)"), leaves), (false, Leaves::Broken));
    }

    #[test]
    fn each_reply_means_one_thing_at_each_stage() {
        let check = |replies: &[&str], expected: (Stage, Means)| {
            let (_, answers, _) = play(&[], &["bo@lab.example"], BODY, replies);
            assert_eq!(answers, [expected], "{replies:?}");
        };
        check(&["451 no"], (Stage::Mail, Means::Later));
        check(&["550 no"], (Stage::Mail, Means::Refused));
        check(&["552 big"], (Stage::Mail, Means::Unfit));
        check(&["421 bye"], (Stage::Mail, Means::Later));
        check(&["354 what"], (Stage::Mail, Means::Later));
        check(&["250 ok", "552 many"], (Stage::Recipient, Means::Later));
        check(&["250 ok", "552 5.2.2 full"], (Stage::Recipient, Means::Refused));
        check(&["250 ok", "421 bye"], (Stage::Recipient, Means::Later));
        check(&["250 ok", "250 ok", "451 no"], (Stage::Data, Means::Later));
        check(&["250 ok", "250 ok", "554 no"], (Stage::Data, Means::Refused));
        check(&["250 ok", "250 ok", "250 what"], (Stage::Data, Means::Later));
        check(&["250 ok", "250 ok", "354 go", "451 no"], (Stage::Content, Means::Later));
        check(&["250 ok", "250 ok", "354 go", "554 5.7.1 no"], (Stage::Content, Means::Refused));
        check(&["250 ok", "250 ok", "354 go", "552 5.3.4 big"], (Stage::Content, Means::Unfit));
        check(&["250 ok", "250 ok", "354 go"], (Stage::Content, Means::Unanswered));
        check(&["250 ok", "250 ok", "354 go", "354 more"], (Stage::Content, Means::Unanswered));
        check(&["250 ok", "250 ok", "354 go", "421 bye"], (Stage::Content, Means::Later));
        check(&[], (Stage::Mail, Means::Later));
        check(&["250 ok", "250 ok", "354 go", "250 ok"], TAKEN);
    }

    const CHUNKS: [Extension; 2] = [Extension::Chunking, Extension::Pipelining];

    #[test]
    fn a_chunk_follows_the_first_accepted_recipient_and_no_data() {
        let (wire, answers, leaves) = play(&CHUNKS, &TWO, BODY, &["250 ok", "550 5.1.1 who", "250 ok", "250 as 7"]);
        let envelope = "MAIL FROM:<ann@clinic.example>|RCPT TO:<bo@lab.example>|RCPT TO:<cy@lab.example>|";
        assert_eq!(wire, format!("{envelope}(chunk)"));
        assert_eq!(answers, [(Stage::Recipient, Means::Refused), TAKEN]);
        assert_eq!(leaves, Leaves::Clean);
        let (wire, answers, _) = play(&CHUNKS[..1], &TWO, BODY, &["250 ok", "250 ok", "250 ok", "250 as 7"]);
        assert_eq!((wire, answers), (format!("{envelope}(chunk)"), vec![TAKEN; 2]));
    }

    #[test]
    fn who_refuses_every_recipient_is_sent_no_content() {
        for offers in [&CHUNKS[..], &CHUNKS[..1]] {
            let (wire, answers, leaves) = play(offers, &TWO, BODY, &["250 ok", "451 grey", "550 5.1.1 who"]);
            assert!(!wire.contains("(chunk)") && !wire.contains("DATA"), "{wire}");
            assert_eq!(answers, [(Stage::Recipient, Means::Later), (Stage::Recipient, Means::Refused)]);
            assert_eq!(leaves, Leaves::Open);
        }
        let (wire, answers, leaves) = play(&CHUNKS, &TWO, BODY, &["550 5.7.1 no", "503 no", "250 what"]);
        assert!(!wire.contains("(chunk)"), "{wire}");
        assert_eq!((answers, leaves), (vec![(Stage::Mail, Means::Refused); 2], Leaves::Clean));
    }

    #[test]
    fn each_reply_to_a_chunk_means_one_thing() {
        let check = |text: &str, expected: (Means, Leaves)| {
            let (_, answers, leaves) = play(&CHUNKS, &["bo@lab.example"], BODY, &["250 ok", "250 ok", text]);
            assert_eq!((answers, leaves), (vec![(Stage::Content, expected.0)], expected.1), "{text}");
        };
        check("250 ok", (Means::Taken, Leaves::Clean));
        check("451 no", (Means::Later, Leaves::Open));
        check("421 bye", (Means::Later, Leaves::Broken));
        check("552 5.3.4 big", (Means::Unfit, Leaves::Open));
        check("554 5.7.1 no", (Means::Refused, Leaves::Open));
        check("354 go", (Means::Unanswered, Leaves::Broken));
        // It offered BDAT and does not know it: for this message there is DATA.
        check("500 what", (Means::Later, Leaves::Misunderstood));
        check("502 5.5.1 not here", (Means::Later, Leaves::Misunderstood));
        check("503 5.5.0 not now", (Means::Later, Leaves::Misunderstood));
        // About the message, whatever the code before says.
        check("500 5.7.1 spam", (Means::Refused, Leaves::Open));
        let (_, answers, leaves) = play(&CHUNKS, &["bo@lab.example"], BODY, &["250 ok", "250 ok"]);
        assert_eq!((answers, leaves), (vec![(Stage::Content, Means::Unanswered)], Leaves::Broken));
    }

    #[test]
    fn a_refused_sender_answers_for_everybody_and_the_rest_is_still_read() {
        let replies = ["550 5.7.1 no", "503 no", "503 no", "503 no"];
        let (_, answers, leaves) = play(&[Extension::Pipelining], &TWO, BODY, &replies);
        assert_eq!(answers, [(Stage::Mail, Means::Refused); 2]);
        assert_eq!(leaves, Leaves::Clean);
    }

    #[test]
    fn what_a_host_cannot_carry_is_not_sent_to_it() {
        let (wire, answers, _) = play(&[Extension::Size(Some(16))], &TWO, BODY, &[]);
        assert_eq!((wire.as_str(), answers), ("", vec![(Stage::Mail, Means::Unfit); 2]));
        let (wire, answers, _) = play(&[], &TWO, "Subject: x\r\n\r\né\r\n", &[]);
        assert_eq!((wire.as_str(), answers), ("", vec![(Stage::Mail, Means::Refused); 2]));
        let to = ["zoë@lab.example", "bo@lab.example"];
        let (wire, answers, _) = play(&[], &to, BODY, &["250 ok", "250 ok", "354 go", "250 ok"]);
        assert!(!wire.contains("zo"));
        assert_eq!(answers, [(Stage::Mail, Means::Refused), TAKEN]);
    }

    #[test]
    fn what_a_host_can_carry_is_declared_to_it() {
        let offers = [Extension::EightBitMime, Extension::SmtpUtf8];
        let (wire, _, _) = play(&offers, &["zoë@lab.example"], "Subject: x\r\n\r\né\r\n", &["451 later"]);
        assert_eq!(wire, "MAIL FROM:<ann@clinic.example> BODY=8BITMIME SMTPUTF8|");
        let (wire, _, _) = play(&[], &["bo@bücher.example"], BODY, &["250 ok", "451 later"]);
        assert!(wire.ends_with("RCPT TO:<bo@xn--bcher-kva.example>|"));
    }
}
