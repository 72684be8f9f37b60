//! Reads `training/families`: a situation in several wordings, with a label.

use std::fs;
use std::path::{Path, PathBuf};

use sealpost::crypto;

/// What the best reader would say of every letter of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Phi,
    None,
}

/// One file.
#[derive(Clone, Debug)]
pub struct Family {
    /// Folder and file: what it is called in tables and where its chance comes from.
    pub name: String,
    pub voice: String,
    pub form: String,
    pub label: Label,
    pub templates: Vec<Template>,
}

/// One wording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub subject: Option<String>,
    pub from: Option<String>,
    pub body: String,
}

/// Which families a folder holds: a hash of their names and texts, which the model's header repeats.
pub fn digest(folder: &Path) -> Result<String, String> {
    let mut all = Vec::new();
    for file in files(folder)? {
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
        let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        all.extend_from_slice(format!("{name} {}\n", text.len()).as_bytes());
        all.extend_from_slice(&text);
    }
    Ok(crypto::sha256(&all).to_string())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    Ok(files)
}

/// Every family below a folder, in the order of their names.
pub fn read(folder: &Path) -> Result<Vec<Family>, String> {
    let files = files(folder)?;
    let name =
        |file: &Path| file.strip_prefix(folder).unwrap_or(file).with_extension("").to_string_lossy().into_owned();
    let families = files.iter().map(|file| {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        parse(&name(file), &text).map_err(|error| format!("{}: {error}", file.display()))
    });
    families.collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "txt") {
            files.push(path);
        }
    }
    Ok(())
}

pub fn parse(name: &str, text: &str) -> Result<Family, String> {
    let (header, body) = text.split_once("\n\n").ok_or("no empty line behind the header")?;
    let value = |key: &str| {
        let mut lines = header.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.trim() == key).map(|(_, value)| value.trim().to_owned())
    };
    let label = match value("label").as_deref() {
        Some("phi") => Label::Phi,
        Some("none") => Label::None,
        _ => return Err("label is neither phi nor none".into()),
    };
    let voice = value("voice").ok_or("no voice")?;
    let form = value("form").ok_or("no form")?;
    let templates: Vec<Template> = body
        .split("\n===\n")
        .map(|part| part.trim_matches('\n'))
        .filter(|part| !part.is_empty())
        .map(template)
        .collect();
    if templates.is_empty() {
        return Err("no template".into());
    }
    Ok(Family { name: name.to_owned(), voice, form, label, templates })
}

fn template(text: &str) -> Template {
    let opens = text.starts_with("Subject:") || text.starts_with("From:");
    if !opens {
        return Template { body: text.to_owned(), ..Template::default() };
    }
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let line = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    Template { subject: line("Subject:"), from: line("From:"), body: body.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_a_header_and_templates() {
        let text = "label: phi\nvoice: lab\nform: short\n\nSubject: Hi\nFrom: a\n\nBody\n\nmore\n===\nSecond\n";
        let family = parse("lab/one", text).unwrap();
        assert_eq!((family.label, family.voice.as_str()), (Label::Phi, "lab"));
        assert_eq!(family.templates[0].subject.as_deref(), Some("Hi"));
        assert_eq!(family.templates[0].body, "Body\n\nmore");
        assert_eq!(family.templates[1], Template { body: "Second".into(), ..Template::default() });
        assert!(parse("x", "label: maybe\nvoice: a\nform: b\n\nx").is_err());
    }
}
