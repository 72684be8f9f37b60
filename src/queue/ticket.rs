//! The ticket in a receipt, with which its sender takes the message back: signed, for one message, for a time.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::crypto::{Digest, equal};
use crate::mail::MessageId;
use crate::queue::Queue;

/// Whatever length somebody sends us as a ticket, no more of it is looked at.
const LONGEST: usize = 128;

/// What a ticket is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticket {
    Good(MessageId),
    /// It was good once.
    RunOut(MessageId),
    /// Nobody here made it.
    Strange,
}

impl Queue {
    /// A ticket for a message, good until then. Whoever has it may take the message back, and nothing else.
    pub fn ticket(&self, message: MessageId, until: Timestamp) -> String {
        let seconds = until.millis().div_euclid(1000);
        format!("{message}.{seconds}.{}", self.ticket_mark(message, seconds))
    }

    /// Reads a ticket that somebody shows.
    pub fn read_ticket(&self, shown: &str) -> Ticket {
        self.made_here(shown).map_or(Ticket::Strange, |(message, until)| {
            if self.now() <= until { Ticket::Good(message) } else { Ticket::RunOut(message) }
        })
    }

    fn made_here(&self, shown: &str) -> Option<(MessageId, Timestamp)> {
        let mut words = shown.get(..shown.len().min(LONGEST)).filter(|start| start.len() == shown.len())?.split('.');
        let (message, seconds, mark) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() {
            return None;
        }
        let (message, seconds): (MessageId, u32) = (message.parse().ok()?, seconds.parse().ok()?);
        let mark = Digest::parse(mark)?;
        let until = Timestamp::from_millis(0).plus(Duration::from_secs(u64::from(seconds)));
        equal(&self.ticket_mark(message, i64::from(seconds)), &mark).then_some((message, until))
    }

    fn ticket_mark(&self, message: MessageId, seconds: i64) -> Digest {
        self.inner.store.vault().keyed_hash("take back", format!("{message} {seconds}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::interleaved::{Open, open};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_ticket_is_good_for_its_message_and_its_time_and_nothing_else() {
        let Open { queue, _folder, .. } = open().await;
        let (message, other) = (queue.new_id().unwrap(), queue.new_id().unwrap());
        let ticket = queue.ticket(message, queue.now().plus(DAY));
        assert_eq!(queue.read_ticket(&ticket), Ticket::Good(message));
        let old = queue.ticket(message, queue.now().minus(DAY));
        assert_eq!(queue.read_ticket(&old), Ticket::RunOut(message));
        let (_, rest) = ticket.split_once('.').unwrap();
        let (start, mark) = ticket.rsplit_once('.').unwrap();
        let changed = if mark.starts_with('0') { mark.replacen('0', "1", 1) } else { format!("0{}", &mark[1..]) };
        for forged in [
            format!("{other}.{rest}"),
            format!("{start}.{changed}"),
            format!("{start}.{}", mark.to_uppercase() + "x"),
            format!("{message}.4000000000.{mark}"),
            format!("{ticket}.x"),
            "x".repeat(1 << 20),
            String::new(),
        ] {
            assert_eq!(queue.read_ticket(&forged), Ticket::Strange, "{forged:.80}");
        }
    }
}
