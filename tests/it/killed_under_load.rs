//! The daemon is killed thirty times at random moments under load: what was answered 250 arrives, and little arrives twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use crate::kept::{Chance, Door, Relay, Told, letter};
use crate::world::behaviour::Behaviour;

const KILLS: usize = 30;
const SESSIONS: u64 = 6;
/// The longest that a daemon may live under load.
const LIFE: u64 = 700;
/// Every so many letters one is too large for a row.
const LARGE_EVERY: u64 = 5;
/// Octets in one chunk of a letter that comes by BDAT.
const CHUNK: usize = 30_000;
const DRAINED: Duration = Duration::from_secs(60);
/// Another start of the random numbers: `SEED=… cargo test --test it killed_under_load`.
const SEED: &str = "SEED";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_250_survives_thirty_kills() {
    let seed = seed();
    println!("{SEED}={seed}");
    let overlay = "[delivery]\nconnections_per_destination = 4\n";
    let mut relay = Relay::init("127.31.1.1", Behaviour::chunking(), overlay).await.unwrap();
    let mut chance = Chance::new(seed);
    let (mut told, mut open_at_kills, mut rows) = (Told::default(), 0, 0);
    let began = Instant::now();
    for life in 0..KILLS {
        rows = restart(&mut relay, rows);
        let mut sessions = JoinSet::new();
        for session in 0..SESSIONS {
            let chance = Chance::new(chance.below(u64::MAX));
            sessions.spawn(submit(relay.door(), format!("{life}-{session}"), chance));
        }
        tokio::time::sleep(Duration::from_millis(chance.below(LIFE))).await;
        let open = relay.sink.memory().open;
        relay.daemon.kill().unwrap();
        open_at_kills += open;
        for heard in sessions.join_all().await {
            told.join(heard);
        }
    }
    restart(&mut relay, rows);
    let counts = relay.emptied(DRAINED).await.unwrap();
    assert!(counts.balanced, "{counts:?}");
    relay.verified_rows().unwrap();

    let copies = copies(&relay);
    let missing: Vec<&String> = told.kept.iter().filter(|tag| !copies.contains_key(*tag)).collect();
    let twice: usize = copies.values().map(|count| count - 1).sum();
    let unheard = told.unheard.iter().filter(|tag| copies.contains_key(*tag)).count();
    println!(
        "{KILLS} kills in {} s: {} letters answered 250, {} missing; {} offered without an answer, {unheard} of them kept; \
         {twice} duplicates, {open_at_kills} connections to the sink open at the kills",
        began.elapsed().as_secs(),
        told.kept.len(),
        missing.len(),
        told.unheard.len(),
    );
    assert!(missing.is_empty(), "answered 250 and lost (seed {seed}): {missing:?}");
    assert!(told.kept.len() > 5 * KILLS, "no load to speak of: {}", told.kept.len());
    assert!(told.later.is_empty(), "a sound store answered 4xx (seed {seed}): {:?}", told.later);
    assert!(twice <= open_at_kills, "{twice} duplicates, {open_at_kills} connections were open (seed {seed})");
    let strangers = copies.keys().filter(|tag| !told.kept.contains(*tag) && !told.unheard.contains(*tag)).count();
    assert_eq!(strangers, 0, "letters that nobody submitted");
    let accepted = i64::try_from(copies.len()).unwrap();
    assert_eq!(counts.accepted, accepted, "the store counts other letters than the sink has");
}

fn seed() -> u64 {
    let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    #[expect(clippy::disallowed_methods, reason = "a seed that differs from run to run")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    given.unwrap_or(now)
}

/// Starts, and checks that the chain is whole and no shorter than before, and that the counts balance.
fn restart(relay: &mut Relay, rows_before: i64) -> i64 {
    relay.daemon.start().unwrap();
    let rows = relay.verified_rows().unwrap();
    assert!(rows > rows_before, "the chain had {rows_before} rows and has {rows}");
    let counts = relay.counts().unwrap();
    assert!(counts.balanced, "{counts:?}");
    rows
}

/// Submits letter after letter until the connection is gone.
async fn submit(door: Door, name: String, mut chance: Chance) -> Told {
    let mut told = Told::default();
    let Ok(mut client) = door.open().await else { return told };
    for number in 0.. {
        let tag = format!("{name}-{number}");
        let octets = if chance.below(LARGE_EVERY) == 0 { 100_000 } else { 600 };
        let letter = letter(&tag, octets);
        // Every other one in chunks: their 250 keeps as much.
        let sent =
            if number % 2 == 0 { client.send(&letter).await } else { client.send_in_chunks(&letter, CHUNK).await };
        match sent {
            Ok(replies) if replies.accepted() => told.kept.insert(tag),
            Ok(_) => told.later.insert(tag),
            Err(_) => {
                told.unheard.insert(tag);
                return told;
            }
        };
    }
    told
}

/// How often each letter came.
fn copies(relay: &Relay) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for tag in relay.sink.deliveries().into_iter().filter_map(|delivery| delivery.tag) {
        *copies.entry(tag).or_default() += 1;
    }
    copies
}
