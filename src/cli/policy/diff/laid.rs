//! A config as a list of tables with their keys, so that two can be compared.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{Item, TableLike, Value};

/// Keys with their values as they are written, of one table.
pub(super) type Keys = BTreeMap<String, String>;
/// A table's path, and its name where there may be several.
pub(super) type Place = (String, Option<String>);

/// A config as a list of tables, in their order.
#[derive(Debug, Default)]
pub(super) struct Laid {
    pub(super) tables: Vec<(Place, Keys)>,
}

/// What tells apart the entries of an array of tables; the first that is there.
const NAMES: [&str; 4] = ["name", "bind", "domains", "chain"];
/// The key for what a group's file lists.
pub(super) const MEMBERS: &str = "members from file";
impl Laid {
    /// What a group's file lists is a key of the group.
    pub(super) fn add_members(&mut self, all: &[(String, Vec<String>)]) {
        for (group, lines) in all {
            let place = ("policy.group".to_owned(), Some(group.clone()));
            let Some((_, keys)) = self.tables.iter_mut().find(|(other, _)| *other == place) else { continue };
            let entries =
                lines.iter().map(|line| line.split_once('#').map_or(line.as_str(), |(entry, _)| entry).trim());
            let entries: BTreeSet<&str> = entries.filter(|entry| !entry.is_empty()).collect();
            keys.insert(MEMBERS.to_owned(), Value::from_iter(entries).to_string());
        }
    }

    pub(super) fn find(&self, place: &Place) -> Option<&Keys> {
        self.tables.iter().find(|(other, _)| other == place).map(|(_, keys)| keys)
    }

    pub(super) fn rules(&self) -> Vec<&str> {
        let rules = self.tables.iter().filter(|((table, _), _)| table == "policy.rule");
        rules.filter_map(|((_, name), _)| name.as_deref()).collect()
    }
}

pub(super) fn lay(document: &dyn TableLike) -> Laid {
    let mut laid = Laid::default();
    lay_table(&mut laid, (String::new(), None), document);
    laid
}

fn lay_table(laid: &mut Laid, place: Place, table: &dyn TableLike) {
    let mut keys = Keys::new();
    let mut below: Vec<(Place, &dyn TableLike)> = Vec::new();
    for (key, item) in table.iter() {
        let path = if place.0.is_empty() { key.to_owned() } else { format!("{}.{key}", place.0) };
        match item {
            Item::ArrayOfTables(all) => {
                let entries =
                    all.iter().enumerate().map(|(at, entry)| ((path.clone(), Some(name(entry, at))), entry as _));
                below.extend(entries);
            }
            Item::Value(Value::Array(all)) if place.1.is_none() && all.iter().any(Value::is_inline_table) => {
                let entries = all.iter().filter_map(Value::as_inline_table).enumerate();
                below.extend(entries.map(|(at, entry)| ((path.clone(), Some(name(entry, at))), entry as _)));
            }
            // A table below a named one is part of it.
            Item::Table(inner) if place.1.is_none() => below.push(((path, None), inner)),
            Item::Value(Value::InlineTable(inner)) if place.1.is_none() => below.push(((path, None), inner)),
            Item::Table(inner) => keys.extend(flat(key, inner)),
            Item::Value(Value::InlineTable(inner)) => keys.extend(flat(key, inner)),
            Item::Value(value) => drop(keys.insert(key.to_owned(), shown(value))),
            Item::None => {}
        }
    }
    if !keys.is_empty() || place.1.is_some() {
        laid.tables.push((place, keys));
    }
    for (place, table) in below {
        lay_table(laid, place, table);
    }
}

fn flat(prefix: &str, table: &dyn TableLike) -> Keys {
    let mut keys = Keys::new();
    for (key, item) in table.iter() {
        let key = format!("{prefix}.{key}");
        match item.as_table_like() {
            Some(inner) => keys.extend(flat(&key, inner)),
            None => drop(keys.insert(key, item.as_value().map(shown).unwrap_or_else(|| item.to_string()))),
        }
    }
    keys
}

fn name(table: &dyn TableLike, at: usize) -> String {
    let named = NAMES.iter().find_map(|key| table.get(key)).and_then(Item::as_value);
    match named {
        Some(Value::String(text)) => text.value().clone(),
        Some(value) => shown(value),
        None => (at + 1).to_string(),
    }
}

/// As it is written, without the comments around it.
fn shown(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    if let Value::Array(array) = &mut value {
        array.iter_mut().for_each(|entry| entry.decor_mut().clear());
        array.set_trailing("");
        array.set_trailing_comma(false);
        array.fmt();
    }
    value.to_string()
}

/// The entries of a list as they are meant: text without its quotes.
pub(super) fn entries(list: &str) -> Option<BTreeSet<String>> {
    let list = list.parse::<Value>().ok()?;
    let meant = |entry: &Value| entry.as_str().map_or_else(|| shown(entry), str::to_owned);
    Some(list.as_array()?.iter().map(meant).collect())
}
