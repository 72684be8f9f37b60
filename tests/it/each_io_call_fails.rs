//! Each I/O call that accepting a message makes fails, one by one, with EIO and with ENOSPC: the client is told 250 or 4xx, the
//! daemon lives, takes the next message, and in the end exactly what was answered 250 is delivered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::kept::{Door, Relay, Told, Tracer, letter, strace_usable};
use crate::world::behaviour::{Act, Behaviour, Override, Step};
use crate::world::client::Client;
use crate::world::{Result, until};

const SMALL: usize = 600;
/// Large enough for a file of its own.
const LARGE: usize = 100_000;
/// Every call fails once with EIO. With ENOSPC, of calls of one kind on one file, the first, the last and a few between.
const OF_ONE_KIND: usize = 6;
/// Offers of a message after a fault until it must be taken.
const TRIES: usize = 3;
const SOON: Duration = Duration::from_secs(20);
const CALLS: &str = "trace=openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,rename,mkdir";

/// A call as the recording shows it: its name, what it was made on, and its number among those.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    call: String,
    on: On,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    /// A file or folder whose path stays.
    Fixed(PathBuf),
    /// The file of a body, named for its message.
    Body,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_io_call_of_accepting_fails_and_nothing_is_said_that_is_not_so() {
    if !strace_usable() {
        return;
    }
    let began = Instant::now();
    let mut relay = quiet_relay().await.unwrap();
    relay.daemon.start().unwrap();
    let mut bench = Bench::open(&relay).await.unwrap();
    for octets in [SMALL, LARGE] {
        let calls = bench.record(octets).await.unwrap();
        println!("accepting {octets} octets makes {} I/O calls on the store", calls.values().sum::<usize>());
        for (kind, count) in &calls {
            for number in 1..=*count {
                bench.inject(octets, kind, (&number.to_string(), "EIO")).await.unwrap();
            }
            for number in sample(*count) {
                bench.inject(octets, kind, (&number.to_string(), "ENOSPC")).await.unwrap();
            }
            // And all of them, for as long as it lasts.
            bench.inject(octets, kind, ("1+", "ENOSPC")).await.unwrap();
        }
    }
    for recovering in bench.recovery() {
        bench.inject_recovering(&recovering).await.unwrap();
    }
    let (told, struck) = (bench.told, bench.struck);
    println!("{struck} faults struck in {} s", began.elapsed().as_secs());
    assert!(struck > 100, "only {struck} faults struck");
    assert!(told.unheard.is_empty(), "no answer at all: {:?}", told.unheard);
    assert!(told.later.len() > 100, "hardly a fault was felt: {:?}", told.later);

    // Without faults, and with a partner that answers again, exactly what was answered 250 arrives.
    relay.daemon.stop().unwrap();
    relay.sink.behave(Behaviour::default()).unwrap();
    relay.daemon.start().unwrap();
    relay.verified_rows().unwrap();
    let counts = relay.emptied(SOON).await.unwrap();
    assert!(counts.balanced, "{counts:?}");
    let arrived: Vec<String> = relay.sink.deliveries().into_iter().filter_map(|delivery| delivery.tag).collect();
    let mut sorted = arrived.clone();
    sorted.sort();
    assert_eq!(sorted, told.kept.into_iter().collect::<Vec<_>>());
}

/// Its partner never greets, so that the store writes for accepting and for nothing else.
async fn quiet_relay() -> Result<Relay> {
    Relay::init("127.31.5.1", Behaviour::but(&[Override::act(Step::Banner, Act::Hang)]), "").await
}

/// The first, the last, and some between.
fn sample(count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..OF_ONE_KIND).map(|part| 1 + part * (count - 1) / (OF_ONE_KIND - 1)).collect();
    numbers.dedup();
    numbers
}

/// Where faults are tried: a session, the daemon's process, and what was said.
struct Bench {
    door: Door,
    client: Client,
    process: u32,
    folder: PathBuf,
    data: PathBuf,
    told: Told,
    offered: usize,
    struck: usize,
}

