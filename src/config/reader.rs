//! Reads tables key by key, and keeps every mistake: what is left over in the end are the unknown keys.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::config::value::{nearest, what_it_is};

/// Something in the text that has to be mended before it is a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// Dotted, as in `limits.idle`; empty when the text is not TOML.
    pub key: String,
    /// What to do. It quotes no value that may name a person or be a secret.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.text),
            key => write!(f, "line {}: {key}: {}", self.line, self.text),
        }
    }
}

/// Where the value of a key that is not written comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Nowhere: it is a mistake.
    Mistake,
    /// Nowhere: the setting is off, or follows from others.
    Nothing,
    /// The reference.
    Default,
}

/// What reading a whole text gathers.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    text: &'t str,
    pub(super) mistakes: Vec<Mistake>,
    /// Every key that was asked for, dotted.
    pub(super) asked: BTreeMap<String, Absent>,
}

/// One table that is being read. Keys are taken out of it.
#[derive(Debug)]
pub(super) struct Table<'r, 't> {
    reader: &'r mut Reader<'t>,
    path: String,
    pub(super) line: usize,
    entries: DeTable<'t>,
    reference: DeTable<'static>,
    known: Vec<&'static str>,
}

/// The line of a value that was given, for mistakes that show only beside other values.
pub(super) struct Given<T> {
    pub(super) line: usize,
    pub(super) value: T,
}

/// Values of which each may be written once, with their lines.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<String, usize>);

impl Seen {
    /// The line where this value was written before; if it was not, it is kept with this line.
    pub(super) fn earlier(&mut self, value: &str, line: usize) -> Option<usize> {
        let earlier = self.0.get(value).copied();
        if earlier.is_none() {
            self.0.insert(value.to_owned(), line);
        }
        earlier
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = String> {
        self.0.into_keys()
    }
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Reader<'t> {
        Reader { text, mistakes: Vec::new(), asked: BTreeMap::new() }
    }

