//! The model's file, as `sealpost::classify::Model` reads it.

use std::fmt::Write;

use sealpost::classify::{BINS, Feature, MODEL_FORM};
use sealpost::crypto;

use crate::Lessons;
use crate::folds::Points;
use crate::learn::Weights;

pub fn file(lessons: &Lessons, digest: &str, (weights, points): (&Weights, &Points)) -> Vec<u8> {
    let largest = weights.sparse().iter().fold(1e-6_f64, |largest, weight| largest.max(weight.abs()));
    let scale = largest / 127.0;
    let mut bins = vec![0_i8; BINS];
    for (bin, weight) in lessons.bins.iter().zip(weights.sparse()) {
        bins[*bin as usize] = (weight / scale).round() as i8;
    }
    let mut octets: Vec<u8> = weights.dense().iter().flat_map(|weight| (*weight as f32).to_le_bytes()).collect();
    octets.extend(bins.iter().map(|bin| bin.cast_unsigned()));
    let mut header = String::from("model sealpost\n");
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(header, "{name} {value}");
    };
    line("form", MODEL_FORM.to_string());
    line("features", Feature::ALL.len().to_string());
    line("bins", BINS.to_string());
    line("families", lessons.families.len().to_string());
    line("learned_from", digest.to_owned());
    line("letters", lessons.letters.len().to_string());
    line("words", lessons.bins.len().to_string());
    line("bias", format!("{:.6}", weights.bias()));
    line("scale", format!("{scale:.9}"));
    line("slope", format!("{:.6}", points.slope));
    line("offset", format!("{:.6}", points.offset));
    line("strict", format!("{:.6}", points.strict));
    line("balanced", format!("{:.6}", points.balanced));
    line("sha256", crypto::sha256(&octets).to_string());
    header.push('\n');
    [header.into_bytes(), octets].concat()
}
