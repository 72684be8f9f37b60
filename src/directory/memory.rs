//! Whether a destination looks as it did before: a valid certificate of a stranger proves nothing about the recipient.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::Assurance;
use crate::store::{Destination, Lower, Newcomers};

/// How long a strange set of MX hosts, or a lower level, must have stood before it counts.
const STRANGER_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a memory is not written again only to say that it is still so.
const FRESH_FOR: Duration = Duration::from_secs(60 * 60);

/// What one attempt showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub mx: Vec<String>,
    /// None when no TLS was agreed on.
    pub level: Option<Assurance>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Known,
    /// The MX hosts share no registrable domain with the remembered ones.
    StrangeHosts {
        until: Timestamp,
    },
    /// The level is below the remembered best.
    LowerLevel {
        until: Timestamp,
    },
}

impl Standing {
    /// Why it does not count as valid, if it does not.
    pub fn words(self) -> Option<String> {
        match self {
            Standing::Known => None,
            Standing::StrangeHosts { until } => Some(format!(
                "the domain's mail exchangers are strangers to those seen before, and do not count as valid until {until}"
            )),
            Standing::LowerLevel { until } => {
                Some(format!("the domain was better protected before, and this does not count as valid until {until}"))
            }
        }
    }
}

/// Whether a domain with this MX set, at this level, may count as valid now.
pub fn standing(known: Option<&Destination>, mx: &[String], level: Assurance, now: Timestamp) -> Standing {
    // Whoever is seen for the first time is no stranger: there is nothing to be strange to.
    let Some(known) = known else { return Standing::Known };
    if !shares_domain(&known.mx, mx) {
        let since = known.newcomers.as_ref().filter(|newcomers| shares_domain(&newcomers.mx, mx));
        let since = since.map_or(now, |newcomers| newcomers.since);
        if now.since(since) < STRANGER_FOR {
            return Standing::StrangeHosts { until: since.plus(STRANGER_FOR) };
        }
    }
    if known.best.is_some_and(|best| level < best) {
        let since = known.lower.map_or(now, |lower| lower.since);
        if now.since(since) < STRANGER_FOR {
            return Standing::LowerLevel { until: since.plus(STRANGER_FOR) };
        }
    }
    Standing::Known
}

/// What is known after a sighting.
pub fn remember(known: Option<Destination>, sighting: Sighting, now: Timestamp) -> Destination {
    let Some(mut known) = known else {
        return Destination { mx: sighting.mx, best: sighting.level, seen: now, newcomers: None, lower: None };
    };
    if shares_domain(&known.mx, &sighting.mx) {
        known.mx = sighting.mx;
        known.newcomers = None;
    } else {
        let waiting = known.newcomers.take().filter(|newcomers| shares_domain(&newcomers.mx, &sighting.mx));
        let since = waiting.map_or(now, |newcomers| newcomers.since);
        if now.since(since) >= STRANGER_FOR {
            known.mx = sighting.mx;
        } else {
            known.newcomers = Some(Newcomers { mx: sighting.mx, since });
        }
    }
    if let Some(level) = sighting.level {
        let since = known.lower.map_or(now, |lower| lower.since);
        if known.best.is_none_or(|best| level >= best) || now.since(since) >= STRANGER_FOR {
            (known.best, known.seen, known.lower) = (Some(level), now, None);
        } else {
            known.lower = Some(Lower { level, since });
        }
    }
    known
}

/// Whether a memory says more than the one before, so that it is worth writing down.
pub fn is_news(known: Option<&Destination>, now: &Destination) -> bool {
    known.is_none_or(|known| {
        let dated = Destination { seen: known.seen, ..now.clone() };
        dated != *known || now.seen.since(known.seen) >= FRESH_FOR
    })
}

fn shares_domain(one: &[String], other: &[String]) -> bool {
    one.iter().any(|host| other.iter().any(|name| registrable(host).eq_ignore_ascii_case(registrable(name))))
}

