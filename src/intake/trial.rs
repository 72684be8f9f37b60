//! Runs the cases of a policy test file: each message is read, classified and decided as one that comes in, and not kept.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{self, ActionName, Case, CaseMessage, Config, Last, Mistake};
use crate::crypto::Digest;
use crate::intake::{Examination, Terms, Unsent};
use crate::mail::{Address, ClientName, Envelope, Message, Method, ReversePath, WireLimits, wire_lines};
use crate::phi::Kind;
use crate::policy::{Action, Decision, Facts, RuleResult};
use crate::smtp::Senders;

/// A file of cases, as it was read.
#[derive(Debug)]
pub struct Cases {
    pub all: Vec<Case>,
    /// What their own files are relative to.
    folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("{}", lines(.0))]
    Mistakes(Vec<Mistake>),
}

/// How one case went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// What was expected, and what came.
    Failed(Vec<Wrong>),
    /// It could not be run, and so proves nothing.
    Unusable(String),
}

/// One expectation that does not hold, in words of the config alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Which of the case's recipients, counted from 0; none where it is the message.
    pub recipient: Option<usize>,
    pub what: &'static str,
    pub expected: String,
    pub found: String,
    /// Why the expected rule did not win, or which rule did this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Cases {
    pub fn read(path: &Path) -> Result<Cases, CasesError> {
        let text = std::fs::read_to_string(path)?;
        let all = config::parse_cases(&text).map_err(CasesError::Mistakes)?;
        Ok(Cases { all, folder: path.parent().map(Path::to_owned).unwrap_or_default() })
    }

    /// Runs them in their order. Nothing is known of the recipients' servers: a case must come out the same everywhere.
    pub fn run(&self, config: &Config) -> Vec<Outcome> {
        let terms = Terms::new(config, Digest::ZERO);
        self.all.iter().map(|case| self.outcome(case, (config, &terms))).collect()
    }

    fn outcome(&self, case: &Case, (config, terms): (&Config, &Terms)) -> Outcome {
        let message = match self.message(case, config) {
            Ok(message) => message,
            Err(why) => return Outcome::Unusable(why),
        };
        if let Some(name) = &case.client
            && !config.clients.iter().any(|client| client.name == *name)
        {
            return Outcome::Unusable(format!("no [[client]] is called {name}"));
        }
        let sender = case.from.clone().map_or(ReversePath::Null, ReversePath::Mailbox);
        let envelope = Envelope::new(sender, case.first.clone(), case.rest.clone());
        let client = case.client.clone().or_else(|| client_of(config, envelope.sender()));
        let unsent =
            Unsent { message: &message, envelope: &envelope, client: client.as_ref(), facts: Facts::default() };
        let examination = super::examine_under(terms, config, unsent);
        let wrong = compared(case, &examination);
        if wrong.is_empty() { Outcome::Passed } else { Outcome::Failed(wrong) }
    }

    fn message(&self, case: &Case, config: &Config) -> Result<Message, String> {
        let limits = &config.limits;
        let limits = WireLimits {
            message_bytes: limits.message_bytes,
            header_bytes: limits.header_bytes,
            line_bytes: limits.line_bytes,
        };
        let bytes = match &case.message {
            // It is read as a message that comes in is, and forgotten.
            CaseMessage::Written(text) => text.expose().trim_start_matches(['\r', '\n']).as_bytes().to_vec(),
            CaseMessage::File(file) => {
                let file = self.folder.join(file);
                let shown = file.display();
                let size = std::fs::metadata(&file).map_err(|error| format!("{shown}: {error}"))?.len();
                if size > limits.message_bytes as u64 {
                    return Err(format!("{shown}: larger than limits.message_bytes"));
                }
                std::fs::read(&file).map_err(|error| format!("{shown}: {error}"))?
            }
        };
        Message::parse(wire_lines(&bytes), &limits).map_err(|error| format!("it is no message: {error}"))
    }
}

/// The failures of a run in one text, for a log and for whoever asked for a reload; none when all passed.
pub fn failures(cases: &[Case], outcomes: &[Outcome]) -> Option<String> {
    const TOLD: usize = 5;
    let failed = cases.iter().zip(outcomes).filter(|(_, outcome)| **outcome != Outcome::Passed);
    let told = failed.map(|(case, outcome)| {
        let what = match outcome {
            Outcome::Passed => String::new(),
            Outcome::Unusable(why) => why.clone(),
            Outcome::Failed(wrong) => wrong.iter().map(Wrong::tell).collect::<Vec<_>>().join(", "),
        };
        format!("\"{}\" (line {}): {what}", case.name, case.line)
    });
    let told: Vec<String> = told.collect();
    let more = told.len().checked_sub(TOLD).filter(|more| *more > 0).map(|more| format!("; and {more} more"));
    let first = told.iter().take(TOLD).cloned().collect::<Vec<_>>().join("; ");
    let (failed, all) = (told.len(), cases.len());
    (failed > 0).then(|| format!("{failed} of {all} policy tests fail: {first}{}", more.unwrap_or_default()))
}

