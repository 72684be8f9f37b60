//! The reference: the defaults, the schema, and the page that is written from both.

use std::fmt::Write;
use std::ops::Range;
use std::sync::LazyLock;

use toml::de::DeTable;

use crate::config::reader::{Absent, Reader};

/// Every setting with its default and its reason, as an operator reads it.
pub const REFERENCE: &str = include_str!("../../config/reference.toml");

/// The reference with the settings switched on that stand commented out: behind a bare `#`.
static WHOLE: LazyLock<String> = LazyLock::new(|| {
    let lines = REFERENCE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        Some(_) | None => line,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
});

static SCHEMA: LazyLock<DeTable<'static>> = LazyLock::new(|| DeTable::parse_recoverable(&WHOLE).0.into_inner());

pub(super) fn whole() -> &'static str {
    &WHOLE
}

pub(super) fn schema() -> DeTable<'static> {
    SCHEMA.clone()
}

/// How the reference writes a value, to show as an example.
pub(super) fn written(span: Range<usize>) -> Option<&'static str> {
    WHOLE.get(span)
}

/// `docs/reference/config.md`, written from the reference and from what the reader does with each key.
pub fn page() -> String {
    let mut reader = Reader::new(whole());
    reader.read(schema(), super::read);
    let mut page = Page { asked: reader.asked, ..Page::default() };
    for line in REFERENCE.lines() {
        page.line(line);
    }
    page.text
}

#[derive(Default)]
struct Page {
    asked: std::collections::BTreeMap<String, Absent>,
    text: String,
    /// The comment lines that wait for the setting which they are about.
    prose: Vec<&'static str>,
    table: String,
    opened: bool,
}

impl Page {
    fn line(&mut self, line: &'static str) {
        if line.is_empty() || line == "#" {
            return self.paragraph();
        }
        if let Some(prose) = line.strip_prefix("# ") {
            return self.prose.push(prose);
        }
        let setting = line.strip_prefix('#').unwrap_or(line);
        if setting.starts_with('[') {
            self.heading(setting);
        } else if let Some((key, value)) = setting.split_once(" = ") {
            self.setting(key, value);
        }
    }

    /// A comment that belongs to no setting opens the page.
    fn paragraph(&mut self) {
        if self.prose.is_empty() {
            return;
        }
        if !self.opened {
            self.text.push_str("<!-- Written from config/reference.toml; change it there. -->\n\n# The config\n");
            self.opened = true;
        }
        let paragraph = std::mem::take(&mut self.prose).join(" ");
        // Writing to a String cannot fail.
        let _ = write!(self.text, "\n{paragraph}\n");
    }

    fn heading(&mut self, heading: &'static str) {
        let table = heading.trim_matches(['[', ']']);
        if table != self.table {
            table.clone_into(&mut self.table);
            let _ = write!(self.text, "\n## `{heading}`\n");
        }
        self.paragraph();
    }

    fn setting(&mut self, key: &str, value: &str) {
        // A second example of a table repeats settings without explaining them again.
        if self.prose.is_empty() {
            return;
        }
        let says_itself = self.prose.iter().any(|line| line.contains("Default:"));
        let standing = match self.asked.get(&format!("{}.{key}", self.table)) {
            Some(Absent::Mistake) => format!("Required, as in `{value}`."),
            Some(Absent::Default) if !says_itself => format!("Default: `{value}`."),
            Some(Absent::Default | Absent::Nothing) | None => format!("As in `{value}`."),
        };
        let _ = write!(self.text, "\n### `{key}`\n\n{standing}\n");
        self.paragraph();
    }
}
