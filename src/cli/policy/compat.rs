//! `sealpost policy compat`: who still uses marks of other products, so that they can be switched off in time.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::output::{Failed, Format, print_json, print_line, print_text};
use crate::cli::policy::records::{Past, Row};
use crate::cli::reach;
use crate::clock::Timestamp;
use crate::config::Product;
use crate::control::Purpose;
use crate::evidence::record::{Origin, Record};

/// What is typed behind `policy compat`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    past: Past,
}

/// A mark of a product, and the client whose mail carried it.
type Key = (String, String, String);

#[derive(Clone, Copy, Debug)]
struct Use {
    messages: u64,
    last: Timestamp,
}

pub(super) fn run(path: &Path, arguments: &Arguments, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(path)?;
    let mut uses = BTreeMap::new();
    arguments.past.read(&config, Purpose::Compat, &mut |row| match row {
        Row::Record(_, record) => count(&mut uses, &record),
        // What cannot be read by this version is not counted.
        Row::Count(_) | Row::Unreadable => {}
    })?;
    let on: Vec<Product> = config.policy.compat.on.clone();
    match format {
        Format::Json => uses.iter().for_each(|used| print_json(&row(used, &on))),
        Format::Text => print(&uses, &on),
    }
    Ok(ExitCode::SUCCESS)
}

fn count(uses: &mut BTreeMap<Key, Use>, record: &Record) {
    let client = match &record.origin {
        Origin::Submitted { client: Some(client), .. } => client.0.clone(),
        Origin::Submitted { client: None, .. } | Origin::OwnNotice => return,
    };
    for convention in &record.conventions {
        let (product, mark) = convention.split_once(' ').unwrap_or((convention, ""));
        let key = (product.to_owned(), mark.to_owned(), client.clone());
        let used = uses.entry(key).or_insert(Use { messages: 0, last: record.accepted });
        used.messages += 1;
        used.last = used.last.max(record.accepted);
    }
}

fn row(((product, mark, client), used): (&Key, &Use), on: &[Product]) -> Value {
    let obeyed = on.iter().any(|known| known.name() == product);
    json!({ "product": product, "mark": mark, "client": client, "messages": used.messages,
        "last": used.last.rfc3339(), "obeyed": obeyed })
}

fn print(uses: &BTreeMap<Key, Use>, on: &[Product]) {
    for ((product, mark, client), used) in uses {
        print_line(format!(
            "{:>7}  {product} {mark}, through {client}, last on {}",
            used.messages,
            used.last.rfc3339()
        ));
    }
    let used = |product: &&Product| uses.keys().any(|(known, _, _)| known == product.name());
    let idle: Vec<&str> = on.iter().filter(|product| !used(product)).map(|product| product.name()).collect();
    if !idle.is_empty() {
        print_text(&format!(
            "Nobody used what these are known for: {}. [policy.compat] off switches them off.",
            idle.join(", ")
        ));
    }
}
