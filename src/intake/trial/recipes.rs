//! The recipes of docs/operate/policy.md: each must be a config, and decide what its cases say.

use std::path::{Path, PathBuf};

use super::*;
use crate::config::tests::{SMALLEST, client};

fn house() -> String {
    let (one, two) = (client("north", "*@north.example"), client("ehr", "*@clinic.example"));
    format!("{SMALLEST}{one}{two}")
}

const CHART: &str = "Patient: Maribel Quist, MRN 00482913, DOB 03/14/1962, has type 2 diabetes and takes metformin.";

struct Recipe {
    title: String,
    rules: String,
    cases: String,
}

/// Every heading that is followed by two blocks of TOML.
fn recipes(page: &str) -> Vec<Recipe> {
    let sections = page.split("\n### ").skip(1);
    let recipe = |section: &str| {
        let mut blocks =
            section.split("```toml\n").skip(1).map(|block| block.split("\n```").next().unwrap_or_default());
        Recipe {
            title: section.lines().next().unwrap_or_default().to_owned(),
            rules: blocks.next().unwrap_or_default().to_owned(),
            cases: blocks.next().unwrap_or_default().to_owned(),
        }
    };
    sections.map(recipe).collect()
}

/// The messages that cases name.
fn mail(folder: &Path) {
    let letter = |sender: &str, text: &str| format!("From: {sender}\nSubject: hello\n\n{text}\n");
    let attached = |name: &str, media_type: &str, base64: &str| {
        format!(
            "From: ann@clinic.example\nSubject: hello\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nhello\n--x\n\
             Content-Type: {media_type}; name={name}\nContent-Transfer-Encoding: base64\n\n{base64}\n--x--\n"
        )
    };
    let names = ["Quist", "Ferrante", "Osei", "Lindqvist", "Marchetti", "Nakamura", "Dvorak"];
    let first = ["Maribel", "Tobias", "Ingrid"];
    let all = names.iter().flat_map(|name| first.iter().map(move |first| (name, first)));
    let list = all.enumerate().map(|(at, (name, first))| {
        format!("Patient: {first} {name}, MRN 0048{:04}, has type 2 diabetes and takes metformin.\n", at * 17 + 1001)
    });
    for (file, text) in [
        ("chart.eml", letter("ann@clinic.example", CHART)),
        ("chart-of-north.eml", letter("nora@north.example", CHART)),
        ("lunch.eml", letter("ann@clinic.example", "Shall we have lunch at noon?")),
        ("list.eml", letter("ann@clinic.example", &list.collect::<String>())),
        ("sealed.eml", attached("letter.bin", "application/octet-stream", "AAECAwQFBgc=")),
        ("program.eml", attached("setup.EXE", "application/octet-stream", "TVqQAAMAAAA=")),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

#[test]
fn each_recipe_of_the_page_decides_what_its_cases_say() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operate/policy.md");
    let recipes = recipes(&std::fs::read_to_string(page).unwrap());
    assert_eq!(recipes.len(), 10);
    let folder: PathBuf = std::env::temp_dir().join(format!("sealpost-recipes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    mail(&folder);
    for Recipe { title, rules, cases } in recipes {
        let config = config::parse(&format!("{}{rules}", house()));
        let config = config.unwrap_or_else(|mistakes| panic!("{title}: {mistakes:?}"));
        let file = folder.join("policy-tests.toml");
        std::fs::write(&file, cases).unwrap();
        let cases = Cases::read(&file).unwrap_or_else(|error| panic!("{title}: {error}"));
        let outcomes = cases.run(&config);
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Passed), "{title}: {outcomes:#?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
