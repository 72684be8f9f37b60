//! What must hold for any input, tried with every input that is kept: the corpora of the fuzz targets, and what they once found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "fuzz/checks/mod.rs"]
mod checks;

use std::path::Path;

#[test]
fn every_kept_input_passes_its_check() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (name, check) in checks::ALL {
        let mut tried = 0;
        for entry in std::fs::read_dir(corpora.join(name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            check(&std::fs::read(&path).unwrap());
            tried += 1;
        }
        assert!(tried >= 3, "the corpus of {name} holds only {tried} inputs");
    }
}
