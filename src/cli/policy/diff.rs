//! `sealpost policy diff`: what differs between two configs, in words, and what it means for mail.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::cli::output::{Failed, Format, print_json, print_line};
use crate::cli::policy::kept::{self, Named};
use crate::cli::reach;
use crate::config::{self, Last, Policy, Then};
use crate::policy;

/// One difference.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Difference {
    /// As in `queue` or `policy.rule`.
    table: String,
    /// Which one, of tables of which there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    change: Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    means: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Added,
    Removed,
    Changed,
    Moved,
}

/// Keys with their values as they are written, of one table.
type Keys = BTreeMap<String, String>;
/// A table's path, and its name where there may be several.
type Place = (String, Option<String>);

/// A config as a list of tables, in their order.
#[derive(Debug, Default)]
struct Laid {
    tables: Vec<(Place, Keys)>,
}

/// What tells apart the entries of an array of tables; the first that is there.
const NAMES: [&str; 4] = ["name", "bind", "domains", "chain"];
/// What must not be shown.
const SECRET: [&str; 2] = ["password_hash", "scram"];

pub(super) fn run(
    path: &Path,
    (first, second): (Option<String>, Option<String>),
    format: Format,
) -> Result<ExitCode, Failed> {
    let (from, to) = match (first, second) {
        (None, _) => (in_force(path)?, file(path)?),
        (Some(one), None) if Path::new(&one).is_file() => (in_force(path)?, file(Path::new(&one))?),
        (Some(one), None) => (either(path, &one)?, in_force(path)?),
        (Some(one), Some(other)) => (either(path, &one)?, either(path, &other)?),
    };
    let differences = differences(&from.text, &to.text).map_err(Failed::Config)?;
    match format {
        Format::Json => differences.iter().for_each(print_json),
        Format::Text => {
            print_line(format!("From {} to {}:", from.name, to.name));
            print_line(tell(&differences).trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn file(path: &Path) -> Result<Named, Failed> {
    let text = std::fs::read_to_string(path).map_err(|error| Failed::file(path, &error))?;
    Ok(Named { name: path.display().to_string(), text })
}

fn in_force(path: &Path) -> Result<Named, Failed> {
    let running = reach::read_config(path)?;
    let (_, digest) = kept::list(&running)?;
    let none = || Failed::Unavailable("no daemon runs here, so no config is in force: name two".to_owned());
    let (digest, text) = kept::read(&running, &digest.ok_or_else(none)?)?;
    Ok(Named { name: format!("{} (in force)", kept::short(&digest)), text })
}

fn either(path: &Path, given: &str) -> Result<Named, Failed> {
    if Path::new(given).is_file() {
        return file(Path::new(given));
    }
    let start = kept::digest(given)
        .map_err(|_| Failed::NotFound(format!("{given} is neither a file nor a digest of a config")))?;
    let (digest, text) = kept::read(&reach::read_config(path)?, &start)?;
    Ok(Named { name: kept::short(&digest).to_owned(), text })
}

fn differences(from: &str, to: &str) -> Result<Vec<Difference>, String> {
    let laid = |text: &str| text.parse::<DocumentMut>().map(|document| lay(document.as_table()));
    let (old, new) = (laid(from), laid(to));
    let (old, new) = (old.map_err(|error| error.to_string())?, new.map_err(|error| error.to_string())?);
    // What an older version wrote may be no config of this one; then less can be said of what it means.
    let policies = config::parse(from).ok().zip(config::parse(to).ok()).map(|(old, new)| (old.policy, new.policy));
    let mut all = Vec::new();
    for (place, keys) in &new.tables {
        match old.find(place) {
            None => all.push(whole(place, Change::Added, policies.as_ref().map(|(_, new)| new))),
            Some(before) => all.extend(changed(place, (before, keys), policies.as_ref())),
        }
        if old.find(place).is_none() {
            all.extend(keys.iter().map(|(key, value)| written(place, key, value)));
        }
    }
    for (place, _) in old.tables.iter().filter(|(place, _)| new.find(place).is_none()) {
        all.push(whole(place, Change::Removed, policies.as_ref().map(|(old, _)| old)));
    }
    all.extend(moved(&old, &new));
    Ok(all)
}

impl Laid {
    fn find(&self, place: &Place) -> Option<&Keys> {
        self.tables.iter().find(|(other, _)| other == place).map(|(_, keys)| keys)
    }

    fn rules(&self) -> Vec<&str> {
        let rules = self.tables.iter().filter(|((table, _), _)| table == "policy.rule");
        rules.filter_map(|((_, name), _)| name.as_deref()).collect()
    }
}

fn lay(document: &dyn TableLike) -> Laid {
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
            // A table below a named one is part of it.
            Item::Table(inner) if place.1.is_none() => below.push(((path, None), inner)),
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

fn whole(place: &Place, change: Change, policy: Option<&Policy>) -> Difference {
    let means = (place.0 == "policy.rule").then(|| {
        let only = match change {
            Change::Removed => "mail that no other rule covers goes by the default",
            Change::Added | Change::Changed | Change::Moved => {
                "the default no longer stands for mail that it covers; of the rules that match, the most protective decides"
            }
        };
        let lowers = policy.and_then(|policy| below_default(policy, place.1.as_deref()?)).unwrap_or_default();
        format!("{only}{lowers}")
    });
    Difference { table: place.0.clone(), name: place.1.clone(), change, key: None, was: None, is: None, means }
}

/// Whether a rule protects less than the default that it stands in for.
fn below_default(policy: &Policy, name: &str) -> Option<&'static str> {
    let rule = policy.rules.iter().find(|rule| rule.name == name)?;
    match policy::compare_rules(rule.then.as_ref(), Some(&Then::Deliver(policy.default.clone(), Last::Hold)))? {
        Ordering::Less => Some("; it protects less than the default"),
        Ordering::Equal | Ordering::Greater => None,
    }
}

fn written(place: &Place, key: &str, value: &str) -> Difference {
    Difference {
        table: place.0.clone(),
        name: place.1.clone(),
        change: Change::Added,
        key: Some(key.to_owned()),
        was: None,
        is: Some(harmless(key, value)),
        means: None,
    }
}

fn changed(place: &Place, (old, new): (&Keys, &Keys), policies: Option<&(Policy, Policy)>) -> Vec<Difference> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut all = Vec::new();
    for key in keys.into_iter().filter(|key| old.get(*key) != new.get(*key)) {
        let (was, is) = (old.get(key), new.get(key));
        all.push(Difference {
            table: place.0.clone(),
            name: place.1.clone(),
            change: Change::Changed,
            key: Some(key.clone()),
            was: was.map(|value| harmless(key, value)),
            is: is.map(|value| harmless(key, value)),
            means: means(place, key, (was, is), policies),
        });
    }
    all
}

fn harmless(key: &str, value: &str) -> String {
    if SECRET.contains(&key) { "[not shown]".to_owned() } else { value.to_owned() }
}

fn means(
    place: &Place,
    key: &str,
    (was, is): (Option<&String>, Option<&String>),
    policies: Option<&(Policy, Policy)>,
) -> Option<String> {
    let (old, new) = policies?;
    let word = match (place.0.as_str(), key) {
        ("policy.rule", "deliver" | "hold" | "reject") => {
            let find = |policy: &Policy| policy.rules.iter().find(|rule| Some(&rule.name) == place.1.as_ref()).cloned();
            protects(policy::compare_rules(find(new)?.then.as_ref(), find(old)?.then.as_ref())?)
        }
        ("policy", "default") => protects(policy::compare_lists(&new.default, &old.default)),
        ("policy", "secure") => protects(policy::compare_lists(&new.secure, &old.secure)),
        ("policy.rule", key) if key.starts_with("when.") => return covers(was, is).map(str::to_owned),
        _ => return None,
    };
    Some(word.to_owned())
}

fn protects(order: Ordering) -> &'static str {
    match order {
        Ordering::Less => "it protects less",
        Ordering::Equal => "it protects as much",
        Ordering::Greater => "it protects more",
    }
}

/// A condition less, or one more entry of it, covers more mail.
fn covers(was: Option<&String>, is: Option<&String>) -> Option<&'static str> {
    let (Some(was), Some(is)) = (was, is) else {
        return Some(if was.is_some() { "it covers more mail" } else { "it covers less mail" });
    };
    let entries = |text: &String| {
        let array = text.parse::<Value>().ok()?.as_array()?.clone();
        Some(array.iter().map(shown).collect::<BTreeSet<String>>())
    };
    let (old, new) = (entries(was)?, entries(is)?);
    let within = |narrow: &BTreeSet<String>, wide: &BTreeSet<String>| {
        let bare = |text: &String| text.trim_matches('"').to_owned();
        narrow.iter().all(|one| wide.iter().any(|other| one == other || policy::is_within(&bare(one), &bare(other))))
    };
    if within(&old, &new) {
        Some("it covers more mail")
    } else if within(&new, &old) {
        Some("it covers less mail")
    } else {
        Some("it covers other mail")
    }
}

/// Rules that changed places; which of two comes first matters only where both protect alike.
fn moved(old: &Laid, new: &Laid) -> Vec<Difference> {
    let (before, after) = (old.rules(), new.rules());
    let stayed = |one: &[&str], other: &[&str]| -> Vec<String> {
        one.iter().filter(|name| other.contains(name)).map(|name| (*name).to_owned()).collect()
    };
    let (was, is) = (stayed(&before, &after), stayed(&after, &before));
    if was == is {
        return Vec::new();
    }
    vec![Difference {
        table: "policy.rule".to_owned(),
        name: None,
        change: Change::Moved,
        key: None,
        was: Some(was.join(", ")),
        is: Some(is.join(", ")),
        means: Some(
            "of rules that protect alike the first decides, by name; what becomes of mail is the same".to_owned(),
        ),
    }]
}

fn tell(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return "nothing differs but comments and spaces".to_owned();
    }
    let mut text = String::new();
    let mut last = None;
    for difference in differences {
        let Difference { table, name, change, key, was, is, means } = difference;
        if last != Some((table, name)) || key.is_none() {
            text.push_str(&heading(difference));
            last = Some((table, name));
        }
        let meaning = means.as_ref().map(|means| format!(": {means}")).unwrap_or_default();
        match (change, key) {
            (_, Some(key)) => {
                let line = match (was, is) {
                    (Some(was), Some(is)) => format!("was {was}, is {is}"),
                    (None, Some(is)) => is.clone(),
                    (Some(was), None) => format!("was {was}, is no longer written"),
                    (None, None) => String::new(),
                };
                text.push_str(&format!("    {key}: {line}{meaning}\n"));
            }
            (Change::Moved, None) => {
                let (was, is) = (was.as_deref().unwrap_or_default(), is.as_deref().unwrap_or_default());
                text.push_str(&format!("    was {was}\n    is  {is}{meaning}\n"));
            }
            (_, None) => {}
        }
    }
    text
}

