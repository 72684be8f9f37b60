//! A flush of the log fails once, and the kernel drops what it could not write: what is answered 250 afterwards lasts all the
//! same, whether the daemon runs on or is killed and started again before it writes anything else.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::disk::{Disk, Loss, STRACE_CALLS, STRACE_STRING, Step, read_steps};
use crate::kept::{Relay, Tracer, letter, strace_usable};
use crate::power_cut_anywhere::{queued, steps_of, survive, traced};
use crate::world::Result;
use crate::world::behaviour::{Act, Behaviour, Override, Step as At};

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_failed_harms_nothing_kept_later_by_the_same_process() {
    if strace_usable() {
        let mut relay = quiet_relay("127.31.4.1").await.unwrap();
        let disk = fail_a_flush(&mut relay, After::RunOn).await.unwrap();
        survives(&relay, &disk).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_failed_harms_nothing_kept_after_a_kill_and_a_restart() {
    if strace_usable() {
        let mut relay = quiet_relay("127.31.4.2").await.unwrap();
        let disk = fail_a_flush(&mut relay, After::KillAndStart).await.unwrap();
        survives(&relay, &disk).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    RunOn,
    KillAndStart,
}

/// Its sink never greets, so that nothing but what is accepted is written.
async fn quiet_relay(host: &str) -> Result<Relay> {
    Relay::init(host, Behaviour::but(&[Override::act(At::Banner, Act::Hang)]), "").await
}

/// One letter kept, one refused since its flush failed, one kept behind it; then the disk as it is.
async fn fail_a_flush(relay: &mut Relay, after: After) -> Result<Disk> {
    let data = relay.daemon.folder.join("data");
    relay.daemon.start()?;
    let mut client = relay.door().open().await?;
    assert!(client.send(&letter("before", 600)).await?.accepted());
    let mut disk = Disk::of(&data)?;

    let trace = relay.daemon.folder.join("failing.log");
    let tracer = Tracer::attach(pid(relay)?, &trace, &failing_once()).await?;
    let refused = client.send(&letter("refused", 600)).await?;
    assert_eq!(refused.last().code, 451, "{}", refused.last().text());
    if after == After::KillAndStart {
        relay.daemon.kill()?;
    }
    tracer.detach()?;
    let log = relay.daemon.folder.join("daemon.log");
    let steps = read_steps(&std::fs::read_to_string(&trace)?, &data, &log)?;
    assert!(steps.iter().any(|step| matches!(step, Step::FailedFlush(..))), "no flush failed");
    steps.iter().for_each(|step| disk.apply(step));

    let trace = relay.daemon.folder.join("later.log");
    let steps = match after {
        After::RunOn => {
            let tracer = Tracer::attach(pid(relay)?, &trace, &recording()).await?;
            assert!(client.send(&letter("after", 600)).await?.accepted());
            tracer.detach()?;
            read_steps(&std::fs::read_to_string(&trace)?, &data, &log)?
        }
        After::KillAndStart => {
            // Somebody else has the database open meanwhile: no connection of ours is the last one, whose end would move the
            // log out, and what the failed flush was to write is seen by all.
            let _beside = Beside::open(&data)?;
            relay.daemon.through = traced(&trace);
            relay.daemon.start()?;
            let mut client = relay.door().open().await?;
            assert!(client.send(&letter("after", 600)).await?.accepted());
            let process = pid(relay)?;
            relay.daemon.kill()?;
            steps_of(relay, (&trace, process)).await?
        }
    };
    steps.iter().for_each(|step| disk.apply(step));
    Ok(disk)
}

/// Another program with the database open, that is reading nothing at the moment.
struct Beside(Child);

impl Beside {
    fn open(data: &Path) -> Result<Beside> {
        let script = "import sqlite3, sys\n\
                      database = sqlite3.connect(sys.argv[1])\n\
                      database.execute('select count(*) from node').fetchall()\n\
                      print('open', flush=True)\n\
                      sys.stdin.read()";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(data.join("sealpost.db"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        let beside = Beside(child);
        BufReader::new(out).read_line(&mut said)?;
        if said.trim() == "open" { Ok(beside) } else { Err("the database cannot be opened beside the daemon".into()) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It ends with its input; nobody is left to be told if it does not.
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

fn pid(relay: &Relay) -> Result<u32> {
    relay.daemon.pid().ok_or_else(|| "it does not run".into())
}

fn recording() -> Vec<String> {
    let size = STRACE_STRING.to_string();
    ["-xx", "-y", "-s", &size, "-e", STRACE_CALLS].map(str::to_owned).to_vec()
}

/// Each thread's first flush fails; while nothing is delivered, only the writer's thread flushes.
fn failing_once() -> Vec<String> {
    [recording(), vec!["-e".to_owned(), "inject=fsync,fdatasync:error=EIO:when=1".to_owned()]].concat()
}

async fn survives(relay: &Relay, disk: &Disk) {
    let kept: BTreeSet<_> = queued(&relay.daemon.logs().unwrap()).into_iter().collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for loss in Loss::ALL {
        let survived = survive(relay, (&disk.cut(loss), &kept)).await;
        assert!(survived.is_ok(), "{loss:?} lost: {survived:?}");
    }
}
