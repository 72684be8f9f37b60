//! Random orders of all that can happen to jobs, crashes and two nodes among it: nobody is lost, nobody is counted twice, everybody
//! has one end, and whoever lost a job cannot settle it.
//!
//! A story is made from a seed before it is played, so that one which ends badly can be shortened and printed.

#![cfg(test)]

mod house;
mod log;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use sealpost::audit::Actor;
use sealpost::clock::Timestamp;
use sealpost::mail::{ClientName, JobId, MessageId};
use sealpost::queue::{Job, Moved, Outcome, Progress, QueueError, Selection, Settled};

use crate::cluster::Cluster;
use house::{House, LEASE, Way, config};

/// Steps of one story.
const STEPS: usize = 90;
/// How long a claim waits for what may not come.
const MOMENT: Duration = Duration::from_millis(15);

/// One step. Its numbers choose among what is there when it is played, so that a story can lose steps and still be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Accept {
        node: u64,
        ways: u64,
    },
    Claim {
        node: u64,
        most: usize,
    },
    Settle {
        hand: u64,
        progress: u64,
    },
    Renew {
        hand: u64,
    },
    GiveBack {
        hand: u64,
    },
    Hold {
        node: u64,
        message: u64,
    },
    Release {
        node: u64,
        message: u64,
    },
    Cancel {
        node: u64,
        message: u64,
    },
    Retry {
        node: u64,
        message: u64,
    },
    Pass {
        minutes: u32,
    },
    /// The node dies with all that it has in hand, and starts again.
    Crash {
        node: u64,
    },
    /// The same, in the middle of taking messages and settling jobs.
    CrashAtWork {
        node: u64,
        messages: u64,
        yields: u64,
    },
}

/// xorshift64: the same seed, the same story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn step(&mut self) -> Step {
        let (node, which) = (self.roll(2), self.roll(1 << 20));
        match self.roll(24) {
            0..5 => Step::Accept { node, ways: which },
            5..9 => Step::Claim { node, most: 1 + usize::try_from(self.roll(3)).unwrap() },
            9..14 => Step::Settle { hand: which, progress: self.roll(5) },
            14 => Step::Renew { hand: which },
            15 => Step::GiveBack { hand: which },
            16 => Step::Hold { node, message: which },
            17 => Step::Release { node, message: which },
            18 => Step::Cancel { node, message: which },
            19 => Step::Retry { node, message: which },
            20 | 21 => Step::Pass { minutes: u32::try_from(1 + self.roll(8)).unwrap() },
            22 => Step::Crash { node },
            _ => Step::CrashAtWork { node, messages: 1 + self.roll(3), yields: self.roll(400) },
        }
    }
}

