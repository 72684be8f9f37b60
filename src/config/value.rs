//! From what TOML holds to what a setting is. A refusal is a sentence that says what to write instead.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use crate::clock::Timestamp;
use crate::mail::{Address, Domain, Method};
use crate::phi::Kind;

pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.trim().is_empty() => Err("write something between the quotes".into()),
        DeValue::String(text) if text.chars().any(char::is_control) => {
            Err("take out the line end or control character".into())
        }
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => Err(format!("write text in quotes; this is {}", what_it_is(value))),
    }
}

pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("write true or false, without quotes; this is {}", what_it_is(value)))
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    value.as_integer().and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
}

pub(super) fn count(value: &DeValue<'_>) -> Result<usize, String> {
    integer(value)
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| *count > 0)
        .ok_or_else(|| "write a whole number from 1 up, without quotes".into())
}

/// From 0: what more than none is.
pub(super) fn count_from_none(value: &DeValue<'_>) -> Result<usize, String> {
    integer(value)
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| "write a whole number from 0 up, without quotes".into())
}

pub(super) fn hour(value: &DeValue<'_>) -> Result<u8, String> {
    integer(value)
        .and_then(|hour| u8::try_from(hour).ok())
        .filter(|hour| *hour < 24)
        .ok_or_else(|| "write an hour of the day from 0 to 23, without quotes".into())
}

/// `"64KiB"`, `"50MiB"`, `"1GiB"`, or octets as a plain number.
pub(super) fn bytes<T: TryFrom<u64>>(value: &DeValue<'_>) -> Result<T, String> {
    let octets = match value {
        DeValue::String(text) => size(text),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => integer(value),
    };
    octets
        .filter(|octets| *octets > 0)
        .and_then(|octets| T::try_from(octets).ok())
        .ok_or_else(|| "write a size as in \"64KiB\", \"50MiB\" or \"1GiB\"".into())
}

fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    const WANTED: &str = "write a time with its unit, as in \"30s\", \"5m\", \"4h\" or \"5d\"";
    let text = value.as_str().ok_or(WANTED)?;
    let duration = humantime::parse_duration(text).map_err(|_| WANTED)?;
    if duration.is_zero() { Err("write a time longer than none".into()) } else { Ok(duration) }
}

/// A day: `"2027-03-31"`, or the same without quotes, which TOML has a type for. The moment when it begins, in UTC.
pub(super) fn date(value: &DeValue<'_>) -> Result<Timestamp, String> {
    let text = match value {
        DeValue::Datetime(date) => date.to_string(),
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => {
            String::new()
        }
    };
    Timestamp::parse_date(&text).ok_or_else(|| "write a day, as in \"2027-03-31\"".into())
}

pub(super) fn path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

pub(super) fn domain(value: &DeValue<'_>) -> Result<Domain, String> {
    Domain::parse(&text(value)?).map_err(|bad| format!("write a host name, as in \"relay.clinic.example\": {bad}"))
}

pub(super) fn address(value: &DeValue<'_>) -> Result<Address, String> {
    Address::parse(&text(value)?).map_err(|bad| format!("write one mail address, as in \"it@clinic.example\": {bad}"))
}

pub(super) fn socket(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let text = text(value)?;
    let wanted = "write an address and a port, as in \"0.0.0.0:587\" or \"[::1]:587\"; names are not resolved here";
    text.parse().ok().filter(|bind: &SocketAddr| bind.port() != 0).ok_or_else(|| wanted.into())
}

/// `None` for `"off"`.
pub(super) fn socket_or_off(value: &DeValue<'_>) -> Result<Option<SocketAddr>, String> {
    match value.as_str() {
        Some("off") => Ok(None),
        _ => socket(value).map(Some).map_err(|wanted| format!("{wanted}; or \"off\"")),
    }
}

/// An address whose port is 53 when it is not written.
pub(super) fn resolver(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let text = text(value)?;
    let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    bare.or_else(|_| text.parse()).map_err(|_| "write the address of a resolver, as in \"10.0.0.53\"".into())
}

/// A network, or one address.
pub(super) fn network(value: &DeValue<'_>) -> Result<IpNet, String> {
    let text = text(value)?;
    let one = text.parse::<IpAddr>().map(IpNet::from);
    one.or_else(|_| text.parse()).map_err(|_| "write a network, as in \"10.20.0.0/16\"".into())
}

