//! The power is cut at every point of a recorded run: the store opens from what the disk holds, and has what was answered 250.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealpost::audit::{self, Show, SignedHead};
use sealpost::clock::{Clock, SystemClock};
use sealpost::daemon::{open_store, read_config};
use sealpost::mail::MessageId;
use sealpost::queue::Queue;
use sealpost::store::Store;

use crate::disk::{Disk, Image, Loss, STRACE_CALLS, STRACE_STRING, Step, lay_out, read_steps};
use crate::kept::{Relay, letter, strace_usable};
use crate::world::behaviour::Behaviour;
use crate::world::{Result, until};

/// Points that are cut at between the flushes, spread evenly; each flush is always cut before and behind.
const CUTS_BETWEEN: usize = 40;
const SOON: Duration = Duration::from_secs(20);
const MANY: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_power_is_cut_at_every_point_and_nothing_kept_is_lost() {
    if !strace_usable() {
        return;
    }
    let mut relay = Relay::init("127.31.3.1", Behaviour::default(), "").await.unwrap();
    let steps = record(&mut relay).await.unwrap();
    let cuts = cuts(&steps);
    let (mut tried, mut messages) = (0, 0);
    let began = Instant::now();
    let mut disk = Disk::default();
    let mut kept = BTreeSet::new();
    let mut last: Option<Image> = None;
    for (number, step) in steps.iter().enumerate() {
        if cuts.contains(&number) {
            for loss in Loss::ALL {
                let image = disk.cut(loss);
                // What is as the one before says nothing new.
                if last.as_ref() == Some(&image) {
                    continue;
                }
                let survived = survive(&relay, (&image, &kept)).await;
                assert!(survived.is_ok(), "cut before step {number} of {}, {loss:?} lost: {survived:?}", steps.len());
                last = Some(image);
                tried += 1;
            }
        }
        if let Step::Log(text) = step {
            kept.extend(queued(text));
            last = None;
            messages = messages.max(kept.len());
        }
        disk.apply(step);
    }
    println!(
        "{} steps, {} cuts, {tried} different disks opened in {} s, with up to {messages} messages that must be there",
        steps.len(),
        cuts.len(),
        began.elapsed().as_secs()
    );
    assert!(messages >= 5, "only {messages} messages were accepted in the recording");
    assert!(tried > 100, "only {tried} disks were tried");
}

/// A daemon from its first start to its last word, under strace.
async fn record(relay: &mut Relay) -> Result<Vec<Step>> {
    let trace = relay.daemon.folder.join("strace.log");
    relay.daemon.through = traced(&trace);
    relay.daemon.start()?;
    let mut client = relay.door().open().await?;
    for (tag, octets) in [("small", 600), ("large", 150_000), ("next", 600)] {
        let replies = client.send(&letter(tag, octets)).await?;
        assert!(replies.accepted(), "{tag}: {}", replies.last().text());
    }
    // Two at once share a commit, or not; both must last.
    let (mut one, mut other) = (relay.door().open().await?, relay.door().open().await?);
    let (first, second) = (letter("one", 90_000), letter("other", 90_000));
    let (first, second) = tokio::join!(one.send(&first), other.send(&second));
    assert!(first?.accepted() && second?.accepted());
    relay.emptied(SOON).await?;
    let process = relay.daemon.pid().ok_or("it does not run")?;
    relay.daemon.stop()?;
    steps_of(relay, (&trace, process)).await
}

/// A command that records, and leaves the child's process id to what it starts.
pub(crate) fn traced(trace: &Path) -> Vec<String> {
    let (size, trace) = (STRACE_STRING.to_string(), trace.display().to_string());
    let words = ["strace", "-D", "-f", "-q", "-xx", "-y", "-s", &size, "-o", &trace, "-e", STRACE_CALLS];
    words.map(str::to_owned).to_vec()
}