impl Wrong {
    fn new(recipient: Option<usize>, what: &'static str, (expected, found): (String, String)) -> Wrong {
        Wrong { recipient, what, expected, found, why: None }
    }

    fn tell(&self) -> String {
        format!("{} is {}, not {}", self.what, self.found, self.expected)
    }
}

/// The client that may use this sender, where none is named.
pub fn client_of(config: &Config, sender: &ReversePath) -> Option<ClientName> {
    let may_use = |client: &&config::Client| {
        let patterns = Senders([client.senders.clone(), client.return_paths.clone()].concat());
        sender.mailbox().is_some_and(|sender| patterns.cover(sender))
    };
    config.clients.iter().find(may_use).map(|client| client.name.clone())
}

fn compared(case: &Case, examination: &Examination) -> Vec<Wrong> {
    let (expect, verdict) = (&case.expect, &examination.verdict);
    let mut wrong = Vec::new();
    let word = |phi: bool| if phi { "true" } else { "false" }.to_owned();
    if let Some(phi) = expect.phi.filter(|phi| *phi != verdict.phi) {
        wrong.push(Wrong::new(None, "phi", (word(phi), word(verdict.phi))));
    }
    let mut found: Vec<&str> = verdict.findings.iter().map(|finding| finding.kind.name()).collect();
    found.sort_unstable();
    found.dedup();
    let missing: Vec<Kind> =
        expect.kinds.iter().copied().filter(|kind| !verdict.findings.iter().any(|it| it.kind == *kind)).collect();
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|kind| kind.name()).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(" ") };
        wrong.push(Wrong::new(None, "kinds", (names.join(" "), found)));
    }
    for (at, decision) in examination.decisions.iter().take(1 + case.rest.len()).enumerate() {
        wrong.extend(decided_otherwise(&case.expect, (at, decision)));
    }
    wrong
}

fn decided_otherwise(expect: &config::Expect, (at, decision): (usize, &Decision)) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let by = || Some(format!("by the rule \"{}\"", decision.rule));
    let mut differs = |what, (expected, found): (String, String), why| {
        if expected != found {
            wrong.push(Wrong { recipient: Some(at), what, expected, found, why });
        }
    };
    let action = name_of(&decision.action);
    let (methods, last) = match &decision.action {
        Action::Deliver { methods, last } => (methods.as_slice(), Some(*last)),
        Action::Hold { .. } | Action::Reject { .. } => (decision.released.as_slice(), None),
    };
    if let Some(expected) = expect.action {
        differs("action", (expected.name().into(), action.name().into()), by());
    }
    if let Some(expected) = expect.method {
        let first = if action == ActionName::Deliver { methods.first() } else { None };
        let found = first.map_or(action.name(), |method| method.name());
        differs("method", (expected.name().into(), found.into()), by());
    }
    if !expect.methods.is_empty() {
        differs("methods", (names(&expect.methods), names(methods)), by());
    }
    if let Some(expected) = expect.last {
        let word = |last: Last| if last == Last::Hold { "hold" } else { "undeliverable" };
        differs("last", (word(expected).into(), last.map_or("none", word).into()), by());
    }
    if let Some(expected) = &expect.rule {
        differs("rule", (format!("\"{expected}\""), format!("\"{}\"", decision.rule)), Some(fared(expected, decision)));
    }
    let result = |rule: &String| decision.tried.iter().find(|tried| tried.rule == *rule).map(|tried| &tried.result);
    for rule in &expect.lost {
        let found = if matches!(result(rule), Some(RuleResult::Outdone { .. } | RuleResult::Relaxed { .. })) {
            "gave way"
        } else {
            "did not"
        };
        differs("lost", (format!("\"{rule}\" gave way"), format!("\"{rule}\" {found}")), Some(fared(rule, decision)));
    }
    for rule in &expect.not_matched {
        let found = if matches!(result(rule), Some(RuleResult::NotMatched { .. })) { "did not match" } else { "did" };
        let words = (format!("\"{rule}\" did not match"), format!("\"{rule}\" {found}"));
        differs("not_matched", words, Some(fared(rule, decision)));
    }
    if let Some(expected) = &expect.remark {
        let said = decision.remarks.iter().any(|remark| remark.contains(expected.as_str()));
        let found = if said { expected.clone() } else { decision.remarks.join("; ") };
        differs("remark", (expected.clone(), found), None);
    }
    wrong.extend(expect.adds.iter().filter_map(|expected| not_added(expected, (at, decision))));
    wrong
}

/// What a rule was to add, and none does.
fn not_added(expected: &str, (at, decision): (usize, &Decision)) -> Option<Wrong> {
    let added: Vec<&str> = decision.tried.iter().flat_map(|tried| &tried.adds).map(String::as_str).collect();
    let is_there = added.iter().any(|added| added.contains(expected));
    (!is_there).then(|| Wrong::new(Some(at), "adds", (expected.to_owned(), added.join("; "))))
}

