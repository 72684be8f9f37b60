//! The results as Markdown: medians per cell, and ours over Postfix's.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use sealpost::clock::{Clock, SystemClock};

use crate::cell::Row;
use crate::meter::{file_system, first_line, machine};
use crate::relays::Relay;

/// What the project holds itself to, at 4 KiB and 100 sessions.
const FLOOR: (usize, u64) = (4, 100);
const FLOOR_DELIVERED: f64 = 4.0;
const FLOOR_CPU: f64 = 1.2;

const HEAD: &str = "| size | sessions | relay | accepted/s | delivered/s | CPU s/1,000 | peak MiB | flushes/message | lost | duplicates | harness CPU s/1,000 | others' cores |
|---|---|---|---|---|---|---|---|---|---|---|---|
";
const RATIO_HEAD: &str = "| size | sessions | accepted | delivered | CPU | memory | flushes |
|---|---|---|---|---|---|---|
";

/// Both tables and the floor's verdict.
pub fn report(rows: &[Row]) -> String {
    let cells: BTreeSet<(usize, u64)> = rows.iter().map(|row| (row.cell.kibibytes, row.cell.sessions)).collect();
    let mut measured = String::from(HEAD);
    let mut ratios = String::from(RATIO_HEAD);
    let mut verdict = String::new();
    for cell in cells {
        let of = |relay| rows.iter().filter(|row| key(row) == (cell, relay)).collect::<Vec<_>>();
        for relay in [Relay::Sealpost, Relay::Postfix, Relay::Direct] {
            let runs = of(relay);
            if !runs.is_empty() {
                measured.push_str(&measured_line(cell, relay, &runs));
            }
        }
        let (ours, theirs) = (of(Relay::Sealpost), of(Relay::Postfix));
        if !ours.is_empty() && !theirs.is_empty() {
            ratios.push_str(&ratio_line(cell, &ours, &theirs));
            if cell == FLOOR {
                verdict = floor(&ours, &theirs);
            }
        }
    }
    if verdict.is_empty() {
        return measured;
    }
    format!("{measured}\nSealpost over Postfix (for CPU, memory and flushes less is better):\n\n{ratios}\n{verdict}")
}

