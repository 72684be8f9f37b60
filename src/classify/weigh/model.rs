//! The weights: a linear model over the evidence and the choice of words, learned from our own letters (`make train`).
//!
//! The file has a text header of `name value` lines, an empty line, and the weights: one little-endian f32 for each
//! feature, then one i8 for each bin of words. `sha256` in the header is that of the weights.

use std::sync::LazyLock;

use crate::classify::evidence::Evidence;
use crate::classify::weigh::features::Feature;
use crate::classify::weigh::words::BINS;
use crate::crypto;

const FILE: &[u8] = include_bytes!("../model.bin");
/// The file's form, and what the evidence means. A model of another number is not read.
pub const FORM: u32 = 1;

/// A trained model.
#[derive(Debug)]
pub struct Model {
    dense: Vec<f32>,
    bins: Vec<i8>,
    bias: f32,
    /// What one step of a bin's weight is worth.
    scale: f32,
    /// Platt's: what turns a sum of weights into a probability.
    slope: f32,
    offset: f32,
    pub strict: f32,
    pub balanced: f32,
    /// The first digits of the file's hash: which weights and operating points said so.
    pub name: String,
}

/// Why a file is no model of this version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    #[error("the model's header ends nowhere")]
    NoHeader,
    #[error("the model's header lacks a readable `{0}`")]
    Lacks(&'static str),
    #[error("the model was made for other evidence")]
    Other,
    #[error("the model's weights are not those that its header tells of")]
    Changed,
}

static SHIPPED: LazyLock<Result<Model, Unfit>> = LazyLock::new(|| Model::parse(FILE));

impl Model {
    /// The one that this program brings along. A test reads it.
    pub fn shipped() -> Result<&'static Model, &'static Unfit> {
        SHIPPED.as_ref()
    }

    pub fn parse(file: &[u8]) -> Result<Model, Unfit> {
        let end = file.windows(2).position(|pair| pair == b"\n\n").ok_or(Unfit::NoHeader)?;
        let header = std::str::from_utf8(&file[..end]).map_err(|_| Unfit::NoHeader)?;
        let weights = &file[end + 2..];
        let text = |name: &'static str| {
            let mut lines = header.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(found, _)| *found == name).map(|(_, value)| value).ok_or(Unfit::Lacks(name))
        };
        let number = |name| text(name)?.parse::<f32>().ok().filter(|value| value.is_finite()).ok_or(Unfit::Lacks(name));
        let features = Feature::ALL.len();
        if text("form")? != FORM.to_string()
            || text("features")? != features.to_string()
            || text("bins")? != BINS.to_string()
        {
            return Err(Unfit::Other);
        }
        let hash = text("sha256")?;
        if crypto::sha256(weights).to_string() != hash || weights.len() != 4 * features + BINS {
            return Err(Unfit::Changed);
        }
        let (dense, bins) = weights.split_at(4 * features);
        Ok(Model {
            dense: dense.as_chunks().0.iter().map(|octets| f32::from_le_bytes(*octets)).collect(),
            bins: bins.iter().map(|octet| octet.cast_signed()).collect(),
            bias: number("bias")?,
            scale: number("scale")?,
            slope: number("slope")?,
            offset: number("offset")?,
            strict: number("strict")?,
            balanced: number("balanced")?,
            name: crypto::sha256(file).to_string().chars().take(8).collect(),
        })
    }

    /// The sum of weights: not a probability yet.
    pub fn sum(&self, evidence: &Evidence) -> f32 {
        let dense: f32 = evidence.dense.iter().zip(&self.dense).map(|(value, weight)| value * weight).sum();
        self.bias + dense + self.words(evidence)
    }

    /// What the choice of words adds.
    pub fn words(&self, evidence: &Evidence) -> f32 {
        let weight = |bin: &u32| self.bins.get(*bin as usize).map_or(0, |weight| i64::from(*weight));
        let sum: i64 = evidence.bins.iter().map(weight).sum();
        sum as f32 * self.scale * evidence.share()
    }

    /// What each feature adds.
    pub fn parts(&self, evidence: &Evidence) -> impl Iterator<Item = (Feature, f32)> {
        let parts = evidence.dense.iter().zip(&self.dense).map(|(value, weight)| value * weight);
        Feature::ALL.iter().copied().zip(parts.collect::<Vec<_>>())
    }

    /// How likely a message with such a sum holds PHI.
    pub fn probability(&self, sum: f32) -> f32 {
        logistic(self.slope * sum + self.offset)
    }
}

/// 1 / (1 + e^-x), by a series: the same number on every machine.
fn logistic(x: f32) -> f32 {
    let x = f64::from(x).clamp(-60.0, 60.0);
    let halvings = 10;
    let small = -x / f64::from(1 << halvings);
    let mut term = 1.0;
    let mut exponential = 1.0;
    for at in 1..10 {
        term *= small / f64::from(at);
        exponential += term;
    }
    for _ in 0..halvings {
        exponential *= exponential;
    }
    (1.0 / (1.0 + exponential)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_model_is_read_and_is_what_its_header_says() {
        let model = Model::shipped().unwrap();
        assert!(model.slope > 0.0, "more evidence is more likely");
        assert!(0.0 < model.strict && model.strict <= model.balanced && model.balanced < 1.0);
    }

    #[test]
    fn a_changed_octet_is_found() {
        let mut file = FILE.to_vec();
        *file.last_mut().unwrap() ^= 1;
        assert_eq!(Model::parse(&file).unwrap_err(), Unfit::Changed);
        assert_eq!(Model::parse(b"form 1").unwrap_err(), Unfit::NoHeader);
        assert_eq!(Model::parse(b"form 1\nfeatures 2\nbins 3\n\n").unwrap_err(), Unfit::Other);
        assert_eq!(Model::parse(b"shape 1\n\n").unwrap_err(), Unfit::Lacks("form"));
    }

    #[test]
    fn a_larger_sum_is_never_less_likely() {
        let model = Model::shipped().unwrap();
        let likely: Vec<f32> = (-400..400_i16).map(|sum| model.probability(f32::from(sum) / 10.0)).collect();
        assert!(likely.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(likely.iter().all(|likely| (0.0..=1.0).contains(likely)));
    }

    #[test]
    fn the_logistic_function_is_one() {
        for x in [-40.0_f32, -3.0, 0.0, 0.5, 8.0, 50.0] {
            assert!((logistic(x) - 1.0 / (1.0 + (-x).exp())).abs() < 1e-5, "{x}");
        }
    }
}
