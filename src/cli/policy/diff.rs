//! `sealpost policy diff`: what differs between two configs, in words, and what it means for mail.

mod laid;
mod means;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use toml_edit::DocumentMut;

use crate::cli::output::{Failed, Format, print_json, print_line};
use crate::cli::policy::kept::{self, Keeper, Named};
use crate::config::{self, Policy};
use crate::daemon::{self, ConfigError};
use laid::{Keys, Laid, MEMBERS, Place, entries, lay};

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

/// Of a longer list only what the other one lacks is shown, and no more than that.
const MOST_MEMBERS: usize = 20;
/// What must not be shown, wherever it stands.
const SECRET: [&str; 2] = ["password_hash", "scram"];
/// Nor what begins like this: it may hold a password.
const WITH_PASSWORD: [&str; 2] = ["postgres://", "postgresql://"];

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
    let differences = differences(&from, &to).map_err(Failed::Config)?;
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
    let name = path.display().to_string();
    match daemon::read_config(path) {
        Ok(loaded) => Ok(Named::kept(name, &loaded.text)),
        Err(ConfigError::Read(error)) => Err(Failed::file(path, &error)),
        // What is written can be compared all the same.
        Err(ConfigError::Mistakes(_)) => {
            let text = std::fs::read_to_string(path).map_err(|error| Failed::file(path, &error))?;
            Ok(Named { name: format!("{name} (which has mistakes)"), text, members: None })
        }
    }
}

fn in_force(path: &Path) -> Result<Named, Failed> {
    let keeper = Keeper::named_by(path)?;
    let (_, digest) = keeper.list()?;
    let none = || Failed::Unavailable("no daemon runs here, so no config is in force: name two".to_owned());
    let (digest, text) = keeper.read(&digest.ok_or_else(none)?)?;
    Ok(Named::kept(format!("{} (in force)", kept::short(&digest)), &text))
}

fn either(path: &Path, given: &str) -> Result<Named, Failed> {
    if Path::new(given).is_file() {
        return file(Path::new(given));
    }
    let start = kept::digest(given)
        .map_err(|_| Failed::NotFound(format!("{given} is neither a file nor a digest of a config")))?;
    let (digest, text) = Keeper::named_by(path)?.read(&start)?;
    Ok(Named::kept(kept::short(&digest).to_owned(), &text))
}

fn differences(from: &Named, to: &Named) -> Result<Vec<Difference>, String> {
    let laid = |text: &str| text.parse::<DocumentMut>().map(|document| lay(document.as_table()));
    let (old, new) = (laid(&from.text), laid(&to.text));
    let (mut old, mut new) = (old.map_err(|error| error.to_string())?, new.map_err(|error| error.to_string())?);
    if let Some((were, are)) = from.members.as_deref().zip(to.members.as_deref()) {
        old.add_members(were);
        new.add_members(are);
    }
    // What an older version wrote may be no config of this one; then less can be said of what it means.
    let policies =
        config::parse(&from.text).ok().zip(config::parse(&to.text).ok()).map(|(old, new)| (old.policy, new.policy));
    let mut all = Vec::new();
    for (place, keys) in &new.tables {
        match old.find(place) {
            None => all.push(whole((place, keys), Change::Added, policies.as_ref().map(|(_, new)| new))),
            Some(before) => all.extend(changed(place, (before, keys), policies.as_ref())),
        }
        if old.find(place).is_none() {
            all.extend(keys.iter().map(|(key, value)| written(place, key, value)));
        }
    }
    for (place, keys) in old.tables.iter().filter(|(place, _)| new.find(place).is_none()) {
        all.push(whole((place, keys), Change::Removed, policies.as_ref().map(|(old, _)| old)));
    }
    all.extend(moved(&old, &new));
    Ok(all)
}

fn whole((place, keys): (&Place, &Keys), change: Change, policy: Option<&Policy>) -> Difference {
    let means = (place.0 == "policy.rule").then(|| means::of_rule((place, keys), change, policy));
    Difference { table: place.0.clone(), name: place.1.clone(), change, key: None, was: None, is: None, means }
}

fn written(place: &Place, key: &str, value: &str) -> Difference {
    Difference {
        table: place.0.clone(),
        name: place.1.clone(),
        change: Change::Added,
        key: Some(key.to_owned()),
        was: None,
        is: Some(harmless(key, value, None)),
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
            was: was.map(|value| harmless(key, value, is)),
            is: is.map(|value| harmless(key, value, was)),
            means: means::of_key(place, key, (was, is), policies),
        });
    }
    all
}

/// A value as it can be shown, beside the one that it replaces or that replaces it.
fn harmless(key: &str, value: &str, other: Option<&String>) -> String {
    let secret = SECRET.iter().any(|secret| key.rsplit('.').next() == Some(secret) || value.contains(secret));
    if secret || WITH_PASSWORD.iter().any(|start| value.contains(start)) {
        return "[not shown]".to_owned();
    }
    if key == MEMBERS { few(value, other) } else { value.to_owned() }
}

