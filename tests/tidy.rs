//! The house rules, held as tests: floors, crates in their rooms, no I/O below the state floor, a first line for every file.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// The rooms from the ground up. A room uses rooms on lower floors, and rooms named before it on its own.
const FLOORS: &[(&str, &[&str])] = &[
    ("words", &["phi", "clock", "mail", "config"]),
    ("rules", &["crypto", "audit", "smtp", "mime", "classify", "policy", "wrap"]),
    ("state", &["store", "queue", "evidence", "pickup", "keyring", "accounts", "ledger", "replies"]),
    ("reach", &["net", "directory"]),
    ("flows", &["notice", "extract", "intake", "delivery", "retention", "report"]),
    ("doors", &["listener", "control", "web", "wellknown", "portal", "admin"]),
    ("root", &["telemetry", "daemon", "cli"]),
];

/// Where a crate may be named. A crate that is not listed may be named anywhere its floor allows.
const CRATES: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("rustls", &["net"]),
    ("tokio_rustls", &["net"]),
    ("rustls_native_certs", &["net"]),
    ("hickory_resolver", &["net"]),
    ("psl", &["net", "directory"]),
    ("axum", &["web", "wellknown", "portal", "admin"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("lettre", &["notice"]),
    ("mail_parser", &["mime"]),
    ("aws_lc_rs", &["crypto", "net"]),
    ("argon2", &["crypto"]),
    ("stringprep", &["crypto"]),
    ("rcgen", &["keyring"]),
    ("x509_parser", &["keyring", "net"]),
    ("toml", &["config"]),
    ("toml_edit", &["config", "cli"]),
    ("ulid", &["mail"]),
    ("idna", &["mail"]),
    ("unicode_normalization", &["mail"]),
    ("jiff", &["clock"]),
    ("tracing_subscriber", &["telemetry"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("sd_notify", &["daemon"]),
    ("landlock", &["extract"]),
    ("seccompiler", &["extract"]),
    ("libc", &["extract"]),
    ("hayro_syntax", &["extract"]),
    ("hayro_interpret", &["extract"]),
    ("zip", &["extract"]),
    ("flate2", &["extract"]),
    ("calamine", &["extract"]),
    ("cfb", &["extract"]),
    ("quick_xml", &["extract"]),
    ("encoding_rs", &["extract"]),
];

/// What words and rules cannot do: wait, read, write, or ask the machine.
const NO_IO: &[&str] = &[
    "tokio::",
    "async fn",
    ".await;",
    ".await?",
    ".await.",
    ".await)",
    "std::fs",
    "std::io::",
    "std::process",
    "std::env",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant::now",
    "println!",
    "eprintln!",
];

/// Names that say nothing; what seems to belong in such a room is two things.
const NOT_A_ROOM: &[&str] = &["util", "utils", "common", "helpers", "helper", "types", "error", "errors", "misc"];

const MAX_LINES: usize = 600;

/// How each crate of `CRATES` is named.
static NAMED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let named = |(name, _): &(&str, _)| Regex::new(&format!(r"(^|[^:\w]){name}::|\buse {name}\b")).unwrap();
    CRATES.iter().map(named).collect()
});

#[test]
fn the_house_is_tidy() {
    let faults = faults(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Each folder under tests/tidy-faults is a small house with one fault, and `expected` says which.
#[test]
fn each_fault_is_found() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tidy-faults");
    let mut tried = 0;
    for case in children(&cases) {
        let expected = fs::read_to_string(case.join("expected")).unwrap();
        assert_eq!(faults(&case).join("\n"), expected.trim_end(), "{}", case.display());
        tried += 1;
    }
    assert!(tried >= 9, "only {tried} faults are tried");
}

fn faults(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let files = rust_files(&root.join("src"));
    let tests = test_modules(&files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let room = if tests.iter().any(|test| file.starts_with(test)) { None } else { room_of(&file, root) };
        Source { room, name, text }.check(&mut found);
    }
    for file in
        rust_files(&root.join("tests")).into_iter().filter(|file| !file.starts_with(root.join("tests/tidy-faults")))
    {
        let text = fs::read_to_string(&file).unwrap();
        if !text.starts_with("//!") {
            found.push(format!(
                "{}: does not open with what it is for (//!)",
                file.strip_prefix(root).unwrap().display()
            ));
        }
    }
    check_modules(root, &mut found);
    check_map(root, &mut found);
    check_migrations(root, &mut found);
    check_links(root, &mut found);
    found
}

/// Files and folders that hold tests only, by what declares them: they may name what they like.
fn test_modules(files: &[PathBuf]) -> Vec<PathBuf> {
    let declares =
        Regex::new(r#"#\[cfg\(test\)\]\s+(?:#\[path = "(\w+)\.rs"\]\s+)?(?:pub(?:\([a-z:: ]+\))? )?mod (\w+);"#)
            .unwrap();
    let mut tests = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let stem = file.file_stem().unwrap();
        let folder =
            if stem == "mod" || stem == "lib" { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        for test in declares.captures_iter(&text) {
            // A path attribute counts from the declaring file's own folder.
            match test.get(1) {
                Some(path) => tests.push(file.with_file_name(format!("{}.rs", path.as_str()))),
                None => tests.extend([folder.join(format!("{}.rs", &test[2])), folder.join(&test[2])]),
            }
        }
    }
    tests
}

struct Source {
    /// None for what belongs to no room: `main.rs`, `lib.rs`, and modules of tests.
    room: Option<String>,
    name: String,
    text: String,
}

impl Source {
    fn check(&self, found: &mut Vec<String>) {
        if !self.text.starts_with("//!") {
            found.push(format!("{}: does not open with what it is for (//!)", self.name));
        }
        let lines = self.text.lines().count();
        if lines > MAX_LINES {
            found.push(format!("{}: {lines} lines; more than {MAX_LINES} is two things", self.name));
        }
        let Some(room) = &self.room else { return };
        if NOT_A_ROOM.contains(&room.as_str()) {
            found.push(format!("{}: `{room}` is no room: split it by what it is about", self.name));
            return;
        }
        let Some(here) = place(room) else {
            found.push(format!("{}: room `{room}` is not on any floor", self.name));
            return;
        };
        let code = self.code();
        self.check_rooms(&code, here, found);
        self.check_crates(&code, room, found);
        if here.0 <= 1 {
            self.check_io(&code, room, found);
        }
        self.check_exposures(found);
    }

    /// The shipped part, without comments: the tests at the end of a file may do as they please.
    fn code(&self) -> Vec<(usize, String)> {
        let mut code = Vec::new();
        for (at, line) in self.shipped() {
            let bare = line.split("//").next().unwrap_or("");
            code.push((at, bare.to_owned()));
        }
        code
    }

    fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }

    fn check_rooms(&self, code: &[(usize, String)], here: (usize, usize), found: &mut Vec<String>) {
        let name = Regex::new(r"\bcrate::(\w+)").unwrap();
        let group = Regex::new(r"\bcrate::\{([^}]*)").unwrap();
        for (at, line) in code {
            let single = name.captures_iter(line).map(|c| c[1].to_owned());
            let grouped = group.captures_iter(line).flat_map(|c| {
                c[1].split(',').filter_map(|item| item.trim().split("::").next().map(str::to_owned)).collect::<Vec<_>>()
            });
            for used in single.chain(grouped) {
                let Some(there) = place(&used) else { continue };
                if there > here {
                    found.push(format!("{}:{at}: reaches up into `{used}`", self.name));
                } else if there != here && line.trim_start().starts_with("pub use") {
                    found.push(format!("{}:{at}: re-exports room `{used}`", self.name));
                }
            }
        }
    }

    fn check_crates(&self, code: &[(usize, String)], room: &str, found: &mut Vec<String>) {
        for ((name, rooms), used) in CRATES.iter().zip(NAMED.iter()) {
            for (at, line) in code {
                if used.is_match(line) && !rooms.contains(&room) {
                    found.push(format!(
                        "{}:{at}: names crate `{name}`, which lives in {}",
                        self.name,
                        rooms.join(", ")
                    ));
                }
            }
        }
    }

    fn check_io(&self, code: &[(usize, String)], room: &str, found: &mut Vec<String>) {
        for (at, line) in code {
            for word in NO_IO.iter().filter(|word| line.contains(**word)) {
                found.push(format!(
                    "{}:{at}: `{word}` in `{room}`, which neither waits nor asks the machine",
                    self.name
                ));
            }
        }
    }

    /// Each way out of `Phi` says why, on its own line or within the three lines above.
    fn check_exposures(&self, found: &mut Vec<String>) {
        let exposes = Regex::new(r"\.(expose|into_exposed)\(\)").unwrap();
        let lines: Vec<(usize, &str)> = self.shipped().collect();
        for (index, (at, line)) in lines.iter().enumerate() {
            let told = lines[index.saturating_sub(3)..=index].iter().any(|(_, near)| near.contains("//"));
            if exposes.is_match(line) && !told {
                found.push(format!("{}:{at}: exposes PHI without a comment that says why", self.name));
            }
        }
    }
}

/// A file that no `mod` names is never compiled, and its tests never run: the compiler says nothing of it.
fn check_modules(root: &Path, found: &mut Vec<String>) {
    let source = root.join("src");
    let roots = ["lib.rs", "main.rs"].map(|name| source.join(name));
    if !roots[0].exists() {
        return;
    }
    let declares =
        Regex::new(r#"(?m)(?:#\[path = "([\w/]+\.rs)"\]\s+)?^\s*(?:pub(?:\([a-z:: ]+\))? )?mod (\w+);"#).unwrap();
    let files = rust_files(&source);
    let mut named = BTreeSet::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let stem = file.file_stem().unwrap();
        let owns = ["mod", "lib", "main"].iter().any(|name| stem == *name);
        let folder = if owns { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        for module in declares.captures_iter(&text) {
            match module.get(1) {
                Some(path) => named.insert(file.with_file_name(path.as_str())),
                None => {
                    named.insert(folder.join(&module[2]).join("mod.rs"));
                    named.insert(folder.join(format!("{}.rs", &module[2])))
                }
            };
        }
    }
    for file in files.iter().filter(|file| !named.contains(*file) && !roots.contains(file)) {
        found.push(format!("{}: no `mod` names it: it is never compiled", file.strip_prefix(root).unwrap().display()));
    }
}

/// `lib.rs` names the rooms in the order of the floors.
fn check_map(root: &Path, found: &mut Vec<String>) {
    let Ok(map) = fs::read_to_string(root.join("src/lib.rs")) else { return };
    let mut floor = 0;
    for line in map.lines() {
        let Some(room) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) else { continue };
        match place(room) {
            Some((at, _)) if at < floor => found.push(format!("src/lib.rs: `{room}` stands above its floor")),
            Some((at, _)) => floor = at,
            None => found.push(format!("src/lib.rs: room `{room}` is not on any floor")),
        }
    }
}

/// Both databases have the same migrations.
fn check_migrations(root: &Path, found: &mut Vec<String>) {
    let mut names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for database in ["sqlite", "postgres"] {
        for file in children(&root.join("migrations").join(database)) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            names.entry(name).or_default().push(database);
        }
    }
    for (name, databases) in names {
        if let [only] = databases.as_slice() {
            found.push(format!("migrations/{only}/{name}: has no sister for the other database"));
        }
    }
}

/// Links between our own pages lead somewhere.
fn check_links(root: &Path, found: &mut Vec<String>) {
    let link = Regex::new(r"\]\(([^)#\s]+)(#[^)]*)?\)").unwrap();
    let mut pages = files(&root.join("docs"), "md");
    pages.extend(["README.md", "CHANGELOG.md"].map(|name| root.join(name)).into_iter().filter(|page| page.exists()));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for target in link.captures_iter(&text).map(|captures| captures[1].to_owned()) {
            let outside = target.contains("://") || target.starts_with("mailto:");
            if !outside && !page.parent().unwrap().join(&target).exists() {
                found.push(format!(
                    "{}: links to `{target}`, which is not there",
                    page.strip_prefix(root).unwrap().display()
                ));
            }
        }
    }
}

fn place(room: &str) -> Option<(usize, usize)> {
    FLOORS
        .iter()
        .enumerate()
        .find_map(|(floor, (_, rooms))| rooms.iter().position(|name| *name == room).map(|at| (floor, at)))
}

fn room_of(file: &Path, root: &Path) -> Option<String> {
    let inside = file.strip_prefix(root.join("src")).unwrap();
    let first = inside.iter().next()?.to_string_lossy().into_owned();
    let room = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
    (room != "main" && room != "lib").then_some(room)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in children(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
