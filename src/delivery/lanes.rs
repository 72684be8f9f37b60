//! One lane per destination, so that a dead one never delays another.

use std::collections::{HashMap, HashSet, VecDeque};

/// Recipients of one transaction (RFC 5321 §4.5.3.1.8: every server takes a hundred).
const MAX_RECIPIENTS: usize = 100;
/// How deep a lane is searched for jobs that can travel together.
const MAX_SEARCH: usize = 1000;
/// Destinations of which it is remembered that they answered.
const MAX_PROVEN: usize = 4096;
/// The part of all connections, one in so many, that is kept for those. Whoever owns one domain has as many destinations
/// below it as he likes, and may let each of them answer late.
const KEPT: usize = 4;

/// How many batches may be under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) total: usize,
    pub(super) per_destination: usize,
}

/// What a batch showed of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Alive,
    Dead,
}

#[derive(Debug)]
struct Lane<J> {
    waiting: VecDeque<J>,
    running: usize,
    /// Of those, what was started while nobody knew whether it answers.
    unproven: usize,
    found: Found,
}

#[derive(Debug)]
pub(super) struct Lanes<J> {
    lanes: HashMap<String, Lane<J>>,
    /// The lanes in which somebody waits, each once; the first is next.
    ring: VecDeque<String>,
    running: usize,
    unproven: usize,
    waiting: usize,
    proven: Proven,
}

/// Destinations that answered when they were last asked; beyond so many, the one found first is forgotten.
#[derive(Debug, Default)]
struct Proven {
    all: HashSet<String>,
    order: VecDeque<String>,
}

impl<J> Default for Lanes<J> {
    fn default() -> Lanes<J> {
        let (lanes, ring) = (HashMap::new(), VecDeque::new());
        Lanes { lanes, ring, running: 0, unproven: 0, waiting: 0, proven: Proven::default() }
    }
}

impl<J> Lanes<J> {
    pub(super) fn put(&mut self, destination: String, job: J) {
        // A destination has to answer once before more than one connection at a time goes to it.
        let new = || Lane { waiting: VecDeque::new(), running: 0, unproven: 0, found: Found::Dead };
        let lane = self.lanes.entry(destination.clone()).or_insert_with(new);
        if lane.waiting.is_empty() {
            self.ring.push_back(destination);
        }
        lane.waiting.push_back(job);
        self.waiting += 1;
    }

    /// The next batch that may start: jobs of one lane that can travel `together`. The lanes take turns.
    pub(super) fn next(&mut self, limits: Limits, together: impl Fn(&J, &J) -> bool) -> Option<(String, Vec<J>)> {
        if self.running >= limits.total {
            return None;
        }
        let full_of_unproven = self.unproven >= limits.total - limits.total / KEPT;
        for _ in 0..self.ring.len() {
            let destination = self.ring.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&destination) else { continue };
            let is_proven = self.proven.all.contains(&destination);
            if !lane.may_start(limits.per_destination) || full_of_unproven && !is_proven {
                self.ring.push_back(destination);
                continue;
            }
            let batch = lane.take(&together);
            lane.running += 1;
            self.running += 1;
            if !is_proven {
                lane.unproven += 1;
                self.unproven += 1;
            }
            self.waiting -= batch.len();
            if !lane.waiting.is_empty() {
                self.ring.push_back(destination.clone());
            }
            return Some((destination, batch));
        }
        None
    }

    pub(super) fn done(&mut self, destination: &str, found: Found) {
        self.running = self.running.saturating_sub(1);
        self.proven.note(destination, found);
        let Some(lane) = self.lanes.get_mut(destination) else { return };
        lane.running = lane.running.saturating_sub(1);
        // Which of the lane's connections it was makes no difference to the count.
        if lane.unproven > 0 {
            lane.unproven -= 1;
            self.unproven = self.unproven.saturating_sub(1);
        }
        lane.found = found;
        if lane.running == 0 && lane.waiting.is_empty() {
            self.lanes.remove(destination);
        }
    }

    /// When `full` or more wait, the newest half of the longest dead lane: those jobs go back to the queue.
    pub(super) fn surplus(&mut self, full: usize) -> Option<Vec<J>> {
        if self.waiting < full {
            return None;
        }
        let dead = self.lanes.values_mut().filter(|lane| lane.found == Found::Dead && lane.waiting.len() > 1);
        let longest = dead.max_by_key(|lane| lane.waiting.len())?;
        let newest: Vec<J> = longest.waiting.split_off(longest.waiting.len().div_ceil(2)).into();
        self.waiting -= newest.len();
        Some(newest)
    }
}

impl Proven {
    fn note(&mut self, destination: &str, found: Found) {
        match found {
            Found::Dead if self.all.remove(destination) => self.order.retain(|known| known != destination),
            Found::Alive if self.all.insert(destination.to_owned()) => {
                self.order.push_back(destination.to_owned());
                if self.order.len() > MAX_PROVEN {
                    self.order.pop_front().map(|first| self.all.remove(&first));
                }
            }
            Found::Dead | Found::Alive => {}
        }
    }
}

