//! `[[policy.group]]`: named lists of people, domains and clients, so that rules stay short.

use std::fmt;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::config::reader::{Absent, Mistake, Seen, Table};
use crate::config::value;

/// More entries than that belong into a directory, and would make each decision slow.
const MAX_MEMBERS: usize = 100_000;

/// `[[policy.group]]`. `Debug` shows only its name.
#[derive(Clone, Default)]
pub struct Group {
    pub name: String,
    /// Address patterns.
    pub members: Vec<String>,
    /// A file with one more member a line.
    pub file: Option<PathBuf>,
    /// Whether its members may opt out of protection.
    pub may_opt_out: bool,
    /// The line of the config that names it.
    line: usize,
}

pub(super) fn read_all(table: &mut Table<'_, '_>) -> Vec<Group> {
    let mut names = Seen::default();
    table.tables("group", |table| {
        let line = table.line_of("name");
        let name = table.required("name", value::text);
        if let Some(first) = name.as_ref().and_then(|name| names.earlier(name, line)) {
            table.mistake(line, "name", format!("the group on line {first} has this name already: choose another"));
        }
        let has_members = table.has("members");
        let members = table.filled("members", Absent::Nothing, member);
        let file = table.optional("file", value::path);
        let may_opt_out = table.setting("may_opt_out", value::flag);
        if !has_members && file.is_none() {
            table.mistake(table.line, "members", "is missing: write who belongs to it, or the file that lists them");
        }
        let members = members.into_iter().map(|given| given.value).collect();
        Some(Group { name: name?, members, file, may_opt_out, line })
    })
}

/// `ann@clinic.example`, `*@clinic.example`, or a domain, which stands for all of its people.
fn member(written: &DeValue<'_>) -> Result<String, String> {
    let text = value::text(written)?;
    let whole = if text.contains('@') { text } else { format!("*@{text}") };
    value::address_pattern(&DeValue::String(whole.into()))
        .map_err(|_| "write \"ann@lab.example\", \"*@lab.example\", \"lab.example\" or \"*.lab.example\"".into())
}

impl Group {
    /// Adds the members that its file lists: one a line, `#` begins a comment. The file's text is given: who reads files
    /// is another room.
    pub fn add_members(&mut self, text: &str) -> Result<(), Mistake> {
        let mistake = |text: String| Mistake { line: self.line, key: "policy.group.file".into(), text };
        let mut members = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let entry = line.split_once('#').map_or(line, |(entry, _)| entry).trim();
            if entry.is_empty() {
                continue;
            }
            let read = member(&DeValue::String(entry.into()));
            members.push(read.map_err(|wanted| mistake(format!("line {} of the file: {wanted}", at + 1)))?);
        }
        if members.is_empty() && self.members.is_empty() {
            return Err(mistake("the file lists nobody, and a rule about the group would never hold".into()));
        }
        let all = self.members.len() + members.len();
        if all > MAX_MEMBERS {
            return Err(mistake(format!("with the file, the group has {all} members; {MAX_MEMBERS} are the most")));
        }
        self.members.extend(members);
        Ok(())
    }

    /// A mistake about its file, which cannot be read.
    pub fn unreadable(&self, why: &str) -> Mistake {
        Mistake { line: self.line, key: "policy.group.file".into(), text: format!("the file cannot be read: {why}") }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lists_one_member_a_line() {
        let mut group = Group { name: "partners".into(), line: 7, ..Group::default() };
        group.add_members("# labs\nlab.example  # all of them\n\n*.imaging.example\nbo@Payer.example\n").unwrap();
        assert_eq!(group.members, ["*@lab.example", "*@*.imaging.example", "bo@payer.example"]);
        let wrong = group.add_members("lab.example\nno one at all\n").unwrap_err();
        assert!(wrong.to_string().starts_with("line 7: policy.group.file: line 2 of the file: write "), "{wrong}");
        assert!(Group::default().add_members("# nobody\n").is_err());
    }
}
