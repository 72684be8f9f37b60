//! Turns the words and fields of a notice into a message. The only place that names lettre.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{
    ContentTransferEncoding, ContentType, Date, Header, HeaderName, HeaderValue, MessageId as MessageIdField,
};
use lettre::message::{Body, Mailbox, MessageBuilder, MultiPart, SinglePart};

use crate::clock::Timestamp;
use crate::mail::{Address, Envelope, Message, ReversePath, WireLimits};
use crate::notice::text::{self, Text};
use crate::notice::{Day, Fate, Match, Notice, Slip, Stamp, Voice, day, dsn, matched as of_rules, receipt};

/// A notice is ours from the first octet to the last; its size needs no limit, its line ends are checked all the same.
const LIMITS: WireLimits = WireLimits { message_bytes: 4 << 20, header_bytes: 64 << 10, line_bytes: 1000 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    #[error("a notice needs somebody to go to")]
    NoRecipient,
    #[error("the address of [notify] from cannot stand in a header")]
    From,
    #[error("the notice could not be put together")]
    Malformed,
}

/// RFC 3834 §5: whether it answers a message, or comes by itself. Either keeps vacation programs from answering.
enum AutoSubmitted {
    Replied,
    Generated,
}

pub(super) fn fate(voice: &Voice, fate: &Fate, to: Vec<Address>, stamp: Stamp) -> Result<Notice, NoticeError> {
    let Text { subject, body } = text::of(fate);
    let mut builder = head(voice, (&to, AutoSubmitted::Replied), stamp)?.subject(subject);
    if let Some(message_id) = fate.original.message_id() {
        builder = builder.in_reply_to(message_id.to_owned()).references(message_id.to_owned());
    }
    let made = match dsn::status(voice, fate) {
        None => builder.singlepart(SinglePart::plain(body)),
        Some(status) => {
            // RFC 6522 §3: the report's type stands in the top Content-Type.
            let boundary = format!("=_{}", stamp.id);
            let top = format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\"");
            let report = MultiPart::builder()
                .header(content_type(&top)?)
                .singlepart(SinglePart::plain(body))
                .singlepart(part("message/delivery-status", &status)?)
                .singlepart(part("text/rfc822-headers", &dsn::original(fate))?);
            builder.multipart(report)
        }
    };
    let mut notice = finish(&made.map_err(|_| NoticeError::Malformed)?.formatted(), to, stamp)?;
    // RFC 8689 §5: a report about such a message is such a message.
    notice.envelope.asked.require_tls = fate.asked.require_tls;
    Ok(notice)
}

pub(super) fn receipt(voice: &Voice, slip: &Slip, to: Address, stamp: Stamp) -> Result<Notice, NoticeError> {
    let Text { subject, body } = receipt::text(slip, stamp.at);
    let to = vec![to];
    let mut builder = head(voice, (&to, AutoSubmitted::Replied), stamp)?.subject(subject);
    if let Some(message_id) = slip.original.message_id() {
        builder = builder.in_reply_to(message_id.to_owned()).references(message_id.to_owned());
    }
    // A link that an encoding folds is one that some programs break.
    let made = builder.singlepart(verbatim(body)?).map_err(|_| NoticeError::Malformed)?;
    let mut notice = finish(&made.formatted(), to, stamp)?;
    notice.envelope.asked.require_tls = slip.require_tls;
    Ok(notice)
}

pub(super) fn matched(voice: &Voice, found: &Match, to: Vec<Address>, stamp: Stamp) -> Result<Notice, NoticeError> {
    let Text { subject, body } = of_rules::text(found);
    let builder = head(voice, (&to, AutoSubmitted::Generated), stamp)?.subject(subject);
    let made = builder.singlepart(verbatim(body)?).map_err(|_| NoticeError::Malformed)?;
    let mut notice = finish(&made.formatted(), to, stamp)?;
    notice.envelope.asked.require_tls = found.require_tls;
    Ok(notice)
}