fn heading(difference: &Difference) -> String {
    let Difference { table, name, change, key, means, .. } = difference;
    let what = match (table.as_str(), name) {
        ("", _) => "the top of the config".to_owned(),
        ("policy.rule", None) => "the order of the rules".to_owned(),
        ("policy.rule", Some(name)) => format!("rule \"{name}\""),
        (table, Some(name)) => format!("[[{table}]] {name}"),
        (table, None) => format!("[{table}]"),
    };
    let sign = match (change, key) {
        (Change::Added, None) => '+',
        (Change::Removed, None) => '-',
        _ => '~',
    };
    let meaning = means.as_ref().filter(|_| key.is_none() && *change != Change::Moved);
    format!("{sign} {what}{}\n", meaning.map(|means| format!(": {means}")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"
[policy]
default = ["tls:valid"]
[[policy.rule]]
name = "a"
when = { recipient_domain = ["lab.example"], phi = true }
hold = "look"
[[policy.rule]]
name = "b"
when = { phi = true }
deliver = ["tls:authenticated"]
"#;

    fn whole_config(policy: &str) -> String {
        let text = include_str!("../../../config/examples/clinic.toml");
        text.split("[policy]").next().unwrap().to_owned() + policy
    }

    fn told(from: &str, to: &str) -> String {
        tell(&differences(&whole_config(from), &whole_config(to)).unwrap())
    }

    #[test]
    fn each_change_is_told_with_what_it_means() {
        let new = OLD
            .replace("[\"lab.example\"], phi = true", "[ \"lab.example\", \"lap.example\" ]")
            .replace("hold = \"look\"", "deliver = [\"tls:valid\"]")
            .replace("default = [\"tls:valid\"]", "default = [\"tls:encrypted\"]");
        let text = told(OLD, &new);
        for line in [
            "~ [policy]\n    default: was [\"tls:valid\"], is [\"tls:encrypted\"]: it protects less",
            "~ rule \"a\"\n    deliver: [\"tls:valid\"]: it protects less\n    hold: was \"look\", is no longer written",
            "    when.phi: was true, is no longer written: it covers more mail",
            "    when.recipient_domain: was [\"lab.example\"], is [\"lab.example\", \"lap.example\"]: it covers more mail",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_wider_pattern_covers_more_mail() {
        let condition =
            |sender: &str| OLD.replace("when = { phi = true }", &format!("when = {{ sender = [\"{sender}\"] }}"));
        let (narrow, wide) = (condition("ann@clinic.example"), condition("*@clinic.example"));
        assert!(told(&narrow, &wide).contains("it covers more mail"));
        assert!(told(&wide, &narrow).contains("it covers less mail"));
        assert!(told(&narrow, &condition("*@lab.example")).contains("it covers other mail"));
    }

    #[test]
    fn rules_that_come_and_go_and_change_places_are_told() {
        let rule = "[[policy.rule]]\nname = \"c\"\nwhen = { marked = true }\ndeliver = [\"tls:encrypted\"]\n";
        let parts: Vec<&str> = OLD.split_inclusive("[policy]\ndefault = [\"tls:valid\"]\n").collect();
        let rules: Vec<&str> = parts[1].split("[[policy.rule]]").collect();
        let turned = format!("{}[[policy.rule]]{}[[policy.rule]]{}", parts[0], rules[2], rules[1]);
        assert!(told(OLD, &turned).contains("~ the order of the rules\n    was a, b\n    is  b, a"));
        let added = told(OLD, &format!("{OLD}{rule}"));
        assert!(added.starts_with("+ rule \"c\": the default no longer stands"), "{added}");
        assert!(added.contains("protects less than the default") && added.contains("when.marked: true"), "{added}");
        assert!(told(&format!("{OLD}{rule}"), OLD).starts_with("- rule \"c\": mail that no other rule covers"));
    }

    #[test]
    fn spaces_and_comments_are_no_difference_and_secrets_are_not_shown() {
        assert_eq!(told(OLD, &OLD.replace("[\"lab.example\"]", "[\n  \"lab.example\", # ours\n]")), tell(&[]));
        let client = "[[client]]\nname = \"x\"\npassword_hash = \"$argon2id$one\"\n";
        let found = differences(client, &client.replace("one", "two")).unwrap();
        assert_eq!(found.len(), 1);
        assert!(!format!("{found:?}").contains("argon2id"));
    }
}