/// The whole trace of a process that has ended.
pub(crate) async fn steps_of(relay: &Relay, (trace, process): (&Path, u32)) -> Result<Vec<Step>> {
    // The tracer outlives the daemon for a moment.
    let last = |line: &str| line.trim_start().starts_with(&format!("{process} ")) && line.contains(" +++ ");
    let finished = || std::fs::read_to_string(trace).ok().filter(|text| text.lines().rev().take(9).any(last));
    let text = until("the end of the trace", SOON, finished).await?;
    read_steps(&text, &relay.daemon.folder.join("data"), &relay.daemon.folder.join("daemon.log"))
}

/// The points to cut at: around each flush and each acknowledgement, and some in between.
fn cuts(steps: &[Step]) -> BTreeSet<usize> {
    let mut cuts = BTreeSet::from([steps.len() - 1]);
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Flush(..) | Step::FailedFlush(..) => cuts.extend([number, number + 1]),
            Step::Log(text) if !queued(text).is_empty() => cuts.extend([number, number + 1]),
            Step::Create(_) | Step::MakeFolder(_) | Step::Rename(..) | Step::Remove(_) => cuts.extend([number + 1]),
            Step::Log(_) | Step::Write { .. } | Step::Truncate(..) | Step::FlushBegins(_) => {}
        }
    }
    cuts.extend((0..CUTS_BETWEEN).map(|cut| cut * steps.len() / CUTS_BETWEEN));
    cuts
}

/// The messages that a piece of the log calls queued.
pub(crate) fn queued(log: &str) -> Vec<MessageId> {
    let lines = log.split("queued message ").skip(1);
    lines.filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect()
}

/// Opens the store from an image, and looks for everything that must be there.
pub(crate) async fn survive(relay: &Relay, (image, kept): (&Image, &BTreeSet<MessageId>)) -> Result<()> {
    let home = tempfile::tempdir_in(fast_folder())?;
    let data = home.path().join("data");
    lay_out(image, &relay.daemon.folder.join("data"), &data)?;
    std::fs::set_permissions(home.path(), std::fs::metadata(&relay.daemon.folder)?.permissions())?;
    std::fs::copy(relay.daemon.folder.join("master.key"), home.path().join("master.key"))?;
    std::fs::copy(&relay.daemon.config, home.path().join("sealpost.toml"))?;
    let loaded = read_config(&home.path().join("sealpost.toml"))?;
    let (store, _) = open_store(&loaded.config, Arc::new(SystemClock)).await?;
    let found = async {
        for message in kept {
            is_whole(&store, *message).await.map_err(|error| format!("message {message}: {error}"))?;
        }
        if store.node().0.is_empty() {
            return Err("the node has no name".into());
        }
        let counts = Queue::new(store.clone(), loaded.config.queue.clone()).counts().await?;
        if !counts.are_balanced() {
            return Err(format!("{counts:?}").into());
        }
        chain_verifies(&store).await
    }
    .await;
    store.close().await;
    found
}

/// Where flushing costs nothing: what is tried here has had its power cut already.
fn fast_folder() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

async fn is_whole(store: &Store, message: MessageId) -> Result<()> {
    let jobs = store.jobs(message).await?;
    let [job] = jobs.as_slice() else { return Err(format!("{} jobs", jobs.len()).into()) };
    if store.evidence(message).await?.is_none() || store.events_of(message).await?.is_empty() {
        return Err("without evidence or event".into());
    }
    let wrapped = job.wrapped_key.as_ref().ok_or("without a key")?;
    let key = store.vault().unwrap_body_key(job.epoch, job.id, wrapped)?;
    let body = store.body(message, &key).await?;
    if !body.ends_with(b"telephone.\r\n") { Err("with another body".into()) } else { Ok(()) }
}

async fn chain_verifies(store: &Store) -> Result<()> {
    let rows = store.events(store.node(), 0, MANY).await?;
    let key = store.vault().signing_key();
    let head = store.heads().await?.into_iter().find(|head| &head.node == store.node()).ok_or("no head")?;
    let head = SignedHead::sign(&head, SystemClock.now(), &key);
    let rows = rows.into_iter().map(|entry| (entry, Show::Whole));
    let lines: std::result::Result<Vec<String>, _> = audit::export(&store.vault().public_key(), rows, &head).collect();
    audit::verify(lines?, None)?;
    Ok(())
}
