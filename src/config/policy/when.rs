//! `when` of a rule: the conditions. All that are given must hold; a list holds when one of its entries does.

use std::fmt;

use toml::de::DeValue;

use crate::config::policy::Known;
use crate::config::reader::{Absent, Given, Table};
use crate::config::value::{self, nearest};
use crate::mail::ClientName;
use crate::phi::{Kind, Label};

/// `Debug` shows none of it: a pattern may name a person.
#[derive(Clone, Default)]
pub struct When {
    pub client: Vec<ClientName>,
    /// Address patterns, as in `Client::senders`; a group's members stand in for its name.
    pub sender: Vec<String>,
    pub sender_group: Vec<String>,
    pub recipient: Vec<String>,
    pub recipient_group: Vec<String>,
    pub recipient_domain: Vec<String>,
    pub phi: Option<bool>,
    /// How `phi` is judged here, where it differs from the whole policy.
    pub point: Option<OperatingPoint>,
    /// In hundredths, so that two configs can be compared.
    pub score_at_least: Option<u8>,
    pub kinds: Vec<Kind>,
    pub labels: Vec<Label>,
    pub more_than: Vec<(Counted, usize)>,
    pub unreadable: Vec<Cannot>,
    /// `application/pdf`, `image/*`
    pub attachment_types: Vec<String>,
    /// In lower case, without the dot.
    pub attachment_extensions: Vec<String>,
    /// Octets of the whole message.
    pub larger_than: Option<u64>,
    pub attachment_larger_than: Option<u64>,
    /// Subject tags, which come off when they are believed.
    pub tags: Vec<String>,
    pub headers: Vec<HeaderIs>,
    /// Whether the sender asked for protection by a tag, a control header or a sensitivity.
    pub marked: Option<bool>,
    /// None of these groups of conditions holds.
    pub not: Option<Box<When>>,
    /// One of these groups of conditions holds.
    pub any: Vec<When>,
}

/// Where the line between health information and other mail is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperatingPoint {
    /// Misses as little as possible.
    Strict,
    /// Calls as little else health information as possible.
    #[default]
    Balanced,
}

/// What `more_than` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Persons that can be told apart.
    Patients,
    Recipients,
    Attachments,
    /// Findings of one kind.
    Kind(Kind),
}

/// Why a part could not be read, as a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cannot {
    Any,
    /// `mime::Unreadable` by the name that evidence has for it.
    For(&'static str),
}

/// A header field, and the values that it must have one of; `*` is any.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderIs {
    /// In lower case.
    pub name: String,
    pub values: Vec<String>,
}

/// The reasons, as `mime::Unreadable` is written in evidence.
const REASONS: [&str; 10] = [
    "too_deep",
    "too_many_parts",
    "too_large",
    "ratio_exceeded",
    "broken",
    "encrypted",
    "no_reader",
    "scanned",
    "too_slow",
    "crashed",
];

/// How deep a `when` stands: what stands in `not` or `any` is plain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Top,
    Inner,
}

impl When {
    pub(super) fn read(table: &mut Table<'_, '_>, known: &Known<'_>, depth: Depth) -> When {
        let when = When {
            client: clients(table, known),
            sender: condition(table, "sender", value::address_pattern),
            sender_group: groups(table, "sender_group", known),
            recipient: condition(table, "recipient", value::address_pattern),
            recipient_group: groups(table, "recipient_group", known),
            recipient_domain: condition(table, "recipient_domain", value::domain_pattern),
            phi: table.optional("phi", value::flag),
            point: table.optional("operating_point", operating_point),
            score_at_least: table.optional("score_at_least", score),
            kinds: condition(table, "kinds", value::kind),
            labels: condition(table, "labels", label),
            more_than: more_than(table),
            unreadable: condition(table, "unreadable", cannot),
            attachment_types: condition(table, "attachment_types", media_type),
            attachment_extensions: condition(table, "attachment_extensions", extension),
            larger_than: table.optional("larger_than", value::bytes),
            attachment_larger_than: table.optional("attachment_larger_than", value::bytes),
            tags: condition(table, "tags", super::tag),
            headers: headers(table),
            marked: table.optional("marked", value::flag),
            ..When::default()
        };
        match depth {
            Depth::Inner => when,
            Depth::Top => {
                let line = table.line_of("not");
                let not = table.has("not").then(|| table.table("not", |table| When::read(table, known, Depth::Inner)));
                if not.as_ref().is_some_and(When::is_empty) {
                    table.mistake(line, "not", "write at least one condition between the braces");
                }
                table.known("not");
                let any_line = table.line_of("any");
                let has_any = table.has("any");
                let any = table.tables("any", |table| Some(When::read(table, known, Depth::Inner)));
                if any.iter().any(When::is_empty) || (has_any && any.is_empty()) {
                    table.mistake(any_line, "any", "write at least one condition between each pair of braces");
                }
                When { not: not.map(Box::new), any, ..when }
            }
        }
    }

    fn is_empty(&self) -> bool {
        let lists = self.client.is_empty()
            && self.sender.is_empty()
            && self.sender_group.is_empty()
            && self.recipient.is_empty()
            && self.recipient_group.is_empty()
            && self.recipient_domain.is_empty()
            && self.kinds.is_empty()
            && self.labels.is_empty()
            && self.more_than.is_empty()
            && self.unreadable.is_empty()
            && self.attachment_types.is_empty()
            && self.attachment_extensions.is_empty()
            && self.tags.is_empty()
            && self.headers.is_empty();
        let single = self.phi.is_none()
            && self.score_at_least.is_none()
            && self.larger_than.is_none()
            && self.attachment_larger_than.is_none()
            && self.marked.is_none();
        lists && single
    }