/// The whole page.
pub fn page(report: &str, folder: &Path, (repeat, seconds): (usize, u64)) -> String {
    let today = SystemClock.now().rfc3339();
    let commit = first_line("git", &["rev-parse", "--short", "HEAD"]);
    let ours = format!("Sealpost {} (commit {commit}), {}", env!("CARGO_PKG_VERSION"), first_line("rustc", &["-V"]));
    format!(
        "# Benchmarks

Written by `make bench WRITE=1`, which measures Sealpost and Postfix in one run; see [below](#how-to-repeat-it).

- Date: {date}
- Machine: {machine}
- Disk: {disk}
- Relays: {ours}; Postfix {postfix}
- Runs: {repeat} of about {seconds} s for each relay in each cell, in turn, each relay freshly started; the tables show
  medians. Lost and duplicates are sums, peak memory is the highest.

{report}
{ABOUT}",
        date = today.get(..10).unwrap_or(&today),
        machine = machine(),
        disk = file_system(folder),
        postfix = first_line("postconf", &["-h", "mail_version"]),
    )
}

/// What the figures mean, and what they do not.
const ABOUT: &str = "\
## What is measured

Each message goes in over STARTTLS with AUTH, to one recipient, 20 messages per connection, with a full handshake for
each connection and one command at a time. It goes out over TLS to one next hop, whose certificate is checked against
a CA file and its name, over up to 20 connections that are used again. The body is plain text with the
word lengths and capitals of prose, from a fixed sequence.

- *Accepted*: messages answered 250, over the time from the first connection to the last 250.
- *Delivered*: different messages at the sink, over the time from the first connection to the last of them.
- *CPU*, *peak*: of the relay alone, all its processes, from a control group; peak is anonymous memory, without the
  page cache.
- *Flushes*: cache flushes of the whole disk per accepted message. A relay that keeps its 250 cannot show 0; less than 1
  means that messages share a flush.
- *Lost*, *duplicates*: by a number that each message carries.
- *Harness CPU*: what source and sink took. They share the machine with the relay, so the rates are those of a machine
  that also plays both ends; \"no relay\" shows what they reach alone.
- *Others' cores*: what unrelated processes took. Cells between which it differs do not compare.

## What durable means here

Both relays flush to disk before their 250. Postfix writes a queue file for each message and flushes it. Sealpost commits
message, decisions, evidence and audit event to SQLite in WAL mode with `synchronous=FULL`, many messages in one commit;
bodies from 64 KiB on lie in files, flushed with their folder before the commit. Bodies and evidence are sealed with
AES-256-GCM, each attempt is recorded and chained as well, and every message is read and classified: work that Postfix
does not have. Sealpost's end of an attempt may wait up to 4 ms to share the flush of a message that comes in; a power cut
in that time delivers once more.

## Settings

- Sealpost: as `sealpost init` makes it, with one client and one route (`tls = \"valid\"`, `ca_file`, `onward = \"final\"`);
  400 connections; 20 connections to the destination, which is the default; the log at `info` to a file. What is delivered
  is erased every 5 s instead of every minute, so that erasing falls into the runs and is counted.
- Postfix, as an experienced hand would set it up for this load: `in_flow_delay = 0`, 300 processes, 20 connections to the
  destination, `smtp_connection_cache_destinations`, `smtp_tls_connection_reuse`, `smtp_tls_security_level = secure`, no
  DNS, logging by `postlogd` to a file. All of it is in `tests/bench/relays.rs`.

## What it does not show

One next hop that answers at once, one recipient per message, a short run on an empty queue: no slow partners, no backlog, no
DNS. Plain text is the dearest thing to classify, so real mail of 1 MiB, mostly attachments, costs less than this. Other
relays can be faster by flushing later than their 250; they were left out because that is another promise.

## How to repeat it

```sh
make bench            # prints the tables; needs root for control groups and Postfix, and a quiet machine
make bench QUICK=1    # 4 KiB and 100 sessions only
make bench WRITE=1    # writes this page
```

The run ends in failure when a message was lost, came in clear, or none was accepted.
";

fn key(row: &Row) -> ((usize, u64), Relay) {
    ((row.cell.kibibytes, row.cell.sessions), row.cell.relay)
}

fn median(runs: &[&Row], value: impl Fn(&Row) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(|row| value(row)).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

fn measured_line((kibibytes, sessions): (usize, u64), relay: Relay, runs: &[&Row]) -> String {
    let mut line = format!("| {kibibytes} KiB | {sessions} | {} ", relay.name());
    let peak = runs.iter().map(|row| row.peak_mebibytes).fold(0.0, f64::max);
    let lost: u64 = runs.iter().map(|row| row.lost()).sum();
    let duplicates: u64 = runs.iter().map(|row| row.duplicates).sum();
    writeln!(
        line,
        "| {:.0} | {:.0} | {:.2} | {peak:.0} | {:.2} | {lost} | {duplicates} | {:.2} | {:.1} |",
        median(runs, |row| row.accept_rate),
        median(runs, |row| row.deliver_rate),
        median(runs, |row| row.cpu_per_thousand),
        median(runs, |row| row.flushes_per_message),
        median(runs, |row| row.harness_cpu_per_thousand),
        median(runs, |row| row.others),
    )
    .ok();
    line
}

fn ratio_line((kibibytes, sessions): (usize, u64), ours: &[&Row], theirs: &[&Row]) -> String {
    let ratio = |value: fn(&Row) -> f64| {
        let (ours, theirs) = (median(ours, value), median(theirs, value));
        if theirs > 0.0 { format!("{:.2}", ours / theirs) } else { "-".to_owned() }
    };
    format!(
        "| {kibibytes} KiB | {sessions} | {} | {} | {} | {} | {} |\n",
        ratio(|row| row.accept_rate),
        ratio(|row| row.deliver_rate),
        ratio(|row| row.cpu_per_thousand),
        ratio(|row| row.peak_mebibytes),
        ratio(|row| row.flushes_per_message),
    )
}

fn floor(ours: &[&Row], theirs: &[&Row]) -> String {
    let delivered = median(ours, |row| row.deliver_rate) / median(theirs, |row| row.deliver_rate);
    let cpu = median(ours, |row| row.cpu_per_thousand);
    let least = ours.iter().map(|row| row.flushes_per_message).fold(f64::INFINITY, f64::min);
    let word = |met| if met { "met" } else { "NOT met" };
    format!(
        "Floor at {} KiB and {} sessions: delivered {delivered:.2} times Postfix (at least {FLOOR_DELIVERED}): {}; \
         CPU {cpu:.2} s per 1,000 (at most {FLOOR_CPU}): {}; flushes per message {least:.3} (never 0): {}.\n",
        FLOOR.0,
        FLOOR.1,
        word(delivered >= FLOOR_DELIVERED),
        word(cpu <= FLOOR_CPU),
        word(least > 0.0),
    )
}