impl<J> Lane<J> {
    fn may_start(&self, per_destination: usize) -> bool {
        let limit = match self.found {
            Found::Alive => per_destination.max(1),
            Found::Dead => 1,
        };
        self.running < limit
    }

    fn take(&mut self, together: &impl Fn(&J, &J) -> bool) -> Vec<J> {
        let mut batch: Vec<J> = self.waiting.pop_front().into_iter().collect();
        let (mut at, mut searched) = (0, 0);
        while at < self.waiting.len() && batch.len() < MAX_RECIPIENTS && searched < MAX_SEARCH {
            searched += 1;
            if !batch.first().is_some_and(|first| together(first, &self.waiting[at])) {
                at += 1;
            } else if let Some(job) = self.waiting.remove(at) {
                batch.push(job);
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { total: 3, per_destination: 2 };

    fn same(one: &u32, other: &u32) -> bool {
        one / 10 == other / 10
    }

    fn lanes(jobs: &[(&str, u32)]) -> Lanes<u32> {
        let mut lanes = Lanes::default();
        for (destination, job) in jobs {
            lanes.put((*destination).to_owned(), *job);
        }
        lanes
    }

    fn next(lanes: &mut Lanes<u32>) -> Option<(String, Vec<u32>)> {
        lanes.next(LIMITS, same)
    }

    #[test]
    fn jobs_of_one_message_travel_together_and_lanes_take_turns() {
        let mut lanes = lanes(&[("a", 10), ("a", 20), ("a", 11), ("b", 30)]);
        assert_eq!(next(&mut lanes), Some(("a".into(), vec![10, 11])));
        assert_eq!(next(&mut lanes), Some(("b".into(), vec![30])));
        assert_eq!(next(&mut lanes), None);
        lanes.done("a", Found::Alive);
        assert_eq!(next(&mut lanes), Some(("a".into(), vec![20])));
    }

    #[test]
    fn a_destination_that_never_answered_has_one_connection_at_a_time() {
        let mut lanes = lanes(&[("a", 10), ("a", 20), ("a", 30), ("a", 40)]);
        assert!(next(&mut lanes).is_some());
        assert_eq!(next(&mut lanes), None);
        lanes.done("a", Found::Alive);
        assert!(next(&mut lanes).is_some() && next(&mut lanes).is_some());
        assert_eq!(next(&mut lanes), None);
        lanes.done("a", Found::Dead);
        assert_eq!(next(&mut lanes), None);
    }

    #[test]
    fn the_total_is_limited() {
        let mut lanes = lanes(&[("a", 10), ("b", 20), ("c", 30), ("d", 40)]);
        assert!((0..3).all(|_| next(&mut lanes).is_some()));
        assert_eq!(next(&mut lanes), None);
        lanes.done("b", Found::Dead);
        assert_eq!(next(&mut lanes), Some(("d".into(), vec![40])));
    }

    #[test]
    fn many_destinations_that_never_answered_leave_room_for_those_that_did() {
        const LIMITS: Limits = Limits { total: 8, per_destination: 2 };
        let mut lanes = lanes(&[("lab", 10)]);
        assert!(lanes.next(LIMITS, same).is_some());
        lanes.done("lab", Found::Alive);
        for n in 0..20 {
            lanes.put(format!("x{n}.tar.example"), n * 10);
        }
        let mut held: Vec<String> = std::iter::from_fn(|| lanes.next(LIMITS, same)).map(|(lane, _)| lane).collect();
        assert_eq!(held.len(), 6);
        lanes.put("lab".into(), 500);
        assert_eq!(lanes.next(LIMITS, same), Some(("lab".into(), vec![500])));
        // One that stops answering has no more claim to it than the others.
        lanes.done("lab", Found::Dead);
        lanes.put("lab".into(), 600);
        assert_eq!(lanes.next(LIMITS, same), None);
        while let Some(lane) = held.pop() {
            lanes.done(&lane, Found::Dead);
        }
        while let Some((lane, _)) = lanes.next(LIMITS, same) {
            lanes.done(&lane, Found::Dead);
        }
        assert!(lanes.lanes.is_empty() && lanes.running == 0 && lanes.unproven == 0 && lanes.proven.order.is_empty());
    }

    #[test]
    fn a_full_house_sends_the_newest_of_a_dead_lane_back() {
        let mut lanes = lanes(&[("dead", 10), ("dead", 20), ("dead", 30), ("b", 40)]);
        assert_eq!(lanes.surplus(5), None);
        assert_eq!(lanes.surplus(4), Some(vec![30]));
        assert_eq!(lanes.surplus(4), None);
    }

    #[test]
    fn a_lane_nobody_waits_in_is_forgotten() {
        let mut lanes = lanes(&[("a", 10)]);
        assert!(next(&mut lanes).is_some());
        lanes.done("a", Found::Alive);
        assert!(lanes.lanes.is_empty() && lanes.ring.is_empty() && lanes.waiting == 0 && lanes.running == 0);
    }
}
