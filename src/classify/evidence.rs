//! What a message tells the model: the same for the mail that is judged and the letters that the model has learned from.

use crate::classify::weigh::features::Dense;
use crate::classify::{self, weigh};
use crate::mime::Tree;

/// The evidence of one message. Numbers and hashes of words, no text.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub dense: Dense,
    /// The bins of its words and pairs of words, each once.
    pub bins: Vec<u32>,
    /// From 0 to 1: whether there is anybody whose health it could be.
    pub somebody: f32,
    /// How surely somebody is a patient who is bound to health.
    pub surely: f32,
}

/// A patient who is bound to health as surely as this is one, whatever else the message says.
const SURELY: f32 = 0.6;

impl Evidence {
    /// Whether it counts whatever the model makes of it.
    pub fn counts(&self) -> bool {
        self.surely >= SURELY
    }

    /// What one bin counts: a long message says no more by its words than a short one, and words about nobody say little.
    pub fn share(&self) -> f32 {
        (0.2 + 0.8 * self.somebody) / (self.bins.len().max(8) as f32).sqrt()
    }
}

/// What `classify` weighs of a message.
pub fn evidence(tree: &Tree) -> Evidence {
    let mut grams = weigh::Grams::new();
    let reading = classify::read(tree, &mut grams);
    weigh::weigh(tree, &reading.parts, grams).evidence
}
