//! `sealpost policy check`: rules that never decide.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::output::{ANSWER_IS_NO, Failed, Format, print_json, print_text};
use crate::cli::reach;
use crate::policy::{Cause, Idle, idle};

pub(super) fn run(path: &Path, file: Option<&Path>, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(file.unwrap_or(path))?;
    let found = idle(&config);
    for idle in &found {
        match format {
            Format::Json => print_json(&row(idle)),
            Format::Text => print_text(&tell(idle)),
        }
    }
    if format == Format::Text {
        let rules = config.policy.rules.len();
        let noun = if rules == 1 { "rule" } else { "rules" };
        print_text(&match found.len() {
            0 => format!("{rules} {noun}: each of them can decide."),
            1 => format!("{rules} {noun}, of which 1 never decides: mend it, or take it out"),
            count => format!("{rules} {noun}, of which {count} never decide: mend them, or take them out"),
        });
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(ANSWER_IS_NO) })
}

fn row(Idle { rule, cause }: &Idle) -> serde_json::Value {
    match cause {
        Cause::Dead(why) => json!({ "rule": rule, "found": "dead", "why": why }),
        Cause::Shadowed(by) => json!({ "rule": rule, "found": "shadowed", "by": by }),
        Cause::Unreachable(why) => json!({ "rule": rule, "found": "unreachable", "why": why }),
    }
}

fn tell(Idle { rule, cause }: &Idle) -> String {
    match cause {
        Cause::Dead(why) => format!("dead         \"{rule}\": {why}"),
        Cause::Unreachable(why) => format!("unreachable  \"{rule}\": {why}"),
        Cause::Shadowed(by) => {
            let names: Vec<String> = by.iter().map(|name| format!("\"{name}\"")).collect();
            let verbs = if by.len() == 1 {
                "covers all that it covers, and protects"
            } else {
                "cover all that it covers, and protect"
            };
            format!("shadowed     \"{rule}\": {} {verbs} more, or as much from further up", names.join(" and "))
        }
    }
}