impl Bench {
    async fn open(relay: &Relay) -> Result<Bench> {
        let folder = relay.daemon.folder.clone();
        let mut bench = Bench {
            door: relay.door(),
            client: relay.door().open().await?,
            process: relay.daemon.pid().ok_or("it does not run")?,
            data: folder.join("data"),
            folder,
            told: Told::default(),
            offered: 0,
            struck: 0,
        };
        // What a first message alone does, such as opening files, is behind us then.
        for octets in [SMALL, LARGE] {
            assert_eq!(bench.offer(octets).await?, 250);
        }
        Ok(bench)
    }

    /// Submits a letter of its own and gives the code of the answer, which is 250 or 4xx.
    async fn offer(&mut self, octets: usize) -> Result<u16> {
        self.offered += 1;
        let tag = format!("fault-{:04}", self.offered);
        let Ok(replies) = self.client.send(&letter(&tag, octets)).await else {
            self.told.unheard.insert(tag);
            self.client = self.door.open().await?;
            return Ok(0);
        };
        let reply = replies.last().clone();
        match reply.code {
            250 => self.told.kept.insert(tag),
            400..=499 => self.told.later.insert(tag),
            _ => return Err(format!("{tag} was answered {}", reply.text()).into()),
        };
        self.client.command("RSET").await?;
        Ok(reply.code)
    }

    /// Which calls accepting one letter makes on the store, and how many of each.
    async fn record(&mut self, octets: usize) -> Result<BTreeMap<Kind, usize>> {
        let trace = self.folder.join("calls.log");
        let arguments = ["-y", "-e", CALLS].map(str::to_owned);
        let tracer = Tracer::attach(self.process, &trace, &arguments).await?;
        assert_eq!(self.offer(octets).await?, 250);
        tracer.detach()?;
        let mut calls = BTreeMap::new();
        for line in std::fs::read_to_string(&trace)?.lines() {
            if let Some(kind) = self.kind(line) {
                *calls.entry(kind).or_default() += 1;
            }
        }
        Ok(calls)
    }

    fn kind(&self, line: &str) -> Option<Kind> {
        let (call, rest) = line.trim_start().split_once(' ')?.1.trim_start().split_once('(')?;
        let data = self.data.to_str()?;
        let path = &rest[rest.find(data)?..];
        let path = Path::new(&path[..path.find(['"', '>'])?]);
        let on = if path.parent()? == self.data.join("bodies") { On::Body } else { On::Fixed(path.to_owned()) };
        Some(Kind { call: call.to_owned(), on })
    }