    /// This one, and those in its `not` and `any`.
    pub fn all(&self) -> impl Iterator<Item = &When> {
        std::iter::once(self).chain(self.not.as_deref()).chain(&self.any)
    }
}

/// One list of `when`. An empty one could never hold, and reads as if it always did, so it is a mistake.
fn condition<T>(
    table: &mut Table<'_, '_>,
    key: &'static str,
    convert: impl Fn(&DeValue<'_>) -> Result<T, String>,
) -> Vec<T> {
    table.filled(key, Absent::Nothing, convert).into_iter().map(|given| given.value).collect()
}

fn clients(table: &mut Table<'_, '_>, known: &Known<'_>) -> Vec<ClientName> {
    let given = table.filled("client", Absent::Nothing, value::text);
    for Given { line, value: name } in &given {
        known.clients.check(table, (*line, "client"), name);
    }
    given.into_iter().map(|given| ClientName(given.value)).collect()
}

fn groups(table: &mut Table<'_, '_>, key: &'static str, known: &Known<'_>) -> Vec<String> {
    let given = table.filled(key, Absent::Nothing, value::text);
    for Given { line, value: name } in &given {
        if known.groups.contains(name) {
            continue;
        }
        let text = match nearest(name, known.groups.iter().map(String::as_str)) {
            Some(near) => format!("no [[policy.group]] has this name; did you mean \"{near}\"?"),
            None => "no [[policy.group]] has this name: add the group, or take the name out".to_owned(),
        };
        table.mistake(*line, key, text);
    }
    given.into_iter().map(|given| given.value).collect()
}

/// `{ patients = 20, SSN = 3 }`
fn more_than(table: &mut Table<'_, '_>) -> Vec<(Counted, usize)> {
    let mut read = Vec::new();
    for (name, Given { line, value }) in table.pairs("more_than") {
        match counted(&name).and_then(|counted| Ok((counted, value::count_from_none(&value)?))) {
            Ok(limit) => read.push(limit),
            Err(text) => table.mistake(line, "more_than", format!("{name}: {text}")),
        }
    }
    read
}

fn counted(name: &str) -> Result<Counted, String> {
    let named =
        [("patients", Counted::Patients), ("recipients", Counted::Recipients), ("attachments", Counted::Attachments)];
    let kinds = Kind::ALL.iter().map(|kind| (kind.name(), Counted::Kind(*kind)));
    value::one_of(&DeValue::String(name.into()), named.into_iter().chain(kinds))
}

/// `{ "X-Sealpost-Purpose" = ["marketing"] }`
fn headers(table: &mut Table<'_, '_>) -> Vec<HeaderIs> {
    let mut headers = Vec::new();
    for (name, given) in table.pairs("headers") {
        let Given { line, value } = given;
        match header(&name, &value) {
            Ok(header) => headers.push(header),
            Err(text) => table.mistake(line, "headers", format!("{name}: {text}")),
        }
    }
    headers
}

fn header(name: &str, value: &DeValue<'_>) -> Result<HeaderIs, String> {
    super::field_name(name)?;
    let values: Vec<String> = match value {
        DeValue::Array(values) => values.iter().map(|value| value::text(value.get_ref())).collect::<Result<_, _>>()?,
        one => vec![value::text(one)?],
    };
    if values.is_empty() {
        return Err("write at least one value; \"*\" is any".into());
    }
    let values = values.iter().map(|value| value.trim().to_lowercase()).collect();
    Ok(HeaderIs { name: name.to_ascii_lowercase(), values })
}

pub(super) fn operating_point(written: &DeValue<'_>) -> Result<OperatingPoint, String> {
    value::one_of(written, [("strict", OperatingPoint::Strict), ("balanced", OperatingPoint::Balanced)])
}

/// From 0.01 to 1.
fn score(written: &DeValue<'_>) -> Result<u8, String> {
    let wanted = || "write a number from 0.01 to 1.0, without quotes".to_owned();
    let text = match written {
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return Err(wanted());
        }
    };
    let score: f32 = text.parse().map_err(|_| wanted())?;
    let hundredths = (1..=100_u8).find(|step| (f32::from(*step) - score * 100.0).abs() < 0.5);
    hundredths.filter(|_| score <= 1.0).ok_or_else(wanted)
}

fn label(written: &DeValue<'_>) -> Result<Label, String> {
    value::one_of(written, Label::ALL.map(|label| (label.name(), label)))
}

fn cannot(written: &DeValue<'_>) -> Result<Cannot, String> {
    let reasons = REASONS.map(|reason| (reason, Cannot::For(reason)));
    value::one_of(written, [("any", Cannot::Any)].into_iter().chain(reasons))
}

fn media_type(written: &DeValue<'_>) -> Result<String, String> {
    let text = value::text(written)?.to_ascii_lowercase();
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
    };
    match text.split_once('/') {
        Some((main, sub)) if plain(main) && (sub == "*" || plain(sub)) => Ok(text),
        Some(_) | None => Err("write a media type, as in \"application/pdf\" or \"image/*\"".into()),
    }
}

fn extension(written: &DeValue<'_>) -> Result<String, String> {
    let text = value::text(written)?.trim_start_matches('.').to_lowercase();
    let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain { Ok(text) } else { Err("write the end of a file name, as in \"exe\"".into()) }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("When")
    }
}

impl fmt::Debug for HeaderIs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderIs").field("name", &self.name).finish_non_exhaustive()
    }
}
