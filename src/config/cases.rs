//! The file of policy tests that an admin keeps beside the config: messages, and what is to be decided for them.

use std::fmt;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use crate::config::policy::Last;
use crate::config::reader::{Absent, Given, Mistake, Reader, Seen, Table};
use crate::config::value;
use crate::mail::{Address, ClientName, Method};
use crate::phi::{Kind, Phi};

/// More is a corpus, and would keep a reload waiting.
const MAX_CASES: usize = 1000;

/// `[[case]]`
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// Where it stands in its file.
    pub line: usize,
    /// Without it, the client that may use `from`.
    pub client: Option<ClientName>,
    /// The envelope's sender; without it, the null one.
    pub from: Option<Address>,
    pub first: Address,
    pub rest: Vec<Address>,
    pub message: CaseMessage,
    pub expect: Expect,
}

/// The message of a case.
#[derive(Clone)]
pub enum CaseMessage {
    /// Relative to the folder of the file that names it.
    File(PathBuf),
    Written(Phi<String>),
}

/// What a case expects for each of its recipients; what is not said may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    pub action: Option<ActionName>,
    /// The method that is tried first.
    pub method: Option<Method>,
    /// The whole list, in its order; of what is held, those by which it goes once it is released.
    pub methods: Vec<Method>,
    pub last: Option<Last>,
    pub rule: Option<String>,
    /// These rules matched, and gave way.
    pub lost: Vec<String>,
    /// These rules did not match.
    pub not_matched: Vec<String>,
    pub phi: Option<bool>,
    /// Each must be among the findings.
    pub kinds: Vec<Kind>,
    /// Words that a remark of the decision holds.
    pub remark: Option<String>,
    /// Each stands in what rules add.
    pub adds: Vec<String>,
}

/// What is done with a message for one recipient, by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionName {
    Deliver,
    Hold,
    Reject,
}

impl ActionName {
    pub const ALL: [ActionName; 3] = [ActionName::Deliver, ActionName::Hold, ActionName::Reject];

    pub const fn name(self) -> &'static str {
        match self {
            ActionName::Deliver => "deliver",
            ActionName::Hold => "hold",
            ActionName::Reject => "reject",
        }
    }
}

/// Reads a file of cases, or says everything that is wrong with it, in the order of its lines.
pub fn parse_cases(text: &str) -> Result<Vec<Case>, Vec<Mistake>> {
    let mut reader = Reader::new(text);
    let cases = reader.read(DeTable::new(), read);
    match cases {
        Some(cases) if reader.mistakes.is_empty() => Ok(cases),
        Some(_) | None => Err(reader.mistakes),
    }
}

fn read(root: &mut Table<'_, '_>) -> Vec<Case> {
    let mut names = Seen::default();
    let mut count = 0;
    let cases = root.tables("case", |table| {
        count += 1;
        let line = table.line_of("name");
        let case = Case::read(table);
        if let Some(first) = case.as_ref().and_then(|case| names.earlier(&case.name, line)) {
            table.mistake(line, "name", format!("the case on line {first} has this name already: choose another"));
        }
        case
    });
    if count == 0 {
        root.mistake(1, "case", "there is no [[case]]: a file that tests nothing lets everything pass");
    }
    if count > MAX_CASES {
        root.mistake(1, "case", format!("there are {count} cases; {MAX_CASES} are the most"));
    }
    cases
}

impl Case {
    fn read(table: &mut Table<'_, '_>) -> Option<Case> {
        let line = table.line;
        let name = table.required("name", value::text);
        let client = table.optional("client", value::text).map(ClientName);
        let from = table.optional("from", value::address);
        let to_line = table.line_of("to");
        let mut to = table.filled("to", Absent::Mistake, value::address).into_iter().map(|Given { value, .. }| value);
        let (first, rest) = (to.next(), to.collect());
        let file = table.optional("file", value::path);
        let written = table.optional("message", written);
        let message = match (file, written) {
            (Some(file), None) => Some(CaseMessage::File(file)),
            (None, Some(text)) => Some(CaseMessage::Written(text)),
            (None, None) => {
                table.mistake(line, "message", "is missing: write the message itself, or file with its name");
                None
            }
            (Some(_), Some(_)) => {
                table.mistake(line, "message", "leave one of file and message");
                None
            }
        };
        if first.is_none() && table.mistakes() == 0 {
            table.mistake(to_line, "to", "name at least one recipient");
        }
        let expect_line = table.line_of("expect");
        let expect = table.table("expect", Expect::read);
        if expect == Expect::default() && table.mistakes() == 0 {
            let text = "says nothing: write action, methods, rule, phi or another key, or the case cannot fail";
            table.mistake(expect_line, "expect", text);
        }
        Some(Case { name: name?, line, client, from, first: first?, rest, message: message?, expect })
    }

