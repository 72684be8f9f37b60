//! Sealpost beside Postfix: the same load, the same demands, the same machine, one after the other.
//!
//! The source and the sink are processes of their own (this binary with a subcommand), so that the relay's CPU and
//! memory are measured apart, in a control group. Cells are repeated in turn, and the table shows medians.

#![allow(unreachable_pub, reason = "a program exports nothing")]

#[path = "../world/mod.rs"]
mod world;

mod cell;
mod meter;
mod relays;
mod sink;
mod source;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::relays::{Place, Relay};
use crate::world::authority::{Authority, Kind};
use crate::world::daemon::{binary, free_address};
use crate::world::{Result, mx};

/// The header by which the sink knows a message.
const TAG: &str = mx::TAG;

#[derive(Parser, Debug)]
#[command(about = "Measures Sealpost beside Postfix")]
struct Arguments {
    /// Only 4 KiB messages from 100 sessions.
    #[arg(long)]
    quick: bool,
    /// Writes docs/reference/benchmarks.md.
    #[arg(long)]
    write: bool,
    #[arg(long, value_delimiter = ',', default_values_t = [4, 50, 1024])]
    kibibytes: Vec<usize>,
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
    sessions: Vec<u64>,
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Relay::Direct, Relay::Postfix, Relay::Sealpost])]
    relays: Vec<Relay>,
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// How long a cell should take, about.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand, Debug)]
enum Part {
    #[command(hide = true)]
    Source(source::Order),
    #[command(hide = true)]
    Sink(sink::Order),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.part {
        Some(Part::Source(order)) => source::run(order).await.map(|()| ExitCode::SUCCESS),
        Some(Part::Sink(order)) => sink::run(order).await.map(|()| ExitCode::SUCCESS),
        None => grid(arguments).await,
    }
}

async fn grid(mut arguments: Arguments) -> Result<ExitCode> {
    if arguments.quick {
        (arguments.kibibytes, arguments.sessions) = (vec![4], vec![100]);
    }
    let folder = tempfile::Builder::new().prefix("sealpost-bench-").tempdir()?;
    // Postfix's processes run as their own user and have to pass through.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let authority = Authority::new("Sealpost benchmark CA")?;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem)?;
    let (chain, key) = authority.issue("sink.example", Kind::Valid)?.write(folder.path(), "sink")?;
    let address = free_address()?;
    let sealpost = if arguments.relays.contains(&Relay::Sealpost) { binary()? } else { PathBuf::new() };
    let place = Place { folder: folder.path().to_owned(), sink: address, ca, authority, sealpost };
    let mut sink = cell::Sink::start(sink::Order { address, chain, key }).await?;

    let mut rows = Vec::new();
    let cells: Vec<(usize, u64)> =
        arguments.kibibytes.iter().flat_map(|&size| arguments.sessions.iter().map(move |&n| (size, n))).collect();
    println!("{}", meter::machine());
    for repeat in 1..=arguments.repeat {
        for &(kibibytes, sessions) in &cells {
            // What the harness reaches alone does not depend on anybody: once is enough.
            for &relay in arguments.relays.iter().filter(|relay| repeat == 1 || **relay != Relay::Direct) {
                let cell = cell::Cell { relay, kibibytes, sessions, repeat, seconds: arguments.seconds };
                let row = cell::measure(&cell, &place, &mut sink).await?;
                println!("{}", row.line());
                rows.push(row);
            }
        }
    }
    sink.stop().await?;
    let report = table::report(&rows);
    println!("\n{report}");
    if arguments.write {
        let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reference/benchmarks.md");
        std::fs::create_dir_all(page.parent().ok_or("no folder for the page")?)?;
        std::fs::write(&page, table::page(&report, folder.path(), (arguments.repeat, arguments.seconds)))?;
        println!("written to {}", page.display());
    }
    Ok(if rows.iter().all(cell::Row::is_sound) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