/// What went against the rules.
#[derive(Debug)]
struct Fault(String);

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Fault {
        Fault(format!("the queue fails: {error}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job that a node works on, or did: it is kept when it is lost, so that it can be settled wrongly.
struct Hand {
    job: Job,
    node: usize,
    /// The claim that it comes from, counted in all.
    claim: u64,
    /// Until then nobody else may have it. Fresh jobs come with half of their lease at least.
    sure_until: Timestamp,
}

struct Play {
    house: House,
    /// Of each message that was answered for, how many recipients it has.
    accepted: HashMap<MessageId, usize>,
    /// Those that a crash came upon: all of their recipients are there, or none.
    perhaps: HashMap<MessageId, usize>,
    order: Vec<MessageId>,
    hands: Vec<Hand>,
    claims: u64,
    /// The last claim of each job that still counts.
    holder: HashMap<JobId, u64>,
    /// Attempts of each job that were settled, as we were told.
    settled: HashMap<JobId, u32>,
}

impl Play {
    async fn new(url: &str, nodes: usize) -> Play {
        Play {
            house: House::open(url, nodes).await,
            accepted: HashMap::new(),
            perhaps: HashMap::new(),
            order: Vec::new(),
            hands: Vec::new(),
            claims: 0,
            holder: HashMap::new(),
            settled: HashMap::new(),
        }
    }

    fn node(&self, node: u64) -> usize {
        usize::try_from(node).unwrap() % self.house.nodes.len()
    }

    async fn step(&mut self, step: Step) -> Result<(), Fault> {
        match step {
            Step::Accept { node, ways } => self.accept(self.node(node), ways).await?,
            Step::Claim { node, most } => self.claim(self.node(node), most).await?,
            Step::Settle { hand, progress } => {
                if let Some(hand) = self.pick(hand) {
                    self.settle(hand, progress).await?;
                }
            }
            Step::Renew { hand } => self.renew(hand).await?,
            Step::GiveBack { hand } => {
                if let Some(Hand { job, node, claim, .. }) = self.pick(hand) {
                    let id = job.id;
                    self.house.nodes[node].queue.give_back(vec![job]).await?;
                    if self.holder.get(&id) == Some(&claim) {
                        self.holder.remove(&id);
                    }
                }
            }
            Step::Hold { .. } | Step::Release { .. } | Step::Cancel { .. } | Step::Retry { .. } => {
                self.operate(step).await?;
            }
            Step::Pass { minutes } => self.house.clock.advance(Duration::from_secs(60) * minutes),
            Step::Crash { node } => self.crash(self.node(node)).await,
            Step::CrashAtWork { node, messages, yields } => {
                self.crash_at_work(self.node(node), (messages, yields)).await;
            }
        }
        self.balance().await
    }

    async fn balance(&self) -> Result<(), Fault> {
        let counts = self.house.nodes[0].queue.counts().await?;
        let sure: usize = self.accepted.values().sum();
        let most = sure + self.perhaps.values().sum::<usize>();
        let accepted = usize::try_from(counts.accepted).unwrap();
        if !counts.are_balanced() || !(sure..=most).contains(&accepted) {
            return Err(Fault(format!("{counts:?} instead of {sure} to {most} accepted")));
        }
        Ok(())
    }

    async fn accept(&mut self, node: usize, ways: u64) -> Result<(), Fault> {
        let ways = Way::some(ways, self.house.now());
        let (queue, accept) = self.house.nodes[node].message(&ways);
        let id = accept.id;
        queue.accept(accept, Actor::System).await?;
        self.accepted.insert(id, ways.len());
        self.order.push(id);
        Ok(())
    }

    async fn claim(&mut self, node: usize, most: usize) -> Result<(), Fault> {
        let queue = self.house.nodes[node].queue.clone();
        let Ok(jobs) = tokio::time::timeout(MOMENT, queue.claim(most)).await else { return Ok(()) };
        let now = self.house.now();
        for job in jobs {
            let id = job.id;
            if let Some(holder) = self.holder.get(&id)
                && let Some(hand) = self.hands.iter().find(|hand| hand.claim == *holder)
                && hand.sure_until > now
            {
                return Err(Fault(format!("job {id} is given away twice: node {} has it still", hand.node)));
            }
            self.claims += 1;
            self.holder.insert(id, self.claims);
            let sure_until = now.plus(LEASE / 2);
            self.hands.push(Hand { job, node, claim: self.claims, sure_until });
        }
        Ok(())
    }

    fn pick(&mut self, hand: u64) -> Option<Hand> {
        let count = u64::try_from(self.hands.len()).unwrap();
        (count > 0).then(|| self.hands.swap_remove(usize::try_from(hand % count).unwrap()))
    }

    async fn settle(&mut self, hand: Hand, progress: u64) -> Result<(), Fault> {
        let Hand { job, node, claim, sure_until } = hand;
        let all =
            [Progress::Delivered, Progress::Refused, Progress::Later, Progress::FloorUnmet, Progress::MethodUnusable];
        let progress = all[usize::try_from(progress % 5).unwrap()];
        let (id, number) = (job.id, job.number);
        let outcome = Outcome { progress, evidence: None, seen: None };
        let settled = self.house.nodes[node].queue.settle(job, outcome).await?;
        let holds = self.holder.get(&id) == Some(&claim);
        match settled {
            Settled::Stands(_) if !holds => Err(Fault(format!("job {id} is settled by one who has lost it"))),
            Settled::Lost if holds && sure_until > self.house.now() => {
                Err(Fault(format!("job {id} is lost to the one who has it")))
            }
            Settled::Lost => Ok(()),
            Settled::Stands(_) => {
                self.holder.remove(&id);
                // Behind a crash nobody knows whether the last one counted.
                match self.settled.insert(id, number) {
                    Some(before) if before + 1 != number => {
                        Err(Fault(format!("attempt {number} of job {id} comes behind {before}")))
                    }
                    Some(_) | None => Ok(()),
                }
            }
        }
    }

    async fn renew(&mut self, hand: u64) -> Result<(), Fault> {
        let Some(mut hand) = self.pick(hand) else { return Ok(()) };
        let renewed = self.house.nodes[hand.node].queue.renew(&hand.job).await?;
        let holds = self.holder.get(&hand.job.id) == Some(&hand.claim);
        match renewed {
            sealpost::store::Renewed::Held if !holds => {
                return Err(Fault(format!("job {} is renewed by one who has lost it", hand.job.id)));
            }
            sealpost::store::Renewed::Held => hand.sure_until = self.house.now().plus(LEASE),
            sealpost::store::Renewed::Lost => {}
        }
        self.hands.push(hand);
        Ok(())
    }

    async fn operate(&mut self, step: Step) -> Result<(), Fault> {
        let (Step::Hold { node, message }
        | Step::Release { node, message }
        | Step::Cancel { node, message }
        | Step::Retry { node, message }) = step
        else {
            return Ok(());
        };
        let count = u64::try_from(self.order.len()).unwrap();
        let selection = match message.checked_rem(count) {
            Some(at) if message % 7 > 0 => Selection::Message(self.order[usize::try_from(at).unwrap()]),
            Some(_) | None => {
                Selection::Client { client: ClientName("openemr".into()), since: Timestamp::from_millis(0) }
            }
        };
        let queue = &self.house.nodes[self.node(node)].queue;
        let Moved { .. } = match step {
            Step::Hold { .. } => queue.hold(&selection, Actor::System).await?,
            Step::Release { .. } => queue.release(&selection, Actor::System).await?,
            Step::Cancel { .. } => queue.cancel(&selection, Actor::System).await?,
            _ => queue.retry(&selection, Actor::System).await?,
        };
        self.forget_the_late();
        Ok(())
    }

    /// Whose lease is not sure any longer may have lost its job to an operator, and nobody told it.
    fn forget_the_late(&mut self) {
        let now = self.house.now();
        for hand in self.hands.iter_mut().filter(|hand| hand.sure_until <= now) {
            hand.sure_until = Timestamp::from_millis(0);
        }
    }

    async fn crash(&mut self, node: usize) {
        self.house.crash(node).await;
        // Its next boot has taken everything back that this one had.
        for hand in self.hands.iter().filter(|hand| hand.node == node) {
            if self.holder.get(&hand.job.id) == Some(&hand.claim) {
                self.holder.remove(&hand.job.id);
            }
        }
    }

    /// Messages are taken and jobs settled, all at once, and after so many turns of the others everything is dropped.
    async fn crash_at_work(&mut self, node: usize, (messages, yields): (u64, u64)) {
        let mut work = tokio::task::JoinSet::new();
        for at in 0..messages {
            let ways = Way::some(at * 31 + yields, self.house.now());
            let (queue, accept) = self.house.nodes[node].message(&ways);
            self.perhaps.insert(accept.id, ways.len());
            self.order.push(accept.id);
            work.spawn(async move { drop(queue.accept(accept, Actor::System).await) });
        }
        let (own, others) = std::mem::take(&mut self.hands).into_iter().partition(|hand| hand.node == node);
        self.hands = others;
        let own: Vec<Hand> = own;
        for Hand { job, claim, .. } in own {
            if self.holder.get(&job.id) == Some(&claim) {
                self.holder.remove(&job.id);
                // Whether this attempt counts is not known until the end.
                self.settled.remove(&job.id);
            }
            let queue = self.house.nodes[node].queue.clone();
            let outcome = Outcome { progress: Progress::Later, evidence: None, seen: None };
            work.spawn(async move { drop(queue.settle(job, outcome).await) });
        }
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        work.abort_all();
        while work.join_next().await.is_some() {}
        drop(work);
        self.crash(node).await;
    }

    /// Lets everything come to its end, and reads the log.
    async fn end(mut self) -> Result<(), Fault> {
        self.hands.clear();
        for _ in 0..200 {
            let counts = self.house.nodes[0].queue.counts().await?;
            if (counts.queued, counts.held) == (0, 0) {
                let story = log::read(&self.house).await;
                self.house.close().await;
                return story.check(&self.accepted, &self.perhaps).map_err(Fault);
            }
            self.house.clock.advance(config().hold_expire);
            for node in 0..self.house.nodes.len() {
                let queue = self.house.nodes[node].queue.clone();
                // What is over is ended by whoever asks for what is due.
                drop(tokio::time::timeout(MOMENT * 4, queue.claim(100)).await);
            }
        }
        Err(Fault("something never comes to its end".to_owned()))
    }
}

/// Plays a story to its end; gives the fault, and how many steps it took.
async fn play(url: &str, nodes: usize, story: &[Step]) -> Option<(usize, String)> {
    let mut play = Play::new(url, nodes).await;
    for (at, step) in story.iter().enumerate() {
        if let Err(fault) = play.step(*step).await {
            return Some((at + 1, fault.0));
        }
    }
    play.end().await.err().map(|fault| (story.len(), fault.0))
}

/// Leaves steps out, as long as something still goes wrong.
async fn shorten(url: &str, nodes: usize, mut story: Vec<Step>) -> Vec<Step> {
    let mut length = story.len() / 2;
    while length > 0 {
        let mut at = 0;
        while at < story.len() {
            let shorter = [&story[..at], &story[(at + length).min(story.len())..]].concat();
            match play(url, nodes, &shorter).await {
                Some((steps, _)) => story = shorter[..steps].to_vec(),
                None => at += length,
            }
        }
        length /= 2;
    }
    story
}

async fn check(url: &str, nodes: usize, seed: u64) {
    let mut dice = Dice(seed);
    let story: Vec<Step> = (0..STEPS).map(|_| dice.step()).collect();
    if let Some((steps, fault)) = play(url, nodes, &story).await {
        let short = shorten(url, nodes, story[..steps].to_vec()).await;
        let told: Vec<String> = short.iter().map(|step| format!("  {step:?}")).collect();
        panic!("seed {seed:#x}, step {steps}: {fault}\nshortened to {} steps:\n{}", short.len(), told.join("\n"));
    }
}

/// So many stories; more with `SEALPOST_STORIES=n`.
fn seeds(few: u64) -> impl Iterator<Item = u64> {
    let count = std::env::var("SEALPOST_STORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(few);
    (1..=count).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_nobody_is_lost_or_counted_twice_whatever_happens_in_whichever_order() {
    for seed in seeds(12) {
        check("sqlite", 1, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_two_nodes_lose_nobody_and_settle_nothing_twice() {
    let cluster = Cluster::start();
    for seed in seeds(6) {
        check(&cluster.url, 2, seed).await;
    }
}
