//! Telling whoever watches what clients do, as they do it. While nobody watches, nothing is made to be told; and mail waits for
//! no watcher: who reads too slowly misses some, and is told how many.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::broadcast::{self, error::RecvError};

use crate::clock::{Clock, Timestamp};
use crate::listener::happening::{Happening, Heard, Verb, Why};
use crate::mail::{ClientName, Domain, Reply, ReversePath, Role};
use crate::smtp::{Command, Step, Syntax};

/// Happenings that wait for the slowest watcher; more, and it misses the oldest.
const MAX_WAITING: usize = 512;
/// Who may watch at once: each is an operator at a terminal.
const MAX_WATCHERS: usize = 16;

/// Who watches, and what they are told.
#[derive(Debug)]
pub struct Watch {
    clock: Arc<dyn Clock>,
    /// Counted apart from the channel, so that a connection looks at a number, and takes no lock.
    watchers: AtomicUsize,
    connections: AtomicU64,
    seen: broadcast::Sender<Seen>,
}

/// One happening, and the connection that it happened on.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Timestamp,
    /// Counted from the start of the daemon.
    pub connection: u64,
    pub role: Role,
    pub peer: IpAddr,
    pub who: Who,
    pub what: Happening,
}

/// Whose connection it is, as far as is known at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Who {
    #[default]
    Stranger,
    /// Known by its network alone.
    Visitor(ClientName),
    /// Known by the certificate that it showed.
    Certified(ClientName),
    /// Its last login failed; the user name was this client's.
    Tried(ClientName),
    LoggedIn(ClientName),
}

impl Who {
    pub fn client(&self) -> Option<&ClientName> {
        match self {
            Who::Stranger => None,
            Who::Visitor(client) | Who::Certified(client) | Who::Tried(client) | Who::LoggedIn(client) => Some(client),
        }
    }
}

/// What a watcher gets.
#[derive(Clone, Debug)]
pub enum Told {
    Seen(Box<Seen>),
    /// So many came while it was not looking.
    Missed(u64),
}

/// A watcher's place; given back when dropped.
#[derive(Debug)]
pub struct Watching {
    watch: Arc<Watch>,
    seen: broadcast::Receiver<Seen>,
}

impl Watch {
    pub fn new(clock: Arc<dyn Clock>) -> Watch {
        let (seen, _) = broadcast::channel(MAX_WAITING);
        Watch { clock, watchers: AtomicUsize::new(0), connections: AtomicU64::new(0), seen }
    }

    /// `None` when as many watch as may.
    pub fn begin(self: &Arc<Watch>) -> Option<Watching> {
        if self.watchers.fetch_add(1, Ordering::SeqCst) >= MAX_WATCHERS {
            self.watchers.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Watching { watch: Arc::clone(self), seen: self.seen.subscribe() })
    }

    pub(super) fn connection(self: &Arc<Watch>, role: Role, peer: IpAddr) -> Watched {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Watched { watch: Arc::clone(self), number, role, peer, who: Who::Stranger, heard: Heard::Nothing }
    }
}

