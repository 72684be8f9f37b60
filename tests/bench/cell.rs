//! One measurement: a fresh relay, a warm-up that also sizes the run, the run, and the wait for the last message.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::time::{sleep, timeout};

use crate::meter::{Disk, Group, machine_cpu, own_cpu};
use crate::relays::{LOGIN, PASSWORD, Place, Relay, Running};
use crate::sink::Counted;
use crate::source::Sent;
use crate::world::daemon::ended;
use crate::world::{Result, STEP};
use crate::{sink, source};

const MAX_COUNT: u64 = 60_000;
const MAX_BYTES: u64 = 768 * 1024 * 1024;
const MAX_WARM_BYTES: u64 = 128 * 1024 * 1024;
/// The longest that a source may take.
const RUN: Duration = Duration::from_secs(300);
/// How long nothing may arrive before what is missing counts as lost.
const QUIET: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub relay: Relay,
    pub kibibytes: usize,
    pub sessions: u64,
    pub repeat: usize,
    pub seconds: u64,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Row {
    pub cell: Cell,
    pub accepted: u64,
    pub unique: u64,
    pub duplicates: u64,
    pub clear: u64,
    /// Connections that the relay made to the sink.
    pub connections: u64,
    pub accept_rate: f64,
    pub deliver_rate: f64,
    pub cpu_per_thousand: f64,
    pub peak_mebibytes: f64,
    pub flushes_per_message: f64,
    pub harness_cpu_per_thousand: f64,
    /// Cores that other processes took meanwhile.
    pub others: f64,
    pub faults: u64,
    pub last_fault: String,
}

impl Row {
    pub fn lost(&self) -> u64 {
        self.accepted.saturating_sub(self.unique)
    }

    /// Whether everything accepted has arrived, and under TLS.
    pub fn is_sound(&self) -> bool {
        self.lost() == 0 && self.clear == 0 && self.accepted > 0
    }

    pub fn line(&self) -> String {
        let Cell { relay, kibibytes, sessions, repeat, .. } = self.cell;
        format!(
            "{:9} {kibibytes:>5} KiB {sessions:>4} sessions run {repeat}: {:>6} accepted {:>7.0}/s, delivered {:>7.0}/s, CPU {:.2} s per 1000, \
             {:.0} MiB, {:.2} flushes, {} connections out, lost {}, duplicates {}, others {:.1} cores, faults {} {}",
            relay.name(),
            self.accepted,
            self.accept_rate,
            self.deliver_rate,
            self.cpu_per_thousand,
            self.peak_mebibytes,
            self.flushes_per_message,
            self.connections,
            self.lost(),
            self.duplicates,
            self.others,
            self.faults,
            self.last_fault,
        )
    }
}

/// The sink's process.
#[derive(Debug)]
pub struct Sink {
    process: Process,
    orders: pipe::Sender,
}

impl Sink {
    pub async fn start(order: sink::Order) -> Result<Sink> {
        let arguments = [
            "sink".to_owned(),
            format!("--address={}", order.address),
            format!("--chain={}", order.chain.display()),
            format!("--key={}", order.key.display()),
        ];
        let mut process = Process::start(&arguments)?;
        let stdin = process.child.stdin.take().ok_or("the sink has no input")?;
        let orders = pipe::Sender::from_owned_fd(stdin.into())?;
        process.line(STEP).await?;
        Ok(Sink { process, orders })
    }

