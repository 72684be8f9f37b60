//! The words of notices about one message: short, for whoever runs the office.

use crate::audit::HoldCause;
use crate::clock::Timestamp;
use crate::mail::RequireTls;
use crate::notice::{Fate, What};

/// A subject and a body, lines ended by line feeds.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) subject: String,
    pub(super) body: String,
}

pub(super) fn of(fate: &Fate) -> Text {
    let reference = fate.reference;
    let (headline, paragraphs) = match &fate.what {
        What::Refused => ("Not delivered", refused(fate)),
        What::Expired => ("Not delivered in time", expired(fate)),
        What::Delayed { until } => ("Still trying to deliver", delayed(fate, *until)),
        What::Unanswered { until } => ("Perhaps delivered more than once", unanswered(fate, *until)),
        What::Relayed => ("Passed on", relayed(fate)),
        What::Rejected { text } => ("Not sent", rejected(fate, text)),
        What::Undeliverable => ("Not sent: no protected way", undeliverable(fate)),
        What::Held { cause, reason, until } => ("Held", held(fate, (*cause, reason.as_deref()), *until)),
    };
    let mut lines = vec![paragraphs];
    if let Some(date) = fate.original.date() {
        lines.push(format!("Date of the message: {}", date.rfc5322()));
    }
    if let Some(message_id) = fate.original.message_id() {
        lines.push(format!("Its Message-ID: {message_id}"));
    }
    lines.push(format!("Our reference: {reference}"));
    Text { subject: format!("{headline} (reference {reference})"), body: lines.join("\n") + "\n" }
}

fn refused(fate: &Fate) -> String {
    let domain = fate.recipient.domain();
    let enhanced = fate.last.and_then(|last| last.enhanced).map(|code| (code.subject, code.detail));
    let why = match fate.last.and_then(|last| last.code) {
        Some(_) => format!("The mail server there refused it for good. {}", refused_by_server(enhanced)),
        None => refused_by_us(enhanced).to_owned(),
    };
    format!(
        "Your message could not be delivered to one of its recipients, at {domain}.\n\n\
         {why}\n\n\
         It will not be tried again. The full address and the codes are in the attached report.\n"
    )
}

fn refused_by_server(enhanced: Option<(u16, u16)>) -> &'static str {
    match enhanced {
        Some((1, 1 | 2 | 10)) => "There is no such mailbox. Please check the address.",
        Some((2, 2)) => "The mailbox is full.",
        Some((2, _)) => "The mailbox does not take mail at present.",
        Some((3, 4)) => "The message is too large for it.",
        Some((7, _)) => "It does not accept this message by its own rules.",
        Some(_) | None => "It gave no reason that we can name.",
    }
}

/// Why it was not even said to a server.
fn refused_by_us(enhanced: Option<(u16, u16)>) -> &'static str {
    match enhanced {
        Some((1, 2)) => "There is no such domain, or it has no mail server. Please check the address.",
        Some((1, 10)) => "The domain says that it takes no mail. Please check the address.",
        Some((4, 4)) => {
            "The mail server of the domain lies in a private network, to which no mail is sent from here unless the\n\
             administrator allows it."
        }
        Some((4, 6)) => "The mail server of the domain is this very one, and it does not know where to send it on.",
        Some((6, _)) => "The mail server there cannot take a message or an address with letters such as these.",
        Some(_) | None => "No mail server took it.",
    }
}

fn expired(fate: &Fate) -> String {
    let domain = fate.recipient.domain();
    format!(
        "Your message could not be delivered in time to one of its recipients, at {domain}.\n\n\
         It was never sent without protection. It will not be tried again; if it still matters, please reach the\n\
         recipient in another way. The full address and the codes are in the attached report.\n"
    )
}

fn delayed(fate: &Fate, until: Timestamp) -> String {
    let domain = fate.recipient.domain();
    format!(
        "Your message has not reached one of its recipients yet, at {domain}. You need not do anything.\n\n\
         We are still trying, until {}, and tell you if it fails.\n\
         The full address is in the attached report.\n",
        until.rfc5322()
    )
}

fn unanswered(fate: &Fate, until: Timestamp) -> String {
    let domain = fate.recipient.domain();
    let reference = fate.reference;
    format!(
        "A mail server of {domain} takes a message and breaks off before it says whether it has it. That happened three\n\
         times with this message, so its recipient may have it up to three times, or not at all.\n\n\
         It is tried further until {}, four hours from now and then more and more rarely. Most often a filter there\n\
         fails on the message: please tell the people who run that server.\n\n\
         For you:\n  sealpost explain {reference}          shows each attempt\n  \
         sealpost queue cancel {reference}     ends it, when the recipient says that it came\n",
        until.rfc5322()
    )
}

fn relayed(fate: &Fate) -> String {
    let domain = fate.recipient.domain();
    format!(
        "You asked to hear of success. The mail server at {domain} took your message to one of its recipients, over a\n\
         protected connection.\n\n\
         That server does not report whether it put the message into a mailbox. The full address is in the attached\n\
         report.\n"
    )
}

fn rejected(fate: &Fate, text: &str) -> String {
    let domain = fate.recipient.domain();
    format!(
        "Your message was not sent to one of its recipients, at {domain}.\n\n\
         A rule of your organisation forbids it: {}\n\n\
         The other recipients are not affected. The full address is in the attached report.\n",
        one_line(text)
    )
}

fn undeliverable(fate: &Fate) -> String {
    let domain = fate.recipient.domain();
    let why = match fate.asked.require_tls {
        RequireTls::No | RequireTls::IfOffered => {
            "The mail server there offers no way that is protected well enough, and your organisation's rules allow no\n\
             other. The message was not sent without protection."
        }
        RequireTls::Yes => {
            "It was marked to go only to servers that promise encryption on the whole way (REQUIRETLS), and no mail\n\
             server there does. The message was not sent. Without that mark it may go, still protected up to that server."
        }
    };
    format!(
        "Your message was not sent to one of its recipients, at {domain}.\n\n\
         {why} Please reach the recipient in another way.\n\
         The full address is in the attached report.\n"
    )
}

fn held(fate: &Fate, (cause, reason): (Option<HoldCause>, Option<&str>), until: Timestamp) -> String {
    let domain = fate.recipient.domain();
    let reference = fate.reference;
    let reason = reason.map(|reason| format!(" ({})", one_line(reason))).unwrap_or_default();
    let why = match cause {
        Some(HoldCause::Policy) => "A rule of your organisation asks that somebody look at it first",
        Some(HoldCause::AcceptAndHold) => "A rule of your organisation refuses it",
        Some(HoldCause::MethodsExhausted) => "There is no way to send it that is protected well enough",
        Some(HoldCause::Operator) => "An administrator stopped it",
        None => "It was held, and may have been released since",
    };
    format!(
        "A message is held here and has not been sent to one of its recipients, at {domain}.\n\n\
         {why}{reason}.\n\n\
         It is kept until {}; then it goes back to its sender as not delivered.\n\n\
         For the administrator:\n  sealpost explain {reference}          shows why\n  \
         sealpost queue release {reference}    lets it go, with no less protection\n  sealpost queue cancel {reference}     ends it\n",
        until.rfc5322()
    )
}

/// Words of the config stand in one line, so that they cannot look like another part of the notice.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
