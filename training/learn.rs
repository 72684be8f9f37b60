//! Logistic regression with an L2 penalty over few dense and many sparse features, by L-BFGS: one thread, one order.

use crate::numbers::{logistic, softplus};

/// One letter, as the learner sees it.
#[derive(Clone, Debug)]
pub struct Example {
    pub dense: Vec<f64>,
    /// Places of sparse features that are all worth `share`.
    pub sparse: Vec<u32>,
    pub share: f64,
    pub phi: bool,
    pub weight: f64,
}

/// How strongly weights are held near 0.
#[derive(Clone, Copy, Debug)]
pub struct Penalty {
    pub dense: f64,
    pub sparse: f64,
}

/// Weights of the dense features, of the sparse ones, and the bias at the end.
#[derive(Clone, Debug)]
pub struct Weights {
    pub all: Vec<f64>,
    dense: usize,
}

impl Weights {
    pub fn dense(&self) -> &[f64] {
        &self.all[..self.dense]
    }

    pub fn sparse(&self) -> &[f64] {
        &self.all[self.dense..self.all.len() - 1]
    }

    pub fn bias(&self) -> f64 {
        self.all[self.all.len() - 1]
    }

    /// Raises the weight of one dense feature by hand.
    pub fn trust(mut self, feature: usize, more: f64) -> Weights {
        if let Some(weight) = self.all[..self.dense].get_mut(feature) {
            *weight += more;
        }
        self
    }

    pub fn sum(&self, example: &Example) -> f64 {
        sum(&self.all, self.dense, example)
    }
}

fn sum(weights: &[f64], dense: usize, example: &Example) -> f64 {
    let mut sum = weights[weights.len() - 1];
    for (value, weight) in example.dense.iter().zip(weights) {
        sum += value * weight;
    }
    let mut sparse = 0.0;
    for at in &example.sparse {
        sparse += weights[dense + *at as usize];
    }
    sum + sparse * example.share
}

const MEMORY: usize = 8;
const STEPS: usize = 120;
const ENOUGH: f64 = 1e-5;

struct Problem<'a> {
    examples: &'a [&'a Example],
    dense: usize,
    penalty: Penalty,
}

