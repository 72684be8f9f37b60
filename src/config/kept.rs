//! A config as it is kept: its own text and, behind it as comments, what the files of its groups held, which decides too.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::config::reader::Reader;
use crate::config::{reference, value};

/// A kept text, taken apart again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Apart<'t> {
    /// What stood in the file.
    pub own: &'t str,
    /// The lines that each group's file held, by the name of the group.
    pub members: Vec<(String, Vec<&'t str>)>,
}

/// Puts what a group's file holds behind a config's text. The groups come in the order in which the config names them.
pub fn keep_members(text: &mut String, group: &str, members: &str) {
    text.push_str(&heading(group));
    members.lines().for_each(|member| text.push_str(&format!("# {member}\n")));
}

/// Takes a kept text apart: the last heading of each group that has a file is ours, whatever comments the file itself holds.
pub fn apart(kept: &str) -> Apart<'_> {
    let mut apart = Apart { own: kept, members: Vec::new() };
    for name in with_files(kept).into_iter().rev() {
        let heading = heading(&name);
        let Some(at) = apart.own.rfind(&heading) else { break };
        let lines = apart.own[at + heading.len()..].lines().map(|line| line.strip_prefix("# "));
        let Some(members) = lines.collect::<Option<Vec<&str>>>() else { break };
        apart.own = &apart.own[..at];
        apart.members.insert(0, (name, members));
    }
    apart
}

fn heading(group: &str) -> String {
    format!("\n# The members of the group \"{group}\":\n")
}

/// The groups that name a file.
fn with_files(text: &str) -> Vec<String> {
    // A comment out of a group's file may hold what TOML forbids in one; what can be read of the rest is enough.
    let (root, _) = DeTable::parse_recoverable(text);
    let policy = root.get_ref().get("policy").and_then(|policy| policy.get_ref().as_table());
    let groups = policy.and_then(|policy| policy.get("group")).and_then(|groups| groups.get_ref().as_array());
    let named = |group: &DeTable<'_>| {
        group.get("file")?;
        match group.get("name")?.get_ref() {
            DeValue::String(name) => Some(name.to_string()),
            _ => None,
        }
    };
    groups.into_iter().flat_map(|groups| groups.iter()).filter_map(|group| named(group.get_ref().as_table()?)).collect()
}

/// Where the daemon of a config keeps its data, for a config that has mistakes elsewhere. `folder` is the one that it lies in.
pub fn data_dir(text: &str, folder: &Path) -> Option<PathBuf> {
    let read = |text: &str| {
        let mut reader = Reader::new(text);
        let found = reader
            .read(reference::schema(), |root| root.table("server", |server| server.setting("data_dir", value::path)))?;
        let wrong = reader.mistakes.iter().any(|mistake| mistake.key == "server.data_dir" || mistake.key == "server");
        (!wrong).then(|| folder.join(found))
    };
    // What is no TOML at all is wrong somewhere: the lines of that one table may be right.
    read(text).or_else(|| server_alone(text).and_then(|server| read(&server)))
}

fn server_alone(text: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| line.trim_end() != "[server]");
    let first = lines.next()?;
    let rest = lines.take_while(|line| !line.trim_start().starts_with('['));
    Some(std::iter::once(first).chain(rest).collect::<Vec<&str>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "[[policy.group]]\nname = \"labs\"\nfile = \"labs.txt\"\n[[policy.group]]\nname = \"ours\"\n\
                       members = [\"a@clinic.example\"]\n[[policy.group]]\nname = \"payers\"\nfile = \"payers.txt\"";

    fn kept(own: &str) -> String {
        let mut text = own.to_owned();
        keep_members(&mut text, "labs", "# whom we know\r\nlab.example\n\n");
        keep_members(&mut text, "payers", "# \u{7} The members of the group \"labs\":\n");
        text
    }

    #[test]
    fn a_kept_text_comes_apart_into_what_the_files_held() {
        let text = kept(OWN);
        let expected = vec![
            ("labs".to_owned(), vec!["# whom we know", "lab.example", ""]),
            ("payers".to_owned(), vec!["# \u{7} The members of the group \"labs\":"]),
        ];
        assert_eq!(apart(&text), Apart { own: OWN, members: expected.clone() });
        // Once it was written back whole, by hand or from a list: what is kept then is apart from what stands in the file.
        let twice = kept(&text);
        assert_eq!(apart(&twice), Apart { own: &text, members: expected });
        assert_eq!(apart("[server]\n# plain\n"), Apart { own: "[server]\n# plain\n", members: Vec::new() });
    }

    #[test]
    fn where_the_data_lies_is_read_beside_mistakes() {
        let folder = Path::new("/etc/sealpost");
        for (text, expected) in [
            ("[server]\ndata_dir = \"data\"\nhostname = 7\n[policy]\nnothing = 1\n", Some("/etc/sealpost/data")),
            ("[policy\ndefault = 1\n[server]\n# ours\ndata_dir = \"/srv/mail\"\n[tls]\n", Some("/srv/mail")),
            ("[server]\ndata_dir = 7\n", None),
            ("[server\ndata_dir = \"data\"\n", None),
            ("server = \"data\"\n", None),
        ] {
            assert_eq!(data_dir(text, folder), expected.map(PathBuf::from), "{text}");
        }
    }
}
