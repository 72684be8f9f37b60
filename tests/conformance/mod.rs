//! The conformance suite: reads the cases under tests/dialogs, plays them against a server on real sockets, and says
//! what came of each. tests/dialogs/README.md explains the language of the cases.
//!
//! Nothing here knows what server it speaks with. Nothing waits without a limit.

#![allow(dead_code, unreachable_pub, reason = "two binaries share this folder and each uses a part of it")]

pub mod case;
pub mod inbox;
pub mod line;
pub mod play;
pub mod report;
pub mod sealpost;
pub mod small;
pub mod step;
pub mod target;
pub mod words;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::conformance::case::Case;
use crate::conformance::play::Played;
use crate::conformance::target::Target;
use crate::world::Result;

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// A case with what became of it, and the dialog as it went.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub case: Arc<Case>,
    pub outcome: Outcome,
    pub dialog: Vec<String>,
}

/// Plays all cases, so many at a time, and then looks at what the server has delivered.
pub async fn run(cases: &[Arc<Case>], target: &Arc<Target>, at_once: usize) -> Result<Vec<Verdict>> {
    let places = Arc::new(Semaphore::new(at_once));
    let mut playing = JoinSet::new();
    for (number, case) in cases.iter().enumerate() {
        let (case, target, places) = (Arc::clone(case), Arc::clone(target), Arc::clone(&places));
        playing.spawn(async move {
            let _place = places.acquire_owned().await;
            (number, play::play(case, &target).await)
        });
    }
    let mut played: Vec<(usize, Played)> = Vec::new();
    while let Some(done) = playing.join_next().await {
        played.push(done?);
    }
    played.sort_by_key(|(number, _)| *number);
    let played = played.into_iter().map(|(_, played)| played).collect();
    inbox::settle(played, target).await
}