    /// Reads the whole text over `reference`, which gives the defaults. Text that is not TOML is not read further.
    pub(super) fn read<T>(&mut self, reference: DeTable<'static>, read: fn(&mut Table<'_, 't>) -> T) -> Option<T> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let line = self.line(error.span().map_or(0, |span| span.start));
            let text = format!("this is not TOML: {}; the rest is checked once this is mended", error.message());
            self.mistakes.push(Mistake { line, key: String::new(), text });
        }
        if !errors.is_empty() {
            return None;
        }
        let entries = root.into_inner();
        let table = Table { reader: self, path: String::new(), line: 1, entries, reference, known: Vec::new() };
        let read = table.finish(read);
        self.mistakes.sort_by_key(|mistake| mistake.line);
        Some(read)
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

impl<'t> Table<'_, 't> {
    /// A value that must be written.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        convert: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let Some(given) = self.take(key, Absent::Mistake) else {
            self.missing(key);
            return None;
        };
        self.convert(key, &given, convert)
    }

    /// A value that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        convert: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.take(key, Absent::Nothing)?;
        self.convert(key, &given, convert)
    }

    /// A value that the reference gives when the text does not. After a mistake the type's own default stands in,
    /// so that reading goes on; a config with mistakes is never handed out.
    pub(super) fn setting<T: Default>(
        &mut self,
        key: &'static str,
        convert: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        match self.take(key, Absent::Default) {
            Some(given) => self.convert(key, &given, convert).unwrap_or_default(),
            None => self.reference.get(key).and_then(|default| convert(default.get_ref()).ok()).unwrap_or_default(),
        }
    }

    /// A list, each entry with its own mistake.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        absent: Absent,
        convert: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Vec<T> {
        self.entries_of(key, absent, convert).into_iter().map(|given| given.value).collect()
    }

    /// A list that, once it is written, has at least one entry.
    pub(super) fn filled<T>(
        &mut self,
        key: &'static str,
        absent: Absent,
        convert: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Vec<Given<T>> {
        let written = self.entries.get(key).and_then(|value| value.get_ref().as_array());
        if written.is_some_and(|entries| entries.is_empty()) {
            self.mistake(self.line_of(key), key, "write at least one entry between the brackets");
        }
        self.entries_of(key, absent, convert)
    }

    fn entries_of<T>(
        &mut self,
        key: &'static str,
        absent: Absent,
        convert: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Vec<Given<T>> {
        let Some(given) = self.take(key, absent) else {
            return match absent {
                Absent::Mistake => {
                    self.missing(key);
                    Vec::new()
                }
                Absent::Nothing => Vec::new(),
                Absent::Default => self.default_list(key, convert),
            };
        };
        let DeValue::Array(entries) = given.value.get_ref() else {
            let kind = what_it_is(given.value.get_ref());
            self.mistake(given.line, key, format!("write a list, as in {key} = [\"…\"]; this is {kind}"));
            return Vec::new();
        };
        let mut values = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let line = self.reader.line(entry.span().start);
            match convert(entry.get_ref()) {
                Ok(value) => values.push(Given { line, value }),
                Err(text) => self.mistake(line, key, format!("entry {}: {text}", index + 1)),
            }
        }
        values
    }

    fn default_list<T>(&self, key: &str, convert: impl Fn(&DeValue<'_>) -> Result<T, String>) -> Vec<Given<T>> {
        let default = self.reference.get(key).and_then(|default| default.get_ref().as_array());
        let entries = default.into_iter().flat_map(|array| array.iter());
        entries.filter_map(|entry| Some(Given { line: self.line, value: convert(entry.get_ref()).ok()? })).collect()
    }

    /// A table within this one; when it is not written, all of its settings have their defaults.
    pub(super) fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'_, 't>) -> T) -> T {
        self.known.push(key);
        let reference = match self.reference.get(key).map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => table.clone(),
            _ => DeTable::new(),
        };
        let given = match self.entries.remove_entry(key) {
            None => Given { line: self.line, value: DeTable::new() },
            Some((name, value)) => {
                let line = self.reader.line(name.span().start);
                match value.into_inner() {
                    DeValue::Table(table) => Given { line, value: table },
                    other => {
                        let path = self.dotted(key);
                        self.mistake(line, key, format!("write a table, [{path}]; this is {}", what_it_is(&other)));
                        Given { line, value: DeTable::new() }
                    }
                }
            }
        };
        self.child(key, given, reference).finish(read)
    }

    /// The entries of a table whose keys are not ours, such as names of header fields; each key is written once.
    pub(super) fn pairs(&mut self, key: &'static str) -> Vec<(String, Given<DeValue<'t>>)> {
        self.known(key);
        let Some((name, value)) = self.entries.remove_entry(key) else { return Vec::new() };
        let line = self.reader.line(name.span().start);
        let DeValue::Table(table) = value.into_inner() else {
            self.mistake(line, key, format!("write a table, as in {key} = {{ \"X-Class\" = \"phi\" }}"));
            return Vec::new();
        };
        if table.is_empty() {
            self.mistake(line, key, "write at least one entry between the braces");
        }
        let mut pairs = Vec::new();
        for (name, value) in table {
            let line = self.reader.line(name.span().start);
            let name = name.into_inner().into_owned();
            self.reader.asked.insert(format!("{}.{name}", self.dotted(key)), Absent::Nothing);
            pairs.push((name, Given { line, value: value.into_inner() }));
        }
        pairs
    }

    /// A key that is a setting here, although it is not read when it is not written.
    pub(super) fn known(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    /// All tables `[[key]]`. The first one of the reference gives the defaults, and the examples with the further ones.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Table<'_, 't>) -> Option<T>,
    ) -> Vec<T> {
        self.known.push(key);
        let reference = match self.reference.get(key).map(Spanned::get_ref) {
            Some(DeValue::Array(array)) => merged(array),
            _ => DeTable::new(),
        };
        let Some((name, value)) = self.entries.remove_entry(key) else { return Vec::new() };
        let path = self.dotted(key);
        let DeValue::Array(array) = value.into_inner() else {
            let line = self.reader.line(name.span().start);
            self.mistake(line, key, format!("write the table with two brackets, [[{path}]]"));
            return Vec::new();
        };
        let mut all = Vec::new();
        for entry in array {
            let line = self.reader.line(entry.span().start);
            match entry.into_inner() {
                DeValue::Table(value) => {
                    all.extend(self.child(key, Given { line, value }, reference.clone()).finish(&mut read));
                }
                other => self.mistake(line, key, format!("write a table, [[{path}]]; this is {}", what_it_is(&other))),
            }
        }
        all
    }

    /// The line of a key that was not taken yet, or of the table.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.entries.get_key_value(key).map_or(self.line, |(name, _)| self.reader.line(name.span().start))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// How many mistakes there are so far.
    pub(super) fn mistakes(&self) -> usize {
        self.reader.mistakes.len()
    }

    pub(super) fn mistake(&mut self, line: usize, key: &str, text: impl Into<String>) {
        let key = self.dotted(key);
        self.reader.mistakes.push(Mistake { line, key, text: text.into() });
    }

    fn missing(&mut self, key: &'static str) {
        let example = self.reference.get(key).and_then(|example| crate::config::reference::written(example.span()));
        let text = format!("is missing: write {key} = {}", example.unwrap_or("…"));
        self.mistake(self.line, key, text);
    }

    fn take(&mut self, key: &'static str, absent: Absent) -> Option<Given<Spanned<DeValue<'t>>>> {
        self.known.push(key);
        self.reader.asked.insert(self.dotted(key), absent);
        let (name, value) = self.entries.remove_entry(key)?;
        Some(Given { line: self.reader.line(name.span().start), value })
    }

    fn convert<T>(
        &mut self,
        key: &'static str,
        given: &Given<Spanned<DeValue<'t>>>,
        convert: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        match convert(given.value.get_ref()) {
            Ok(value) => Some(value),
            Err(text) => {
                self.mistake(given.line, key, text);
                None
            }
        }
    }

    fn child<'c>(&'c mut self, key: &str, given: Given<DeTable<'t>>, reference: DeTable<'static>) -> Table<'c, 't> {
        let path = self.dotted(key);
        Table { reader: self.reader, path, line: given.line, entries: given.value, reference, known: Vec::new() }
    }

    fn dotted(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// Reads what is known; what is then left is not.
    fn finish<T>(mut self, read: impl FnOnce(&mut Table<'_, 't>) -> T) -> T {
        let value = read(&mut self);
        for (name, _) in std::mem::take(&mut self.entries) {
            let line = self.reader.line(name.span().start);
            let text = match nearest(name.get_ref(), self.known.iter().copied()) {
                Some(known) => format!("is not a setting; did you mean {known}?"),
                None => format!("is not a setting; those here are {}", self.known.join(", ")),
            };
            self.mistake(line, &name.into_inner(), text);
        }
        value
    }
}

/// The tables as one, in which the first that has a key gives its value.
fn merged(tables: &DeArray<'static>) -> DeTable<'static> {
    let mut all = DeTable::new();
    for table in tables.iter().filter_map(|table| table.get_ref().as_table()) {
        for (key, value) in
            table.iter().filter(|(key, _)| !all.contains_key(key.get_ref().as_ref())).collect::<Vec<_>>()
        {
            all.insert(key.clone(), value.clone());
        }
    }
    all
}