impl Problem<'_> {
    fn loss(&self, weights: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let mut loss = 0.0;
        let last = weights.len() - 1;
        for example in self.examples {
            let sum = sum(weights, self.dense, example);
            let target = if example.phi { 1.0 } else { 0.0 };
            loss += example.weight * (softplus(sum) - target * sum);
            let slope = example.weight * (logistic(sum) - target);
            for (value, at) in example.dense.iter().zip(0..) {
                let at: usize = at;
                gradient[at] += slope * value;
            }
            let shared = slope * example.share;
            for at in &example.sparse {
                gradient[self.dense + *at as usize] += shared;
            }
            gradient[last] += slope;
        }
        for (at, weight) in weights[..last].iter().enumerate() {
            let penalty = if at < self.dense { self.penalty.dense } else { self.penalty.sparse };
            loss += 0.5 * penalty * weight * weight;
            gradient[at] += penalty * weight;
        }
        loss
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// The weights that explain the examples best.
pub fn learn(examples: &[&Example], sparse: usize, penalty: Penalty) -> Weights {
    let dense = examples.first().map_or(0, |example| example.dense.len());
    let size = dense + sparse + 1;
    let problem = Problem { examples, dense, penalty };
    let mut weights = vec![0.0; size];
    let mut gradient = vec![0.0; size];
    let mut loss = problem.loss(&weights, &mut gradient);
    let mut memory: Vec<Change> = Vec::new();
    for _ in 0..STEPS {
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        let mut step = if memory.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let mut next_gradient = vec![0.0; size];
        let (next, next_loss) = loop {
            let next: Vec<f64> =
                weights.iter().zip(&direction).map(|(weight, change)| weight + step * change).collect();
            let next_loss = problem.loss(&next, &mut next_gradient);
            if next_loss <= loss + 1e-4 * step * slope || step < 1e-12 {
                break (next, next_loss);
            }
            step *= 0.5;
        };
        let change = Change::between((&weights, &gradient), (&next, &next_gradient));
        let gained = loss - next_loss;
        (weights, gradient, loss) = (next, next_gradient, next_loss);
        memory.extend(change);
        if memory.len() > MEMORY {
            memory.remove(0);
        }
        if gained < ENOUGH * loss.abs() {
            break;
        }
    }
    Weights { all: weights, dense }
}

/// One remembered step of L-BFGS.
struct Change {
    step: Vec<f64>,
    turn: Vec<f64>,
    scale: f64,
}

impl Change {
    fn between(old: (&[f64], &[f64]), new: (&[f64], &[f64])) -> Option<Change> {
        let less = |new: &[f64], old: &[f64]| -> Vec<f64> { new.iter().zip(old).map(|(new, old)| new - old).collect() };
        let (step, turn) = (less(new.0, old.0), less(new.1, old.1));
        let product = dot(&step, &turn);
        (product > 1e-12).then(|| Change { step, turn, scale: 1.0 / product })
    }
}

/// The two-loop recursion.
fn direction(gradient: &[f64], memory: &[Change]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut taken = Vec::with_capacity(memory.len());
    for change in memory.iter().rev() {
        let alpha = change.scale * dot(&change.step, &direction);
        direction.iter_mut().zip(&change.turn).for_each(|(at, turn)| *at -= alpha * turn);
        taken.push(alpha);
    }
    if let Some(last) = memory.last() {
        let scale = 1.0 / (last.scale * dot(&last.turn, &last.turn));
        direction.iter_mut().for_each(|at| *at *= scale);
    }
    for (change, alpha) in memory.iter().zip(taken.into_iter().rev()) {
        let beta = change.scale * dot(&change.turn, &direction);
        direction.iter_mut().zip(&change.step).for_each(|(at, step)| *at += (alpha - beta) * step);
    }
    direction
}

/// Platt's calibration of sums that were made without the letters they belong to: slope and offset.
pub fn calibrate(judged: &[(f64, bool, f64)]) -> (f64, f64) {
    let example = |(sum, phi, weight): &(f64, bool, f64)| Example {
        dense: vec![*sum],
        sparse: Vec::new(),
        share: 0.0,
        phi: *phi,
        weight: *weight,
    };
    let examples: Vec<Example> = judged.iter().map(example).collect();
    let weights = learn(&examples.iter().collect::<Vec<_>>(), 0, Penalty { dense: 1e-3, sparse: 0.0 });
    (weights.dense().first().copied().unwrap_or(1.0).max(1e-3), weights.bias())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(value: f64, sparse: &[u32], phi: bool) -> Example {
        Example { dense: vec![value], sparse: sparse.to_vec(), share: 1.0, phi, weight: 1.0 }
    }

    #[test]
    fn what_tells_apart_is_learned() {
        let examples =
            [example(1.0, &[0], true), example(0.8, &[1], true), example(0.1, &[2], false), example(0.0, &[1], false)];
        let weights = learn(&examples.iter().collect::<Vec<_>>(), 3, Penalty { dense: 0.01, sparse: 0.01 });
        assert!(weights.dense()[0] > 0.0 && weights.sparse()[0] > 0.0 && weights.sparse()[2] < 0.0);
        for example in &examples {
            assert_eq!(weights.sum(example) > 0.0, example.phi);
        }
    }

    #[test]
    fn a_sum_that_promises_too_much_is_calibrated_down() {
        let judged: Vec<_> =
            (0..100).map(|at| (if at % 2 == 0 { 6.0 } else { -6.0 }, (at % 2 == 0) != (at % 10 == 0), 1.0)).collect();
        let (slope, offset) = calibrate(&judged);
        assert!(slope > 0.0 && (0.7..0.9).contains(&logistic(slope * 6.0 + offset)));
    }
}