fn names(methods: &[Method]) -> String {
    let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

/// How a rule fared, by the trace.
fn fared(rule: &str, decision: &Decision) -> String {
    match decision.tried.iter().find(|tried| tried.rule == rule).map(|tried| &tried.result) {
        None => "the config has no rule of that name".to_owned(),
        Some(RuleResult::Won) => "it won".to_owned(),
        Some(RuleResult::Added) => "it matched, and only adds".to_owned(),
        Some(RuleResult::Outdone { by }) => format!("it matched, and \"{by}\" protects more"),
        Some(RuleResult::Relaxed { by }) => format!("it matched, may be relaxed, and gave way to \"{by}\""),
        Some(RuleResult::NotMatched { condition }) => format!("it did not match: it needs that {condition}"),
    }
}

fn name_of(action: &Action) -> ActionName {
    match action {
        Action::Deliver { .. } => ActionName::Deliver,
        Action::Hold { .. } => ActionName::Hold,
        Action::Reject { .. } => ActionName::Reject,
    }
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; ")
}

/// Runs the file of cases that a config names, if it names one.
pub fn try_out(config: &Config) -> Result<(), String> {
    let Some(path) = &config.policy.trial.tests else { return Ok(()) };
    let unusable = |error: CasesError| format!("the policy tests in {}: {error}", path.display());
    let cases = Cases::read(path).map_err(unusable)?;
    failures(&cases.all, &cases.run(config)).map_or(Ok(()), Err)
}

/// A recipient of a case, for whoever wrote the case.
pub fn recipient(case: &Case, at: usize) -> Option<&Address> {
    case.recipients().nth(at)
}

#[cfg(test)]
mod recipes;
#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
[policy]
default = ["tls:valid"]
[[policy.rule]]
name = "charts are looked at"
when = { recipient_domain = ["lab.example"], kinds = ["MRN"] }
hold = "look first"
"#;

    fn config() -> Config {
        let text = include_str!("../../config/examples/clinic.toml");
        let head = text.split("[policy]").next().unwrap();
        config::parse(&format!("{head}{CONFIG}")).unwrap()
    }

    fn run(cases: &str) -> Vec<Outcome> {
        let all = config::parse_cases(cases).unwrap();
        Cases { all, folder: PathBuf::new() }.run(&config())
    }

    fn case(name: &str, to: &str, expect: &str) -> String {
        let message = "From: ann@clinic.example\nSubject: x\n\nPatient: Maria Quist, MRN 00482913, has asthma";
        format!(
            "[[case]]\nname = \"{name}\"\nto = [\"{to}\"]\nmessage = '''\n{message}\n'''\nexpect = {{ {expect} }}\n"
        )
    }

    #[test]
    fn a_case_passes_when_all_it_says_holds() {
        let held = r#"action = "hold", rule = "charts are looked at", phi = true, kinds = ["MRN"]"#;
        let sent = r#"action = "deliver", method = "tls:valid", rule = "default""#;
        let cases = case("held", "bo@lab.example", held) + &case("sent", "bo@other.example", sent);
        assert_eq!(run(&cases), [Outcome::Passed, Outcome::Passed]);
    }

    #[test]
    fn a_failure_says_what_came_instead_and_why() {
        let cases = case("a", "bo@other.example", r#"action = "hold", rule = "charts are looked at", kinds = ["SSN"]"#)
            + &case("b", "bo@lab.example", r#"method = "tls:valid", rule = "gone", phi = false"#);
        let outcomes = run(&cases);
        let Outcome::Failed(first) = &outcomes[0] else { panic!("{outcomes:?}") };
        let what: Vec<&str> = first.iter().map(|wrong| wrong.what).collect();
        assert_eq!(what, ["kinds", "action", "rule"]);
        assert!(first[2].why.as_ref().unwrap().contains("domain fits one of the patterns"), "{first:?}");
        let Outcome::Failed(second) = &outcomes[1] else { panic!("{outcomes:?}") };
        assert_eq!((second[0].what, second[1].found.as_str()), ("phi", "hold"));
        assert!(second[2].why.as_ref().unwrap().contains("no rule of that name"));
        let all = config::parse_cases(&cases).unwrap();
        let told = failures(&all, &outcomes).unwrap();
        assert!(told.starts_with("2 of 2 policy tests fail: \"a\" (line 1): kinds is"), "{told}");
        assert!(!told.contains("Quist") && !told.contains("bo@"), "{told}");
    }

    #[test]
    fn what_cannot_be_run_does_not_pass() {
        let missing =
            "[[case]]\nname = \"a\"\nto = [\"bo@lab.example\"]\nfile = \"none.eml\"\nexpect = { phi = true }\n";
        let stranger = case("b", "bo@lab.example", "phi = true").replace("to =", "client = \"nobody\"\nto =");
        let outcomes = run(&(missing.to_owned() + &stranger));
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unusable(_))), "{outcomes:?}");
    }
}