    /// Makes one call fail while a letter is offered; then, without the fault, one must be taken again.
    async fn inject(&mut self, octets: usize, kind: &Kind, (when, error): (&str, &str)) -> Result<()> {
        let call = &kind.call;
        if call == "write" && kind.on == On::Body {
            // strace cannot tell this write from those to sockets' wakers: the next test makes it fail for real.
            return Ok(());
        }
        let mut arguments = vec!["-e".to_owned(), format!("inject={call}:error={error}:when={when}")];
        let on = match &kind.on {
            On::Fixed(path) => {
                arguments.extend(["-P".to_owned(), path.display().to_string()]);
                path.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
            On::Body => "the body's file".to_owned(),
        };
        arguments.extend(["-e".to_owned(), format!("trace={call}")]);
        let what = format!("{call:10} {when:>3} on {on:16} {error}");
        let (struck, first) = self.strike(octets, &arguments, &what).await?;
        // A restart alone does not show what a power cut would.
        if call == "fsync" && matches!(when, "1" | "1+") && struck > 0 && first == 250 {
            return Err(format!("{what}: answered 250 behind a flush that failed").into());
        }
        Ok(())
    }

    /// What is done about a log that could not be flushed: each call of it fails.
    fn recovery(&self) -> Vec<(String, Vec<String>)> {
        let faults = [
            ("sealpost.db-wal", "ftruncate:error=EIO"),
            ("sealpost.db-wal", "fsync:error=EIO:when=1"),
            ("sealpost.db-wal", "fsync:error=EIO"),
            ("sealpost.db-wal", "pread64:error=EIO"),
            ("sealpost.db", "pwrite64:error=ENOSPC:when=1"),
            ("sealpost.db", "pwrite64:error=EIO"),
            ("sealpost.db", "fsync:error=EIO:when=1"),
            ("sealpost.db", "fsync:error=ENOSPC"),
            ("sealpost.db", "pread64:error=EIO"),
        ];
        let told = |(file, fault): (&str, &str)| {
            let path = self.data.join(file).display().to_string();
            let call = fault.split(':').next().unwrap_or_default();
            let words = ["-P", &path, "-e", &format!("trace={call}"), "-e", &format!("inject={fault}")];
            (format!("behind a failed flush: {fault} on {file}"), words.map(str::to_owned).to_vec())
        };
        faults.into_iter().map(told).collect()
    }

    async fn inject_recovering(&mut self, (what, arguments): &(String, Vec<String>)) -> Result<()> {
        let log = self.data.join("sealpost.db-wal").display().to_string();
        let flush = ["-P", &log, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1"].map(str::to_owned);
        let tracer = Tracer::attach(self.process, &self.folder.join("flush.log"), &flush).await?;
        assert_eq!(self.offer(SMALL).await?, 451);
        tracer.detach()?;
        self.strike(SMALL, arguments, what).await.map(|_| ())
    }

    /// Offers two letters under a fault, and then without it until one is taken. Gives how often the fault struck, and the
    /// first answer under it.
    async fn strike(&mut self, octets: usize, arguments: &[String], what: &str) -> Result<(usize, u16)> {
        let trace = self.folder.join("faults.log");
        let tracer = Tracer::attach(self.process, &trace, arguments).await?;
        let within = [self.offer(octets).await?, self.offer(octets).await?];
        tracer.detach()?;
        let struck = std::fs::read_to_string(&trace)?.matches("(INJECTED)").count();
        self.struck += usize::from(struck > 0);
        let mut behind = Vec::new();
        while behind.last() != Some(&250) && behind.len() < TRIES {
            behind.push(self.offer(octets).await?);
        }
        println!("{octets:>6} octets  {what:64} struck {struck:>3}  answers {within:?}, then {behind:?}");
        if behind.last() != Some(&250) {
            return Err(format!("{what}: nothing is taken although the fault is over: {behind:?}").into());
        }
        Ok((struck, within[0]))
    }
}

/// A daemon whose bodies lie on a disk of its own that is full: large letters are answered 452, and small ones taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_for_bodies_is_answered_452_and_small_letters_are_taken() {
    let mut relay = Relay::init("127.31.5.2", Behaviour::default(), "").await.unwrap();
    let bodies = relay.daemon.folder.join("data/bodies");
    std::fs::create_dir_all(&bodies).unwrap();
    let script = r#"mount -t tmpfs -o size=512k tmpfs "$0" && exec "$@""#;
    let words = ["unshare", "-rm", "sh", "-c", script, bodies.to_str().unwrap()];
    let tried = std::process::Command::new(words[0]).args(&words[1..]).arg("true").output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        println!("SKIPPED: no disk of its own can be mounted here: {tried:?}");
        return;
    }
    relay.daemon.through = words.map(str::to_owned).to_vec();
    relay.daemon.start().unwrap();
    let mut client = relay.door().open().await.unwrap();
    let mut kept = Vec::new();
    let mut full = 0;
    for number in 0..12 {
        let large = number % 2 == 0;
        let tag = format!("full-{number:02}");
        let replies = client.send(&letter(&tag, if large { 150_000 } else { SMALL })).await.unwrap();
        match (large, replies.last().code) {
            (_, 250) => kept.push(tag),
            (true, 452) => full += 1,
            (_, _) => panic!("{tag} was answered {}", replies.last().text()),
        }
    }
    assert!(full > 0 && kept.len() > 6, "{full} were answered 452; kept: {kept:?}");
    let tags = || (relay.sink.memory().tags().len() == kept.len()).then_some(());
    until("what was kept at the sink", SOON, tags).await.unwrap();
    assert!(relay.sink.memory().tags().iter().eq(&kept));
    assert_eq!(relay.sink.memory().duplicates(), 0);
    relay.verified_rows().unwrap();
    assert!(relay.counts().unwrap().balanced);
}
