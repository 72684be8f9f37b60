//! `sealpost policy test`: the cases that an admin keeps beside the config, one line each, and what differs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::output::{ANSWER_IS_NO, Failed, Format, print_json, print_line};
use crate::cli::reach;
use crate::config::Case;
use crate::intake::trial::{Cases, CasesError, Outcome, Wrong, recipient};
use crate::mail::Address;

pub(super) fn run(path: &Path, file: Option<PathBuf>, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(path)?;
    let Some(file) = file.or_else(|| config.policy.trial.tests.clone()) else {
        let text = "no file of cases is named: type its name, or write tests = \"policy-tests.toml\" in [policy]";
        return Err(Failed::NotFound(text.to_owned()));
    };
    let cases = Cases::read(&file).map_err(|error| match error {
        CasesError::Read(error) => Failed::file(&file, &error),
        CasesError::Mistakes(_) => Failed::Data(format!("{}: {error}", file.display())),
    })?;
    let outcomes = cases.run(&config);
    for (case, outcome) in cases.all.iter().zip(&outcomes) {
        match format {
            Format::Json => print_json(&row(case, outcome)),
            Format::Text => print_line(tell(case, outcome).trim_end()),
        }
    }
    let failed = outcomes.iter().filter(|outcome| **outcome != Outcome::Passed).count();
    if format == Format::Text {
        let noun = if outcomes.len() == 1 { "case" } else { "cases" };
        let word = if failed == 0 { "all pass".to_owned() } else { format!("{failed} fail") };
        print_line(format!("{} {noun}: {word}", outcomes.len()));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(ANSWER_IS_NO) })
}

fn row(case: &Case, outcome: &Outcome) -> serde_json::Value {
    let (passed, wrong, unusable) = match outcome {
        Outcome::Passed => (true, Vec::new(), None),
        Outcome::Failed(wrong) => (false, wrong.iter().map(|wrong| shown(case, wrong)).collect(), None),
        Outcome::Unusable(why) => (false, Vec::new(), Some(why)),
    };
    json!({ "case": case.name, "line": case.line, "passed": passed, "wrong": wrong, "unusable": unusable })
}

fn shown(case: &Case, wrong: &Wrong) -> serde_json::Value {
    json!({
        "recipient": address(case, wrong),
        "what": wrong.what,
        "expected": wrong.expected,
        "found": wrong.found,
        "why": wrong.why,
    })
}

/// The admin wrote this address into the file that is being run.
fn address<'c>(case: &'c Case, wrong: &Wrong) -> Option<&'c str> {
    // It is told to whoever typed the command, and kept nowhere.
    wrong.recipient.and_then(|at| recipient(case, at)).map(Address::expose)
}

fn tell(case: &Case, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => format!("pass  {}", case.name),
        Outcome::Unusable(why) => format!("FAIL  {} (line {})\n        {why}", case.name, case.line),
        Outcome::Failed(wrong) => {
            let mut text = format!("FAIL  {} (line {})\n", case.name, case.line);
            let mut last = None;
            for wrong in wrong {
                if last != Some(wrong.recipient) {
                    text.push_str(&format!("        for {}\n", address(case, wrong).unwrap_or("the message")));
                    last = Some(wrong.recipient);
                }
                let Wrong { what, expected, found, why, .. } = wrong;
                text.push_str(&format!("        - {what}: {expected}\n        + {what}: {found}\n"));
                if let Some(why) = why {
                    text.push_str(&format!("          {why}\n"));
                }
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_cases;

    #[test]
    fn what_is_wrong_with_the_message_stands_apart_from_what_is_wrong_for_a_recipient() {
        let text = "[[case]]\nname = \"a\"\nto = [\"bo@lab.example\"]\nmessage = \"Subject: a\\n\\nb\\n\"\nexpect = { phi = true }";
        let case = parse_cases(text).unwrap().remove(0);
        let wrong = |recipient, what, (expected, found): (&str, &str)| Wrong {
            recipient,
            what,
            expected: expected.into(),
            found: found.into(),
            why: None,
        };
        let of_both = vec![wrong(None, "phi", ("true", "false")), wrong(Some(0), "action", ("hold", "deliver"))];
        let told = tell(&case, &Outcome::Failed(of_both));
        let expected = "FAIL  a (line 1)\n        for the message\n        - phi: true\n        + phi: false\n        \
                        for bo@lab.example\n        - action: hold\n        + action: deliver\n";
        assert_eq!(told, expected);
    }
}