pub(super) fn method(value: &DeValue<'_>) -> Result<Method, String> {
    one_of(value, Method::ALL.map(|method| (method.name(), method)))
}

pub(super) fn kind(value: &DeValue<'_>) -> Result<Kind, String> {
    match value.as_str().and_then(Kind::from_name) {
        Some(kind) => Ok(kind),
        None => one_of(value, Kind::ALL.iter().map(|kind| (kind.name(), *kind))),
    }
}

/// `lab.example`, `*.lab.example`, `*`: in the form that `Domain::matches` takes.
pub(super) fn domain_pattern(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    domain_pattern_of(&text).ok_or_else(|| "write \"lab.example\", \"*.lab.example\" or \"*\"".into())
}

fn domain_pattern_of(text: &str) -> Option<String> {
    match text.strip_prefix("*.") {
        _ if text == "*" => Some(text.to_owned()),
        Some(parent) => Domain::parse(parent).ok().filter(|d| d.literal().is_none()).map(|d| format!("*.{d}")),
        None => Domain::parse(text).ok().map(|domain| domain.to_string()),
    }
}

/// `ann@clinic.example`, `*@clinic.example`, `*@*.clinic.example`.
pub(super) fn address_pattern(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    let pattern = || {
        let (local, domain) = text.rsplit_once('@')?;
        let domain = domain_pattern_of(domain)?;
        // Only the domain is in doubt no longer: any domain will do to have the local part judged.
        let is_local =
            local == "*" || (!local.contains('*') && Address::parse(&format!("{local}@example.org")).is_ok());
        is_local.then(|| format!("{local}@{domain}"))
    };
    pattern().ok_or_else(|| {
        "write \"ann@clinic.example\", \"*@clinic.example\" or \"*@*.clinic.example\"; a star stands alone".into()
    })
}

/// A word from a closed list.
pub(super) fn one_of<T, L>(value: &DeValue<'_>, list: L) -> Result<T, String>
where
    L: IntoIterator<Item = (&'static str, T)>,
{
    let written = value.as_str().unwrap_or_default();
    let mut words = Vec::new();
    for (word, meaning) in list {
        if word == written {
            return Ok(meaning);
        }
        words.push(word);
    }
    let mut text = format!("write one of \"{}\"", words.join("\", \""));
    if let Some(near) = nearest(written, words) {
        // Writing to a String cannot fail.
        let _ = write!(text, "; did you mean \"{near}\"?");
    }
    Err(text)
}

/// The known word that a misspelt one was most likely meant to be: a letter or two away.
pub(super) fn nearest<'w>(written: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let written = written.to_lowercase();
    // Farther off, a guess confuses more than it helps.
    let far = 1 + written.chars().count() / 5;
    let distances = known.into_iter().map(|word| (strsim::osa_distance(&written, &word.to_lowercase()), word));
    distances.filter(|(distance, _)| *distance <= far).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// What kind of TOML value was written, to say what it should not be.
pub(super) const fn what_it_is(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> DeValue<'_> {
        DeValue::String(text.into())
    }

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, octets) in [("64KiB", Some(65_536)), ("1 MiB", Some(1 << 20)), ("7B", Some(7))] {
            assert_eq!(bytes::<u64>(&string(text)).ok(), octets, "{text}");
        }
        for text in ["25MB", "25", "-1KiB", "MiB", "0KiB", "99999999TiB", ""] {
            assert!(bytes::<u64>(&string(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_unit_is_refused() {
        assert_eq!(duration(&string("5d")), Ok(Duration::from_secs(5 * 86_400)));
        for text in ["5", "", "soon", "0s", "-1m"] {
            assert!(duration(&string(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_in_a_sender_pattern_stands_alone() {
        for good in ["ann@clinic.example", "*@clinic.example", "*@*.clinic.example", "*@*"] {
            assert_eq!(address_pattern(&string(good)).as_deref(), Ok(good));
        }
        assert_eq!(address_pattern(&string("*@Clinic.Example")).as_deref(), Ok("*@clinic.example"));
        for bad in
            ["clinic.example", "a*@clinic.example", "@clinic.example", "*@*clinic.example", "*@", "a b@c.example"]
        {
            assert!(address_pattern(&string(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_misspelt_word_finds_the_one_that_was_meant() {
        let known = ["hostname", "data_dir", "master_key"];
        assert_eq!(nearest("host_name", known), Some("hostname"));
        assert_eq!(nearest("datadir", known), Some("data_dir"));
        assert_eq!(nearest("colour", known), None);
    }
}
