//! What EHLO is answered: the extensions that this client may use now, as things stand.

use crate::smtp::Mechanism;
use crate::smtp::session::{Base, Cover, Settings, State};

/// The keywords, in the order in which they are said.
pub(super) fn offers(base: &Base, state: &State) -> Vec<String> {
    let Settings { message_bytes, recipients, messages, .. } = &*base.settings;
    // RFC 1870 §3: SIZE names the largest message that is ever taken.
    let mut offers = vec![format!("SIZE {message_bytes}")];
    offers.extend(protection(base, state));
    offers.push("PIPELINING".to_owned());
    offers.extend(chunking(state).map(str::to_owned));
    offers.extend(["8BITMIME", "SMTPUTF8", "DSN"].map(str::to_owned));
    // RFC 9422 §4: what is enforced is announced.
    offers.push(format!("LIMITS MAILMAX={messages} RCPTMAX={recipients}"));
    match base.cover {
        // RFC 8689 §2: offered under TLS only.
        Cover::Stands => offers.push("REQUIRETLS".to_owned()),
        Cover::Offered | Cover::Never => {}
    }
    offers.push("ENHANCEDSTATUSCODES".to_owned());
    offers
}

/// STARTTLS or logins, never both.
fn protection(base: &Base, state: &State) -> Option<String> {
    match (base.cover, state) {
        (Cover::Offered, _) => Some("STARTTLS".to_owned()),
        // RFC 4954 §4: a mechanism that sends the password is offered under TLS only, but on a legacy listener.
        (Cover::Stands | Cover::Never, State::Clear(_) | State::Open(_)) => mechanisms(base),
        (Cover::Stands | Cover::Never, State::LoggedIn { .. } | State::Chunking { .. }) => {
            base.visitor.as_ref().and_then(|_| mechanisms(base))
        }
    }
}

/// How to log in, where there is a way.
fn mechanisms(base: &Base) -> Option<String> {
    let names: Vec<_> = base.channel.offers().map(Mechanism::name).collect();
    (!names.is_empty()).then(|| format!("AUTH {}", names.join(" ")))
}

/// RFC 3030 §2. Where TLS must come first, there is no message to be sent in chunks.
fn chunking(state: &State) -> Option<&'static str> {
    match state {
        State::Clear(_) => None,
        State::Open(_) | State::LoggedIn { .. } | State::Chunking { .. } => Some("CHUNKING"),
    }
}
