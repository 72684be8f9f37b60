//! A case as it stands in a file: what it asks for, where that is written, how it begins, and its lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::conformance::step::{Final, Step, read_line};
use crate::world::Result;

const MAX_DEPTH: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    Must,
    MustNot,
    Should,
    ShouldNot,
    Attack,
}

impl Strength {
    pub fn name(self) -> &'static str {
        match self {
            Strength::Must => "MUST",
            Strength::MustNot => "MUST NOT",
            Strength::Should => "SHOULD",
            Strength::ShouldNot => "SHOULD NOT",
            Strength::Attack => "attack",
        }
    }

    /// Advice may be left for a reason; the rest may not.
    pub fn is_advice(self) -> bool {
        matches!(self, Strength::Should | Strength::ShouldNot)
    }
}

/// Where it is written: a document and its section, or an attack by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    pub document: String,
    pub section: String,
    pub strength: Strength,
}

impl Citation {
    pub fn shown(&self) -> String {
        match self.strength {
            Strength::Attack => format!("attack {}", self.section),
            strength => format!("{} {} {}", self.document, self.section, strength.name()),
        }
    }
}

/// How far the runner goes by itself before the first line of the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// Connected, and nothing read.
    Dialled,
    /// The greeting was read.
    Greeted,
    /// EHLO was said in clear.
    Hello,
    /// Under TLS, and EHLO was said.
    Tls,
    /// Under TLS from the first octet, with the greeting and EHLO behind it.
    Implicit,
    /// Ready to send mail: TLS where it is offered, logged in where there is a login.
    Ready,
    /// MAIL and one RCPT were taken.
    Envelope,
    /// DATA was answered 354.
    Data,
}

impl Start {
    fn from_name(name: &str) -> Option<Start> {
        Some(match name {
            "dialled" => Start::Dialled,
            "greeted" => Start::Greeted,
            "hello" => Start::Hello,
            "tls" => Start::Tls,
            "implicit" => Start::Implicit,
            "ready" => Start::Ready,
            "envelope" => Start::Envelope,
            "data" => Start::Data,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug)]
pub struct Case {
    /// The file below tests/dialogs, and the line of the title.
    pub file: String,
    pub line: usize,
    pub title: String,
    pub cites: Citation,
    pub start: Start,
    /// Keywords of EHLO in capitals; what the target must have (`login`, `sink`, `implicit`, `patience`) in small letters.
    pub needs: Vec<String>,
    pub steps: Vec<(usize, Step)>,
    pub finals: Vec<Final>,
}

/// Every case below a folder, file by file in the order of their names.
pub fn read_all(folder: &Path) -> Result<Vec<Arc<Case>>> {
    let mut found = Vec::new();
    find(folder, MAX_DEPTH, &mut found)?;
    found.sort();
    let mut cases = Vec::new();
    for file in found {
        let name = file.strip_prefix(folder)?.to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file)?;
        cases.extend(read(&name, &text).map_err(|fault| format!("{name}: {fault}"))?.into_iter().map(Arc::new));
    }
    Ok(cases)
}

/// The folder of this repository.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogs")
}

fn find(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if depth == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, depth - 1, found)?;
        } else if path.extension().is_some_and(|ending| ending == "case") {
            found.push(path);
        }
    }
    Ok(())
}

/// The cases of one file.
pub fn read(file: &str, text: &str) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        let told = |fault: &str| format!("line {at}: {line}\n    {fault}");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("case: ") {
            let (title, cites) =
                cited(title).ok_or_else(|| told("a title ends in: , RFC 5321 4.1.1 MUST; or: , attack NAME"))?;
            cases.push(Case {
                file: file.to_owned(),
                line: at,
                title,
                cites,
                start: Start::Ready,
                needs: Vec::new(),
                steps: Vec::new(),
                finals: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().ok_or_else(|| told("a file begins with a case"))?;
        if let Some(name) = line.strip_prefix("start: ") {
            case.start = Start::from_name(name.trim()).ok_or_else(|| told("no such start"))?;
        } else if let Some(needs) = line.strip_prefix("needs: ") {
            case.needs.extend(needs.split(',').map(|need| need.trim().to_owned()));
        } else {
            read_line(line, at, case).map_err(|fault| told(&fault))?;
        }
    }
    for case in &cases {
        sound(case)?;
    }
    Ok(cases)
}

/// A case that expects nothing says nothing.
fn sound(case: &Case) -> Result<()> {
    let expects = case.steps.iter().any(|(_, step)| step.can_fail()) || !case.finals.is_empty();
    if expects { Ok(()) } else { Err(format!("line {}: {} expects nothing", case.line, case.title).into()) }
}

/// `a line ends in CRLF, RFC 5321 2.3.8 MUST NOT` or `…, attack SMTP smuggling (CVE-2023-51764)`.
fn cited(text: &str) -> Option<(String, Citation)> {
    if let Some((title, name)) = text.rsplit_once(", attack ") {
        let cites = Citation { document: "attacks".to_owned(), section: name.to_owned(), strength: Strength::Attack };
        return Some((title.to_owned(), cites));
    }
    let (title, rest) = text.rsplit_once(", RFC ")?;
    let mut words = rest.splitn(3, ' ');
    let (number, section, strength) = (words.next()?, words.next()?, words.next()?);
    let strength = match strength {
        "MUST" => Strength::Must,
        "MUST NOT" => Strength::MustNot,
        "SHOULD" => Strength::Should,
        "SHOULD NOT" => Strength::ShouldNot,
        _ => return None,
    };
    number.parse::<u16>().ok()?;
    let is_section = section.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    let cites = Citation { document: format!("RFC {number}"), section: section.to_owned(), strength };
    is_section.then(|| (title.to_owned(), cites))
}