    async fn ask(&mut self, order: &str) -> Result<Counted> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        Ok(serde_json::from_str(&self.process.line(STEP).await?)?)
    }

    /// Waits until this many came, or nothing came for a while; says when the last one did.
    async fn wait_for(&mut self, count: u64) -> Result<(Counted, Instant)> {
        loop {
            let counted = self.ask("stats").await?;
            let since = Duration::from_secs_f64(counted.since_last_seconds);
            if counted.unique >= count || since > QUIET {
                let now = Instant::now();
                return Ok((counted, now.checked_sub(since).unwrap_or(now)));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn stop(mut self) -> Result<()> {
        self.orders.shutdown().await?;
        drop(self.orders);
        ended(&mut self.process.child, STEP)?;
        Ok(())
    }
}

/// This binary, started again for a part of the work; killed when dropped.
#[derive(Debug)]
struct Process {
    child: std::process::Child,
    lines: Lines<BufReader<pipe::Receiver>>,
}

impl Process {
    fn start(arguments: &[String]) -> Result<Process> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("a child without an output")?;
        let lines = BufReader::new(pipe::Receiver::from_owned_fd(stdout.into())?).lines();
        Ok(Process { child, lines })
    }

    async fn line(&mut self, limit: Duration) -> Result<String> {
        let line = timeout(limit, self.lines.next_line()).await??;
        line.ok_or_else(|| "a part of the benchmark ended early".into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub async fn measure(cell: &Cell, place: &Place, sink: &mut Sink) -> Result<Row> {
    let relay = Running::start(cell.relay, place).await?;
    let size = cell.kibibytes as u64 * 1024;
    // A whole connection's worth per session, or the handshakes would be mistaken for the pace.
    let warm_count = (cell.sessions * 20).max(200).min(MAX_WARM_BYTES / size).max(cell.sessions);
    let warm = load(cell, &relay, (sink, "warm", warm_count)).await?;
    let rate = warm.counted.unique as f64 / (warm.last - warm.start).as_secs_f64().max(0.05);
    let bound = MAX_COUNT.min(MAX_BYTES / size);
    let count = ((rate * cell.seconds as f64) as u64).clamp((cell.sessions * 3).max(40), bound);

    let disk = Disk::of(&place.folder)?;
    let before = Costs::read(&relay, disk, &warm)?;
    let run = load(cell, &relay, (sink, "run", count)).await?;
    let after = Costs::read(&relay, disk, &run)?;
    relay.stop().await?;
    let accepted = run.sent.accepted;
    let per = |value: f64| value / accepted.max(1) as f64;
    let harness = run.sent.cpu_seconds + after.sink - before.sink;
    let relay_cpu = after.relay - before.relay;
    let strangers = after.machine - before.machine - relay_cpu - harness - (after.own - before.own);
    Ok(Row {
        cell: *cell,
        accepted,
        unique: run.counted.unique,
        duplicates: run.counted.duplicates,
        clear: run.counted.clear,
        connections: run.counted.connections,
        accept_rate: accepted as f64 / run.sent.seconds.max(1e-6),
        deliver_rate: run.counted.unique as f64 / (run.last - run.start).as_secs_f64().max(1e-6),
        cpu_per_thousand: per(relay_cpu) * 1000.0,
        peak_mebibytes: run.peak,
        flushes_per_message: per(after.flushes - before.flushes),
        harness_cpu_per_thousand: per(harness) * 1000.0,
        others: (strangers / (after.at - before.at).as_secs_f64()).max(0.0),
        faults: run.sent.temporary + run.sent.permanent + run.sent.broken,
        last_fault: run.sent.last_fault,
    })
}

/// Counters at one moment.
struct Costs {
    relay: f64,
    sink: f64,
    own: f64,
    machine: f64,
    flushes: f64,
    at: Instant,
}

impl Costs {
    fn read(relay: &Running, disk: Disk, load: &Load) -> Result<Costs> {
        Ok(Costs {
            relay: relay.group.as_ref().map_or(Ok(0.0), Group::cpu_seconds)?,
            sink: load.counted.cpu_seconds,
            own: own_cpu()?,
            machine: machine_cpu()?,
            flushes: disk.flushes()? as f64,
            at: Instant::now(),
        })
    }
}

struct Load {
    sent: Sent,
    counted: Counted,
    start: Instant,
    last: Instant,
    peak: f64,
}

async fn load(cell: &Cell, relay: &Running, (sink, run, count): (&mut Sink, &str, u64)) -> Result<Load> {
    let run = format!("{run}{}", cell.repeat);
    sink.ask(&format!("reset {run} {count}")).await?;
    let order = source::Order {
        address: relay.address,
        run,
        count,
        sessions: cell.sessions,
        size: cell.kibibytes * 1024,
        login: LOGIN.to_owned(),
        password: PASSWORD.to_owned(),
    };
    let mut source = Process::start(&order.arguments())?;
    source.line(STEP).await?;
    let start = Instant::now();
    let mut peak: f64 = 0.0;
    let report = async {
        let line = source.line(RUN).await?;
        let sent: Sent = serde_json::from_str(&line)?;
        let (counted, last) = sink.wait_for(sent.accepted).await?;
        Result::Ok((sent, counted, last))
    };
    let sample = async {
        loop {
            let memory = relay.group.as_ref().map(Group::memory_mebibytes);
            peak = peak.max(memory.and_then(Result::ok).unwrap_or_default());
            sleep(Duration::from_millis(100)).await;
        }
    };
    let (sent, counted, last) = tokio::select! {
        report = report => report?,
        () = sample => return Err("the sampling of memory ended".into()),
    };
    Ok(Load { sent, counted, start, last, peak })
}
