//! Writes docs/reference/conformance.md: what each server made of each document.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::process::ExitCode;
use std::sync::Arc;

use crate::conformance::case::{Case, folder, read_all};
use crate::conformance::report::{self, Count};
use crate::conformance::{Outcome, Verdict};
use crate::servers::{AIOSMTPD, ALL, Server, start};
use crate::world::Result;

const HEAD: &str = "# Conformance, case by case

<!-- Written by `make conformance-table`. -->

How Sealpost and others behave in the cases of [tests/dialogs](../../tests/dialogs/README.md): each MUST of the RFCs that a server
for submissions or relayed mail can be asked about from outside, and each published attack, once. All were asked on the same
machine, one after the other, as submission servers with TLS and a login, their next hop a server of the runner's.

A figure such as 2 + 1 means: two MUSTs or attacks failed, and one SHOULD. What a server does not offer is skipped. A failed case is no
verdict: some are choices that a relay for the open internet must make, and others are what an attacker looks for.

";

const HOW: &str = "
## Ask your own server

```sh
PASSWORD=… make conformance TARGET=mx.example.org:587 USER=ann FROM=ann@example.org TO=bob@example.org
```

The password stands in the environment, not among the arguments that others can read. `IMPLICIT=host:465` names the port with TLS from the first octet, `CA=file.pem` the
authority of its certificate, `ONLY=smuggling` plays some of the cases, `JSON=1` prints every dialog. With
`SINK=192.0.2.10:25` the runner takes mail there: route the domain of `TO` to it, and what the server delivers is looked at as
well; without, only the dialogs are. The runner sends real mail to `TO`, some of it odd: ask whoever runs the server first.
It ends with 1 when a MUST or an attack failed, and prints the dialog of each failed case.

`TARGET` is a name in the certificate where `CA` is given. Against a Sealpost, make a login for the purpose, which may use the null
sender as well (`sealpost client add suite --sender '*@example.org' --sender '<>'`), and remove it afterwards: some cases let
logins fail on purpose. What needs something that was not given, such as `SINK`, is skipped.
";

#[tokio::main]
pub async fn write(at_once: usize) -> Result<ExitCode> {
    let cases = read_all(&folder())?;
    let home = tempfile::Builder::new().prefix("sealpost-conformance-").tempdir()?;
    // Postfix's processes run as their own user and have to pass through.
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut all = Vec::new();
    for server in ALL {
        let running = start(server, home.path()).await?;
        let verdicts = crate::conformance::run(&cases, &running.target, at_once).await?;
        drop(running);
        println!("{}\n{}", server.name(), report::text(&verdicts));
        all.push((server, verdicts));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/conformance.md");
    std::fs::write(&file, page(&cases, &all))?;
    println!("written to {}", file.display());
    let ours = all.iter().filter(|(server, _)| *server == Server::Sealpost).flat_map(|(_, verdicts)| verdicts);
    Ok(if ours.into_iter().any(report::is_bad) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn page(cases: &[Arc<Case>], all: &[(Server, Vec<Verdict>)]) -> String {
    let mut page = HEAD.to_owned();
    let _ = writeln!(page, "{}\n", versions());
    let names: Vec<_> = all.iter().map(|(server, _)| server.name()).collect();
    let _ = writeln!(page, "| | cases | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|---:|{}", "---|".repeat(all.len()));
    let counts: Vec<BTreeMap<(u32, String), Count>> =
        all.iter().map(|(_, verdicts)| report::by_document(verdicts)).collect();
    if let Some(first) = counts.first() {
        for (document, count) in first {
            let cells: Vec<_> = counts.iter().filter_map(|c| c.get(document)).map(|count| cell(*count)).collect();
            let _ = writeln!(page, "| {} | {} | {} |", document.1, count.cases, cells.join(" | "));
        }
    }
    let totals: Vec<_> = all.iter().map(|(_, verdicts)| cell(report::total(verdicts))).collect();
    let _ = writeln!(page, "| all | {} | {} |", cases.len(), totals.join(" | "));
    for (server, verdicts) in all {
        failures(&mut page, *server, verdicts);
    }
    page.push_str(HOW);
    page
}

fn versions() -> String {
    let asked = Command::new("postconf").args(["-h", "mail_version"]).output();
    let postfix = asked.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).unwrap_or_default();
    format!("Postfix {postfix}, {}; Sealpost {}.", AIOSMTPD.replace("==", " "), env!("CARGO_PKG_VERSION"))
}

fn cell(count: Count) -> String {
    let Count { passed, failed, advice, skipped, .. } = count;
    let mut cell = format!("{passed} passed");
    if failed + advice > 0 {
        let _ = write!(cell, ", **{failed} + {advice} failed**");
    }
    if skipped > 0 {
        let _ = write!(cell, ", {skipped} skipped");
    }
    cell
}

fn failures(page: &mut String, server: Server, verdicts: &[Verdict]) {
    let failed: Vec<_> = verdicts.iter().filter(|verdict| matches!(verdict.outcome, Outcome::Failed(_))).collect();
    let _ = writeln!(page, "\n## What failed: {}\n", server.name());
    if failed.is_empty() {
        let _ = writeln!(page, "Nothing.");
    }
    for verdict in failed {
        let Outcome::Failed(why) = &verdict.outcome else { continue };
        let why = why.split_once(": ").map_or(why.as_str(), |(_, why)| why);
        let why: String = why.chars().filter(|c| !matches!(c, '<' | '>' | '|' | '`')).take(90).collect();
        let _ = writeln!(page, "- {} ({}): {}", verdict.case.title, verdict.case.cites.shown(), why.trim_end());
    }
}