pub(super) fn day(voice: &Voice, report: &Day, stamp: Stamp) -> Result<Notice, NoticeError> {
    let Text { subject, body } = day::text(voice, report, stamp.at)?;
    let to = vec![voice.postmaster.clone()];
    let builder = head(voice, (&to, AutoSubmitted::Generated), stamp)?.subject(subject);
    let made = builder.singlepart(verbatim(body)?).map_err(|_| NoticeError::Malformed)?;
    finish(&made.formatted(), to, stamp)
}

/// Without an encoding that would break the lines of the signed head: it is copied out of the mail, or the mail saved.
fn verbatim(body: String) -> Result<SinglePart, NoticeError> {
    // RFC 5321 §4.5.3.1.6: 998 octets. A reason that somebody wrote into the config may be longer.
    let fits = body.is_ascii() && body.lines().all(|line| line.len() <= 998);
    if fits { part("text/plain; charset=us-ascii", &body) } else { Ok(SinglePart::plain(body)) }
}

fn head(voice: &Voice, (to, why): (&[Address], AutoSubmitted), stamp: Stamp) -> Result<MessageBuilder, NoticeError> {
    let from = mailbox(&voice.from).ok_or(NoticeError::From)?;
    let named = Mailbox::new(Some("Sealpost".into()), from.email.clone());
    let auto = match why {
        AutoSubmitted::Replied => "auto-replied",
        AutoSubmitted::Generated => "auto-generated",
    };
    let envelope = lettre::address::Envelope::new(None, vec![from.email]).map_err(|_| NoticeError::From)?;
    let builder = lettre::Message::builder()
        .from(named)
        .header(Date::new(system_time(stamp.at)))
        .header(MessageIdField::from(format!("<{}@{}>", stamp.id, voice.hostname)))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), auto.into()))
        // The envelope that counts is ours; lettre's is never read, and is not to be guessed from the header.
        .envelope(envelope);
    Ok(with_recipients(builder, to))
}

/// An address that lettre does not take stays in the envelope alone.
fn with_recipients(builder: MessageBuilder, to: &[Address]) -> MessageBuilder {
    let known: Vec<Mailbox> = to.iter().filter_map(mailbox).collect();
    if known.is_empty() {
        let nobody = "undisclosed-recipients:;".to_owned();
        return builder.raw_header(HeaderValue::dangerous_new_pre_encoded(
            HeaderName::new_from_ascii_str("To"),
            nobody.clone(),
            nobody,
        ));
    }
    known.into_iter().fold(builder, MessageBuilder::to)
}

/// The sender and the postmaster are named in the header of what is written to them.
fn mailbox(address: &Address) -> Option<Mailbox> {
    let email = lettre::Address::new(address.expose_local(), address.domain().as_str()).ok()?;
    Some(Mailbox::new(None, email)).filter(|_| !address.needs_utf8())
}

fn part(kind: &str, body: &str) -> Result<SinglePart, NoticeError> {
    // RFC 2046 §5.2 and RFC 3464 §2: no encoding may be put on this, however long an address makes a line.
    let body = Body::dangerous_pre_encoded(body.replace('\n', "\r\n").into_bytes(), ContentTransferEncoding::SevenBit);
    Ok(SinglePart::builder().header(content_type(kind)?).body(body))
}

fn content_type(text: &str) -> Result<ContentType, NoticeError> {
    <ContentType as Header>::parse(text).map_err(|_| NoticeError::Malformed)
}

fn system_time(at: Timestamp) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.millis()).unwrap_or(0))
}

fn finish(bytes: &[u8], to: Vec<Address>, stamp: Stamp) -> Result<Notice, NoticeError> {
    let mut to = to.into_iter();
    let first = to.next().ok_or(NoticeError::NoRecipient)?;
    let message = Message::parse(bytes.to_vec(), &LIMITS).map_err(|_| NoticeError::Malformed)?;
    // RFC 3464 §2: a report goes out with the null reverse-path, and so does everything else that nobody should answer.
    Ok(Notice { id: stamp.id, envelope: Envelope::new(ReversePath::Null, first, to.collect()), message })
}

#[cfg(test)]
mod tests;