/// A long list of members as far as it differs from the other one.
fn few(value: &str, other: Option<&String>) -> String {
    let all = entries(value).unwrap_or_default();
    if all.len() <= MOST_MEMBERS {
        return value.to_owned();
    }
    let others = other.and_then(|other| entries(other)).unwrap_or_default();
    let told: Vec<String> = all.difference(&others).take(MOST_MEMBERS).map(|entry| format!("\"{entry}\"")).collect();
    let rest = all.len() - told.len();
    if told.is_empty() { format!("{rest} entries") } else { format!("{} and {rest} more", told.join(", ")) }
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
        told_whole(&whole_config(from), &whole_config(to))
    }

    fn told_whole(from: &str, to: &str) -> String {
        let named = |text: &str| Named::kept(String::new(), text);
        tell(&differences(&named(from), &named(to)).unwrap())
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
        let inline = "client = [{ name = \"x\", password_hash = \"$argon2id$one\", scram = \"SCRAM-SHA-256$one\" }]\n";
        let odd = "[[door]]\nname = \"x\"\nkeys = [{ password_hash = \"$argon2id$one\" }]\n";
        let database = "[database]\nurl = \"postgres://sealpost:one@db/mail\"\n";
        let short = "database = { url = \"postgres://sealpost:one@db/mail\" }\n";
        for (text, lines) in [(client, 1), (inline, 2), (odd, 1), (database, 1), (short, 1)] {
            let told = told_whole(text, &text.replace("one", "two"));
            assert_eq!(told.matches("was [not shown], is [not shown]").count(), lines, "{told}");
            let told = format!("{told}{}{}", told_whole("", text), told_whole(text, ""));
            for secret in ["argon2id", "SCRAM-SHA", "postgres", "one"] {
                assert!(!told.contains(secret), "{secret} in {told}");
            }
        }
    }

    #[test]
    fn what_stands_in_not_is_meant_the_other_way_round() {
        let with = |when: &str| OLD.replace("when = { phi = true }", &format!("when = {{ phi = true, {when} }}"));
        let one = with("not = { recipient_domain = [\"lab.example\"] }");
        let two = with("not = { recipient_domain = [\"lab.example\", \"payer.example\"] }");
        assert!(told(&one, &two).contains("payer.example\"]: it covers less mail"), "{}", told(&one, &two));
        assert!(told(&two, &one).contains("lab.example\"]: it covers more mail"), "{}", told(&two, &one));
        // Whether the whole `not` comes, or one condition more in it, is another matter each.
        let three = with("not = { recipient_domain = [\"lab.example\"], marked = true }");
        for (from, to) in [(&one, &three), (&three, &one), (&one, &with("marked = true"))] {
            let told = told(from, to);
            assert!(
                told.lines().filter(|line| line.contains("when.not")).all(|line| !line.contains("covers")),
                "{told}"
            );
        }
    }

    #[test]
    fn how_a_finding_is_judged_is_no_condition() {
        let with = |when: &str| OLD.replace("when = { phi = true }", &format!("when = {{ {when} }}"));
        let (plain, strict) = (with("phi = true"), with("phi = true, operating_point = \"strict\""));
        for (from, to) in [(&plain, &strict), (&strict, &plain)] {
            let told = told(from, to);
            assert!(told.contains("when.operating_point") && !told.contains("covers"), "{told}");
        }
    }

    #[test]
    fn what_is_wider_depends_on_the_condition() {
        let with = |when: &str| OLD.replace("when = { phi = true }", &format!("when = {{ {when} }}"));
        for (from, to, word) in [
            ("attachment_types = [\"image/png\"]", "attachment_types = [\"image/*\"]", "more"),
            ("unreadable = [\"any\"]", "unreadable = [\"encrypted\", \"broken\"]", "less"),
            ("sender = [\"a@x.example\", 'b@x.example']", "sender = [\"b@x.example\", \"a@x.example\"]", "the same"),
            ("any = [{ phi = true }]", "any = [{ phi = true }, { tags = [\"[fax]\"] }]", "more"),
        ] {
            let told = told(&with(from), &with(to));
            assert!(told.contains(&format!(": it covers {word} mail")), "{told}");
        }
    }

    #[test]
    fn a_rule_that_only_adds_is_not_called_one_that_decides() {
        let rule = "[[policy.rule]]\nname = \"c\"\nwhen = { phi = true }\nfooter = \"Please answer safely.\"\n";
        let more = format!("{OLD}{rule}");
        assert!(told(OLD, &more).starts_with("+ rule \"c\": it adds to what others decide"), "{}", told(OLD, &more));
        assert!(told(&more, OLD).starts_with("- rule \"c\": what it added"), "{}", told(&more, OLD));
        let decides = format!("{more}hold = \"look\"\n");
        assert!(told(&more, &decides).contains("hold: \"look\": it only added before, and decides now"));
        assert!(told(&decides, &more).contains("is no longer written: it decides nothing now"));
    }

    #[test]
    fn members_out_of_a_file_are_compared() {
        let own = format!("{OLD}[[policy.group]]\nname = \"labs\"\nfile = \"labs.txt\"\n");
        let with = |members: &str| {
            let mut text = whole_config(&own);
            config::keep_members(&mut text, "labs", members);
            text
        };
        let told = told_whole(&with("lab.example\n"), &with("# ours\npayer.example # all\nlab.example\n"));
        let line = "members from file: was [\"lab.example\"], is [\"lab.example\", \"payer.example\"]\n";
        assert_eq!(told, format!("~ [[policy.group]] labs\n    {line}"));
        assert_eq!(told_whole(&with("lab.example\n"), &with("# ours\nlab.example\n")), tell(&[]));
        let many: String = (0..30).map(|at| format!("l{at:02}.example\n")).collect();
        let told = told_whole(&with(&many), &with(&(many.clone() + "new.example\n")));
        assert!(told.contains("was 30 entries, is \"new.example\" and 30 more"), "{told}");
    }
}
