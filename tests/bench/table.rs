//! The results as Markdown: medians per cell, and ours over Postfix's.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::cell::Row;
use crate::meter::machine;
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
pub fn page(report: &str) -> String {
    format!(
        "# Benchmarks

Made by `cargo bench --bench relay -- --write` on: {}.

Each message goes in over STARTTLS with AUTH, 20 per connection, one reply at a time, to one recipient, and out over
TLS with a verified certificate to one next hop, up to 20 connections. Both relays flush to disk before their 250.
Postfix runs tuned for this load: `in_flow_delay = 0`, 300 processes, 20 connections per destination, and
`smtp_tls_connection_reuse`. Source and sink share the machine with the relay; their CPU is measured apart, and the
rows \"no relay\" show what the harness reaches alone. Cells are run in turn, each relay freshly started, and the
medians are shown; lost and duplicates are sums, peak memory is the highest. Flushes are those of the whole disk.

{report}",
        machine()
    )
}

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