    pub fn recipients(&self) -> impl Iterator<Item = &Address> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

impl Expect {
    fn read(table: &mut Table<'_, '_>) -> Expect {
        let actions = ActionName::ALL.map(|action| (action.name(), action));
        let lasts = [("hold", Last::Hold), ("undeliverable", Last::Undeliverable)];
        let values = |given: Vec<Given<String>>| given.into_iter().map(|given| given.value).collect();
        Expect {
            action: table.optional("action", |written| value::one_of(written, actions)),
            method: table.optional("method", value::method),
            methods: table
                .filled("methods", Absent::Nothing, value::method)
                .into_iter()
                .map(|given| given.value)
                .collect(),
            last: table.optional("last", |written| value::one_of(written, lasts)),
            rule: table.optional("rule", value::text),
            lost: values(table.filled("lost", Absent::Nothing, value::text)),
            not_matched: values(table.filled("not_matched", Absent::Nothing, value::text)),
            phi: table.optional("phi", value::flag),
            kinds: table.filled("kinds", Absent::Nothing, value::kind).into_iter().map(|given| given.value).collect(),
            remark: table.optional("remark", value::text),
            adds: values(table.filled("adds", Absent::Nothing, value::text)),
        }
    }
}

/// A whole message: of many lines, unlike other texts of a config.
fn written(value: &DeValue<'_>) -> Result<Phi<String>, String> {
    match value.as_str() {
        Some(text) if !text.trim().is_empty() => Ok(Phi::new(text.to_owned())),
        Some(_) | None => Err("write the message between three quotes: header, an empty line, text".into()),
    }
}

impl fmt::Debug for CaseMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        parse_cases(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_case_is_read_with_all_it_says() {
        let text = "[[case]]\nname = \"charts are held\"\nclient = \"ehr\"\nfrom = \"ann@clinic.example\"\n\
                    to = [\"bo@lab.example\", \"cy@lab.example\"]\nmessage = \"\"\"\nSubject: x\n\nMRN\n\"\"\"\n\
                    expect = { action = \"hold\", rule = \"look first\", phi = true, kinds = [\"MRN\"] }\n\
                    [[case]]\nname = \"lunch\"\nto = [\"bo@lab.example\"]\nfile = \"lunch.eml\"\n\
                    expect = { method = \"tls:valid\" }\n";
        let cases = parse_cases(text).unwrap();
        assert_eq!((cases[0].line, cases[0].recipients().count()), (1, 2));
        assert_eq!(cases[0].expect.action, Some(ActionName::Hold));
        assert_eq!((cases[0].expect.phi, cases[0].expect.kinds.as_slice()), (Some(true), &[Kind::Mrn][..]));
        assert!(matches!(&cases[0].message, CaseMessage::Written(text) if text.expose().starts_with("Subject: x")));
        assert!(matches!(&cases[1].message, CaseMessage::File(file) if file.ends_with("lunch.eml")));
        assert!(cases[1].from.is_none() && cases[1].client.is_none());
        assert!(!format!("{cases:?}").contains("MRN\n"));
    }

    #[test]
    fn a_file_that_cannot_test_anything_is_refused() {
        assert_eq!(mistakes("").len(), 1);
        let case = |rest: &str| format!("[[case]]\nname = \"x\"\nto = [\"bo@lab.example\"]\n{rest}");
        for (text, part) in [
            (case("message = \"Subject: x\"\n"), "expect: says nothing"),
            (case("expect = { phi = true }\n"), "message: is missing"),
            (case("file = \"a\"\nmessage = \"b\"\nexpect = { phi = true }\n"), "leave one of"),
            (case("file = \"a\"\nexpect = { phi = true, ruel = \"x\" }\n"), "did you mean rule?"),
            (case("file = \"a\"\nexpect = { action = \"holt\" }\n"), "did you mean \"hold\"?"),
            ("[[case]]\nname = \"x\"\nfile = \"a\"\nexpect = { phi = true }\n".into(), "case.to: is missing"),
            (case("file = \"a\"\nexpect = { phi = true }\n").repeat(2), "has this name already"),
        ] {
            let found = mistakes(&text);
            assert!(found.iter().any(|mistake| mistake.contains(part)), "{part}: {found:?}");
        }
    }
}