/// The part that somebody registered, by the public suffix list: two hosts below it have one owner.
fn registrable(host: &str) -> &str {
    psl::domain_str(host).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const START: Timestamp = Timestamp::from_millis(1_795_493_220_000);

    fn sighting(mx: &str, level: Assurance) -> Sighting {
        Sighting { mx: vec![mx.to_owned()], level: Some(level) }
    }

    fn counts(known: &Destination, mx: &str, level: Assurance, after: Duration) -> bool {
        standing(Some(known), &[mx.to_owned()], level, START.plus(after)) == Standing::Known
    }

    #[test]
    fn the_first_set_is_taken_as_it_is() {
        assert_eq!(standing(None, &["mx.lab.example".into()], Assurance::Valid, START), Standing::Known);
    }

    #[test]
    fn hosts_of_the_same_owner_are_no_strangers() {
        let known = remember(None, sighting("mx1.lab.example", Assurance::Valid), START);
        assert!(counts(&known, "mx2.lab.example", Assurance::Valid, DAY));
        assert!(counts(&known, "MX9.Mail.Lab.Example", Assurance::Valid, DAY));
        assert!(!counts(&known, "mx1.other.example", Assurance::Valid, DAY));
    }

    #[test]
    fn two_names_below_a_public_suffix_have_two_owners() {
        let known = remember(None, sighting("mx.lab.co.uk", Assurance::Valid), START);
        assert!(!counts(&known, "mx.thief.co.uk", Assurance::Valid, DAY));
    }

    #[test]
    fn a_strange_set_counts_once_it_stood_for_seven_days() {
        let known = remember(None, sighting("mx.lab.example", Assurance::Valid), START);
        let known = remember(Some(known), sighting("mx.new.example", Assurance::Encrypted), START.plus(DAY));
        assert!(!counts(&known, "mx.new.example", Assurance::Valid, DAY * 7));
        assert!(counts(&known, "mx.new.example", Assurance::Valid, DAY * 8));
        assert!(!counts(&known, "mx.third.example", Assurance::Valid, DAY * 8));
        let known = remember(Some(known), sighting("mx.new.example", Assurance::Valid), START.plus(DAY * 8));
        assert_eq!((known.mx, known.newcomers), (vec!["mx.new.example".to_owned()], None));
    }

    #[test]
    fn the_old_hosts_coming_back_start_the_wait_anew() {
        let known = remember(None, sighting("mx.lab.example", Assurance::Valid), START);
        let known = remember(Some(known), sighting("mx.new.example", Assurance::Valid), START);
        let known = remember(Some(known), sighting("mx.lab.example", Assurance::Valid), START.plus(DAY * 3));
        assert!(!counts(&known, "mx.new.example", Assurance::Valid, DAY * 8));
    }

    #[test]
    fn a_lower_level_counts_once_it_stood_for_seven_days() {
        let known = remember(None, sighting("mx.lab.example", Assurance::Authenticated), START);
        assert!(!counts(&known, "mx.lab.example", Assurance::Valid, DAY));
        let known = remember(Some(known), sighting("mx.lab.example", Assurance::Valid), START.plus(DAY));
        assert!(!counts(&known, "mx.lab.example", Assurance::Valid, DAY * 7));
        assert!(counts(&known, "mx.lab.example", Assurance::Valid, DAY * 8));
        let known = remember(Some(known), sighting("mx.lab.example", Assurance::Valid), START.plus(DAY * 8));
        assert_eq!((known.best, known.lower), (Some(Assurance::Valid), None));
    }

    #[test]
    fn the_same_again_is_no_news_for_an_hour() {
        let known = remember(None, sighting("mx.lab.example", Assurance::Valid), START);
        assert!(is_news(None, &known));
        let again =
            |after| remember(Some(known.clone()), sighting("mx.lab.example", Assurance::Valid), START.plus(after));
        assert!(!is_news(Some(&known), &again(DAY / 48)));
        assert!(is_news(Some(&known), &again(DAY / 24)));
        let other = remember(Some(known.clone()), sighting("mx.new.example", Assurance::Valid), START);
        assert!(is_news(Some(&known), &other));
    }
}
