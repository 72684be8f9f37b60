//! What is held of a message while it comes in, behind DATA and in chunks alike.

use tokio::time::Instant;

use crate::listener::memory::Share;
use crate::mail::{Malformed, Message};
use crate::smtp::{Decoder, Feed};

/// A message that is not whole.
#[derive(Debug)]
pub(super) struct Gathering {
    decoder: Decoder,
    /// Gone when there was no memory for more.
    share: Option<Share>,
    /// The time for all chunks together is that of one DATA.
    pub(super) ends: Instant,
}

/// Why no message can come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NoMemory,
    Malformed(Malformed),
}

impl Gathering {
    pub(super) fn new(decoder: Decoder, share: Share, ends: Instant) -> Gathering {
        Gathering { decoder, share: Some(share), ends }
    }

    /// Takes what came next, and says whether the end was in it. Without memory for more, the end is looked for all the same.
    pub(super) fn feed(&mut self, octets: &[u8]) -> Feed {
        let fed = self.decoder.feed(octets);
        if fed == Feed::More && self.share.as_mut().is_some_and(|share| share.grow(self.decoder.held()).is_err()) {
            self.decoder.discard();
            self.share = None;
        }
        fed
    }

    /// Nothing more comes.
    pub(super) fn close(&mut self) {
        self.decoder.close();
    }

    /// What is wrong with it so far.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self.share {
            Some(_) => self.decoder.fault().map(Fault::Malformed),
            None => Some(Fault::NoMemory),
        }
    }

    /// The message, with the memory that it has, once its end is here.
    pub(super) fn finish(self) -> Result<(Message, Share), Fault> {
        let share = self.share.ok_or(Fault::NoMemory)?;
        Ok((self.decoder.finish().map_err(Fault::Malformed)?, share))
    }
}
