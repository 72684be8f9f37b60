//! BDAT on the wire (RFC 3030): octets that are counted, what is held of a message between its chunks, and what is read over.

use metrics::counter;
use tokio::time::Instant;

use crate::listener::Accepts;
use crate::listener::connection::{Dialog, Parting, local_error, no_memory, wire_limits};
use crate::listener::happening::{Happening, Heard, Verb, Why};
use crate::listener::memory::Share;
use crate::listener::wire::Lost;
use crate::smtp::{Chunked, Chunking, Decoder, Receiving, Step};

/// What has come of a message whose last chunk has not.
#[derive(Debug)]
pub(super) struct Gathering {
    decoder: Decoder,
    /// Gone when there was no memory for more.
    share: Option<Share>,
    /// The time for all chunks together is that of one DATA.
    pub(super) ends: Instant,
}

impl Gathering {
    fn take(&mut self, octets: &[u8]) {
        self.decoder.feed(octets);
        if self.share.as_mut().is_some_and(|share| share.grow(self.decoder.held()).is_err()) {
            self.decoder.discard();
            self.share = None;
        }
    }
}

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
                Ok(share) => self.gather(share),
                Err(reply) => {
                    self.watched.tell(|| Happening::Refused(Verb::Data, reply.clone()));
                    return Ok(chunking.declined(reply));
                }
            },
        };
        let ends = gathering.ends;
        self.watched.heard = Heard::Message;
        self.octets(chunking.octets(), ends, |octets| gathering.take(octets)).await?;
        if chunking.is_last() {
            gathering.decoder.close();
        }
        if gathering.share.is_none() {
            let next = chunking.not_kept(no_memory());
            self.watched.not_taken(Why::Later, &next);
            return Ok(next);
        }
        if let Some(fault) = gathering.decoder.fault() {
            let next = chunking.malformed(fault);
            self.watched.not_taken(Why::Malformed(fault), &next);
            return Ok(next);
        }
        match chunking.kept() {
            Chunked::More(step) => {
                self.gathering = Some(gathering);
                Ok(step)
            }
            Chunked::Whole(receiving) => self.whole(receiving, gathering).await,
        }
    }

    fn gather(&self, share: Option<Share>) -> Gathering {
        let limits = &self.rules.limits;
        let decoder = Decoder::counted(wire_limits(limits), self.listener.line_ends);
        Gathering { decoder, share, ends: Instant::now() + limits.data }
    }

    async fn whole(&mut self, receiving: Receiving, gathering: Gathering) -> Result<Step, Parting> {
        let Gathering { decoder, share, .. } = gathering;
        let peer = self.peer(&receiving);
        let (envelope, answering) = receiving.whole();
        match decoder.finish() {
            Ok(message) => {
                self.messages += 1;
                // The answers to the chunks before this one do not wait for the intake.
                self.wire()?.flush().await?;
                let reply = self.hand_over(envelope, message, peer).await;
                drop(share);
                Ok(answering.answered(reply))
            }
            Err(fault) => {
                let next = answering.malformed(fault);
                self.watched.not_taken(Why::Malformed(fault), &next);
                Ok(next)
            }
        }
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
        let idle = self.rules.limits.idle;
        let wire = self.wire.as_mut().ok_or(Parting::Gone)?;
        let mut left = count;
        loop {
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
            let read = wire.read(ends.min(Instant::now() + idle)).await;
            read.map_err(|lost| if lost == Lost::Late { Parting::DataOver } else { Parting::Gone })?;
        }
    }
}
