//! BDAT on the wire (RFC 3030): octets that are counted, and those that are read over.

use metrics::counter;
use tokio::time::Instant;

use crate::listener::Accepts;
use crate::listener::connection::gathering::{Fault, Gathering};
use crate::listener::connection::{Dialog, Parting, local_error, no_memory};
use crate::listener::happening::{Happening, Heard, Verb};
use crate::smtp::{Chunked, Chunking, Decoder, Receiving, Step};

impl<A: Accepts> Dialog<A> {
    /// Reads one chunk, and hands the message over with its last.
    pub(super) async fn chunk(&mut self, chunking: Chunking) -> Result<Step, Parting> {
        if chunking.begins() {
            self.is_still_known(chunking.receiving().client())?;
        }
        let mut gathering = match (chunking.begins(), self.gathering.take()) {
            (false, Some(gathering)) => gathering,
            // What came before is not there, and half a message is none.
            (false, None) => return Ok(chunking.declined(local_error())),
            (true, _) => match self.room(chunking.receiving()) {
                Ok(share) => self.gather(share, Decoder::counted),
                Err(reply) => {
                    self.watched.tell(|| Happening::Refused(Verb::Data, reply.clone()));
                    return Ok(chunking.declined(reply));
                }
            },
        };
        let ends = gathering.ends;
        self.watched.heard = Heard::Message;
        self.octets(chunking.octets(), ends, |octets| _ = gathering.feed(octets)).await?;
        if chunking.is_last() {
            gathering.close();
        }
        match gathering.fault() {
            Some(Fault::NoMemory) => return Ok(self.not_taken(Fault::NoMemory, chunking.not_kept(no_memory()))),
            Some(fault @ Fault::Malformed(malformed)) => {
                return Ok(self.not_taken(fault, chunking.malformed(malformed)));
            }
            None => {}
        }
        match chunking.kept() {
            Chunked::More(step) => {
                self.gathering = Some(gathering);
                Ok(step)
            }
            Chunked::Whole(receiving) => self.whole(receiving, gathering).await,
        }
    }

    async fn whole(&mut self, receiving: Receiving, gathering: Gathering) -> Result<Step, Parting> {
        let peer = self.peer(&receiving);
        let (envelope, answering) = receiving.whole();
        // The answers to the chunks before this one do not wait for the intake.
        self.wire()?.flush().await?;
        Ok(self.conclude(gathering.finish(), (envelope, peer), answering).await)
    }

    /// Reads over the octets of a chunk that was refused. Who is nobody yet has no more time for that than for the rest.
    pub(super) async fn skip(&mut self, octets: u64) -> Result<(), Parting> {
        let limits = &self.rules.limits;
        let ends = Instant::now() + limits.data;
        let ends = if self.client.is_none() { ends.min(self.began + limits.login) } else { ends };
        self.octets(octets, ends, |_| {}).await
    }

    /// Hands so many octets over as they come, and leaves what follows them.
    async fn octets(&mut self, count: u64, ends: Instant, mut take: impl FnMut(&[u8])) -> Result<(), Parting> {
        let mut left = count;
        loop {
            let wire = self.wire()?;
            let waiting = wire.waiting();
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(waiting.len());
            take(&waiting[..here]);
            wire.advance(here);
            left = left.saturating_sub(here as u64);
            if left == 0 {
                counter!("sealpost_received_bytes_total").increment(count);
                return Ok(());
            }
            // RFC 2920 §3.2: before it waits for more, a server sends the replies that it holds back: the client may want to
            // hear what became of MAIL and RCPT before it sends any content.
            wire.flush().await?;
            self.more(ends).await?;
        }
    }
}
