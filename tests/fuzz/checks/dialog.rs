//! Our side as a client, against a next hop that says whatever it likes: nothing is sent out of turn, nothing goes below the floor,
//! and every recipient has one answer.

use sealpost::mail::{
    Address, Asked, Assurance, Domain, EnvelopeId, Message, Notify, OriginalRecipient, Reply, RequireTls, Returned,
    ReversePath, Utf8, WireLimits, Wishes,
};
use sealpost::smtp::client::{Admitted, Greeting, Login, Means, Next, Parcel, Replies, Secured, Terms};

const HOST: &str = "relay.clinic.example";
const PASSWORD: &str = "only-for-the-fuzzer";

/// The next hop's replies, one after the other; the first octet says how the connection is judged and what is carried.
pub fn check(data: &[u8]) {
    let Some((&kind, stream)) = data.split_first() else { return };
    let mut replies = Replies::default();
    replies.feed(stream);
    let said = std::iter::from_fn(|| replies.next_reply().ok().flatten()).take(200).collect::<Vec<_>>();
    let mut said = said.into_iter();
    let Some(secured) = secure(&mut said, kind) else { return };
    let message = message(kind);
    let sender = ReversePath::Mailbox(Address::parse("ann@clinic.example").expect("an address"));
    let names: &[&str] =
        if kind & 8 == 0 { &["bob@lab.example"] } else { &["a@lab.example", "ü@lab.example", "c@lab.example"] };
    let recipients: Vec<Address> = names.iter().map(|name| Address::parse(name).expect("an address")).collect();
    let utf8 = if kind & 16 == 0 { Utf8::NotDeclared } else { Utf8::Declared };
    let (asked, wishes) = wishes(kind, recipients.len());
    let (asked, wishes) = (&asked, &wishes[..]);
    let parcel = Parcel { sender: &sender, recipients: &recipients, message: &message, utf8, asked, wishes };
    carry(&secured, &parcel, &mut said);
}

fn wishes(kind: u8, recipients: usize) -> (Asked, Vec<Wishes>) {
    if kind & 128 == 0 {
        return (Asked::default(), vec![Wishes::default(); recipients]);
    }
    let asked = Asked {
        returned: Some(Returned::Full),
        envelope_id: EnvelopeId::parse("QQ+2B314159"),
        require_tls: if kind & 2 == 0 { RequireTls::Yes } else { RequireTls::No },
    };
    let wish = Wishes {
        notify: Notify::parse("SUCCESS,FAILURE").expect("a wish"),
        original: OriginalRecipient::parse("utf-8;\\x{FC}@lab.example"),
    };
    (asked, vec![wish; recipients])
}

fn secure(said: &mut impl Iterator<Item = Reply>, kind: u8) -> Option<Secured> {
    let hello = Greeting::new(Domain::parse(HOST).expect("a domain")).on(said.next()?).ok()?;
    assert_eq!(hello.send, format!("EHLO {HOST}\r\n").into_bytes());
    let start = hello.state.on(said.next()?).ok()?;
    assert_eq!(start.send, b"STARTTLS\r\n");
    let handshake = start.state.on(said.next()?, Replies::default()).ok()?;
    let judged = [Assurance::Encrypted, Assurance::Valid, Assurance::Authenticated][usize::from(kind % 3)];
    let floor = [Assurance::Encrypted, Assurance::Valid, Assurance::Authenticated][usize::from(kind / 64 % 3)];
    let login = (kind & 4 != 0).then(|| Login::new("relay".into(), PASSWORD.to_owned().into()));
    let again = handshake.judged(judged, Terms { floor, login });
    assert_eq!(again.is_ok(), judged >= floor, "below the floor nothing more is said");
    let mut admitted = again.ok()?.state.on(said.next()?).ok()?;
    for _ in 0..6 {
        match admitted {
            Admitted::Ready(secured) => return Some(secured),
            Admitted::Waiting(waiting) => {
                assert!(judged >= Assurance::Valid, "a login before the name is proved");
                assert!(waiting.send.ends_with(b"\r\n"));
                admitted = waiting.state.on(said.next()?).ok()?;
            }
        }
    }
    panic!("the login never ends");
}

fn carry(secured: &Secured, parcel: &Parcel<'_>, said: &mut impl Iterator<Item = Reply>) {
    let mut transaction = secured.envelope(parcel);
    let mut next = transaction.start();
    let (mut contents, mut sent) = (0, 0);
    loop {
        match next {
            Next::Send(wire) => {
                sent += 1;
                assert!(sent <= parcel.recipients.len() + 4, "it never ends");
                assert!(wire.ends_with(b"\r\n"));
                for line in wire.split_inclusive(|octet| *octet == b'\n') {
                    assert!(line.ends_with(b"\r\n") && line.len() <= 1000, "a command of its own line");
                }
            }
            Next::Read => {}
            Next::SendContent(_) => contents += 1,
            Next::Done(_) => break,
        }
        match said.next() {
            Some(reply) => next = transaction.on(reply),
            None => {
                transaction.cut("the next hop went away");
                break;
            }
        }
    }
    assert!(contents <= 1, "the message is sent once");
    let answers = transaction.answers();
    assert_eq!(answers.len(), parcel.recipients.len(), "one answer for each recipient");
    let taken = answers.iter().any(|answer| answer.means == Means::Taken);
    assert!(!taken || contents == 1, "taken without having been sent");
}

fn message(kind: u8) -> Message {
    let body = if kind & 32 == 0 { "See you on Monday." } else { "Bis Montag, schöne Grüße." };
    let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 1000 };
    Message::parse(format!("Subject: visit\r\n\r\n{body}\r\n"), &limits).expect("a message")
}