impl Watching {
    /// Waits for what happens next; `None` when nothing more will.
    pub async fn next(&mut self) -> Option<Told> {
        match self.seen.recv().await {
            Ok(seen) => Some(Told::Seen(Box::new(seen))),
            Err(RecvError::Lagged(missed)) => Some(Told::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watch.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One connection, as those see it who watch.
#[derive(Debug)]
pub(super) struct Watched {
    watch: Arc<Watch>,
    number: u64,
    role: Role,
    peer: IpAddr,
    pub(super) who: Who,
    /// How far it has come.
    pub(super) heard: Heard,
}

impl Watched {
    pub(super) fn is_watched(&self) -> bool {
        self.watch.watchers.load(Ordering::Relaxed) > 0
    }

    /// Tells, when somebody watches; else `what` is not even made.
    pub(super) fn tell(&self, what: impl FnOnce() -> Happening) {
        if !self.is_watched() {
            return;
        }
        let Watched { watch, number, role, peer, who, .. } = self;
        let at = watch.clock.now();
        let seen = Seen { at, connection: *number, role: *role, peer: *peer, who: who.clone(), what: what() };
        // The last watcher may just have gone.
        drop(watch.seen.send(seen));
    }

    /// What of a command is worth telling if it is refused. Taken before the session uses the command up.
    pub(super) fn noted(&self, command: &Result<Command, Syntax>) -> Option<Noted> {
        self.is_watched().then(|| Noted::of(command))
    }

    /// Tells of a refusal, as the next step shows it.
    pub(super) fn answered(&self, noted: Option<Noted>, next: &Step) {
        let reply = match next {
            Step::Reply(_, reply) | Step::Close(reply) => reply,
            Step::Skip(_, next) => return self.answered(noted, next),
            Step::StartTls(..)
            | Step::Challenge(..)
            | Step::LookUp(..)
            | Step::Verify(..)
            | Step::Receive(_)
            | Step::Chunk(_)
            | Step::Drop => return,
        };
        if let Some(happening) = noted.and_then(|noted| noted.refused(reply)) {
            self.tell(|| happening);
        }
    }

    /// Tells that a message was not taken, as the next step answers it.
    pub(super) fn not_taken(&self, why: Why, next: &Step) {
        let next = match next {
            Step::Skip(_, next) => next,
            next => next,
        };
        if let Step::Reply(_, reply) | Step::Close(reply) = next {
            self.tell(|| Happening::NotTaken(why, reply.clone()));
        }
    }
}

/// A command, as far as a refusal of it is told.
#[derive(Debug)]
pub(super) struct Noted {
    verb: Verb,
    /// A password came with it.
    exposed: Exposed,
    /// Of the sender that MAIL names.
    sender: Option<Domain>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exposed {
    Password,
    Nothing,
}

impl Noted {
    pub(super) fn auth() -> Noted {
        Noted { verb: Verb::Auth, exposed: Exposed::Nothing, sender: None }
    }

    fn of(command: &Result<Command, Syntax>) -> Noted {
        let noted = |verb| Noted { verb, ..Noted::auth() };
        match command {
            Ok(Command::Helo(_) | Command::Ehlo(_)) => noted(Verb::Helo),
            Ok(Command::StartTls) => noted(Verb::StartTls),
            Ok(Command::Auth { initial: Some(_), .. }) => Noted { exposed: Exposed::Password, ..Noted::auth() },
            Ok(Command::Auth { initial: None, .. }) => Noted::auth(),
            Ok(Command::Mail(mail)) => {
                let sender = match &mail.sender {
                    ReversePath::Null => None,
                    ReversePath::Mailbox(address) => Some(address.domain().clone()),
                };
                Noted { sender, ..noted(Verb::Mail) }
            }
            Ok(Command::Rcpt { .. }) => noted(Verb::Rcpt),
            Ok(Command::Data | Command::Bdat(_)) => noted(Verb::Data),
            Ok(Command::Rset | Command::Noop | Command::Help | Command::Vrfy | Command::Quit) => noted(Verb::Other),
            Err(_) => noted(Verb::NoCommand),
        }
    }

    fn refused(self, reply: &Reply) -> Option<Happening> {
        if !reply.code.is_transient() && !reply.code.is_permanent() {
            return None;
        }
        let Noted { verb, exposed, sender } = self;
        // RFC 3207 §4 and RFC 4954 §6 share 530: only the text says what comes first.
        let first = reply.lines().first().map_or("", String::as_str);
        Some(match reply.code.value() {
            530 if first.starts_with("STARTTLS") && exposed == Exposed::Password => Happening::PasswordInClear,
            530 if first.starts_with("STARTTLS") => Happening::NoStartTls(verb),
            530 => Happening::NoLogin(verb),
            553 if verb == Verb::Mail && first.contains("sender") => Happening::SenderNotAllowed(sender),
            _ => Happening::Refused(verb, reply.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new(Arc::new(ManualClock::at(Timestamp::from_millis(1_795_493_220_000)))))
    }

    fn connection(watch: &Arc<Watch>) -> Watched {
        watch.connection(Role::Submission, "192.0.2.7".parse().unwrap())
    }

    #[tokio::test]
    async fn while_nobody_watches_nothing_is_made_to_be_told() {
        let watch = watch();
        let watched = connection(&watch);
        watched.tell(|| panic!("it was made"));
        assert!(watched.noted(&Ok(Command::Data)).is_none());
        let mut watching = watch.begin().unwrap();
        watched.tell(|| Happening::Connected);
        assert!(matches!(watching.next().await, Some(Told::Seen(seen)) if seen.what == Happening::Connected));
        drop(watching);
        watched.tell(|| panic!("it was made"));
    }

    #[tokio::test]
    async fn a_watcher_that_does_not_look_misses_the_oldest_and_is_told_how_many() {
        let watch = watch();
        let mut watching = watch.begin().unwrap();
        let watched = connection(&watch);
        for _ in 0..MAX_WAITING + 7 {
            watched.tell(|| Happening::Connected);
        }
        assert!(matches!(watching.next().await, Some(Told::Missed(7))));
        for _ in 0..MAX_WAITING {
            assert!(matches!(watching.next().await, Some(Told::Seen(_))));
        }
    }

    #[test]
    fn as_many_watch_as_may_and_a_place_is_given_back() {
        let watch = watch();
        let mut watching: Vec<_> = (0..MAX_WATCHERS).map(|_| watch.begin().unwrap()).collect();
        assert!(watch.begin().is_none());
        watching.pop();
        assert!(watch.begin().is_some());
    }
}
